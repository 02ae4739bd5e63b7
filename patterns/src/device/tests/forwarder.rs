//! What a forwarder does with publications and subscriptions.

use super::{LIMIT, Running, name, until};
use crate::device::{Builder, Device, Side};
use crate::{Frame, Message, Options, Pub, SlowSubscriber, Sub, XPub, XSub};

fn tcp() -> Builder {
    Device::forwarder()
        .frontend("tcp://127.0.0.1:*")
        .backend("tcp://127.0.0.1:*")
}

/// The topics that a publisher is asked for, once they are these.
fn asked(publisher: &XPub, topics: &[&str]) {
    let wanted: Vec<Frame> = topics.iter().map(|topic| Frame::from(*topic)).collect();
    until(&format!("{topics:?}"), || {
        let now = publisher.subscriptions();
        now.iter().map(|(topic, _)| topic).eq(&wanted)
    });
}

fn subscriber(device: &Running, topics: &[&str]) -> Sub {
    let subscriber = Sub::connect(&device.endpoint(Side::Backend)).unwrap();
    for topic in topics {
        subscriber.subscribe(topic).unwrap();
    }
    subscriber
}

#[test]
fn publications_reach_those_who_want_them() {
    for (front, back) in [
        (name("front"), name("back")),
        ("tcp://127.0.0.1:*".into(), "tcp://127.0.0.1:*".into()),
    ] {
        let device = Running::new(Device::forwarder().frontend(&front).backend(&back));
        let publishers = [(); 2].map(|()| XPub::connect(&device.endpoint(Side::Frontend)).unwrap());
        let (one, two) = (
            subscriber(&device, &["a"]),
            subscriber(&device, &["a", "b"]),
        );
        publishers
            .iter()
            .for_each(|publisher| asked(publisher, &["a", "b"]));
        until("three subscriptions", || {
            let peers = device.handle.statistics().backend.socket.peers;
            peers.iter().map(|peer| peer.subscriptions).sum::<usize>() == 3
        });
        for (n, publisher) in publishers.iter().enumerate() {
            let body = Frame::from(vec![n as u8; 100_000]);
            for topic in ["a", "b", "c"] {
                let message = [topic.into(), body.clone(), Frame::new()];
                publisher.send(message).unwrap();
            }
        }
        for (subscriber, count) in [(&one, 2), (&two, 4)] {
            for _ in 0..count {
                let message = subscriber.recv_timeout(LIMIT).unwrap();
                assert_eq!((message.len(), message[1].len()), (3, 100_000));
            }
            assert!(subscriber.try_recv().is_err());
        }
        let statistics = device.end().statistics;
        assert_eq!(
            statistics.from_frontend.messages, 4,
            "nobody wanted the others"
        );
        assert_eq!(statistics.backend.socket.sent_messages, 6);
        assert!(statistics.dropped().is_empty(), "{statistics:?}");
    }
}

#[test]
fn subscriptions_go_up_once_and_are_taken_back() {
    let device = Running::new(tcp());
    let publisher = XPub::connect(&device.endpoint(Side::Frontend)).unwrap();
    let one = subscriber(&device, &["x", ""]);
    asked(&publisher, &["", "x"]);
    let two = subscriber(&device, &["x", "y"]);
    asked(&publisher, &["", "x", "y"]);
    one.unsubscribe("").unwrap();
    asked(&publisher, &["x", "y"]);
    drop(two);
    asked(&publisher, &["x"]);
    // One that comes later hears of what is wanted now.
    let late = XPub::connect(&device.endpoint(Side::Frontend)).unwrap();
    asked(&late, &["x"]);
    drop(one);
    asked(&late, &[]);
    asked(&publisher, &[]);
    let statistics = device.end().statistics;
    assert_eq!(statistics.from_backend.messages, 6);
}

#[test]
fn topics_over_the_limit_are_asked_for_as_everything() {
    // A publisher takes four topics from one peer, and its forwarder knows.
    let limits = Options::new().subscriptions_max(4);
    let device = Running::new(tcp().options(limits.clone()));
    let publisher = XPub::with(limits).unwrap();
    publisher
        .connect_to(&device.endpoint(Side::Frontend))
        .unwrap();
    let modest = subscriber(&device, &["a"]);
    asked(&publisher, &["a"]);
    let many = [
        subscriber(&device, &["b", "c", "d"]),
        subscriber(&device, &["e"]),
    ];
    until("everything", || {
        let topics = publisher.subscriptions();
        topics.len() == 4 && topics[0].0.is_empty()
    });
    until("all", || {
        device.handle.statistics().from_backend.messages == 5
    });
    for topic in ["a", "b", "c", "d", "e", "f"] {
        publisher.send(topic).unwrap();
    }
    for (subscriber, topics) in [
        (&many[0], &["b", "c", "d"][..]),
        (&many[1], &["e"]),
        (&modest, &["a"]),
    ] {
        for topic in topics {
            assert_eq!(subscriber.recv_timeout(LIMIT).unwrap()[0], **topic);
        }
        assert!(subscriber.try_recv().is_err());
    }
    drop(many);
    asked(&publisher, &["a"]);
    assert!(
        publisher.stats().closes.is_empty(),
        "{:?}",
        publisher.stats()
    );
}

#[test]
fn a_subscriber_that_does_not_read_is_dropped_for_alone() {
    for policy in [SlowSubscriber::Drop, SlowSubscriber::Disconnect] {
        let options = Options::new().send_messages_max(10).slow_subscriber(policy);
        let device = Running::new(tcp().options(options));
        let publisher = XPub::connect(&device.endpoint(Side::Frontend)).unwrap();
        let reads = subscriber(&device, &["flood"]);
        let deaf = Sub::with(Options::new().recv_messages_max(1)).unwrap();
        deaf.connect_to(&device.endpoint(Side::Backend)).unwrap();
        deaf.subscribe("flood").unwrap();
        asked(&publisher, &["flood"]);
        until("both", || {
            let peers = device.handle.statistics().backend.socket.peers;
            peers.iter().filter(|peer| peer.subscriptions == 1).count() == 2
        });
        let body = Frame::from(vec![0u8; 1 << 20]);
        let slow = || {
            let socket = device.handle.statistics().backend.socket;
            match policy {
                SlowSubscriber::Drop => socket.dropped.get("slow-subscriber").copied(),
                _ => socket.closes.get("slow-subscriber").copied(),
            }
        };
        let mut sent = 0;
        while slow().unwrap_or(0) == 0 {
            publisher.send(["flood".into(), body.clone()]).unwrap();
            sent += 1;
            assert_eq!(reads.recv_timeout(LIMIT).unwrap()[1].len(), 1 << 20);
            assert!(sent < 1000, "memory without bound");
        }
        until("the last count", || {
            device.handle.statistics().from_frontend.messages == sent
        });
    }
}

#[test]
fn new_subscribers_are_sent_the_last_values() {
    let device = Running::new(tcp().options(Options::new().last_values(100)));
    let publisher = XPub::connect(&device.endpoint(Side::Frontend)).unwrap();
    // Before anybody has subscribed.
    asked(&publisher, &[""]);
    for n in 0..10 {
        publisher
            .send([format!("key {}", n % 2), n.to_string()])
            .unwrap();
    }
    until("all", || {
        device.handle.statistics().from_frontend.messages == 10
    });
    let late = subscriber(&device, &["key"]);
    let mut last = [
        late.recv_timeout(LIMIT).unwrap(),
        late.recv_timeout(LIMIT).unwrap(),
    ];
    last.sort_by_key(|message| message[0].clone());
    assert_eq!(
        last,
        [Message::from(["key 0", "8"]), Message::from(["key 1", "9"])]
    );
    assert!(late.try_recv().is_err());
    publisher.send(["key 0", "next"]).unwrap();
    assert_eq!(late.recv_timeout(LIMIT).unwrap()[1], "next");
}

#[test]
fn what_subscribers_send_beside_subscriptions_goes_up() {
    let device = Running::new(tcp());
    let publisher = XPub::connect(&device.endpoint(Side::Frontend)).unwrap();
    let subscriber = XSub::connect(&device.endpoint(Side::Backend)).unwrap();
    subscriber.subscribe("x").unwrap();
    assert_eq!(publisher.recv_timeout(LIMIT).unwrap()[0], b"\x01x"[..]);
    subscriber.send(["user", "message"]).unwrap();
    assert_eq!(
        publisher.recv_timeout(LIMIT).unwrap(),
        Message::from(["user", "message"])
    );
}

#[test]
fn forwarders_in_a_row_pass_subscriptions_and_publications() {
    let (front, middle, back) = (name("front"), name("middle"), name("back"));
    let _first = Running::new(Device::forwarder().frontend(&front).backend(&middle));
    let second = format!(">{middle}");
    let _second = Running::new(Device::forwarder().frontend(&second).backend(&back));
    let publisher = XPub::connect(&front).unwrap();
    let subscriber = Sub::connect(&back).unwrap();
    subscriber.subscribe("far").unwrap();
    asked(&publisher, &["far"]);
    publisher.send("far away").unwrap();
    assert_eq!(subscriber.recv_timeout(LIMIT).unwrap()[0], "far away");
}

#[test]
fn publishers_and_subscribers_come_and_go() {
    let device = Running::new(tcp());
    let lasting = subscriber(&device, &["t"]);
    until("it", || {
        device.handle.statistics().from_backend.messages == 1
    });
    for n in 0..20 {
        let publisher = Pub::connect(&device.endpoint(Side::Frontend)).unwrap();
        let passing = subscriber(&device, &["t", "other"]);
        until("the subscription", || !publisher.subscriptions().is_empty());
        publisher.send(["t".to_owned(), n.to_string()]).unwrap();
        drop(passing);
        drop(publisher);
        assert_eq!(
            lasting.recv_timeout(LIMIT).unwrap()[1],
            n.to_string().as_bytes()
        );
    }
}
