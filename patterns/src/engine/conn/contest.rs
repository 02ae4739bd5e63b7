//! A contested identity: whether the connection that holds it is still alive.
//!
//! ```text
//! newcomer                          holder
//! ask_in -> Contested ---- test ----> PING; the newcomer waits, unread
//!    ^                                  | any sign of life, in time -> turned away
//!    +------------- decided ------------+ none, or it closes        -> asked in again
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{COMMANDS_BEHIND_MAX, Conn, Phase};
use crate::engine::driver::Workbench;
use crate::engine::heartbeat::LATE;
use crate::engine::pipe::Pipe;
use crate::engine::timers::Timer;
use crate::event::CloseReason;
use crate::zmtp::command;

/// How long the holder of a contested identity has to answer.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

impl Conn {
    /// Sends a PING whose answer, or any other sign of life, turns the challenger away.
    /// False if it cannot be tested: while its reading is paused the silence would be ours.
    pub(super) fn test(&self, pipe: &Arc<Pipe>, challenger: &Arc<Conn>, due: Instant) -> bool {
        let paused = {
            let watched = self.watched.lock();
            watched.on && !watched.interest.read
        };
        if paused || !self.speaks_heartbeats() {
            return false;
        }
        let mut waiting = self.challenger.lock();
        if waiting.is_some() {
            return false;
        }
        *waiting = Some((challenger.clone(), due));
        self.tested.store(true, Ordering::Release);
        drop(waiting);
        let mut ping = Vec::new();
        command::ping(&mut ping, 0, b"alive?");
        pipe.command(&ping, COMMANDS_BEHIND_MAX);
        true
    }

    pub(super) fn take_challenger(&self) -> Option<Arc<Conn>> {
        self.tested.store(false, Ordering::Release);
        self.challenger
            .lock()
            .take()
            .map(|(challenger, _)| challenger)
    }

    fn speaks_heartbeats(&self) -> bool {
        matches!(&*self.phase.lock(), Phase::Traffic(traffic) if traffic.pings)
    }

    /// The holder of the identity has shown life, or has gone: the contest is decided.
    pub(crate) fn decided(self: &Arc<Self>, admitted: bool, bench: &mut Workbench<'_>) {
        let (contested, took) = {
            let mut phase = self.phase.lock();
            match std::mem::replace(&mut *phase, Phase::Closed) {
                Phase::Contested(contested, took) => (contested, took),
                other => {
                    *phase = other;
                    return;
                }
            }
        };
        let (handshake, peer) = *contested;
        if admitted {
            self.ask_in(handshake, peer, took, bench);
        } else {
            self.turn_away(handshake, CloseReason::IdentityInUse, bench);
        }
    }

    /// The holder of a contested identity did not answer in time.
    pub(crate) fn probe_due(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        let due = self.challenger.lock().as_ref().map(|(_, due)| *due);
        // The timer of a challenger that was turned away says nothing about the next one.
        let Some(due) = due.filter(|due| *due <= bench.now) else {
            return;
        };
        // Its answer may be there, unread while we were busy with others.
        let reading = self.watched.lock().interest.read;
        let read = match &mut *self.phase.lock() {
            Phase::Traffic(traffic) if reading => self.read(traffic, bench).err(),
            _ => None,
        };
        if let Some(reason) = read {
            self.close(reason, bench);
            return;
        }
        let late = bench.now.duration_since(due);
        let mut waiting = self.challenger.lock();
        let Some((_, due)) = &mut *waiting else {
            return; // it has answered
        };
        if late > LATE {
            // This process stood still, and the holder may have as well.
            *due = bench.now + PROBE_TIMEOUT;
            let due = *due;
            drop(waiting);
            self.shared.arm(due, Timer::Probe(self.token));
            return;
        }
        drop(waiting);
        self.close(CloseReason::Superseded, bench);
    }
}
