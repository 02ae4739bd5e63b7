//! A connection's signs of life: ours to the peer, and what is made of the peer's silence.
//!
//! | timer | runs while | does |
//! |---|---|---|
//! | `Heartbeat` | heartbeats are on | sends a PING where nothing was heard for an interval, judges silence by our timeout |
//! | `Ttl` | the peer has announced a time to live | judges silence by that, whether heartbeats are on here or not |
//!
//! A timer arms itself again. Silence is not judged
//! while reading is paused: then it is ours.
//!
//! A PING that is sent in any case measures the round trip; a peer that is heard all the time is sent one
//! every now and then for that alone, and a new one soon.
//!
//! Long before the timeout the owner is told that a peer was asked by a PING, and that something was
//! heard of it again: it may send elsewhere meanwhile. That takes no timer; how long to wait for the
//! answer is told with it.
//!
//! # Invariants
//!
//! 1. Nobody is taken for dead of whom something is there to be read. (held by `Conn::silence`)
//! 2. What this process stood still is not counted as its peers' silence: nobody was here to
//!    read, or to ask them for an answer. (held by `Conn::silence`; shown in
//!    `tests/hostile/silence.rs`)
//! 3. A peer is asked when nothing was heard of it for an interval, and its owner is told once, until
//!    something is heard. (test `a_tap_is_told_of_a_peer_that_is_asked_and_of_its_answer`)

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conn::{COMMANDS_BEHIND_MAX, Conn, Phase, Traffic};
use super::driver::Workbench;
use super::owner::Heartbeat;
use super::round_trip::Context;
use super::timers::{Timer, grained};
use crate::event::CloseReason;
use crate::zmtp::command;

/// A time to live is looked at this often at least: each PING may bring a shorter one.
const TTL_LOOK: Duration = Duration::from_secs(1);
/// No timer is armed for sooner than this.
const SOONEST: Duration = Duration::from_millis(1);
/// A timer that comes later than this shows that this process stood still.
pub(super) const LATE: Duration = Duration::from_millis(50);
/// An answer to a PING is late no sooner than this, however short the interval is.
const ANSWER_LEAST: Duration = Duration::from_millis(20);

/// A new connection's round trip is measured after no more than this.
const FIRST_MOST: Duration = Duration::from_millis(100);

/// What a heartbeat does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beat {
    /// Nothing.
    Rest,
    /// It sends a PING, as a sign of life or once more.
    Tell,
    /// It sends a PING, and the answer is waited for.
    Ask,
}

impl Heartbeat {
    /// When a new connection is looked at first: as it was heard just before, that is for its round
    /// trip alone, of which the handshake tells little where many are made at once.
    pub(super) fn first(&self) -> Duration {
        (self.interval / 4).min(FIRST_MOST)
    }
}

impl Conn {
    /// Arms the timer, and notes when it is due.
    pub(super) fn arm_heartbeat(&self, traffic: &mut Traffic, at: Instant) {
        let at = grained(at, self.shared.origin);
        traffic.beat_due = at;
        self.shared.arm(at, Timer::Heartbeat(self.token));
    }

    /// How long the peer has been silent, and whether reading is paused: then not at all. `due`
    /// is when the timer should have come; where it would be the peer's end, at `most`, what is
    /// there is read first.
    fn silence(
        &self,
        traffic: &mut Traffic,
        due: Instant,
        most: Duration,
        bench: &mut Workbench<'_>,
    ) -> Result<(Duration, bool), CloseReason> {
        let now = bench.now;
        let paused = !self.watched.lock().interest.read;
        let late = now.saturating_duration_since(due);
        if paused {
            traffic.last_heard = now;
        } else if late > LATE {
            traffic.last_heard = (traffic.last_heard + late).min(now);
        }
        if now.duration_since(traffic.last_heard) >= most {
            self.read(traffic, bench)?;
        }
        Ok((now.duration_since(traffic.last_heard), paused))
    }

    /// Judges the peer's silence; sends a PING where nothing was heard lately.
    pub(super) fn heartbeat(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        let Some(beat) = self.owner.settings().heartbeat else {
            return;
        };
        let Some(pipe) = self.pipe.get() else { return };
        let judged = {
            let mut phase = self.phase.lock();
            let Phase::Traffic(traffic) = &mut *phase else {
                return;
            };
            if !traffic.pings {
                // What a peer of version 3.0 does not say cannot be asked for.
                return;
            }
            self.beat(traffic, &beat, bench)
        };
        match judged {
            Err(reason) => self.close(reason, bench),
            Ok((Beat::Rest, _)) => {}
            Ok((beats, context)) => {
                let mut frame = Vec::with_capacity(16);
                let ttl = beat.ttl.as_millis().div_ceil(100).min(u16::MAX.into()) as u16;
                let context = context.as_ref().map_or(&[][..], |context| &context[..]);
                command::ping(&mut frame, ttl, context);
                pipe.command(&frame, COMMANDS_BEHIND_MAX);
                pipe.release();
                if beats == Beat::Ask {
                    let within = (beat.interval / 2).max(ANSWER_LEAST);
                    self.owner.asked(pipe, within);
                }
            }
        }
    }

    /// What is due, and what a PING carries that is measured; the timer is armed again. An error is
    /// the connection's end.
    fn beat(
        &self,
        traffic: &mut Traffic,
        beat: &Heartbeat,
        bench: &mut Workbench<'_>,
    ) -> Result<(Beat, Option<Context>), CloseReason> {
        let (silent, paused) = self.silence(traffic, traffic.beat_due, beat.timeout, bench)?;
        if silent >= beat.timeout {
            return Err(CloseReason::HeartbeatTimeout);
        }
        let now = bench.now;
        let lately = silent + beat.interval / 2 < beat.interval;
        // What was heard lately is not asked for, but again once that is an interval ago.
        let since = if lately { traffic.last_heard } else { now };
        let next = (since + beat.interval).min(traffic.last_heard + beat.timeout);
        self.arm_heartbeat(traffic, next.max(now + SOONEST));
        // While reading is paused the peer's PINGs go unanswered: ours are the sign of life. But
        // only to a peer that looks for one: it may have gone, with much still on its way to
        // us, and all of that would be lost by a PING that finds nobody.
        let beats = match paused {
            true if traffic.judges => Beat::Tell,
            true => Beat::Rest,
            false if lately && !traffic.round_trip.is_due(now) => Beat::Rest,
            false if lately => Beat::Tell,
            false if std::mem::replace(&mut traffic.asked, true) => Beat::Tell,
            false => Beat::Ask,
        };
        // While reading is paused the answer would wait for us. By the clock: what was done since the
        // turn began is no part of the way.
        let context = match beats {
            Beat::Tell | Beat::Ask if !paused => traffic.round_trip.asks(Instant::now()),
            _ => None,
        };
        Ok((beats, context))
    }

    /// Holds the peer to the time to live that it has announced.
    pub(super) fn watch_ttl(&self, traffic: &mut Traffic, now: Instant) {
        let Some(ttl) = traffic.ttl else { return };
        let next = (traffic.last_heard + ttl).clamp(now + SOONEST, now + TTL_LOOK);
        let next = grained(next, self.shared.origin);
        // A timer that is due sooner looks again by itself. As the time is told in tenths of a
        // second and looked at each second, a peer has few timers.
        if traffic.ttl_due.is_none_or(|due| next < due) {
            traffic.ttl_due = Some(next);
            self.shared.arm(next, Timer::Ttl(self.token));
        }
    }

    /// Judges the peer's silence by the time to live that it has announced.
    pub(super) fn ttl_due(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        let judged = {
            let mut phase = self.phase.lock();
            let Phase::Traffic(traffic) = &mut *phase else {
                return;
            };
            let Some(due) = traffic.ttl_due.filter(|due| *due <= bench.now) else {
                return; // one that a sooner one has taken the place of
            };
            traffic.ttl_due = None;
            let Some(ttl) = traffic.ttl else { return };
            match self.silence(traffic, due, ttl, bench) {
                // What was read may have told another one.
                Ok((silent, _)) if traffic.ttl.is_some_and(|ttl| silent >= ttl) => {
                    Err(CloseReason::TtlExpired)
                }
                Ok(_) => {
                    self.watch_ttl(traffic, bench.now);
                    Ok(())
                }
                Err(reason) => Err(reason),
            }
        };
        if let Err(reason) = judged {
            self.close(reason, bench);
        }
    }
}
