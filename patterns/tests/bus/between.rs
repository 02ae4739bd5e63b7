//! The bus through something that passes on what it does not read: an XSUB and an XPUB.

use std::sync::Arc;

use brokerless_patterns::bus::UpdateError;
use brokerless_patterns::{Options, RecvError, XPub, XSub, wait_any};

use super::support::{next, price, topic, until};

/// Passes on publications and subscriptions, until it is dropped.
struct Pump {
    front: Arc<XSub>,
    back: Arc<XPub>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Pump {
    fn new(last_values: usize) -> Pump {
        let front = Arc::new(XSub::bind("tcp://127.0.0.1:*").unwrap());
        let back = XPub::with(Options::new().last_values(last_values)).unwrap();
        back.bind_to("tcp://127.0.0.1:*").unwrap();
        let back = Arc::new(back);
        if last_values > 0 {
            front.subscribe("").unwrap();
        }
        let (from, to) = (front.clone(), back.clone());
        let thread = std::thread::spawn(move || {
            loop {
                wait_any(&[&*from, &*to]);
                match from.try_recv() {
                    Ok(message) => to.send(message).unwrap(),
                    Err(RecvError::Closed) => return,
                    Err(_) => {}
                }
                if let Ok(message) = to.try_recv() {
                    from.send(message).unwrap();
                }
            }
        });
        Pump {
            front,
            back,
            thread: Some(thread),
        }
    }

    fn front(&self) -> String {
        self.front.local_endpoints()[0].to_string()
    }

    fn back(&self) -> String {
        self.back.local_endpoints()[0].to_string()
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let _ = self.front.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_publishers_last_value_comes_through_and_numbers_go_on() {
    let (pump, topic) = (Pump::new(0), topic("prices"));
    let publisher = topic.publisher().connect(&pump.front()).unwrap();
    for cents in 1..=3 {
        publisher.publish(&price(cents)).unwrap();
    }
    for join in 3..6 {
        // Each is the only one, so the subscription goes all the way up each time.
        let subscriber = topic.subscriber().connect(&pump.back()).unwrap();
        let update = next(&subscriber);
        assert_eq!((update.sequence, update.lost), (join, 0));
        publisher.publish(&price(0)).unwrap();
        assert_eq!(next(&subscriber).sequence, join + 1);
        assert_eq!(subscriber.stats().lost, 0);
        drop(subscriber);
        until("the end of the subscription", || {
            publisher.socket().subscriptions().is_empty()
        });
    }
}

#[test]
fn what_keeps_last_values_in_between_serves_every_joiner_from_several_publishers() {
    let pump = Pump::new(100);
    let (eur, usd) = (topic("prices.eur"), topic("prices.usd"));
    let publishers = [
        eur.publisher().connect(&pump.front()).unwrap(),
        eur.publisher().connect(&pump.front()).unwrap(),
        usd.publisher().connect(&pump.front()).unwrap(),
    ];
    for publisher in &publishers {
        until("the subscription", || {
            !publisher.socket().subscriptions().is_empty()
        });
    }
    let early = eur.subscriber().connect(&pump.back()).unwrap();
    until("the subscription", || !pump.back.subscriptions().is_empty());
    for round in 1..=50 {
        for publisher in &publishers {
            publisher.publish(&price(round)).unwrap();
        }
    }
    for _ in 0..100 {
        let update = next(&early);
        assert_eq!((update.value.cents, update.lost), (update.sequence, 0));
    }
    // Of each topic the last is kept, whoever published it: the other is heard of when it
    // publishes again.
    let late = eur.subscriber().connect(&pump.back()).unwrap();
    let update = next(&late);
    assert_eq!((update.sequence, update.is_first), (50, true));
    assert_eq!(late.try_recv(), Err(UpdateError::Timeout));
    for publisher in &publishers {
        publisher.publish(&price(51)).unwrap();
    }
    for subscriber in [&early, &late] {
        for _ in 0..2 {
            let update = next(subscriber);
            assert_eq!(
                (update.value.cents, update.sequence, update.lost),
                (51, 51, 0)
            );
        }
        assert_eq!(subscriber.stats().lost, 0);
    }
    assert_eq!((early.stats().received, late.stats().received), (102, 3));
}

#[test]
fn a_publisher_that_reconnects_in_front_repeats_itself_to_nobody() {
    let (pump, topic) = (Pump::new(10), topic("prices"));
    let publisher = topic.publisher().connect(&pump.front()).unwrap();
    let subscriber = topic.subscriber().connect(&pump.back()).unwrap();
    publisher.publish(&price(1)).unwrap();
    next(&subscriber);

    let place = pump.front.local_endpoints()[0].clone();
    publisher.socket().disconnect(&place).unwrap();
    publisher.socket().connect_to(&place.to_string()).unwrap();
    until("the last value, again", || {
        assert_eq!(subscriber.try_recv(), Err(UpdateError::Timeout));
        subscriber.stats().repeated == 1
    });
    publisher.publish(&price(2)).unwrap();
    let update = next(&subscriber);
    assert_eq!((update.sequence, update.lost), (2, 0));
}
