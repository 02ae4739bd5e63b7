//! Calls between services over brokerless ZeroMQ sockets, with synchronous threads.
//!
//! A trait is a service; whoever implements it serves it; whoever has the client that is generated
//! beside it calls it, and blocks until the answer, an error or the deadline.
//!
//! ```
//! use std::time::Duration;
//!
//! use brokerless::service::Context;
//! use brokerless::{Call, CallError, Code, Ran, Server, Status};
//!
//! #[brokerless::service(name = "stock.v1")]
//! pub trait Stock {
//!     /// Pieces on the shelf.
//!     #[rpc(idempotent)]
//!     fn count(&self, part: &str) -> Result<u64, Status>;
//!     /// Takes pieces, for the tenant that asks.
//!     fn take(&self, ctx: &Context<'_>, part: &str, pieces: u64) -> Result<String, Status>;
//! }
//!
//! struct Shelf;
//!
//! impl Stock for Shelf {
//!     fn count(&self, part: &str) -> Result<u64, Status> {
//!         match part {
//!             "bolt" => Ok(7),
//!             _ => Err(Status::not_found(format!("no part {part}"))),
//!         }
//!     }
//!     fn take(&self, ctx: &Context<'_>, part: &str, pieces: u64) -> Result<String, Status> {
//!         let tenant = ctx.metadata().get("tenant");
//!         let tenant = tenant.ok_or_else(|| Status::unauthenticated("whose order is it?"))?;
//!         Ok(format!("{pieces} of {part} for {tenant}"))
//!     }
//! }
//!
//! // Served from here on: by threads of the server's own.
//! let server = Server::builder().service(StockServer::new(Shelf)).bind("inproc://tour")?;
//!
//! // A pool of one node. `connect(["tcp://a:7070", "tcp://b:7070"])` is one of two.
//! let stock = StockClient::connect("inproc://tour")?;
//! assert_eq!(stock.count("bolt")?, 7);
//!
//! // A handler's status is the fabric's error; the handler ran, and says so.
//! let error = stock.count("sprocket").unwrap_err();
//! assert_eq!((error.code(), error.ran()), (Code::NotFound, Ran::Yes));
//! assert!(matches!(error, CallError::Rpc(_)));
//!
//! // Options go with a client of their own, which shares everything else.
//! let ours = stock.with(Call::new().timeout(Duration::from_secs(5)).metadata("tenant", "us"));
//! assert_eq!(ours.take("bolt", 2)?, "2 of bolt for us");
//!
//! // Any number of calls in flight, from one thread or many.
//! let (first, second) = (stock.begin().count("bolt")?, ours.begin().take("bolt", 1)?);
//! assert_eq!((second.wait()?, first.wait()?), ("1 of bolt for us".into(), 7));
//!
//! // The end: what was begun is finished, and callers are told.
//! assert!(server.stop().is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rooms
//!
//! | room | what |
//! |---|---|
//! | [`service`](mod@service) | the [attribute](macro@service); what can be called, and how its handlers are reached |
//! | [`client`] | the calling end: pools of nodes, calls in flight, the clerk |
//! | [`server`] | the serving end: pools of threads, sessions, how a server ends |
//! | [`proxy`] | the services of a pool, passed on under one address |
//! | [`balance`] | policies: which node of a pool gets the next call |
//! | [`scatter`](mod@scatter) | tasks, spread over the nodes of a pool and gathered |
//! | [`builtin`] | health, reflection, statistics and echo, which every server offers |
//! | [`Status`], [`Code`], [`Ran`] | how a call ended, and whether it ran |
//! | [`CallError`], [`RpcError`], [`Error`] | what a caller gets; what a builder refuses |
//! | [`Blob`], [`Metadata`] | bytes that travel uncopied; what travels beside the arguments |
//! | [`deadline`] | the deadline that nested calls inherit |
//! | [`wire`] | envelopes and their encoding, as `docs/WIRE.md` has them |
//! | [`patterns`] | the sockets, with their engine, options and monitor: the package `brokerless-patterns`, which can be used by itself |
//!
//! # What happens to a call
//!
//! 1. The client encodes the arguments and sets the deadline: the earliest of what the call's options or
//!    else the method or else the client say, and of the deadline of the call that the thread serves.
//! 2. It picks a node that is up and has granted credit, by its [policy](client::ClientBuilder::policy). If
//!    there is none, the call waits in the client, where it costs no node anything.
//! 3. The server refuses it, queues it, or runs it: at once on the thread that received it where a
//!    worker is free. One whose deadline has passed, or that was cancelled, is not begun.
//! 4. The answer comes back with a report of the node's load and new credit, if that has changed,
//!    and is decoded by the thread that waits.
//!
//! It ends once, in one of these ways:
//!
//! | end | code | [`ran()`](CallError::ran) |
//! |---|---|---|
//! | an answer | | |
//! | the method's own error | [`CallError::Method`] | yes |
//! | a [`Status`] that the handler gave | its own | yes |
//! | the handler panicked, or dropped its responder | `INTERNAL` | yes |
//! | the answer is not of the type that is wanted | `INTERNAL` | yes |
//! | arguments that do not fit | `INVALID_ARGUMENT` | no |
//! | no such service or method | `UNIMPLEMENTED`, with the nearest name | no |
//! | a blob, or a call, over the limit | `RESOURCE_EXHAUSTED` | no |
//! | the deadline, before it was sent, or before the server began it | `DEADLINE_EXCEEDED` | no |
//! | the deadline, while the node had it | `DEADLINE_EXCEEDED` | maybe |
//! | cancelled by its caller | `CANCELLED` | no if it was not sent, else maybe |
//! | no node can be reached, and the call does not wait for one | `UNAVAILABLE` | no |
//! | the one node that it may go to is not there, or refuses it ([`Call::to`]) | `UNAVAILABLE`, or the node's | no |
//! | the connection was lost while the node had it | `UNAVAILABLE` | maybe |
//! | too many calls wait in the client | `RESOURCE_EXHAUSTED` | no |
//!
//! A node that answers that it has not begun a call because it is draining or full is no end: the
//! call is picked again, on another node or after a rest, within its deadline and 64 times at most.
//! Nothing that may have run is sent a second time by the fabric: that is for the program to
//! decide, by `ran()`.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `signals` | servers that end by SIGTERM and SIGINT: `server::until_signal`, `Server::run_until_signal` |
//! | `counters` | counts of system calls and of payload bytes copied, for tests: [`patterns`]`::counters` |
//! | `bin` | the programs of this package |

#[doc(hidden)]
pub mod machine;

#[doc(inline)]
pub use brokerless_patterns as patterns;
#[doc(inline)]
pub use brokerless_patterns::balance;

mod blob;
pub mod builtin;
mod chunk;
pub mod client;
pub mod deadline;
mod error;
mod metadata;
pub mod proxy;
pub mod scatter;
pub mod server;
pub mod service;
mod status;
mod values;
pub mod wire;

pub use blob::Blob;
#[doc = include_str!("service/attribute.md")]
#[doc(inline)]
pub use brokerless_macros::service;
#[doc(no_inline)]
pub use brokerless_patterns::balance::Policy;
#[doc(no_inline)]
pub use client::{Call, Client, Member, Pending};
pub use error::{CallError, Error, RpcError};
pub use metadata::{Metadata, MetadataError, MetadataValue};
#[doc(inline)]
pub use scatter::scatter;
#[doc(no_inline)]
pub use server::Server;
pub use status::{Code, Status};
pub use values::Ran;

/// The examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
