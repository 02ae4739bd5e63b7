//! A connection's signs of life: ours to the peer, and what is made of the peer's silence.
//!
//! | timer | runs while | does |
//! |---|---|---|
//! | `Heartbeat` | heartbeats are on | sends a PING where nothing was heard lately, judges silence by our timeout |
//! | `Ttl` | the peer has announced a time to live | judges silence by that, whether heartbeats are on here or not |
//!
//! A timer arms itself again. Silence is not judged
//! while reading is paused: then it is ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conn::{COMMANDS_BEHIND_MAX, Conn, Phase, Traffic};
use super::driver::Workbench;
use super::timers::{Timer, grained};
use crate::event::CloseReason;
use crate::zmtp::command;

/// A time to live is looked at this often at least: each PING may bring a shorter one.
const TTL_LOOK: Duration = Duration::from_secs(1);
/// No timer is armed for sooner than this.
const SOONEST: Duration = Duration::from_millis(1);

impl Conn {
    pub(super) fn arm_heartbeat(&self, at: Instant) {
        self.shared.arm(
            grained(at, self.shared.origin),
            Timer::Heartbeat(self.token),
        );
    }

    /// How long the peer has been silent, and whether reading is paused: then not at all.
    fn silence(&self, traffic: &mut Traffic, now: Instant) -> (Duration, bool) {
        let paused = !self.watched.lock().interest.read;
        if paused {
            traffic.last_heard = now;
        }
        (now.duration_since(traffic.last_heard), paused)
    }

    /// Judges the peer's silence; sends a PING where nothing was heard lately.
    pub(super) fn heartbeat(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        let Some(beat) = self.owner.settings().heartbeat else {
            return;
        };
        let Some(pipe) = self.pipe.get() else { return };
        let now = bench.now;
        let (silent, pings, due, heard) = {
            let mut phase = self.phase.lock();
            let Phase::Traffic(traffic) = &mut *phase else {
                return;
            };
            let (silent, paused) = self.silence(traffic, now);
            // While reading is paused the peer's PINGs go unanswered: ours are the sign of life. But
            // only to a peer that looks for one: it may have gone, with much still on its way to
            // us, and all of that would be lost by a PING that finds nobody.
            let due = match paused {
                true => traffic.judges,
                false => silent + beat.interval / 2 >= beat.interval,
            };
            (silent, traffic.pings, due, traffic.last_heard)
        };
        if !pings {
            // What a peer of version 3.0 does not say cannot be asked for.
            return;
        }
        if silent >= beat.timeout {
            self.close(CloseReason::HeartbeatTimeout, bench);
            return;
        }
        if due {
            let mut frame = Vec::with_capacity(16);
            let ttl = beat.ttl.as_millis().div_ceil(100).min(u16::MAX.into()) as u16;
            command::ping(&mut frame, ttl, b"");
            pipe.command(&frame, COMMANDS_BEHIND_MAX);
            pipe.release();
        }
        let next = (now + beat.interval).min(heard + beat.timeout);
        self.arm_heartbeat(next.max(now + SOONEST));
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
        let expired = {
            let mut phase = self.phase.lock();
            let Phase::Traffic(traffic) = &mut *phase else {
                return;
            };
            if traffic.ttl_due.is_none_or(|due| bench.now < due) {
                return; // one that a sooner one has taken the place of
            }
            traffic.ttl_due = None;
            let (silent, _) = self.silence(traffic, bench.now);
            let expired = traffic.ttl.is_some_and(|ttl| silent >= ttl);
            if !expired {
                self.watch_ttl(traffic, bench.now);
            }
            expired
        };
        if expired {
            self.close(CloseReason::TtlExpired, bench);
        }
    }
}
