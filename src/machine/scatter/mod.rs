//! What a scatter decides: which task goes next and where, what an end means, when it is over.
//!
//! ```text
//! source ── drew ──► fresh ──┐                    ┌─► done
//!                            ├─ Step::Call ─ ended ┼─► failed
//!            again ◄─────────┘                    └─► again: elsewhere, or after a rest
//!              │ in flight, again, fresh
//!              └──────── over: limits, deadline, cancel ──► cancelled, not begun
//! ```
//!
//! The shell asks [`Scatter::next`] after each input, and does what it says: calls a task, draws
//! one from its source, or waits. Nodes go by small numbers of the shell's own.
//!
//! A task whose call did not run is called again, on another node where there is one: that is no
//! try. One whose call may have run is, if that does no harm, as long as it has tries left. What a
//! handler answered is never asked again.
//!
//! # Invariants
//!
//! 1. A task is done or failed once, and called by one call at a time. (test
//!    `every_task_ends_once_and_is_in_flight_once`)
//! 2. What may have run is called again only where that is allowed, and within its tries. (test
//!    `what_may_have_run_is_called_again_only_where_that_is_allowed`)
//! 3. A node never has more tasks in flight than its depth. (same test as 1, and test
//!    `each_free_node_takes_the_next_task`)
//! 4. Once it is over nothing is called. (tests `it_is_over_at_its_limits`,
//!    `the_deadline_and_a_cancel_leave_the_rest_not_begun`)
//!
//! # Not here
//!
//! The calls themselves and their deadlines ([`Caller`](super::Caller)); the values.

mod inside;
#[cfg(test)]
mod tests;
mod values;

use std::collections::VecDeque;

pub use values::{
    Over, ScatterCounts, ScatterLimits, Spread, Standing, Step, TaskEnd, TaskFailure, TaskState,
    TaskThen,
};

use super::Ran;
use super::time::Time;
use inside::{Node, Task};

/// A scatter under way.
#[derive(Debug)]
pub struct Scatter {
    limits: ScatterLimits,
    nodes: Vec<Node>,
    tasks: Vec<Task>,
    /// Drawn and not called yet.
    fresh: Option<usize>,
    /// To be called again.
    again: VecDeque<usize>,
    drawn_all: bool,
    in_flight: usize,
    done: usize,
    failed: usize,
    /// The node that took the last task.
    turn: usize,
    cancelled: bool,
    over: Option<Over>,
}

impl Scatter {
    /// Nothing drawn yet, and no node known.
    pub fn new(limits: ScatterLimits) -> Scatter {
        Scatter {
            limits,
            nodes: Vec::new(),
            tasks: Vec::new(),
            fresh: None,
            again: VecDeque::new(),
            drawn_all: false,
            in_flight: 0,
            done: 0,
            failed: 0,
            turn: 0,
            cancelled: false,
            over: None,
        }
    }

    /// How a node stands, from now on.
    pub fn node(&mut self, node: usize, standing: Standing) {
        if self.nodes.len() <= node {
            self.nodes.resize_with(node + 1, Node::default);
        }
        self.nodes[node].standing = standing;
    }

    /// A task has been drawn: its number, in the order of drawing.
    pub fn drew(&mut self) -> usize {
        let task = self.tasks.len();
        self.tasks.push(Task::default());
        self.fresh = Some(task);
        task
    }

    /// There are no more tasks to draw.
    pub fn drew_all(&mut self) {
        self.drawn_all = true;
    }

    /// The program has had enough.
    pub fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// What to do now.
    pub fn next(&mut self, now: Time) -> Step {
        if self.over.is_none() {
            self.over = self.is_over(now);
        }
        if let Some(over) = self.over {
            return Step::Over(over);
        }
        if let Some((task, node)) = self.place_again(now) {
            return self.call(task, node);
        }
        if let Some(task) = self.fresh {
            if let Some(node) = self.place(task) {
                self.fresh = None;
                return self.call(task, node);
            }
        } else if !self.drawn_all && self.has_room() {
            return Step::Draw;
        }
        if self.is_hopeless() {
            self.over = Some(Over::NoNode);
            return Step::Over(Over::NoNode);
        }
        Step::Wait {
            until: self.next_due(now),
        }
    }

    /// The call of a task has ended: by which node, where one is known.
    pub fn ended(&mut self, now: Time, task: usize, node: Option<usize>, end: TaskEnd) -> TaskThen {
        let Some(known) = self.tasks.get_mut(task) else {
            return TaskThen::Late;
        };
        if known.state != TaskState::InFlight {
            return TaskThen::Late;
        }
        self.in_flight -= 1;
        let at = known.at;
        known.at = None;
        if let Some(at) = at.and_then(|at| self.nodes.get_mut(at as usize)) {
            at.in_flight = at.in_flight.saturating_sub(1);
        }
        let node = at.or(node.map(|node| node as u32));
        match end {
            TaskEnd::Done { took, utilisation } => {
                known.state = TaskState::Done;
                known.ran = Ran::Yes;
                known.node = node;
                self.done += 1;
                if let Some(node) = node.and_then(|node| self.nodes.get_mut(node as usize)) {
                    node.took(took);
                    if let (Spread::Pull { depth, grows: true }, Some(busy)) =
                        (self.limits.spread, utilisation)
                        && node.in_flight + 1 >= node.depth(depth)
                    {
                        node.is_so_busy(now, busy);
                    }
                }
                TaskThen::Done
            }
            TaskEnd::Failed(failure) => self.failed(now, task, node, failure),
        }
    }

    /// The call of a task was given up, as the scatter is over, or ended with its time: whether it
    /// may have run.
    pub fn given_up(&mut self, task: usize, ran: Ran) {
        if let Some(known) = self.tasks.get_mut(task)
            && known.state == TaskState::InFlight
        {
            known.state = TaskState::Cancelled;
            known.node = known.at.take();
            known.has(ran);
            self.in_flight -= 1;
        }
    }

    /// How a task stands; once the scatter is over and its calls are given up, what became of it.
    pub fn task(&self, task: usize) -> TaskState {
        let state = self.tasks.get(task).map(|task| task.state);
        match (self.over, state) {
            (_, None) | (Some(_), Some(TaskState::Fresh)) => TaskState::NotBegun,
            (Some(_), Some(TaskState::Again | TaskState::InFlight)) => TaskState::Cancelled,
            (_, Some(state)) => state,
        }
    }

    /// Whether a task has run, as far as all of its calls tell.
    pub fn ran(&self, task: usize) -> Ran {
        self.tasks.get(task).map_or(Ran::No, |task| task.ran)
    }

    /// How often a task was called.
    pub fn calls(&self, task: usize) -> u32 {
        let task = self.tasks.get(task);
        task.map_or(0, |task| task.calls)
    }

    /// The node that a task was last at, where it is known.
    pub fn at(&self, task: usize) -> Option<usize> {
        let task = self.tasks.get(task)?;
        task.at.or(task.node).map(|node| node as usize)
    }

    /// Tasks in flight at a node.
    pub fn in_flight_at(&self, node: usize) -> u32 {
        self.nodes.get(node).map_or(0, |node| node.in_flight)
    }

    /// How many tasks may be in flight at a node now.
    pub fn depth_of(&self, node: usize) -> u32 {
        match self.limits.spread {
            Spread::Pull { depth, grows } => match self.nodes.get(node) {
                Some(node) if grows => node.depth(depth),
                _ => depth,
            },
            Spread::Policy { .. } => u32::MAX,
        }
    }

    /// Why it is over, if it is.
    pub fn over(&self) -> Option<Over> {
        self.over
    }

    /// The counts.
    pub fn counts(&self) -> ScatterCounts {
        ScatterCounts {
            drawn: self.tasks.len(),
            drawn_all: self.drawn_all,
            in_flight: self.in_flight,
            again: self.again.len(),
            done: self.done,
            failed: self.failed,
        }
    }
}
