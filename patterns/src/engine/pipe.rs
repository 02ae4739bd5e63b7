//! A peer of a socket, as the socket sees it: where messages to it go, and what it has cost.
//!
//! A pipe may outlive its connection: what a DEALER has queued for an endpoint waits in the pipe
//! while the dialer reconnects. A pipe that was made for one accepted connection ends with it.
//! Subscriptions wait in no pipe: whoever is connected anew is told all of them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::conn::Conn;
use super::conn_link::ConnLink;
use super::inproc;
use super::outbox::{After, Offered, Outbox, OutboxCounts, Outgoing, Refused, Told};
use super::owner::{Owner, Settings};
use super::pace::{self, Hold};
#[cfg(feature = "zeromq")]
use super::second::end::End as SecondEnd;
use super::shared::Shared;
use crate::link::RemoteAddr;
use crate::message::{Frame, Message};
use crate::zmtp::{SocketType, command};

/// The slot of a pipe that is in no queue.
const NO_SLOT: u32 = u32::MAX;
/// A round trip that is not known.
const UNKNOWN: u64 = u64::MAX;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

#[allow(clippy::large_enum_variant)] // nearly every pipe is a stream's
enum Route {
    Stream {
        outbox: Outbox<ConnLink>,
        shared: Arc<Shared>,
        one_way: bool,
    },
    Inproc(inproc::End),
    #[cfg(feature = "zeromq")]
    Second(Arc<SecondEnd>),
}

/// One peer of a socket.
pub(crate) struct Pipe {
    /// Its number: never used again in this process.
    pub(crate) id: u64,
    route: Route,
    owner: Weak<dyn Owner>,
    identity: Mutex<Frame>,
    slot: AtomicU32,
    conn: Mutex<Option<Arc<Conn>>>,
    closed: AtomicBool,
    /// Its weight in the fair queue of its socket.
    weight: AtomicU32,
    /// Whether it outlives its connection.
    keeps: bool,
    unanswered_pings: AtomicU64,
    /// In nanoseconds, where it is known.
    round_trip: AtomicU64,
    /// The peer's type; and whether it takes subscriptions as commands.
    peer: Mutex<(Option<SocketType>, bool)>,
}

impl Pipe {
    /// A pipe whose messages go over a connection; `keeps` if they outlive it.
    pub(crate) fn stream(
        owner: Weak<dyn Owner>,
        settings: &Settings,
        shared: Arc<Shared>,
        keeps: bool,
    ) -> Arc<Self> {
        let outbox = Outbox::new(settings.send_messages_max, settings.send_bytes_max, keeps)
            .conflating(settings.conflate);
        let one_way = settings.one_way;
        let route = Route::Stream {
            outbox,
            shared,
            one_way,
        };
        Self::with(owner, route, keeps)
    }

    /// A pipe to a socket of this process.
    pub(crate) fn inproc(owner: Weak<dyn Owner>, settings: &Settings) -> Arc<Self> {
        let end = inproc::End::new(inproc::Allowance {
            messages_max: settings.send_messages_max,
            bytes_max: settings.send_bytes_max,
            conflates: settings.conflate,
        });
        Self::with(owner, Route::Inproc(end), false)
    }

    /// A pipe to a peer on the second engine.
    #[cfg(feature = "zeromq")]
    pub(crate) fn over_second(
        owner: Weak<dyn Owner>,
        end: Arc<SecondEnd>,
        keeps: bool,
    ) -> Arc<Self> {
        Self::with(owner, Route::Second(end), keeps)
    }

    /// Its end on the second engine, if it is there.
    #[cfg(feature = "zeromq")]
    pub(crate) fn second(&self) -> Option<&Arc<SecondEnd>> {
        match &self.route {
            Route::Second(end) => Some(end),
            Route::Stream { .. } | Route::Inproc(_) => None,
        }
    }

    fn with(owner: Weak<dyn Owner>, route: Route, keeps: bool) -> Arc<Self> {
        Arc::new(Pipe {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            route,
            owner,
            identity: Mutex::new(Frame::new()),
            slot: AtomicU32::new(NO_SLOT),
            conn: Mutex::new(None),
            closed: AtomicBool::new(false),
            weight: AtomicU32::new(1),
            keeps,
            unanswered_pings: AtomicU64::new(0),
            round_trip: AtomicU64::new(UNKNOWN),
            peer: Mutex::default(),
        })
    }

    /// Sends a message, or says why not. This thread's pace says whether it may be held back.
    pub(crate) fn send<M: Outgoing>(self: &Arc<Self>, message: M) -> Result<(), (Refused, M)> {
        self.send_held(message, pace::holds)
    }

    /// The same, held back as `hold` says.
    #[inline]
    pub(crate) fn send_held<M: Outgoing>(
        self: &Arc<Self>,
        message: M,
        hold: impl FnOnce() -> Hold,
    ) -> Result<(), (Refused, M)> {
        match &self.route {
            Route::Stream {
                outbox,
                shared,
                one_way,
            } => {
                let hold = hold().on(*one_way);
                let after = outbox.push(message, hold, pace::thread())?;
                self.sent(after, shared);
                Ok(())
            }
            Route::Inproc(end) => message.give(|message| end.push(message)),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => message.give(|message| end.push(message)),
        }
    }

    /// Sends a message that goes to other peers too; without room for it, it is dropped and
    /// counted. `beyond` lets it go over the limits.
    pub(crate) fn offer(self: &Arc<Self>, message: &Message, hold: Hold, beyond: bool) -> Offered {
        match &self.route {
            Route::Stream {
                outbox,
                shared,
                one_way,
            } => {
                let hold = hold.on(*one_way);
                let offered = outbox.offer(message, hold, pace::thread(), beyond);
                if let Offered::Taken(after) = offered {
                    self.sent(after, shared);
                }
                offered
            }
            Route::Inproc(end) => end.offer(message, beyond),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => end.offer(message),
        }
    }

    /// Tells the peer of a subscription that begins or ends, if there is one; it goes out with
    /// the next [`flush`](Self::flush). `bytes_max` is what may be queued of this.
    pub(crate) fn tell(&self, begins: bool, topic: &[u8], bytes_max: usize) -> Told {
        match &self.route {
            Route::Stream { outbox, .. } => {
                let mut frame = Vec::with_capacity(topic.len() + 20);
                self.encode_subscription(&mut frame, begins, topic);
                outbox.tell(&frame, bytes_max)
            }
            Route::Inproc(end) => end.tell(begins, topic),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => end.tell(begins, topic),
        }
    }

    /// Appends the frame that tells this peer of a subscription.
    pub(crate) fn encode_subscription(&self, out: &mut Vec<u8>, begins: bool, topic: &[u8]) {
        let (_, commands) = *self.peer.lock();
        match (commands, begins) {
            (true, true) => command::subscribe(out, topic),
            (true, false) => command::cancel(out, topic),
            (false, _) => command::subscription_message(out, begins, topic),
        }
    }

    /// Tells a peer within the process of every subscription, before any that comes later; false
    /// if it does not take them.
    pub(crate) fn tell_first<'a>(&self, topics: impl Iterator<Item = &'a [u8]>) -> bool {
        match &self.route {
            Route::Stream { .. } => true,
            Route::Inproc(end) => end.tell_first(topics),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => {
                end.tell_first(topics);
                true
            }
        }
    }

    /// What a message that this thread has sent leaves to do.
    fn sent(self: &Arc<Self>, after: After, shared: &Shared) {
        if after.corked {
            shared.cork(self.clone());
        } else if after.wrote {
            pace::wrote();
        }
        self.follow_up(after);
    }

    fn follow_up(&self, after: After) {
        if after.room
            && let Some(owner) = self.owner.upgrade()
        {
            owner.room();
        }
    }

    /// Sends a command frame, if the link takes it soon.
    pub(crate) fn command(&self, frame: &[u8], unless_queued: usize) {
        if let Route::Stream { outbox, .. } = &self.route {
            let after = outbox.push_command(frame, unless_queued);
            self.follow_up(after);
        }
    }

    /// Writes what was corked.
    pub(crate) fn flush(&self) {
        if let Route::Stream { outbox, .. } = &self.route {
            let after = outbox.flush();
            self.follow_up(after);
        }
    }

    /// The connection takes more.
    pub(crate) fn writable(&self, conn: &Arc<Conn>) {
        if let Route::Stream { outbox, .. } = &self.route {
            let after = outbox.writable(&ConnLink(conn.clone()));
            self.follow_up(after);
        }
    }

    /// The connection carries the messages from now on; its peer is told `opening` first. It is
    /// written with the next [`flush`](Self::flush).
    pub(crate) fn place(&self, conn: &Arc<Conn>, opening: Vec<u8>) {
        if let Route::Stream { outbox, .. } = &self.route {
            *self.conn.lock() = Some(conn.clone());
            outbox.place(ConnLink(conn.clone()), opening);
        }
    }

    /// The connection has ended.
    pub(crate) fn detach(&self, conn: &Arc<Conn>) {
        if let Route::Stream { outbox, .. } = &self.route {
            outbox.detach(&ConnLink(conn.clone()));
            let mut current = self.conn.lock();
            if current
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, conn))
            {
                *current = None;
                self.set_round_trip(None);
            }
        }
    }

    /// The other side, within the process, has closed.
    pub(crate) fn part(&self) {
        if let Route::Inproc(end) = &self.route {
            end.part();
        }
    }

    /// Ends the pipe: nothing is taken any more, what is queued is dropped and counted.
    pub(crate) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.route {
            Route::Stream { outbox, .. } => {
                outbox.close();
                *self.conn.lock() = None;
                self.set_round_trip(None);
            }
            Route::Inproc(end) => end.close(),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => end.close(),
        }
    }

    /// The two ends of a connection within the process meet; false if this one has been closed.
    pub(crate) fn meet(self: &Arc<Self>, other: &Arc<Pipe>) -> bool {
        let (Route::Inproc(end), Some(owner)) = (&self.route, other.owner.upgrade()) else {
            return false;
        };
        end.link(owner, other.clone())
    }

    /// Takes up reading after a pause.
    pub(crate) fn resume(&self) {
        match &self.route {
            Route::Stream { .. } => {
                if let Some(conn) = &*self.conn.lock() {
                    conn.set_reading(true);
                }
            }
            Route::Inproc(end) => end.peer_has_room(),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => end.set_reading(true),
        }
    }

    /// The other side of a connection within the process takes messages again.
    pub(crate) fn has_room_again(&self) {
        if let Route::Inproc(end) = &self.route {
            end.has_room_again();
        }
    }

    /// Pauses reading.
    pub(crate) fn pause(&self) {
        #[cfg(feature = "zeromq")]
        if let Route::Second(end) = &self.route {
            end.set_reading(false);
        }
        if let Some(conn) = &*self.conn.lock() {
            conn.set_reading(false);
        }
    }

    /// Whether a message would be taken now.
    pub(crate) fn has_room(&self) -> bool {
        match &self.route {
            Route::Stream { outbox, .. } => outbox.has_room(),
            Route::Inproc(end) => end.has_room(),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => end.has_room(),
        }
    }

    /// The address of the peer, if it is there and over tcp.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        match self.conn.lock().as_ref()?.remote {
            RemoteAddr::Tcp(address) => Some(address),
            RemoteAddr::Unix { .. } => None,
        }
    }

    /// Whether there is a peer at the other end now.
    pub(crate) fn is_linked(&self) -> bool {
        match &self.route {
            Route::Stream { outbox, .. } => outbox.is_linked(),
            Route::Inproc(end) => end.is_linked(),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => end.is_linked(),
        }
    }

    /// Whether nothing is queued; if something is, the owner hears of room.
    pub(crate) fn is_drained(&self) -> bool {
        match &self.route {
            Route::Stream { outbox, .. } => outbox.is_drained(),
            Route::Inproc(end) => end.counts().queued == 0,
            #[cfg(feature = "zeromq")]
            Route::Second(end) => end.is_drained(),
        }
    }

    /// Gives up buffers that are not in use.
    pub(crate) fn release(&self) {
        if let Route::Stream { outbox, .. } = &self.route {
            outbox.release();
        }
    }

    /// Counts of what was sent.
    pub(crate) fn counts(&self) -> OutboxCounts {
        match &self.route {
            Route::Stream { outbox, .. } => outbox.counts(),
            Route::Inproc(end) => end.counts(),
            #[cfg(feature = "zeromq")]
            Route::Second(end) => end.counts(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    pub(crate) fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
    }

    pub(crate) fn identity(&self) -> Frame {
        self.identity.lock().clone()
    }

    pub(crate) fn set_identity(&self, identity: Frame) {
        *self.identity.lock() = identity;
    }

    /// Whether its messages go over a connection of this engine.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.route, Route::Stream { .. })
    }

    /// Whether it leads to a socket of this process.
    pub(crate) fn is_inproc(&self) -> bool {
        matches!(self.route, Route::Inproc(_))
    }

    /// What is known of the peer: its type, and whether it takes subscriptions as commands.
    pub(crate) fn set_peer(&self, socket_type: SocketType, commands: bool) {
        *self.peer.lock() = (Some(socket_type), commands);
    }

    /// The peer's type, once it is known.
    pub(crate) fn peer_type(&self) -> Option<SocketType> {
        self.peer.lock().0
    }

    /// The current connection.
    pub(crate) fn conn(&self) -> Option<Arc<Conn>> {
        self.conn.lock().clone()
    }

    /// How long it takes to the peer and back, as far as that is known.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        if self.is_inproc() {
            return Some(Duration::ZERO);
        }
        let nanos = self.round_trip.load(Ordering::Relaxed);
        (nanos != UNKNOWN).then(|| Duration::from_nanos(nanos))
    }

    pub(crate) fn set_round_trip(&self, known: Option<Duration>) {
        let nanos = known.map_or(UNKNOWN, |known| {
            u64::try_from(known.as_nanos()).unwrap_or(UNKNOWN - 1)
        });
        self.round_trip.store(nanos, Ordering::Relaxed);
    }

    /// The place in its socket's fair queue.
    pub(crate) fn slot(&self) -> Option<u32> {
        let slot = self.slot.load(Ordering::Relaxed);
        (slot != NO_SLOT).then_some(slot)
    }

    /// Set under the lock of the socket's fair queue.
    pub(crate) fn set_slot(&self, slot: Option<u32>) {
        self.slot.store(slot.unwrap_or(NO_SLOT), Ordering::Relaxed);
    }

    pub(crate) fn pings_unanswered(&self, count: u64) {
        self.unanswered_pings.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn unanswered_pings(&self) -> u64 {
        self.unanswered_pings.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipe({})", self.id)
    }
}
