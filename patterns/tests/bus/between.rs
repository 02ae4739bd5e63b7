//! The bus through what passes on what it does not read: a forwarder.

use std::thread::JoinHandle;

use brokerless_patterns::bus::UpdateError;
use brokerless_patterns::device::{Device, Handle, Side};
use brokerless_patterns::{Endpoint, Options};

use super::support::{next, price, topic, until};

/// A forwarder that runs until it is dropped.
struct Forwarder {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    fn new(last_values: usize) -> Forwarder {
        let device = Device::forwarder()
            .frontend("tcp://127.0.0.1:*")
            .backend("tcp://127.0.0.1:*")
            .options(Options::new().last_values(last_values))
            .build()
            .unwrap();
        let handle = device.handle();
        let thread = std::thread::spawn(move || drop(device.run().unwrap()));
        Forwarder {
            handle,
            thread: Some(thread),
        }
    }

    fn endpoint(&self, side: Side) -> Endpoint {
        let endpoints = self.handle.endpoints();
        let first = endpoints.iter().find(|one| one.side == side).unwrap();
        first.endpoint.clone()
    }

    fn front(&self) -> String {
        self.endpoint(Side::Frontend).to_string()
    }

    fn back(&self) -> String {
        self.endpoint(Side::Backend).to_string()
    }

    /// Subscriptions of all who subscribe at its back.
    fn subscriptions(&self) -> usize {
        let peers = self.handle.statistics().backend.socket.peers;
        peers.iter().map(|peer| peer.subscriptions).sum()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.handle.terminate();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_publishers_last_value_comes_through_and_numbers_go_on() {
    let (forwarder, topic) = (Forwarder::new(0), topic("prices"));
    let publisher = topic.publisher().connect(&forwarder.front()).unwrap();
    for cents in 1..=3 {
        publisher.publish(&price(cents)).unwrap();
    }
    for join in 3..6 {
        // Each is the only one, so the subscription goes all the way up each time.
        let subscriber = topic.subscriber().connect(&forwarder.back()).unwrap();
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
    let forwarder = Forwarder::new(100);
    let (eur, usd) = (topic("prices.eur"), topic("prices.usd"));
    let publishers = [
        eur.publisher().connect(&forwarder.front()).unwrap(),
        eur.publisher().connect(&forwarder.front()).unwrap(),
        usd.publisher().connect(&forwarder.front()).unwrap(),
    ];
    for publisher in &publishers {
        until("the subscription", || {
            !publisher.socket().subscriptions().is_empty()
        });
    }
    let early = eur.subscriber().connect(&forwarder.back()).unwrap();
    until("the subscription", || forwarder.subscriptions() == 1);
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
    let late = eur.subscriber().connect(&forwarder.back()).unwrap();
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
    let (forwarder, topic) = (Forwarder::new(10), topic("prices"));
    let publisher = topic.publisher().connect(&forwarder.front()).unwrap();
    let subscriber = topic.subscriber().connect(&forwarder.back()).unwrap();
    publisher.publish(&price(1)).unwrap();
    next(&subscriber);

    let place = forwarder.endpoint(Side::Frontend);
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
