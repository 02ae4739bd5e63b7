//! How far a peer is, as its answers to PINGs show it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brokerless_patterns::tap::Tap;
use brokerless_patterns::{Dealer, Message, Options, Peer, Router};

use crate::raw::Raw;
use crate::support::{LIMIT, bound, transports, until};

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_millis(20);
/// How late the slow peer answers.
const LATE: Duration = Duration::from_millis(150);

fn beating() -> Options {
    Options::new()
        .heartbeat_interval(Some(INTERVAL))
        .heartbeat_timeout(LIMIT)
        .handshake_timeout(LIMIT)
}

fn router(options: Options) -> (Router, String) {
    let router = Router::with(options).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    let endpoint = bound(&router);
    (router, endpoint)
}

/// What the snapshot says of the only peer.
fn seen(router: &Router) -> Option<Duration> {
    let stats = router.stats();
    stats.peers.first().expect("one peer").round_trip
}

/// Whatever came before this message has been taken in.
fn heard(router: &Router, raw: &mut Raw) -> Peer {
    raw.send(&[b"heard"]);
    let (peer, message) = router.recv_timeout(LIMIT).expect("its message");
    assert_eq!(message, Message::from("heard"));
    peer
}

#[test]
fn the_snapshot_has_what_heartbeats_measured() {
    let (router, endpoint) = router(beating());
    let mut raw = Raw::connect(&endpoint, "DEALER", 1);
    let peer = heard(&router, &mut raw);
    // It had said READY at once, as if it were near: that stands until it has answered.
    assert!(seen(&router).is_some());
    let late = raw.measured_ping();
    raw.pong_after(LATE, &late);
    until("it is far", || seen(&router) >= Some(LATE));
    // Contexts of others measure nothing, nor does the same one again.
    for context in [&late[..], b"", b"alive?", &[7; 8]] {
        raw.pong_after(Duration::ZERO, context);
    }
    heard(&router, &mut raw);
    assert!(seen(&router) >= Some(LATE));
    assert_eq!(peer.round_trip(), seen(&router));
    // The least counts, however late others are.
    until("it has answered quickly", || {
        let context = raw.measured_ping();
        raw.pong_after(Duration::ZERO, &context);
        seen(&router) < Some(LATE)
    });
    let least = seen(&router);
    let late = raw.measured_ping();
    raw.pong_after(LATE, &late);
    let next = raw.measured_ping();
    assert_ne!(next, late, "the late one was counted before this was sent");
    assert!(seen(&router) <= least, "a late answer moved it");
    drop(raw);
    until("it is gone", || router.stats().peers.is_empty());
    assert_eq!(peer.round_trip(), None);
}

#[test]
fn who_never_stops_talking_is_measured_too() {
    let (router, endpoint) = router(beating());
    let mut raw = Raw::connect(&endpoint, "DEALER", 1);
    let mut talks = raw.twin();
    let sent = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (over, is_over) = crossbeam_channel::bounded::<()>(0);
        let sent = sent.clone();
        scope.spawn(move || {
            // Four times an interval: nothing is asked of it for its silence.
            while is_over
                .recv_timeout(INTERVAL / 4)
                .is_err_and(|it| it.is_timeout())
            {
                talks.send(&[b"more"]);
                sent.fetch_add(1, Ordering::SeqCst);
            }
        });
        let context = raw.measured_ping();
        raw.pong_after(LATE, &context);
        until("it is measured", || seen(&router) >= Some(LATE));
        drop(over);
    });
    assert!(sent.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_new_peer_is_measured_long_before_an_interval_is_over() {
    let hour = Duration::from_secs(3600);
    let options = beating().heartbeat_interval(Some(hour));
    let (router, endpoint) = router(options.heartbeat_timeout(hour));
    let mut raw = Raw::connect(&endpoint, "DEALER", 1);
    let context = raw.measured_ping();
    raw.pong_after(LATE, &context);
    until("it is measured", || seen(&router) >= Some(LATE));
}

#[test]
fn where_nobody_measures_nothing_is_known() {
    let (silent, endpoint) = router(
        Options::new()
            .heartbeat_interval(None)
            .handshake_timeout(LIMIT),
    );
    let mut raw = Raw::connect(&endpoint, "DEALER", 1);
    heard(&silent, &mut raw);
    assert_eq!(seen(&silent), None);
    // A peer of 3.0 answers none.
    let (old, endpoint) = router(beating());
    let mut raw = Raw::connect(&endpoint, "DEALER", 0);
    heard(&old, &mut raw);
    assert_eq!(seen(&old), None);
}

/// Notes how far a peer is said to be.
#[derive(Default)]
struct Distances {
    came: Mutex<Vec<Option<Duration>>>,
    told: Mutex<Vec<Duration>>,
}

impl Tap for Distances {
    fn take(&self, _peer: &Peer, _message: Message) {}

    fn came(&self, peer: &Peer) {
        self.came.lock().unwrap().push(peer.round_trip());
    }

    fn measured(&self, peer: &Peer, round_trip: Duration) {
        assert_eq!(peer.round_trip(), Some(round_trip));
        self.told.lock().unwrap().push(round_trip);
    }
}

#[test]
fn a_tap_hears_of_it_from_the_first() {
    for endpoint in transports() {
        let tap = Arc::new(Distances::default());
        let router = Router::with_tap(beating(), tap.clone()).unwrap();
        router.bind_to(&endpoint).unwrap();
        let dealer = Dealer::connect(&bound(&router)).unwrap();
        until("it has come", || !tap.came.lock().unwrap().is_empty());
        let first = tap.came.lock().unwrap()[0];
        if endpoint.starts_with("inproc") {
            assert_eq!(first, Some(Duration::ZERO));
            continue;
        }
        assert!(first.is_some_and(|first| !first.is_zero()), "{first:?}");
        // By the first that it answers; then by each that is quicker, and by no other.
        until("it is measured", || !tap.told.lock().unwrap().is_empty());
        let told = tap.told.lock().unwrap().clone();
        assert!(told.is_sorted_by(|one, next| one > next), "{told:?}");
        assert!(told[0] < 10_000 * MS);
        drop(dealer);
    }
}
