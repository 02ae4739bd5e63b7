//! Scatters: programs of the callers that give tasks to whichever nodes are there.
//!
//! A shell around [`Scatter`], as `src/scatter` is one, and a ledger of its own beside:
//!
//! 1. A task is done once, and none is lost.
//! 2. It is called by one call at a time, again only where that is allowed, and within its tries.
//! 3. What it is said to have run, and what not, is true.
//! 4. No node has more than its depth; none is gone back to at once while another is up.
//! 5. A scatter is over by its deadline, at its limits, and where nothing is in the way with all done.
//! 6. A call for one node goes to no other, and does not wait for one that is not there.

use std::collections::{BTreeMap, VecDeque};

use brokerless::machine::{
    Again, NodeId, NodeState, Over, Ran, Scatter, ScatterLimits, Spread, Standing, Step, TaskEnd,
    TaskFailure, TaskState, TaskThen, Time,
};

use crate::doses::{Kind, MS, SECOND};
use crate::ledger::{Key, Outcome};
use crate::world::{Event, World, trace};

/// Scatters that a caller may have under way at once.
const AT_ONCE: usize = 2;

/// One call of a task.
#[derive(Debug)]
struct Try {
    key: Key,
    node: Option<usize>,
    outcome: Option<Outcome>,
    ended_at: u64,
}

/// One scatter of one caller.
struct Run {
    caller: usize,
    incarnation: u32,
    machine: Scatter,
    limits: ScatterLimits,
    deadline: u64,
    tasks: usize,
    idempotent: bool,
    /// Everything has to be done.
    must: bool,
    /// The caller's nodes, by the numbers that the scatter knows.
    nodes: Vec<NodeId>,
    tries: Vec<Vec<Try>>,
    done: Vec<u32>,
    wakes_at: u64,
    over: bool,
}

/// The scatters of a world.
#[derive(Default)]
pub(crate) struct Scattering {
    runs: Vec<Option<Box<Run>>>,
    /// Whose scatters go on, and which these are.
    going: Vec<(usize, usize)>,
    /// Which scatter and task an open call is for.
    keys: BTreeMap<Key, (usize, usize)>,
    ends: VecDeque<(usize, usize, Key, Outcome)>,
    /// Calls for one node and no other.
    only: BTreeMap<Key, NodeId>,
    driving: bool,
}

impl World {
    /// A caller's program may begin a scatter.
    pub(crate) fn may_scatter(&mut self, caller: usize) {
        let incarnation = self.callers[caller].incarnation;
        let here = self.scattering.runs.iter().flatten();
        let here = here.filter(|run| run.caller == caller && !run.over);
        if here.filter(|run| run.incarnation == incarnation).count() >= AT_ONCE
            || !self.random.chance(150_000)
        {
            return;
        }
        let settled = self.now >= self.doses.settled_at;
        let calm = self.doses.kind != Kind::Chaos;
        // What is refused for want of room may be refused until the time is over.
        let roomy = self.doses.waiting_max > 100 && self.doses.queue_max > 4;
        let must = calm || settled && roomy;
        let (low, high) = match (settled, calm) {
            (true, false) => (5 * SECOND, 5 * SECOND + 1),
            _ => self.doses.deadline,
        };
        let deadline = self.now + self.random.between(low, 2 * high);
        let depth = self.random.one(&[1, 2, 2, 5]);
        let grows = self.random.chance(300_000);
        let in_flight = self.random.one(&[1, 3, 10]);
        let pull = Spread::Pull { depth, grows };
        let limit = |world: &mut World, most: u64| match world.random.chance(200_000) && !must {
            true => Some(world.random.between(1, most) as usize),
            false => None,
        };
        let limits = ScatterLimits {
            spread: self
                .random
                .one(&[pull, pull, pull, Spread::Policy { in_flight }]),
            tries_max: if must {
                50
            } else {
                self.random.one(&[1, 2, 3])
            },
            refusals_max: if must { 10_000 } else { 64 },
            reissue_maybe: self.random.chance(300_000),
            wait_for_ready: must || self.random.chance(500_000),
            fail_limit: limit(self, 4),
            success_limit: limit(self, 10),
            deadline: Time::from_nanos(deadline),
            ..ScatterLimits::default()
        };
        let tasks = self.random.between(0, 25) as usize;
        let run = Run {
            caller,
            incarnation,
            machine: Scatter::new(limits),
            limits,
            deadline,
            tasks,
            idempotent: self.random.chance(500_000),
            must,
            nodes: Vec::new(),
            tries: Vec::new(),
            done: Vec::new(),
            wakes_at: u64::MAX,
            over: false,
        };
        let number = self.scattering.runs.len();
        trace!(self, "caller {caller} scatters {tasks} tasks: {limits:?}");
        self.scattering.runs.push(Some(Box::new(run)));
        self.scattering.going.push((caller, number));
        if !must && self.random.chance(100_000) {
            let wait = self.random.between(0, 50 * MS);
            self.push_in(wait, Event::Scatter(caller, incarnation, number, true));
        }
        self.drive_scatters(caller);
    }

    /// A scatter's time has come, or its program has had enough.
    pub(crate) fn scatter_wakes(&mut self, caller: usize, number: usize, cancel: bool) {
        if let Some(run) = self.scattering.runs[number].as_mut() {
            run.wakes_at = u64::MAX;
            if cancel {
                run.machine.cancel();
            }
        }
        self.drive_scatters(caller);
    }

    /// A call has ended: of a scatter, perhaps.
    pub(crate) fn scatter_hears(&mut self, key: Key, outcome: Outcome) {
        self.scattering.only.remove(&key);
        if let Some((number, task)) = self.scattering.keys.remove(&key) {
            self.scattering.ends.push_back((number, task, key, outcome));
        }
    }

    /// A call is about to be sent: to the node that it is for, if it is for one.
    pub(crate) fn check_only(&mut self, key: Key, node: NodeId) {
        let only = self.scattering.only.get(&key);
        if only.is_some_and(|only| *only != node) {
            let what = format!("call {key} is sent to {node:?}, and is for {only:?} alone");
            self.ledger.violated(self.now, what);
        }
    }

    /// The node that a call is for, if it is for one.
    pub(crate) fn only(&self, key: Key) -> Option<NodeId> {
        self.scattering.only.get(&key).copied()
    }

    /// Whether a call is a scatter's.
    pub(crate) fn is_scattered(&self, key: Key) -> bool {
        self.scattering.keys.contains_key(&key)
    }

    /// Does all that the scatters of a caller have to say.
    pub(crate) fn drive_scatters(&mut self, caller: usize) {
        if self.scattering.driving {
            return;
        }
        self.scattering.driving = true;
        let incarnation = self.callers[caller].incarnation;
        let mut at = 0;
        while let Some(&(of, number)) = self.scattering.going.get(at) {
            at += 1;
            if of != caller {
                continue;
            }
            let Some(mut run) = self.scattering.runs[number].take() else {
                continue;
            };
            if run.incarnation == incarnation {
                self.drive(number, &mut run);
            }
            if run.over || run.incarnation != incarnation {
                at -= 1;
                self.scattering.going.remove(at);
            }
            self.scattering.runs[number] = Some(run);
        }
        self.scattering.driving = false;
        self.check_waiting(caller);
    }

    fn drive(&mut self, number: usize, run: &mut Run) {
        loop {
            self.take_ends(number, run);
            self.stand(run);
            match run.machine.next(Time::from_nanos(self.now)) {
                Step::Call { task, node } => {
                    self.call_task(number, run, task, node);
                }
                Step::Draw => match run.tries.len() < run.tasks {
                    true => {
                        run.machine.drew();
                        run.tries.push(Vec::new());
                        run.done.push(0);
                    }
                    false => run.machine.drew_all(),
                },
                Step::Wait { until } => {
                    let until = until.as_nanos();
                    if until < run.wakes_at {
                        run.wakes_at = until;
                        let event = Event::Scatter(run.caller, run.incarnation, number, false);
                        self.push(until, event);
                    }
                    return;
                }
                Step::Over(over) => {
                    self.scatter_over(number, run, over);
                    return;
                }
            }
        }
    }

    /// How the caller's nodes stand, to its scatter.
    fn stand(&mut self, run: &mut Run) {
        for node in 0..run.nodes.len() {
            run.machine.node(node, Standing::Away);
        }
        for (node, state) in self.nodes_of(run.caller) {
            let known = run.nodes.iter().position(|it| *it == node);
            let number = known.unwrap_or_else(|| {
                run.nodes.push(node);
                run.nodes.len() - 1
            });
            let standing = match state {
                NodeState::Up => Standing::Up,
                NodeState::Connecting => Standing::Hoped,
                NodeState::Failed | NodeState::Draining | NodeState::Leaving => Standing::Away,
            };
            run.machine.node(number, standing);
        }
    }

    fn call_task(&mut self, number: usize, run: &mut Run, task: usize, node: Option<usize>) {
        for fault in self.faults_of_call(run, task, node) {
            let what = format!("task {task} of scatter {number} {fault}");
            self.ledger.violated(self.now, what);
        }
        let settled = self.now >= self.doses.settled_at;
        let patience = match run.must || settled {
            true => 3 * SECOND,
            false => self.random.between(MS, 500 * MS),
        };
        let deadline = run.deadline.min(self.now + patience);
        let key = self.ledger.records.len() as Key;
        run.tries[task].push(Try {
            key,
            node,
            outcome: None,
            ended_at: 0,
        });
        self.scattering.keys.insert(key, (number, task));
        if let Some(node) = node.and_then(|node| run.nodes.get(node)) {
            self.scattering.only.insert(key, *node);
        }
        let ready = node.is_none() && run.limits.wait_for_ready;
        self.call(run.caller, deadline, false, false, ready);
    }

    /// What is wrong with calling this task now.
    fn faults_of_call(&self, run: &Run, task: usize, node: Option<usize>) -> Vec<String> {
        let mut faults = Vec::new();
        let tries = &run.tries[task];
        for before in tries {
            match before.outcome.map(Outcome::ran) {
                None => faults.push("is called while a call of it is in flight".to_owned()),
                Some(Ran::Yes) => faults.push("is called again though it has run".to_owned()),
                Some(Ran::Maybe) if !run.idempotent && !run.limits.reissue_maybe => {
                    faults.push("is called again though it may have run".to_owned());
                }
                Some(_) => {}
            }
        }
        let counted = |it: &&Try| {
            let expired = matches!(it.outcome, Some(Outcome::Ended("expired", _)));
            it.outcome.is_some_and(|it| it.ran() != Ran::No) || expired
        };
        let (spent, all) = (tries.iter().filter(counted).count(), tries.len());
        if spent >= run.limits.tries_max as usize || all - spent >= run.limits.refusals_max as usize
        {
            faults.push(format!("is called again after {all} calls"));
        }
        let counts = run.machine.counts();
        if run
            .limits
            .fail_limit
            .is_some_and(|most| counts.failed >= most)
        {
            faults.push(format!("is called after {} have failed", counts.failed));
        }
        if run
            .limits
            .success_limit
            .is_some_and(|most| counts.done >= most)
        {
            faults.push(format!("is called after {} are done", counts.done));
        }
        let open = |at: Option<usize>| {
            let tries = run.tries.iter().flatten();
            tries
                .filter(|it| it.outcome.is_none() && it.node == at)
                .count()
        };
        match (run.limits.spread, node) {
            (Spread::Pull { depth, grows }, Some(at)) => {
                let depth = depth as usize + if grows { 64 } else { 0 };
                if open(node) >= depth {
                    faults.push(format!("is one more than {depth} at a node"));
                }
                let nodes = self.nodes_of(run.caller);
                let another = nodes.iter().any(|(node, state)| {
                    *state == NodeState::Up && run.nodes.get(at) != Some(node)
                });
                // It rests once all have been asked.
                let back = |last: &Try| last.node == Some(at) && self.now < last.ended_at + MS;
                if another && tries.last().is_some_and(back) {
                    faults.push("goes back at once, while another node is up".to_owned());
                }
            }
            (Spread::Policy { in_flight }, None) => {
                if open(None) >= in_flight {
                    faults.push(format!("is one more than {in_flight} in flight"));
                }
            }
            _ => faults.push("goes where it is not spread to".to_owned()),
        }
        faults
    }

    /// Tells a scatter of the calls that have ended.
    fn take_ends(&mut self, number: usize, run: &mut Run) {
        let mut others = VecDeque::new();
        while let Some((of, task, key, outcome)) = self.scattering.ends.pop_front() {
            if of != number {
                others.push_back((of, task, key, outcome));
                continue;
            }
            let mut tries = run.tries[task].iter_mut();
            if let Some(known) = tries.find(|it| it.key == key) {
                known.outcome = Some(outcome);
                known.ended_at = self.now;
            }
            let end = end_of(outcome, run.idempotent);
            let then = run
                .machine
                .ended(Time::from_nanos(self.now), task, None, end);
            trace!(
                self,
                "task {task} of scatter {number}: {outcome:?}, {then:?}"
            );
            match then {
                TaskThen::Done => run.done[task] += 1,
                TaskThen::Again | TaskThen::Failed => {}
                TaskThen::Late => {
                    let what = format!("task {task} of scatter {number} ends twice: {outcome:?}");
                    self.ledger.violated(self.now, what);
                }
            }
        }
        self.scattering.ends = others;
    }

    fn scatter_over(&mut self, number: usize, run: &mut Run, over: Over) {
        trace!(self, "scatter {number} is over: {over:?}");
        run.over = true;
        for task in 0..run.tries.len() {
            let open = run.tries[task].iter().find(|it| it.outcome.is_none());
            let Some(key) = open.map(|it| it.key) else {
                continue;
            };
            self.scattering.keys.remove(&key);
            self.scattering.only.remove(&key);
            if self.callers[run.caller].is_open(key) {
                self.give_up(run.caller, key, false);
            }
            let outcome = self.ledger.record(key).outcome;
            let ran = outcome.map_or(Ran::Maybe, Outcome::ran);
            run.machine.given_up(task, ran);
            if let Some(last) = run.tries[task].last_mut() {
                last.outcome = outcome;
            }
        }
        for fault in self.faults_of_end(run, over) {
            let what = format!("scatter {number}, over as {over:?}, {fault}");
            self.ledger.violated(self.now, what);
        }
        let counts = run.machine.counts();
        self.note((counts.done as u64) << 32 | counts.failed as u64);
    }

    fn faults_of_end(&self, run: &Run, over: Over) -> Vec<String> {
        let mut faults = Vec::new();
        let by = run.deadline.max(self.caller_stopped_until(run.caller)) + 50 * MS;
        if self.now > by {
            faults.push(format!("is late by {} ms", (self.now - run.deadline) / MS));
        }
        if over == Over::Complete && run.tries.len() != run.tasks {
            faults.push(format!("has drawn {} of {}", run.tries.len(), run.tasks));
        }
        if run.must && over != Over::Complete {
            faults.push("has to be complete".to_owned());
        }
        for (task, tries) in run.tries.iter().enumerate() {
            let (state, ran) = (run.machine.task(task), run.machine.ran(task));
            let records = tries.iter().map(|it| &self.ledger.records[it.key as usize]);
            let started = records.clone().any(|it| it.started > 0);
            let copied = records.clone().any(|it| it.copies > 0);
            let replied = tries.iter().any(|it| it.outcome == Some(Outcome::Replied));
            match state {
                TaskState::Done if run.done[task] != 1 || !replied => {
                    faults.push(format!("has done task {task} {} times", run.done[task]));
                }
                TaskState::Failed if run.must && ran != Ran::Yes => {
                    faults.push(format!(
                        "has to do task {task}, which has failed: {tries:?}"
                    ));
                }
                TaskState::Done | TaskState::Failed => {}
                _ if over == Over::Complete => {
                    faults.push(format!("has lost task {task}, which is {state:?}"));
                }
                TaskState::Cancelled if !tries.is_empty() => {}
                TaskState::NotBegun if tries.is_empty() => {}
                _ => faults.push(format!("says that task {task} is {state:?}")),
            }
            let maybe = tries.iter().any(|it| {
                let ran = it.outcome.map(Outcome::ran);
                matches!(ran, Some(Ran::Maybe | Ran::Yes))
            });
            match ran {
                Ran::No if (started && !copied) || maybe => {
                    faults.push(format!("says that task {task} has not run: {tries:?}"));
                }
                Ran::Yes if !started => {
                    faults.push(format!("says that task {task} has run: {tries:?}"));
                }
                _ => {}
            }
        }
        faults
    }

    /// Calls for a node that is not there are not waited for.
    fn check_waiting(&mut self, caller: usize) {
        if self.scattering.only.is_empty() {
            return;
        }
        let nodes = self.nodes_of(caller);
        let stuck = self.scattering.only.iter().find(|(key, only)| {
            let record = &self.ledger.records[**key as usize];
            let state = nodes.iter().find(|(node, _)| node == *only);
            let there =
                state.is_some_and(|(_, it)| matches!(it, NodeState::Up | NodeState::Connecting));
            record.caller == caller
                && !record.died
                && record.attempts == record.denied.len()
                && record.outcome.is_none()
                && !there
        });
        if let Some((key, only)) = stuck {
            let what = format!("call {key} waits for {only:?}, which is not there");
            self.ledger.violated(self.now, what);
        }
    }

    /// Every scatter of a caller that is still there is over.
    pub(crate) fn settle_scatters(&mut self) {
        for (number, run) in self.scattering.runs.iter().enumerate() {
            let Some(run) = run else { continue };
            let host = &self.callers[run.caller];
            if !run.over && host.alive && host.incarnation == run.incarnation {
                let counts = run.machine.counts();
                let what = format!("scatter {number} never ends: {counts:?}");
                self.ledger.violated(self.now, what);
            }
        }
    }
}

fn end_of(outcome: Outcome, idempotent: bool) -> TaskEnd {
    if outcome == Outcome::Replied {
        return TaskEnd::Done {
            took: std::time::Duration::from_millis(1),
            utilisation: None,
        };
    }
    let timed_out = matches!(outcome, Outcome::Ended("expired", _));
    let never = matches!(outcome, Outcome::Ended("closed" | "cancelled", _));
    TaskEnd::Failed(TaskFailure {
        ran: outcome.ran(),
        again: if never { Again::Never } else { Again::Later },
        timed_out,
        idempotent,
        retry_after: None,
    })
}
