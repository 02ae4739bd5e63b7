//! Peers that do not read: what they miss is theirs alone, and counted. And sockets that want the
//! last message only.

use std::collections::BTreeMap;
use std::time::Duration;

use brokerless_patterns::{
    Dealer, Engine, Error, Frame, Message, Options, Pub, Pull, Push, Router, SlowSubscriber, Sub,
    XPub,
};

use crate::pubsub::balanced;
use crate::raw::{Raw, patient};
use crate::support::{LIMIT, descriptors, own_tcp, transports, until};

fn subscribed(publisher: &Pub, count: usize) {
    until("the subscribers", || {
        publisher.subscriptions() == [(Frame::new(), count)]
    });
}

fn published(options: Options) -> (Pub, String) {
    let publisher = Pub::with(options).unwrap();
    let endpoint = publisher.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    (publisher, endpoint)
}

#[test]
fn what_a_subscriber_that_does_not_read_misses_is_counted_to_the_message() {
    const COUNT: u32 = 5_000;
    let (publisher, endpoint) = published(patient().send_messages_max(50));
    let mut deaf = Raw::connect(&endpoint, "SUB", 1);
    deaf.subscribe(b"");
    // Whose connection ends for a moment misses what is published meanwhile.
    let good = Sub::with(patient()).unwrap();
    good.connect_to(&endpoint).unwrap();
    good.subscribe("").unwrap();
    subscribed(&publisher, 2);
    let mut missed = 0;
    for n in 0..COUNT {
        let message = Message::from([Frame::from(&n.to_be_bytes()), vec![0; 2000].into()]);
        publisher.send(message).unwrap();
        let message = good
            .recv_timeout(LIMIT)
            .expect("every message, for the good one");
        assert_eq!(message[0], &n.to_be_bytes());
    }
    let stats = publisher.stats();
    balanced(&stats);
    assert_eq!(stats.sent_messages, 2 * u64::from(COUNT));
    for peer in &stats.peers {
        assert_eq!(peer.sent_messages, u64::from(COUNT));
        assert!(peer.send_queue_messages <= 50 + 1);
        missed += peer.passed_over_messages;
    }
    assert!(missed > 0);
    assert_eq!(stats.dropped, BTreeMap::from([("slow-subscriber", missed)]));
    // What it was sent is what is left: it reads all of it, in order.
    let taken = u64::from(COUNT) - missed;
    let mut last = None;
    for _ in 0..taken {
        let n = u32::from_be_bytes(deaf.frame().unwrap().body.try_into().unwrap());
        assert!(last < Some(n));
        last = Some(n);
        assert_eq!(deaf.frame().unwrap().body.len(), 2000);
    }
    assert!(deaf.is_silent_for(Duration::from_millis(20)));
    publisher.send("hear again").unwrap();
    assert_eq!(deaf.message(), b"hear again");
}

#[test]
fn a_subscriber_that_does_not_read_is_disconnected_where_that_is_asked_for() {
    let options = patient()
        .send_messages_max(50)
        .slow_subscriber(SlowSubscriber::Disconnect);
    let (publisher, endpoint) = published(options);
    let mut deaf = Raw::connect(&endpoint, "SUB", 1);
    deaf.subscribe(b"");
    // Whose connection ends for a moment misses what is published meanwhile.
    let good = Sub::with(patient()).unwrap();
    good.connect_to(&endpoint).unwrap();
    good.subscribe("").unwrap();
    subscribed(&publisher, 2);
    let mut count = 0;
    while publisher.subscriptions()[0].1 == 2 {
        publisher.send(vec![0; 10_000]).unwrap();
        assert_eq!(good.recv_timeout(LIMIT).unwrap().bytes(), 10_000);
        count += 1;
        assert!(count < 100_000, "no end");
    }
    let stats = publisher.stats();
    assert_eq!(stats.closes, BTreeMap::from([("slow-subscriber", 1)]));
    assert_eq!(stats.dropped["slow-subscriber"], 1, "the one too many");
    balanced(&stats);
    publisher.send("on").unwrap();
    assert_eq!(good.recv_timeout(LIMIT).unwrap()[0], "on");
}

#[test]
fn a_slow_subscriber_within_the_process_is_treated_alike() {
    for policy in [SlowSubscriber::Drop, SlowSubscriber::Disconnect] {
        let options = Options::new().send_messages_max(5).slow_subscriber(policy);
        let publisher = XPub::with(options).unwrap();
        let name = format!("inproc://slow-{policy:?}");
        publisher.bind_to(&name).unwrap();
        let sub = Sub::with(Options::new().recv_messages_max(5)).unwrap();
        sub.connect_to(&name).unwrap();
        sub.subscribe("").unwrap();
        for n in 0..100 {
            publisher.send(n.to_string()).unwrap();
        }
        let stats = publisher.stats();
        balanced(&stats);
        if policy == SlowSubscriber::Drop {
            assert_eq!(
                (stats.sent_messages, stats.dropped["slow-subscriber"]),
                (100, 90)
            );
            assert_eq!(publisher.subscriptions().len(), 1);
        } else {
            assert_eq!(
                (stats.sent_messages, stats.dropped["slow-subscriber"]),
                (11, 1)
            );
            assert_eq!(stats.closes["slow-subscriber"], 1);
            assert!(publisher.subscriptions().is_empty() && stats.peers.is_empty());
        }
        for n in 0..10 {
            assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], n.to_string().as_str());
        }
        assert!(sub.try_recv().is_err());
    }
}

#[test]
fn a_thousand_subscribers_of_whom_a_tenth_stops_reading_get_everything_but_those() {
    const GOOD: usize = 900;
    const SLOW: usize = 100;
    const COUNT: usize = 100;
    const QUEUE_BYTES: usize = 64 * 1024;
    descriptors(2 * (GOOD + SLOW) as u64 + 1000);
    // With engines of their own: a leader that has a thousand connections would keep other tests.
    let engine = || Engine::new().unwrap();
    let options = patient()
        .engine(&engine())
        .send_messages_max(COUNT / 4)
        .send_bytes_max(QUEUE_BYTES)
        .send_buffer_bytes(Some(16 * 1024));
    let (publisher, endpoint) = published(options);
    let slow: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut raw = Raw::connect(&endpoint, "SUB", 1);
            raw.subscribe(b"");
            raw
        })
        .collect();
    // One socket with many connections: each is a subscriber of its own to the publisher.
    let good = Sub::with(patient().engine(&engine())).unwrap();
    good.subscribe("").unwrap();
    for _ in 0..GOOD {
        good.connect_to(&endpoint).unwrap();
    }
    subscribed(&publisher, GOOD + SLOW);
    let size = 16 * 1024;
    let body = Frame::from(vec![0; size]);
    let mut most = 0;
    for n in 0..COUNT {
        publisher
            .send([Frame::from(n.to_string()), body.clone()])
            .unwrap();
        for _ in 0..GOOD {
            let message = good.recv_timeout(LIMIT).expect("one for each connection");
            assert_eq!(message[0], n.to_string().as_str());
        }
        most = most.max(publisher.stats().send_queue_bytes);
    }
    let stats = publisher.stats();
    balanced(&stats);
    assert_eq!(stats.published_messages, COUNT as u64);
    assert_eq!(stats.sent_messages, (COUNT * (GOOD + SLOW)) as u64);
    let passed_over = |peer: &&brokerless_patterns::PeerStats| peer.passed_over_messages > 0;
    assert_eq!(stats.peers.iter().filter(passed_over).count(), SLOW);
    assert!(
        most <= SLOW * (QUEUE_BYTES + size),
        "{most} bytes queued: one message over the limit for each"
    );
    assert!(good.try_recv().is_err());
    drop(slow);
}

#[test]
fn a_conflating_receiver_gets_the_last_message_of_each_peer() {
    for endpoint in transports() {
        let pull = Pull::with(Options::new().conflate(true)).unwrap();
        let endpoint = pull.bind_to(&endpoint).unwrap().to_string();
        let pushes = [(); 2].map(|()| Push::connect(&endpoint).unwrap());
        for (n, push) in pushes.iter().enumerate() {
            for value in 0..=100 {
                push.send(format!("{n} {value}")).unwrap();
            }
        }
        until("all to arrive", || pull.stats().arrived_messages == 202);
        let mut last = [(); 2].map(|()| pull.recv_timeout(LIMIT).unwrap()[0].clone());
        last.sort();
        assert_eq!(last, ["0 100", "1 100"], "{endpoint}");
        assert!(pull.try_recv().is_err());
        let stats = pull.stats();
        assert_eq!(stats.dropped["conflated-unread"], 200);
        balanced(&stats);
    }
}

#[test]
fn a_conflating_subscriber_gets_the_last_message_it_wants() {
    for endpoint in transports() {
        let publisher = Pub::with(Options::new().send_messages_max(10_000)).unwrap();
        let endpoint = publisher.bind_to(&endpoint).unwrap().to_string();
        let sub = Sub::with(Options::new().conflate(true)).unwrap();
        sub.connect_to(&endpoint).unwrap();
        sub.subscribe("").unwrap();
        subscribed(&publisher, 1);
        for n in 0..5000 {
            publisher.send(["topic".to_owned(), n.to_string()]).unwrap();
        }
        until("all to arrive", || sub.stats().arrived_messages == 5000);
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[1], "4999", "{endpoint}");
        balanced(&sub.stats());
        assert!(publisher.stats().dropped.is_empty());
    }
}

#[test]
fn a_conflating_sender_keeps_the_last_message_and_never_waits() {
    for endpoint in ["inproc://conflate-late".into(), own_tcp()] {
        let probe = Router::with(Options::new()).unwrap();
        let endpoint = probe.bind_to(&endpoint).unwrap().to_string();
        let _ = probe.close();
        let dealer = Dealer::with(Options::new().conflate(true)).unwrap();
        dealer.connect_to(&endpoint).unwrap();
        for n in 0..5000 {
            dealer.try_send(n.to_string()).unwrap();
        }
        let router = Router::with(Options::new()).unwrap();
        until("the endpoint again", || router.bind_to(&endpoint).is_ok());
        assert_eq!(router.recv_timeout(LIMIT).unwrap().1[0], "4999");
        let stats = dealer.stats();
        assert_eq!(stats.dropped, BTreeMap::from([("conflated", 4999)]));
        balanced(&stats);
    }
}

#[test]
fn a_conflating_publisher_passes_nobody_over() {
    const COUNT: u32 = 5_000;
    let (publisher, endpoint) = published(patient().conflate(true));
    let mut deaf = Raw::connect(&endpoint, "SUB", 1);
    deaf.subscribe(b"");
    subscribed(&publisher, 1);
    for n in 0..COUNT {
        publisher
            .send([Frame::from(&n.to_be_bytes()), vec![0; 2000].into()])
            .unwrap();
    }
    let mut last = None;
    while last != Some(COUNT - 1) {
        let n = u32::from_be_bytes(deaf.frame().unwrap().body.try_into().unwrap());
        assert!(last < Some(n));
        last = Some(n);
        assert_eq!(deaf.frame().unwrap().body.len(), 2000);
    }
    until("the count", || publisher.stats().send_queue_messages == 0);
    let stats = publisher.stats();
    balanced(&stats);
    assert!(stats.dropped["conflated"] > 0 && stats.dropped.len() == 1);
}

#[test]
fn a_socket_that_cannot_conflate_says_so() {
    let error = XPub::with(Options::new().conflate(true)).unwrap_err();
    let Error::Option(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.option, "conflate");
}
