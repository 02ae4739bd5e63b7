//! The sockets of a device, and where each is bound and connected now.
//!
//! Places change while messages pass: what is new is opened first, and closed again if any of it
//! fails; only then what is no longer wanted is closed.
//!
//! # Invariants
//!
//! 1. A change happens as a whole or not at all. (test
//!    `a_change_that_fails_in_part_changes_nothing`)

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::error::Error;
use super::place::{Place, Places, Side};
use crate::link::Endpoint;
use crate::socket::core::Core;
use crate::socket::{SocketStats, Unsent, Waitable};

/// A socket of a device, whatever its type.
pub(super) type Socket = Arc<dyn Waitable + Send + Sync>;

/// An endpoint that a device has begun or ceased to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose it is.
    pub side: Side,
    /// Whether it is used now.
    pub added: bool,
    /// Whether it is bound; else it is connected to.
    pub binds: bool,
    /// The endpoint, wildcards resolved.
    pub endpoint: Endpoint,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.added { "added" } else { "removed" };
        write!(f, "{what} {} {}", self.side, self.endpoint)
    }
}

/// A place in use.
#[derive(Debug, Clone)]
struct InUse {
    place: Place,
    endpoint: Endpoint,
}

/// The sockets, and their places.
pub(super) struct Ends {
    sockets: [Socket; Side::ALL.len()],
    places: Mutex<[Vec<InUse>; Side::ALL.len()]>,
    /// Whether copies have somewhere to go.
    captures: AtomicBool,
}

impl Ends {
    /// Sockets in the order of [`Side::ALL`], not bound or connected yet.
    pub(super) fn new(sockets: [Socket; Side::ALL.len()]) -> Self {
        Ends {
            sockets,
            places: Mutex::default(),
            captures: AtomicBool::new(false),
        }
    }

    pub(super) fn core(&self, side: Side) -> &Core {
        self.sockets[side as usize].waits_on().core()
    }

    /// Whether somebody may want copies.
    pub(super) fn captures(&self) -> bool {
        self.captures.load(Ordering::Relaxed)
    }

    /// Makes these the places of all sides; says what has changed.
    pub(super) fn apply(&self, wanted: &Places) -> Result<Vec<Change>, Error> {
        check(wanted)?;
        let mut places = self.places.lock();
        let mut opened: Vec<(Side, InUse)> = Vec::new();
        for side in Side::ALL {
            for place in wanted.of(side) {
                if places[side as usize].iter().any(|one| one.place == *place) {
                    continue;
                }
                match self.open(side, place) {
                    Ok(one) => opened.push((side, one)),
                    Err(error) => {
                        opened
                            .iter()
                            .rev()
                            .for_each(|(side, one)| self.shut(*side, one));
                        return Err(error);
                    }
                }
            }
        }
        let mut changes = Vec::new();
        for side in Side::ALL {
            places[side as usize].retain(|one| {
                let stays = wanted.of(side).contains(&one.place);
                if !stays {
                    self.shut(side, one);
                    changes.push(one.change(side, false));
                }
                stays
            });
        }
        for (side, one) in opened {
            changes.push(one.change(side, true));
            places[side as usize].push(one);
        }
        let captures = !places[Side::Capture as usize].is_empty();
        self.captures.store(captures, Ordering::Relaxed);
        Ok(changes)
    }

    fn open(&self, side: Side, place: &Place) -> Result<InUse, Error> {
        let core = self.core(side);
        let text = place.endpoint().to_string();
        let opened = if place.binds() {
            core.bind(&text)
        } else {
            core.connect(&text).map(|(endpoint, _)| endpoint)
        };
        match opened {
            Ok(endpoint) => Ok(InUse {
                place: place.clone(),
                endpoint,
            }),
            Err(error) => Err(Error::Socket { side, error }),
        }
    }

    fn shut(&self, side: Side, one: &InUse) {
        let core = self.core(side);
        let shut = if one.place.binds() {
            core.unbind(&one.endpoint)
        } else {
            core.disconnect(&one.endpoint)
        };
        if let Err(error) = shut {
            // Only a socket that is closed already says so.
            log::debug!("{side}: {error}");
        }
    }

    /// Nobody new comes in at this side.
    pub(super) fn unlisten(&self, side: Side) {
        self.places.lock()[side as usize].retain(|one| {
            if one.place.binds() {
                self.shut(side, one);
            }
            !one.place.binds()
        });
    }

    /// Every endpoint in use, wildcards resolved, as if just added.
    pub(super) fn in_use(&self) -> Vec<Change> {
        let places = self.places.lock();
        Side::ALL
            .iter()
            .flat_map(|side| {
                let of_side = places[*side as usize].iter();
                of_side.map(|one| one.change(*side, true))
            })
            .collect()
    }

    pub(super) fn stats(&self, side: Side) -> SocketStats {
        self.core(side).stats()
    }

    pub(super) fn close(&self, side: Side, linger: Duration) -> Unsent {
        self.core(side).close(Some(linger))
    }
}

impl InUse {
    fn change(&self, side: Side, added: bool) -> Change {
        Change {
            side,
            added,
            binds: self.place.binds(),
            endpoint: self.endpoint.clone(),
        }
    }
}

/// Both sides have places, and none has one twice.
fn check(wanted: &Places) -> Result<(), Error> {
    for side in [Side::Frontend, Side::Backend] {
        if wanted.of(side).is_empty() {
            return Err(Error::NoPlace { side });
        }
    }
    for side in Side::ALL {
        let places = wanted.of(side);
        for (index, place) in places.iter().enumerate() {
            if places[..index].contains(place) {
                return Err(Error::Twice {
                    side,
                    place: place.clone(),
                });
            }
        }
    }
    Ok(())
}
