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

use super::methods::Method;
use super::pool::{Pool, PoolStats};
use super::serve::Shared;

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
    /// Calls that carry items to methods that take or send none, and the other way round.
    WrongForm,
    /// Calls that carry items, without a session or in one of version 1.
    NoStreams,
    /// Items and windows of streams that have ended, or take none.
    StreamOver,
    // What a caller must not do in a stream.
    OverWindow,
    Twice,
    AfterLast,
    OutOfOrder,
    ItemTooLarge,
    ItemMalformed,
}

const COUNTS: usize = Count::ItemMalformed as usize + 1;

/// Reasons for which a call is refused, with their names.
const REFUSALS: [(Count, &str); 10] = [
    (Count::UnknownMethod, "unknown-method"),
    (Count::Overrun, "over-credit"),
    (Count::QueueFull, "queue-full"),
    (Count::Expired, "deadline"),
    (Count::Cancelled, "cancelled"),
    (Count::Draining, "draining"),
    (Count::TooLarge, "too-large"),
    (Count::Malformed, "malformed"),
    (Count::WrongForm, "wrong-form"),
    (Count::NoStreams, "no-streams"),
];

/// Reasons for which a message comes to nothing, with their names.
const DROPS: [(Count, &str); 10] = [
    (Count::Duplicate, "duplicate-call"),
    (Count::Abandoned, "caller-gone"),
    (Count::NoEnvelope, "no-envelope"),
    (Count::Unexpected, "unexpected-kind"),
    (Count::UnknownKind, "unknown-kind"),
    (Count::Late, "peer-gone"),
    (Count::UnsentGone, "answer-caller-gone"),
    (Count::UnsentFull, "answer-no-room"),
    (Count::UnsentLost, "answer-no-room-untold"),
    (Count::StreamOver, "stream-over"),
];

/// What callers do in streams that they must not, with the names.
const VIOLATIONS: [(Count, &str); 6] = [
    (Count::OverWindow, "over-window"),
    (Count::Twice, "twice"),
    (Count::AfterLast, "after-last"),
    (Count::OutOfOrder, "out-of-order"),
    (Count::ItemTooLarge, "too-large"),
    (Count::ItemMalformed, "malformed"),
];

/// What is counted of streams while they run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    begun: AtomicU64,
    open: AtomicU64,
    items_in: AtomicU64,
    items_out: AtomicU64,
}

impl Tally {
    pub(super) fn opened(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn items_in(&self, items: u32) {
        self.items_in.fetch_add(items.into(), Ordering::Relaxed);
    }

    pub(super) fn items_out(&self, items: u32) {
        if items > 0 {
            self.items_out.fetch_add(items.into(), Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
pub(super) struct Counts {
    counts: [AtomicU64; COUNTS],
    pub(super) tally: Tally,
}

impl Counts {
    pub(super) fn new() -> Self {
        Counts {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            tally: Tally::default(),
        }
    }

    pub(super) fn add(&self, count: Count, number: u64) {
        if let Some(counter) = self.counts.get(count as usize) {
            counter.fetch_add(number, Ordering::Relaxed);
        }
    }

    pub(super) fn one(&self, count: Count) {
        self.add(count, 1);
    }

    pub(super) fn get(&self, count: Count) -> u64 {
        let counter = self.counts.get(count as usize);
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
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        stats.streams = StreamStats {
            begun: read(&self.tally.begun),
            open: read(&self.tally.open),
            items_in: read(&self.tally.items_in),
            items_out: read(&self.tally.items_out),
            violations: self.named(&VIOLATIONS),
        };
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
    /// Calls that carry items, which are calls as others, too.
    pub streams: StreamStats,
    /// Calls that wait or run.
    pub in_flight: u64,
    /// Callers that are connected and have said something.
    pub callers: usize,
    /// Answers, and what else callers are told, that wait for room since their callers do not read.
    pub owed: u64,
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

/// Counts of calls that carry items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// Those whose methods have begun.
    pub begun: u64,
    /// Of these, those that have not ended.
    pub open: u64,
    /// Items that came and were taken in.
    pub items_in: u64,
    /// Items that went out.
    pub items_out: u64,
    /// What callers did that they must not, by reason: each ended its stream.
    pub violations: BTreeMap<&'static str, u64>,
}

impl Shared {
    pub(super) fn stats(&self) -> ServerStats {
        let mut stats = self.counted();
        let groups = self.groups.iter();
        stats.sockets = groups.map(|group| group.router.stats()).collect();
        stats
    }

    /// The same without the sockets, which have something to say of every peer.
    pub(super) fn counted(&self) -> ServerStats {
        let mut stats = ServerStats::default();
        self.counts.fill(&mut stats);
        stats.in_flight = self.in_flight.calls();
        stats.callers = self.sessions.len();
        let sessions = self.sessions.all();
        let owing = sessions.iter().filter(|session| session.has_owed());
        stats.owed = owing.map(|session| session.lock().owed.len()).sum();
        let default = self.groups.iter().map(|group| &group.pool);
        stats.pools = default.chain(&self.named).map(Pool::stats).collect();
        let method = |method: &Method| MethodStats {
            path: method.info.path,
            calls: method.calls.load(Ordering::Relaxed),
            failed: method.failed.load(Ordering::Relaxed),
            duration: method.learned.mean(),
        };
        stats.methods = self.methods.iter().map(method).collect();
        stats
    }
}
