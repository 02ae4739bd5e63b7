//! The sockets: synchronous, shared between threads, each with the meaning that ZeroMQ gives it.
//!
//! | file | what |
//! |---|---|
//! | `dealer`, `router`, `req`, `rep`, `push`, `pull`, `pair` | the socket types |
//! | `publish`, `subscribe`, `xpub`, `xsub` | those that publish and subscribe |
//! | `weighted` | one DEALER over many servers, by weight |
//! | `wait` | waiting for several sockets at once |
//! | `tap` | messages taken where they come in; waiting for something else |
//! | `options` | every limit and time |
//! | `second_options` | those that the second engine cannot hold to |
//! | `peer`, `stats`, `error` | what programs are given |
//! | `core`, `common` | what the types share |
//! | `fair` | whose message is next |
//! | `subscriptions`, `prefix_tree` | who has subscribed to what |
//! | `last_values` | what a new subscriber is told |

mod common;
pub(crate) mod core;
mod dealer;
mod error;
mod fair;
mod last_values;
mod options;
mod pair;
mod peer;
mod prefix_tree;
mod publish;
mod pull;
mod push;
mod rep;
mod req;
mod router;
#[cfg(feature = "zeromq")]
mod second_options;
mod stats;
mod subscribe;
mod subscriptions;
pub mod tap;
mod wait;
mod weighted;
mod xpub;
mod xsub;

pub use dealer::Dealer;
pub use error::{Error, RecvError, SendError, SendRefusal};
pub use options::{OptionError, Options, SlowSubscriber, TcpKeepalive, Verbose};
pub use pair::Pair;
pub use peer::Peer;
pub use publish::Pub;
pub use pull::Pull;
pub use push::Push;
pub use rep::Rep;
pub use req::Req;
pub use router::{Received, Router};
pub use stats::{PeerStats, SocketStats, Unsent};
pub use subscribe::Sub;
pub(crate) use wait::WaitsOn;
pub use wait::{Waitable, wait_any, wait_any_timeout};
pub use weighted::{Server, ServerStats, WeightedDealer};
pub use xpub::XPub;
pub use xsub::XSub;
