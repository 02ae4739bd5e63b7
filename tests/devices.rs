//! The device programs as a user runs them: real processes between sockets of ours.
//!
//! | file | what |
//! |---|---|
//! | `devices/queue.rs` | what passes through `bl-queue` |
//! | `devices/forwarder.rs` | what passes through `bl-forwarder` |
//! | `devices/streamer.rs` | what passes through `bl-streamer` |
//! | `devices/proxy.rs` | `bl-proxy`, which is a device of calls and not of messages |
//! | `devices/command_line.rs` | flags, files, help, man pages |
//! | `devices/control.rs` | commands, among them the reading of the file again |
//! | `devices/signals.rs` | how they end |
//! | `devices/unread.rs` | nobody reads what they print |

#[path = "devices/command_line.rs"]
mod command_line;
#[path = "devices/control.rs"]
mod control;
#[path = "devices/forwarder.rs"]
mod forwarder;
#[path = "devices/proxy.rs"]
mod proxy;
#[path = "devices/queue.rs"]
mod queue;
#[path = "devices/signals.rs"]
mod signals;
#[path = "devices/streamer.rs"]
mod streamer;
#[path = "devices/support.rs"]
mod support;
#[path = "devices/unread.rs"]
mod unread;
