//! Waiting for any of many calls in flight.
//!
//! The waiting thread leads the engine, as it does when it waits for a single call: there is no
//! channel, and no other thread in between. Each call goes by a key of the program's.
//!
//! # Invariants
//!
//! 1. Each call that is put in comes out once, with its end, or is cancelled when all is dropped.
//!    (tests `each_of_many_calls_comes_out_once_as_it_ends`,
//!    `what_is_dropped_together_is_cancelled`)
//! 2. A call's end comes by its deadline, whatever the others do. (test
//!    `each_of_many_calls_ends_by_its_own_deadline`)
//!
//! # Not here
//!
//! Where an end is put, and who is woken for it (`slot`, `group`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::group::{Group, Next};
use super::pending::Pending;
use super::{Client, core::Core};
use crate::CallError;

/// Calls in flight, of which whichever ends first is waited for.
///
/// Calls of several clients may be together; those of the first one's engine are the quickest to
/// come out. Dropping it cancels the calls that are left.
///
/// ```
/// use brokerless::client::Together;
///
/// #[brokerless::service(name = "twice.v1")]
/// trait Twice {
///     fn twice(&self, x: u64) -> u64;
/// }
/// # struct Handler;
/// # impl Twice for Handler {
/// #     fn twice(&self, x: u64) -> u64 {
/// #         2 * x
/// #     }
/// # }
/// # let server = brokerless::Server::builder().service(TwiceServer::new(Handler)).bind("inproc://together")?;
///
/// let client = TwiceClient::connect("inproc://together")?;
/// let mut calls = Together::new();
/// for x in 0..10 {
///     calls.put(x, client.begin().twice(x)?);
/// }
/// while let Some((x, twice)) = calls.wait_any() {
///     assert_eq!(twice?, 2 * x);
/// }
/// # drop(server);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Together<K, T, E = std::convert::Infallible> {
    group: Arc<Group>,
    /// Whose engine is led.
    client: Option<Client>,
    /// Calls of several clients are here.
    mixed: bool,
    places: Vec<Option<Entry<K, T, E>>>,
    free: Vec<u32>,
    /// No call here has its deadline before.
    earliest: Option<Instant>,
    /// Those whose deadline has passed, to be given out.
    expired: Vec<u32>,
}

struct Entry<K, T, E> {
    key: K,
    pending: Pending<T, E>,
}

/// The end of one call.
pub(crate) struct End<K, T, E> {
    pub(crate) key: K,
    /// What came back, or what it ended with on this side.
    pub(crate) answer: Answer,
    /// What that means.
    pub(crate) end: Result<T, CallError<E>>,
    /// To call again does no harm.
    pub(crate) idempotent: bool,
}

impl<K, T, E> Entry<K, T, E> {
    fn end(self, answer: Answer) -> Waited<K, T, E> {
        let end = self.pending.read(&answer);
        Waited::End(End {
            key: self.key,
            answer,
            end,
            idempotent: self.pending.is_idempotent(),
        })
    }
}

/// What waiting came to.
pub(crate) enum Waited<K, T, E> {
    /// A call has ended.
    End(End<K, T, E>),
    /// The bell was rung.
    News,
    /// The time is over.
    Time,
}

impl<K, T, E> Together<K, T, E> {
    /// None yet.
    pub fn new() -> Self {
        Together {
            group: Arc::default(),
            client: None,
            mixed: false,
            places: Vec::new(),
            free: Vec::new(),
            earliest: None,
            expired: Vec::new(),
        }
    }

    /// None yet; waiting leads this client's engine.
    pub(crate) fn of(client: &Client) -> Self {
        Together {
            client: Some(client.clone()),
            ..Self::new()
        }
    }

    /// What wakes the waiting thread for other reasons than an end.
    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Adds a call, whether it has ended or not. The same key may stand for several.
    ///
    /// One whose end has been given out already comes out as that error.
    pub fn put(&mut self, key: K, pending: Pending<T, E>) {
        match &self.client {
            None => self.client = Some(pending.client().clone()),
            Some(client) if !client.is_same(pending.client()) => self.mixed = true,
            Some(_) => {}
        }
        let deadline = pending.begun().deadline();
        if self.earliest.is_none_or(|earliest| deadline < earliest) {
            self.earliest = Some(deadline);
        }
        let at = self.free.pop().unwrap_or(self.places.len() as u32);
        if !pending.join(&self.group, at) {
            self.expired.push(at);
        }
        let entry = Some(Entry { key, pending });
        match self.places.get_mut(at as usize) {
            Some(place) => *place = entry,
            None => self.places.push(entry),
        }
    }

    /// Calls that have not come out yet.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether all have come out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until any of the calls has ended; gives its key and its end, in the order in which
    /// they ended. None if no call is left.
    ///
    /// # Errors
    ///
    /// Within the end: what kept the call from its answer, or the method's own error.
    ///
    /// # Blocking
    ///
    /// By the earliest deadline of the calls at the latest.
    pub fn wait_any(&mut self) -> Option<(K, Result<T, CallError<E>>)> {
        self.any_until(None)
    }

    /// Waits, but no longer than this; `None` if none has ended by then, or none is left.
    pub fn wait_any_timeout(&mut self, timeout: Duration) -> Option<(K, Result<T, CallError<E>>)> {
        self.any_until(Some(Instant::now() + timeout.min(super::core::FAR)))
    }

    /// One that has ended, if there is one.
    pub fn try_any(&mut self) -> Option<(K, Result<T, CallError<E>>)> {
        self.wait_any_timeout(Duration::ZERO)
    }

    fn any_until(&mut self, until: Option<Instant>) -> Option<(K, Result<T, CallError<E>>)> {
        while !self.is_empty() {
            match self.wait(until) {
                Waited::End(end) => return Some((end.key, end.end)),
                Waited::News => {}
                Waited::Time => return None,
            }
        }
        None
    }

    /// Waits for an end, or for news; also where there is no call.
    pub(crate) fn wait(&mut self, until: Option<Instant>) -> Waited<K, T, E> {
        loop {
            if let Some(at) = self.expired.pop() {
                if let Some(mut entry) = self.vacate(at) {
                    let answer = entry.pending.give_out();
                    return entry.end(answer);
                }
                continue;
            }
            let Some(next) = self.next_event(until) else {
                let now = Instant::now();
                if self.earliest.is_some_and(|earliest| earliest <= now) {
                    self.expire(now);
                }
                if self.expired.is_empty() && until.is_some_and(|until| until <= now) {
                    return Waited::Time;
                }
                continue;
            };
            match next {
                Next::News => return Waited::News,
                Next::End(at) => {
                    let place = self.places.get_mut(at as usize);
                    let entry = place.and_then(Option::as_mut);
                    // What is not there was meant for one that has come out by its deadline.
                    let Some(answer) = entry.and_then(|entry| entry.pending.take_put()) else {
                        continue;
                    };
                    if let Some(entry) = self.vacate(at) {
                        return entry.end(answer);
                    }
                }
            }
        }
    }

    /// The next that is there, by the time or the earliest deadline.
    fn next_event(&mut self, until: Option<Instant>) -> Option<Next> {
        let found = self.group.next_or_await();
        if found.is_some() {
            return found;
        }
        let until = [until, self.earliest].into_iter().flatten().min();
        match &self.client {
            Some(client) => client.core().wait_at(&self.group, self.mixed, until),
            None => self.group.next(),
        }
    }

    /// Finds those whose deadline has passed, and the earliest of the others.
    fn expire(&mut self, now: Instant) {
        self.earliest = None;
        for (at, place) in self.places.iter().enumerate() {
            let Some(entry) = place else { continue };
            let deadline = entry.pending.begun().deadline();
            if deadline <= now {
                self.expired.push(at as u32);
            } else if self.earliest.is_none_or(|earliest| deadline < earliest) {
                self.earliest = Some(deadline);
            }
        }
        // The last is taken first.
        self.expired.reverse();
    }

    fn vacate(&mut self, at: u32) -> Option<Entry<K, T, E>> {
        let entry = self.places.get_mut(at as usize)?.take()?;
        self.free.push(at);
        Some(entry)
    }

    /// Gives up every call that is left.
    pub fn clear(&mut self) {
        self.expired.clear();
        self.free.clear();
        self.earliest = None;
        self.places.clear();
        // What has come meanwhile is nobody's.
        while self.group.next().is_some() {}
    }

    /// Takes out the calls that are left, with what they came to if they are given up.
    pub(crate) fn give_up(&mut self, mut each: impl FnMut(K, &Answer)) {
        for mut entry in self.places.drain(..).flatten() {
            let answer = entry.pending.give_up();
            each(entry.key, &answer);
        }
        self.clear();
    }
}

impl Core {
    /// Waits at a group's gate, leading this client's engine.
    pub(super) fn wait_at(
        &self,
        group: &Group,
        mixed: bool,
        until: Option<Instant>,
    ) -> Option<Next> {
        let drive = match mixed {
            true => brokerless_patterns::tap::Drive::Engine,
            false => self.drive(),
        };
        self.engine.flush();
        let others = || self.is_among_woken();
        let found = group
            .gate
            .wait_among(&self.engine, drive, until, others, || group.next_or_await());
        found.or_else(|| group.next())
    }
}

impl<K, T, E> Default for Together<K, T, E> {
    fn default() -> Self {
        Self::new()
    }
}

/// The ends, as they come.
impl<K, T, E> Iterator for Together<K, T, E> {
    type Item = (K, Result<T, CallError<E>>);

    fn next(&mut self) -> Option<Self::Item> {
        self.wait_any()
    }
}

impl<K: fmt::Debug, T, E> fmt::Debug for Together<K, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.places.iter().flatten().map(|entry| &entry.key);
        f.debug_list().entries(keys).finish()
    }
}
