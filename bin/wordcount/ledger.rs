//! Which task has been sent how often, and whether its answer has come. No I/O, no clock.
//!
//! ```text
//! sent --> open --answered--> done, once
//!          |  ^
//!   failed v  | sent again
//!         waiting
//! ```
//!
//! # Invariants
//!
//! 1. A task that has been sent is done, open, waiting, or in the hands of the one who took it
//!    from [`Ledger::again`]. (test `what_failed_is_given_out_again_and_counted_by_why`)
//! 2. A task is done once. (test `a_task_is_answered_once`)

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use brokerless::Ran;

use super::text::Task;

/// A task that is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// Its text.
    pub(super) bytes: u64,
    /// From the first sending to now.
    pub(super) round_trip: Duration,
}

#[derive(Debug)]
struct Open {
    task: Task,
    first: Instant,
    sendings: u32,
}

/// The tasks that have been sent and not yet answered, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: HashMap<u64, Open>,
    waiting: VecDeque<u64>,
    done: u64,
    may_have_run: u64,
    not_run: u64,
}

impl Ledger {
    /// A call for this task is being made; gives how often that has now been done.
    pub(super) fn sent(&mut self, task: &Task, now: Instant) -> u32 {
        let open = self.open.entry(task.id).or_insert_with(|| Open {
            task: task.clone(),
            first: now,
            sendings: 0,
        });
        open.sendings += 1;
        open.sendings
    }

    /// The answer has come; none if it has before, or nobody asked.
    pub(super) fn answered(&mut self, task: u64, now: Instant) -> Option<Done> {
        let open = self.open.remove(&task)?;
        self.done += 1;
        Some(Done {
            bytes: open.task.bytes,
            round_trip: now.saturating_duration_since(open.first),
        })
    }

    /// The call has failed, and the task waits to be sent again. False if it may not be: the
    /// worker has said no.
    pub(super) fn failed(&mut self, task: u64, ran: Ran) -> bool {
        let count = match ran {
            Ran::No => &mut self.not_run,
            // To count again what may have been counted does no harm.
            Ran::Maybe => &mut self.may_have_run,
            Ran::Yes => return false,
        };
        if self.open.contains_key(&task) {
            *count += 1;
            self.waiting.push_back(task);
        }
        true
    }

    /// A task to send again.
    pub(super) fn again(&mut self) -> Option<Task> {
        while let Some(task) = self.waiting.pop_front() {
            if let Some(open) = self.open.get(&task) {
                return Some(open.task.clone());
            }
        }
        None
    }

    /// Whether every task sent has its answer.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Tasks answered.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Calls that failed although they may have run.
    pub(super) fn may_have_run(&self) -> u64 {
        self.may_have_run
    }

    /// Calls that failed and had not run.
    pub(super) fn not_run(&self) -> u64 {
        self.not_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u64) -> Task {
        Task {
            id,
            bytes: 10,
            pieces: Vec::new(),
        }
    }

    fn with(tasks: u64, now: Instant) -> Ledger {
        let mut ledger = Ledger::default();
        for id in 0..tasks {
            assert_eq!(ledger.sent(&task(id), now), 1);
        }
        ledger
    }

    #[test]
    fn a_task_is_answered_once() {
        let now = Instant::now();
        let mut ledger = with(2, now);
        let done = Done {
            bytes: 10,
            round_trip: Duration::from_millis(3),
        };
        let later = now + Duration::from_millis(3);
        assert_eq!(ledger.answered(1, later).as_ref(), Some(&done));
        assert_eq!(ledger.answered(1, later), None);
        assert_eq!(ledger.answered(2, later), None);
        assert!(!ledger.is_settled());
        assert_eq!(ledger.answered(0, later), Some(done));
        assert!(ledger.is_settled());
        assert_eq!(ledger.done(), 2);
    }

    #[test]
    fn what_failed_is_given_out_again_and_counted_by_why() {
        let now = Instant::now();
        let mut ledger = with(4, now);
        assert!(ledger.failed(0, Ran::Maybe));
        assert!(ledger.failed(2, Ran::No));
        assert!(ledger.failed(3, Ran::Maybe));
        assert!(!ledger.failed(1, Ran::Yes), "the worker has said no");
        let again: Vec<u64> = std::iter::from_fn(|| ledger.again().map(|task| task.id)).collect();
        assert_eq!(again, [0, 2, 3]);
        assert_eq!((ledger.may_have_run(), ledger.not_run()), (2, 1));

        let later = now + Duration::from_secs(1);
        assert_eq!(ledger.sent(&task(0), later), 2);
        let done = ledger.answered(0, later).expect("it is open");
        assert_eq!(
            done.round_trip,
            Duration::from_secs(1),
            "from the first sending"
        );
        assert!(!ledger.is_settled());
    }
}
