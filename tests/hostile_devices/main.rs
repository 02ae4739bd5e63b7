//! Hostile peers at the device programs, at either side, with a good client beside them.
//!
//! The oracle in all: the good client is served throughout, its worst round takes 100 ms (without
//! what a watch over the machine saw it stall), the device counts each closed peer under its
//! reason, keeps its memory within what the test states, and ends in order when it is told to. A bar on a
//! measure that is missed is measured in another round; all else fails at once.
//!
//! | file | the peers in it |
//! |---|---|
//! | `malformed` | break the protocol, each in another way, or leave in the middle |
//! | `giants` | announce more than they may, or send byte by byte |
//! | `flood` | come in numbers, or say nothing |
//! | `pings` | ask for answers all the time |
//! | `unread` | stop reading |
//! | `queue` | claim another's name, or forge replies |
//! | `receivers` | subscribe to too much, or send where they may only receive |
//! | `corpora` | say what the fuzzer has found |
//!
//! The peers, the good client's clock and the watch are those of the suite that does the same to a
//! ROUTER, in `patterns/tests/hostile/`.

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
    eprintln!("skipped: hostile peers are tested on Linux");
}
