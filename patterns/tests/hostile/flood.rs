//! Peers that come in numbers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::support::canary::Lasted;
use crate::support::good::GoodClient;
use crate::support::raw::{Raw, opening};
use crate::support::scene::Scene;
use crate::support::{eventually, hold, ms, pass};

/// One that leaves with a PING unread resets its connection, and is counted under another name.
const NO_PINGS: &str = "heartbeat_interval=none";

pub(crate) fn connections_over_the_limit_are_refused_and_places_given_free_are_taken() {
    let mut scene = Scene::set(&["connections_max=50", NO_PINGS]);
    let address = scene.address();
    // The good client has one of the places.
    let inside: Vec<_> = (0..49).map(|_| Raw::dealer(&address, b"")).collect();
    let mut outside: Vec<_> = (0..150).map(|_| Raw::connect(&address)).collect();
    for peer in &mut outside {
        peer.send(&opening("DEALER", b""));
        peer.until_closed(ms(500));
    }
    let figures = scene.router.until_closed(150, "connection-limit", ms(500));
    assert_eq!(figures.get("connections"), 50);

    drop(inside);
    scene.router.until_closed(49, "peer-closed", ms(500));
    GoodClient::start(&scene.router)
        .finish()
        .assert_answered_throughout(ms(100));
    let (_, figures) = scene.end();
    assert_eq!(figures.closes("connection-limit"), 150);
}

pub(crate) fn one_address_has_its_share_of_connections_and_no_more() {
    let mut scene = Scene::set(&["connections_per_address_max=20", NO_PINGS]);
    let address = scene.address();
    let mut inside: Vec<_> = (0..19).map(|_| Raw::dealer(&address, b"")).collect();
    for _ in 0..50 {
        Raw::connect(&address).until_closed(ms(500));
    }
    let figures = scene.router.until_closed(50, "address-limit", ms(500));
    assert_eq!(figures.get("connections"), 20);

    // One goes, one comes.
    inside.pop();
    scene.router.until_closed(1, "peer-closed", ms(500));
    inside.push(Raw::dealer(&address, b""));
    Raw::connect(&address).until_closed(ms(500));
    scene.router.until_closed(51, "address-limit", ms(500));
    scene.end();
}

pub(crate) fn handshakes_under_way_never_exceed_their_limit_and_the_oldest_give_place() {
    const MAX: u64 = 16;
    const PEERS: usize = 400;
    let mut scene = Scene::set(&["handshakes_max=16", "handshake_timeout=60000"]);
    let address = scene.address();
    let mut most = 0;
    let mut peers = Vec::new();
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            (0..PEERS)
                .map(|_| Raw::connect(&address))
                .collect::<Vec<_>>()
        });
        while !flood.is_finished() {
            most = most.max(scene.router.figures().get("handshakes"));
        }
        peers = flood.join().expect("they connect");
    });
    let evicted = PEERS as u64 - MAX;
    let figures = scene.router.until_closed(evicted, "evicted", ms(1000));
    most = most.max(figures.get("handshakes"));
    assert!(most <= MAX, "{most} handshakes under way, more than {MAX}");
    assert_eq!(figures.closes("evicted"), evicted);
    // The oldest went, the newest stay and can come in still.
    let newest = peers.split_off(evicted as usize);
    for peer in &mut peers {
        peer.until_closed(ms(100));
    }
    for mut peer in newest {
        peer.send(&opening("DEALER", b""));
        peer.skip_greeting();
        peer.frame().expect("the router says READY");
    }
    scene.end();
}

pub(crate) fn a_mute_peer_is_closed_when_its_handshake_is_due() {
    let mut scene = Scene::set(&["handshake_timeout=300"]);
    let address = scene.address();
    let opening = opening("DEALER", b"");
    // Mute from the start, and after any part of what they had to say.
    let mut peers: Vec<_> = (0..opening.len())
        .map(|length| {
            let begin = Instant::now();
            let mut peer = Raw::connect(&address);
            peer.send(&opening[..length]);
            (begin, peer)
        })
        .collect();
    for (begin, peer) in &mut peers {
        peer.until_closed(ms(1000));
        // Those after the first are looked at when they have long been closed. The time counts
        // from when the router was told of connections, which may be a moment before this one.
        Lasted::since(*begin).assert_between(ms(280), ms(500), "closed after");
    }
    let count = peers.len() as u64;
    let figures = scene
        .router
        .until_closed(count, "handshake-timeout", ms(100));
    assert_eq!(figures.closes("handshake-timeout"), count);
    scene.end();
}

pub(crate) fn a_storm_of_connections_that_come_and_go_disturbs_nobody() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let (over, made) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (address, over, made) = (&address, &over, &made);
            scope.spawn(move || {
                let opening = opening("DEALER", b"");
                for round in thread.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut peer = Raw::connect(address);
                    // Nothing, a part, or all of the handshake.
                    peer.send(&opening[..opening.len() * (round % 3) / 2]);
                    made.fetch_add(1, Ordering::Relaxed);
                    // A reset: ports that wait for stray packets would run out.
                    peer.reset();
                }
            });
        }
        pass(ms(1000));
        eventually("there were enough of them", ms(1000), || {
            (made.load(Ordering::Relaxed) > 1000).then_some(())
        });
        over.store(true, Ordering::Relaxed);
    });
    let made = made.into_inner();
    assert!(made > 1000, "only {made} connections: no storm");
    let figures = eventually("all are gone", ms(3000), || {
        let figures = scene.router.figures();
        (figures.get("connections") == 1).then_some(figures)
    });
    let ended: u64 = figures.all_closes().values().sum();
    // One that is reset before it was accepted may never be seen.
    assert!(ended <= made, "{ended} of {made}: {figures}");
    hold(ended > made / 2, || format!("{ended} of {made}: {figures}"));
    scene.end();
}
