//! `bl-call` as a user runs it: a real process, over tcp, against servers of this one.
//!
//! | file | what |
//! |---|---|
//! | `bl_call/calls.rs` | arguments in every form, answers of every kind |
//! | `bl_call/files.rs` | bytes and blobs from files and to files |
//! | `bl_call/errors.rs` | what a user can get wrong, and what can go wrong |
//! | `bl_call/names.rs` | list, describe, health, stats |
//! | `bl_call/repeat.rs` | many calls, summed up |
//! | `bl_call/shells.rs` | help, man page, completions |
//! | `bl_call/streams.rs` | items from standard input and to standard output |
//! | `bl_call/support.rs` | the service that is called, and starting the program |

#[path = "bl_call/calls.rs"]
mod calls;
#[path = "bl_call/errors.rs"]
mod errors;
#[path = "bl_call/files.rs"]
mod files;
#[path = "bl_call/names.rs"]
mod names;
#[path = "bl_call/repeat.rs"]
mod repeat;
#[path = "bl_call/shells.rs"]
mod shells;
#[path = "bl_call/streams.rs"]
mod streams;
#[path = "bl_call/support.rs"]
mod support;
