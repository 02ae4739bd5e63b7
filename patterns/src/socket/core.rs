//! What every socket type is made of: peers, an inbox, endpoints, counts.
//!
//! ```text
//!  engine: deliver --> inbox (fair queue) --> receive --> program
//!  program --> send_any / send_to --> pipe --> engine
//! ```
//!
//! # Lock order
//!
//! `endpoints`, then `routes`, then a pipe's outbox or `inbox`. Nothing is woken, written or
//! called back under `inbox` or `routes`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use parking_lot::{Mutex, RwLock};

use super::error::{Error, RecvError, SendError, SendRefusal};
use super::fair::FairQueue;
use super::options::Options;
use super::peer::Peer;
use super::stats::{PeerStats, SocketStats, Unsent};
use crate::engine::Engine;
use crate::engine::conn::{Conn, Origin};
use crate::engine::dial::Dialer;
use crate::engine::inproc;
use crate::engine::listen::Listening;
use crate::engine::outbox::{OutboxCounts, Refused};
use crate::engine::owner::{Census, Flow, Owner, Settings, Verdict};
use crate::engine::pace;
use crate::engine::pipe::Pipe;
use crate::engine::wait::wait;
use crate::engine::waiter::WaitList;
use crate::event::{CloseReason, Event};
use crate::link::Endpoint;
use crate::message::Message;
use crate::zmtp::{PeerInfo, SocketType};

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
    inbox: Mutex<Inbox>,
    readers: WaitList,
    writers: WaitList,
    routes: RwLock<Routes>,
    /// The place in `routes.order` of the peer to send to next, counted on and on.
    turn: AtomicUsize,
    endpoints: Mutex<Vec<(Endpoint, Place)>>,
    /// Endpoints that need polling.
    links: AtomicUsize,
    census: Mutex<Census>,
    monitor: Mutex<Option<Sender<Event>>>,
    events_missed: AtomicU64,
    closes: Mutex<BTreeMap<&'static str, u64>>,
    refused: [AtomicU64; 5],
    log_gate: Mutex<LogGate>,
    channel: OnceLock<Sender<(Peer, Message)>>,
    closed: AtomicBool,
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
        options.check()?;
        let engine = match &options.engine {
            Some(engine) => engine.clone(),
            None => Engine::global().map_err(Error::System)?,
        };
        Ok(Arc::new_cyclic(|me| Core {
            me: me.clone(),
            kind,
            engine,
            settings: options.settings(),
            linger: options.linger,
            identity: options.identity.clone().into(),
            immediate: options.immediate,
            inbox: Mutex::new(Inbox {
                queue: FairQueue::new(),
                arrived: 0,
                arrived_bytes: 0,
                received: 0,
                dropped_closed: 0,
                misfits: 0,
            }),
            readers: WaitList::default(),
            writers: WaitList::default(),
            routes: RwLock::default(),
            turn: AtomicUsize::new(0),
            endpoints: Mutex::default(),
            links: AtomicUsize::new(0),
            census: Mutex::default(),
            monitor: Mutex::default(),
            events_missed: AtomicU64::new(0),
            closes: Mutex::default(),
            refused: Default::default(),
            log_gate: Mutex::default(),
            channel: OnceLock::new(),
            closed: AtomicBool::new(false),
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

    /// Whether messages queued for an endpoint wait for its connection.
    fn keeps(&self) -> bool {
        self.kind != SocketType::Router
    }

    // Endpoints.

    pub(crate) fn bind(&self, endpoint: &str) -> Result<Endpoint, Error> {
        let endpoint: Endpoint = endpoint.parse()?;
        endpoint.check_bind()?;
        self.open()?;
        if let Endpoint::Inproc(name) = &endpoint {
            if !inproc::bind(name, &self.owner()) {
                return Err(Error::NameInUse { endpoint });
            }
            self.endpoints
                .lock()
                .push((endpoint.clone(), Place::Bound(name.clone())));
            self.report(Event::Listening {
                endpoint: endpoint.clone(),
            });
            return Ok(endpoint);
        }
        self.engine.employ_steward().map_err(Error::System)?;
        let listening = Listening::bind(&endpoint, self.owner(), self.engine.shared().clone())?;
        let bound = listening.endpoint().clone();
        self.links.fetch_add(1, Ordering::SeqCst);
        self.endpoints
            .lock()
            .push((bound.clone(), Place::Listening(listening)));
        self.report(Event::Listening {
            endpoint: bound.clone(),
        });
        Ok(bound)
    }

    pub(crate) fn connect(&self, endpoint: &str) -> Result<(Endpoint, Option<Arc<Pipe>>), Error> {
        let endpoint: Endpoint = endpoint.parse()?;
        endpoint.check_connect()?;
        self.open()?;
        if let Endpoint::Inproc(name) = &endpoint {
            let pipe = Pipe::inproc(self.weak_owner(), &self.settings);
            self.routes.write().order.push(pipe.clone());
            self.endpoints
                .lock()
                .push((endpoint.clone(), Place::Connected(pipe.clone())));
            inproc::connect(name, &self.owner(), &pipe);
            return Ok((endpoint, Some(pipe)));
        }
        self.engine.employ_steward().map_err(Error::System)?;
        let shared = self.engine.shared();
        let pipe = self
            .keeps()
            .then(|| Pipe::stream(self.weak_owner(), &self.settings, shared.clone(), true));
        if let Some(pipe) = &pipe {
            self.routes.write().order.push(pipe.clone());
        }
        let dialer = Dialer::new(endpoint.clone(), self.owner(), shared, pipe.clone());
        self.links.fetch_add(1, Ordering::SeqCst);
        self.endpoints
            .lock()
            .push((endpoint.clone(), Place::Dialing(dialer.clone())));
        shared.with_workbench(|bench| dialer.dial(bench));
        shared.steward.nudge();
        self.writers.wake(usize::MAX);
        Ok((endpoint, pipe))
    }

    pub(crate) fn unbind(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let place = self.take_place(endpoint, |place| {
            matches!(place, Place::Listening(_) | Place::Bound(_))
        })?;
        self.leave(endpoint, place);
        Ok(())
    }

    pub(crate) fn disconnect(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let place = self.take_place(endpoint, |place| {
            matches!(place, Place::Dialing(_) | Place::Connected(_))
        })?;
        self.leave(endpoint, place);
        Ok(())
    }

    fn take_place(
        &self,
        endpoint: &Endpoint,
        wanted: impl Fn(&Place) -> bool,
    ) -> Result<Place, Error> {
        self.open()?;
        let mut endpoints = self.endpoints.lock();
        match endpoints
            .iter()
            .position(|(name, place)| name == endpoint && wanted(place))
        {
            Some(index) => Ok(endpoints.remove(index).1),
            None => Err(Error::NotFound {
                endpoint: endpoint.clone(),
            }),
        }
    }

    fn leave(&self, endpoint: &Endpoint, place: Place) {
        match place {
            Place::Listening(listening) => {
                listening.close();
                self.links.fetch_sub(1, Ordering::SeqCst);
                self.report(Event::Unbound {
                    endpoint: endpoint.clone(),
                });
            }
            Place::Bound(name) => {
                inproc::unbind(&name, &self.owner());
                self.report(Event::Unbound {
                    endpoint: endpoint.clone(),
                });
            }
            Place::Dialing(dialer) => {
                if let Some(pipe) = &dialer.pipe {
                    self.retire(pipe);
                }
                dialer.end();
                self.links.fetch_sub(1, Ordering::SeqCst);
            }
            Place::Connected(pipe) => self.retire(&pipe),
        }
    }

    pub(crate) fn local_endpoints(&self) -> Vec<Endpoint> {
        let endpoints = self.endpoints.lock();
        let bound = endpoints
            .iter()
            .filter(|(_, place)| matches!(place, Place::Listening(_) | Place::Bound(_)));
        bound.map(|(endpoint, _)| endpoint.clone()).collect()
    }

    fn open(&self) -> Result<(), Error> {
        if self.is_closed() {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    // Sending.

    fn drives(&self) -> bool {
        // Connections that came in keep the socket driven after its listener has gone.
        self.links.load(Ordering::Relaxed) > 0 || self.census.lock().counts().0 > 0
    }

    /// The next peer in turn, of `count` at the time of the call.
    fn next_pipe(&self) -> Option<(Arc<Pipe>, usize)> {
        let routes = self.routes.read();
        let count = routes.order.len();
        if count == 0 {
            return None;
        }
        let index = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        Some((routes.order[index].clone(), count))
    }

    /// Sends to the next peer that takes the message.
    pub(crate) fn try_send_any(&self, mut message: Message) -> Sent {
        if self.is_closed() {
            return Err((SendRefusal::Closed, message));
        }
        let mut tries = 0;
        let mut refusal = SendRefusal::NoPeer;
        loop {
            let Some((pipe, count)) = self.next_pipe() else {
                return Err((refusal, message));
            };
            if self.immediate && !pipe.is_linked() {
                tries += 1;
            } else {
                match pipe.send(message) {
                    Ok(()) => return Ok(()),
                    Err((Refused::Full, back)) => {
                        message = back;
                        refusal = SendRefusal::Full;
                    }
                    Err((Refused::Gone, back)) => message = back,
                }
                tries += 1;
            }
            if tries >= count {
                return Err((refusal, message));
            }
        }
    }

    /// Gives the message to this peer, if it takes it now.
    pub(crate) fn push_to(
        &self,
        pipe: &Arc<Pipe>,
        message: Message,
    ) -> Result<(), (Refused, Message)> {
        pipe.send(message)
    }

    pub(crate) fn wake_writers(&self) {
        self.writers.wake(usize::MAX);
    }

    /// Ends the connection that this pipe belongs to.
    pub(crate) fn disconnect_pipe(&self, pipe: &Arc<Pipe>) -> Result<(), Error> {
        self.open()?;
        let mut endpoints = self.endpoints.lock();
        let index = endpoints.iter().position(|(_, place)| match place {
            Place::Dialing(dialer) => dialer
                .pipe
                .as_ref()
                .is_some_and(|own| Arc::ptr_eq(own, pipe)),
            Place::Connected(own) => Arc::ptr_eq(own, pipe),
            Place::Listening(_) | Place::Bound(_) => false,
        });
        let Some(index) = index else { return Ok(()) };
        let (endpoint, place) = endpoints.remove(index);
        drop(endpoints);
        self.leave(&endpoint, place);
        Ok(())
    }

    /// Sends to this peer, if it takes the message now.
    pub(crate) fn try_send_to(&self, pipe: &Arc<Pipe>, message: Message) -> Result<(), SendError> {
        let refused = if self.is_closed() {
            Err((SendRefusal::Closed, message))
        } else {
            self.push_to(pipe, message)
                .map_err(|(refused, message)| match refused {
                    Refused::Full => (SendRefusal::Full, message),
                    Refused::Gone => (SendRefusal::Gone, message),
                })
        };
        refused.map_err(|refused| self.refuse(refused))
    }

    /// Sends with `attempt` until it succeeds or the deadline has come.
    pub(crate) fn send_until(
        &self,
        deadline: Option<Instant>,
        message: Message,
        attempt: impl Fn(Message) -> Sent,
    ) -> Result<(), SendError> {
        let (first, message) = match attempt(message) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        if !matches!(first, SendRefusal::Full | SendRefusal::NoPeer) {
            return Err(self.refuse((first, message)));
        }
        let mut kept = Some(message);
        let outcome = wait(
            self.engine.shared(),
            &[&self.writers],
            self.drives(),
            deadline,
            || match attempt(kept.take()?) {
                Ok(()) => Some(Ok(())),
                Err((SendRefusal::Full | SendRefusal::NoPeer, back)) => {
                    kept = Some(back);
                    None
                }
                Err(refused) => Some(Err(refused)),
            },
        );
        match (outcome, kept) {
            (Some(Ok(())), _) => Ok(()),
            (Some(Err(refused)), _) => Err(self.refuse(refused)),
            (None, Some(message)) => Err(self.refuse((SendRefusal::Timeout, message))),
            (None, None) => Ok(()),
        }
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&self, (reason, message): (SendRefusal, Message)) -> SendError {
        if let Some(index) = REFUSALS.iter().position(|(refusal, _)| *refusal == reason) {
            self.refused[index].fetch_add(1, Ordering::Relaxed);
        }
        SendError::new(reason, message)
    }

    pub(crate) fn peer_named(&self, identity: &[u8]) -> Option<Arc<Pipe>> {
        self.routes.read().names.get(identity).cloned()
    }

    pub(crate) fn pipes(&self) -> Vec<Arc<Pipe>> {
        self.routes.read().order.clone()
    }

    // Receiving.

    /// Takes the next message, if there is one.
    pub(crate) fn try_receive(&self) -> Option<(Arc<Pipe>, Message)> {
        let mut inbox = self.inbox.lock();
        self.pop(&mut inbox).map(|(pipe, message, resume, more)| {
            drop(inbox);
            if resume {
                pipe.resume();
            }
            pace::took(more);
            (pipe, message)
        })
    }

    fn pop(&self, inbox: &mut Inbox) -> Option<(Arc<Pipe>, Message, bool, bool)> {
        let before = inbox.queue.next_slot()?;
        let pipe = inbox.queue.key(before)?.clone();
        let popped = inbox.queue.pop()?;
        inbox.received += 1;
        let mut resume = false;
        if inbox.queue.is_paused(popped.slot) {
            let (messages, bytes) = inbox.queue.load(popped.slot);
            resume = messages <= self.settings.recv_messages_max / 2
                && bytes <= self.settings.recv_bytes_max as u64 / 2;
            if resume {
                inbox.queue.set_paused(popped.slot, false);
            }
        }
        let more = inbox.queue.len() > 0;
        Some((pipe, popped.item, resume, more))
    }

    /// Takes the next message, waiting for it until the deadline.
    pub(crate) fn receive(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(Arc<Pipe>, Message), RecvError> {
        self.receive_with(deadline, || self.try_receive())
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
        let found = wait(
            self.engine.shared(),
            &[&self.readers],
            self.drives(),
            deadline,
            || match attempt() {
                Some(found) => Some(Ok(found)),
                None if self.is_closed() => Some(Err(RecvError::Closed)),
                None => None,
            },
        );
        found.unwrap_or(Err(RecvError::Timeout))
    }

    /// Whether a message can be received at once.
    pub(crate) fn has_message(&self) -> bool {
        self.inbox.lock().queue.len() > 0
    }

    pub(crate) fn readers(&self) -> &WaitList {
        &self.readers
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn needs_driving(&self) -> bool {
        self.drives()
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

    // The end.

    /// A pipe is no longer sent to; what it has queued is dropped and counted.
    fn retire(&self, pipe: &Arc<Pipe>) {
        pipe.close();
        {
            let mut routes = self.routes.write();
            let Some(index) = routes
                .order
                .iter()
                .position(|other| Arc::ptr_eq(other, pipe))
            else {
                return;
            };
            routes.order.remove(index);
            let identity: Bytes = pipe.identity().into();
            if routes
                .names
                .get(&identity)
                .is_some_and(|named| Arc::ptr_eq(named, pipe))
            {
                routes.names.remove(&identity);
            }
            routes.fading.push(pipe.clone());
            routes.settle();
        }
        let mut inbox = self.inbox.lock();
        if let Some(slot) = pipe.slot() {
            inbox.queue.end(slot);
            pipe.set_slot(None);
        }
        drop(inbox);
        self.writers.wake(usize::MAX);
    }

    fn unsent(&self) -> Unsent {
        let mut unsent = Unsent::default();
        for pipe in self.pipes() {
            let counts = pipe.counts();
            unsent.messages += counts.queued;
            unsent.bytes += counts.queued_bytes;
        }
        unsent
    }

    /// Closes the socket: waits for what is queued to go out, ends every connection, wakes
    /// everybody who waits.
    pub(crate) fn close(&self, linger: Option<Duration>) -> Unsent {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Unsent::default();
        }
        self.readers.wake(usize::MAX);
        self.writers.wake(usize::MAX);
        let shared = self.engine.shared();
        shared.flush_corked();
        let places = std::mem::take(&mut *self.endpoints.lock());
        let (dialing, listening): (Vec<_>, Vec<_>) = places
            .into_iter()
            .partition(|(_, place)| matches!(place, Place::Dialing(_)));
        for (endpoint, place) in listening {
            if !matches!(place, Place::Connected(_)) {
                self.leave(&endpoint, place);
            }
        }
        // What is queued for a connection goes out; what waits for one that does not exist yet
        // is given the same time.
        let drained = || self.pipes().iter().all(|pipe| pipe.is_drained());
        if linger != Some(Duration::ZERO) && !drained() {
            let deadline = linger.map(|linger| Instant::now() + linger);
            let drives = !dialing.is_empty() || self.drives();
            wait(shared, &[&self.writers], drives, deadline, || {
                drained().then_some(())
            });
        }
        let unsent = self.unsent();
        for (endpoint, place) in dialing {
            self.leave(&endpoint, place);
        }
        for pipe in self.pipes() {
            let conn = pipe.conn();
            self.retire(&pipe);
            if let Some(conn) = conn {
                shared.with_workbench(|bench| conn.close(CloseReason::Local, bench));
            }
        }
        let pending = self.census.lock().pending();
        for conn in pending.into_iter().filter_map(|token| shared.conn(token)) {
            shared.with_workbench(|bench| conn.close(CloseReason::Local, bench));
        }
        let mut inbox = self.inbox.lock();
        while inbox.queue.pop().is_some() {
            inbox.dropped_closed += 1;
        }
        drop(inbox);
        *self.monitor.lock() = None;
        if !unsent.is_empty() {
            log::warn!(
                "a {} socket was closed with {} messages, {} bytes unsent",
                self.kind,
                unsent.messages,
                unsent.bytes
            );
        }
        unsent
    }

    pub(crate) fn linger(&self) -> Option<Duration> {
        self.linger
    }

    // Watching.

    pub(crate) fn monitor(&self) -> Receiver<Event> {
        let (sender, receiver) = crossbeam_channel::bounded(EVENTS_MAX);
        *self.monitor.lock() = Some(sender);
        receiver
    }

    pub(crate) fn stats(&self) -> SocketStats {
        let mut stats = SocketStats::default();
        let (pipes, mut total) = {
            let mut routes = self.routes.write();
            routes.settle();
            let mut total = routes.gone;
            routes
                .fading
                .iter()
                .for_each(|pipe| total.add(&pipe.counts()));
            (routes.order.clone(), total)
        };
        for pipe in pipes {
            let counts = pipe.counts();
            total.add(&counts);
            let (messages, bytes) = pipe
                .slot()
                .map_or((0, 0), |slot| self.inbox.lock().queue.load(slot));
            stats.peers.push(PeerStats {
                id: pipe.id,
                identity: pipe.identity(),
                connected: pipe.is_linked(),
                sent_messages: counts.pushed,
                sent_bytes: counts.pushed_bytes,
                written_messages: counts.written,
                send_queue_messages: counts.queued,
                send_queue_bytes: counts.queued_bytes,
                dropped_messages: counts.dropped,
                recv_queue_messages: messages,
                recv_queue_bytes: bytes,
                pings_unanswered: pipe.unanswered_pings(),
            });
        }
        stats.sent_messages = total.pushed;
        stats.sent_bytes = total.pushed_bytes;
        stats.written_messages = total.written;
        stats.send_queue_messages = total.queued;
        stats.send_queue_bytes = total.queued_bytes;
        {
            let inbox = self.inbox.lock();
            stats.arrived_messages = inbox.arrived;
            stats.arrived_bytes = inbox.arrived_bytes;
            stats.received_messages = inbox.received;
            stats.recv_queue_messages = inbox.queue.len();
            for (reason, count) in [
                ("peer-gone", total.dropped),
                ("closed", inbox.dropped_closed),
                ("misfit", inbox.misfits),
            ] {
                if count > 0 {
                    stats.dropped.insert(reason, count);
                }
            }
        }
        for ((_, name), count) in REFUSALS.iter().zip(&self.refused) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                stats.refused.insert(name, count);
            }
        }
        stats.closes = self.closes.lock().clone();
        (stats.connections, stats.handshakes) = self.census.lock().counts();
        stats.events_missed = self.events_missed.load(Ordering::Relaxed);
        stats
    }

    /// One line about a misbehaving peer, and about those that had none since the last.
    fn log_misbehaviour(&self, remote: &str, reason: &CloseReason) {
        let now = Instant::now();
        let mut gate = self.log_gate.lock();
        if gate
            .last
            .is_some_and(|last| now.duration_since(last) < LOG_PAUSE)
        {
            gate.held_back += 1;
            return;
        }
        gate.last = Some(now);
        let held_back = std::mem::take(&mut gate.held_back);
        drop(gate);
        log::warn!("closed {remote}: {reason} ({held_back} like it since the last line)");
    }

    fn count_close(&self, reason: &CloseReason, remote: &str) {
        *self.closes.lock().entry(reason.name()).or_default() += 1;
        if reason.is_misbehaviour() {
            self.log_misbehaviour(remote, reason);
        }
    }
}

impl Owner for Core {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn local(&self) -> (SocketType, Bytes) {
        (self.kind, self.identity.clone())
    }

    fn census(&self) -> &Mutex<Census> {
        &self.census
    }

    fn admit(&self, conn: &Arc<Conn>, peer: &PeerInfo) -> Verdict {
        if self.is_closed() && matches!(conn.origin, Origin::Accepted { .. }) {
            return Verdict::Refused(CloseReason::Local);
        }
        let kept = match &conn.origin {
            Origin::Dialed(dialer) => dialer.pipe.clone(),
            Origin::Accepted { .. } => None,
        };
        let named = self.kind == SocketType::Router && !peer.identity.is_empty();
        let mut routes = self.routes.write();
        if named
            && let Some(holder) = routes.names.get(&peer.identity)
            && !holder.is_closed()
        {
            return match holder.conn() {
                Some(conn) => Verdict::Contested(conn),
                // A peer of this process is there as long as its pipe is.
                None => Verdict::Refused(CloseReason::IdentityInUse),
            };
        }
        let pipe = kept.unwrap_or_else(|| {
            let shared = self.engine.shared().clone();
            let pipe = Pipe::stream(self.weak_owner(), &self.settings, shared, false);
            routes.order.push(pipe.clone());
            pipe
        });
        pipe.set_identity(peer.identity.clone().into());
        if named {
            routes.names.insert(peer.identity.clone(), pipe.clone());
        }
        Verdict::Admitted(pipe)
    }

    fn admit_inproc(&self, identity: Bytes) -> Result<Arc<Pipe>, CloseReason> {
        if self.is_closed() {
            return Err(CloseReason::Local);
        }
        let mut routes = self.routes.write();
        let named = self.kind == SocketType::Router && !identity.is_empty();
        if named
            && routes
                .names
                .get(&identity)
                .is_some_and(|holder| !holder.is_closed())
        {
            return Err(CloseReason::IdentityInUse);
        }
        let pipe = Pipe::inproc(self.weak_owner(), &self.settings);
        pipe.set_identity(identity.clone().into());
        routes.order.push(pipe.clone());
        if named {
            routes.names.insert(identity, pipe.clone());
        }
        Ok(pipe)
    }

    fn deliver(&self, pipe: &Arc<Pipe>, batch: &mut Vec<Message>) -> Flow {
        let count = batch.len();
        let paused = {
            let mut inbox = self.inbox.lock();
            inbox.arrived += count as u64;
            if self.is_closed() {
                inbox.dropped_closed += count as u64;
                batch.clear();
                return Flow::On;
            }
            let slot = Self::slot_of(&mut inbox, pipe);
            for message in batch.drain(..) {
                let bytes = message.bytes();
                inbox.arrived_bytes += bytes as u64;
                inbox.queue.push(slot, message, bytes);
            }
            let (messages, bytes) = inbox.queue.load(slot);
            let full = messages >= self.settings.recv_messages_max
                || bytes >= self.settings.recv_bytes_max as u64;
            if full {
                inbox.queue.set_paused(slot, true);
                // Under the lock, so that it cannot come after the resumption.
                pipe.pause();
            }
            full
        };
        if self.channel.get().is_some() {
            if self.pump() {
                self.engine.shared().pump_later(self.weak_owner());
            }
        } else {
            self.readers.wake(count);
        }
        if paused { Flow::Paused } else { Flow::On }
    }

    fn take(
        &self,
        pipe: &Arc<Pipe>,
        message: Message,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<(), Message> {
        {
            let mut inbox = self.inbox.lock();
            let bytes = message.bytes();
            let slot = Self::slot_of(&mut inbox, pipe);
            let (queued, queued_bytes) = inbox.queue.load(slot);
            let full = queued >= self.settings.recv_messages_max.saturating_add(messages_max)
                || (queued > 0
                    && queued_bytes as usize + bytes
                        > self.settings.recv_bytes_max.saturating_add(bytes_max));
            if full || self.is_closed() {
                inbox.queue.set_paused(slot, true);
                return Err(message);
            }
            inbox.arrived += 1;
            inbox.arrived_bytes += bytes as u64;
            inbox.queue.push(slot, message, bytes);
        }
        if self.channel.get().is_some() {
            if self.pump() {
                self.engine.shared().pump_later(self.weak_owner());
            }
        } else {
            self.readers.wake(1);
        }
        Ok(())
    }

    fn room(&self) {
        self.writers.wake(usize::MAX);
    }

    fn gone(&self, pipe: &Arc<Pipe>, _reason: &CloseReason) {
        if pipe.keeps() {
            return; // it waits for the next connection
        }
        self.retire(pipe);
    }

    fn report(&self, event: Event) {
        log::debug!("{} socket: {event:?}", self.kind);
        match &event {
            Event::HandshakeFailed { reason, remote, .. }
            | Event::Disconnected { reason, remote, .. } => self.count_close(reason, remote),
            _ => {}
        }
        let mut monitor = self.monitor.lock();
        match monitor.as_ref().map(|sender| sender.try_send(event)) {
            Some(Err(TrySendError::Full(_))) => {
                self.events_missed.fetch_add(1, Ordering::Relaxed);
            }
            Some(Err(TrySendError::Disconnected(_))) => *monitor = None,
            Some(Ok(())) | None => {}
        }
    }

    fn pump(&self) -> bool {
        let Some(channel) = self.channel.get() else {
            return false;
        };
        loop {
            let (pipe, resume) = {
                let mut inbox = self.inbox.lock();
                // Only senders under this lock fill the channel, so room stays room.
                if channel.is_full() {
                    return inbox.queue.len() > 0;
                }
                let Some((pipe, message, resume, _)) = self.pop(&mut inbox) else {
                    return false;
                };
                if channel
                    .try_send((Peer::new(pipe.clone()), message))
                    .is_err()
                {
                    // The receiver has been dropped: nobody will ask for these.
                    inbox.received -= 1;
                    inbox.dropped_closed += 1;
                }
                (pipe, resume)
            };
            if resume {
                pipe.resume();
            }
        }
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
