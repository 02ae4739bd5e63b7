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

use brokerless_patterns::Options;
use brokerless_patterns::bus::{Publisher, Subscriber, Topic};
use brokerless_patterns::device::Device;
use serde::{Deserialize, Serialize};

const LIMIT: Duration = Duration::from_secs(60);

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
    // What `bl-forwarder --last-values 1000` is, within this program.
    let device = Device::forwarder()
        .frontend("inproc://weather-in")
        .backend("inproc://weather-out")
        .options(Options::new().send_messages_max(20).last_values(1000))
        .build()?;
    let forwarder = device.handle();
    let kept = || forwarder.statistics().backend.socket.last_values;
    let topic = Topic::<Weather>::new("weather.oslo")?;
    let other = Topic::<Weather>::new("weather.oslo.airport")?;

    std::thread::scope(|scope| {
        let _end = AtEnd(|| {
            forwarder.terminate();
        });
        scope.spawn(move || device.run());
        let publisher = topic.publisher().connect("inproc://weather-in")?;
        let airport = other.publisher().connect("inproc://weather-in")?;
        until("the forwarder", || {
            is_heard(&publisher) && is_heard(&airport)
        });
        for degrees in 1..=5 {
            publisher.publish(&weather(degrees))?;
        }
        airport.publish(&weather(-40))?;
        until("the last values", || kept() == 2);

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
        until("both subscribers", || {
            let peers = forwarder.statistics().backend.socket.peers;
            peers.iter().map(|peer| peer.subscriptions).sum::<usize>() == 2
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
