//! The place of one call in flight: what is sent, and where its end is put.
//!
//! # Invariants
//!
//! 1. Whether a thread was woken for an end is counted, and said to whoever takes it: what is
//!    counted up is counted down. (test `an_end_says_whether_a_thread_was_woken_for_it`)
//! 2. An end that goes over a channel, or that nobody will take, is not counted. (test
//!    `an_end_that_nobody_will_take_is_not_counted`)
//! 3. Of what nodes turned a call away with, the last is kept, and goes with its call. (test
//!    `the_last_refusal_is_kept_and_all_are_counted`)

use std::sync::Arc;
use std::time::{Duration, Instant};

use brokerless_patterns::tap::Gate;
use crossbeam_channel::Sender;
use parking_lot::{Mutex, MutexGuard};

use super::answer::Answer;
use super::group::Group;
use super::relay::Relay;
use super::stream::Conduit;
use crate::machine::NodeId;
use crate::metadata::Metadata;
use crate::wire::{Encoding, Flags, Payload};
use crate::{RpcError, Status};

/// The name of what is called.
#[derive(Debug, Clone)]
pub(super) enum Path {
    Static(&'static str),
    Shared(Arc<str>),
}

impl std::ops::Deref for Path {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Path::Static(path) => path,
            Path::Shared(path) => path,
        }
    }
}

/// What a call says: the same each time that it is sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) path: Path,
    pub(super) payload: Payload,
    pub(super) flags: Flags,
    pub(super) encoding: Encoding,
    pub(super) metadata: Option<Arc<Metadata>>,
    /// What it has beside arguments and answer, if it streams: its end goes there.
    pub(super) conduit: Option<Arc<Conduit>>,
    /// Who hears of it, if it is passed on: its end goes there.
    pub(super) relay: Option<Arc<Relay>>,
    /// Programs that have passed it on.
    pub(super) hops: u8,
    /// The only node that it may go to.
    pub(super) only: Option<NodeId>,
    /// The hash of its key.
    pub(super) key: Option<u64>,
    pub(super) began: Instant,
    pub(super) deadline: Instant,
    /// From the one to the other: the time that the call was given.
    pub(super) left: Duration,
}

impl Request {
    /// Whether its end goes into its slot, for whoever waits there.
    pub(super) fn is_plain(&self) -> bool {
        self.relay.is_none() && self.conduit.is_none() && !self.flags.has(Flags::ONEWAY)
    }
}

#[derive(Debug, Default)]
enum Place {
    /// The call is in flight.
    #[default]
    Empty,
    /// In flight, and a thread waits for its end.
    Awaited,
    /// In flight, and waited for with others: where, and at which place.
    Group(Arc<Group>, u32),
    /// In flight, and its end goes over a channel.
    Channel(Sender<Answer>),
    Full {
        answer: Answer,
        /// A thread was woken for it.
        woke: bool,
    },
    /// The end went over a channel: this is the error, if it was one.
    Given(Option<RpcError>),
    Taken,
}

impl Place {
    /// In flight, and at most a thread waits for its end.
    fn is_bare(&self) -> bool {
        matches!(self, Place::Empty | Place::Awaited)
    }
}

/// What is left of a call that its caller lets go.
#[derive(Debug)]
pub(super) enum Left {
    /// Its end, which nobody has seen; and whether a thread was woken for it.
    End(Answer, bool),
    /// Its end went over a channel: this is the error, if it was one.
    Given(Option<RpcError>),
    /// Its end has not been put here yet, and never will be; or it is known already.
    Nothing,
}

/// What the last node that turned a call away said, where the call goes on.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) node: Arc<str>,
    pub(super) status: Status,
    /// How often the call was turned away, by whatever node.
    pub(super) times: u32,
}

/// One call in flight. The table of calls holds it, and whoever waits for it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) request: Request,
    place: Mutex<Place>,
    /// Boxed, as next to no call has one.
    refusal: Mutex<Option<Box<Refusal>>>,
    pub(super) gate: Gate,
}

impl Slot {
    #[inline(always)]
    pub(super) fn new(request: Request) -> Self {
        Slot {
            request,
            place: Mutex::default(),
            refusal: Mutex::default(),
            gate: Gate::new(),
        }
    }

    /// A node turned the call away, and it goes on.
    pub(super) fn refused(&self, node: Arc<str>, status: Status) {
        let mut refusal = self.refusal.lock();
        let before = refusal.as_ref().map_or(0, |refusal| refusal.times);
        *refusal = Some(Box::new(Refusal {
            node,
            status,
            times: before.saturating_add(1),
        }));
    }

    /// What the last node said that turned it away.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().as_deref().cloned()
    }

    /// Puts the end in its place as [`complete`](Self::complete) does, if at most a thread waits for
    /// it there; else it comes back.
    pub(super) fn complete_waiting(
        &self,
        answer: Answer,
        count: impl FnOnce(bool),
    ) -> Option<Answer> {
        let place = self.place.lock();
        if !place.is_bare() {
            return Some(answer);
        }
        self.fill(place, answer, count);
        None
    }

    #[inline]
    fn fill(&self, mut place: MutexGuard<'_, Place>, answer: Answer, count: impl FnOnce(bool)) {
        let woke = matches!(&*place, Place::Awaited);
        count(woke);
        *place = Place::Full { answer, woke };
        drop(place);
        self.gate.wake(1);
    }

    /// Puts the end in its place, and wakes who waits for it. Before anybody can take it, `count`
    /// hears whether a thread is woken; it hears nothing if the end goes over a channel, or nobody
    /// will take it.
    pub(super) fn complete(&self, answer: Answer, count: impl FnOnce(bool)) {
        let sender = {
            let mut place = self.place.lock();
            // Not moved out and back: an end is large.
            if place.is_bare() {
                return self.fill(place, answer, count);
            }
            match std::mem::take(&mut *place) {
                Place::Channel(sender) => {
                    *place = Place::Given(answer.payload().err());
                    Some(sender)
                }
                Place::Group(group, at) => {
                    group.ended(at, |woke| {
                        count(woke);
                        *place = Place::Full { answer, woke };
                    });
                    return;
                }
                // Not given out twice by the table; but its caller may have let it go meanwhile.
                other => {
                    *place = other;
                    None
                }
            }
        };
        if let Some(sender) = sender {
            // It has room for the one; nobody may hold the other end any more.
            drop(sender.try_send(answer));
        }
    }

    /// The end, once; and whether a thread was woken for it. If it is not there, this thread is
    /// about to wait for it.
    pub(super) fn take_or_await(&self) -> Option<(Answer, bool)> {
        self.take_or(|place| {
            if matches!(place, Place::Empty) {
                *place = Place::Awaited;
            }
        })
    }

    /// The end, once; and whether a thread was woken for it. If it is not there, this thread waits
    /// for it no longer.
    pub(super) fn take_or_leave(&self) -> Option<(Answer, bool)> {
        self.take_or(|place| {
            if matches!(place, Place::Awaited) {
                *place = Place::Empty;
            }
        })
    }

    /// The end, once; and whether a thread was woken for it.
    pub(super) fn take(&self) -> Option<(Answer, bool)> {
        self.take_or(|_| {})
    }

    #[inline]
    fn take_or(&self, or: impl FnOnce(&mut Place)) -> Option<(Answer, bool)> {
        let mut place = self.place.lock();
        if !matches!(&*place, Place::Full { .. }) {
            or(&mut place);
            return None;
        }
        match std::mem::replace(&mut *place, Place::Taken) {
            Place::Full { answer, woke } => Some((answer, woke)),
            _ => None,
        }
    }

    /// Lets the end be waited for with others, also if it is there already. False if it has been
    /// given out.
    pub(super) fn join(&self, group: &Arc<Group>, at: u32) -> bool {
        let mut place = self.place.lock();
        match &*place {
            Place::Full { .. } => group.ended(at, |_| {}),
            Place::Empty | Place::Awaited | Place::Group(..) | Place::Channel(_) => {
                *place = Place::Group(group.clone(), at);
            }
            Place::Given(_) | Place::Taken => return false,
        }
        true
    }

    /// The end is waited for by itself again. False if it has been given out.
    pub(super) fn part(&self) -> bool {
        let mut place = self.place.lock();
        match &*place {
            Place::Group(..) => *place = Place::Empty,
            Place::Empty | Place::Awaited | Place::Channel(_) | Place::Full { .. } => {}
            Place::Given(_) | Place::Taken => return false,
        }
        true
    }

    /// Its caller lets the call go: an end that comes from now on is nobody's.
    pub(super) fn let_go(&self) -> Left {
        match std::mem::replace(&mut *self.place.lock(), Place::Taken) {
            Place::Full { answer, woke } => Left::End(answer, woke),
            Place::Given(error) => Left::Given(error),
            Place::Empty | Place::Awaited | Place::Group(..) | Place::Channel(_) | Place::Taken => {
                Left::Nothing
            }
        }
    }

    /// Lets the end go over a channel; at once, if it is there: then it is said whether a thread
    /// was woken for it.
    pub(super) fn divert(&self, sender: Sender<Answer>) -> Option<bool> {
        let mut place = self.place.lock();
        match std::mem::take(&mut *place) {
            Place::Full { answer, woke } => {
                *place = Place::Given(answer.payload().err());
                drop(place);
                drop(sender.try_send(answer));
                return Some(woke);
            }
            done @ (Place::Taken | Place::Given(_)) => *place = done,
            Place::Empty | Place::Awaited | Place::Group(..) | Place::Channel(_) => {
                *place = Place::Channel(sender);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ran, Status};

    fn slot() -> Slot {
        Slot::new(Request {
            path: Path::Static("a.b"),
            payload: Payload::raw(Vec::new()),
            flags: Flags::empty(),
            encoding: Encoding::Raw,
            metadata: None,
            conduit: None,
            relay: None,
            hops: 0,
            only: None,
            key: None,
            began: Instant::now(),
            deadline: Instant::now(),
            left: Duration::ZERO,
        })
    }

    fn end() -> Answer {
        Answer::ended(RpcError::new(Status::internal("an end"), Ran::Yes))
    }

    /// What is counted when an end comes.
    fn counted(slot: &Slot) -> Option<bool> {
        let mut counted = None;
        slot.complete(end(), |woke| counted = Some(woke));
        counted
    }

    fn woke(taken: Option<(Answer, bool)>) -> Option<bool> {
        taken.map(|(_, woke)| woke)
    }

    #[test]
    fn the_last_refusal_is_kept_and_all_are_counted() {
        let slot = slot();
        assert!(slot.refusal().is_none());
        for (node, why) in [("a", "busy"), ("b", "full")] {
            slot.refused(node.into(), Status::resource_exhausted(why));
        }
        let last = slot.refusal().expect("two");
        let told = (&*last.node, last.status.message(), last.times);
        assert_eq!(told, ("b", "full", 2));
    }

    #[test]
    fn an_end_says_whether_a_thread_was_woken_for_it() {
        let begun = slot();
        assert_eq!(counted(&begun), Some(false), "nobody waits");
        assert_eq!(woke(begun.take_or_await()), Some(false));
        assert_eq!(woke(begun.take()), None, "it is given once");

        let awaited = slot();
        assert!(awaited.take_or_await().is_none());
        assert_eq!(counted(&awaited), Some(true));
        assert_eq!(woke(awaited.take()), Some(true));

        let looked_for = slot();
        assert!(looked_for.take_or_await().is_none() && looked_for.take_or_leave().is_none());
        assert_eq!(counted(&looked_for), Some(false), "nobody waits any more");
        assert_eq!(woke(looked_for.take_or_leave()), Some(false));
    }

    #[test]
    fn an_end_that_nobody_will_take_is_not_counted() {
        let let_go = slot();
        assert!(matches!(let_go.let_go(), Left::Nothing));
        assert_eq!(counted(&let_go), None);
        assert!(let_go.take().is_none());

        let diverted = slot();
        let (sender, receiver) = crossbeam_channel::bounded(1);
        assert_eq!(diverted.divert(sender), None);
        assert_eq!(counted(&diverted), None);
        assert!(receiver.try_recv().is_ok());
        assert!(matches!(diverted.let_go(), Left::Given(Some(_))));
    }
}
