//! What truly happened: kept outside of the machines, and held against what they say.

use std::collections::BTreeSet;

use brokerless::machine::{CallId, Credit, Ran};

use crate::doses::MS;
use crate::streams::Form;

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
    /// It takes no worker.
    pub(crate) beside: bool,
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
    pub(crate) stream: Option<Stream>,
}

/// The history of a call's items.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) form: Form,
    /// Items that the replier sent, and that the caller's program took.
    pub(crate) sent_out: u64,
    pub(crate) taken_out: u64,
    /// Items that the caller sent, and that the handler took.
    pub(crate) sent_in: u64,
    pub(crate) taken_in: u64,
    /// Either taker wanted no more.
    pub(crate) stopped: bool,
    /// How often the caller's program saw it end.
    pub(crate) ends: u32,
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
    pub(crate) streams: u64,
    pub(crate) items: u64,
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
            beside: false,
            attempts: 0,
            denied: BTreeSet::new(),
            copies: 0,
            started: 0,
            finished: 0,
            outcome: None,
            died: false,
            stream: None,
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

    pub(crate) fn stream(&mut self, key: Key) -> Option<&mut Stream> {
        self.record(key).stream.as_mut()
    }

    /// The items of a call end, as its caller's program sees it; with an answer, or without.
    pub(crate) fn stream_ended(&mut self, now: u64, key: Key, outcome: Option<Outcome>) {
        let Some(stream) = self.stream(key) else {
            return;
        };
        stream.ends += 1;
        let stream = *stream;
        self.streams += 1;
        self.items += stream.taken_in + stream.taken_out;
        let mut faults = Vec::new();
        if stream.ends > 1 {
            faults.push("ends twice");
        }
        // With an answer all that was sent before it has been taken.
        let answered = matches!(outcome, Some(Outcome::Replied | Outcome::Failed(Ran::Yes)));
        if answered && !stream.stopped && stream.taken_out != stream.sent_out {
            faults.push("ends with an answer before all its items are taken");
        }
        let replied = outcome == Some(Outcome::Replied);
        if replied && !stream.stopped && stream.taken_in != stream.sent_in {
            faults.push("is answered before all of its caller's items are taken");
        }
        for fault in faults {
            self.violated(now, format!("the stream of call {key} {fault}: {stream:?}"));
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
