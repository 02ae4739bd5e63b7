//! What goes into a scatter's decisions and comes out of them, as values.

use std::time::Duration;

use crate::machine::{Again, Ran, Time};

/// How tasks find their nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// A node that has fewer tasks in flight than this takes the next.
    Pull {
        /// The most tasks in flight at a node.
        depth: u32,
        /// More where tasks turn out to be quick, so that no node waits for its next one; and
        /// where a node's workers are not busy with as many.
        grows: bool,
    },
    /// The client's policy picks.
    Policy {
        /// The most tasks in flight in all.
        in_flight: usize,
    },
}

/// What a scatter keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScatterLimits {
    /// How tasks find their nodes.
    pub spread: Spread,
    /// How often a task is called that may have run. Default 3.
    pub tries_max: u32,
    /// How often a task is called that did not run. Default 64.
    pub refusals_max: u32,
    /// What may have run is called again, whatever its method says.
    pub reissue_maybe: bool,
    /// It waits while no node is there and none is being connected to.
    pub wait_for_ready: bool,
    /// So many failed tasks end it.
    pub fail_limit: Option<usize>,
    /// So many tasks that are done end it.
    pub success_limit: Option<usize>,
    /// When it is over, whatever is left.
    pub deadline: Time,
    /// The first rest of a task that every node has turned away. Default 1 ms; doubles.
    pub rest: Duration,
    /// The longest rest, unless a node asks for more. Default 100 ms.
    pub rest_max: Duration,
}

impl Default for ScatterLimits {
    fn default() -> ScatterLimits {
        ScatterLimits {
            spread: Spread::Pull {
                depth: 2,
                grows: true,
            },
            tries_max: 3,
            refusals_max: 64,
            reissue_maybe: false,
            wait_for_ready: false,
            fail_limit: None,
            success_limit: None,
            deadline: Time::NEVER,
            rest: Duration::from_millis(1),
            rest_max: Duration::from_millis(100),
        }
    }
}

/// How a node stands, to a scatter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It takes calls.
    Up,
    /// It may soon.
    Hoped,
    /// It does not.
    #[default]
    Away,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Call this task, at this node and no other, or wherever the policy says. It is in flight from
    /// now on.
    Call {
        /// Which task.
        task: usize,
        /// Where.
        node: Option<usize>,
    },
    /// Draw a task, and say so by [`Scatter::drew`](super::Scatter::drew) or
    /// [`Scatter::drew_all`](super::Scatter::drew_all).
    Draw,
    /// Wait for an end, for news of nodes, or until then.
    Wait {
        /// The latest time to ask again.
        until: Time,
    },
    /// It is over: give up what is in flight.
    Over(Over),
}

/// Why a scatter is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Over {
    /// Every task is done or has failed.
    Complete,
    /// As many tasks are done as were wanted.
    SuccessLimit,
    /// As many tasks have failed as were put up with.
    FailLimit,
    /// Its time was over.
    Deadline,
    /// The program has had enough.
    Cancelled,
    /// No node can be reached, and it was not to wait for one.
    NoNode,
}

/// How the call of a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEnd {
    /// With its value.
    Done {
        /// From the call to its end.
        took: Duration,
        /// How busy the node's workers are, in thousandths, where it says so.
        utilisation: Option<u16>,
    },
    /// With an error.
    Failed(TaskFailure),
}

/// The error that the call of a task ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskFailure {
    /// Whether it ran.
    pub ran: Ran,
    /// If it did not, whether to call again is of use.
    pub again: Again,
    /// It took all the time that it had: a try, whether it ran or not.
    pub timed_out: bool,
    /// To run it twice does no harm.
    pub idempotent: bool,
    /// How long the node wishes to be left alone.
    pub retry_after: Option<Duration>,
}

/// What an end does to its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskThen {
    /// It is done.
    Done,
    /// It is called again.
    Again,
    /// It has failed for good.
    Failed,
    /// It was not in flight.
    Late,
}

/// How a task stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Drawn, not called yet.
    #[default]
    Fresh,
    /// Called, not ended.
    InFlight,
    /// To be called again.
    Again,
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Given up when the scatter was over.
    Cancelled,
    /// Never called.
    NotBegun,
}

/// How many tasks stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScatterCounts {
    /// Tasks drawn from their source.
    pub drawn: usize,
    /// Those are all.
    pub drawn_all: bool,
    /// In flight.
    pub in_flight: usize,
    /// To be called again.
    pub again: usize,
    /// Done.
    pub done: usize,
    /// Failed for good.
    pub failed: usize,
}
