//! Publish and subscribe with last values: whoever joins knows at once what holds.
//!
//! A subscriber of ZeroMQ hears nothing until something is published again, does not learn what it
//! missed, and cannot tell a publisher that started anew. Here a forwarder keeps the last value of
//! each topic for whoever joins; every update is numbered by its publisher, so a subscriber that
//! was too slow says how many it lost; a last value that comes again when a connection comes back
//! is not given twice; and a publisher that starts anew is another one, not a loss.
//!
//! ```text
//! cargo run -p brokerless-patterns --example last_value_cache
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::{Duration, Instant};

use brokerless_patterns::bus::{Publisher, Subscriber, Topic};
use brokerless_patterns::{Options, RecvError, XPub, XSub, wait_any};
use serde::{Deserialize, Serialize};

const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Weather {
    degrees: i32,
    wind: String,
}

fn weather(degrees: i32) -> Weather {
    Weather {
        degrees,
        wind: "north".into(),
    }
}

/// Passes publications down and subscriptions up, until its sockets are closed. With more than
/// this in hand, `bl-forwarder` is the program for it.
fn forward(front: &XSub, back: &XPub) {
    loop {
        wait_any(&[front, back]);
        match front.try_recv() {
            Ok(message) => drop(back.send(message)),
            Err(RecvError::Closed) => return,
            Err(_) => {}
        }
        if let Ok(subscription) = back.try_recv() {
            let _ = front.send(subscription);
        }
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < limit, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

fn is_heard(publisher: &Publisher<Weather>) -> bool {
    !publisher.socket().subscriptions().is_empty()
}

/// Takes updates up to this value; gives how many came, and how many were lost.
fn take_to(subscriber: &Subscriber<Weather>, degrees: i32) -> Result<(u64, u64), Box<dyn Error>> {
    let (mut came, mut lost) = (0, 0);
    loop {
        let update = subscriber.recv_timeout(LIMIT)?;
        (came, lost) = (came + 1, lost + update.lost);
        if update.value.degrees == degrees {
            return Ok((came, lost));
        }
    }
}

/// Does this at the end, however it comes: so that threads that wait on a socket end too.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs the story, and checks it.
pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let front = XSub::bind("inproc://weather-in")?;
    // What is kept must be there before whoever wants it: everything is asked for.
    front.subscribe("")?;
    let narrow = Options::new().send_messages_max(20);
    let back = XPub::with(narrow.last_values(1000))?;
    back.bind_to("inproc://weather-out")?;
    let topic = Topic::<Weather>::new("weather.oslo")?;
    let other = Topic::<Weather>::new("weather.oslo.airport")?;

    std::thread::scope(|scope| {
        let _end = AtEnd(|| {
            let (_, _) = (front.close(), back.close());
        });
        scope.spawn(|| forward(&front, &back));
        let publisher = topic.publisher().connect("inproc://weather-in")?;
        let airport = other.publisher().connect("inproc://weather-in")?;
        until("the forwarder", || {
            is_heard(&publisher) && is_heard(&airport)
        });
        for degrees in 1..=5 {
            publisher.publish(&weather(degrees))?;
        }
        airport.publish(&weather(-40))?;
        until("the last values", || back.stats().last_values == 2);

        // Who joins late is told what holds, and of its own topic only.
        let late = topic.subscriber().connect("inproc://weather-out")?;
        let update = late.recv_timeout(LIMIT)?;
        println!(
            "joined late: {:?}, number {}",
            update.value, update.sequence
        );
        assert_eq!((update.value, update.sequence), (weather(5), 5));
        assert_eq!((update.lost, update.is_first), (0, true));

        // Who does not keep up is told how many it lost.
        let slow = topic
            .subscriber()
            .options(Options::new().recv_messages_max(20))
            .connect("inproc://weather-out")?;
        let of_topic = |count| (topic.frame().clone(), count);
        until("the second subscriber", || {
            back.subscriptions().contains(&of_topic(2))
        });
        for degrees in 6..=500 {
            publisher.publish(&weather(degrees))?;
            take_to(&late, degrees)?;
        }
        slow.recv_timeout(LIMIT)?;
        while slow.try_recv().is_ok() {}
        publisher.publish(&weather(501))?;
        take_to(&slow, 501)?;
        take_to(&late, 501)?;
        let (kept_up, fell_behind) = (late.stats(), slow.stats());
        println!(
            "kept up: {} came, {} lost; fell behind: {} came, {} lost",
            kept_up.received, kept_up.lost, fell_behind.received, fell_behind.lost
        );
        assert_eq!((kept_up.received, kept_up.lost), (497, 0));
        assert_eq!(fell_behind.received + fell_behind.lost, 497);
        assert!(fell_behind.lost > 0);

        // The publisher starts anew, and counts from 1: that is no loss.
        drop(publisher);
        let publisher = topic.publisher().connect("inproc://weather-in")?;
        until("the forwarder", || is_heard(&publisher));
        publisher.publish(&weather(7))?;
        let update = late.recv_timeout(LIMIT)?;
        println!(
            "started anew: {:?}, number {}",
            update.value, update.sequence
        );
        assert_eq!((update.sequence, update.lost), (1, 0));
        assert_eq!((late.publishers().len(), late.stats().lost), (2, 0));
        Ok(())
    })
}
