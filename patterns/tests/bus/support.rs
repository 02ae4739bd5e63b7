//! What the tests of this folder share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::bus::{Subscriber, Topic, Update};
use brokerless_patterns::{Frame, Message};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// No test waits longer than this for what has to come.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Price {
    pub(crate) cents: u64,
}

pub(crate) fn price(cents: u64) -> Price {
    Price { cents }
}

pub(crate) fn topic(name: &str) -> Topic<Price> {
    Topic::new(name).unwrap()
}

static NAMES: AtomicUsize = AtomicUsize::new(0);

/// A fresh name within the process.
pub(crate) fn inproc() -> String {
    format!("inproc://bus-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn next<T: DeserializeOwned>(subscriber: &Subscriber<T>) -> Update<T> {
    subscriber.recv_timeout(LIMIT).expect("an update, in time")
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

/// An update as somebody else would write it.
pub(crate) fn written(topic: &str, publisher: u64, sequence: u64, value: &[u8]) -> Message {
    let mut header = vec![1, 0];
    header.extend(publisher.to_be_bytes());
    header.extend(sequence.to_be_bytes());
    Message::from([
        Frame::from(format!("{topic}\0")),
        Frame::from(header),
        Frame::from(value),
    ])
}
