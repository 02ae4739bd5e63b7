//! Peers of all kinds, 300 at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::raw::{MORE, Raw, announce, frame, opening, ping};
use crate::support::scene::Scene;
use crate::support::{eventually, hold, ms, pass};

const EACH: usize = 100;
const SIEGE: Duration = ms(1500);

/// Broken ones: each says something wrong, is closed, and comes again a little later.
fn broken(address: &str, over: &AtomicBool) -> u64 {
    let wrong = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xFF; 64],
        [opening("DEALER", b""), vec![0x80, 0]].concat(),
        [opening("DEALER", b""), announce(0, 1 << 40)].concat(),
        [opening("DEALER", b""), frame(MORE, b"").repeat(1025)].concat(),
        opening("PULL", b""),
    ];
    let mut peers: Vec<Option<Raw>> = (0..EACH).map(|_| None).collect();
    let mut made = 0;
    // Ten of them each 20 ms: 500 connections a second.
    for round in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        for index in (round % 10..EACH).step_by(10) {
            let mut peer = Raw::connect(address);
            peer.send(&wrong[(made as usize) % wrong.len()]);
            // The one before it has been closed long ago; its end is a reset, to spare the ports.
            if let Some(old) = peers[index].replace(peer) {
                old.reset();
            }
            made += 1;
        }
        pass(ms(20));
    }
    made
}

/// Mute ones: they say a part of what they had to, and come again when they are closed.
fn mute(address: &str, over: &AtomicBool) {
    let opening = opening("DEALER", b"");
    let mut peers = Vec::new();
    for index in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        if peers.len() < EACH {
            let mut peer = Raw::connect(address);
            peer.send(&opening[..index % opening.len()]);
            peers.push(peer);
        } else {
            pass(ms(10));
            peers.retain(|peer| !peer.is_closed());
        }
    }
}

/// Pinging ones: fifty times a second, answered or not; half of them never read an answer.
fn pinging(address: &str, over: &AtomicBool, sent: &AtomicU64) {
    let mut peers: Vec<_> = (0..EACH).map(|_| Raw::dealer(address, b"")).collect();
    let ping = ping(0, b"are you there?");
    while !over.load(Ordering::Relaxed) {
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.send(&ping);
            if index % 2 == 0 {
                peer.drain();
            }
        }
        sent.fetch_add(EACH as u64, Ordering::Relaxed);
        pass(ms(20));
    }
}

pub(crate) fn three_hundred_broken_mute_and_pinging_peers_do_not_keep_a_good_one_waiting() {
    let mut scene = Scene::set(&["handshake_timeout=500"]);
    let address = scene.address();
    let (over, pings) = (AtomicBool::new(false), AtomicU64::new(0));
    let (begin, cpu) = (Instant::now(), scene.router.process.cpu_time());
    let before = scene.good.rounds();
    let made = std::thread::scope(|scope| {
        let broken = scope.spawn(|| broken(&address, &over));
        scope.spawn(|| mute(&address, &over));
        scope.spawn(|| pinging(&address, &over, &pings));
        pass(SIEGE);
        // On a slow machine it takes longer until it was a siege.
        eventually("there were enough pings and round trips", SIEGE, || {
            let enough =
                pings.load(Ordering::Relaxed) >= 5000 && scene.good.rounds() >= before + 100;
            enough.then_some(())
        });
        over.store(true, Ordering::Relaxed);
        broken.join().expect("they come and go")
    });
    // The fault did happen, and the machine was not eaten up by it.
    let pings = pings.into_inner();
    hold(made >= 500 && pings >= 5000, || {
        format!("{made} broken, {pings} pings: no siege")
    });
    let (used, lasted) = (scene.router.process.cpu_time() - cpu, begin.elapsed());
    hold(used < lasted, || format!("{used:?} of CPU in {lasted:?}"));
    let rounds = scene.good.rounds() - before;
    assert!(
        rounds >= 100,
        "the good client had only {rounds} round trips meanwhile"
    );

    let figures = scene
        .router
        .until(ms(2000), |figures| figures.get("connections") == 1);
    for reason in [
        "bad-signature",
        "reserved-flags",
        "frame-too-large",
        "too-many-frames",
        "incompatible-sockets",
        "handshake-timeout",
    ] {
        assert!(figures.closes(reason) > 0, "{reason}: {figures}");
    }
    assert!(
        figures.get("lines") >= 2,
        "the log was not silent about it: {figures}"
    );
    scene.end();
}
