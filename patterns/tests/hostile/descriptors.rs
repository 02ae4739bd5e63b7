//! Peers that hold every descriptor that the process may have.

use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine};

use crate::support::canary::Lasted;
use crate::support::good::patient;
use crate::support::raw::Raw;
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
        peer.send(&crate::support::raw::opening("DEALER", b""));
    }
    under_siege(&scene);
    let figures = scene.router.until(ms(2000), |figures| {
        let [silent, evicted] = ["heartbeat-timeout", "evicted"].map(|name| figures.closes(name));
        silent + evicted == IDLE as u64
    });
    assert!(figures.closes("heartbeat-timeout") >= 200, "{figures}");
    scene.end();
}
