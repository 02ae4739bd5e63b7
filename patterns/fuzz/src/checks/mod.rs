//! What is checked of one input, by the fuzzer and by the replay of the corpora alike.
//!
//! | check | input | compared with |
//! |---|---|---|
//! | `greeting` | settings, pieces, bytes | the same bytes in one piece; a plain reading of them |
//! | `frames` | settings, pieces, bytes | a parser that sees the whole stream at once |
//! | `command` | a cap, bytes | what the encoders make of what was read |
//! | `endpoint` | text | what its own display parses to |
//! | `session` | operations | what was sent, in order; the parser of `frames` once bytes were tampered with |
//!
//! A check panics if the code under test is wrong, and for nothing else.
//!
//! # Invariants
//!
//! 1. The result depends on the input alone. (`the_result_depends_on_the_input_alone`)
//! 2. Only what the code under test allocates is counted, and it is held to the limits in force: see `alloc`, and
//!    `bytes_allowed` in each check. (`memory_over_the_limit_is_noticed`)

pub(crate) mod alloc;
mod command;
mod endpoint;
pub(crate) mod frames;
pub(crate) mod greeting;
mod input;
mod line;
mod reference;
pub(crate) mod session;

pub(crate) use input::Pieces;

/// One of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Greeting,
    Frames,
    Command,
    Endpoint,
    Session,
}

/// What a check has seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The most bytes that the code under test held at once.
    pub(crate) peak_bytes: usize,
    /// The names of the violations, or the message of the error, in order.
    pub(crate) refused: Vec<String>,
    /// Messages that came through, or what else was read.
    pub(crate) taken: usize,
}

impl Seen {
    /// Ends the count of memory, which is to be within `allowed_bytes`.
    pub(crate) fn measured(mut self, allowed_bytes: usize) -> Self {
        self.peak_bytes = alloc::peak_bytes();
        assert!(
            self.peak_bytes <= allowed_bytes,
            "{} bytes were allocated where the limits allow {allowed_bytes}",
            self.peak_bytes
        );
        self
    }
}

/// Checks one input.
pub(crate) fn check(target: Target, data: &[u8]) -> Seen {
    match target {
        Target::Greeting => greeting::check(data),
        Target::Frames => frames::check(data),
        Target::Command => command::check(data),
        Target::Endpoint => endpoint::check(data),
        Target::Session => session::check(data),
    }
}
