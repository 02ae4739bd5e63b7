//! What truly happened: kept outside of the machines, and held against what they say.

use std::collections::BTreeSet;

use brokerless::machine::{CallId, Credit, Ran};

use crate::doses::MS;

/// The number of a call, over all callers.
pub(crate) type Key = u64;

/// What a caller was told of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A reply.
    Replied,
    /// An error that a node answered, with what it says of `ran()`.
    Failed(Ran),
    /// An end without an answer.
    Ended(&'static str, Ran),
}

impl Outcome {
    pub(crate) fn ran(self) -> Ran {
        match self {
            Outcome::Replied => Ran::Yes,
            Outcome::Failed(ran) | Outcome::Ended(_, ran) => ran,
        }
    }
}

/// The history of one call.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) caller: usize,
    pub(crate) deadline: u64,
    /// Until when the caller's process was stopped: an end may be that late.
    pub(crate) stopped_until: u64,
    pub(crate) must_succeed: bool,
    pub(crate) attempts: usize,
    /// Attempts that a node answered as not having run, or that were never handed over.
    pub(crate) denied: BTreeSet<CallId>,
    /// Copies of it that the network made.
    pub(crate) copies: u32,
    pub(crate) started: u32,
    pub(crate) finished: u32,
    pub(crate) outcome: Option<Outcome>,
    /// Its caller's process died: there is nobody to tell.
    pub(crate) died: bool,
}

/// Messages, to the message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    pub(crate) copied: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
}

/// The ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) records: Vec<Record>,
    pub(crate) traffic: Traffic,
    pub(crate) violations: Vec<String>,
    pub(crate) replied: u64,
}

impl Ledger {
    pub(crate) fn violated(&mut self, now: u64, what: impl Into<String>) {
        if self.violations.len() < 10 {
            let what = what.into();
            let at = now as f64 / MS as f64;
            self.violations.push(format!("at {at:.3} ms: {what}"));
        }
    }

    pub(crate) fn submitted(&mut self, caller: usize, deadline: u64, must_succeed: bool) -> Key {
        self.records.push(Record {
            caller,
            deadline,
            stopped_until: 0,
            must_succeed,
            attempts: 0,
            denied: BTreeSet::new(),
            copies: 0,
            started: 0,
            finished: 0,
            outcome: None,
            died: false,
        });
        (self.records.len() - 1) as Key
    }

    pub(crate) fn record(&mut self, key: Key) -> &mut Record {
        &mut self.records[key as usize]
    }

    /// A caller sends a call, once more perhaps.
    pub(crate) fn sent(&mut self, now: u64, key: Key) {
        let record = self.record(key);
        let fault = if record.attempts > record.denied.len() {
            Some("is sent again though its last attempt was not answered as not run")
        } else if record.outcome.is_some() {
            Some("is sent after it has ended")
        } else if record.died {
            Some("is sent by a caller that has died")
        } else {
            None
        };
        record.attempts += 1;
        if let Some(fault) = fault {
            self.violated(now, format!("call {key} {fault} (double runs)"));
        }
    }

    /// A handler begins.
    pub(crate) fn started(&mut self, now: u64, key: Key) {
        let record = self.record(key);
        record.started += 1;
        let (started, copies) = (record.started, record.copies);
        if started > 1 + copies {
            let what = format!("call {key} runs {started} times, copied {copies} times");
            self.violated(now, what);
        }
        let record = self.record(key);
        if record.copies == 0 && record.outcome.is_some_and(|it| it.ran() == Ran::No) {
            self.violated(
                now,
                format!("call {key} runs after it ended with ran() = No"),
            );
        }
    }

    /// A call ends, as its caller sees it.
    pub(crate) fn ended(&mut self, now: u64, key: Key, outcome: Outcome) {
        if outcome == Outcome::Replied {
            self.replied += 1;
        }
        let record = self.record(key);
        let late = record.deadline.max(record.stopped_until) + 50 * MS;
        let mut faults = Vec::new();
        if let Some(before) = record.outcome {
            faults.push(format!("ends twice: {before:?}, {outcome:?}"));
        }
        if record.died {
            faults.push("ends at a caller that has died".into());
        }
        if now > late {
            let by = (now - record.deadline) / MS;
            faults.push(format!("ends {by} ms after its deadline: {outcome:?}"));
        }
        match outcome.ran() {
            Ran::No if record.started > 0 && record.copies == 0 => {
                faults.push(format!("has run, and is said not to have: {outcome:?}"));
            }
            Ran::Yes if record.started == 0 => {
                faults.push(format!("has not run, and is said to have: {outcome:?}"));
            }
            Ran::Maybe if record.attempts == record.denied.len() => {
                faults.push(format!(
                    "may have run, it is said, but was nowhere: {outcome:?}"
                ));
            }
            _ => {}
        }
        if outcome == Outcome::Replied && record.finished == 0 {
            faults.push("is acknowledged, and was never finished".into());
        }
        if record.must_succeed && !matches!(outcome, Outcome::Replied | Outcome::Failed(Ran::Yes)) {
            faults.push(format!("has to be answered, and is not: {outcome:?}"));
        }
        record.outcome = Some(outcome);
        for fault in faults {
            self.violated(now, format!("call {key} {fault}"));
        }
    }

    /// A caller holds to its window, by what reached it of that.
    pub(crate) fn within(&mut self, now: u64, told: Credit, flight: Credit, bytes: u64) {
        if !told.admits(flight, bytes) {
            let what = format!("a call of {bytes} bytes beside {flight:?} in a window of {told:?}");
            self.violated(now, what);
        }
    }
}
