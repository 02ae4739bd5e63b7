//! A dialer: one endpoint that a socket connects to, again and again.
//!
//! ```text
//! dial --> connecting --> handshake --> connected
//!   ^          |              |             |
//!   +- Redial -+--------------+-------------+     after a jittered, growing pause
//! ```
//!
//! # Invariants
//!
//! 1. A dialer has at most one connection at a time. (held by `Dialer::lost`: the end of one
//!    attempt is all that arms the next)
//! 2. After an ERROR from the peer it does not come back: the same credentials would be refused
//!    again. (test `a_refused_identity_is_not_announced_again`)

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::conn::{Conn, Origin};
use super::driver::Workbench;
use super::owner::Owner;
use super::pipe::Pipe;
use super::shared::{Shared, Source};
use super::timers::Timer;
use crate::event::{CloseReason, Event};
use crate::link::{ConnectState, Endpoint, Target, needs_resolver, resolve, start_connect};
use crate::zmtp::Violation;

/// The least pause before a peer that does not fit is tried again.
const MISFIT_PAUSE: Duration = Duration::from_secs(5);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// An endpoint connected to.
pub(crate) struct Dialer {
    pub(crate) id: u64,
    pub(crate) endpoint: Endpoint,
    owner: Arc<dyn Owner>,
    shared: Weak<Shared>,
    /// Where messages wait for the connection, if they may.
    pub(crate) pipe: Option<Arc<Pipe>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    attempt: u32,
    conn: Option<u64>,
    targets: VecDeque<Target>,
    /// No further attempt: disconnected, or refused for good.
    ended: bool,
}

impl Dialer {
    pub(crate) fn new(
        endpoint: Endpoint,
        owner: Arc<dyn Owner>,
        shared: &Arc<Shared>,
        pipe: Option<Arc<Pipe>>,
    ) -> Arc<Self> {
        let dialer = Arc::new(Dialer {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            endpoint,
            owner,
            shared: Arc::downgrade(shared),
            pipe,
            state: Mutex::default(),
        });
        shared.add_dialer(&dialer);
        dialer
    }

    /// Begins an attempt.
    pub(crate) fn dial(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        let (ended, more) = {
            let state = self.state.lock();
            (state.ended, !state.targets.is_empty())
        };
        if ended {
            return;
        }
        if more {
            self.try_next(io::ErrorKind::AddrNotAvailable, bench);
            return;
        }
        if needs_resolver(&self.endpoint) {
            // The system's resolver may take seconds: not on the thread that drives everything.
            let dialer = self.clone();
            let spawned = std::thread::Builder::new()
                .name("brokerless-resolver".into())
                .spawn(move || dialer.resolve_aside());
            if let Err(error) = spawned {
                self.failed(error.kind(), bench.now);
            }
            return;
        }
        self.try_resolved(resolve(&self.endpoint, &self.owner.settings().link), bench);
    }

    fn resolve_aside(self: &Arc<Self>) {
        let resolved = resolve(&self.endpoint, &self.owner.settings().link);
        if let Some(shared) = self.shared.upgrade() {
            shared.with_workbench(|bench| self.try_resolved(resolved, bench));
        }
    }

    fn try_resolved(
        self: &Arc<Self>,
        resolved: io::Result<Vec<Target>>,
        bench: &mut Workbench<'_>,
    ) {
        match resolved {
            Ok(targets) => {
                self.state.lock().targets = targets.into();
                self.try_next(io::ErrorKind::AddrNotAvailable, bench);
            }
            Err(error) => self.failed(error.kind(), bench.now),
        }
    }

    /// Tries the next address; `error` says why the one before did not do.
    fn try_next(self: &Arc<Self>, mut error: io::ErrorKind, bench: &mut Workbench<'_>) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        loop {
            let target = {
                let mut state = self.state.lock();
                if state.ended {
                    return;
                }
                state.targets.pop_front()
            };
            let Some(target) = target else {
                self.failed(error, bench.now);
                return;
            };
            match start_connect(&target, &self.owner.settings().link) {
                Ok((stream, progress)) => {
                    let conn = shared.enrol(|token| {
                        let conn = Arc::new(Conn::new(
                            token,
                            stream,
                            (&target).into(),
                            self.endpoint.clone(),
                            Origin::Dialed(self.clone()),
                            self.owner.clone(),
                            shared.clone(),
                        ));
                        (conn.clone(), Source::Conn(conn))
                    });
                    let ended = {
                        let mut state = self.state.lock();
                        state.conn = Some(conn.token);
                        state.ended
                    };
                    if ended {
                        conn.close(CloseReason::Local, bench);
                    } else {
                        conn.start(progress == ConnectState::InProgress, bench);
                    }
                    return;
                }
                Err(why) => error = why.kind(),
            }
        }
    }

    fn failed(&self, error: io::ErrorKind, now: Instant) {
        self.owner.report(Event::ConnectFailed {
            endpoint: self.endpoint.clone(),
            error,
        });
        self.again(Duration::ZERO, now);
    }

    /// The connection is through its handshake.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state.lock();
        state.attempt = 0;
        state.targets.clear();
    }

    /// The connection has ended, or never came to be.
    pub(crate) fn lost(self: &Arc<Self>, conn: &Conn, reason: &CloseReason) {
        let more = {
            let mut state = self.state.lock();
            if state.conn != Some(conn.token) {
                return;
            }
            state.conn = None;
            if state.ended {
                return;
            }
            !state.targets.is_empty()
        };
        let now = Instant::now();
        match reason {
            CloseReason::Violation(Violation::PeerError { .. }) => {
                self.state.lock().ended = true;
                self.owner.report(Event::GivenUp {
                    endpoint: self.endpoint.clone(),
                });
            }
            CloseReason::Violation(violation) if violation.is_fatal_for_retry() => {
                self.again(MISFIT_PAUSE, now);
            }
            // Another address of the same name is tried at once.
            _ if more => {
                if let Some(shared) = self.shared.upgrade() {
                    shared.arm(now, Timer::Redial(self.id));
                }
            }
            _ => self.again(Duration::ZERO, now),
        }
    }

    fn again(&self, least: Duration, now: Instant) {
        let settings = self.owner.settings();
        let attempt = {
            let mut state = self.state.lock();
            if state.ended {
                return;
            }
            state.attempt = state.attempt.saturating_add(1);
            state.attempt
        };
        let delay = pause(
            settings.reconnect_interval,
            settings.reconnect_interval_max,
            attempt,
        )
        .max(least);
        self.owner.report(Event::Retried {
            endpoint: self.endpoint.clone(),
            attempt,
            delay,
        });
        if let Some(shared) = self.shared.upgrade() {
            shared.arm(now + delay, Timer::Redial(self.id));
        }
    }

    /// No further attempt; the connection stays.
    pub(crate) fn rest(&self) {
        self.state.lock().ended = true;
    }

    /// Ends the dialer and its connection.
    pub(crate) fn end(&self) {
        let conn = {
            let mut state = self.state.lock();
            state.ended = true;
            state.conn
        };
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        shared.remove_dialer(self.id);
        if let Some(conn) = conn.and_then(|token| shared.conn(token)) {
            shared.with_workbench(|bench| conn.close(CloseReason::Local, bench));
        }
    }
}

/// The pause before attempt number `attempt`: doubling from `first` to `most`, times 0.5 to 1.5
/// so that the peers of one that restarts do not come back all at once.
fn pause(first: Duration, most: Duration, attempt: u32) -> Duration {
    let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let random = RandomState::new().hash_one(attempt) as u32;
    doubled
        .min(most.max(first))
        .mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX))
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dialer({})", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_spread() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(2));
        for (attempt, plain) in [(1, 100), (2, 200), (5, 1600), (6, 2000), (1000, 2000)] {
            let plain = Duration::from_millis(plain);
            let pauses: Vec<_> = (0..50).map(|_| pause(first, most, attempt)).collect();
            assert!(
                pauses
                    .iter()
                    .all(|p| *p >= plain / 2 && *p <= plain * 3 / 2)
            );
            assert!(pauses.iter().any(|p| *p != pauses[0]), "spread");
        }
    }
}
