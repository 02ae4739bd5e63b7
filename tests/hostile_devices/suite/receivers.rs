//! Peers that may only receive: they subscribe to too much, or send.

use std::collections::BTreeMap;
use std::time::Duration;

use brokerless_patterns::{Engine, Sub};

use crate::suite::support::good::patient;
use crate::suite::support::kinds::Kind;
use crate::suite::support::ms;
use crate::suite::support::raw::{MORE, Raw, command, frame};
use crate::suite::support::scene::{Scene, WORST, count};

/// By default a peer may subscribe to so many topics, of so many bytes each, and all together.
const TOPICS_MAX: usize = 10_000;
const TOPIC_BYTES_MAX: usize = 1024;
const ALL_BYTES_MAX: usize = 1 << 20;

type Form = fn(&[u8]) -> Vec<u8>;

/// The worst round of a good client beside a flood of subscriptions. Thousands of them come in one
/// read, and thousands end with one peer: that is a matter of some 10 ms in an optimised program,
/// of some 100 ms in any other, which the tests' own publisher is, too.
const WORST_BESIDE_FLOODS: Duration = if cfg!(debug_assertions) {
    ms(500)
} else {
    WORST
};

/// A subscription, as version 3.0 has it and as 3.1.
const FORMS: [Form; 2] = [
    |topic| frame(0, &[b"\x01", topic].concat()),
    |topic| command("SUBSCRIBE", topic),
];

pub(super) fn subscriptions_over_the_limits_close_their_peer(kind: &Kind) {
    // One peer's at a time, with what it takes to tell publishers of them.
    const BOOKS_KIB: u64 = 16 * 1024;
    let scene = Scene::set(kind, &[]);
    let address = scene.address(&kind.back);
    let before = scene.memory();
    let large = |number: usize| format!("{number:0TOPIC_BYTES_MAX$}").into_bytes();
    let mut expected = BTreeMap::<&str, u64>::new();
    for form in FORMS {
        let many = (0..=TOPICS_MAX).flat_map(|number| form(number.to_string().as_bytes()));
        let long = form(&vec![b'x'; TOPIC_BYTES_MAX + 1]);
        let large = (0..=ALL_BYTES_MAX / TOPIC_BYTES_MAX).flat_map(|number| form(&large(number)));
        for (bytes, name) in [
            (many.collect(), "too-many-subscriptions"),
            (long, "topic-too-long"),
            (large.collect::<Vec<u8>>(), "topics-too-large"),
        ] {
            let mut peer = Raw::of("SUB", &address, b"");
            peer.send(&bytes);
            peer.until_closed(ms(1000));
            *expected.entry(name).or_default() += 1;
            scene.until_closed(&kind.back, &expected);
        }
    }
    scene.assert_grown(before, BOOKS_KIB);
    scene.end_with(WORST_BESIDE_FLOODS);
}

pub(super) fn subscriptions_within_the_limits_take_bounded_memory_and_go_with_their_peers(
    kind: &Kind,
) {
    const PEERS: usize = 4;
    // 300 bytes and a little for each of 40,000 topics; as much again for the allocator.
    const TOPICS_KIB: u64 = 2 * 320 * (PEERS * TOPICS_MAX) as u64 / 1024;
    let scene = Scene::set(kind, &[]);
    let address = scene.address(&kind.back);
    let before = scene.memory();
    // The second time it takes no more.
    for _ in 0..2 {
        let mut peers: Vec<_> = (0..PEERS).map(|_| Raw::of("SUB", &address, b"")).collect();
        for (index, peer) in peers.iter_mut().enumerate() {
            for form in FORMS {
                // The second form says the same again: it is the same topics.
                let topics = (0..TOPICS_MAX).flat_map(|n| form(format!("{index}/{n}").as_bytes()));
                peer.send(&topics.collect::<Vec<u8>>());
            }
        }
        for peer in &mut peers {
            peer.finish();
            peer.until_closed(ms(3000));
        }
        scene.until("their subscriptions have gone up", ms(2000), |statistics| {
            statistics["backend"]["connections"] == 1
        });
    }
    let gone = BTreeMap::from([("peer-closed", 2 * PEERS as u64)]);
    scene.until_closed(&kind.back, &gone);
    scene.assert_grown(before, TOPICS_KIB);
    scene.end_with(WORST_BESIDE_FLOODS);
}

pub(super) fn what_a_subscriber_sends_reaches_no_subscriber(kind: &Kind) {
    const MESSAGES: u64 = 100;
    let scene = Scene::set(kind, &[]);
    let engine = Engine::new().expect("descriptors are free");
    let listener = Sub::with(patient(&engine)).expect("options within bounds");
    let backend = scene.device.endpoint("backend");
    listener.connect_to(backend).expect("an endpoint");
    listener.subscribe("").expect("it is open");
    let before = scene.until("both have subscribed", ms(2000), |statistics| {
        count(statistics, "from_backend.messages") == 2
    });
    let before = count(&before, "from_backend.messages");
    // Under the good client's topic, and so that it looks like a subscription but for one thing.
    for socket_type in ["SUB", "XSUB"] {
        let mut peer = Raw::of(socket_type, &scene.address(&kind.back), b"");
        for _ in 0..MESSAGES / 2 {
            peer.send(&[frame(MORE, b"good"), frame(0, b"forged")].concat());
            peer.send(&[frame(MORE, b"\x01"), frame(0, b"forged")].concat());
            peer.send(&frame(0, b""));
            peer.send(&frame(0, b"\x02forged"));
        }
        peer.finish();
        peer.until_closed(ms(1000));
    }
    // They go up, where a PUB is not sent them.
    scene.until("they are counted", ms(2000), |statistics| {
        count(statistics, "from_backend.messages") == before + 4 * MESSAGES
    });
    scene.good.until_rounds(5);
    let mut heard = 0;
    while let Ok(message) = listener.try_recv() {
        assert!(
            message[0] == "good" && message[1].len() == 64,
            "{message:?}"
        );
        heard += 1;
    }
    assert!(heard >= 5, "it has heard {heard} of the good client's");
    scene.end();
}

pub(super) fn what_a_worker_sends_closes_it(kind: &Kind) {
    let scene = Scene::set_with_workers(kind, &[]);
    let address = scene.address(&kind.back);
    let many = frame(0, b"x").repeat(1000);
    let large = frame(0, &vec![b'x'; 1 << 20]);
    let mut expected = BTreeMap::<&str, u64>::new();
    for (message, name) in [
        (frame(0, b""), "unexpected-message"),
        (
            [frame(MORE, b"a"), frame(0, b"b")].concat(),
            "unexpected-message",
        ),
        (frame(0, b"\x01topic"), "unexpected-message"),
        (many, "unexpected-message"),
        (large, "frame-too-large"),
    ] {
        let mut peer = Raw::of("PULL", &address, b"");
        peer.send(&message);
        peer.until_closed(ms(500));
        *expected.entry(name).or_default() += 1;
        let statistics = scene.until_closed(&kind.back, &expected);
        let dropped = count(&statistics, "backend.dropped.unexpected");
        assert!(dropped >= expected["unexpected-message"], "{statistics}");
    }
    scene.end();
}
