//! What every socket type is made of: peers, an inbox, endpoints, counts.
//!
//! ```text
//!  engine: deliver --> inbox (fair queue) --> receive --> program
//!  program --> send_any / send_to --> pipe --> engine
//! ```
//!
//! | file | what |
//! |---|---|
//! | `places` | endpoints, and the end |
//! | `sending` | which peer takes a message |
//! | `owner` | what the engine asks and delivers |
//! | `publishing` | to whom a PUB or XPUB sends |
//! | `subscribing` | what a SUB or XSUB wants |
//! | `watching` | events and counts |
//! | `second` | all of that on the second engine |
//!
//! # Lock order
//!
//! `endpoints`, then `routes`, then a pipe's outbox, `inbox` or `closes`. Nothing is woken, written
//! or called back under `inbox` or `routes`, but for two things that end at once: reading is paused
//! under `inbox`, so that the pause cannot overtake the resumption; and a receiver's channel is
//! filled under it, so that nobody else takes the room that was seen.

mod owner;
mod places;
mod publishing;
#[cfg(feature = "zeromq")]
mod second;
mod sending;
mod subscribing;
mod watching;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Mutex, RwLock};

use crate::engine::Engine;
use crate::engine::dial::Dialer;
use crate::engine::listen::Listening;
use crate::engine::outbox::OutboxCounts;
use crate::engine::owner::{Census, Owner, Settings};
use crate::engine::pace;
use crate::engine::pipe::Pipe;
use crate::engine::wait::{Drives, wait};
use crate::engine::waiter::WaitList;
use crate::event::Event;
use crate::link::Endpoint;
use crate::message::Message;
use crate::socket::error::{Error, RecvError, SendRefusal};
use crate::socket::fair::{FairQueue, Popped};
use crate::socket::options::Options;
use crate::socket::peer::Peer;
use crate::socket::tap::SharedTap;
use crate::zmtp::SocketType;
use publishing::Publisher;
use subscribing::Subscriber;

/// Events that a monitor's channel holds.
const EVENTS_MAX: usize = 1024;
/// Messages that a receiver's channel holds.
const CHANNEL_MAX: usize = 256;
/// At most one line about misbehaving peers in this time.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// What a new message finds in the way.
pub(crate) type Sent = Result<(), (SendRefusal, Message)>;

#[derive(Debug)]
struct Inbox {
    queue: FairQueue<Arc<Pipe>, Message>,
    arrived: u64,
    arrived_bytes: u64,
    received: u64,
    dropped_closed: u64,
    misfits: u64,
    /// Messages to a socket that takes none.
    unexpected: u64,
    /// Messages that nobody has subscribed to.
    filtered: u64,
    /// Messages that gave place to a later one.
    conflated: u64,
    /// What is queued may be of a topic that is no longer subscribed to.
    recheck: bool,
}

/// What the type of socket has beside the common part.
#[derive(Debug)]
enum Part {
    Plain,
    Publisher(Box<Publisher>),
    Subscriber(Box<Subscriber>),
}

impl Inbox {
    /// Takes the next message off the queue, which `queue.take` has to follow; and a peer whose
    /// reading is to be taken up again, once the inbox is let go of.
    #[inline]
    fn pop<R>(
        &mut self,
        keep: impl FnOnce(&Arc<Pipe>) -> R,
        settings: &Settings,
    ) -> Option<Popped<(R, Option<Arc<Pipe>>)>> {
        let mut popped = self
            .queue
            .pop_with(|pipe, paused| (keep(pipe), paused.then(|| pipe.clone())))?;
        self.received += 1;
        if popped.key.1.is_some() {
            let (messages, bytes) = self.queue.load(popped.slot);
            if messages <= settings.recv_messages_max / 2
                && bytes <= settings.recv_bytes_max as u64 / 2
            {
                self.queue.set_paused(popped.slot, false);
            } else {
                popped.key.1 = None;
            }
        }
        Some(popped)
    }
}

#[derive(Debug, Default)]
struct Routes {
    order: Vec<Arc<Pipe>>,
    names: HashMap<Bytes, Arc<Pipe>>,
    /// Counts of pipes that have gone.
    gone: OutboxCounts,
    /// Pipes that have gone while somebody was writing to them: not counted yet.
    fading: Vec<Arc<Pipe>>,
}

impl Routes {
    /// Takes out a pipe that has been closed; false if it has gone before.
    fn leave(&mut self, pipe: &Arc<Pipe>) -> bool {
        let same = |other: &Arc<Pipe>| Arc::ptr_eq(other, pipe);
        let Some(index) = self.order.iter().position(same) else {
            return false;
        };
        self.order.remove(index);
        let identity: Bytes = pipe.identity().into();
        if self.names.get(&identity).is_some_and(same) {
            self.names.remove(&identity);
        }
        self.fading.push(pipe.clone());
        self.settle();
        true
    }

    /// Counts the pipes that have gone and that nobody writes to any more.
    fn settle(&mut self) {
        let gone = &mut self.gone;
        self.fading.retain(|pipe| {
            let counts = pipe.counts();
            if counts.queued == 0 {
                gone.add(&counts);
            }
            counts.queued > 0
        });
    }
}

#[derive(Debug)]
enum Place {
    Listening(Arc<Listening>),
    Dialing(Arc<Dialer>),
    Bound(Box<str>),
    Connected(Arc<Pipe>),
    #[cfg(feature = "zeromq")]
    Second(second::SecondPlace),
}

#[derive(Debug, Default)]
struct LogGate {
    last: Option<Instant>,
    held_back: u64,
}

/// The common part of all socket types.
pub(crate) struct Core {
    me: Weak<Core>,
    pub(crate) kind: SocketType,
    engine: Engine,
    settings: Settings,
    linger: Option<Duration>,
    identity: Bytes,
    immediate: bool,
    /// Whether messages queued for an endpoint wait for its connection.
    keeps: bool,
    inbox: Mutex<Inbox>,
    readers: WaitList,
    writers: WaitList,
    routes: RwLock<Routes>,
    /// Another number whenever the order of `routes` changes; no other socket has it.
    routes_version: AtomicU64,
    /// The place in `routes.order` of the peer to send to next, counted on and on.
    turn: AtomicUsize,
    endpoints: Mutex<Vec<(Endpoint, Place)>>,
    /// Endpoints that need polling.
    links: AtomicUsize,
    /// Its readers drive the engine for the sake of other sockets, too.
    pub(crate) drives_others: AtomicBool,
    /// Whether it was ever bound or connected within the process.
    has_inproc: AtomicBool,
    census: Mutex<Census>,
    monitor: Mutex<Option<Sender<Event>>>,
    events_missed: AtomicU64,
    closes: Mutex<BTreeMap<&'static str, u64>>,
    refused: [AtomicU64; 5],
    log_gate: Mutex<LogGate>,
    channel: OnceLock<Sender<(Peer, Message)>>,
    closed: AtomicBool,
    tap: Option<SharedTap>,
    /// It takes the messages, too.
    tap_takes: bool,
    /// One reader is woken for what came together, and the steward looks what is left.
    wakes_one: bool,
    /// The steward has been asked to look.
    looked_after: AtomicBool,
    part: Part,
    /// What its messages go over on the second engine, from the first endpoint on.
    #[cfg(feature = "zeromq")]
    second: OnceLock<crate::engine::second::Thread>,
}

const REFUSALS: [(SendRefusal, &str); 5] = [
    (SendRefusal::Full, "full"),
    (SendRefusal::NoPeer, "no-peer"),
    (SendRefusal::Gone, "peer-gone"),
    (SendRefusal::Timeout, "timeout"),
    (SendRefusal::OutOfTurn, "out-of-turn"),
];

impl Core {
    pub(crate) fn new(kind: SocketType, options: &Options) -> Result<Arc<Self>, Error> {
        Self::tapped(kind, options, None)
    }

    pub(crate) fn tapped(
        kind: SocketType,
        options: &Options,
        tap: Option<SharedTap>,
    ) -> Result<Arc<Self>, Error> {
        options.check_for(kind)?;
        #[cfg(feature = "zeromq")]
        if tap.is_some() && options.engine.as_ref().is_some_and(Engine::is_second) {
            return Err(Error::Option(crate::OptionError::of_second("tap", "a tap")));
        }
        let engine = match &options.engine {
            Some(engine) => engine.clone(),
            None => Engine::global().map_err(Error::System)?,
        };
        Ok(Arc::new_cyclic(|me| Core {
            me: me.clone(),
            kind,
            engine,
            settings: options.settings(kind),
            linger: options.linger,
            identity: options.identity.clone().into(),
            immediate: options.immediate,
            keeps: kind != SocketType::Router && options.keep_unsent,
            inbox: Mutex::new(Inbox {
                queue: FairQueue::new(),
                arrived: 0,
                arrived_bytes: 0,
                received: 0,
                dropped_closed: 0,
                misfits: 0,
                unexpected: 0,
                filtered: 0,
                conflated: 0,
                recheck: false,
            }),
            readers: WaitList::default(),
            writers: WaitList::default(),
            routes: RwLock::default(),
            routes_version: AtomicU64::new(sending::new_version()),
            turn: AtomicUsize::new(0),
            endpoints: Mutex::default(),
            links: AtomicUsize::new(0),
            drives_others: AtomicBool::new(false),
            has_inproc: AtomicBool::new(false),
            census: Mutex::default(),
            monitor: Mutex::default(),
            events_missed: AtomicU64::new(0),
            closes: Mutex::default(),
            refused: Default::default(),
            log_gate: Mutex::default(),
            channel: OnceLock::new(),
            closed: AtomicBool::new(false),
            wakes_one: tap.as_ref().is_some_and(|tap| tap.wakes_one()),
            looked_after: AtomicBool::new(false),
            tap_takes: tap.as_ref().is_some_and(|tap| tap.takes_messages()),
            tap,
            part: match kind {
                SocketType::Pub | SocketType::XPub => {
                    Part::Publisher(Box::new(Publisher::new(kind, options)))
                }
                SocketType::Sub | SocketType::XSub => {
                    Part::Subscriber(Box::new(Subscriber::new(kind)))
                }
                _ => Part::Plain,
            },
            #[cfg(feature = "zeromq")]
            second: OnceLock::new(),
        }))
    }

    fn owner(&self) -> Arc<dyn Owner> {
        match self.me.upgrade() {
            Some(core) => core,
            None => unreachable!("a core is only ever used through its Arc"),
        }
    }

    fn weak_owner(&self) -> Weak<dyn Owner> {
        self.me.clone()
    }

    /// Whether this is a PAIR that has a peer other than `own`, or waits for one.
    fn is_taken(&self, routes: &Routes, own: Option<&Arc<Pipe>>) -> bool {
        let other = |pipe: &Arc<Pipe>| own.is_none_or(|own| !Arc::ptr_eq(own, pipe));
        self.kind == SocketType::Pair && routes.order.iter().any(other)
    }

    /// Whether messages queued for an endpoint wait for its connection.
    fn keeps(&self) -> bool {
        self.keeps
    }

    // Receiving.

    /// Takes the next message, if there is one.
    pub(crate) fn try_receive(&self) -> Option<(Arc<Pipe>, Message)> {
        self.try_receive_with(Arc::clone)
    }

    /// Takes the next message, if there is one, and what `keep` makes of its peer.
    #[inline]
    fn try_receive_with<R>(&self, keep: impl Fn(&Arc<Pipe>) -> R) -> Option<(R, Message)> {
        loop {
            let mut inbox = self.inbox.lock();
            let popped = inbox.pop(&keep, &self.settings)?;
            let message = inbox.queue.take(&popped)?;
            let unwanted = inbox.recheck && self.filter(&mut inbox, &message);
            let more = inbox.queue.len() > 0;
            drop(inbox);
            let (kept, resume) = popped.key;
            if let Some(pipe) = resume {
                pipe.resume();
            }
            if !unwanted {
                pace::took(more);
                return Some((kept, message));
            }
        }
    }

    /// Whether a message that was taken is not wanted any more; counts it then.
    fn filter(&self, inbox: &mut Inbox, message: &Message) -> bool {
        let unwanted = !self.wants(message);
        if unwanted {
            inbox.received -= 1;
            inbox.filtered += 1;
        }
        inbox.recheck = inbox.queue.len() > 0;
        unwanted
    }

    /// Whether the socket's type lets this message in.
    fn wants(&self, message: &Message) -> bool {
        self.subscriber()
            .is_none_or(|subscriber| subscriber.wants(message))
    }

    /// Takes the next message, waiting for it until the deadline.
    pub(crate) fn receive(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(Arc<Pipe>, Message), RecvError> {
        self.receive_with(deadline, || self.try_receive())
    }

    /// As [`receive`](Self::receive), where nobody asks from whom.
    pub(crate) fn receive_message(&self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        self.receive_with(deadline, || {
            self.try_receive_with(|_| ()).map(|((), message)| message)
        })
    }

    /// Takes what `attempt` makes of the messages, waiting for them until the deadline.
    pub(crate) fn receive_with<T>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, RecvError> {
        if self.channel.get().is_some() {
            return Err(RecvError::Closed);
        }
        if let Some(found) = attempt() {
            return Ok(found);
        }
        let drives = self.reading_drives();
        let found = wait(
            self.engine.shared(),
            &[&self.readers],
            drives,
            deadline,
            || match attempt() {
                Some(found) => Some(Ok(found)),
                None if self.is_closed() => Some(Err(RecvError::Closed)),
                None => None,
            },
        );
        found.unwrap_or(Err(RecvError::Timeout))
    }

    /// What a thread drives that waits for what the peers send.
    pub(crate) fn reading_drives(&self) -> Drives {
        match self.drives() {
            Drives::Engine if !self.has_inproc.load(Ordering::Relaxed) => Drives::Connections,
            drives => drives,
        }
    }

    /// Whether a message can be received at once.
    pub(crate) fn has_message(&self) -> bool {
        self.inbox.lock().queue.len() > 0
            || self
                .publisher()
                .is_some_and(|publisher| publisher.has_news())
    }

    /// Wakes another reader, if there is something to take.
    pub(crate) fn share(&self) {
        if self.inbox.lock().queue.len() > 0 {
            self.readers.wake(1);
        }
    }

    pub(crate) fn readers(&self) -> &WaitList {
        &self.readers
    }

    /// Who waits for room.
    pub(crate) fn writers(&self) -> &WaitList {
        &self.writers
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn needs_driving(&self) -> bool {
        self.drives() != Drives::Nothing
    }

    /// Counts a message that the pattern could not use.
    pub(crate) fn misfit(&self, pipe: &Pipe) {
        let mut inbox = self.inbox.lock();
        inbox.received -= 1;
        inbox.misfits += 1;
        drop(inbox);
        log::debug!(
            "a message of peer {} did not fit the pattern of a {}",
            pipe.id,
            self.kind
        );
    }

    pub(crate) fn set_weight(&self, pipe: &Pipe, weight: u32) {
        pipe.set_weight(weight);
        if let Some(slot) = pipe.slot() {
            self.inbox.lock().queue.set_weight(slot, weight);
        }
    }

    /// A channel that takes the place of receiving.
    pub(crate) fn receiver(&self) -> Receiver<(Peer, Message)> {
        let (sender, receiver) = crossbeam_channel::bounded(CHANNEL_MAX);
        if self.channel.set(sender).is_err() {
            // One receiver takes all; another one gets an end at once, not half of the messages.
            return crossbeam_channel::bounded(0).1;
        }
        // Who else would go on when the channel has been full? A socket that knows this process
        // only has none yet.
        if let Err(error) = self.engine.employ_steward() {
            log::error!("no thread for a receiver's channel, which may stop when full: {error}");
        }
        self.readers.wake(usize::MAX);
        if self.pump() {
            self.engine.shared().pump_later(self.weak_owner());
        }
        self.engine.shared().steward.nudge();
        receiver
    }

    fn slot_of(inbox: &mut Inbox, pipe: &Arc<Pipe>) -> u32 {
        pipe.slot().unwrap_or_else(|| {
            let slot = inbox.queue.add(pipe.clone(), pipe.weight());
            pipe.set_slot(Some(slot));
            slot
        })
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.kind.name())
            .field(
                "endpoints",
                &self
                    .endpoints
                    .lock()
                    .iter()
                    .map(|(e, _)| e.to_string())
                    .collect::<Vec<_>>(),
            )
            .field("closed", &self.is_closed())
            .finish()
    }
}
