//! Who calls: one entry a connection, with its machine behind a lock.
//!
//! # Invariants
//!
//! 1. A connection that has gone leaves no entry, whichever comes first, its end or its last
//!    message. (test `a_peer_that_is_gone_leaves_no_session`)

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use brokerless_patterns::Peer;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::owed::Owed;
use super::pass::Ears;
use super::stats::{Count, Counts};
use super::stream::Streams;
use crate::machine;
use crate::service::Caller;
use crate::wire::Version;

/// A connection, as far as the server is concerned.
pub(super) struct Session {
    pub(super) peer: Peer,
    /// The index of the engine that it came in at.
    pub(super) group: usize,
    /// The version that it speaks since its hello, and 0 before.
    version: AtomicU8,
    has_owed: AtomicBool,
    /// Some of its streams found no room in the socket.
    is_clogged: AtomicBool,
    /// The calls that carry items.
    pub(super) streams: Streams,
    /// Who hears of those that are passed on, and carry none.
    pub(super) ears: Ears,
    gone: AtomicBool,
    caller: OnceLock<Caller>,
    nameless: Caller,
    state: Mutex<State>,
}

/// What the lock of a session protects.
pub(super) struct State {
    pub(super) machine: machine::Session,
    /// What found no room.
    pub(super) owed: Owed,
    /// Numbers for calls that have none of their own.
    numbers: u64,
}

impl State {
    pub(super) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl Session {
    fn new(peer: Peer, group: usize, limits: machine::SessionLimits) -> Self {
        let caller = Caller::new(peer.id());
        Session {
            nameless: match peer.address() {
                Some(address) => caller.at(address.to_string()),
                None => caller,
            },
            peer,
            group,
            version: AtomicU8::new(0),
            has_owed: AtomicBool::new(false),
            is_clogged: AtomicBool::new(false),
            streams: Streams::default(),
            ears: Ears::default(),
            gone: AtomicBool::new(false),
            caller: OnceLock::new(),
            state: Mutex::new(State {
                machine: machine::Session::new(limits),
                owed: Owed::default(),
                numbers: 0,
            }),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.peer.id()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The version that is spoken, once it has said hello: its messages begin with the envelope.
    pub(super) fn version(&self) -> Option<Version> {
        Version::from_number(self.version.load(Ordering::Acquire))
    }

    /// It has said hello, under this name.
    pub(super) fn greet(&self, version: Version, name: &str) {
        // A second hello changes no name that handlers have seen.
        self.caller
            .get_or_init(|| self.nameless.clone().named(name));
        self.version.store(version.number(), Ordering::Release);
    }

    pub(super) fn caller(&self) -> &Caller {
        self.caller.get().unwrap_or(&self.nameless)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Whether there is something that found no room.
    pub(super) fn has_owed(&self) -> bool {
        self.has_owed.load(Ordering::Acquire)
    }

    pub(super) fn set_owed(&self, some: bool) {
        self.has_owed.store(some, Ordering::Release);
    }

    /// Whether streams found no room in the socket.
    pub(super) fn is_clogged(&self) -> bool {
        self.is_clogged.load(Ordering::Acquire)
    }

    pub(super) fn set_clogged(&self, some: bool) {
        self.is_clogged.store(some, Ordering::Release);
    }

    /// It has gone, and its calls end with it: they are counted before a handler can see that, so
    /// that the books balance once nothing is in flight.
    pub(super) fn leave(&self, counts: &Counts) {
        let mut state = self.lock();
        counts.add(Count::UnsentGone, state.owed.write_off());
        counts.add(Count::Abandoned, u64::from(state.machine.gone()));
        self.gone.store(true, Ordering::Release);
    }
}

/// All connections that have said something.
#[derive(Default)]
pub(super) struct Sessions {
    map: RwLock<HashMap<u64, Arc<Session>>>,
}

impl Sessions {
    pub(super) fn get(&self, id: u64) -> Option<Arc<Session>> {
        self.map.read().get(&id).cloned()
    }

    /// The session of a peer, made if it has none; none if it is not connected any more.
    pub(super) fn of(
        &self,
        peer: &Peer,
        group: usize,
        limits: machine::SessionLimits,
    ) -> Option<Arc<Session>> {
        let session = {
            let mut map = self.map.write();
            let new = || Arc::new(Session::new(peer.clone(), group, limits));
            map.entry(peer.id()).or_insert_with(new).clone()
        };
        // Looked at once it is in the table: its end either finds it there, or is seen here.
        if peer.is_connected() {
            return Some(session);
        }
        self.remove(peer.id());
        None
    }

    pub(super) fn remove(&self, id: u64) -> Option<Arc<Session>> {
        self.map.write().remove(&id)
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.map.read().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.map.read().len()
    }
}
