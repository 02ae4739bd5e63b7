//! Synchronous ZeroMQ sockets: threads, no async runtime, no C++, no broker.
//!
//! ```
//! use brokerless_patterns::{Dealer, Router};
//!
//! let router = Router::bind("tcp://127.0.0.1:*")?; // Send + Sync: any thread may use it
//! let endpoint = router.local_endpoints()[0].to_string();
//! let dealer = Dealer::connect(&endpoint)?;
//!
//! dealer.send(["hello", "world"])?; // a refused message comes back in the error
//! let (peer, message) = router.recv()?; // also recv_timeout, recv_deadline, try_recv
//! router.send(&peer, message)?; // never blocks on a full peer: says so
//! assert_eq!(dealer.recv()?[0], "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The sockets speak ZMTP 3.1, and talk to any libzmq program on the other side, over `tcp://`,
//! `ipc://` and `inproc://`.
//!
//! | room | what |
//! |---|---|
//! | [`Message`], [`Frame`] | what is sent |
//! | [`Dealer`], [`Router`], [`Req`], [`Rep`] | requests and answers |
//! | [`Push`], [`Pull`] | work down a pipeline |
//! | [`Pub`], [`Sub`], [`XPub`], [`XSub`] | topics, for whoever wants them |
//! | [`Pair`] | one peer |
//! | [`WeightedDealer`] | many servers, by weight |
//! | [`bus`] | typed topics: last values, losses counted |
//! | [`Options`] | every limit and time |
//! | [`Engine`] | who does the polling |
//! | [`device`] | what stands between sockets: queue, forwarder, streamer |
//! | [`balance`] | picking policies |
//! | [`retry`], [`workers`] | what request patterns are made of, without I/O |
//! | [`tap`] | messages taken where they come in, for those who build protocols on the sockets |
//! | [`zmtp`] | the protocol itself, without I/O |

pub mod balance;
#[cfg(feature = "bus")]
pub mod bus;
#[cfg(feature = "counters")]
pub mod counters;
#[cfg(not(feature = "counters"))]
mod counters;
pub mod device;
mod engine;
mod event;
mod link;
mod message;
pub mod retry;
mod socket;
pub mod workers;
pub mod zmtp;

pub use engine::Engine;
pub use event::{CloseReason, Event};
pub use link::{BindError, Endpoint, EndpointError, IpcEndpoint, TcpAddress, TcpEndpoint, TcpHost};
pub use message::{Frame, Headed, Message};
pub use socket::{
    Dealer, Error, OptionError, Options, Pair, Peer, PeerStats, Pub, Pull, Push, Received,
    RecvError, Rep, Req, Router, SendError, SendRefusal, Server, ServerStats, SlowSubscriber,
    SocketStats, Sub, TcpKeepalive, Unsent, Verbose, Waitable, WeightedDealer, XPub, XSub, tap,
    wait_any, wait_any_timeout,
};

/// The examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
