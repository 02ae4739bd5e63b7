//! Client and server together: what a program that calls sees.
//!
//! | file | what |
//! |---|---|
//! | `interop.rs` | the names and sizes of gRPC's interop list, over every transport |
//! | `breaking.rs` | connections that end in the middle of a call or an answer |
//! | `calls.rs` | typed calls and their answers |
//! | `pending.rs` | calls in flight, in their caller's hands |
//! | `deadlines.rs` | how long calls may take |
//! | `pool.rs` | pools of nodes |
//! | `pull.rs` | servers that are called where a worker is free |
//! | `balancing.rs` | which node of a pool gets a call |
//! | `distance.rs` | which of them is near |
//! | `around.rs` | interceptors, built-in services, raw bytes, evolution, options |
//! | `ends.rs` | how calls end for those who see every one, and clients with their threads |
//! | `streams/` | calls that stream |
//! | `desk.rs`, `calculator.rs` | the services |
//! | `support.rs` | servers, clients, and repliers by hand |
//! | `../support/` | of several tests: kept ports, waiting, chance |

mod around;
mod balancing;
mod breaking;
mod calculator;
mod calls;
mod deadlines;
mod desk;
#[path = "../support/dice.rs"]
mod dice;
mod distance;
mod ends;
mod interop;
mod pending;
mod pool;
mod pull;
mod streams;
mod support;
