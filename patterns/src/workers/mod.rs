//! Workers of a queue: who is alive, who is ready, and what each has in hand.
//!
//! ```text
//!            ready()                take(job)
//! unknown -----------> ready  --------------------> busy
//!                        ^    least recently used     |
//!                        +------ ready() <--- known <-+ finish() -> job
//!
//! lost(), expire(): from anywhere to unknown, with the job in hand given back
//! ```
//!
//! To be ready is said once for each job: a sign of life is another thing, so a busy worker that
//! is alive is not given more. Times are given, as what has passed since a moment of the program's
//! own choice.
//!
//! ```
//! use std::time::Duration;
//! use brokerless_patterns::workers::Workers;
//!
//! let ms = Duration::from_millis;
//! let mut workers = Workers::new(100, ms(300)); // 100 at most; dead after 300 ms of silence
//! workers.ready(1, "north", ms(0))?;
//! workers.ready(2, "south", ms(10))?;
//! assert_eq!(workers.take("task"), Ok(&"north")); // waits for the longest time
//!
//! workers.heard(2, ms(200));
//! let dead = workers.expire(ms(350));
//! assert_eq!((dead[0].worker, dead[0].job), ("north", Some("task"))); // to be handed on
//! # Ok::<(), brokerless_patterns::workers::ReadyError>(())
//! ```
//!
//! # Invariants
//!
//! 1. A job that was taken is given back exactly once: by `finish`, `lost` or `expire`. (proptest
//!    `jobs_are_never_lost_and_go_to_whoever_waited_longest`)
//! 2. A worker has at most one job, and is not ready while it has it. (same test)
//! 3. Everyone silent for too long expires, whoever else is alive. (test
//!    `the_silent_expire_busy_ones_too_past_those_who_live`)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A worker was not taken for ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadyError {
    /// There are as many as may be.
    Full {
        /// The limit.
        workers_max: usize,
    },
    /// It has a job in hand: that has to be finished, or the worker lost, first.
    Busy,
}

impl fmt::Display for ReadyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadyError::Full { workers_max } => {
                write!(f, "there are {workers_max} workers, as many as may be")
            }
            ReadyError::Busy => f.write_str("the worker has a job in hand; finish that first"),
        }
    }
}

impl std::error::Error for ReadyError {}

/// A worker that is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gone<W, J> {
    /// Its number.
    pub id: u64,
    /// What it was known as.
    pub worker: W,
    /// What it had in hand.
    pub job: Option<J>,
}

#[derive(Debug)]
enum State<J> {
    /// Waits for a job, since this turn.
    Ready(u64),
    Busy(J),
    /// Has finished one, and not asked for another.
    Known,
}

#[derive(Debug)]
struct Worker<W, J> {
    worker: W,
    state: State<J>,
    heard: Duration,
}

/// The workers of a queue, by numbers of the program's choice: those of their connections.
#[derive(Debug)]
pub struct Workers<W, J> {
    known: BTreeMap<u64, Worker<W, J>>,
    /// Those who wait for a job, the longest first.
    ready: BTreeMap<u64, u64>,
    /// Everyone, the longest silent first.
    heard: BTreeSet<(Duration, u64)>,
    turn: u64,
    workers_max: usize,
    silence_max: Duration,
}

impl<W, J> Workers<W, J> {
    /// None yet; at most `workers_max`, each dead after `silence_max` without a sign of life.
    pub fn new(workers_max: usize, silence_max: Duration) -> Self {
        Workers {
            known: BTreeMap::new(),
            ready: BTreeMap::new(),
            heard: BTreeSet::new(),
            turn: 0,
            workers_max,
            silence_max,
        }
    }

    /// A worker asks for a job. One that waits already keeps its place.
    ///
    /// # Errors
    ///
    /// If it has a job in hand, or there are as many workers as may be. Nothing has changed then,
    /// except that a known one has been heard.
    pub fn ready(&mut self, id: u64, worker: W, now: Duration) -> Result<(), ReadyError> {
        if self.heard(id, now) {
            let turn = self.turn + 1;
            let Some(known) = self.known.get_mut(&id) else {
                return Ok(());
            };
            match known.state {
                State::Busy(_) => return Err(ReadyError::Busy),
                State::Ready(_) => {}
                State::Known => {
                    known.state = State::Ready(turn);
                    self.turn = turn;
                    self.ready.insert(turn, id);
                }
            }
            known.worker = worker;
            return Ok(());
        }
        if self.known.len() >= self.workers_max {
            let workers_max = self.workers_max;
            return Err(ReadyError::Full { workers_max });
        }
        self.turn += 1;
        let state = State::Ready(self.turn);
        self.ready.insert(self.turn, id);
        self.heard.insert((now, id));
        let heard = now;
        self.known.insert(
            id,
            Worker {
                worker,
                state,
                heard,
            },
        );
        Ok(())
    }

    /// A sign of life, which asks for nothing. False if the worker is not known: it should be told
    /// to say that it is ready.
    pub fn heard(&mut self, id: u64, now: Duration) -> bool {
        let Some(worker) = self.known.get_mut(&id) else {
            return false;
        };
        self.heard.remove(&(worker.heard, id));
        worker.heard = worker.heard.max(now);
        self.heard.insert((worker.heard, id));
        true
    }

    /// Gives a job to the worker that has waited longest, and says which that is.
    ///
    /// # Errors
    ///
    /// If nobody is ready. The job comes back.
    pub fn take(&mut self, job: J) -> Result<&W, J> {
        let Some((_, id)) = self.ready.pop_first() else {
            return Err(job);
        };
        match self.known.get_mut(&id) {
            Some(worker) => {
                worker.state = State::Busy(job);
                Ok(&worker.worker)
            }
            None => Err(job),
        }
    }

    /// What a worker has in hand.
    pub fn job(&self, id: u64) -> Option<&J> {
        match &self.known.get(&id)?.state {
            State::Busy(job) => Some(job),
            State::Ready(_) | State::Known => None,
        }
    }

    /// A worker has done its job, which is given back. It is not ready until it says so. Nothing if it
    /// had none: what it sent was asked for by nobody, or comes too late.
    pub fn finish(&mut self, id: u64) -> Option<J> {
        let worker = self.known.get_mut(&id)?;
        match std::mem::replace(&mut worker.state, State::Known) {
            State::Busy(job) => Some(job),
            other => {
                worker.state = other;
                None
            }
        }
    }

    /// A worker has gone.
    pub fn lost(&mut self, id: u64) -> Option<Gone<W, J>> {
        let gone = self.known.remove(&id)?;
        self.heard.remove(&(gone.heard, id));
        let job = match gone.state {
            State::Ready(turn) => {
                self.ready.remove(&turn);
                None
            }
            State::Busy(job) => Some(job),
            State::Known => None,
        };
        let worker = gone.worker;
        Some(Gone { id, worker, job })
    }

    /// Takes out everyone who has been silent for too long, ready, busy or neither.
    pub fn expire(&mut self, now: Duration) -> Vec<Gone<W, J>> {
        let mut gone = Vec::new();
        while self.next_expiry().is_some_and(|at| at <= now) {
            let Some((_, id)) = self.heard.pop_first() else {
                break;
            };
            gone.extend(self.lost(id));
        }
        gone
    }

    /// When somebody expires next, if nothing is heard meanwhile.
    pub fn next_expiry(&self) -> Option<Duration> {
        let (heard, _) = self.heard.first()?;
        Some(heard.saturating_add(self.silence_max))
    }

    /// Everyone who is known, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &W)> {
        self.known.iter().map(|(id, worker)| (*id, &worker.worker))
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many wait for a job.
    pub fn ready_count(&self) -> usize {
        self.ready.len()
    }
}

#[cfg(test)]
mod tests;
