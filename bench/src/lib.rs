//! Brokerless sockets and their peers, measured beside each other in one run.
//!
//! | room | what is in it |
//! |---|---|
//! | [`sockets`] | the command `bench-sockets`: flags, one run, its report |
//! | [`scale`] | the command `bench-scale`: many peers of one ROUTER |
//! | `systems` | who is measured, one file each, behind one trait |
//! | `harness` | processes, cores, slices and rounds, the canary, figures and reports |
//!
//! # Not here
//!
//! Instruction counts and counted copies: those are tests of `brokerless-patterns`.

// With nobody but raw built in, half of the loops have no user.
#![cfg_attr(
    not(any(feature = "brokerless", feature = "zeromq", feature = "libzmq")),
    allow(dead_code)
)]

#[cfg(feature = "brokerless")]
pub mod scale;
pub mod sockets;

mod harness;
mod systems;
