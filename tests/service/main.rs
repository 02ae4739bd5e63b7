//! Services as the attribute writes them: their information, their server, their client.
//!
//! The server is driven by hand, through a [`desk::Desk`] in the place of whatever runs calls.
//!
//! | file | what |
//! |---|---|
//! | `calculator.rs` | the service that most of it is about |
//! | `desk.rs` | what runs a call here |
//! | `fabric.rs` | a client that calls a service in its own thread |
//! | `flow.rs` | the streams of that client |
//! | `streams/` | services with streams: the same facts of both fabrics |
//! | `info.rs` | what is known without calling |
//! | `arguments.rs` | from bytes to arguments |
//! | `answers.rs` | from what a handler gives to an outcome |
//! | `bytes.rs` | strings of bytes, as they are on the wire |
//! | `round.rs` | a client's methods, there and back |
//! | `live.rs` | a client and a server, over the fabric itself |
//! | `names.rs` | what the user calls alike does not get in the way |
//! | `types.rs` | every type that may be an argument or an answer |

mod answers;
mod arguments;
mod bytes;
mod calculator;
mod desk;
mod fabric;
mod flow;
mod info;
mod live;
mod names;
mod round;
mod streams;
mod types;
