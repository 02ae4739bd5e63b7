//! Message-bus style RPC over brokerless ZeroMQ sockets, with synchronous threads.
//!
//! | room | what |
//! |---|---|
//! | [`Status`], [`Code`], [`Ran`] | how a call ended, and whether it ran |
//! | [`CallError`], [`RpcError`], [`Error`] | what a caller gets; what a builder refuses |
//! | [`Blob`], [`Metadata`] | bytes that travel uncopied; what travels beside the arguments |
//! | [`service`](mod@service) | what can be called, and how its handlers are reached |
//! | [`client`] | the calling end: pools of nodes, calls in flight, the clerk |
//! | [`server`] | the serving end: pools of threads, sessions, the drain |
//! | [`builtin`] | health, reflection and echo, which every server offers |
//! | [`deadline`] | the deadline that nested calls inherit |
//! | [`wire`] | envelopes and their encoding, as `docs/WIRE.md` has them |
//! | [`patterns`] | the sockets, with their engine, options and monitor: the package `brokerless-patterns`, which can be used by itself |

#[doc(hidden)]
pub mod machine;

#[doc(inline)]
pub use brokerless_patterns as patterns;

mod blob;
pub mod builtin;
mod chunk;
pub mod client;
pub mod deadline;
mod error;
mod metadata;
pub mod server;
pub mod service;
mod status;
pub mod wire;

pub use blob::Blob;
#[doc = include_str!("service/attribute.md")]
#[doc(inline)]
pub use brokerless_macros::service;
pub use error::{CallError, Error, RpcError};
pub use metadata::{Metadata, MetadataError, MetadataValue};
pub use status::{Code, Ran, Status};

/// The examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
