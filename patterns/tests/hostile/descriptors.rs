//! Peers that hold every descriptor that the process may have.

use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine};

use crate::support::canary::Lasted;
use crate::support::good::patient;
use crate::support::process::RouterProcess;
use crate::support::raw::{COMMAND, Raw, greeting, opening, ready};
use crate::support::scene::Scene;
use crate::support::{hold, ms, pass};

const DESCRIPTORS: &str = "descriptors=256";
const IDLE: usize = 400;
/// What a newcomer may wait.
const WAIT: Duration = ms(2000);
/// The part of a core that the siege may take up: one that tries again and again takes all of it.
const SHARE: u32 = if cfg!(debug_assertions) { 3 } else { 10 };
/// How long the siege is watched.
const SIEGE: Duration = ms(1000);

/// Connects, and gives the time until the first answer.
#[track_caller]
fn newcomer(endpoint: &str) -> Lasted {
    let engine = Engine::new().expect("descriptors are free here");
    let dealer = Dealer::with(patient(&engine)).expect("options within bounds");
    let begin = Instant::now();
    dealer
        .connect_to(endpoint)
        .expect("an endpoint to connect to");
    dealer.send("let me in").expect("it waits in the queue");
    let answer = dealer
        .recv_timeout(ms(30_000))
        .expect("an answer in the end");
    assert_eq!(answer[0], "let me in");
    Lasted::since(begin)
}

/// Serves three newcomers and then watches on; checks what they wait and what it costs.
#[track_caller]
fn under_siege(scene: &Scene) {
    let (begin, cpu) = (Instant::now(), scene.router.process.cpu_time());
    for _ in 0..3 {
        newcomer(&scene.router.endpoint).assert_within(WAIT, "a newcomer waited");
    }
    pass(SIEGE.saturating_sub(begin.elapsed()));
    let used = scene.router.process.cpu_time() - cpu;
    let most = begin.elapsed() / SHARE;
    hold(used <= most, || {
        format!("{used:?} of CPU, more than {most:?}, a part in {SHARE} of a core")
    });
}

pub(crate) fn a_newcomer_is_served_within_two_seconds_while_mute_peers_hold_every_descriptor() {
    // They would stay for ever: only turning them out lets anybody in.
    let mut scene = Scene::set_slow(&[DESCRIPTORS, "handshake_timeout=60000"], ms(20));
    let address = scene.address();
    let idle: Vec<_> = (0..IDLE).map(|_| Raw::connect(&address)).collect();
    under_siege(&scene);
    // The fault did happen: no more than the descriptors are there at once.
    let figures = scene.router.figures();
    let most = (IDLE - 256) as u64;
    assert!(figures.closes("evicted") >= most, "{figures}");
    drop(idle);
    scene
        .router
        .until(ms(1000), |figures| figures.get("connections") == 1);
    scene.end();
}

pub(crate) fn a_newcomer_is_served_within_two_seconds_while_peers_that_went_silent_hold_every_descriptor()
 {
    // Nobody can be turned out who is through the handshake, before heartbeats show who is there.
    let heartbeats = ["heartbeat_interval=200", "heartbeat_timeout=600"];
    let mut scene = Scene::set_slow(&[DESCRIPTORS, heartbeats[0], heartbeats[1]], ms(20));
    let address = scene.address();
    let mut idle: Vec<_> = (0..IDLE).map(|_| Raw::connect(&address)).collect();
    for peer in &mut idle {
        peer.send(&opening("DEALER", b""));
    }
    under_siege(&scene);
    let figures = scene.router.until(ms(2000), |figures| {
        let [silent, evicted] = ["heartbeat-timeout", "evicted"].map(|name| figures.closes(name));
        silent + evicted == IDLE as u64
    });
    assert!(figures.closes("heartbeat-timeout") >= 200, "{figures}");
    scene.end();
}

/// A router without a descriptor left, the last one taken by a peer that has said nothing yet; and
/// those that hold the others.
fn full() -> (RouterProcess, Vec<Raw>, Raw) {
    let mut router = RouterProcess::start(&["descriptors=24"]);
    let address = router.address().to_owned();
    let dealers = |count: u64| -> Vec<Raw> {
        let connect = |_| {
            let mut peer = Raw::connect(&address);
            peer.send(&opening("DEALER", b""));
            peer
        };
        (0..count).map(connect).collect()
    };
    // More than there is room for: those that are in show how much there is.
    let crowd = dealers(24);
    let figures = router.until(ms(1000), |figures| {
        figures.get("peers") > 4 && figures.get("handshakes") == 0
    });
    let places = figures.get("peers");
    assert!(places < 24, "none wait: {figures}");
    drop(crowd);
    router.until(ms(2000), |figures| {
        figures.all_closes().values().sum::<u64>() == 24 && figures.get("connections") == 0
    });
    let inside = dealers(places - 1);
    router.until(ms(1000), |figures| figures.get("peers") == places - 1);
    let newcomer = Raw::connect(&address);
    router.until(ms(1000), |figures| figures.get("handshakes") == 1);
    (router, inside, newcomer)
}

/// Another one knocks while the process stands still, for longer than a mute peer may take its time;
/// and after it the newcomer says this much.
fn speaks_while_the_router_stands_still(words: &[u8]) -> (RouterProcess, Vec<Raw>, Raw, Raw) {
    let (router, inside, mut newcomer) = full();
    // The listener rests after a refusal, and does not say that it does: it is to look again first.
    pass(ms(250));
    router.process.stop();
    let other = Raw::connect(router.address());
    newcomer.send(words);
    pass(ms(300));
    router.process.go_on();
    (router, inside, newcomer, other)
}

#[track_caller]
fn is_let_in(newcomer: &mut Raw) {
    newcomer.skip_greeting();
    let (flags, body) = newcomer.frame().expect("the router says READY");
    assert!(
        flags & COMMAND != 0 && body.starts_with(b"\x05READY"),
        "{body:?}"
    );
}

pub(crate) fn a_newcomer_that_spoke_while_the_router_stood_still_is_not_turned_out() {
    let words = opening("DEALER", b"");
    let (mut router, inside, mut newcomer, other) = speaks_while_the_router_stands_still(&words);
    is_let_in(&mut newcomer);
    let figures = router.figures();
    assert_eq!(figures.closes("evicted"), 0, "{figures}");
    // The one who knocked comes in when a place is free.
    drop(inside);
    router.until(ms(2000), |figures| {
        (figures.get("peers"), figures.get("handshakes")) == (1, 1)
    });
    drop(other);
    assert!(router.process.end(), "the router leaves in order");
}

pub(crate) fn a_newcomer_that_spoke_in_part_is_spared_once() {
    let (mut router, _inside, mut newcomer, _other) =
        speaks_while_the_router_stands_still(&greeting());
    // It goes on as soon as it is greeted: within the time that it was given.
    newcomer.skip_greeting();
    newcomer.send(&ready("DEALER", b""));
    let figures = router.until(ms(2000), |figures| {
        figures.get("handshakes") == 0 && figures.get("peers") > 0
    });
    // A machine that stands still for as long as the time lasts leaves none for it.
    hold(figures.closes("evicted") == 0, || figures.to_string());

    // One that goes on byte by byte is turned out all the same.
    let (mut router, _inside, mut newcomer, _other) =
        speaks_while_the_router_stands_still(&greeting()[..10]);
    for byte in &greeting()[10..] {
        newcomer.send(&[*byte]);
        pass(ms(20));
    }
    router.until_closed(1, "evicted", ms(2000));
}
