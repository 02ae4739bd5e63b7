//! Who calls: one entry a connection, with its machine behind a lock.
//!
//! # Invariants
//!
//! 1. A connection that has gone leaves no entry, whichever comes first, its end or its last
//!    message. (tests `a_peer_that_is_gone_leaves_no_session`,
//!    `a_message_of_a_peer_that_has_gone_ends_what_another_thread_has_of_it`)

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use brokerless_patterns::Peer;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::owed::Owed;
use super::pass::Ears;
use super::serve::Shared;
use super::stats::{Count, Counts};
use super::stream::Streams;
use crate::machine;
use crate::service::Caller;
use crate::wire::Version;

/// A connection, as far as the server is concerned.
pub(super) struct Session {
    pub(super) peer: Peer,
    /// Answers to it are encoded where they are sent: their envelopes need no frame.
    pub(super) lends: bool,
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
            lends: !peer.is_inproc(),
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

    /// The session of a peer, made if it has none; none if it is not connected any more. What there
    /// is of it then is to be ended by the one who asked: another thread may have it in hand, and
    /// whoever is told of the peer's end may have looked before this one was made.
    fn of(
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
        peer.is_connected().then_some(session)
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

impl Shared {
    /// The session of a peer, made if it has none; none if it is not connected any more.
    pub(super) fn session_of(
        self: &Arc<Self>,
        peer: &Peer,
        group: usize,
        limits: machine::SessionLimits,
    ) -> Option<Arc<Session>> {
        let session = self.sessions.of(peer, group, limits);
        if session.is_none() {
            self.gone(peer.id());
        }
        session
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use brokerless_patterns::{Dealer, Router};

    use super::*;
    use crate::machine::{Admit, Arrival, SessionLimits, Time};
    use crate::server::Server;

    /// A peer of a socket that is none of the server's: it hears of its end from nobody else.
    fn peer(name: &str) -> (Router, Dealer, Peer) {
        let router = Router::bind(name).unwrap();
        let dealer = Dealer::connect(name).unwrap();
        dealer.send(&b"here"[..]).unwrap();
        let (peer, _) = router.recv_timeout(Duration::from_secs(50)).unwrap();
        (router, dealer, peer)
    }

    fn goes(dealer: Dealer, peer: &Peer) {
        drop(dealer);
        let end = Instant::now() + Duration::from_secs(50);
        while peer.is_connected() {
            assert!(Instant::now() < end, "it stays");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_message_of_a_peer_that_has_gone_ends_what_another_thread_has_of_it() {
        let server = Server::builder().bind("inproc://session-of-gone").unwrap();
        let shared = &server.shared;
        let (_router, dealer, peer) = peer("inproc://session-of-gone-peer");
        let limits = SessionLimits::default();
        let session = shared.session_of(&peer, 0, limits).expect("it is there");
        let call = Arrival {
            id: 1,
            via: 0,
            bytes: 0,
            deadline: Time::NEVER,
            used_up: false,
        };
        let admitted = session.lock().machine.arrive(Time::ZERO, call);
        let Admit::Run(ticket) = admitted else {
            panic!("{admitted:?}");
        };
        goes(dealer, &peer);
        // Its second message is another thread's, and comes before the news of its end.
        assert!(shared.session_of(&peer, 0, limits).is_none());
        assert!(session.is_gone() && session.lock().machine.is_cancelled(ticket));
        assert_eq!(shared.counts.get(Count::Abandoned), 1);
        // And a third one after it.
        shared.gone(peer.id());
        assert!(shared.session_of(&peer, 0, limits).is_none());
        assert_eq!(
            (shared.sessions.len(), shared.counts.get(Count::Abandoned)),
            (0, 1)
        );
    }
}
