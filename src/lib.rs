//! Message-bus style RPC over brokerless ZeroMQ sockets, with synchronous threads.
//!
//! What there is: [`patterns`], the sockets, with their engine, options and monitor. It is the
//! package `brokerless-patterns`, which can be used by itself.

#[doc(hidden)]
pub mod machine;

#[doc(inline)]
pub use brokerless_patterns as patterns;

/// The examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
