//! What a message, a pick, a call and an item cost in an optimised build: copies, allocations, system
//! calls, instructions, and nanoseconds of picks.
//!
//! | file | what |
//! |---|---|
//! | `messages` | what a message costs, and an idle socket |
//! | `calls` | what a call and an item cost, both sides together, and by a proxy |
//! | `picks` | processor time a pick, and how picks of many threads add up |
//! | `instructions/` | instructions a message, a pick and a call |
//! | `counted` | the counters of this process |
//! | `at_work` | every policy, with a pool in the middle of its work |
//!
//! # Invariants
//!
//! 1. One test runs at a time: the counters are the process's. (held by [`alone`])
//!
//! # Not here
//!
//! That envelopes allocate nothing (`tests/wire/envelopes.rs`).

#![cfg(test)]
#![allow(clippy::print_stdout, reason = "the figures are to be read")]

mod at_work;
mod calls;
mod counted;
mod instructions;
mod messages;
mod picks;
#[path = "../../../patterns/tests/support/rounds.rs"]
mod rounds;

use parking_lot::{Mutex, MutexGuard};

/// Held by the test that measures.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock()
}
