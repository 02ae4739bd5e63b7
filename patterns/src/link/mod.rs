//! Byte links and their addresses: tcp and ipc sockets that never block, and endpoints.
//!
//! A link carries bytes and knows nothing of messages. A `Listener` and a `Stream` each own one
//! descriptor, non-blocking and closed on exec; whoever polls them owns them. Names are the one
//! thing here that waits for the network: `resolve` says so, and `needs_resolver` says when.
//!
//! ```text
//! Endpoint --bind--------------------> Listener --accept--> (Stream, RemoteAddr)
//!    |
//!    +-----resolve--> [Target] --start_connect--> (Stream, ConnectState)
//! ```
//!
//! | file | what |
//! |---|---|
//! | `endpoint`, `endpoint_error` | the text of an address, both ways |
//! | `bind_error` | why an endpoint could not be bound |
//! | `resolve` | endpoint to socket addresses, and connecting |
//! | `iface` | interface name to address |
//! | `listener` | binding, accepting |
//! | `socket_file` | the life of an ipc socket's file |
//! | `socket` | sockets made and options set, the same on Linux and macOS |
//! | `stream` | reading and writing |
//!
//! # Not here
//!
//! Frames and handshakes, deadlines, reconnecting, limits on connections, `inproc` itself.

mod bind_error;
mod endpoint;
mod endpoint_error;
mod iface;
mod listener;
mod resolve;
mod socket;
mod socket_file;
mod stream;
#[cfg(test)]
mod tests;

pub use bind_error::BindError;
pub use endpoint::{Endpoint, IpcEndpoint, TcpAddress, TcpEndpoint, TcpHost};
pub use endpoint_error::EndpointError;
pub(crate) use listener::Listener;
pub(crate) use resolve::{ConnectState, Target, needs_resolver, resolve, start_connect};
pub(crate) use socket::{Keepalive, LinkOptions};
pub(crate) use stream::{RemoteAddr, Stream};
