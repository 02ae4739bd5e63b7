//! For those who build protocols on the sockets: messages taken where they come in, and threads
//! that wait for something else than a socket's next message.
//!
//! A [`Tap`] is given a DEALER's or ROUTER's messages by the thread that reads them, before they
//! are queued. It looks up who waits for each, and wakes that thread alone: many threads can share
//! one connection, and none of them is woken for another's answer. A thread waits at a [`Gate`],
//! and drives the engine meanwhile as it would in `recv`.
//!
//! ```text
//! thread A: gate.wait ---- leads: read --> tap.take(answer of B) --> gate B: wake
//! thread B: gate.wait ---- parked ------------------------------------^  returns
//! ```
//!
//! A tap that does not take all messages may still pick some of them: the others are queued, and
//! received as ever.
//!
//! # Invariants
//!
//! 1. `came` is told before the first message of a peer is given, `gone` after the last.
//!    (test `a_tap_is_told_of_peers_and_given_their_messages_in_order`)
//! 2. `settle` is called without a lock held after anything that a tap was told.
//!    (test `what_a_tap_does_when_it_settles_may_send`)
//! 3. What a tap does not pick is queued in the order in which it came. (test
//!    `a_tap_picks_what_it_wants_and_the_rest_is_received_in_order`)

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::peer::Peer;
use crate::engine::Engine;
use crate::engine::pace;
use crate::engine::wait::{Drives, wait, wait_among};
use crate::engine::waiter::WaitList;
use crate::event::CloseReason;
use crate::message::Message;

/// What is told of a socket's peers and given their messages, by the thread that drives.
///
/// All but [`settle`](Self::settle) are called with locks of the engine held: they have to be
/// quick, and must not send, receive, wait or close. Gates may be woken.
pub trait Tap: Send + Sync + 'static {
    /// Whether messages are given to [`take`](Self::take); asked once. If not, they are queued
    /// to be received as ever, and the tap only hears of who comes and goes.
    fn takes_messages(&self) -> bool {
        true
    }

    /// Whether one thread is woken to receive messages that came together, where there could be
    /// one for each; asked once. It then takes all of them in turn, unless it calls
    /// [`Router::share`](crate::Router::share) before it is busy with one. What is left lying is
    /// shared after a millisecond or two.
    fn wakes_one(&self) -> bool {
        false
    }

    /// A message has come in.
    fn take(&self, peer: &Peer, message: Message);

    /// Messages have come in together; when, the clock was looked at anyhow. Each is
    /// [taken](Self::take), unless the tap has a cheaper way with many; whatever it leaves is dropped.
    fn take_all(&self, peer: &Peer, messages: std::vec::Drain<'_, Message>, _came: Instant) {
        for message in messages {
            self.take(peer, message);
        }
    }

    /// Whether this message, which would be queued, is to be given to [`pick`](Self::pick) first.
    /// Asked for every message where the tap does not take all of them.
    fn wants(&self, _message: &Message) -> bool {
        false
    }

    /// A message has come in that the tap wants. What it gives back is queued.
    fn pick(&self, _peer: &Peer, message: Message) -> Option<Message> {
        Some(message)
    }

    /// A peer is connected: it can be sent to.
    fn came(&self, _peer: &Peer) {}

    /// Nothing was heard of a peer for a heartbeat interval, and it was asked for a sign of life.
    /// One that has not answered `within` this time (half an interval) may have stopped: it stays
    /// connected until the heartbeat timeout, but others may be the better choice. Told once, until
    /// something is heard. No `settle` need come after this.
    fn asked(&self, _peer: &Peer, _within: Duration) {}

    /// Something was heard of a peer that had been asked.
    fn heard(&self, _peer: &Peer) {}

    /// The round trip to a peer is found to be another than it was known to be: what
    /// [`Peer::round_trip`] says from now on. Told by the first PING that is answered, and later when
    /// the least of a window changes. No `settle` need come after this.
    fn measured(&self, _peer: &Peer, _round_trip: Duration) {}

    /// A peer is not connected any more.
    fn gone(&self, _peer: &Peer, _reason: &CloseReason) {}

    /// An attempt to connect, or to shake hands, came to nothing; more follow. No `settle` need
    /// come after this.
    fn failed(&self, _why: &dyn std::fmt::Display) {}

    /// Something of the above has been told, and no lock is held: the place to send and to call
    /// back.
    fn settle(&self) {}
}

/// A tap without a socket would keep nothing alive: so the socket holds it.
pub(crate) type SharedTap = Arc<dyn Tap>;

/// This thread took something without waiting for it; `more` is at hand. It paces what the thread
/// sends: answers to what is at hand are gathered.
pub fn took(more: bool) {
    pace::took(more);
}

/// When this thread's last wait ended, if it has taken nothing since but what it had waited for:
/// spares a look at the clock.
pub fn waited_until() -> Option<Instant> {
    pace::waited_until()
}

/// What a thread does for an engine while it waits at a [`Gate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drive {
    /// Nothing: what it waits for comes from threads of this process.
    Nothing,
    /// It polls and reads for all of the engine's sockets, if nobody else does.
    Engine,
    /// As `Engine`; and what it waits for comes from the engine's connections, but for rare
    /// things that may come late by a few milliseconds. So where there is a single connection the
    /// thread may wait in its receive call, which spares a system call.
    Connections,
}

impl From<Drive> for Drives {
    fn from(drive: Drive) -> Self {
        match drive {
            Drive::Nothing => Drives::Nothing,
            Drive::Engine => Drives::Engine,
            Drive::Connections => Drives::Connections,
        }
    }
}

impl From<Drives> for Drive {
    fn from(drives: Drives) -> Self {
        match drives {
            Drives::Nothing => Drive::Nothing,
            Drives::Engine => Drive::Engine,
            Drives::Connections => Drive::Connections,
        }
    }
}

/// Where threads wait for something that a [`Tap`] brings, or another thread.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::{Duration, Instant};
///
/// use brokerless_patterns::Engine;
/// use brokerless_patterns::tap::{Drive, Gate};
///
/// let (gate, open) = (Gate::new(), AtomicBool::new(false));
/// let engine = Engine::global()?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         open.store(true, Ordering::SeqCst);
///         gate.wake(1);
///     });
///     let deadline = Instant::now() + Duration::from_secs(30);
///     let found = gate.wait(&engine, Drive::Nothing, Some(deadline), || {
///         open.load(Ordering::SeqCst).then_some("open")
///     });
///     assert_eq!(found, Some("open"));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Gate {
    list: WaitList,
}

impl Gate {
    /// A gate that nobody waits at.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes up to `count` of the threads that wait here; each looks again for what it waits for.
    pub fn wake(&self, count: usize) {
        self.list.wake(count);
    }

    /// Waits until `ready` gives something, or the deadline has come: then nothing.
    ///
    /// `ready` is asked at once, and after each wake. What makes it ready has to be in place
    /// before the gate is woken.
    ///
    /// # Blocking
    ///
    /// Until then; without a deadline perhaps for ever.
    pub fn wait<T>(
        &self,
        engine: &Engine,
        drive: Drive,
        deadline: Option<Instant>,
        ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        wait(
            engine.shared(),
            &[&self.list],
            drive.into(),
            deadline,
            ready,
        )
    }

    /// As [`wait`](Self::wait), for one of many threads that are woken together and will soon wait
    /// again. `others` says whether there are such beside this one: then the lead is left to them
    /// when this thread has what it waits for. What was [held back](crate::Dealer::hold_for) stays
    /// so unless this thread leads: the last of them flushes.
    pub fn wait_among<T>(
        &self,
        engine: &Engine,
        drive: Drive,
        deadline: Option<Instant>,
        others: impl Fn() -> bool,
        ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let lists = &[&self.list];
        wait_among(
            engine.shared(),
            lists,
            drive.into(),
            deadline,
            others,
            ready,
        )
    }
}
