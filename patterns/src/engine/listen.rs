//! A listener: connections come in, within limits.
//!
//! # Invariants
//!
//! 1. Nobody is turned out as mute whose words are there to be read: this process may have stood still.
//!    (held by `Conn::catch_up`; shown in `tests/hostile/descriptors.rs`)

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fd::AsFd;

use super::conn::{Conn, Heard, Origin};
use super::driver::Workbench;
use super::owner::Owner;
use super::poller::Interest;
use super::shared::{Shared, Source};
use super::timers::Timer;
use crate::event::{CloseReason, Event};
use crate::link::{BindError, Endpoint, Listener, RemoteAddr, Stream};

/// Connections accepted from one listener before the others have their turn.
const ACCEPTS_A_TURN: usize = 64;
/// How long a listener rests when the process is out of descriptors.
const REST: Duration = Duration::from_millis(100);

/// A bound endpoint of a socket.
pub(crate) struct Listening {
    token: u64,
    listener: Listener,
    owner: Arc<dyn Owner>,
    shared: Arc<Shared>,
    open: Mutex<bool>,
}

impl Listening {
    /// Binds, and begins to accept.
    pub(crate) fn bind(
        endpoint: &Endpoint,
        owner: Arc<dyn Owner>,
        shared: Arc<Shared>,
    ) -> Result<Arc<Self>, BindError> {
        let listener = Listener::bind(endpoint, &owner.settings().link)?;
        let listening = shared.enrol(|token| {
            let listening = Arc::new(Listening {
                token,
                listener,
                owner,
                shared: shared.clone(),
                open: Mutex::new(true),
            });
            (listening.clone(), Source::Listening(listening))
        });
        let interest = Interest {
            read: true,
            write: false,
        };
        let added = shared
            .poller
            .add(listening.listener.as_fd(), listening.token, interest);
        if let Err(error) = added {
            shared.forget(listening.token);
            return Err(BindError::Io {
                endpoint: endpoint.clone(),
                error,
            });
        }
        shared.steward.nudge();
        Ok(listening)
    }

    /// The endpoint, wildcards resolved.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.listener.endpoint()
    }

    /// Stops to accept. Connections that came in stay.
    pub(crate) fn close(&self) {
        if std::mem::replace(&mut *self.open.lock(), false) {
            // Open until here, so the poller knows it; a failure changes nothing.
            let _ = self.shared.poller.delete(self.listener.as_fd());
            self.shared.forget(self.token);
        }
    }

    /// Accepts what waits.
    pub(crate) fn accept(&self, bench: &mut Workbench<'_>) {
        for _ in 0..ACCEPTS_A_TURN {
            match self.listener.accept() {
                Ok(Some((stream, remote))) => self.take_in(stream, remote, bench),
                Ok(None) => return,
                Err(error) => {
                    self.failed(&error, bench);
                    return;
                }
            }
        }
    }

    fn take_in(&self, stream: Stream, remote: RemoteAddr, bench: &mut Workbench<'_>) {
        let settings = self.owner.settings();
        let entered = self.owner.census().lock().enter(settings, &remote);
        let serial = match entered {
            Ok(serial) => serial,
            Err(reason) => {
                stream.shutdown();
                self.owner.report(Event::HandshakeFailed {
                    endpoint: self.endpoint().clone(),
                    remote: remote.to_string().into(),
                    reason,
                });
                return;
            }
        };
        self.make_place(settings.handshakes_max - 1, bench);
        let conn = self.shared.enrol(|token| {
            let conn = Arc::new(Conn::new(
                token,
                stream,
                remote,
                self.endpoint().clone(),
                Origin::Accepted { serial },
                self.owner.clone(),
                self.shared.clone(),
            ));
            (conn.clone(), Source::Conn(conn))
        });
        self.owner.census().lock().begins(serial, conn.token);
        self.owner.report(Event::Accepted {
            endpoint: self.endpoint().clone(),
            remote: conn.remote_name.clone(),
        });
        conn.start(false, bench);
    }

    /// Lets the oldest handshakes under way go, if there are more than `keep`. At once: the next
    /// connection is counted against what is left.
    fn make_place(&self, keep: usize, bench: &mut Workbench<'_>) {
        loop {
            let oldest = self.owner.census().lock().oldest_pending(keep);
            let Some(conn) = oldest.and_then(|token| self.shared.conn(token)) else {
                return;
            };
            if let Heard::Nothing | Heard::Part = conn.catch_up(bench) {
                conn.close(CloseReason::Evicted, bench);
                return;
            }
        }
    }

    /// Gives a descriptor back: that of the oldest handshake that takes its time and says nothing.
    /// One that has said something meanwhile is spared, once.
    fn turn_out_mute(&self, bench: &mut Workbench<'_>) -> bool {
        let pending = self.owner.census().lock().pending();
        for token in pending {
            let Some(conn) = self.shared.conn(token) else {
                continue;
            };
            if conn.since.elapsed() < REST {
                return false;
            }
            match conn.catch_up(bench) {
                Heard::All => {}
                Heard::Part if conn.spare() => {}
                Heard::End => return true,
                Heard::Part | Heard::Nothing => {
                    conn.close(CloseReason::Evicted, bench);
                    return true;
                }
            }
        }
        false
    }

    fn failed(&self, error: &io::Error, bench: &mut Workbench<'_>) {
        self.owner.report(Event::AcceptFailed {
            endpoint: self.endpoint().clone(),
            error: error.kind(),
        });
        // Out of descriptors, most likely: a handshake that takes its time gives one back. Not
        // one that has just begun: the system refuses even where nobody waits to be accepted.
        if !self.turn_out_mute(bench) {
            self.watch(false);
            self.shared.arm(bench.now + REST, Timer::Accept(self.token));
        }
    }

    /// Accepts again after a rest.
    pub(crate) fn resume(&self) {
        self.watch(true);
    }

    fn watch(&self, read: bool) {
        if *self.open.lock() {
            let interest = Interest { read, write: false };
            let changed = self
                .shared
                .poller
                .modify(self.listener.as_fd(), self.token, interest);
            if let Err(error) = changed {
                log::error!("cannot watch the listener on {}: {error}", self.endpoint());
            }
        }
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listening({})", self.endpoint())
    }
}
