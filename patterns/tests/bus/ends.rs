//! Publishers and subscribers.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};

use brokerless_patterns::bus::{
    BusError, HeaderFault, PublishError, PublisherId, Topic, UpdateError, ValueFault,
};
use brokerless_patterns::{Options, Pub, SendRefusal, XPub, wait_any_timeout};
use serde::{Serialize, Serializer};

use super::support::{LIMIT, inproc, next, price, topic, until, written};

#[test]
fn a_topic_does_not_take_what_is_published_on_one_that_begins_so() {
    let place = inproc();
    let socket = Arc::new(Pub::bind(&place).unwrap());
    let (a, ab) = (topic("a"), topic("ab"));
    let (to_a, to_ab) = (a.publisher().on(socket.clone()), ab.publisher().on(socket));
    let (at_a, at_ab) = (
        a.subscriber().connect(&place).unwrap(),
        ab.subscriber().connect(&place).unwrap(),
    );

    to_ab.publish(&price(1)).unwrap();
    to_a.publish(&price(2)).unwrap();
    assert_eq!(next(&at_a).value, price(2));
    assert_eq!(next(&at_ab).value, price(1));
    assert_eq!(at_a.try_recv(), Err(UpdateError::Timeout));
    assert_eq!(at_ab.try_recv(), Err(UpdateError::Timeout));
}

#[test]
fn whoever_joins_is_given_the_last_value_and_has_lost_nothing() {
    for place in ["tcp://127.0.0.1:*".to_owned(), inproc()] {
        let topic = topic("prices");
        let publisher = topic.publisher().bind(&place).unwrap();
        for cents in 1..=5 {
            assert_eq!(publisher.publish(&price(cents)), Ok(cents));
        }
        let place = publisher.local_endpoints()[0].to_string();
        let subscriber = topic.subscriber().connect(&place).unwrap();
        let update = next(&subscriber);
        assert_eq!((update.value.cents, update.sequence), (5, 5));
        assert_eq!((update.lost, update.is_first), (0, true));

        publisher.publish(&price(6)).unwrap();
        let update = next(&subscriber);
        assert_eq!((update.value.cents, update.sequence), (6, 6));
        assert_eq!((update.lost, update.is_first), (0, false));
        assert_eq!(update.publisher, publisher.id());
    }
}

#[test]
fn a_last_value_that_comes_again_is_neither_a_loss_nor_given_twice() {
    let topic = topic("prices");
    let publisher = topic.publisher().bind("tcp://127.0.0.1:*").unwrap();
    let place = publisher.local_endpoints()[0].clone();
    let subscriber = topic.subscriber().connect(&place.to_string()).unwrap();
    publisher.publish(&price(1)).unwrap();
    next(&subscriber);

    // The connection goes and comes back.
    subscriber.socket().disconnect(&place).unwrap();
    subscriber.socket().connect_to(&place.to_string()).unwrap();
    until("the last value, again", || {
        assert_eq!(subscriber.try_recv(), Err(UpdateError::Timeout));
        subscriber.stats().repeated == 1
    });

    publisher.publish(&price(2)).unwrap();
    let update = next(&subscriber);
    assert_eq!((update.sequence, update.lost), (2, 0));
    assert_eq!(subscriber.stats().received, 2);
}

#[test]
fn what_is_published_while_a_connection_is_away_is_a_loss() {
    let topic = topic("prices");
    let publisher = topic.publisher().bind("tcp://127.0.0.1:*").unwrap();
    let place = publisher.local_endpoints()[0].clone();
    let subscriber = topic.subscriber().connect(&place.to_string()).unwrap();
    publisher.publish(&price(1)).unwrap();
    next(&subscriber);

    subscriber.socket().disconnect(&place).unwrap();
    until("the subscriber's end", || {
        publisher.socket().subscriptions().is_empty()
    });
    for cents in 2..=5 {
        publisher.publish(&price(cents)).unwrap();
    }
    subscriber.socket().connect_to(&place.to_string()).unwrap();
    // The last one it is given on coming back; those between are gone.
    let update = next(&subscriber);
    assert_eq!((update.sequence, update.lost), (5, 3));
    assert_eq!(subscriber.stats().lost, 3);
}

#[test]
fn a_slow_subscriber_learns_how_many_it_lost_to_the_last_one() {
    let topic = topic("prices");
    let narrow = Options::new().send_messages_max(10).recv_messages_max(10);
    let place = inproc();
    let publisher = topic
        .publisher()
        .options(narrow.clone())
        .bind(&place)
        .unwrap();
    let subscriber = topic.subscriber().options(narrow).connect(&place).unwrap();
    until("the subscription", || {
        !publisher.socket().subscriptions().is_empty()
    });
    for cents in 1..=1000 {
        publisher.publish(&price(cents)).unwrap();
    }
    let (mut received, mut lost, mut last) = (0, 0, 0);
    while let Ok(update) = subscriber.try_recv() {
        assert_eq!(update.sequence, last + update.lost + 1);
        assert_eq!(update.value.cents, update.sequence);
        (received, lost, last) = (received + 1, lost + update.lost, update.sequence);
    }
    assert!((1..1000).contains(&received), "{received}");
    assert_eq!(publisher.publish(&price(1001)), Ok(1001));
    let update = next(&subscriber);
    lost += update.lost;
    assert_eq!((update.sequence, received + 1 + lost), (1001, 1001));
    // Both sides count the same.
    let stats = publisher.socket().stats();
    assert_eq!(stats.dropped["slow-subscriber"], lost);
    assert_eq!(subscriber.stats().lost, lost);
}

#[test]
fn a_publisher_that_was_started_anew_is_another_one_and_no_loss() {
    let topic = topic("prices");
    let subscriber = topic.subscriber().bind(&inproc()).unwrap();
    let place = subscriber.local_endpoints()[0].to_string();
    let mut ids = BTreeSet::new();
    for life in 1..=3 {
        let publisher = topic.publisher().connect(&place).unwrap();
        until("the subscription", || {
            !publisher.socket().subscriptions().is_empty()
        });
        publisher.publish(&price(life)).unwrap();
        let update = next(&subscriber);
        assert_eq!((update.value.cents, update.sequence), (life, 1));
        assert!(update.is_first && ids.insert(update.publisher));
    }
    assert_eq!(subscriber.stats().lost, 0);
    assert_eq!(subscriber.publishers().len(), 3);
}

#[test]
fn several_publishers_count_each_for_itself() {
    let topic = topic("prices");
    let subscriber = topic.subscriber().bind("tcp://127.0.0.1:*").unwrap();
    let place = subscriber.local_endpoints()[0].to_string();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let publisher = topic.publisher().connect(&place).unwrap();
                until("the subscription", || {
                    !publisher.socket().subscriptions().is_empty()
                });
                for cents in 1..=300 {
                    publisher.publish(&price(cents)).unwrap();
                }
                assert!(publisher.socket().close().is_empty());
            });
        }
        for _ in 0..900 {
            let update = next(&subscriber);
            assert_eq!((update.value.cents, update.lost), (update.sequence, 0));
        }
    });
    let counts = subscriber.publishers();
    assert_eq!(counts.len(), 3);
    assert!(
        counts
            .iter()
            .all(|one| (one.received, one.lost) == (300, 0))
    );
}

#[test]
fn what_does_not_decode_is_named_and_the_next_one_comes() {
    let place = inproc();
    let socket = XPub::bind(&place).unwrap();
    let subscriber = topic("t").subscriber().connect(&place).unwrap();
    let good = b"\x81\xa5cents\x07";
    let fault = |sequence, lost, fault| {
        Err(UpdateError::Value {
            topic: "t".into(),
            publisher: PublisherId(9),
            sequence,
            lost,
            fault,
        })
    };
    let no_update = |fault| {
        Err(UpdateError::Header {
            topic: "t".into(),
            fault,
        })
    };

    socket.send(written("t", 9, 1, good)).unwrap();
    assert_eq!(next(&subscriber).value, price(7));
    socket.send(written("t", 9, 3, b"\xa5wrong")).unwrap();
    assert_eq!(
        subscriber.recv_timeout(LIMIT),
        fault(3, 1, ValueFault::Type)
    );
    socket.send(written("t", 9, 4, &good[..3])).unwrap();
    assert_eq!(
        subscriber.recv_timeout(LIMIT),
        fault(4, 0, ValueFault::Truncated)
    );
    socket.send(["t\0", "no header"]).unwrap();
    assert_eq!(
        subscriber.recv_timeout(LIMIT),
        no_update(HeaderFault::Frames(2))
    );
    socket.send(["t\0", "", ""]).unwrap();
    assert_eq!(
        subscriber.recv_timeout(LIMIT),
        no_update(HeaderFault::Short(0))
    );
    socket.send(written("t", 9, 5, good)).unwrap();
    let update = next(&subscriber);
    assert_eq!((update.sequence, update.lost), (5, 0));

    let stats = subscriber.stats();
    assert_eq!((stats.received, stats.lost), (4, 1));
    assert_eq!((stats.undecoded, stats.refused), (2, 2));
    let text: UpdateError = fault(3, 1, ValueFault::Type).unwrap_err();
    assert!(!text.to_string().contains("wrong"), "{text}");
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

#[test]
fn a_value_that_is_refused_takes_no_number() {
    let publisher = Topic::new("t")
        .unwrap()
        .publisher()
        .bind(&inproc())
        .unwrap();
    assert_eq!(publisher.publish(&Unwritable), Err(PublishError::Encode));
    assert_eq!(publisher.sequence(), 0);

    let publisher = topic("t").publisher().bind(&inproc()).unwrap();
    assert_eq!(publisher.publish(&price(1)), Ok(1));
    let _ = publisher.socket().close();
    let refused = publisher.publish(&price(2));
    assert_eq!(refused, Err(PublishError::Refused(SendRefusal::Closed)));
    assert_eq!(publisher.sequence(), 1);
}

#[test]
fn threads_that_share_a_publisher_lose_and_repeat_nothing() {
    let topic = topic("prices");
    let roomy = Options::new()
        .send_messages_max(10_000)
        .recv_messages_max(10_000);
    let made = topic.publisher().options(roomy.clone());
    let publisher = made.bind("tcp://127.0.0.1:*").unwrap();
    let place = publisher.local_endpoints()[0].to_string();
    let subscriber = topic.subscriber().options(roomy).connect(&place).unwrap();
    until("the subscription", || {
        let _ = wait_any_timeout(&[&subscriber], std::time::Duration::from_millis(1));
        !publisher.socket().subscriptions().is_empty()
    });
    let together = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                together.wait();
                for _ in 0..2000 {
                    publisher.publish(&price(1)).unwrap();
                }
            });
        }
        for sequence in 1..=8000 {
            let update = next(&subscriber);
            assert_eq!((update.sequence, update.lost), (sequence, 0));
        }
    });
    assert_eq!(subscriber.stats().repeated, 0);
}

#[test]
fn threads_that_share_a_subscriber_take_each_update_once() {
    let topic = topic("prices");
    let place = inproc();
    let publisher = topic.publisher().bind(&place).unwrap();
    let roomy = Options::new().recv_messages_max(10_000);
    let subscriber = topic.subscriber().options(roomy).connect(&place).unwrap();
    until("the subscription", || {
        !publisher.socket().subscriptions().is_empty()
    });
    let taken = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut taken = Vec::new();
                    loop {
                        let update = next(&subscriber);
                        assert_eq!(update.lost, 0);
                        if update.value.cents == 0 {
                            return taken;
                        }
                        taken.push(update.sequence);
                    }
                })
            })
            .collect();
        for cents in 1..=600 {
            publisher.publish(&price(cents)).unwrap();
        }
        for _ in 0..4 {
            publisher.publish(&price(0)).unwrap();
        }
        let lists = takers.into_iter().map(|taker| taker.join().unwrap());
        lists.flatten().collect::<Vec<_>>()
    });
    let different: BTreeSet<u64> = taken.iter().copied().collect();
    assert_eq!((taken.len(), different.len()), (600, 600));
    assert_eq!(
        (subscriber.stats().lost, subscriber.stats().repeated),
        (0, 0)
    );
}

#[test]
fn closing_a_subscriber_wakes_whoever_waits_in_line() {
    let subscriber = topic("t").subscriber().bind("tcp://127.0.0.1:*").unwrap();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| subscriber.recv_timeout(LIMIT)))
            .collect();
        let _ = subscriber.socket().close();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Err(UpdateError::Closed));
        }
    });
}

#[test]
fn publishers_are_remembered_up_to_the_limit() {
    for publishers_max in [0, 1_000_001] {
        let made = topic("t").subscriber().publishers_max(publishers_max);
        let error = made.bind(&inproc()).unwrap_err();
        assert!(matches!(error, BusError::Option { value, .. } if value == publishers_max));
    }
    let place = inproc();
    let socket = XPub::bind(&place).unwrap();
    let made = topic("t").subscriber().publishers_max(2);
    let subscriber = made.connect(&place).unwrap();
    for publisher in 1..=100 {
        socket
            .send(written("t", publisher, 1, b"\x81\xa5cents\x01"))
            .unwrap();
        assert!(next(&subscriber).is_first);
    }
    assert_eq!(subscriber.publishers().len(), 2);
    assert_eq!(subscriber.stats().forgotten, 98);
}
