//! Peers that stop reading.

use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::suite::support::kinds::{Kind, Side};
use crate::suite::support::raw::{MORE, Raw, frame, ping};
use crate::suite::support::scene::{Scene, count};
use crate::suite::support::{ms, pass};

const BODY: usize = 16 * 1024;
/// Messages of [`BODY`] that are sent: half of them are more than the system keeps for one that
/// does not read.
const MESSAGES: usize = 800;
/// Of the peers in a test there are at most four queues of 16 such messages each, and one that is
/// being assembled; as much again is what the allocator may keep, in KiB.
const QUEUES_KIB: u64 = 2 * 4 * 17 * (BODY as u64 / 1024);
const QUEUE: [&str; 2] = ["--queue-messages", "16"];
const TOPIC: &[u8] = b"flood";

/// One that is in, and will not read, so that the system soon takes no more for it.
fn deaf(scene: &Scene, side: &Side) -> Raw {
    let mut peer = Raw::of(side.peers.kind, &scene.address(side), b"deaf");
    set_socket_recv_buffer_size(peer.stream(), BODY).expect("an option of every stream");
    if side.peers.subscribe {
        peer.send(&frame(0, &[b"\x01", TOPIC].concat()));
    }
    peer
}

/// Sends more than the deaf take, but no faster than the good client can do its share of it: an
/// envelope for who answers, or a topic.
fn flood(peer: &mut Raw, first: &[u8]) {
    let message = [frame(MORE, first), frame(0, &vec![b'x'; BODY])].concat();
    for number in 0..MESSAGES {
        peer.send(&message);
        if number % 4 == 3 {
            pass(ms(6));
        }
    }
}

pub(super) fn a_peer_that_stops_reading_is_the_only_one_that_misses_anything(kind: &Kind) {
    let scene = Scene::set_with_workers(kind, &QUEUE);
    let before = scene.memory();
    let _worker = deaf(&scene, &kind.back);
    // It does not read the answers, if there are any.
    let mut sender = deaf(&scene, &kind.front);
    let first = if kind.program == "bl-queue" {
        b""
    } else {
        TOPIC
    };
    flood(&mut sender, first);
    // What the deaf one has not got waits within the limits, or is counted.
    let waits_or_has_gone = |statistics: &serde_json::Value, side: &str| {
        count(statistics, &format!("{side}.send_queue_messages"))
            + count(statistics, &format!("{side}.dropped.peer-gone"))
            > 0
    };
    scene.until(
        "somebody does not read",
        ms(2000),
        |statistics| match kind.program {
            "bl-queue" => {
                waits_or_has_gone(statistics, "backend")
                    && count(statistics, "from_backend.dropped.slow-client") > 0
            }
            "bl-forwarder" => count(statistics, "backend.dropped.slow-subscriber") > 0,
            _ => waits_or_has_gone(statistics, "backend"),
        },
    );
    scene.assert_grown(before, QUEUES_KIB);
    scene.end();
}

pub(super) fn a_subscriber_that_stops_reading_is_disconnected_where_that_is_wanted(kind: &Kind) {
    let flags = [&QUEUE[..], &["--slow-subscriber", "disconnect"]].concat();
    let scene = Scene::set(kind, &flags);
    let before = scene.memory();
    let subscriber = deaf(&scene, &kind.back);
    let mut publisher = Raw::of("PUB", &scene.address(&kind.front), b"");
    flood(&mut publisher, TOPIC);
    let statistics = scene.until("it is disconnected", ms(2000), |statistics| {
        count(statistics, "backend.closes.slow-subscriber") == 1
    });
    assert_eq!(statistics["backend"]["peers"], 1, "the good one is there");
    scene.assert_grown(before, QUEUES_KIB);
    drop(subscriber);
    scene.end();
}

pub(super) fn a_publisher_that_does_not_read_subscriptions_is_parted_from(kind: &Kind) {
    const TOPICS: usize = 900;
    const TOPIC_BYTES: usize = 1000;
    // The topics, three times over, what is queued for it, and what the allocator keeps.
    const BOOKS_KIB: u64 = 16 * 1024;
    let scene = Scene::set(kind, &["--queue-bytes", "256KiB"]);
    let before = scene.memory();
    let publisher = deaf(&scene, &kind.front);
    let mut subscriber = Raw::of("SUB", &scene.address(&kind.back), b"");
    let mut told = count(&scene.statistics(), "from_backend.messages");
    for round in 0..40 {
        let first = 1 - (round % 2) as u8;
        let topics = (0..TOPICS).flat_map(|number| {
            let mut body = format!("-{number:0TOPIC_BYTES$}").into_bytes();
            body[0] = first;
            frame(0, &body)
        });
        subscriber.send(&topics.collect::<Vec<u8>>());
        told += TOPICS as u64;
        let statistics = scene.until("publishers are told", ms(2000), |statistics| {
            // However long it takes, it is there: it does not read.
            publisher.clone().send(&ping(0, b""));
            count(statistics, "from_backend.messages") >= told
        });
        if count(&statistics, "frontend.closes.subscriptions-unread") > 0 {
            break;
        }
        // The good one has the time to read them.
        scene.good.until_rounds(10);
    }
    let statistics = scene.statistics();
    let parted = count(&statistics, "frontend.closes.subscriptions-unread");
    assert_eq!(parted, 1, "{statistics}");
    assert_eq!(statistics["frontend"]["peers"], 1, "the good one is there");
    scene.assert_grown(before, BOOKS_KIB);
    drop(publisher);
    scene.end();
}
