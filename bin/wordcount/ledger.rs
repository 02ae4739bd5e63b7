//! Which task is where, and whether its answer has come. No I/O, no clock.
//!
//! ```text
//! sent(worker) --> open at worker --answered--> done, once
//!                    |       ^
//!   lost / overdue   v       | sent again
//!                  waiting --+
//! ```
//!
//! # Invariants
//!
//! 1. Of all answers to a task exactly the first counts. (test
//!    `only_the_first_answer_to_a_task_counts`)
//! 2. A task that has been sent is done, open at a worker, waiting, or in the hands of the one
//!    who took it from [`Ledger::again`]. (test `what_a_lost_worker_had_is_given_out_again`)

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::text::Task;

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The first one to this task.
    First {
        /// Text of the task.
        bytes: u64,
        /// From the first sending to now.
        round_trip: Duration,
    },
    /// The task had been given out again, and another was faster.
    Twice,
    /// Nobody asked.
    Unasked,
}

#[derive(Debug)]
struct Open {
    task: Task,
    /// Where it is; none while it waits to be sent again.
    worker: Option<usize>,
    first: Instant,
    last: Instant,
    sendings: u32,
}

/// The tasks that have been sent and not yet answered.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: HashMap<u64, Open>,
    waiting: VecDeque<u64>,
    /// Tasks sent so far have numbers below this.
    next: u64,
    done: u64,
    twice: u64,
    again: u64,
}

impl Ledger {
    /// A task has gone to a worker; gives the number of times that this one has now been sent.
    pub(super) fn sent(&mut self, task: &Task, worker: usize, now: Instant) -> u32 {
        self.next = self.next.max(task.id + 1);
        let open = self.open.entry(task.id).or_insert_with(|| Open {
            task: task.clone(),
            worker: None,
            first: now,
            last: now,
            sendings: 0,
        });
        open.worker = Some(worker);
        open.last = now;
        open.sendings += 1;
        self.again += u64::from(open.sendings > 1);
        open.sendings
    }

    /// An answer has come.
    pub(super) fn answered(&mut self, task: u64, now: Instant) -> Answer {
        match self.open.remove(&task) {
            Some(open) => {
                self.done += 1;
                Answer::First {
                    bytes: open.task.bytes,
                    round_trip: now.saturating_duration_since(open.first),
                }
            }
            None if task < self.next => {
                self.twice += 1;
                Answer::Twice
            }
            None => Answer::Unasked,
        }
    }

    /// A worker has gone: what it had waits to be sent again. Gives how many tasks that is.
    pub(super) fn lost(&mut self, worker: usize) -> usize {
        let mut tasks: Vec<u64> = self.at(worker).collect();
        tasks.sort_unstable();
        for task in &tasks {
            if let Some(open) = self.open.get_mut(task) {
                open.worker = None;
            }
        }
        self.waiting.extend(&tasks);
        tasks.len()
    }

    /// The workers that have a task for longer than `most`.
    pub(super) fn overdue(&self, now: Instant, most: Duration) -> Vec<usize> {
        let late = |open: &&Open| now.saturating_duration_since(open.last) > most;
        let mut workers: Vec<usize> = self
            .open
            .values()
            .filter(late)
            .filter_map(|open| open.worker)
            .collect();
        workers.sort_unstable();
        workers.dedup();
        workers
    }

    /// A task to send again.
    pub(super) fn again(&mut self) -> Option<Task> {
        while let Some(task) = self.waiting.pop_front() {
            // It may have been answered after all.
            if let Some(open) = self.open.get(&task) {
                return Some(open.task.clone());
            }
        }
        None
    }

    /// Whether an answer has come, so that the task need not be sent again.
    pub(super) fn is_done(&self, task: u64) -> bool {
        task < self.next && !self.open.contains_key(&task)
    }

    /// Tasks that this worker has.
    pub(super) fn outstanding(&self, worker: usize) -> usize {
        self.at(worker).count()
    }

    fn at(&self, worker: usize) -> impl Iterator<Item = u64> {
        let open = self.open.values();
        open.filter(move |open| open.worker == Some(worker))
            .map(|open| open.task.id)
    }

    /// Whether every task sent has its answer.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Tasks answered.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Answers that came a second time.
    pub(super) fn twice(&self) -> u64 {
        self.twice
    }

    /// Sendings beyond the first of a task.
    pub(super) fn sent_again(&self) -> u64 {
        self.again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u64) -> Task {
        Task {
            id,
            bytes: 10,
            message: "text".into(),
        }
    }

    fn with(workers: &[usize], now: Instant) -> Ledger {
        let mut ledger = Ledger::default();
        for (id, &worker) in workers.iter().enumerate() {
            assert_eq!(ledger.sent(&task(id as u64), worker, now), 1);
        }
        ledger
    }

    #[test]
    fn only_the_first_answer_to_a_task_counts() {
        let now = Instant::now();
        let mut ledger = with(&[0, 1], now);
        let later = now + Duration::from_millis(3);
        let first = Answer::First {
            bytes: 10,
            round_trip: Duration::from_millis(3),
        };
        assert_eq!(ledger.answered(1, later), first);
        assert_eq!(ledger.answered(1, later), Answer::Twice);
        assert_eq!(ledger.answered(2, later), Answer::Unasked);
        assert!(!ledger.is_settled());
        assert_eq!(ledger.answered(0, later), first);
        assert!(ledger.is_settled() && ledger.is_done(0) && !ledger.is_done(2));
        assert_eq!((ledger.done(), ledger.twice()), (2, 1));
    }

    #[test]
    fn what_a_lost_worker_had_is_given_out_again() {
        let now = Instant::now();
        let mut ledger = with(&[0, 1, 0, 0], now);
        assert_eq!(ledger.outstanding(0), 3);
        assert_eq!(ledger.lost(0), 3);
        assert_eq!(ledger.lost(0), 0, "only once");
        assert_eq!(ledger.outstanding(0), 0);

        // One of them was answered before the worker went, and is not sent again.
        assert!(matches!(ledger.answered(2, now), Answer::First { .. }));
        let again: Vec<u64> = std::iter::from_fn(|| ledger.again().map(|task| task.id)).collect();
        assert_eq!(again, [0, 3]);

        let later = now + Duration::from_secs(1);
        assert_eq!(ledger.sent(&task(0), 1, later), 2);
        let Answer::First { round_trip, .. } = ledger.answered(0, later) else {
            panic!("the first answer");
        };
        assert_eq!(round_trip, Duration::from_secs(1), "from the first sending");
        assert_eq!(ledger.sent_again(), 1);
    }

    #[test]
    fn a_task_is_overdue_from_its_last_sending() {
        let now = Instant::now();
        let most = Duration::from_secs(1);
        let mut ledger = with(&[4, 5], now);
        assert!(ledger.overdue(now + most, most).is_empty());
        ledger.sent(&task(0), 4, now + most);
        assert_eq!(ledger.overdue(now + most * 2, most), [5]);
    }
}
