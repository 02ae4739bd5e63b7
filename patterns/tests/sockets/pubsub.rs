//! PUB and SUB: what is subscribed to arrives, once, and nothing else does.

use std::net::TcpListener;
use std::time::Duration;

use brokerless_patterns::zmtp::command;
use brokerless_patterns::{Message, Options, Pub, SocketStats, Sub};

use crate::raw::{Piece, Raw, patient};
use crate::support::{LIMIT, own_tcp, transports, until};

/// What a publisher sent is all accounted for.
#[track_caller]
pub(crate) fn balanced(stats: &SocketStats) {
    let dropped = |names: &[&str]| -> u64 {
        let counts = names.iter().filter_map(|name| stats.dropped.get(name));
        counts.sum()
    };
    assert_eq!(
        stats.sent_messages,
        stats.written_messages
            + stats.send_queue_messages as u64
            + dropped(&[
                "peer-gone",
                "slow-subscriber",
                "slow-publisher",
                "conflated"
            ]),
        "{stats:?}"
    );
    assert_eq!(
        stats.arrived_messages,
        stats.received_messages
            + stats.recv_queue_messages as u64
            + dropped(&[
                "closed",
                "misfit",
                "unexpected",
                "filtered",
                "conflated-unread"
            ]),
        "{stats:?}"
    );
}

fn subscribed(publisher: &Pub, topic: &str, count: usize) {
    until("the subscription", || {
        publisher
            .subscriptions()
            .iter()
            .any(|(other, peers)| *other == *topic && *peers == count)
    });
}

/// Publishes when it goes.
struct PublishesAtTheEnd(Pub);

impl Drop for PublishesAtTheEnd {
    fn drop(&mut self) {
        self.0.send("the end").unwrap();
    }
}

thread_local! {
    static KEPT: std::cell::RefCell<Option<PublishesAtTheEnd>> = const { std::cell::RefCell::new(None) };
}

#[test]
fn what_a_thread_drops_at_its_end_can_publish() {
    let publisher = Pub::bind("inproc://publishes-at-the-end").unwrap();
    let subscriber = Sub::connect("inproc://publishes-at-the-end").unwrap();
    subscriber.subscribe("").unwrap();
    let thread = std::thread::spawn(move || {
        KEPT.set(Some(PublishesAtTheEnd(publisher)));
        // Thread-locals go in the opposite order: those of this first.
        KEPT.with_borrow(|kept| kept.as_ref().map(|kept| kept.0.send("before").unwrap()));
    });
    assert_eq!(subscriber.recv_timeout(LIMIT).unwrap()[0], "before");
    assert_eq!(subscriber.recv_timeout(LIMIT).unwrap()[0], "the end");
    assert!(thread.join().is_ok());
}

#[test]
fn each_subscriber_gets_what_it_has_subscribed_to() {
    for endpoint in transports() {
        let publisher = Pub::with(Options::new()).unwrap();
        let endpoint = publisher.bind_to(&endpoint).unwrap().to_string();
        let [all, north, both] = [(); 3].map(|()| Sub::connect(&endpoint).unwrap());
        all.subscribe("").unwrap();
        north.subscribe("north").unwrap();
        both.subscribe("north.a").unwrap();
        both.subscribe("north").unwrap();
        both.subscribe("south").unwrap();
        for (topic, count) in [("", 1), ("north", 2), ("north.a", 1), ("south", 1)] {
            subscribed(&publisher, topic, count);
        }
        for topic in ["west", "north.a.1", "nor", "south"] {
            publisher.send([topic, "value"]).unwrap();
        }
        publisher.send("north").unwrap();
        let take = |sub: &Sub, count: usize| -> Vec<String> {
            let topics = (0..count).map(|_| sub.recv_timeout(LIMIT).expect("one more"));
            let topics = topics.map(|message| message[0].to_str().unwrap().to_owned());
            topics.collect()
        };
        let west = ["west", "north.a.1", "nor", "south", "north"];
        assert_eq!(take(&all, 5), west, "{endpoint}");
        assert_eq!(take(&north, 2), ["north.a.1", "north"]);
        assert_eq!(take(&both, 3), ["north.a.1", "south", "north"], "each once");
        until("all to be written", || {
            publisher.stats().written_messages == 10
        });
        let stats = publisher.stats();
        assert_eq!((stats.published_messages, stats.unmatched_messages), (5, 0));
        assert_eq!(stats.sent_messages, 10, "a copy for each");
        balanced(&stats);
        for sub in [&all, &north, &both] {
            assert!(sub.try_recv().is_err());
            balanced(&sub.stats());
        }
    }
}

#[test]
fn what_nobody_has_subscribed_to_goes_nowhere_and_is_counted() {
    for endpoint in transports() {
        let publisher = Pub::with(Options::new()).unwrap();
        let endpoint = publisher.bind_to(&endpoint).unwrap().to_string();
        publisher.send("to nobody").unwrap();
        let sub = Sub::connect(&endpoint).unwrap();
        sub.subscribe("a").unwrap();
        subscribed(&publisher, "a", 1);
        publisher.send("b").unwrap();
        publisher.send("a").unwrap();
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "a");
        let stats = publisher.stats();
        assert_eq!((stats.published_messages, stats.unmatched_messages), (3, 2));
        assert_eq!(sub.stats().arrived_messages, 1, "{endpoint}");
    }
}

#[test]
fn a_publisher_may_connect_to_subscribers_and_come_before_them() {
    for (n, endpoint) in transports().into_iter().enumerate() {
        let sub = Sub::with(Options::new()).unwrap();
        sub.subscribe("x").unwrap();
        let publisher = Pub::with(Options::new()).unwrap();
        if n == 2 {
            publisher.connect_to(&endpoint).unwrap();
            sub.bind_to(&endpoint).unwrap();
        } else {
            let endpoint = sub.bind_to(&endpoint).unwrap().to_string();
            publisher.connect_to(&endpoint).unwrap();
        }
        sub.subscribe("y").unwrap();
        subscribed(&publisher, "x", 1);
        subscribed(&publisher, "y", 1);
        for topic in ["x", "y", "z"] {
            publisher.send(topic).unwrap();
        }
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "x");
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "y");
    }
}

#[test]
fn a_topic_subscribed_to_twice_is_given_up_with_the_second_cancellation() {
    for endpoint in transports() {
        let publisher = Pub::with(Options::new()).unwrap();
        let endpoint = publisher.bind_to(&endpoint).unwrap().to_string();
        let sub = Sub::connect(&endpoint).unwrap();
        sub.subscribe("t").unwrap();
        sub.subscribe("t").unwrap();
        assert_eq!(sub.topics(), [("t".into(), 2)]);
        subscribed(&publisher, "t", 1);
        assert!(sub.unsubscribe("t").unwrap());
        sub.subscribe("mark").unwrap();
        subscribed(&publisher, "mark", 1);
        publisher.send("t").unwrap();
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "t");
        assert!(sub.unsubscribe("t").unwrap());
        assert!(!sub.unsubscribe("t").unwrap(), "there is none left");
        until("the end", || publisher.subscriptions().len() == 1);
    }
}

#[test]
fn nothing_is_received_of_a_topic_after_its_last_cancellation() {
    for endpoint in transports() {
        let publisher = Pub::with(Options::new()).unwrap();
        let endpoint = publisher.bind_to(&endpoint).unwrap().to_string();
        let sub = Sub::connect(&endpoint).unwrap();
        sub.subscribe("old").unwrap();
        sub.subscribe("new").unwrap();
        subscribed(&publisher, "new", 1);
        subscribed(&publisher, "old", 1);
        for _ in 0..10 {
            publisher.send("old").unwrap();
        }
        publisher.send("new").unwrap();
        until("all to be queued", || sub.stats().recv_queue_messages == 11);
        sub.unsubscribe("old").unwrap();
        // Some that are published before the publisher knows.
        publisher.send("old").unwrap();
        publisher.send("new").unwrap();
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "new");
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "new", "{endpoint}");
        assert!(sub.try_recv().is_err());
        let stats = sub.stats();
        assert!(stats.dropped["filtered"] >= 10);
        balanced(&stats);
    }
}

#[test]
fn subscriptions_are_told_anew_to_a_publisher_that_comes_back() {
    let fast = Options::new().reconnect_interval(Duration::from_millis(1));
    let [_, ipc, _] = transports();
    // Within the process there is no coming back.
    for endpoint in [own_tcp(), ipc] {
        let first = Pub::with(Options::new()).unwrap();
        let endpoint = first.bind_to(&endpoint).unwrap().to_string();
        let sub = Sub::with(fast.clone()).unwrap();
        sub.connect_to(&endpoint).unwrap();
        for topic in ["kept", "given up", "twice", "twice"] {
            sub.subscribe(topic).unwrap();
        }
        subscribed(&first, "twice", 1);
        assert!(first.close().is_empty());
        sub.unsubscribe("given up").unwrap();
        sub.unsubscribe("twice").unwrap();
        sub.subscribe("made meanwhile").unwrap();
        let second = Pub::with(Options::new()).unwrap();
        until("the endpoint again", || second.bind_to(&endpoint).is_ok());
        until("three topics", || second.subscriptions().len() == 3);
        let topics: Vec<_> = second.subscriptions();
        assert_eq!(
            topics,
            ["kept", "made meanwhile", "twice"].map(|topic| (topic.into(), 1))
        );
        second.send("made meanwhile").unwrap();
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[0], "made meanwhile");
    }
}

#[test]
fn a_peers_subscriptions_go_with_it() {
    for endpoint in transports() {
        let publisher = Pub::with(Options::new()).unwrap();
        let endpoint = publisher.bind_to(&endpoint).unwrap().to_string();
        let [stays, goes] = [(); 2].map(|()| Sub::connect(&endpoint).unwrap());
        stays.subscribe("both").unwrap();
        goes.subscribe("both").unwrap();
        goes.subscribe("mine").unwrap();
        subscribed(&publisher, "both", 2);
        subscribed(&publisher, "mine", 1);
        let peers = publisher.stats().peers;
        let counts: Vec<_> = peers.iter().map(|peer| peer.subscriptions).collect();
        assert_eq!(counts.iter().sum::<usize>(), 3);
        drop(goes);
        until("its end", || {
            publisher.subscriptions() == [("both".into(), 1)]
        });
    }
}

#[test]
fn subscriptions_go_with_the_connection_where_the_publisher_connects_too() {
    for endpoint in transports() {
        let sub = Sub::with(Options::new()).unwrap();
        let endpoint = sub.bind_to(&endpoint).unwrap().to_string();
        sub.subscribe("t").unwrap();
        let publisher = Pub::connect(&endpoint).unwrap();
        subscribed(&publisher, "t", 1);
        drop(sub);
        until("its end", || publisher.subscriptions().is_empty());
        publisher.send("t").unwrap();
        assert_eq!(publisher.stats().unmatched_messages, 1, "{endpoint}");
    }
}

#[test]
fn both_forms_of_subscription_are_taken_from_any_peer() {
    for minor in [0, 1] {
        let publisher = Pub::with(patient()).unwrap();
        let endpoint = publisher.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
        let mut raw = Raw::connect(&endpoint, "SUB", minor);
        raw.subscribe(b"by message");
        let mut frames = Vec::new();
        command::subscribe(&mut frames, b"by command");
        command::subscribe(&mut frames, b"given up");
        raw.write(&frames);
        subscribed(&publisher, "by message", 1);
        subscribed(&publisher, "given up", 1);
        for topic in ["by message", "by command"] {
            publisher.send(topic).unwrap();
            assert_eq!(raw.message(), topic.as_bytes(), "3.{minor}");
        }
        frames.clear();
        command::cancel(&mut frames, b"by message");
        raw.write(&frames);
        raw.send(&[b"\x00given up"]);
        until("one left", || {
            publisher.subscriptions() == [("by command".into(), 1)]
        });
        publisher.send("by message").unwrap();
        publisher.send("by command").unwrap();
        assert_eq!(raw.message(), b"by command");
    }
}

#[test]
fn a_publisher_is_told_in_the_form_that_its_version_has() {
    for minor in [0, 1] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
        let sub = Sub::with(patient()).unwrap();
        sub.connect_to(&endpoint).unwrap();
        sub.subscribe("early").unwrap();
        let mut raw = Raw::over(listener.accept().unwrap().0, "PUB", minor);
        let told = |begins: bool, topic: &str| -> Piece {
            let (flags, body) = match (minor, begins) {
                (0, true) => (0, format!("\x01{topic}")),
                (0, false) => (0, format!("\x00{topic}")),
                (_, true) => (4, format!("\x09SUBSCRIBE{topic}")),
                (_, false) => (4, format!("\x06CANCEL{topic}")),
            };
            Piece {
                flags,
                body: body.into_bytes(),
            }
        };
        assert_eq!(raw.frame(), Some(told(true, "early")));
        sub.subscribe("late").unwrap();
        sub.subscribe("late").unwrap();
        sub.unsubscribe("early").unwrap();
        assert_eq!(raw.frame(), Some(told(true, "late")));
        assert_eq!(raw.frame(), Some(told(false, "early")));
        raw.send(&[b"early", b"not any more"]);
        raw.send(&[b"lately", b"wanted"]);
        assert_eq!(sub.recv_timeout(LIMIT).unwrap()[1], "wanted");
        assert_eq!(sub.stats().dropped["filtered"], 1);
        assert_eq!(sub.stats().sent_messages, 0, "these are no messages");
    }
}

#[test]
fn many_changes_reach_a_publisher_that_reads_late_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let sub = Sub::with(patient()).unwrap();
    sub.connect_to(&endpoint).unwrap();
    let topic = |n: u32| format!("{n:0>500}");
    for n in 0..2_000 {
        sub.subscribe(topic(n)).unwrap();
    }
    let mut raw = Raw::over(listener.accept().unwrap().0, "PUB", 1);
    // More than the kernel's buffers hold.
    for n in 2_000..20_000 {
        sub.subscribe(topic(n)).unwrap();
        sub.unsubscribe(topic(n - 2_000)).unwrap();
    }
    sub.subscribe("the end").unwrap();
    let mut known = std::collections::BTreeSet::new();
    while !known.contains(&b"the end"[..]) {
        let body = raw.frame().expect("more").body;
        match body.strip_prefix(b"\x09SUBSCRIBE") {
            Some(topic) => assert!(known.insert(topic.to_vec()), "once"),
            None => {
                let topic = body.strip_prefix(b"\x06CANCEL").expect("a CANCEL");
                assert!(known.remove(topic), "after it was subscribed to");
            }
        }
    }
    let wanted: Vec<_> = sub.topics();
    assert_eq!(known.len(), 2_001);
    assert!(wanted.iter().all(|(topic, _)| known.contains(&topic[..])));
}

#[test]
fn a_publisher_that_never_reads_is_parted_from_and_told_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let options = patient()
        .send_bytes_max(64 * 1024)
        .reconnect_interval(Duration::from_millis(1));
    let sub = Sub::with(options).unwrap();
    sub.connect_to(&endpoint).unwrap();
    sub.subscribe("stays").unwrap();
    let deaf = Raw::over(listener.accept().unwrap().0, "PUB", 1);
    let long = "x".repeat(1000);
    until("the parting", || {
        sub.subscribe(&long).unwrap();
        sub.unsubscribe(&long).unwrap();
        sub.stats().closes.contains_key("subscriptions-unread")
    });
    drop(deaf);
    let mut next = Raw::over(listener.accept().unwrap().0, "PUB", 1);
    assert_eq!(next.frame().unwrap().body, b"\x09SUBSCRIBEstays");
}

#[test]
fn a_peer_that_publishes_to_a_pub_is_closed_and_counted() {
    let publisher = Pub::with(patient()).unwrap();
    let endpoint = publisher.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    for frames in [&[&b"x"[..]][..], &[b"\x01a", b"b"], &[b""]] {
        let mut rude = Raw::connect(&endpoint, "SUB", 1);
        rude.subscribe(b"a");
        rude.send(frames);
        assert!(rude.is_closed());
    }
    until("three of them", || {
        publisher.stats().closes.get("unexpected-message") == Some(&3)
    });
    until("their subscriptions to go", || {
        publisher.subscriptions().is_empty()
    });
    let stats = publisher.stats();
    assert_eq!(stats.dropped["unexpected"], 3);
    balanced(&stats);
}

#[test]
fn what_many_threads_publish_arrives_whole_or_is_counted() {
    const THREADS: usize = 4;
    const EACH: usize = 3_000;
    for endpoint in transports() {
        let publisher = Pub::with(patient().send_messages_max(200)).unwrap();
        let endpoint = publisher.bind_to(&endpoint).unwrap().to_string();
        let subs = [(); 3].map(|()| Sub::with(patient()).unwrap());
        for sub in &subs {
            sub.connect_to(&endpoint).unwrap();
            sub.subscribe("t").unwrap();
            sub.subscribe("end").unwrap();
        }
        subscribed(&publisher, "end", 3);
        subscribed(&publisher, "t", 3);
        let received: usize = std::thread::scope(|scope| {
            let readers = subs.each_ref().map(|sub| {
                scope.spawn(move || {
                    let mut last = [None; THREADS];
                    let mut count = 0;
                    loop {
                        let message = sub.recv_timeout(LIMIT).expect("more");
                        if message[0] == "end" {
                            return count;
                        }
                        let thread = message[1][0] as usize;
                        let n = u32::from_be_bytes(message[2][..].try_into().unwrap());
                        assert!(last[thread] < Some(n), "in order, none twice");
                        last[thread] = Some(n);
                        count += 1;
                    }
                })
            });
            let writers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let publisher = &publisher;
                    scope.spawn(move || {
                        for n in 0..EACH as u32 {
                            let frames = [&b"topic"[..], &[thread as u8], &n.to_be_bytes()];
                            publisher.send(frames).unwrap();
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            let drained = || {
                let peers = publisher.stats().peers;
                peers.iter().all(|peer| peer.send_queue_messages == 0)
            };
            until("the queues to empty", drained);
            // Where the inbox of a socket of this process is full, it may take more than one.
            let before = publisher.stats().dropped.get("slow-subscriber").copied();
            let mut ends = 0;
            until("an end for each", || {
                publisher.send("end").unwrap();
                ends += 1;
                readers.iter().all(|reader| reader.is_finished())
            });
            let stats = publisher.stats();
            balanced(&stats);
            assert_eq!(stats.sent_messages as usize, 3 * (THREADS * EACH + ends));
            let received = readers.map(|reader| reader.join().unwrap()).iter().sum();
            let dropped = before.unwrap_or(0) as usize;
            assert_eq!(received + dropped, 3 * THREADS * EACH, "{endpoint}");
            received
        });
        assert!(received > 0);
    }
}

#[test]
fn large_frames_reach_all_subscribers_unchanged() {
    for endpoint in transports() {
        let publisher = Pub::with(Options::new()).unwrap();
        let endpoint = publisher.bind_to(&endpoint).unwrap().to_string();
        let subs = [(); 3].map(|()| Sub::connect(&endpoint).unwrap());
        for sub in &subs {
            sub.subscribe("").unwrap();
        }
        subscribed(&publisher, "", 3);
        for bytes in [0, 255, 256, 4095, 4096, 100_000, 1 << 20] {
            let message = Message::from(
                [vec![1; bytes], vec![2; 3], vec![3; bytes]].map(brokerless_patterns::Frame::from),
            );
            publisher.send(message.clone()).unwrap();
            for sub in &subs {
                assert_eq!(sub.recv_timeout(LIMIT).unwrap(), message, "{endpoint}");
            }
        }
    }
}
