//! How a device is steered and watched from other threads.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Kind;
use super::capture::{CopyCounts, Outlet};
use super::counts::{Counts, Way};
use super::ends::{Change, Ends};
use super::error::Error;
use super::place::{Places, Side};
use super::state::{State, Steering};
use super::statistics::{SideStatistics, Statistics};
use crate::engine::Engine;
use crate::socket::Rep;

/// The longest that a loop takes to see what is wanted.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the command RELOAD does.
pub(super) type Reload = Box<dyn Fn(&Handle) -> Result<String, String> + Send + Sync>;

/// What the threads of a device share.
pub(super) struct Inner {
    pub(super) kind: Kind,
    pub(super) engine: Engine,
    pub(super) ends: Ends,
    pub(super) control: Arc<Rep>,
    pub(super) outlet: Outlet,
    pub(super) counts: Counts,
    pub(super) copies: CopyCounts,
    pub(super) steering: Steering,
    pub(super) linger: Mutex<Duration>,
    pub(super) since: Instant,
    pub(super) reload: Option<Reload>,
}

impl Inner {
    pub(super) fn statistics(&self) -> Statistics {
        let endpoints = self.ends.in_use();
        let side = |side: Side| {
            let own = endpoints.iter().filter(|one| one.side == side);
            let own = own.map(|one| one.endpoint.clone()).collect();
            SideStatistics::new(own, self.ends.stats(side))
        };
        Statistics {
            kind: self.kind,
            state: self.steering.state(),
            uptime: self.since.elapsed(),
            from_frontend: self.counts.way(Way::FromFrontend).statistics(),
            from_backend: self.counts.way(Way::FromBackend).statistics(),
            frontend: side(Side::Frontend),
            backend: side(Side::Backend),
            capture: side(Side::Capture),
            control: side(Side::Control),
            copies_sent: self.copies.sent(),
            copies_lost: self.copies.lost(),
        }
    }
}

/// A device, as other threads hold it. Clones are the same device.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

impl Handle {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Handle { inner }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Passes nothing on from now on; connections stay, and what comes waits within the limits.
    /// False if the device is ending.
    ///
    /// # Blocking
    ///
    /// Until the message at hand has been passed on.
    pub fn pause(&self) -> bool {
        self.turn(State::Paused)
    }

    /// Passes messages on again. False if the device is ending.
    ///
    /// # Blocking
    ///
    /// As [`pause`](Self::pause).
    pub fn resume(&self) -> bool {
        self.turn(State::Running)
    }

    fn turn(&self, state: State) -> bool {
        let steering = &self.inner.steering;
        steering.want(state) && steering.wait_until(state, PATIENCE)
    }

    /// Has the device drain and end. It does not wait for that.
    pub fn terminate(&self) {
        self.inner.steering.want(State::Draining);
    }

    /// Where the device is.
    pub fn state(&self) -> State {
        self.inner.steering.state()
    }

    /// Makes these the endpoints of the device: new ones are bound or connected to, those left
    /// out are given up. Connections that came in through an endpoint given up stay.
    ///
    /// # Errors
    ///
    /// If a side would have no place, a place is given twice, or one cannot be bound. Nothing
    /// was changed.
    pub fn set_places(&self, places: &Places) -> Result<Vec<Change>, Error> {
        if self.state() >= State::Draining {
            return Err(Error::Ended);
        }
        self.inner.ends.apply(places)
    }

    /// The endpoints in use, wildcards resolved, by side.
    pub fn endpoints(&self) -> Vec<Change> {
        self.inner.ends.in_use()
    }

    /// Sets how long the device passes on what is left when it ends.
    pub fn set_linger(&self, linger: Duration) {
        *self.inner.linger.lock() = linger;
    }

    /// What the device has done so far.
    pub fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.inner.kind, self.state())
    }
}
