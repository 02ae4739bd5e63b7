//! What became of each call, and whether what it was told is true.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use brokerless::client::{Client, ClientStats};
use brokerless::{Code, Ran};

use super::work::{Notes, Stamp};
use super::{bar, canary, ms};

/// Calls a second that have to be answered before a fault. Without optimisation, on one core that
/// others want, too, it is a few hundred at times.
const GOODPUT: f64 = if cfg!(debug_assertions) { 50.0 } else { 1000.0 };
/// What a call may take beyond its deadline. Without optimisation, on cores that others want, too,
/// a thread may be that late.
const GRACE: Duration = if cfg!(debug_assertions) {
    ms(2000)
} else {
    ms(50)
};
/// The p99 that is always good enough.
const P99: Duration = if cfg!(debug_assertions) {
    ms(500)
} else {
    ms(20)
};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Answered(Stamp),
    Failed(Code, Ran),
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) stamp: Stamp,
    pub(crate) began: Instant,
    pub(crate) deadline: Instant,
    pub(crate) ended: Instant,
    pub(crate) end: End,
}

impl Record {
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.end, End::Answered(_))
    }

    pub(crate) fn ran(&self) -> Option<Ran> {
        match self.end {
            End::Answered(_) => None,
            End::Failed(_, ran) => Some(ran),
        }
    }

    /// How long it took, without the machine's own stalls.
    pub(crate) fn took(&self) -> Duration {
        canary::net(self.began, self.ended)
    }
}

/// From when to when the others were alone, and beside a bad neighbour.
pub(crate) struct Round {
    pub(crate) alone: (Instant, Instant),
    pub(crate) beside: (Instant, Instant),
}

/// The calls of one client.
pub(crate) struct Ledger {
    pub(crate) records: Vec<Record>,
}

impl Ledger {
    /// Calls that were not answered.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| !record.is_answered())
    }

    pub(crate) fn count(&self, ran: Ran) -> usize {
        self.failures()
            .filter(|record| record.ran() == Some(ran))
            .count()
    }

    /// Those that began from `from` until `to`.
    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Record> {
        let within = move |record: &&Record| record.began >= from && record.began < to;
        self.records.iter().filter(within)
    }

    /// Calls answered in a second that began in this time.
    pub(crate) fn goodput(&self, from: Instant, to: Instant) -> f64 {
        let answered = self.between(from, to).filter(|record| record.is_answered());
        answered.count() as f64 / canary::net(from, to).as_secs_f64()
    }

    /// The share of calls that were answered.
    pub(crate) fn success(&self, from: Instant, to: Instant) -> f64 {
        let all = self.between(from, to).count();
        let answered = self.between(from, to).filter(|record| record.is_answered());
        answered.count() as f64 / all.max(1) as f64
    }

    pub(crate) fn p99(&self, from: Instant, to: Instant) -> Duration {
        let mut took: Vec<Duration> = self.between(from, to).map(Record::took).collect();
        took.sort_unstable();
        let index = took.len() * 99 / 100;
        took.get(index).copied().unwrap_or_default()
    }

    /// A run counts only if enough was answered before the fault.
    pub(crate) fn hold_busy(&self, from: Instant, to: Instant) {
        let goodput = self.goodput(from, to);
        bar(goodput >= GOODPUT, || {
            format!(
                "only {goodput:.0} calls a second were answered before the fault: nothing is proved"
            )
        });
    }

    /// No call failed.
    #[track_caller]
    pub(crate) fn assert_all_answered(&self) {
        let late = End::Failed(Code::DeadlineExceeded, Ran::Maybe);
        let is_late = |record: &&Record| record.end == late;
        let failed = self.failures().find(|record| !is_late(record));
        assert!(failed.is_none(), "{failed:?}");
        let late = self.failures().find(is_late);
        bar(late.is_none(), || format!("{late:?}"));
    }

    /// In one of these rounds at least, so much of the goodput alone was reached beside a neighbour:
    /// what else runs on the machine comes and goes, a neighbour would be felt in every round.
    pub(crate) fn hold_not_crowded(&self, rounds: &[Round], least: f64) {
        let share = |round: &Round| {
            let (alone, beside) = (round.alone, round.beside);
            self.goodput(beside.0, beside.1) / self.goodput(alone.0, alone.1)
        };
        let shares: Vec<f64> = rounds.iter().map(share).collect();
        bar(shares.iter().any(|share| *share >= least), || {
            format!("goodput beside it is {shares:?} of that without")
        });
    }

    /// After a fault has healed: as many calls are answered as before, and about as fast.
    pub(crate) fn hold_healed(&self, before: (Instant, Instant), after: (Instant, Instant)) {
        let (was, is) = (
            self.success(before.0, before.1),
            self.success(after.0, after.1),
        );
        bar(is >= 0.99 * was, || {
            format!("{is} of the calls are answered, not {was}")
        });
        let goodput = self.goodput(after.0, after.1);
        bar(goodput >= GOODPUT / 10.0, || {
            format!("{goodput} calls a second")
        });
        let (was, is) = (self.p99(before.0, before.1), self.p99(after.0, after.1));
        bar(is <= P99.max(was * 2), || {
            format!("p99 is {is:?}, and was {was:?}")
        });
    }

    /// Every call ended once, in time, with the truth; nothing ran twice; each answer is its
    /// caller's own.
    #[track_caller]
    pub(crate) fn assert_true(&self, notes: &[&Notes]) {
        let mut ran: HashMap<Stamp, u32> = HashMap::new();
        for (stamp, count) in notes.iter().flat_map(|notes| notes.ran()) {
            *ran.entry(stamp).or_default() += count;
        }
        let mut seen = HashMap::with_capacity(self.records.len());
        for record in &self.records {
            assert!(
                seen.insert(record.stamp, ()).is_none(),
                "ended twice: {record:?}"
            );
            if record.ended > record.deadline + GRACE {
                let late = canary::net(record.deadline, record.ended);
                bar(late <= GRACE, || {
                    format!("{late:?} after its deadline: {record:?}")
                });
            }
            let runs = ran.get(&record.stamp).copied().unwrap_or(0);
            let is_true = match record.end {
                End::Answered(stamp) => {
                    assert_eq!(stamp, record.stamp, "somebody else's answer");
                    runs == 1
                }
                End::Failed(_, Ran::No) => runs == 0,
                End::Failed(_, Ran::Yes) => runs == 1,
                End::Failed(_, _) => runs <= 1,
            };
            assert!(is_true, "it ran {runs} times: {record:?}");
        }
    }

    /// What the client counted is what the ledger has, to the call.
    #[track_caller]
    pub(crate) fn assert_counted(&self, client: &Client) -> ClientStats {
        let stats = client.stats();
        let calls = stats.calls;
        let ends = calls.replied
            + calls.failed
            + calls.expired
            + calls.cancelled
            + calls.unavailable
            + calls.queue_full
            + calls.lost
            + calls.closed;
        let held = calls.held as u64 - calls.given_up as u64;
        assert_eq!(calls.submitted, ends + held, "{calls:?}");
        assert_eq!(calls.submitted, self.records.len() as u64, "{calls:?}");
        let answered = self.records.iter().filter(|record| record.is_answered());
        assert_eq!(calls.replied, answered.count() as u64, "{calls:?}");
        assert_eq!((held, calls.waiting), (0, 0), "{calls:?}");
        stats
    }
}
