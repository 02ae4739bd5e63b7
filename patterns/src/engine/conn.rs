//! One connection: from the first byte to the last.
//!
//! ```text
//! Connecting --> Handshake --> Traffic --> Closed
//!                    |  ^ admitted
//!                    v  |
//!                 Contested        another peer holds the identity: it is being tested
//! ```
//!
//! Only the thread that leads walks a connection through its phases. Senders write to the stream
//! through the pipe's outbox, and never see a phase.
//!
//! | file | what |
//! |---|---|
//! | `conn/reading.rs` | what an admitted peer sends |
//! | `conn/contest.rs` | whether the holder of a contested identity is alive |
//!
//! # Invariants
//!
//! 1. Nothing that a peer sends is acted on before it is admitted. (held by `Phase`: only
//!    `Traffic` has a decoder)
//! 2. A connection that is closed is off the poller, and takes no messages, before anybody hears of
//!    it.
//!    (held by the order in `Conn::close`)
//! 3. Silence is not judged while reading is paused, since then it is ours.
//!    (held by `heartbeat.rs`; shown in `tests/hostile/silence.rs`)
//! 4. What a peer sent before it left is read, behind a pause too.
//!    (test `what_a_peer_sent_before_it_left_is_received_behind_a_full_inbox_too`)
//! 5. A peer that its owner has admitted comes in, or the owner hears that it does not.
//!    (test `who_leaves_as_it_is_let_in_leaves_nothing_behind`)

mod contest;
mod reading;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fd::AsFd;

use self::contest::PROBE_TIMEOUT;
use super::dial::Dialer;
use super::driver::{Action, Workbench};
use super::intake::Rate;
use super::owner::{Owner, Verdict};
use super::pipe::Pipe;
use super::poller::{Interest, Ready};
use super::round_trip::RoundTrip;
use super::shared::Shared;
use super::timers::Timer;
use crate::event::{CloseReason, Event};
use crate::link::{Endpoint, RemoteAddr, Stream};
use crate::zmtp::decoder::Decoder;
use crate::zmtp::{Handshake, Local, PeerInfo, Progress, SocketType};

/// Commands are not queued behind this many bytes: the peer is not reading.
pub(super) const COMMANDS_BEHIND_MAX: usize = 64 * 1024;

/// How a connection came to be.
#[derive(Debug)]
pub(crate) enum Origin {
    /// By a listener, as this one in the order of all.
    Accepted { serial: u64 },
    /// By a dialer.
    Dialed(Arc<Dialer>),
}

/// What was heard of a peer in its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing.
    Nothing,
    /// Something, and more is to come.
    Part,
    /// It is through its handshake.
    All,
    /// The connection is closed.
    End,
}

/// One connection.
pub(crate) struct Conn {
    pub(crate) token: u64,
    pub(crate) stream: Stream,
    pub(crate) remote: RemoteAddr,
    pub(crate) remote_name: Arc<str>,
    pub(crate) endpoint: Endpoint,
    pub(crate) origin: Origin,
    pub(crate) owner: Arc<dyn Owner>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) since: Instant,
    pub(super) watched: Mutex<Watched>,
    pub(super) phase: Mutex<Phase>,
    pub(super) pipe: OnceLock<Arc<Pipe>>,
    closed: AtomicBool,
    /// Something was read in its handshake since that was last asked for.
    spoke: AtomicBool,
    /// It was spared once, as it spoke.
    spared: AtomicBool,
    /// The newcomer that waits for this connection's sign of life.
    challenger: Mutex<Option<(Arc<Conn>, Instant)>>,
    /// Whether there is one.
    tested: AtomicBool,
}

/// What the poller has been told of the connection.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) interest: Interest,
    /// Whether it is on the poller.
    pub(super) on: bool,
    /// Whether it is to be on the poller whenever there is something to watch for.
    wanted: bool,
}

pub(super) enum Phase {
    Connecting,
    /// Since it was greeted.
    Handshake(Box<Handshake>, Instant),
    /// And how long the handshake took.
    Contested(Box<(Handshake, PeerInfo)>, Duration),
    Traffic(Box<Traffic>),
    Closed,
}

pub(super) struct Traffic {
    pub(super) decoder: Decoder,
    pub(super) last_heard: Instant,
    /// It was asked for a sign of life, and its owner told; nothing was heard since.
    pub(super) asked: bool,
    /// When its silence is judged next.
    pub(super) beat_due: Instant,
    /// Whether the peer speaks a version that has heartbeats.
    pub(super) pings: bool,
    /// Whether the peer is known to judge our silence.
    pub(super) judges: bool,
    /// The time to live that the peer announced.
    pub(super) ttl: Option<Duration>,
    /// When the timer that watches over it is due.
    pub(super) ttl_due: Option<Instant>,
    pongs: Rate,
    pub(super) round_trip: RoundTrip,
    /// Whether subscriptions may come.
    subscribable: bool,
}

impl Conn {
    #[allow(clippy::too_many_arguments)] // what a connection is made of
    pub(crate) fn new(
        token: u64,
        stream: Stream,
        remote: RemoteAddr,
        endpoint: Endpoint,
        origin: Origin,
        owner: Arc<dyn Owner>,
        shared: Arc<Shared>,
    ) -> Self {
        Conn {
            token,
            stream,
            remote_name: remote.to_string().into(),
            remote,
            endpoint,
            origin,
            owner,
            shared,
            since: Instant::now(),
            watched: Mutex::new(Watched::default()),
            phase: Mutex::new(Phase::Connecting),
            pipe: OnceLock::new(),
            closed: AtomicBool::new(false),
            spoke: AtomicBool::new(false),
            spared: AtomicBool::new(false),
            challenger: Mutex::new(None),
            tested: AtomicBool::new(false),
        }
    }

    /// Begins to be watched: for the end of connecting, or for the peer's greeting.
    pub(crate) fn start(self: &Arc<Self>, connecting: bool, bench: &mut Workbench<'_>) {
        let timeout = self.owner.settings().handshake_timeout;
        self.shared
            .arm(bench.now + timeout, Timer::Handshake(self.token));
        let interest = Interest {
            read: !connecting,
            write: connecting,
        };
        if !connecting {
            // Before it is watched: another thread may lead, and would take it for one that has
            // just been connected, and greet a second time.
            self.greet(bench);
        }
        let added = {
            let mut watched = self.watched.lock();
            if self.closed.load(Ordering::Acquire) {
                return;
            }
            *watched = Watched {
                interest,
                on: true,
                wanted: true,
            };
            self.shared
                .poller
                .add(self.stream.as_fd(), self.token, interest)
        };
        if let Err(error) = added {
            self.close(CloseReason::Io(error.kind()), bench);
        }
    }

    /// Changes what the connection is watched for, unless it is closed.
    pub(super) fn watch_for(&self, change: impl FnOnce(&mut Interest)) {
        let mut watched = self.watched.lock();
        let before = watched.interest;
        change(&mut watched.interest);
        let interest = watched.interest;
        if interest == before || !watched.wanted {
            return;
        }
        let (fd, poller) = (self.stream.as_fd(), &self.shared.poller);
        let told = if std::mem::replace(&mut watched.on, true) {
            poller.modify(fd, self.token, interest)
        } else {
            poller.add(fd, self.token, interest)
        };
        if let Err(error) = told {
            log::error!(
                "cannot watch the connection to {}: {error}",
                self.remote_name
            );
        }
    }

    /// The peer has gone, but what it sent is still to be read once there is room: until then the
    /// poller would report the end again and again. False if reading is not paused.
    fn rest_until_resumed(&self) -> bool {
        let mut watched = self.watched.lock();
        if watched.interest.read {
            return false;
        }
        if std::mem::replace(&mut watched.on, false) {
            // The descriptor is open, so the poller knows it; a failure changes nothing.
            let _ = self.shared.poller.delete(self.stream.as_fd());
        }
        true
    }

    /// Pauses reading, or takes it up again. Any thread may call this.
    pub(crate) fn set_reading(&self, reading: bool) {
        self.watch_for(|interest| interest.read = reading);
    }

    fn greet(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        let (socket_type, identity) = self.owner.local();
        let responder = matches!(self.origin, Origin::Accepted { .. });
        let local = Local {
            socket_type,
            identity,
            heartbeats: self.owner.settings().heartbeat.is_some(),
            responder,
        };
        let mut handshake = Handshake::new(local, self.owner.settings().handshake);
        let greeted = Instant::now();
        let written = self.write_plain(&handshake.take_output());
        *self.phase.lock() = Phase::Handshake(Box::new(handshake), greeted);
        self.watch_for(|interest| {
            *interest = Interest {
                read: true,
                write: false,
            }
        });
        if let Err(reason) = written {
            self.close(reason, bench);
        }
    }

    /// Writes a few bytes of the handshake. They fit any socket buffer: a peer that lets less
    /// than a greeting and a READY through is not worth waiting for.
    fn write_plain(&self, bytes: &[u8]) -> Result<(), CloseReason> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.send(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) => return Err(CloseReason::Io(error.kind())),
            }
        }
        Ok(())
    }

    /// The kernel says the connection is ready for something.
    pub(crate) fn ready(self: &Arc<Self>, ready: Ready, bench: &mut Workbench<'_>) {
        if ready.writable
            && let Some(pipe) = self.pipe.get()
        {
            pipe.writable(self);
        }
        let ended = {
            let mut phase = self.phase.lock();
            match &mut *phase {
                Phase::Connecting => {
                    drop(phase);
                    self.connected(bench);
                    return;
                }
                Phase::Handshake(handshake, _) if ready.readable || ready.hung_up => {
                    match self.shake(handshake, bench) {
                        Ok(None) => None,
                        Ok(Some(peer)) => {
                            let Phase::Handshake(handshake, greeted) =
                                std::mem::replace(&mut *phase, Phase::Closed)
                            else {
                                return;
                            };
                            drop(phase);
                            self.ask_in(*handshake, peer, greeted.elapsed(), bench);
                            return;
                        }
                        Err(reason) => Some(reason),
                    }
                }
                Phase::Traffic(traffic) if ready.readable => self.read(traffic, bench).err(),
                Phase::Traffic(_) if ready.hung_up && self.rest_until_resumed() => None,
                // What is left to read comes first: the end may have been reported while reading
                // was paused, and it is not any more.
                Phase::Traffic(traffic) if ready.hung_up => self.read(traffic, bench).err(),
                Phase::Contested(..) if ready.hung_up => Some(self.stream_end()),
                _ => None,
            }
        };
        if let Some(reason) = ended {
            self.close(reason, bench);
        }
    }

    fn stream_end(&self) -> CloseReason {
        match self.stream.take_error() {
            Ok(()) => CloseReason::PeerClosed,
            Err(error) => CloseReason::Io(error.kind()),
        }
    }

    fn connected(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        if let Err(error) = self.stream.take_error() {
            self.close(CloseReason::Io(error.kind()), bench);
        } else if self.stream.is_self_connected() {
            self.close(CloseReason::SelfConnect, bench);
        } else {
            self.greet(bench);
        }
    }

    /// Reads on in the handshake; gives the peer once it is known.
    fn shake(
        &self,
        handshake: &mut Handshake,
        bench: &mut Workbench<'_>,
    ) -> Result<Option<PeerInfo>, CloseReason> {
        loop {
            let space = bench.buffer.space();
            let wanted = handshake.wants().min(space.len());
            let n = match self.stream.recv(&mut space[..wanted]) {
                Ok(0) => return Err(CloseReason::PeerClosed),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(CloseReason::Io(error.kind())),
            };
            self.spoke.store(true, Ordering::Relaxed);
            let progress = handshake
                .feed(&space[..n])
                .map_err(CloseReason::Violation)?;
            self.write_plain(&handshake.take_output())?;
            if let Progress::Ready(peer) = progress {
                return Ok(Some(peer));
            }
        }
    }

    /// The peer is known, this long after it was greeted: the owner decides whether it comes in.
    fn ask_in(
        self: &Arc<Self>,
        handshake: Handshake,
        peer: PeerInfo,
        took: Duration,
        bench: &mut Workbench<'_>,
    ) {
        match self.owner.admit(self, &peer) {
            Verdict::Admitted(pipe) => self.let_in(handshake, &peer, pipe, took, bench),
            Verdict::Refused(reason) => self.turn_away(handshake, reason, bench),
            Verdict::Contested(holder) => {
                if holder.challenger.lock().is_some() {
                    // Another one is before it, and nothing is decided: it may come back.
                    self.close(CloseReason::IdentityInUse, bench);
                    return;
                }
                // Commands from a peer of version 3.0 cannot be asked for: it counts as alive.
                let due = bench.now + PROBE_TIMEOUT;
                let asked = holder
                    .pipe
                    .get()
                    .is_some_and(|pipe| holder.test(pipe, self, due));
                if !asked {
                    self.turn_away(handshake, CloseReason::IdentityInUse, bench);
                    return;
                }
                self.set_reading(false);
                *self.phase.lock() = Phase::Contested(Box::new((handshake, peer)), took);
                self.shared.arm(due, Timer::Probe(holder.token));
            }
        }
    }

    fn let_in(
        self: &Arc<Self>,
        mut handshake: Handshake,
        peer: &PeerInfo,
        pipe: Arc<Pipe>,
        took: Duration,
        bench: &mut Workbench<'_>,
    ) {
        handshake.admit();
        if let Err(reason) = self.write_plain(&handshake.take_output()) {
            self.owner.turns_back(&pipe, &reason, false);
            self.close(reason, bench);
            return;
        }
        let settings = self.owner.settings();
        let pings = peer.version.major > 3 || peer.version.minor >= 1;
        // What no PING is going to correct is not believed.
        let first = (pings && settings.heartbeat.is_some()).then_some(took);
        let traffic = Phase::Traffic(Box::new(Traffic {
            decoder: Decoder::new(settings.limits.clone()),
            last_heard: bench.now,
            asked: false,
            beat_due: bench.now,
            pings,
            judges: peer.judges_silence(),
            ttl: None,
            ttl_due: None,
            pongs: Rate::new(bench.now),
            round_trip: RoundTrip::new(bench.now, first),
            subscribable: matches!(self.owner.local().0, SocketType::Pub | SocketType::XPub),
        }));
        {
            // Another thread may close it at any time: it finds the pipe, or we find it closed.
            let mut phase = self.phase.lock();
            if self.closed.load(Ordering::Acquire) {
                drop(phase);
                self.owner.turns_back(&pipe, &CloseReason::Local, false);
                return;
            }
            *phase = traffic;
            if self.pipe.set(pipe.clone()).is_err() {
                return; // admitted before: cannot be
            }
        }
        self.owner.census().lock().settled(self);
        if let Some(beat) = settings.heartbeat
            && let Phase::Traffic(traffic) = &mut *self.phase.lock()
        {
            self.arm_heartbeat(traffic, bench.now + beat.first());
        }
        if let Origin::Dialed(dialer) = &self.origin {
            dialer.succeeded();
        }
        // Before anybody hears of it: who asks then finds it connected.
        pipe.set_peer(peer.socket_type, pings);
        pipe.set_round_trip(first);
        self.owner.attach(&pipe, self);
        if self.closed.load(Ordering::Acquire) || pipe.is_closed() {
            // Meanwhile, perhaps before the pipe had been given the connection; or its socket has
            // closed, and did not see it among those in their handshake any more.
            pipe.detach(self);
            self.owner.turns_back(&pipe, &CloseReason::Local, true);
            self.close(CloseReason::Local, bench);
            return;
        }
        self.owner.report(Event::Connected {
            endpoint: self.endpoint.clone(),
            remote: self.remote_name.clone(),
            peer: pipe.id,
        });
        self.owner.room();
        self.set_reading(true);
        bench.settle_later(&self.owner);
    }

    fn turn_away(
        self: &Arc<Self>,
        mut handshake: Handshake,
        reason: CloseReason,
        bench: &mut Workbench<'_>,
    ) {
        if reason == CloseReason::IdentityInUse {
            // An ERROR is final for the peer, so it is sent for what will not pass by itself.
            handshake.refuse(reason.name());
            // It is closed in any case; the peer that is still there learns why.
            let _ = self.write_plain(&handshake.take_output());
        }
        self.close(reason, bench);
    }

    /// Reads what there is of a peer in its handshake, before it is judged: it may have spoken while
    /// this process stood still.
    pub(crate) fn catch_up(self: &Arc<Self>, bench: &mut Workbench<'_>) -> Heard {
        if !self.is_shaking_hands() {
            return match self.closed.load(Ordering::Acquire) {
                true => Heard::End,
                false if self.pipe.get().is_some() => Heard::All,
                // It is known, and waits for what becomes of another of its name.
                false => Heard::Nothing,
            };
        }
        self.spoke.store(false, Ordering::Relaxed);
        let ready = Ready {
            token: self.token,
            readable: true,
            writable: false,
            hung_up: false,
        };
        self.ready(ready, bench);
        let spoke = self.spoke.load(Ordering::Relaxed);
        match (self.is_shaking_hands(), spoke) {
            (true, true) => Heard::Part,
            (true, false) => Heard::Nothing,
            (false, _) if self.closed.load(Ordering::Acquire) => Heard::End,
            (false, _) if self.pipe.get().is_some() => Heard::All,
            (false, _) => Heard::Part,
        }
    }

    /// Whether it may stay for now: the first time.
    pub(crate) fn spare(&self) -> bool {
        !self.spared.swap(true, Ordering::Relaxed)
    }

    fn is_shaking_hands(&self) -> bool {
        matches!(&*self.phase.lock(), Phase::Handshake(..))
    }

    /// The handshake's time is over.
    pub(crate) fn handshake_due(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        self.catch_up(bench);
        let late = matches!(
            &*self.phase.lock(),
            Phase::Connecting | Phase::Handshake(..)
        );
        if late {
            self.close(CloseReason::HandshakeTimeout, bench);
        }
    }

    /// Takes the connection down, for this reason.
    pub(crate) fn close(self: &Arc<Self>, reason: CloseReason, bench: &mut Workbench<'_>) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let before = std::mem::replace(&mut *self.phase.lock(), Phase::Closed);
        {
            let mut watched = self.watched.lock();
            watched.wanted = false;
            if std::mem::replace(&mut watched.on, false) {
                // The descriptor is open, so the poller knows it; a failure changes nothing.
                let _ = self.shared.poller.delete(self.stream.as_fd());
            }
        }
        self.shared.forget(self.token);
        self.stream.shutdown();
        match self.pipe.get() {
            Some(pipe) => {
                if pipe.keeps() {
                    pipe.detach(self); // else it ends with the peer, all at once
                }
                self.owner.gone(pipe, &reason);
                pipe.detach(self);
                bench.settle_later(&self.owner);
                self.owner.report(Event::Disconnected {
                    endpoint: self.endpoint.clone(),
                    remote: self.remote_name.clone(),
                    peer: pipe.id,
                    reason: reason.clone(),
                });
            }
            None if matches!(before, Phase::Connecting) => {
                let error = match &reason {
                    CloseReason::Io(kind) => *kind,
                    CloseReason::HandshakeTimeout => io::ErrorKind::TimedOut,
                    _ => io::ErrorKind::Other,
                };
                self.owner.report(Event::ConnectFailed {
                    endpoint: self.endpoint.clone(),
                    error,
                });
            }
            None => self.owner.report(Event::HandshakeFailed {
                endpoint: self.endpoint.clone(),
                remote: self.remote_name.clone(),
                reason: reason.clone(),
            }),
        }
        // Counted as closed before it is not counted as open any more: whoever sees that it has
        // gone finds the reason.
        self.owner.census().lock().left(self);
        if let Some(challenger) = self.take_challenger() {
            bench.actions.push(Action::Decide {
                challenger,
                admitted: true,
            });
        }
        if let Origin::Dialed(dialer) = &self.origin {
            dialer.lost(self, &reason);
        }
    }
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Conn({} to {})", self.token, self.remote_name)
    }
}
