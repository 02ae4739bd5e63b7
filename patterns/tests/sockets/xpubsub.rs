//! XPUB and XSUB: subscriptions that a program sees, and what new subscribers are sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brokerless_patterns::{
    Frame, Message, Options, Pub, RecvError, Sub, Verbose, XPub, XSub, wait_any, wait_any_timeout,
};

use crate::pubsub::balanced;
use crate::raw::{Raw, patient};
use crate::support::{LIMIT, Stopping, transports, until};

fn bound(options: Options, endpoint: &str) -> (XPub, String) {
    let publisher = XPub::with(options).unwrap();
    let endpoint = publisher.bind_to(endpoint).unwrap().to_string();
    (publisher, endpoint)
}

fn subscriber(endpoint: &str, topic: &str) -> Sub {
    let sub = Sub::with(patient()).unwrap();
    sub.connect_to(endpoint).unwrap();
    sub.subscribe(topic).unwrap();
    sub
}

fn told(publisher: &XPub) -> Frame {
    let message = publisher.recv_timeout(LIMIT).expect("a subscription");
    assert_eq!(message.len(), 1);
    message[0].clone()
}

#[test]
fn an_xpub_shows_the_first_subscription_to_a_topic_and_the_end_of_the_last() {
    for endpoint in transports() {
        let (publisher, endpoint) = bound(Options::new(), &endpoint);
        let first = subscriber(&endpoint, "a");
        assert_eq!(told(&publisher), b"\x01a");
        let second = subscriber(&endpoint, "a");
        second.subscribe("b").unwrap();
        assert_eq!(told(&publisher), b"\x01b", "and not a again");
        first.unsubscribe("a").unwrap();
        first.subscribe("c").unwrap();
        assert_eq!(told(&publisher), b"\x01c");
        drop(second);
        let mut ends = [told(&publisher), told(&publisher)];
        ends.sort();
        assert_eq!(ends, [b"\x00a", b"\x00b"], "{endpoint}");
        assert_eq!(publisher.subscriptions(), [("c".into(), 1)]);
        assert_eq!(publisher.try_recv(), Err(RecvError::Timeout));
        balanced(&publisher.stats());
    }
}

#[test]
fn topics_that_come_and_go_unseen_leave_nothing_to_tell() {
    for endpoint in transports() {
        let (publisher, endpoint) = bound(Options::new(), &endpoint);
        let sub = subscriber(&endpoint, "seen");
        assert_eq!(told(&publisher), b"\x01seen");
        for n in 0..1000 {
            sub.subscribe(n.to_string()).unwrap();
            sub.unsubscribe(n.to_string()).unwrap();
        }
        sub.unsubscribe("seen").unwrap();
        sub.subscribe("seen").unwrap();
        sub.subscribe("mark").unwrap();
        until("all of them", || {
            publisher.subscriptions() == [("mark".into(), 1), ("seen".into(), 1)]
        });
        assert_eq!(told(&publisher), b"\x01mark", "{endpoint}");
        assert!(publisher.try_recv().is_err());
    }
}

#[test]
fn a_verbose_xpub_shows_every_subscription_and_counts_what_it_had_no_room_for() {
    for (verbose, ends) in [(Verbose::Subscriptions, 1), (Verbose::All, 3)] {
        let options = patient().verbose(verbose).verbose_waiting_max(5);
        let (publisher, endpoint) = bound(options, "tcp://127.0.0.1:*");
        let mut raws = [(); 3].map(|()| Raw::connect(&endpoint, "SUB", 1));
        for raw in &mut raws {
            raw.subscribe(b"t");
        }
        for _ in 0..3 {
            assert_eq!(told(&publisher), b"\x01t");
        }
        drop(raws);
        for _ in 0..ends {
            assert_eq!(told(&publisher), b"\x00t");
        }
        assert!(publisher.try_recv().is_err());
        let mut flood = Raw::connect(&endpoint, "SUB", 1);
        for _ in 0..100 {
            flood.subscribe(b"x");
        }
        until("the count", || publisher.stats().subscriptions_untold == 95);
    }
}

#[test]
fn wait_any_sees_a_subscription() {
    let (publisher, endpoint) = bound(Options::new(), "tcp://127.0.0.1:*");
    let (other, _) = bound(Options::new(), "tcp://127.0.0.1:*");
    assert_eq!(
        wait_any_timeout(&[&other, &publisher], Duration::from_millis(10)),
        None
    );
    let _sub = subscriber(&endpoint, "a");
    assert_eq!(wait_any(&[&other, &publisher]), 1);
    assert_eq!(publisher.try_recv().unwrap()[0], b"\x01a");
}

/// Passes on what comes until it is told to stop.
fn forward(front: &XSub, back: &XPub, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        wait_any_timeout(&[front, back], Duration::from_millis(10));
        while let Ok(message) = back.try_recv() {
            front.send(message).unwrap();
        }
        while let Ok(message) = front.try_recv() {
            back.send(message).unwrap();
        }
    }
}

#[test]
fn a_chain_of_forwarders_carries_subscriptions_up_and_messages_down() {
    for (publishing, between) in [
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
        ("inproc://chain-top", "inproc://chain-middle"),
        ("tcp://127.0.0.1:*", "inproc://chain-mixed"),
    ] {
        let publisher = Pub::with(Options::new()).unwrap();
        let top = publisher.bind_to(publishing).unwrap().to_string();
        let (upper_front, (upper_back, middle)) =
            (XSub::connect(&top).unwrap(), bound(Options::new(), between));
        let (lower_front, (lower_back, bottom)) = (
            XSub::connect(&middle).unwrap(),
            bound(Options::new(), "tcp://127.0.0.1:*"),
        );
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stopping = Stopping(&stop);
            scope.spawn(|| forward(&upper_front, &upper_back, &stop));
            scope.spawn(|| forward(&lower_front, &lower_back, &stop));
            let [one, two] = ["a", "b"].map(|topic| subscriber(&bottom, topic));
            two.subscribe("a").unwrap();
            until("both topics at the top", || {
                publisher.subscriptions() == [("a".into(), 1), ("b".into(), 1)]
            });
            for n in 0..100 {
                publisher.send(["a", &n.to_string()]).unwrap();
            }
            for sub in [&one, &two] {
                for n in 0..100 {
                    let message = sub.recv_timeout(LIMIT).unwrap();
                    assert_eq!(message[1], n.to_string().as_str());
                }
            }
            drop(one);
            drop(two);
            until("no topic", || publisher.subscriptions().is_empty());
        });
    }
}

#[test]
fn what_an_xsub_sends_beside_subscriptions_reaches_xpubs_and_troubles_no_pub() {
    for endpoint in transports() {
        let (above, endpoint) = bound(Options::new(), &endpoint);
        let plain = Pub::with(Options::new()).unwrap();
        let other = plain.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
        let sub = XSub::connect(&endpoint).unwrap();
        sub.connect_to(&other).unwrap();
        sub.send([1, b'a'].as_slice()).unwrap();
        assert_eq!(told(&above), b"\x01a");
        until("the other publisher", || !plain.subscriptions().is_empty());
        for message in [
            Message::from("upwards"),
            Message::from([&b"\x01a"[..], b"is no subscription"]),
            Message::from(Frame::new()),
        ] {
            sub.send(message.clone()).unwrap();
            assert_eq!(above.recv_timeout(LIMIT).unwrap(), message, "{endpoint}");
        }
        plain.send("a still here").unwrap();
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "a still here");
        assert!(plain.stats().closes.is_empty());
        assert_eq!(sub.stats().sent_messages, 3);
        balanced(&above.stats());
    }
}

#[test]
fn an_xsub_receives_what_it_is_sent_and_counts_its_subscriptions() {
    let (publisher, endpoint) = bound(Options::new(), "tcp://127.0.0.1:*");
    let sub = XSub::connect(&endpoint).unwrap();
    for message in [b"\x01a", b"\x01a", b"\x00b", b"\x00a"] {
        sub.send(message.as_slice()).unwrap();
    }
    sub.subscribe("mark").unwrap();
    assert_eq!(told(&publisher), b"\x01a");
    assert_eq!(told(&publisher), b"\x01mark", "the second a is still there");
    assert_eq!(sub.topics(), [("a".into(), 1), ("mark".into(), 1)]);
    sub.send(b"\x00a".as_slice()).unwrap();
    assert_eq!(told(&publisher), b"\x00a");
}

#[test]
fn a_peer_is_welcomed_once_with_its_first_subscription_that_fits() {
    for endpoint in transports() {
        let options = Options::new().welcome(["hello", "from the publisher"]);
        let (publisher, endpoint) = bound(options, &endpoint);
        for _ in 0..2 {
            let sub = subscriber(&endpoint, "else");
            sub.subscribe("he").unwrap();
            sub.subscribe("hello").unwrap();
            let message = sub.recv_timeout(LIMIT).unwrap();
            assert_eq!(message[1], "from the publisher", "{endpoint}");
            until("its topics", || publisher.subscriptions().len() == 3);
            publisher.send("hello, all").unwrap();
            assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "hello, all");
            assert!(sub.try_recv().is_err(), "once");
            drop(sub);
            until("its end", || publisher.subscriptions().is_empty());
        }
    }
}

#[test]
fn a_new_subscriber_is_sent_the_last_message_of_each_topic() {
    for endpoint in transports() {
        let options = Options::new().last_values(3).welcome("a welcome");
        let (publisher, endpoint) = bound(options, &endpoint);
        for (topic, value) in [
            ("a.1", "old"),
            ("evicted", "x"),
            ("a.2", "two"),
            ("a.1", "one"),
            ("b", "three"),
        ] {
            publisher.send([topic, value]).unwrap();
        }
        let stats = publisher.stats();
        assert_eq!((stats.last_values, stats.last_values_evicted), (3, 1));
        let sub = subscriber(&endpoint, "a.2");
        let next = || sub.recv_timeout(LIMIT).unwrap().into_frames();
        assert_eq!(next(), ["a.2", "two"]);
        sub.subscribe("a").unwrap();
        assert_eq!(next(), ["a welcome"]);
        assert_eq!(next(), ["a.1", "one"], "a.2 it has had");
        sub.subscribe("a.1").unwrap();
        sub.subscribe("").unwrap();
        assert_eq!(next(), ["b", "three"], "{endpoint}");
        publisher.send(["c", "four"]).unwrap();
        assert_eq!(next(), ["c", "four"]);
        assert!(sub.try_recv().is_err());
        assert_eq!(publisher.stats().last_values_evicted, 2);
        balanced(&publisher.stats());
    }
}

#[test]
fn all_last_values_are_sent_however_short_the_queue() {
    for endpoint in transports() {
        let options = Options::new().last_values(5000).send_messages_max(10);
        let (publisher, endpoint) = bound(options, &endpoint);
        for n in 0..5000 {
            publisher
                .send([format!("{n:04}"), "x".repeat(500)])
                .unwrap();
        }
        let sub = subscriber(&endpoint, "");
        for n in 0..5000 {
            let message = sub.recv_timeout(LIMIT).expect("each of them");
            assert_eq!(message[0], format!("{n:04}").as_str(), "{endpoint}");
        }
        assert!(publisher.stats().dropped.is_empty());
    }
}

#[test]
fn last_values_and_what_is_published_meanwhile_come_in_order_without_a_gap() {
    for endpoint in transports() {
        // Room enough that nobody is passed over, and time enough that nobody is given up.
        let options = patient()
            .last_values(10)
            .send_messages_max(1_000_000)
            .recv_messages_max(1_000_000);
        let (publisher, endpoint) = bound(options, &endpoint);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stopping = Stopping(&stop);
            scope.spawn(|| {
                for n in 0u64.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    publisher.send([&b"counter"[..], &n.to_be_bytes()]).unwrap();
                    // Whoever takes it may have to share a core with this.
                    std::thread::yield_now();
                }
            });
            for _ in 0..200 {
                let sub = subscriber(&endpoint, "count");
                let mut last = None;
                for _ in 0..20 {
                    let message = sub.recv_timeout(LIMIT).unwrap();
                    let n = u64::from_be_bytes(message[1][..].try_into().unwrap());
                    assert!(last.is_none_or(|last| n == last + 1), "{last:?}, then {n}");
                    last = Some(n);
                }
            }
        });
    }
}

#[test]
fn a_subscriber_over_its_limits_is_closed_and_counted() {
    for (topics, reason) in [
        (vec![vec![1; 11]], "topic-too-long"),
        (vec![vec![1; 10], vec![2; 10]], "topics-too-large"),
        (
            vec![vec![1], vec![2], vec![3], vec![4]],
            "too-many-subscriptions",
        ),
    ] {
        let options = Options::new()
            .topic_bytes_max(10)
            .topics_bytes_max(15)
            .subscriptions_max(3);
        for endpoint in transports() {
            let (publisher, endpoint) = bound(options.clone(), &endpoint);
            let good = subscriber(&endpoint, "fine");
            let greedy = Sub::connect(&endpoint).unwrap();
            for topic in &topics {
                greedy.subscribe(topic).unwrap();
            }
            until("the close", || {
                publisher.stats().closes.contains_key(reason)
            });
            until("only the good one", || {
                let _ = greedy.close();
                publisher.subscriptions() == [("fine".into(), 1)]
            });
            publisher.send("fine").unwrap();
            assert_eq!(good.recv_timeout(LIMIT).unwrap()[0], "fine", "{endpoint}");
        }
    }
}

#[test]
fn a_topic_too_long_for_any_pub_is_refused_from_its_length() {
    let publisher = Pub::with(patient()).unwrap();
    let endpoint = publisher.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let mut raw = Raw::connect(&endpoint, "SUB", 0);
    raw.write(&[2, 0, 0, 0, 0, 4, 0, 0, 0]);
    assert!(raw.is_closed());
    let mut raw = Raw::connect(&endpoint, "SUB", 1);
    raw.write(&[6, 0, 0, 0, 0, 4, 0, 0, 0]);
    assert!(raw.is_closed());
    until("both counts", || {
        let closes = publisher.stats().closes;
        closes.contains_key("frame-too-large") && closes.contains_key("command-too-large")
    });
}
