//! What a scatter is told before it runs: each option with its default, unit and bound.

use std::fmt;
use std::time::{Duration, Instant};

use super::progress::{Canceller, Progress};
use super::running::Running;
use crate::client::{Calls, Pending};
use crate::machine::{ScatterLimits, Spread};
use crate::{CallError, Error};

/// The most tasks in flight at a node that may be asked for.
const DEPTH_MAX: u32 = 16_384;
/// The most in all.
const IN_FLIGHT_MAX: usize = 65_536;
/// The most tries of a task.
const TRIES_MAX: u32 = 1_000;
/// The longest time.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Spreads tasks over nodes: begins with the tasks. See [the module](mod@crate::scatter).
///
/// They are drawn as there is room for them, on the thread that gathers; so there may be more of
/// them than fit into memory, and an iterator that waits keeps everything waiting.
pub fn scatter<'p, I>(tasks: I) -> Tasks<'p, I::Item>
where
    I: IntoIterator,
    I::IntoIter: 'p,
{
    Tasks {
        source: Box::new(tasks.into_iter()),
    }
}

/// Tasks, and nobody yet to give them to.
#[must_use]
pub struct Tasks<'p, T> {
    source: Box<dyn Iterator<Item = T> + 'p>,
}

impl<'p, T> Tasks<'p, T> {
    /// Gives them to the nodes that this client calls, with the options of its calls.
    pub fn over<C: Calls>(self, client: &C) -> Scatter<'p, T, C> {
        Scatter {
            source: self.source,
            client: client.clone(),
            limits: ScatterLimits::default(),
            timeout: None,
            deadline: None,
            progress: None,
            canceller: None,
        }
    }
}

impl<T> fmt::Debug for Tasks<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = self.source.size_hint();
        f.debug_struct("Tasks").field("size_hint", &hint).finish()
    }
}

/// What hears how far a scatter is.
pub(super) type Watcher<'p> = Box<dyn FnMut(&Progress<'_>) + 'p>;

/// A scatter that has not begun.
#[must_use]
pub struct Scatter<'p, T, C> {
    pub(super) source: Box<dyn Iterator<Item = T> + 'p>,
    pub(super) client: C,
    pub(super) limits: ScatterLimits,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    pub(super) progress: Option<Watcher<'p>>,
    pub(super) canceller: Option<Canceller>,
}

impl<'p, T, C: Calls> Scatter<'p, T, C> {
    /// A node with fewer than `depth` of these tasks in flight takes the next one: so a slow node
    /// takes less, and one that is lost leaves little behind. 1 to 16,384. Default: 2, and up to 64
    /// more where tasks turn out to be quick (about 4 ms of work ahead), or where a node reports
    /// that so many do not keep its workers busy.
    pub fn pull(mut self, depth: u32) -> Self {
        self.limits.spread = Spread::Pull {
            depth,
            grows: false,
        };
        self
    }

    /// The client's policy picks a node for each task, by weight; so many are in flight in all. 1
    /// to 65,536. Default: nodes [pull](Self::pull).
    pub fn policy(mut self, in_flight: usize) -> Self {
        self.limits.spread = Spread::Policy { in_flight };
        self
    }

    /// So many failed tasks end it: the others are cancelled. From 1. Default: none do.
    pub fn fail_limit(mut self, tasks: usize) -> Self {
        self.limits.fail_limit = Some(tasks);
        self
    }

    /// So many tasks that are done end it, the first of all: the others are cancelled. From 1.
    /// Default: all.
    pub fn success_limit(mut self, tasks: usize) -> Self {
        self.limits.success_limit = Some(tasks);
        self
    }

    /// When it is over, whatever there is by then. The deadline of a call that this thread serves
    /// holds where it is earlier. 1 ms to a year. Default: only the calls have deadlines.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same, as an instant; the earlier holds where there is a timeout, too.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How often a task is called before it has failed. Calls that did not run, as their node was
    /// draining, full or not reached, do not count: of those there are 64 at most. 1 to 1,000.
    /// Default 3.
    pub fn tries(mut self, tries: u32) -> Self {
        self.limits.tries_max = tries;
        self
    }

    /// Whether a task whose call may have run is called again, also where its method is not
    /// idempotent. Default false.
    pub fn reissue_maybe(mut self, reissue: bool) -> Self {
        self.limits.reissue_maybe = reissue;
        self
    }

    /// Tells how far it is, after each task that ends, on the thread that gathers.
    pub fn progress(mut self, watcher: impl FnMut(&Progress<'_>) + 'p) -> Self {
        self.progress = Some(Box::new(watcher));
        self
    }

    /// Lets another thread end it.
    pub fn cancelled_by(mut self, canceller: &Canceller) -> Self {
        self.canceller = Some(canceller.clone());
        self
    }

    /// Says how a task is called. Nothing is called before the result is asked for.
    ///
    /// `call` is given a client of the node that the task goes to; a task that is called again is
    /// given to it again. An error that it gives is taken for the end of such a call.
    ///
    /// # Errors
    ///
    /// If an option is out of its bounds, or the client's pool is empty and calls do not wait for a
    /// node. Nothing was called.
    pub fn run<R, E>(
        self,
        call: impl FnMut(&C, &T) -> Result<Pending<R, E>, CallError<E>> + 'p,
    ) -> Result<Running<'p, T, C, R, E>, Error> {
        self.check()?;
        let deadline = by(self.timeout, self.deadline);
        Running::new(self, deadline, Box::new(call))
    }

    fn check(&self) -> Result<(), Error> {
        let none = |name, limit: Option<usize>| match limit {
            Some(0) => Err(Error::option(name, 0, "from 1; leave it out for no limit")),
            _ => Ok(()),
        };
        match self.limits.spread {
            Spread::Pull { depth, .. } if !(1..=DEPTH_MAX).contains(&depth) => {
                return Err(Error::option("depth", depth, "from 1 to 16,384"));
            }
            Spread::Policy { in_flight } if !(1..=IN_FLIGHT_MAX).contains(&in_flight) => {
                return Err(Error::option("in_flight", in_flight, "from 1 to 65,536"));
            }
            Spread::Pull { .. } | Spread::Policy { .. } => {}
        }
        none("fail_limit", self.limits.fail_limit)?;
        none("success_limit", self.limits.success_limit)?;
        let tries = self.limits.tries_max;
        if !(1..=TRIES_MAX).contains(&tries) {
            return Err(Error::option("tries", tries, "from 1 to 1,000"));
        }
        check_timeout(self.timeout)
    }
}

/// The earlier of both.
pub(super) fn by(timeout: Option<Duration>, deadline: Option<Instant>) -> Option<Instant> {
    let timeout = timeout.map(|timeout| Instant::now() + timeout);
    let inherited = crate::deadline::current();
    [timeout, deadline, inherited].into_iter().flatten().min()
}

pub(super) fn check_timeout(timeout: Option<Duration>) -> Result<(), Error> {
    match timeout {
        Some(timeout) if !(Duration::from_millis(1)..=TIMEOUT_MAX).contains(&timeout) => {
            let value = format!("{timeout:?}");
            Err(Error::option("timeout", value, "from 1 ms to a year"))
        }
        _ => Ok(()),
    }
}

impl<T, C> fmt::Debug for Scatter<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scatter")
            .field("limits", &self.limits)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
