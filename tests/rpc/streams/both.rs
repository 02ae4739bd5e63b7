//! Items both ways.

use std::time::Instant;

use brokerless::client::{Call, Next, TrySendError};
use brokerless::wire::{Flags, Flow};
use brokerless::{Code, Ran, Status};

use super::wire::{Bench, Heard, SILENCE};
use crate::support::{PATIENCE, transports, until};

const LOTS: u64 = 1 << 30;

#[test]
fn room_rides_on_items_that_go_the_other_way() {
    for endpoint in transports() {
        let bench = Bench::at(&endpoint, |builder| builder);
        let began = Instant::now();
        let mut chat = bench.flows.chat().expect("it begins");
        let half = bench.begun();
        assert_eq!(half.flags, Flags::ITEMS_IN.with(Flags::ITEMS_OUT));
        let first = half.window.expect("a window");
        let mut head = half.head(0, 0);
        // So does what lets the caller begin.
        head.window = Some(Flow::new(10, LOTS));
        half.message(&head, &[]);
        for turn in 0..5 {
            chat.send(format!("{turn}?")).expect("there is room");
            let taken = Flow::new(first.items + turn, first.bytes + 3 * turn);
            let mut due = (turn > 0).then_some(taken);
            let head = loop {
                match half.heard() {
                    Heard::Items(head, _) => break head,
                    // One that was held up has told of it by itself.
                    Heard::Window(window) => {
                        assert!(began.elapsed() >= SILENCE && due == Some(window));
                        due = None;
                    }
                    other => panic!("no items: {other:?}"),
                }
            };
            // Each tells of the item taken before; so there is one message each way.
            assert_eq!((head.first, head.window), (turn, due));
            let mut head = half.head(turn, 1);
            head.window = Some(Flow::new(11 + turn, LOTS));
            let mut encoder = brokerless::wire::Encoder::answer();
            encoder.put(&format!("{turn}!")).expect("a value");
            half.message(&head, &[encoder.finish().body]);
            assert_eq!(chat.next(), Some(Ok(format!("{turn}!"))));
            if began.elapsed() < SILENCE {
                half.heard_nothing();
            }
        }
        assert_eq!((chat.sent(), chat.taken()), (5, 5));
        chat.finish_sending();
        chat.finish_sending();
        let head = loop {
            match half.heard() {
                Heard::Items(head, _) => break head,
                Heard::Window(_) if began.elapsed() >= SILENCE => {}
                other => panic!("no end: {other:?}"),
            }
        };
        assert_eq!((head.first, head.count, head.last), (5, 0, true));
        let error = chat.send("more".into()).expect_err("it was the last");
        assert_eq!(error.code(), Code::FailedPrecondition);
        assert!(matches!(
            chat.try_send("more".into()),
            Err(TrySendError::Refused(_))
        ));
        assert!(!chat.is_wanted());
        assert_eq!(
            chat.try_next(),
            Next::NotYet,
            "what it gives is still taken"
        );
        half.items(5, &["bye"]);
        half.reply(&());
        assert_eq!(chat.next(), Some(Ok("bye".into())));
        assert_eq!(chat.next(), None);
        assert_eq!(chat.sent(), 5);
    }
}

#[test]
fn two_threads_have_a_half_each() {
    let bench = Bench::new();
    let chat = bench.flows.chat().expect("it begins");
    let half = bench.begun();
    let (feed, items) = chat.split();
    let mut feed = feed.expect("it was not finished");
    half.window(4, LOTS);
    std::thread::scope(|scope| {
        let sends = scope.spawn(move || {
            for word in 0..1000 {
                feed.send(word.to_string()).expect("there is room");
            }
            feed.finish();
        });
        let takes = scope.spawn(move || {
            let taken: Result<Vec<String>, _> = items.collect();
            taken.expect("no error").len()
        });
        let (mut came, mut told) = (0, 0);
        loop {
            match half.heard() {
                Heard::Items(head, parts) => {
                    assert_eq!(head.first, came);
                    came += u64::from(head.count);
                    if head.count > 0 {
                        half.message(&half.head(head.first, head.count), &parts);
                    }
                    half.window(came + 4, LOTS);
                    if head.last {
                        break;
                    }
                }
                Heard::Window(window) => {
                    assert!(window.items > told);
                    told = window.items;
                }
                Heard::Cancel => panic!("it was not to be cancelled"),
            }
        }
        half.reply(&());
        sends.join().expect("it does not panic");
        assert_eq!(
            (came, takes.join().expect("it does not panic")),
            (1000, 1000)
        );
    });
}

#[test]
fn dropping_either_half_cancels_and_the_other_hears_of_it() {
    let bench = Bench::new();
    for first in [true, false] {
        let chat = bench.flows.chat().expect("it begins");
        let half = bench.begun();
        half.window(4, LOTS);
        let (feed, mut items) = chat.split();
        let mut feed = feed.expect("it was not finished");
        feed.send("a".into()).expect("there is room");
        assert!(matches!(half.heard(), Heard::Items(..)));
        if first {
            drop(feed);
            let error = items.next().expect("an error").expect_err("an error");
            assert_eq!((error.code(), error.ran()), (Code::Cancelled, Ran::Maybe));
            assert_eq!(items.next(), None);
        } else {
            drop(items);
            let error = feed.send("b".into()).expect_err("it is cancelled");
            assert_eq!(error.code(), Code::Cancelled);
        }
        assert_eq!(half.heard(), Heard::Cancel);
        half.fail(&Status::cancelled("as told"), Ran::Yes);
    }
    until("all is answered", || bench.client().stats().calls.held == 0);
}

#[test]
fn a_half_that_has_finished_can_be_dropped() {
    let bench = Bench::new();
    let chat = bench.flows.chat().expect("it begins");
    let half = bench.begun();
    let (feed, mut items) = chat.split();
    // Before the method has begun: it is told as soon as it has.
    feed.expect("it was not finished").finish();
    half.heard_nothing();
    half.window(4, LOTS);
    let Heard::Items(head, parts) = half.heard() else {
        panic!("no end");
    };
    assert_eq!((head.first, head.count, head.last), (0, 0, true));
    assert!(parts.is_empty());
    half.items(0, &["well"]);
    half.reply(&());
    assert_eq!(items.next_timeout(PATIENCE), Next::Item(Ok("well".into())));
    assert_eq!(items.next(), None);
}

#[test]
fn a_sender_that_gives_up_for_want_of_room_ends_both_halves() {
    let bench = Bench::new();
    let ours = Call::new().item_timeout(std::time::Duration::from_secs(2));
    let mut chat = bench.flows.with(ours).chat().expect("it begins");
    let half = bench.begun();
    half.items(0, &["well"]);
    half.window(1, LOTS);
    chat.send("a".into()).expect("there is room");
    let error = chat.send("b".into()).expect_err("there is no room");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    // What had come is still given.
    assert_eq!(chat.next(), Some(Ok("well".into())));
    let error = chat.next().expect("an error").expect_err("an error");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(chat.next(), None);
}
