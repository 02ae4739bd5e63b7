//! What a scatter decides inside: placing tasks, and what a failure means.

use std::time::Duration;

use super::Scatter;
use super::values::{Over, Spread, Standing, Step, TaskFailure, TaskState, TaskThen};
use crate::machine::load::smoothed;
use crate::machine::time::nanos;
use crate::machine::{Again, Ran, Time};

/// With so many tasks to be called again no more are drawn.
const AGAIN_MAX: usize = 1024;
/// A node is given as many quick tasks ahead as take about this long.
const AHEAD: u64 = 4_000_000;
/// A node whose workers are less busy than this, in thousandths, is given more.
const BUSY: u16 = 900;
/// How long that takes to show in what it reports.
const REPORTED: Duration = Duration::from_millis(120);
/// The most that it is given ahead.
const AHEAD_MAX: u64 = 64;

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) standing: Standing,
    pub(super) in_flight: u32,
    /// From a call to its end, smoothed, in nanoseconds; 0 until one has ended.
    took: u64,
    /// Given to it beside, as its workers are not busy with less.
    more: u32,
    more_since: Time,
}

impl Node {
    pub(super) fn took(&mut self, took: Duration) {
        self.took = smoothed(self.took, nanos(took).max(1));
    }

    pub(super) fn depth(&self, least: u32) -> u32 {
        let ahead = AHEAD.checked_div(self.took).unwrap_or_default();
        least.saturating_add((ahead + u64::from(self.more)).min(AHEAD_MAX) as u32)
    }

    /// It has done a task while it had as many as it was given: whether that keeps it busy.
    pub(super) fn is_so_busy(&mut self, now: Time, utilisation: u16) {
        if self.more_since == Time::ZERO {
            self.more_since = now;
        } else if utilisation < BUSY && now.since(self.more_since) >= REPORTED {
            self.more = (self.more + self.more / 2 + 1).min(AHEAD_MAX as u32);
            self.more_since = now;
        }
    }
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) state: TaskState,
    /// Over all of its calls.
    pub(super) ran: Ran,
    pub(super) calls: u32,
    /// Calls that may have run, or took their time.
    tries: u32,
    /// Calls that did not run.
    refusals: u32,
    rounds: u8,
    /// The node that it is booked at, while it is in flight.
    pub(super) at: Option<u32>,
    /// The node that it was last at.
    pub(super) node: Option<u32>,
    /// Nodes that it is not to go back to in this round.
    tried: Vec<u32>,
    not_before: Time,
}

impl Default for Task {
    fn default() -> Task {
        Task {
            state: TaskState::Fresh,
            ran: Ran::No,
            calls: 0,
            tries: 0,
            refusals: 0,
            rounds: 0,
            at: None,
            node: None,
            tried: Vec::new(),
            not_before: Time::ZERO,
        }
    }
}

impl Task {
    /// One more of its calls has ended, of which this is known.
    pub(super) fn has(&mut self, ran: Ran) {
        if planted!(ScatterForgetsMaybe) {
            self.ran = ran;
            return;
        }
        self.ran = match (self.ran, ran) {
            (Ran::Yes, _) | (_, Ran::Yes) => Ran::Yes,
            (Ran::Maybe, _) | (_, Ran::Maybe) => Ran::Maybe,
            (Ran::No, Ran::No) => Ran::No,
        };
    }
}

impl Scatter {
    pub(super) fn is_over(&self, now: Time) -> Option<Over> {
        let reached = |limit: Option<usize>, count| limit.is_some_and(|limit| count >= limit);
        if self.drawn_all && self.done + self.failed == self.tasks.len() {
            Some(Over::Complete)
        } else if reached(self.limits.success_limit, self.done) {
            Some(Over::SuccessLimit)
        } else if reached(self.limits.fail_limit, self.failed) && !planted!(ScatterFailsOn) {
            Some(Over::FailLimit)
        } else if self.cancelled {
            Some(Over::Cancelled)
        } else if now >= self.limits.deadline {
            Some(Over::Deadline)
        } else {
            None
        }
    }

    /// Whether no node is there nor may soon be, and nothing is in flight that may yet end.
    pub(super) fn is_hopeless(&self) -> bool {
        let away = |node: &Node| node.standing == Standing::Away;
        !self.limits.wait_for_ready && self.in_flight == 0 && self.nodes.iter().all(away)
    }

    pub(super) fn call(&mut self, task: usize, node: Option<usize>) -> Step {
        if let Some(known) = self.tasks.get_mut(task) {
            known.state = TaskState::InFlight;
            known.calls += 1;
            known.at = node.map(|node| node as u32);
        }
        if let Some(known) = node.and_then(|node| self.nodes.get_mut(node)) {
            known.in_flight += 1;
        }
        self.in_flight += 1;
        self.turn = node.unwrap_or(self.turn);
        Step::Call { task, node }
    }

    /// Whether a task that has not been anywhere could be called now.
    pub(super) fn has_room(&self) -> bool {
        self.again.len() < AGAIN_MAX && self.room(&[]).is_some()
    }

    /// Where a task goes now; none if nowhere.
    pub(super) fn place(&self, task: usize) -> Option<Option<usize>> {
        let task = self.tasks.get(task)?;
        self.room(&task.tried)
    }

    /// A node with room beside these, by turns among those that have least to do.
    fn room(&self, beside: &[u32]) -> Option<Option<usize>> {
        if let Spread::Policy { in_flight } = self.limits.spread {
            let there = |node: &Node| node.standing != Standing::Away;
            let there = self.limits.wait_for_ready || self.nodes.iter().any(there);
            return (there && self.in_flight < in_flight).then_some(None);
        }
        let count = self.nodes.len();
        let from = (self.turn + 1) % count.max(1);
        let mut best: Option<(u32, usize)> = None;
        for index in (from..count).chain(0..from) {
            let Some(node) = self.nodes.get(index) else {
                continue;
            };
            let full = node.in_flight >= self.depth_of(index) && !planted!(ScatterTooDeep);
            if node.standing != Standing::Up
                || full
                || beside.contains(&(index as u32)) && !planted!(ScatterGoesBack)
            {
                continue;
            }
            if best.is_none_or(|(least, _)| node.in_flight < least) {
                best = Some((node.in_flight, index));
            }
        }
        best.map(|(_, index)| Some(index))
    }

    /// The next task that is to be called again and can be now.
    pub(super) fn place_again(&mut self, now: Time) -> Option<(usize, Option<usize>)> {
        if self.again.is_empty() {
            return None;
        }
        for index in 0..self.again.len() {
            let task = *self.again.get(index)?;
            if self.tasks.get(task)?.not_before > now {
                continue;
            }
            self.end_round(now, task, None);
            if self.tasks.get(task)?.not_before > now {
                continue;
            }
            if let Some(node) = self.place(task) {
                self.again.remove(index);
                return Some((task, node));
            }
        }
        None
    }

    /// A task that has been at every node that is up rests, and may go back to them.
    fn end_round(&mut self, now: Time, task: usize, wish: Option<Duration>) {
        let (nodes, limits) = (&self.nodes, &self.limits);
        let Some(known) = self.tasks.get_mut(task) else {
            return;
        };
        let mut up = nodes.iter().enumerate();
        let pulls = matches!(limits.spread, Spread::Pull { .. });
        let another = up.any(|(index, node)| {
            node.standing == Standing::Up && !known.tried.contains(&(index as u32))
        });
        if pulls && (known.tried.is_empty() || another) {
            return;
        }
        if !pulls && known.tried.is_empty() {
            return;
        }
        known.tried.clear();
        let doubled = limits.rest.saturating_mul(1 << known.rounds.min(16));
        let rest = doubled.min(limits.rest_max).max(wish.unwrap_or_default());
        known.rounds = known.rounds.saturating_add(1);
        known.not_before = now.after(rest);
    }

    pub(super) fn failed(
        &mut self,
        now: Time,
        task: usize,
        node: Option<u32>,
        failure: TaskFailure,
    ) -> TaskThen {
        let limits = self.limits;
        let Some(known) = self.tasks.get_mut(task) else {
            return TaskThen::Late;
        };
        known.node = node.or(known.node);
        known.has(failure.ran);
        let is_try = failure.ran != Ran::No || failure.timed_out;
        if is_try {
            known.tries += 1;
        } else {
            known.refusals += 1;
        }
        let allowed = match failure.ran {
            Ran::No => failure.again != Again::Never,
            Ran::Maybe => {
                failure.idempotent || limits.reissue_maybe || planted!(ScatterAsksMaybeAgain)
            }
            Ran::Yes => false,
        };
        let left = known.tries < limits.tries_max || planted!(ScatterNeverTires);
        if !allowed || !left || known.refusals >= limits.refusals_max {
            known.state = TaskState::Failed;
            self.failed += 1;
            return TaskThen::Failed;
        }
        known.state = TaskState::Again;
        // Without a node it is the round of all of them.
        known.tried.push(node.unwrap_or(u32::MAX));
        if !planted!(ScatterLosesRefused) || failure.ran != Ran::No {
            self.again.push_back(task);
        }
        self.end_round(now, task, failure.retry_after);
        TaskThen::Again
    }

    /// The latest time to ask again.
    pub(super) fn next_due(&self, now: Time) -> Time {
        let rests = |task: &usize| {
            let task = self.tasks.get(*task)?;
            (task.not_before > now).then_some(task.not_before)
        };
        let soonest = self.again.iter().filter_map(rests).min();
        soonest.map_or(self.limits.deadline, |at| at.min(self.limits.deadline))
    }
}
