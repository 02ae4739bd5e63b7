//! The page about the wire says what is on the wire.

use brokerless_patterns::bus::{PublisherId, Topic};
use brokerless_patterns::{Frame, Message, Sub, XPub};
use serde::{Deserialize, Serialize};

use super::support::{LIMIT, inproc, next};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Quote {
    cents: u64,
    venue: String,
    raw: Vec<u8>,
    note: Option<String>,
}

/// The frames of the page's example of this name, a line each.
fn example(name: &str) -> Vec<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/BUS.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let (_, after) = page
        .split_once(&format!("```hex {name}\n"))
        .unwrap_or_else(|| panic!("no example {name}"));
    let (block, _) = after.split_once("```").expect("the example's end");
    let byte = |text: &str| u8::from_str_radix(text, 16).expect("a byte");
    let line = |line: &str| line.split_whitespace().map(byte).collect();
    block.lines().map(line).collect()
}

#[test]
fn the_wire_is_that_of_the_page() {
    let quote = Quote {
        cents: 1999,
        venue: "X".into(),
        raw: vec![1, 2],
        note: None,
    };
    let topic = Topic::<Quote>::new("prices.eur").unwrap();
    let update = example("update");

    // What the page has is read.
    let place = inproc();
    let socket = XPub::bind(&place).unwrap();
    let subscriber = topic.subscriber().connect(&place).unwrap();
    let mut subscription = vec![1];
    subscription.extend(example("subscription").concat());
    assert_eq!(
        socket.recv_timeout(LIMIT).unwrap()[0],
        subscription.as_slice()
    );
    let frames = update.iter().map(|bytes| Frame::from(&bytes[..]));
    socket.send(Message::from_frames(frames)).unwrap();
    let read = next(&subscriber);
    assert_eq!((&read.value, read.sequence), (&quote, 42));
    assert_eq!(read.publisher, PublisherId(0x0123_4567_89ab_cdef));

    // What is written is what the page has, but for the publisher's number.
    let place = inproc();
    let publisher = topic.publisher().bind(&place).unwrap();
    for _ in 0..42 {
        publisher.publish(&quote).unwrap();
    }
    let socket = Sub::connect(&place).unwrap();
    socket.subscribe("").unwrap();
    let message = socket.recv_timeout(LIMIT).unwrap();
    let mut written: Vec<Vec<u8>> = message.iter().map(|frame| frame.to_vec()).collect();
    assert_eq!(written[1][2..10], publisher.id().0.to_be_bytes());
    written[1][2..10].copy_from_slice(&update[1][2..10]);
    assert_eq!(written, update);
}
