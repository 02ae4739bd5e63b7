//! One bound or connected endpoint of a socket on the second engine, as a task of its thread.
//!
//! ```text
//! dialed: connect --> serve --> lost --> pause --+
//!            ^                                   |
//!            +-----------------------------------+
//! bound:  serve, until unbound and the last peer has gone
//!
//! serve:  what happened, what is to be told, what is to be sent; then wait for more of it
//! ```
//!
//! A ROUTER's peers have a pipe each. The others of the crate's sockets do not say which peer a
//! message came from or went to: the peers that come in at one endpoint share a pipe, which is
//! there as long as one of them is.
//!
//! # Invariants
//!
//! 1. A peer that is connected is in `peers`, and its pipe is linked. (test
//!    `a_message_to_a_peer_that_has_gone_comes_back`)
//! 2. Nothing is received while a pipe has to pause. (test
//!    `a_receiver_that_does_not_read_stops_its_sender`)

use std::collections::{BTreeSet, HashMap};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use zeromq::util::PeerIdentity;
use zeromq::{Socket as _, SocketEvent, ZmqMessage, ZmqResult};

use super::super::owner::{Flow, Owner, Settings};
use super::super::pipe::Pipe;
use super::end::{Bell, End, Wish};
use super::socket::{Socket, as_io, on, received};
use crate::event::{CloseReason, Event};
use crate::link::{Endpoint, Listener};
use crate::message::Message;
use crate::zmtp::SocketType;

/// Messages given to the crate before the others have their turn.
const GIVEN_A_TURN: usize = 256;
/// Messages given to the crate before it may write them.
const GIVEN_AT_ONCE: usize = 64;
/// Messages received before the others have their turn.
const RECEIVED_A_TURN: usize = 64;
/// The pause before what the crate has not taken is tried again.
const AGAIN: Duration = Duration::from_millis(10);
/// Failures of a DEALER's peers, none of which is named, before all are parted from.
const FAILURES_MAX: u32 = 16;
/// Turns that are given to what a PUB sends through a task of its own, before it is closed.
const LAST_TURNS: usize = 4;

/// Where a task's peers come from.
pub(super) enum Place {
    Bound(Box<Listener>),
    Dialed(String),
}

/// Why serving has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Stopped,
    Lost,
}

/// What a turn waits for.
enum Step {
    Rung,
    Event(Option<SocketEvent>),
    Received(ZmqResult<ZmqMessage>),
}

/// A pipe of this endpoint; what a ROUTER puts before its messages.
struct Way {
    pipe: Arc<Pipe>,
    end: Arc<End>,
    name: Option<Bytes>,
}

/// A bound or connected endpoint.
pub(super) struct Task {
    kind: SocketType,
    identity: Bytes,
    owner: Weak<dyn Owner>,
    settings: Settings,
    endpoint: Endpoint,
    bell: Arc<Bell>,
    is_dialed: bool,
    /// Those who are connected, and the number of their way.
    peers: HashMap<PeerIdentity, u64>,
    ways: HashMap<u64, Way>,
    /// The number of the way that all share, where they do.
    shared: Option<u64>,
    /// It is there whether anybody is connected or not.
    is_fixed: bool,
    /// Topics that publishers have been told of.
    topics: BTreeSet<String>,
    paused: Option<Arc<End>>,
    batch: Vec<Message>,
    failures: u32,
    /// The crate has not taken a message: it is tried again after a while.
    is_refused: bool,
}

impl Task {
    pub(super) fn new(
        kind: SocketType,
        identity: Bytes,
        owner: Weak<dyn Owner>,
        settings: Settings,
        endpoint: Endpoint,
        bell: Arc<Bell>,
        pipe: Option<Arc<Pipe>>,
    ) -> Self {
        let mut task = Task {
            kind,
            identity,
            owner,
            settings,
            endpoint,
            bell,
            is_dialed: false,
            peers: HashMap::new(),
            ways: HashMap::new(),
            shared: None,
            is_fixed: pipe.is_some(),
            topics: BTreeSet::new(),
            paused: None,
            batch: Vec::new(),
            failures: 0,
            is_refused: false,
        };
        if let Some(pipe) = pipe {
            task.shared = task.add(pipe, None);
        }
        task
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(super) fn socket(&self) -> io::Result<Socket> {
        Socket::new(self.kind, &self.identity)
    }

    /// Serves those who come in.
    pub(super) async fn bound(
        mut self,
        mut socket: Socket,
        listener: Box<Listener>,
        named: zeromq::Endpoint,
    ) {
        let mut events = on!(&mut socket, each => each.monitor());
        let mut listening = Some((listener, named));
        loop {
            while let Ok(event) = events.try_recv() {
                self.happened(event);
            }
            match self.bell.wishes() {
                Wish::Serve => {}
                Wish::Unbind => {
                    if let Some((listener, named)) = listening.take() {
                        if let Err(error) = socket.unbind(named).await {
                            log::debug!("unbinding {}: {error}", self.endpoint);
                        }
                        drop(listener);
                        continue; // somebody may have come in meanwhile
                    }
                    if self.peers.is_empty() {
                        break;
                    }
                }
                Wish::Stop => break,
            }
            if !self.tell(&mut socket).await {
                // Who does not read which topics are wanted is told all of them when it is back.
                self.part_from_all(&socket);
            }
            self.give(&mut socket).await;
            let step = tokio::select! {
                () = self.bell.rung() => Step::Rung,
                event = events.recv() => Step::Event(event.ok()),
                message = socket.recv(), if self.may_receive() => Step::Received(message),
                () = sleep(AGAIN), if self.is_refused => Step::Rung,
            };
            // Who came before the message did is to be known before.
            while let Ok(event) = events.try_recv() {
                self.happened(event);
            }
            self.take(&mut socket, step).await;
        }
        drop(listening);
        self.finish(socket).await;
    }

    /// Connects, serves, and connects again.
    pub(super) async fn dialed(mut self, text: String) {
        self.is_dialed = true;
        let mut attempt = 0;
        let mut pause = self.settings.reconnect_interval;
        let pause_max = self.settings.reconnect_interval_max.max(pause);
        loop {
            let Ok(mut socket) = self.socket() else {
                return;
            };
            let mut events = on!(&mut socket, each => each.monitor());
            self.tell_anew(&mut socket).await;
            let outcome = tokio::select! {
                outcome = timeout(self.settings.handshake_timeout, socket.connect(&text)) => outcome,
                () = self.stopped() => break,
            };
            let failed = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(as_io(error).kind()),
                Err(_) => Some(io::ErrorKind::TimedOut),
            };
            let over = loop {
                if failed.is_some() {
                    break Over::Lost;
                }
                while let Ok(event) = events.try_recv() {
                    self.happened(event);
                }
                if self.bell.wishes() == Wish::Stop {
                    break Over::Stopped;
                }
                if self.peers.is_empty() || !self.tell(&mut socket).await {
                    break Over::Lost;
                }
                self.give(&mut socket).await;
                let step = tokio::select! {
                    () = self.bell.rung() => Step::Rung,
                    event = events.recv() => Step::Event(event.ok()),
                    message = socket.recv(), if self.may_receive() => Step::Received(message),
                    () = sleep(AGAIN), if self.is_refused => Step::Rung,
                };
                // Who came before the message did is to be known before.
                while let Ok(event) = events.try_recv() {
                    self.happened(event);
                }
                self.take(&mut socket, step).await;
            };
            if over == Over::Stopped {
                self.finish(socket).await;
                return;
            }
            self.part_from_all(&socket);
            socket.shut();
            drop(socket);
            match failed {
                Some(error) => {
                    let endpoint = self.endpoint.clone();
                    self.report(Event::ConnectFailed { endpoint, error });
                }
                None => {
                    attempt = 0;
                    pause = self.settings.reconnect_interval;
                }
            }
            attempt += 1;
            self.report(Event::Retried {
                endpoint: self.endpoint.clone(),
                attempt,
                delay: pause,
            });
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stopped() => break,
            }
            pause = (pause * 2).min(pause_max);
        }
    }

    async fn stopped(&self) {
        while self.bell.wishes() != Wish::Stop {
            self.bell.rung().await;
        }
    }

    /// Ends every connection; what the crate has taken goes out after that.
    async fn finish(mut self, mut socket: Socket) {
        if self.kind == SocketType::Pub {
            self.give(&mut socket).await;
            for _ in 0..LAST_TURNS {
                tokio::task::yield_now().await;
            }
        }
        socket.shut();
    }

    fn report(&self, event: Event) {
        if let Some(owner) = self.owner.upgrade() {
            owner.report(event);
        }
    }

    fn add(&mut self, pipe: Arc<Pipe>, name: Option<Bytes>) -> Option<u64> {
        let end = pipe.second()?.clone();
        let number = end.number();
        self.ways.insert(number, Way { pipe, end, name });
        Some(number)
    }

    // Who comes and goes.

    fn happened(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Accepted(remote, peer) | SocketEvent::Connected(remote, peer) => {
                self.came(peer, &remote.to_string());
            }
            SocketEvent::Disconnected(peer) => self.went(&peer, CloseReason::PeerClosed),
            SocketEvent::AcceptFailed(error) => {
                log::debug!("nobody came in at {}: {error}", self.endpoint);
                self.report(Event::HandshakeFailed {
                    endpoint: self.endpoint.clone(),
                    remote: "unknown".into(),
                    reason: CloseReason::Io(as_io(error).kind()),
                });
            }
            _ => {}
        }
    }

    fn came(&mut self, peer: PeerIdentity, remote: &str) -> Option<u64> {
        let owner = self.owner.upgrade()?;
        let is_router = self.kind == SocketType::Router;
        if is_router && self.peers.contains_key(&peer) {
            // The crate has let the newcomer take the place.
            self.went(&peer, CloseReason::Superseded);
        }
        let number = match self.shared {
            Some(number) => number,
            None => {
                let name = is_router.then(|| Bytes::copy_from_slice(&peer));
                let settings = &self.settings;
                let bell = self.bell.clone();
                let end = End::new(self.owner.clone(), self.kind, settings, bell);
                let pipe = Pipe::over_second(self.owner.clone(), end, false);
                owner.enrol(&pipe, name.clone().unwrap_or_default());
                let number = self.add(pipe, name)?;
                if !is_router {
                    self.shared = Some(number);
                }
                number
            }
        };
        let way = self.ways.get(&number)?;
        way.end.set_linked(true);
        let id = way.pipe.id;
        self.peers.insert(peer, number);
        self.failures = 0;
        owner.report(Event::Connected {
            endpoint: self.endpoint.clone(),
            remote: remote.into(),
            peer: id,
        });
        owner.room();
        Some(number)
    }

    fn went(&mut self, peer: &PeerIdentity, reason: CloseReason) {
        let Some(number) = self.peers.remove(peer) else {
            return;
        };
        let (Some(owner), Some(way)) = (self.owner.upgrade(), self.ways.get(&number)) else {
            return;
        };
        self.failures = 0;
        let pipe = way.pipe.clone();
        if self.peers.values().any(|other| *other == number) {
            // Whoever is left takes what is queued.
            way.end.set_linked(true);
        } else {
            let end = way.end.clone();
            if !self.is_fixed {
                self.shared = None;
                self.ways.remove(&number);
                // Its end is that of the link, too: nobody finds one without the other.
                owner.gone(&pipe, &reason);
            }
            end.set_linked(false);
            if self.is_fixed && self.is_dialed {
                owner.gone(&pipe, &reason);
            }
        }
        // Who hears of it finds it so.
        owner.report(Event::Disconnected {
            endpoint: self.endpoint.clone(),
            remote: "unknown".into(),
            peer: pipe.id,
            reason,
        });
    }

    fn part_from_all(&mut self, socket: &Socket) {
        let peers: Vec<PeerIdentity> = self.peers.keys().cloned().collect();
        for peer in peers {
            socket.part_from(&peer);
            self.went(&peer, CloseReason::PeerClosed);
        }
    }

    // What goes out.

    /// Tells publishers what has changed; false if they do not take it in time.
    async fn tell(&mut self, socket: &mut Socket) -> bool {
        if self.kind != SocketType::Sub {
            return true;
        }
        for (topic, begins) in self.changes() {
            let changed = if begins {
                self.topics.insert(topic.clone())
            } else {
                self.topics.remove(&topic)
            };
            if !changed {
                continue;
            }
            let telling = socket.subscribe(begins, &topic);
            match timeout(self.settings.handshake_timeout, telling).await {
                Ok(Ok(())) => {}
                // Who has gone meanwhile is told of all when it is back.
                Ok(Err(error)) => log::debug!("subscribing at {}: {error}", self.endpoint),
                Err(_) => return false,
            }
        }
        true
    }

    /// Gives a new socket every topic: whoever it is connected to is told.
    async fn tell_anew(&mut self, socket: &mut Socket) {
        for (topic, begins) in self.changes() {
            if begins {
                self.topics.insert(topic);
            } else {
                self.topics.remove(&topic);
            }
        }
        for topic in &self.topics {
            // Nobody is connected yet: there is nothing to wait for, and nothing to go wrong.
            if let Err(error) = socket.subscribe(true, topic).await {
                log::debug!("subscribing at {}: {error}", self.endpoint);
            }
        }
    }

    fn changes(&self) -> Vec<(String, bool)> {
        let way = self.shared.and_then(|number| self.ways.get(&number));
        let topics = way.map(|way| way.end.take_topics()).unwrap_or_default();
        let text = |(topic, begins): (Box<[u8]>, bool)| {
            String::from_utf8(topic.into())
                .ok()
                .map(|topic| (topic, begins))
        };
        topics.into_iter().filter_map(text).collect()
    }

    /// Gives the crate what is queued, as far as it may have it.
    async fn give(&mut self, socket: &mut Socket) {
        self.is_refused = false;
        let mut given = 0;
        while let Some(number) = self.bell.next() {
            let Some(way) = self.ways.get(&number) else {
                continue;
            };
            way.end.unlist();
            while let Some(mut message) = way.end.begin() {
                if let Some(name) = &way.name {
                    message.push_front(name.clone());
                }
                let sent = socket.send(message).await;
                let is_refused = sent.is_err();
                if let Err(error) = sent {
                    log::debug!("sending at {}: {error}", self.endpoint);
                    // The message may be in it, and goes back with it: before `gave`.
                    drop(error);
                }
                way.end.gave();
                if is_refused {
                    way.end.list_again();
                    self.is_refused = true;
                    return;
                }
                given += 1;
                if given % GIVEN_AT_ONCE == 0 {
                    tokio::task::yield_now().await;
                }
                if given >= GIVEN_A_TURN {
                    way.end.list_again();
                    return;
                }
            }
        }
    }

    // What comes in.

    fn may_receive(&self) -> bool {
        self.paused.as_ref().is_none_or(|end| end.is_reading())
    }

    async fn take(&mut self, socket: &mut Socket, step: Step) {
        let first = match step {
            Step::Rung | Step::Event(None) => return,
            Step::Event(Some(event)) => return self.happened(event),
            Step::Received(message) => message,
        };
        self.paused = None;
        let mut next = Some(first);
        let mut from = None;
        let most = RECEIVED_A_TURN.min(self.settings.recv_messages_max);
        let mut count = 0;
        while let Some(message) = next {
            match message {
                Ok(message) => {
                    let mut frames = message.into_vecdeque();
                    let number = match self.kind {
                        SocketType::Router => {
                            let name = frames.pop_front().unwrap_or_default();
                            self.way_of(name)
                        }
                        _ => self.shared.or_else(|| self.way_of(Bytes::new())),
                    };
                    if from != number {
                        self.deliver(from);
                        from = number;
                    }
                    self.batch.push(received(frames));
                    self.failures = 0;
                }
                Err(error) => {
                    self.failed(socket, &error.to_string());
                    break;
                }
            }
            count += 1;
            // What is taken out of the crate has to be delivered: so no more than that.
            if count >= most || self.paused.is_some() {
                break;
            }
            next = at_once(socket.recv()).await;
        }
        self.deliver(from);
    }

    /// The way of a peer by its name; of one that was not heard of, too.
    fn way_of(&mut self, name: Bytes) -> Option<u64> {
        let peer = PeerIdentity::try_from(name).ok()?;
        match self.peers.get(&peer) {
            Some(number) => Some(*number),
            None => self.came(peer, "unknown"),
        }
    }

    fn deliver(&mut self, number: Option<u64>) {
        if self.batch.is_empty() {
            return;
        }
        let way = number.and_then(|number| self.ways.get(&number));
        if let (Some(owner), Some(way)) = (self.owner.upgrade(), way)
            && owner.deliver(&way.pipe, &mut self.batch, Instant::now()) != Flow::On
        {
            self.paused = Some(way.end.clone());
        }
        self.batch.clear();
    }

    /// A connection has failed. The crate parts from it, but for those of a DEALER, where it does
    /// not say whose it is: who goes on failing is parted from with all others.
    fn failed(&mut self, socket: &Socket, error: &str) {
        log::debug!("receiving at {}: {error}", self.endpoint);
        self.failures += 1;
        if self.is_dialed || self.failures >= FAILURES_MAX {
            self.part_from_all(socket);
        }
    }
}

impl Drop for Task {
    /// However the task has ended, nobody waits for its peers any more.
    fn drop(&mut self) {
        let owner = self.owner.upgrade();
        for (_, way) in self.ways.drain() {
            way.end.set_linked(false);
            if let Some(owner) = &owner {
                owner.gone(&way.pipe, &CloseReason::Local);
            }
        }
    }
}

/// What the future gives, if it has it at once.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}
