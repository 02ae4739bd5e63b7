//! The iterator of a method that sends items: opened and driven by workers, in turns.
//!
//! ```text
//! open ──► turn: TURN_ITEMS or more, while there is room ──► again: at the end of the pool's queue
//!             ▲                     │ none left
//!             └── window ── parked ◄┘
//! ```
//!
//! Within a turn small items are made in runs, without the stream's lock: `strip.rs`.
//!
//! # Invariants
//!
//! 1. Streams of one pool are driven in turn, so that none starves. (test
//!    `a_thousand_streams_are_served_fairly_by_four_workers`)
//! 2. A panic in an iterator ends its stream with `INTERNAL`, and nothing else. (test
//!    `a_panic_in_an_iterator_ends_its_stream_and_nothing_else`)
//! 3. An iterator whose stream is cut off is dropped by a worker. (test
//!    `an_iterator_is_dropped_on_a_worker_whatever_ends_it`)

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brokerless_patterns::Message;
use self_cell::self_cell;

use super::outgoing::ALONE;
use super::strip::{ITEM_BYTES_MAX, Run, Strip};
use super::{Giving, Over, Stream};
use crate::deadline::Scope;
use crate::machine::Flow;
use crate::server::answer;
use crate::server::call::Work;
use crate::server::intercept::Handler;
use crate::server::methods::Place;
use crate::server::pool::Waiting;
use crate::server::serve::{Shared, discard};
use crate::server::stats::Count;
use crate::service::{Outcome, Produce, Produced, Request, Service};
use crate::status::Status;
use crate::wire::{Encoder, Encoding, Payload};

/// Items of a turn: that many again, while it has taken no longer than [`TURN_TIME`].
const TURN_ITEMS: u32 = 64;
/// Bytes of one.
const TURN_BYTES: usize = 64 * 1024;
/// Bytes of one with large items: these are written together.
const TURN_BYTES_LARGE: usize = 256 * 1024;
/// What a turn may take to be worth its place in the queue.
const TURN_TIME: Duration = Duration::from_micros(100);

type Boxed<'s> = Box<dyn Produce + 's>;

self_cell!(
    /// What a method's items come from, with the service that it borrows from.
    pub(super) struct Producer {
        owner: Arc<dyn Service>,
        #[covariant]
        dependent: Boxed,
    }
);

/// A method that is opened, as interceptors see it: what it gives is kept aside, and
/// [`Outcome::Later`] stands for it.
pub(in crate::server) struct Opening<'s> {
    service: &'s dyn Service,
    index: usize,
    opened: RefCell<Option<Boxed<'s>>>,
}

impl Handler for Opening<'_> {
    fn run(&self, request: Request<'_>) -> Outcome {
        match self.service.open(self.index, request) {
            Ok(items) => {
                *self.opened.borrow_mut() = Some(items);
                Outcome::Later
            }
            Err(outcome) => outcome,
        }
    }
}

/// An item that takes no longer than this is made in less time than it takes to send it;
const QUICK: Duration = Duration::from_micros(2);
/// and to set out takes as long as so many of them. Else one that was slow once would never be quick
/// again: its items are made one by one, and each would pay for that. One that takes items, too, may
/// have waited for them.
const SETTING_OUT: u32 = 4;

/// How far a turn has come.
struct Pace {
    begun: Instant,
    items: u32,
    bytes: usize,
    over: bool,
    /// The last item goes alone.
    large: bool,
    /// What was made last was made quickly.
    quick: Option<bool>,
    /// Items that it takes as long as to set out.
    setting_out: u32,
}

impl Pace {
    fn new(begun: Instant, takes: bool) -> Self {
        Pace {
            begun,
            items: 0,
            bytes: 0,
            over: false,
            large: false,
            quick: None,
            setting_out: if takes { 0 } else { SETTING_OUT },
        }
    }

    /// So many items, in all, had been made at a time; now there are more.
    fn took(&mut self, items: u32, since: Instant) {
        let made = self.items - items;
        self.quick = Some(since.elapsed() <= QUICK * (made + self.setting_out));
    }

    #[inline]
    fn made(&mut self, bytes: usize) {
        self.items += 1;
        self.bytes += bytes;
        if self.items.is_multiple_of(TURN_ITEMS) {
            self.look();
        }
    }

    fn look(&mut self) {
        self.over = self.begun.elapsed() >= TURN_TIME;
    }

    #[inline]
    fn goes_on(&self) -> bool {
        let bytes_max = match self.large {
            true => TURN_BYTES_LARGE,
            false => TURN_BYTES,
        };
        !self.over && self.bytes < bytes_max
    }
}

/// What a turn came to.
enum Turn {
    /// There is no room: a window brings it back.
    Parked,
    /// Others are next.
    Again,
    /// It has ended. What is left of it is dropped.
    Ended(Producer, Outcome),
}

impl Shared {
    /// Runs a call that carries items, and has begun.
    pub(in crate::server) fn run_stream(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        message: &Message,
        begun: Instant,
    ) {
        self.counts.tally.opened();
        if !self.join(stream) {
            // Nobody is there to answer.
            let cancelled = Outcome::failed(Over::Gone.status());
            return self.end_stream(stream, cancelled);
        }
        if stream.info.items_out.is_some() {
            return self.open(stream, message, begun);
        }
        let Stream { session, call, .. } = &**stream;
        let Some(method) = self.methods.get(call.method) else {
            return self.end_stream(stream, Outcome::failed(no_method()));
        };
        method.calls.fetch_add(1, Ordering::Relaxed);
        let (outcome, deferred) = self.execute(session, call, message, Some(stream), method);
        let took = begun.elapsed();
        method.learned.ran(took);
        stream.spent(took);
        if !deferred {
            self.end_stream(stream, outcome);
        }
    }

    /// Opens a stream, and drives it for its first turn.
    fn open(self: &Arc<Self>, stream: &Arc<Stream>, message: &Message, begun: Instant) {
        let Stream { session, call, .. } = &**stream;
        let Some(method) = self.methods.get(call.method) else {
            return self.end_stream(stream, Outcome::failed(no_method()));
        };
        method.calls.fetch_add(1, Ordering::Relaxed);
        let opened = Producer::try_new(method.service.clone(), |service| {
            let opening = Opening {
                service: &**service,
                index: method.index,
                opened: RefCell::new(None),
            };
            let (outcome, deferred) =
                self.execute_as(session, call, message, Some(stream), method, &opening);
            match (opening.opened.into_inner(), outcome) {
                (Some(items), Outcome::Later) => Ok(items),
                (items, outcome) => {
                    // An interceptor has said otherwise. A panic in what it dropped is nobody's.
                    let _ = drop_quietly(items);
                    Err(Box::new((outcome, deferred)))
                }
            }
        });
        let took = begun.elapsed();
        stream.spent(took);
        match opened {
            Ok(producer) => self.drive(stream, producer),
            Err(ended) => {
                let (outcome, deferred) = *ended;
                method.learned.ran(took);
                // Else somebody else answers.
                if !deferred {
                    self.end_stream(stream, outcome);
                }
            }
        }
    }

    /// A stream's turn.
    pub(in crate::server) fn turn(self: &Arc<Self>, stream: &Arc<Stream>) {
        let taken = stream.lock().outgoing.as_mut().and_then(Giving::take);
        if let Some(producer) = taken {
            self.drive(stream, producer);
        }
    }

    fn drive(self: &Arc<Self>, stream: &Arc<Stream>, producer: Producer) {
        let begun = Instant::now();
        let scope = Scope::enter(stream.call.deadline);
        let turn = self.drive_for_a_turn(stream, producer, begun);
        if let Turn::Ended(producer, outcome) = turn {
            let outcome = match drop_quietly(producer) {
                Ok(()) => outcome,
                Err(()) => self.panicked(stream),
            };
            drop(scope);
            self.took_a_turn(stream, begun);
            return self.end_stream(stream, outcome);
        }
        drop(scope);
        self.took_a_turn(stream, begun);
        match turn {
            Turn::Again => self.add(stream),
            Turn::Parked => self.watch_parked(stream),
            Turn::Ended(..) => {}
        }
    }

    fn took_a_turn(&self, stream: &Stream, begun: Instant) {
        let took = begun.elapsed();
        stream.spent(took);
        if let Some(method) = self.methods.get(stream.call.method) {
            method.learned.ran(took);
        }
    }

    fn drive_for_a_turn(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        mut producer: Producer,
        begun: Instant,
    ) -> Turn {
        if begun >= stream.call.deadline {
            self.cut(stream, Over::Deadline);
        }
        let mut pace = Pace::new(begun, stream.info.items_in.is_some());
        let mut made = None;
        loop {
            let (step, sends) = self.step(stream, producer, made.take(), &pace);
            if sends {
                self.send_out(stream);
            }
            let run;
            (producer, run) = match step {
                Step::Next(producer, run) => (producer, run),
                Step::Over(producer, outcome) => return Turn::Ended(producer, outcome),
                Step::Parked => return Turn::Parked,
                Step::Again => return Turn::Again,
            };
            let run = run.as_ref();
            let run = run.map(|(strip, room)| Run::new(strip, room.items, room.bytes));
            let (items, since) = (pace.items, Instant::now());
            made = match self.make(stream, &mut producer, run, &mut pace) {
                Ok(made) => made,
                Err(outcome) => return Turn::Ended(producer, outcome),
            };
            pace.took(items, since);
        }
    }

    /// Puts the item that was made, behind those on the strip, and sees whether the next one is to
    /// be.
    fn step(
        &self,
        stream: &Stream,
        producer: Producer,
        made: Option<Payload>,
        pace: &Pace,
    ) -> (Step, bool) {
        let raw = stream.call.encoding != Encoding::MessagePack;
        // Else each is to be compared with the limit.
        let bytes_max = self
            .settings
            .blob_bytes_max
            .min(self.settings.call_bytes_max);
        let small = bytes_max >= ITEM_BYTES_MAX as u64;
        let mut state = stream.lock();
        if let Some(over) = &state.over {
            let outcome = Outcome::failed(over.status());
            return (Step::Over(producer, outcome), false);
        }
        let clogged = state.clogged;
        let (mut post, giving) = state.post(stream.id());
        let Some(giving) = giving else {
            let status = Status::internal("the items have no place to go to");
            return (Step::Over(producer, Outcome::failed(status)), false);
        };
        giving.absorb(&mut post);
        if let Some(quick) = pace.quick {
            giving.was(quick);
        }
        let goes = match made {
            Some(item) => giving.put(item, raw, &mut post),
            None => giving.put_held(raw, &mut post),
        };
        let room = goes && !clogged && giving.has_room();
        // Large ones that are made quickly are written together, while enough is on its way that a
        // window comes and has them sent, should the next one take its time.
        let gathers = pace.large && pace.quick == Some(true) && giving.is_under_way();
        let step = if room && pace.goes_on() {
            let run = if raw || !small {
                None
            } else {
                giving.begin_run()
            };
            Step::Next(producer, run)
        } else if room {
            giving.queue(producer);
            Step::Again
        } else {
            giving.flush(&mut post);
            giving.park(producer, Instant::now());
            Step::Parked
        };
        self.counts.tally.items_out(post.items);
        let gathers = gathers && matches!(step, Step::Next(..));
        let sends = !gathers && state.is_to_send();
        (step, sends)
    }

    /// Has items made: puts those that it may on the strip, and gives the first that it may not.
    fn make(
        &self,
        stream: &Stream,
        producer: &mut Producer,
        mut run: Option<Run<'_>>,
        pace: &mut Pace,
    ) -> Result<Option<Payload>, Outcome> {
        let mut encoder = Encoder::answer();
        let made = catch_unwind(AssertUnwindSafe(|| {
            producer.with_dependent_mut(|_, items| {
                loop {
                    match items.next(&mut encoder) {
                        Produced::Item => {}
                        other => return Some(other),
                    }
                    let item = encoder.written();
                    let Some(run) = run.as_mut().filter(|_| encoder.blobs() == 0) else {
                        return Some(Produced::Item);
                    };
                    if !run.put(item) {
                        return Some(Produced::Item);
                    }
                    pace.made(item.len());
                    encoder.clear();
                    if !run.goes_on() || stream.is_cut() || !pace.goes_on() {
                        return None;
                    }
                }
            })
        }));
        // Finished in any case: so the thread keeps its chunk.
        let written = encoder.finish();
        let item = match made {
            Ok(None) => return Ok(None),
            Ok(Some(Produced::Item)) => written,
            Ok(Some(Produced::Raw(item))) => Payload::raw(item),
            Ok(Some(Produced::End(outcome))) => return Err(outcome),
            Err(panic) => {
                discard(panic);
                return Err(self.panicked(stream));
            }
        };
        pace.large = item.bytes() >= ALONE;
        pace.made(item.bytes());
        match answer::part_too_large(&item, &self.settings, "an item") {
            Some(status) => Err(Outcome::failed(status)),
            None => Ok(Some(item)),
        }
    }

    fn panicked(&self, stream: &Stream) -> Outcome {
        self.counts.one(Count::Panicked);
        let path = stream.info.path;
        Outcome::failed(Status::internal(format!("the handler of {path} panicked")))
    }

    // Queueing.

    /// Queues a stream for its next turn, for a worker that is about to look.
    fn add(&self, stream: &Arc<Stream>) {
        let waiting = Waiting {
            caller: stream.session.id(),
            id: stream.call.ticket,
            bytes: 0,
            quick: false,
            job: Work::Turn(stream.clone()),
        };
        let place = self.methods.get(stream.call.method).map(|m| m.place);
        let named = match place {
            Some(Place::Named(index)) => self.named.get(index),
            _ => None,
        };
        let default = || self.group_of(&stream.session).map(|group| &group.pool);
        if let Some(pool) = named.or_else(default) {
            pool.add(waiting);
        }
    }

    /// The same, where no worker is about to look.
    pub(in crate::server) fn offer(&self, stream: &Arc<Stream>) {
        self.add(stream);
        if let Some(group) = self.group_of(&stream.session) {
            group.router.nudge();
        }
    }

    /// Takes the iterator of a stream that no worker will come to any more, and drops it.
    pub(in crate::server) fn abandon(&self, stream: &Stream) {
        let producer = stream.lock().outgoing.as_mut().and_then(Giving::take_away);
        // A panic in it is nobody's any more.
        let _ = drop_quietly(producer);
    }
}

/// What a stream does next.
enum Step {
    /// It makes an item; or so many small ones, for the strip.
    Next(Producer, Option<(Arc<Strip>, Flow)>),
    Parked,
    Again,
    /// It was cut off.
    Over(Producer, Outcome),
}

#[cold]
fn no_method() -> Status {
    Status::internal("the method is not there")
}

/// Drops what a method made, which may panic.
fn drop_quietly<T>(made: T) -> Result<(), ()> {
    catch_unwind(AssertUnwindSafe(|| drop(made))).map_err(discard)
}
