//! The simulator's kernel: calls, callers and servers under a virtual clock, from a seed.
//!
//! ```text
//! Source ── call ──► Caller: Brain ── delay ──► Server: queue, running ── delay ──► Caller, Log
//!                      ▲ report, how long it took                              │
//!                      └───────────────────────────────────────────────────────┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `world` | the clock, the events in their order, and the way of a call |
//! | `setup` | what a world is made of: sources, delays, callers |
//! | `server` | queues, speeds, load reports |
//! | `brain` | who picks: a production policy, or one that knows more than it could |
//! | `latencies` | quantiles |
//! | `cells` | independent runs, side by side |
//! | `checks` | the kernel itself, beside queues whose figures are exact |
//!
//! # Invariants
//!
//! 1. The same seed comes to the same end. (held by the second run of `main.rs`, over
//!    every table)
//! 2. What happens at the same time happens in the order in which it was planned. (held by the
//!    order of `Planned`)

mod brain;
mod cells;
mod checks;
mod latencies;
mod server;
mod setup;
mod world;

pub(crate) use brain::{Brain, Known, Production, View};
pub(crate) use cells::side_by_side;
pub(crate) use checks::check;
pub(crate) use latencies::Latencies;
pub(crate) use server::{Order, Server};
pub(crate) use setup::{Arrivals, Cost, Ended, Log, Replicas, Source};
pub(crate) use world::World;

/// A second.
pub(crate) const S: u64 = 1_000_000_000;
/// A millisecond.
pub(crate) const MS: u64 = 1_000_000;
