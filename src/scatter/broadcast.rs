//! Every node once.

use std::fmt;
use std::time::{Duration, Instant};

use super::options::{by, check_timeout};
use super::progress::Canceller;
use super::told::{Fate, Gathered, Told};
use crate::client::{Answer, Calls, Node, Pending, Together, Waited};
use crate::machine::Over;
use crate::{CallError, Error, Ran};

/// Calls every node of a client's pool once, all at the same time.
///
/// The number of a task is that of its node, in the order in which they were added. A node that
/// cannot be reached, drains or leaves is called as little as with
/// [`Call::to`](crate::client::Call::to): its task has failed with `UNAVAILABLE`, not run.
///
/// ```
/// use brokerless::scatter;
///
/// #[brokerless::service(name = "caches.v1")]
/// trait Caches {
///     fn forget(&self, key: &str) -> bool;
/// }
/// # struct Cache;
/// # impl Caches for Cache {
/// #     fn forget(&self, key: &str) -> bool {
/// #         !key.is_empty()
/// #     }
/// # }
/// # let serve = |name| brokerless::Server::builder().service(CachesServer::new(Cache)).bind(name);
/// # let names = ["inproc://caches-1", "inproc://caches-2"];
/// # let servers = [serve(names[0])?, serve(names[1])?];
///
/// let pool = CachesClient::connect(names)?;
/// let told = scatter::broadcast(&pool).run(|cache| cache.begin().forget("key"))?.gather();
/// for told in told.tasks() {
///     println!("{:?}: {:?}", told.node, told.fate);
/// }
/// # assert_eq!(told.into_values()?, [true, true]);
/// # drop(servers);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn broadcast<C: Calls>(client: &C) -> Broadcast<C> {
    Broadcast {
        client: client.clone(),
        timeout: None,
        deadline: None,
        canceller: None,
    }
}

/// A broadcast that has not begun.
#[must_use]
pub struct Broadcast<C> {
    client: C,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    canceller: Option<Canceller>,
}

impl<C: Calls> Broadcast<C> {
    /// How long the calls may take together. The deadline of a call that this thread serves holds
    /// where it is earlier. 1 ms to a year. Default: each call has its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same, as an instant; the earlier holds where there is a timeout, too.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Lets another thread end it.
    pub fn cancelled_by(mut self, canceller: &Canceller) -> Self {
        self.canceller = Some(canceller.clone());
        self
    }

    /// Begins a call at each node.
    ///
    /// # Errors
    ///
    /// If an option is out of its bounds, or the pool is empty. Nothing was called.
    pub fn run<R, E>(
        self,
        mut call: impl FnMut(&C) -> Result<Pending<R, E>, CallError<E>>,
    ) -> Result<Broadcasting<R, E>, Error> {
        check_timeout(self.timeout)?;
        let deadline = by(self.timeout, self.deadline);
        let nodes = self.client.client().nodes();
        if nodes.is_empty() {
            return Err(Error::EmptyPool);
        }
        let mut together = Together::of(self.client.client());
        if let Some(canceller) = &self.canceller {
            canceller.rings(together.group());
        }
        let mut failed = Vec::new();
        for (task, node) in nodes.iter().enumerate() {
            let mut options = self.client.options().clone().to(node);
            if let Some(deadline) = deadline {
                options = options.earlier(deadline);
            }
            match call(&self.client.with(options)) {
                Ok(pending) => together.put((task, pending.began()), pending),
                Err(error) => failed.push((task, error)),
            }
        }
        failed.reverse();
        Ok(Broadcasting {
            nodes,
            together,
            failed,
            given_up: Vec::new(),
            canceller: self.canceller,
            over: Over::Complete,
        })
    }
}

impl<C> fmt::Debug for Broadcast<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A call at each node, whose ends are asked for: in the order of the nodes by
/// [`gather`](Self::gather), or as they come, by iterating. Dropping it cancels those that are left.
#[must_use = "dropping it cancels the calls"]
pub struct Broadcasting<R, E = std::convert::Infallible> {
    nodes: Vec<Node>,
    together: Together<(usize, Instant), R, E>,
    /// Calls that could not be begun.
    failed: Vec<(usize, CallError<E>)>,
    /// Calls that were given up: whether they have run.
    given_up: Vec<(usize, Ran)>,
    canceller: Option<Canceller>,
    over: Over,
}

impl<R, E> Broadcasting<R, E> {
    /// Waits for all of them: the fate of each node's call, in the order of the nodes.
    ///
    /// # Blocking
    ///
    /// Until all calls have ended: by their deadlines at the latest.
    pub fn gather(mut self) -> Gathered<R, E> {
        let mut tasks: Vec<Told<R, E>> = (&mut self).collect();
        let cancelled = std::mem::take(&mut self.given_up);
        tasks.extend(
            cancelled
                .into_iter()
                .map(|(task, ran)| self.told(task, Fate::Cancelled, ran, Duration::ZERO)),
        );
        tasks.sort_by_key(|told| told.task);
        let over = self.over;
        Gathered { tasks, over }
    }

    fn told(&self, task: usize, fate: Fate<R, E>, ran: Ran, took: Duration) -> Told<R, E> {
        let node = self.nodes.get(task);
        Told {
            task,
            fate,
            node: node.map(|node| node.shared_endpoint().clone()),
            calls: 1,
            ran,
            took,
        }
    }
}

/// The ends, as they come. What was cancelled is told by `gather` only.
impl<R, E> Iterator for Broadcasting<R, E> {
    type Item = Told<R, E>;

    fn next(&mut self) -> Option<Told<R, E>> {
        loop {
            if let Some((task, error)) = self.failed.pop() {
                let ran = error.ran();
                return Some(self.told(task, Fate::Failed(error), ran, Duration::ZERO));
            }
            if self.together.is_empty() {
                return None;
            }
            if self.canceller.as_ref().is_some_and(Canceller::is_cancelled) {
                self.over = Over::Cancelled;
                let given_up = &mut self.given_up;
                let put = |(task, _), answer: &Answer| given_up.push((task, ran_of(answer)));
                self.together.give_up(put);
                return None;
            }
            if let Waited::End(end) = self.together.wait(None) {
                let (task, began) = end.key;
                let ran = ran_of(&end.answer);
                let fate = match end.end {
                    Ok(value) => Fate::Done(value),
                    Err(error) => Fate::Failed(error),
                };
                return Some(self.told(task, fate, ran, began.elapsed()));
            }
        }
    }
}

/// Whether a call has run, by what it came to.
pub(super) fn ran_of(answer: &Answer) -> Ran {
    match answer.payload() {
        Ok(_) => Ran::Yes,
        Err(error) => error.ran(),
    }
}

impl<R, E> fmt::Debug for Broadcasting<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcasting")
            .field("nodes", &self.nodes)
            .field("left", &self.together.len())
            .finish_non_exhaustive()
    }
}
