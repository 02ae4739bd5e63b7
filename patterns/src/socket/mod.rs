//! The sockets: synchronous, shared between threads, each with the meaning that ZeroMQ gives it.
//!
//! | file | what |
//! |---|---|
//! | `dealer`, `router`, `req`, `rep`, `push`, `pull`, `pair` | the socket types |
//! | `weighted` | one DEALER over many servers, by weight |
//! | `wait` | waiting for several sockets at once |
//! | `options` | every limit and time |
//! | `peer`, `stats`, `error` | what programs are given |
//! | `core`, `common` | what the types share |
//! | `fair` | whose message is next |

mod common;
pub(crate) mod core;
mod dealer;
mod error;
mod fair;
mod options;
mod pair;
mod peer;
mod pull;
mod push;
mod rep;
mod req;
mod router;
mod stats;
mod wait;
mod weighted;

pub use dealer::Dealer;
pub use error::{Error, RecvError, SendError, SendRefusal};
pub use options::{OptionError, Options, TcpKeepalive};
pub use pair::Pair;
pub use peer::Peer;
pub use pull::Pull;
pub use push::Push;
pub use rep::Rep;
pub use req::Req;
pub use router::Router;
pub use stats::{PeerStats, SocketStats, Unsent};
pub(crate) use wait::WaitsOn;
pub use wait::{Waitable, wait_any, wait_any_timeout};
pub use weighted::{Server, ServerStats, WeightedDealer};
