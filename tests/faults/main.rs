//! Faults of the world around the fabric, over real processes, with a ledger that stands outside.
//!
//! The ledger knows what every call was told, and from each server's own notes what has run. In
//! all: each call ends once, by its deadline; what was answered has run, what is said not to have
//! run has not; nothing runs twice; each answer is its caller's own; the counts of both ends
//! balance. A run counts only if at least 1,000 calls a second were answered before the fault, and
//! the fault provably happened.
//!
//! | file | what happens |
//! |---|---|
//! | `repliers` | servers are killed, restarted, stopped |
//! | `callers` | callers are killed in a call, or stop reading |
//! | `streams` | callers are stopped in a stream, or read nothing of it |
//! | `device` | the device between is killed |
//! | `malformed` | bytes that make no sense |
//! | `forgers` | a replier answers what it was not asked |
//! | `weights` | weights and load reports make no sense |
//! | `handlers` | handlers panic |
//! | `upgrade` | versions are mixed, servers replaced one by one |
//!
//! One test runs at a time: they measure latencies. A bar on a measure that is missed is measured in
//! another round; all else fails at once. The program is at the same time the other
//! processes, which it starts with a role for a filter.

#[cfg(target_os = "linux")]
#[path = "../../patterns/tests/support/rounds.rs"]
mod rounds;
#[cfg(target_os = "linux")]
mod suite;

#[cfg(target_os = "linux")]
fn main() {
    suite::run();
}

/// The tests look at processes by way of `/proc`.
#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: faults are injected on Linux");
}
