//! Brokerless sockets and calls and their peers, measured beside each other in one run.
//!
//! | room | what is in it |
//! |---|---|
//! | [`sockets`] | the command `bench-sockets`: messages |
//! | [`rpc`] | the command `bench-rpc`: calls |
//! | [`curve`] | the command `bench-curve`: latency of calls under load |
//! | [`balance`] | the command `bench-balance`: policies over real processes |
//! | [`scale`] | the command `bench-scale`: many peers of one ROUTER |
//! | `systems` | who is measured, one file each, behind one trait |
//! | `harness` | processes, cores, slices and rounds, the canary, figures and reports |
//!
//! # Not here
//!
//! Instruction counts and counted copies: those are tests of `brokerless-patterns`.

// Without one of them, some of the loops and clocks have no user.
#![cfg_attr(
    not(all(
        feature = "brokerless",
        feature = "zeromq",
        feature = "libzmq",
        feature = "tonic",
        feature = "tarpc"
    )),
    allow(dead_code)
)]

#[cfg(feature = "brokerless")]
pub mod balance;
pub mod curve;
pub mod rpc;
#[cfg(feature = "brokerless")]
pub mod scale;
pub mod sockets;

mod harness;
mod systems;
