//! The loop of a scatter: call what is to be called, wait for whichever ends first, take it.
//!
//! # Invariants
//!
//! 1. However it ends, no call is left in flight: by limits, deadline, cancel, drop or a panic.
//!    (tests `a_panic_in_a_programs_closure_leaves_nothing_behind`,
//!    `what_is_over_is_cancelled_at_its_nodes`)
//! 2. Every task that was drawn has one fate. (held by `machine::Scatter`, and by `gather`, which
//!    asks it for each)

use std::fmt;
use std::time::{Duration, Instant};

use super::broadcast::ran_of;
use super::options::{Scatter, Watcher};
use super::progress::{Canceller, Progress, Share};
use super::told::{Fate, Gathered, Told};
use crate::client::{Answer, Calls, Node, NodeState, Pending, Together, Waited};
use crate::machine::{
    Again, Over, Scatter as Machine, Standing, Step, TaskEnd, TaskFailure, TaskState, TaskThen,
    Time,
};
use crate::{CallError, Code, Error};

/// A task that takes so long is worth a look at its node's load.
const LONG: Duration = Duration::from_millis(1);

/// How a task is called.
type Calling<'p, T, C, R, E> = Box<dyn FnMut(&C, &T) -> Result<Pending<R, E>, CallError<E>> + 'p>;

/// One node, and the client that calls it alone.
struct Place<C> {
    node: Node,
    client: C,
}

/// A scatter whose result is asked for: in order by [`gather`](Self::gather), folded by
/// [`merge`](Self::merge), or as the tasks end, by iterating.
///
/// Nothing is called before; while it is iterated, only within `next`. Dropping it cancels what is
/// in flight.
#[must_use = "nothing is called before the result is asked for"]
pub struct Running<'p, T, C, R, E = std::convert::Infallible> {
    machine: Machine,
    source: Box<dyn Iterator<Item = T> + 'p>,
    call: Calling<'p, T, C, R, E>,
    progress: Option<Watcher<'p>>,
    canceller: Option<Canceller>,
    /// Calls wherever the policy says.
    client: C,
    places: Vec<Place<C>>,
    shares: Vec<Share>,
    /// By the tasks' numbers; those that have ended are gone.
    tasks: Vec<Option<T>>,
    took: Vec<Duration>,
    together: Together<(usize, Instant), R, E>,
    deadline: Time,
    began: Instant,
    now: Instant,
    /// What the program gave is being run: if this is found at the next turn, that has panicked.
    within: bool,
    /// Those that failed while it was iterated.
    errors: Vec<(usize, CallError<()>)>,
}

impl<'p, T, C: Calls, R, E> Running<'p, T, C, R, E> {
    pub(super) fn new(
        scatter: Scatter<'p, T, C>,
        deadline: Option<Instant>,
        call: Calling<'p, T, C, R, E>,
    ) -> Result<Self, Error> {
        let (client, mut limits) = (scatter.client, scatter.limits);
        let (now, options) = (Instant::now(), client.options().clone());
        limits.wait_for_ready = client.client().waits_for_ready(&options);
        if let Some(deadline) = deadline {
            limits.deadline = Time::ZERO.after(deadline.saturating_duration_since(now));
        }
        let together = Together::of(client.client());
        client.client().watch_nodes(together.group());
        if let Some(canceller) = &scatter.canceller {
            canceller.rings(together.group());
        }
        let mut running = Running {
            machine: Machine::new(limits),
            source: scatter.source,
            call,
            progress: scatter.progress,
            canceller: scatter.canceller,
            client: match deadline {
                Some(deadline) => client.with(options.earlier(deadline)),
                None => client,
            },
            places: Vec::new(),
            shares: Vec::new(),
            tasks: Vec::new(),
            took: Vec::new(),
            together,
            deadline: limits.deadline,
            began: now,
            now,
            within: false,
            errors: Vec::new(),
        };
        running.look();
        if running.places.is_empty() && !limits.wait_for_ready {
            return Err(Error::EmptyPool);
        }
        Ok(running)
    }

    /// Runs it, and gives what became of each task, in order.
    ///
    /// # Blocking
    ///
    /// Until it is over.
    pub fn gather(mut self) -> Gathered<R, E> {
        let mut fates = Fates::new();
        while let Some((task, end)) = self.advance() {
            fates.put(task, end);
        }
        self.gathered(fates)
    }

    /// Runs it, and merges each value into what is there so far, as they come.
    ///
    /// # Blocking
    ///
    /// Until it is over.
    pub fn merge<A>(mut self, init: A, mut merge: impl FnMut(A, R) -> A) -> (A, Gathered<(), E>) {
        let (mut merged, mut fates) = (init, Fates::new());
        while let Some((task, end)) = self.advance() {
            let end = match end {
                Ok(value) => {
                    merged = merge(merged, value);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            fates.put(task, end);
        }
        (merged, self.gathered(fates))
    }

    /// After it was iterated: what became of each task, without the values and the methods' own
    /// errors, which have been given out. What has not ended is cancelled.
    pub fn finish(mut self) -> Gathered<(), ()> {
        if self.machine.over().is_none() {
            self.machine.cancel();
            // Over at once: but for one that has just ended.
            while self.advance().is_some() {}
        }
        let mut fates = Fates::new();
        for (task, error) in std::mem::take(&mut self.errors) {
            fates.put(task, Err(error));
        }
        for task in 0..self.tasks.len() {
            if self.machine.task(task) == TaskState::Done {
                fates.put(task, Ok(()));
            }
        }
        self.gathered(fates)
    }

    /// Goes on until a task has ended for good, or it is over.
    fn advance(&mut self) -> Option<(usize, Result<R, CallError<E>>)> {
        if std::mem::replace(&mut self.within, true) {
            self.machine.cancel();
        }
        self.now = Instant::now();
        let ended = self.run();
        self.within = false;
        ended
    }

    fn run(&mut self) -> Option<(usize, Result<R, CallError<E>>)> {
        loop {
            if self.canceller.as_ref().is_some_and(Canceller::is_cancelled) {
                self.machine.cancel();
            }
            let ended = match self.machine.next(self.time()) {
                Step::Call { task, node } => self.call(task, node),
                Step::Draw => {
                    match self.source.next() {
                        Some(task) => {
                            self.machine.drew();
                            self.tasks.push(Some(task));
                            self.took.push(Duration::ZERO);
                        }
                        None => self.machine.drew_all(),
                    }
                    self.now = Instant::now();
                    None
                }
                Step::Wait { until } => self.wait(until),
                Step::Over(_) => {
                    self.give_up();
                    return None;
                }
            };
            if ended.is_some() {
                return ended;
            }
        }
    }

    fn time(&self) -> Time {
        Time::ZERO.after(self.now.saturating_duration_since(self.began))
    }

    fn call(
        &mut self,
        task: usize,
        node: Option<usize>,
    ) -> Option<(usize, Result<R, CallError<E>>)> {
        let place = node.and_then(|node| self.places.get(node));
        let client = place.map_or(&self.client, |place| &place.client);
        let given = self.tasks.get(task).and_then(Option::as_ref)?;
        match (self.call)(client, given) {
            Ok(pending) => {
                let began = pending.began();
                self.together.put((task, began), pending);
                None
            }
            Err(error) => {
                let idempotent = false;
                self.failed(task, node, error, idempotent, Duration::ZERO)
            }
        }
    }

    fn wait(&mut self, until: Time) -> Option<(usize, Result<R, CallError<E>>)> {
        let until = match until {
            Time::NEVER => None,
            until => self.began.checked_add(until.since(Time::ZERO)),
        };
        let waited = self.together.wait(until);
        self.now = Instant::now();
        match waited {
            Waited::End(end) => {
                let (task, began) = end.key;
                let took = self.now.saturating_duration_since(began);
                let node = self.place_of(&end.answer);
                match end.end {
                    Ok(value) => self.done(task, node, value, took),
                    Err(error) => self.failed(task, node, error, end.idempotent, took),
                }
            }
            Waited::News => {
                self.look();
                None
            }
            Waited::Time => None,
        }
    }

    fn done(
        &mut self,
        task: usize,
        node: Option<usize>,
        value: R,
        took: Duration,
    ) -> Option<(usize, Result<R, CallError<E>>)> {
        let utilisation = self.utilisation_of(task, took);
        let end = TaskEnd::Done { took, utilisation };
        let then = self.machine.ended(self.time(), task, node, end);
        if let Some(share) = self.share_of(task) {
            share.done += 1;
            share.busy += took;
        }
        self.ended(task, took);
        (then == TaskThen::Done).then_some((task, Ok(value)))
    }

    fn failed(
        &mut self,
        task: usize,
        node: Option<usize>,
        error: CallError<E>,
        idempotent: bool,
        took: Duration,
    ) -> Option<(usize, Result<R, CallError<E>>)> {
        let timed_out = error.code() == Code::DeadlineExceeded;
        if timed_out && self.time() >= self.deadline {
            // It ended with the whole, which says so.
            self.machine.given_up(task, error.ran());
            return None;
        }
        let failure = TaskFailure {
            ran: error.ran(),
            again: match timed_out {
                true => Again::Later,
                false => {
                    let says_when = error
                        .rpc()
                        .is_some_and(|error| error.retry_after().is_some());
                    Again::of_code(error.code().number(), says_when)
                }
            },
            timed_out,
            idempotent,
            retry_after: error.rpc().and_then(|error| error.retry_after()),
        };
        let then = self
            .machine
            .ended(self.time(), task, node, TaskEnd::Failed(failure));
        if let Some(share) = self.share_of(task) {
            share.errors += 1;
        }
        if then == TaskThen::Again {
            log::debug!("task {task} is called again: {}", error.code());
            if let Some(known) = self.took.get_mut(task) {
                *known = took;
            }
            return None;
        }
        self.ended(task, took);
        Some((task, Err(error)))
    }

    /// A task has ended for good.
    fn ended(&mut self, task: usize, took: Duration) {
        if let Some(known) = self.took.get_mut(task) {
            *known = took;
        }
        let given = self.tasks.get_mut(task).and_then(Option::take);
        drop(given);
        let Some(watcher) = &mut self.progress else {
            return;
        };
        for (node, share) in self.shares.iter_mut().enumerate() {
            share.in_flight = self.machine.in_flight_at(node);
        }
        let counts = self.machine.counts();
        watcher(&Progress {
            tasks: in_all(&self.machine, &*self.source),
            drawn: counts.drawn,
            in_flight: counts.in_flight,
            again: counts.again,
            done: counts.done,
            failed: counts.failed,
            elapsed: self.now.saturating_duration_since(self.began),
            last: (task, took),
            nodes: &self.shares,
        });
    }

    /// How busy the node is that has done a task; it is not asked for quick ones.
    fn utilisation_of(&self, task: usize, took: Duration) -> Option<u16> {
        let node = self.machine.at(task).filter(|_| took >= LONG)?;
        let node = &self.places.get(node)?.node;
        self.client.client().utilisation_of(node)
    }

    fn share_of(&mut self, task: usize) -> Option<&mut Share> {
        let node = self.machine.at(task)?;
        self.shares.get_mut(node)
    }

    fn place_of(&self, answer: &Answer) -> Option<usize> {
        let endpoint = answer.node();
        let mut places = self.places.iter();
        places.position(|place| place.node.endpoint() == endpoint)
    }

    /// Looks how the nodes stand.
    fn look(&mut self) {
        let standings = self.client.client().standings();
        for node in 0..self.places.len() {
            self.machine.node(node, Standing::Away);
            self.shares[node].is_up = false;
        }
        for (node, state) in standings {
            let known = self.places.iter().position(|place| place.node == node);
            let at = known.unwrap_or_else(|| self.meet(node));
            self.shares[at].is_up = state == NodeState::Up;
            self.machine.node(
                at,
                match state {
                    NodeState::Up => Standing::Up,
                    NodeState::Connecting => Standing::Hoped,
                    NodeState::Failed | NodeState::Draining | NodeState::Leaving => Standing::Away,
                },
            );
        }
    }

    /// A node that was not in the pool before.
    fn meet(&mut self, node: Node) -> usize {
        let options = self.client.options().clone();
        let options = options.to(&node).wait_for_ready(false);
        self.shares.push(Share {
            endpoint: node.shared_endpoint().clone(),
            is_up: false,
            in_flight: 0,
            done: 0,
            errors: 0,
            busy: Duration::ZERO,
        });
        let client = self.client.with(options);
        self.places.push(Place { node, client });
        self.places.len() - 1
    }

    /// It is over: what is in flight is given up.
    fn give_up(&mut self) {
        let machine = &mut self.machine;
        self.together.give_up(|(task, _), answer| {
            machine.given_up(task, ran_of(answer));
        });
    }

    fn gathered<V, F>(self, mut fates: Fates<V, F>) -> Gathered<V, F> {
        let drawn = self.tasks.len();
        let in_all = in_all(&self.machine, &*self.source).unwrap_or(drawn);
        let fate = |task| match self.machine.task(task) {
            TaskState::NotBegun | TaskState::Fresh => Fate::NotBegun,
            _ => Fate::Cancelled,
        };
        let tasks = (0..in_all).map(|task| {
            let fate = fates.take(task).unwrap_or_else(|| fate(task));
            self.told(task, fate)
        });
        Gathered {
            tasks: tasks.collect(),
            over: self.machine.over().unwrap_or(Over::Cancelled),
        }
    }

    fn told<V, F>(&self, task: usize, fate: Fate<V, F>) -> Told<V, F> {
        let place = self.machine.at(task).and_then(|node| self.places.get(node));
        Told {
            task,
            fate,
            node: place.map(|place| place.node.shared_endpoint().clone()),
            calls: self.machine.calls(task),
            ran: self.machine.ran(task),
            took: self.took.get(task).copied().unwrap_or_default(),
        }
    }
}

/// What has ended, as it ends: done or failed for good. What is cancelled or never begun when it is
/// over is told by [`finish`](Running::finish).
impl<T, C: Calls, R, E> Iterator for Running<'_, T, C, R, E> {
    type Item = Told<R, E>;

    fn next(&mut self) -> Option<Told<R, E>> {
        let (task, end) = self.advance()?;
        let fate = match end {
            Ok(value) => Fate::Done(value),
            Err(error) => {
                let kept = match &error {
                    CallError::Rpc(error) => CallError::Rpc(error.clone()),
                    CallError::Method(_) => CallError::Method(()),
                };
                self.errors.push((task, kept));
                Fate::Failed(error)
            }
        };
        Some(self.told(task, fate))
    }
}

impl<T, C, R, E> fmt::Debug for Running<'_, T, C, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("counts", &self.machine.counts())
            .field("over", &self.machine.over())
            .finish_non_exhaustive()
    }
}

/// Ends, by the tasks' numbers.
struct Fates<R, E>(Vec<Option<Fate<R, E>>>);

impl<R, E> Fates<R, E> {
    fn new() -> Self {
        Fates(Vec::new())
    }

    fn put(&mut self, task: usize, end: Result<R, CallError<E>>) {
        if self.0.len() <= task {
            self.0.resize_with(task + 1, || None);
        }
        if let Some(place) = self.0.get_mut(task) {
            *place = Some(match end {
                Ok(value) => Fate::Done(value),
                Err(error) => Fate::Failed(error),
            });
        }
    }

    fn take(&mut self, task: usize) -> Option<Fate<R, E>> {
        self.0.get_mut(task)?.take()
    }
}

/// How many tasks there are in all, where that is known.
fn in_all<T>(machine: &Machine, source: &dyn Iterator<Item = T>) -> Option<usize> {
    let counts = machine.counts();
    if counts.drawn_all {
        return Some(counts.drawn);
    }
    match source.size_hint() {
        (least, Some(most)) if least == most => counts.drawn.checked_add(least),
        _ => None,
    }
}
