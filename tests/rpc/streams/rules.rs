//! Repliers that break the rules of streams: theirs is the call that ends, and no other.

use brokerless::client::Next;
use brokerless::patterns::{Frame, Message};
use brokerless::wire::{Envelope, Version};
use brokerless::{Code, Ran};

use super::wire::{Bench, Half, Heard};
use crate::support::until;

/// What a replier does, within a window of 4 items and 1,024 bytes; and what is said of it.
fn breaks(what: &str, says: &str, breaks: impl FnOnce(&Half<'_>)) {
    let bench = Bench::of(|builder| builder.stream_items(4).stream_bytes(1024));
    let mut bystander = bench.flows.count(0).expect("it begins");
    let other = bench.begun();
    let mut items = bench.flows.count(0).expect("it begins");
    let half = bench.begun();
    half.items(0, &[7]);
    breaks(&half);
    assert_eq!(
        items.next(),
        Some(Ok(7)),
        "{what}: what came before is given"
    );
    let error = loop {
        match items.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("{what}: no error"),
        }
    };
    assert_eq!(
        (error.code(), error.ran()),
        (Code::Internal, Ran::Yes),
        "{what}"
    );
    assert!(error.to_string().contains(says), "{what}: {error}");
    assert!(
        error.to_string().contains(&bench.by_hand.endpoint),
        "{what}: {error}"
    );
    assert_eq!((items.next(), items.is_over()), (None, true), "{what}");
    assert_eq!(bench.client().stats().streams.violations, 1, "{what}");
    // The other one goes on.
    other.items(0, &[8]);
    other.reply(&());
    assert_eq!(bystander.next(), Some(Ok(8)), "{what}");
    assert_eq!(bystander.next(), None, "{what}");
    assert_eq!(bench.client().stats().streams.open, 0, "{what}");
}

/// Its call is cancelled, and it may answer.
fn is_cancelled(half: &Half<'_>) {
    while half.heard() != Heard::Cancel {}
    half.reply(&());
}

#[test]
fn items_over_the_window_end_the_stream() {
    breaks("items", "5 items of a stream", |half| {
        half.items(1, &[1, 2, 3, 4]);
        is_cancelled(half);
    });
    breaks("bytes", "bytes of a stream", |half| {
        let body = Frame::from(vec![0xc0; 1200]);
        half.message(&half.head(1, 2), &[body]);
        is_cancelled(half);
    });
}

#[test]
fn items_that_come_twice_end_the_stream() {
    breaks("twice", "item 0 of a stream came twice", |half| {
        half.items(0, &[7]);
        is_cancelled(half);
    });
    breaks("overlapping", "came twice", |half| {
        half.items(2, &[1]);
        half.items(1, &[1, 2]);
        is_cancelled(half);
    });
}

#[test]
fn an_end_before_an_item_that_is_missing_is_an_error() {
    breaks(
        "a gap",
        "a stream ended before its item 1 had come",
        |half| {
            half.items(2, &[1]);
            half.reply(&());
        },
    );
}

#[test]
fn items_in_disorder_are_put_in_order() {
    let bench = Bench::new();
    let mut items = bench.flows.count(0).expect("it begins");
    let half = bench.begun();
    half.items(4, &[4]);
    half.items(1, &[1, 2]);
    assert_eq!(items.try_next(), Next::NotYet);
    half.items(3, &[3]);
    assert_eq!(items.try_next(), Next::NotYet);
    half.items(0, &[0]);
    for expected in 0..5 {
        assert_eq!(items.next(), Some(Ok(expected)));
    }
    half.reply(&());
    assert_eq!(items.next(), None);
    assert_eq!(bench.client().stats().streams.violations, 0);
}

#[test]
fn a_message_whose_items_cannot_be_told_apart_ends_the_stream() {
    breaks(
        "too few",
        "item 2 and those after it cannot be told apart",
        |half| {
            half.message(&half.head(1, 3), &[Frame::from_static(b"\x01")]);
        },
    );
    breaks(
        "too many",
        "item 1 and those after it cannot be told apart",
        |half| {
            half.message(&half.head(1, 1), &[Frame::from_static(b"\x01\x02")]);
        },
    );
    breaks("no body", "item 1 and those after it", |half| {
        half.message(&half.head(1, 2), &[]);
    });
    breaks("empty", "without items", |half| {
        half.message(&half.head(1, 0), &[]);
        is_cancelled(half);
    });
}

#[test]
fn a_message_of_a_stream_that_cannot_be_read_ends_it() {
    breaks("garbled", "items: count is a str of 1 bytes", |half| {
        // [9, id, 1, "x"]
        let mut envelope = b"\x94\x09\xcf".to_vec();
        envelope.extend(half.id.to_be_bytes());
        envelope.extend(b"\x01\xa1x");
        half.send(Message::single(envelope));
        is_cancelled(half);
    });
}

#[test]
fn items_for_a_method_that_gives_none_end_its_call() {
    let bench = Bench::new();
    let sink = bench.flows.begin().total().expect("it begins");
    let half = bench.begun();
    half.items(0, &[1]);
    let error = sink.finish().expect_err("it has ended");
    assert_eq!(error.code(), Code::Internal);
    assert!(
        error.to_string().contains("broke the rules of streams"),
        "{error}"
    );
    assert_eq!(bench.client().stats().streams.violations, 1);
}

#[test]
fn what_comes_after_the_end_is_passed_over_and_counted() {
    let bench = Bench::new();
    let mut items = bench.flows.count(0).expect("it begins");
    let half = bench.begun();
    half.reply(&());
    half.items(0, &[1]);
    half.window(5, 5);
    half.stop();
    half.reply(&());
    assert_eq!(items.next(), None);
    until("all has come", || {
        let stats = bench.client().stats();
        (stats.streams.late, stats.calls.unknown) == (3, 1)
    });
    assert_eq!(bench.client().stats().streams.items_in, 0);
}

#[test]
fn what_is_of_no_stream_at_all_is_a_misfit() {
    let bench = Bench::new();
    let call = bench.client().clone();
    std::thread::scope(|scope| {
        let end = scope.spawn(move || {
            let options = brokerless::Call::new();
            let payload = brokerless::wire::Payload::raw(b"\x90".to_vec());
            call.call_raw("flows.v1.unary", &options, payload)
                .map(|_| ())
        });
        let half = bench.begun();
        assert!(!half.flags.streams());
        half.items(0, &[1]);
        half.window(1, 1);
        half.reply(&());
        assert_eq!(end.join().expect("it does not panic"), Ok(()));
    });
    assert_eq!(bench.client().stats().nodes[0].misfits, 2);
}

#[test]
fn a_window_that_falls_or_comes_twice_is_passed_over() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().total().expect("it begins");
    let half = bench.begun();
    half.window(3, 1 << 20);
    half.window(1, 1 << 20);
    half.window(3, 1 << 20);
    for value in 0..3 {
        sink.send(value).expect("there is room");
        assert_eq!(half.heard_items(), (value as u64, vec![value], false));
    }
    assert!(sink.try_send(3).is_err());
}

#[test]
fn streams_are_refused_where_there_are_none() {
    // A node of version 1: no other one would do better.
    let bench = Bench::new();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            let mut items = bench.flows.count(0)?;
            items.next().expect("an error")
        });
        let (peer, message) = bench.by_hand.router.recv().expect("a hello");
        let hello = Envelope::decode(message.first()).expect("an envelope");
        assert!(matches!(hello, Envelope::Hello(_)), "{hello:?}");
        bench.by_hand.welcome(&peer, Version::One.number(), 16);
        let error = call
            .join()
            .expect("it does not panic")
            .expect_err("version 1");
        assert_eq!((error.code(), error.ran()), (Code::Unimplemented, Ran::No));
        assert!(error.to_string().contains("version 1"), "{error}");
    });
    // No session at all.
    let bench = Bench::of(|builder| builder.sessionless(16));
    let error = bench.flows.count(0).expect_err("no session");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::FailedPrecondition, Ran::No)
    );
    assert!(error.to_string().contains("bl-proxy"), "{error}");
    assert_eq!(bench.client().stats().streams.opened, 0);
}
