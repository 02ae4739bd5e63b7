//! What a server has done, and what it does now.
//!
//! # Invariants
//!
//! 1. The books balance at rest: every call that came in is answered, failed, refused or dropped.
//!    (test `the_books_balance_after_calls_of_every_kind`)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brokerless_patterns::SocketStats;

use super::pool::PoolStats;

/// What is counted, beside what pools, sockets and methods count themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Calls that came in.
    Calls,
    /// Calls answered with a value.
    Answered,
    /// Calls whose handler gave an error, or whose arguments did not fit.
    Failed,
    /// Of these, those whose handler panicked.
    Panicked,
    UnknownMethod,
    Overrun,
    QueueFull,
    Expired,
    Cancelled,
    Draining,
    TooLarge,
    Malformed,
    /// Calls under a number that is in use.
    Duplicate,
    /// Calls whose caller went before they were answered.
    Abandoned,
    /// Messages that are no envelope, and name no call to be answered.
    NoEnvelope,
    /// Envelopes that only repliers send.
    Unexpected,
    /// Envelopes of a kind that is not known.
    UnknownKind,
    /// Hellos that were not welcome.
    HelloRefused,
    /// Cancellations.
    Cancels,
    /// Messages of peers that had gone when it was their turn.
    Late,
    /// Answers whose caller had gone.
    UnsentGone,
    /// Answers that found no room, of which the caller was told instead.
    UnsentFull,
    /// Those of which it could not be told, either.
    UnsentLost,
}

const COUNTS: usize = Count::UnsentLost as usize + 1;

/// Reasons for which a call is refused, with their names.
const REFUSALS: [(Count, &str); 8] = [
    (Count::UnknownMethod, "unknown-method"),
    (Count::Overrun, "over-credit"),
    (Count::QueueFull, "queue-full"),
    (Count::Expired, "deadline"),
    (Count::Cancelled, "cancelled"),
    (Count::Draining, "draining"),
    (Count::TooLarge, "too-large"),
    (Count::Malformed, "malformed"),
];

/// Reasons for which a message comes to nothing, with their names.
const DROPS: [(Count, &str); 9] = [
    (Count::Duplicate, "duplicate-call"),
    (Count::Abandoned, "caller-gone"),
    (Count::NoEnvelope, "no-envelope"),
    (Count::Unexpected, "unexpected-kind"),
    (Count::UnknownKind, "unknown-kind"),
    (Count::Late, "peer-gone"),
    (Count::UnsentGone, "answer-caller-gone"),
    (Count::UnsentFull, "answer-no-room"),
    (Count::UnsentLost, "answer-no-room-untold"),
];

#[derive(Debug)]
pub(super) struct Counts([AtomicU64; COUNTS]);

impl Counts {
    pub(super) fn new() -> Self {
        Counts(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    pub(super) fn add(&self, count: Count, number: u64) {
        if let Some(counter) = self.0.get(count as usize) {
            counter.fetch_add(number, Ordering::Relaxed);
        }
    }

    pub(super) fn one(&self, count: Count) {
        self.add(count, 1);
    }

    pub(super) fn get(&self, count: Count) -> u64 {
        let counter = self.0.get(count as usize);
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn named(&self, names: &[(Count, &'static str)]) -> BTreeMap<&'static str, u64> {
        let counted = names.iter().map(|(count, name)| (*name, self.get(*count)));
        counted.filter(|(_, number)| *number > 0).collect()
    }

    /// What is counted here, into a snapshot.
    pub(super) fn fill(&self, stats: &mut ServerStats) {
        stats.calls = self.get(Count::Calls);
        stats.answered = self.get(Count::Answered);
        stats.failed = self.get(Count::Failed);
        stats.panicked = self.get(Count::Panicked);
        stats.refused = self.named(&REFUSALS);
        stats.dropped = self.named(&DROPS);
        stats.hellos_refused = self.get(Count::HelloRefused);
        stats.cancels = self.get(Count::Cancels);
    }
}

/// Counts of a server since it was made, and its state now.
///
/// At rest, `calls` is the sum of `answered`, `failed`, what `refused` holds, and what `dropped`
/// holds under `duplicate-call` and `caller-gone`; else calls in flight are missing from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Calls that came in.
    pub calls: u64,
    /// Calls answered with a value.
    pub answered: u64,
    /// Calls answered with an error of the handler or interceptor, or since arguments did not fit.
    pub failed: u64,
    /// Of these, those whose handler panicked.
    pub panicked: u64,
    /// Calls refused before they ran, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Messages that came to nothing, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Sessions refused.
    pub hellos_refused: u64,
    /// Cancellations that came in.
    pub cancels: u64,
    /// Calls that wait or run.
    pub in_flight: u64,
    /// Callers that are connected and have said something.
    pub callers: usize,
    /// The pools: the default one of each engine, then the named ones.
    pub pools: Vec<PoolStats>,
    /// The methods, in the order of their services.
    pub methods: Vec<MethodStats>,
    /// The sockets, one an engine.
    pub sockets: Vec<SocketStats>,
}

/// Counts of one method.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodStats {
    /// Its path: `calc.v1.add`.
    pub path: &'static str,
    /// Calls that it has begun.
    pub calls: u64,
    /// Of these, those that ended with an error.
    pub failed: u64,
    /// How long the handler takes, averaged over the last few calls; zero before the first.
    pub duration: Duration,
}
