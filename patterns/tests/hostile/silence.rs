//! Peers that are there, and say nothing.

use std::time::{Duration, Instant};

use brokerless_patterns::{CloseReason, Dealer, Engine, Event, Options};

use crate::support::canary::Lasted;
use crate::support::dealer::ROLE;
use crate::support::process::Process;
use crate::support::raw::{Raw, ping};
use crate::support::scene::Scene;
use crate::support::{hold, ms, pass};

/// In which a half-open connection is noticed, with these heartbeats.
const NOTICED: Duration = ms(500);
/// How long a message that has to come is waited for.
const PATIENCE: Duration = ms(30_000);
const HEARTBEATS: [&str; 2] = ["heartbeat_interval=100", "heartbeat_timeout=300"];

fn same_heartbeats() -> Options {
    Options::new()
        .heartbeat_interval(Some(ms(100)))
        .heartbeat_timeout(ms(300))
}

pub(crate) fn a_router_notices_a_stopped_peer_within_half_a_second() {
    let mut scene = Scene::set(&HEARTBEATS);
    let connect = format!("connect={}", scene.router.endpoint);
    let peer = Process::start(ROLE, &[&connect]);
    for round in 1..=3 {
        let begin = Instant::now();
        peer.stop();
        scene
            .router
            .until_closed(round, "heartbeat-timeout", NOTICED);
        Lasted::since(begin).assert_within(NOTICED, "noticed after");
        // It comes back by itself.
        peer.go_on();
        scene
            .router
            .until(ms(2000), |figures| figures.get("peers") == 2);
    }
    scene.end();
}

pub(crate) fn a_dealer_notices_a_stopped_router_within_half_a_second_and_comes_back() {
    let scene = Scene::set(&HEARTBEATS);
    let engine = Engine::new().expect("descriptors are free");
    let dealer = Dealer::with(same_heartbeats().engine(&engine)).expect("options within bounds");
    let events = dealer.monitor();
    dealer
        .connect_to(&scene.router.endpoint)
        .expect("an endpoint to connect to");
    dealer.send("before").expect("it waits in the queue");
    assert_eq!(
        dealer.recv_timeout(PATIENCE).expect("an answer")[0],
        "before"
    );
    let good = scene.good.finish();
    good.hold_kept();
    good.assert_answered_throughout(ms(100));

    let begin = Instant::now();
    scene.router.process.stop();
    let reason = loop {
        let event = events.recv_timeout(PATIENCE).expect("the end is reported");
        if let Event::Disconnected { reason, .. } = event {
            break reason;
        }
    };
    Lasted::since(begin).assert_within(NOTICED, "noticed after");
    assert_eq!(reason, CloseReason::HeartbeatTimeout);

    // What is sent now waits for the connection.
    dealer.send("after").expect("it waits in the queue");
    scene.router.process.go_on();
    let begin = Instant::now();
    assert_eq!(
        dealer.recv_timeout(PATIENCE).expect("an answer")[0],
        "after"
    );
    Lasted::since(begin).assert_within(ms(1000), "back after");
    let stats = dealer.stats();
    assert_eq!(stats.closes.get("heartbeat-timeout"), Some(&1), "{stats:?}");
}

pub(crate) fn a_peer_is_given_up_after_the_time_to_live_that_it_announced() {
    // Whatever the router's own heartbeats are.
    for own in ["heartbeat_interval=none", "heartbeat_interval=100"] {
        let long = ["heartbeat_timeout=60000", "heartbeat_interval=60000"];
        let mut scene = Scene::set(&[&long[..], &[own]].concat());
        let mut peer = Raw::dealer(&scene.address(), b"");
        // What is taken back does not count, and the last word does.
        peer.send(&[ping(1, b""), ping(0, b"")].concat());
        pass(ms(250));
        let begin = Instant::now();
        peer.send(&[ping(6000, b""), ping(3, b"")].concat());
        peer.until_closed(NOTICED);
        Lasted::since(begin).assert_between(ms(290), NOTICED, "given up after");
        scene.router.until_closed(1, "ttl-expired", ms(100));
        scene.end();
    }
}

pub(crate) fn a_router_that_stood_still_takes_no_peer_for_dead() {
    let heartbeats = ["heartbeat_interval=300", "heartbeat_timeout=1200"];
    let Scene {
        mut router, good, ..
    } = Scene::set(&heartbeats);
    // It judges no silence itself: it would be right to leave.
    let connect = format!("connect={}", router.endpoint);
    let mut asked = Process::start(ROLE, &[&connect, "heartbeat_interval=none"]);
    let good = good.finish();
    good.hold_kept();
    good.assert_answered_throughout(ms(100));
    let [mut plain, mut announced] = [0; 2].map(|_| Raw::dealer(router.address(), b""));
    let mut speak = || {
        plain.send(&ping(0, b""));
        announced.send(&ping(9, b""));
    };
    speak();
    let figures = router.until(ms(2000), |figures| {
        figures.get("peers") == 3 || !figures.all_closes().is_empty()
    });
    hold(figures.get("peers") == 3, || figures.to_string());

    // Twice as long as it takes to be given up; whoever speaks meanwhile is not heard.
    router.process.stop();
    for _ in 0..12 {
        pass(ms(200));
        speak();
    }
    router.process.go_on();
    asked.tell("still there?");
    assert_eq!(asked.line("got"), "still there?");
    // The machine can keep this test from speaking for as long as that.
    let figures = router.figures();
    for reason in ["heartbeat-timeout", "ttl-expired"] {
        hold(figures.closes(reason) == 0, || figures.to_string());
    }
    // Those who say no more are given up as ever, and the one who answers stays.
    router.until_closed(1, "ttl-expired", ms(3000));
    let figures = router.until_closed(1, "heartbeat-timeout", ms(3000));
    hold(figures.get("peers") == 1, || figures.to_string());
}

pub(crate) fn a_peer_that_does_not_receive_for_a_while_is_not_taken_for_dead() {
    let mut scene = Scene::set(&HEARTBEATS);
    let engine = Engine::new().expect("descriptors are free");
    let options = same_heartbeats().recv_messages_max(4).engine(&engine);
    let dealer = Dealer::with(options).expect("options within bounds");
    dealer
        .connect_to(&scene.router.endpoint)
        .expect("an endpoint to connect to");
    // More than the system takes off the router's hands.
    let large = vec![b'x'; 1 << 20];
    const MESSAGES: u64 = 40;
    for _ in 0..MESSAGES {
        dealer.send(&large[..]).expect("it waits in the queue");
    }
    scene.router.until(ms(3000), |figures| {
        figures.get("arrived_bytes") >= MESSAGES << 20 && figures.get("send_queue") > 0
    });
    // Three times as long as it takes to be taken for dead.
    pass(ms(900));
    for number in 0..MESSAGES {
        let answer = dealer.recv_timeout(PATIENCE);
        let answer = answer.unwrap_or_else(|error| {
            let (ours, theirs) = (dealer.stats(), scene.router.figures());
            let seen = format!("answer {number}: {error}; {ours:?}; {theirs}");
            hold(ours.closes.is_empty(), || seen.clone());
            panic!("{seen}")
        });
        assert_eq!(answer.bytes(), 1 << 20);
    }
    // The machine can make either side silent for as long as that.
    let stats = dealer.stats();
    hold(stats.closes.is_empty(), || format!("{stats:?}"));
    let (_, figures) = scene.end();
    hold(figures.closes("heartbeat-timeout") == 0, || {
        figures.to_string()
    });
}
