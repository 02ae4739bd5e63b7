//! Items that a method gives.

use std::time::{Duration, Instant};

use brokerless::client::{Call, Next};
use brokerless::patterns::Frame;
use brokerless::wire::{Flags, Flow};
use brokerless::{Code, Ran, Status};
use crossbeam_channel::select;

use super::wire::{Bench, Heard, Tired};
use crate::support::{PATIENCE, take_time, transports, until};

#[test]
fn items_are_taken_in_order_and_end_with_the_reply() {
    for endpoint in transports() {
        let bench = Bench::at(&endpoint, |builder| builder);
        let mut items = bench.flows.count(5).expect("it begins");
        let half = bench.begun();
        assert_eq!(half.flags, Flags::ITEMS_OUT);
        assert_eq!(half.window, Some(Flow::new(32 * 1024, 1 << 20)));
        assert!(
            half.left > Duration::from_secs(300 * 24 * 3600),
            "{:?}",
            half.left
        );
        half.items(0, &[0, 1]);
        half.items(2, &[2]);
        half.items(3, &[3, 4]);
        half.reply(&());
        for expected in 0..5 {
            assert_eq!(items.next(), Some(Ok(expected)), "{endpoint}");
        }
        assert_eq!((items.next(), items.next()), (None, None));
        assert_eq!((items.taken(), items.is_over()), (5, true));
    }
}

#[test]
fn what_came_before_the_end_is_given_before_it() {
    let bench = Bench::new();
    let mut items = bench.flows.tire(5).expect("it begins");
    let half = bench.begun();
    half.items(0, &[7, 8]);
    half.fail(&Status::data_loss("the disk is gone"), Ran::Yes);
    until("the end has come", || {
        bench.client().stats().streams.open == 0
    });
    assert_eq!(items.next(), Some(Ok(7)));
    assert_eq!(items.next(), Some(Ok(8)));
    let error = items.next().expect("an error").expect_err("an error");
    assert_eq!((error.code(), error.ran()), (Code::DataLoss, Ran::Yes));
    assert_eq!(items.next(), None, "the end is given once");
}

#[test]
fn a_method_s_own_error_ends_its_items() {
    let bench = Bench::new();
    let mut items = bench.flows.tire(5).expect("it begins");
    let half = bench.begun();
    half.items(0, &[7]);
    let mut encoder = brokerless::wire::Encoder::answer();
    encoder.put(&Tired(1)).expect("a value");
    let status = Status::unknown("tired");
    let mut head = brokerless::wire::ErrorHead::new(half.id, &status, Ran::Yes);
    head.typed = true;
    let envelope = brokerless::wire::encode_error(&head, brokerless::wire::Version::NEWEST);
    half.send(encoder.finish().into_message(envelope));
    assert_eq!(items.next(), Some(Ok(7)));
    let error = items.next().expect("an error").expect_err("an error");
    assert_eq!(error.method(), Some(&Tired(1)));
    assert_eq!(items.next(), None);
}

#[test]
fn an_item_of_another_type_is_an_error_with_its_index_and_the_rest_follows() {
    let bench = Bench::new();
    let mut items = bench.flows.count(5).expect("it begins");
    let half = bench.begun();
    // 0, "x", {}, 3: and one alone.
    let body = Frame::from_static(b"\x00\xa1x\x80\x03");
    half.message(&half.head(0, 4), &[body]);
    half.items(4, &["y"]);
    half.items(5, &[5]);
    half.reply(&());
    let mut seen = Vec::new();
    while let Some(item) = items.next() {
        seen.push(match item {
            Ok(value) => value.to_string(),
            Err(error) => {
                assert_eq!((error.code(), error.ran()), (Code::Internal, Ran::Yes));
                assert!(!items.is_over());
                error.rpc().expect("the fabric's").message().to_owned()
            }
        });
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert_eq!((&*seen[0], &*seen[3], &*seen[5]), ("0", "3", "5"));
    for (index, came) in [
        (1, "a str of 1 bytes"),
        (2, "a map of 0"),
        (4, "a str of 1 bytes"),
    ] {
        let expected = format!("item {index} is of another type than was expected");
        assert!(seen[index].contains(&expected), "{seen:?}");
        assert!(seen[index].contains(came), "{seen:?}");
    }
    assert_eq!(items.taken(), 6);
}

#[test]
fn room_is_given_when_half_is_taken_and_before_waiting() {
    let bench = Bench::of(|builder| builder.stream_items(8));
    let began = Instant::now();
    let mut items = bench.flows.count(0).expect("it begins");
    let half = bench.begun();
    assert_eq!(half.window, Some(Flow::new(8, 1 << 20)));
    for index in 0..8 {
        half.items(index, &[index]);
    }
    for index in 0..5 {
        assert_eq!(items.next(), Some(Ok(index)));
    }
    // With the look for the fifth, four had been taken.
    half.heard_room_after(Flow::new(12, (1 << 20) + 4), began);
    half.heard_nothing_since(began);
    for index in 5..8 {
        assert_eq!(items.next(), Some(Ok(index)));
    }
    half.heard_nothing_since(began);
    assert_eq!(items.try_next(), Next::NotYet);
    half.heard_room_after(Flow::new(16, (1 << 20) + 8), began);
    assert_eq!(items.try_next(), Next::NotYet);
    half.heard_nothing();
    half.reply(&());
    assert_eq!(items.next(), None);
}

#[test]
fn a_slow_taker_gives_room_long_before_half_is_taken() {
    let bench = Bench::new();
    let mut items = bench.flows.count(0).expect("it begins");
    let half = bench.begun();
    let values: Vec<i64> = (0..4_000).collect();
    half.items(0, &values);
    let before = Instant::now();
    let mut taken = 0;
    // A taker that is slow with each item of a message.
    loop {
        assert_eq!(items.next(), Some(Ok(taken)));
        taken += 1;
        take_time(Duration::from_millis(10));
        if let Ok((_, message)) = half.by_hand.router.try_recv() {
            let window = brokerless::wire::Envelope::decode(message.first()).expect("an envelope");
            let brokerless::wire::Envelope::Window { window, .. } = window else {
                panic!("{window:?}");
            };
            assert!(
                (32 * 1024 + 1..=32 * 1024 + taken as u64).contains(&window.items),
                "{window:?}"
            );
            break;
        }
        assert!(taken < 4_000, "nothing heard after {:?}", before.elapsed());
    }
}

#[test]
fn an_item_larger_than_the_window_goes_alone() {
    let bench = Bench::of(|builder| builder.stream_bytes(1024));
    let mut parts = bench.flows.parts().expect("it begins");
    let half = bench.begun();
    let blob = Frame::from(vec![7; 5000]);
    half.message(
        &half.head(0, 1),
        &[Frame::from_static(b"\x00"), blob.clone()],
    );
    let part = parts.next().expect("an item").expect("a blob");
    assert_eq!(part.as_frame(), &blob);
    assert_eq!(parts.try_next(), Next::NotYet);
    assert_eq!(
        half.heard(),
        Heard::Window(Flow::new(32 * 1024 + 1, 1024 + 5001))
    );
    half.message(&half.head(1, 1), &[Frame::from_static(b"\x00"), blob]);
    assert!(parts.next().is_some_and(|part| part.is_ok()));
}

#[test]
fn a_stream_is_looked_at_without_waiting_and_for_a_while() {
    let bench = Bench::new();
    let mut items = bench.flows.count(2).expect("it begins");
    let half = bench.begun();
    assert_eq!(items.try_next(), Next::NotYet);
    let before = Instant::now();
    let short = Duration::from_millis(20);
    assert_eq!(items.next_timeout(short), Next::NotYet);
    assert!(before.elapsed() >= short);
    half.items(0, &[1]);
    assert_eq!(items.next_timeout(PATIENCE), Next::Item(Ok(1)));
    half.reply(&());
    assert_eq!(items.next_timeout(PATIENCE), Next::End);
    assert_eq!(items.try_next(), Next::End);
}

#[test]
fn an_item_that_does_not_come_in_time_ends_the_call() {
    let bench = Bench::new();
    let ours = bench
        .flows
        .with(Call::new().item_timeout(Duration::from_millis(30)));
    for (flows, time) in [(&ours, 30), (&bench.flows, 40)] {
        let items = if time == 30 {
            flows.count(1)
        } else {
            flows.slow()
        };
        let (mut items, time) = (items.expect("it begins"), Duration::from_millis(time));
        let half = bench.begun();
        half.items(0, &[1]);
        // However long this one takes.
        until("an item comes", || items.try_next() == Next::Item(Ok(1)));
        let before = Instant::now();
        let error = items.next().expect("an error").expect_err("nothing comes");
        assert!(before.elapsed() >= time, "{:?}", before.elapsed());
        assert_eq!(
            (error.code(), error.ran()),
            (Code::DeadlineExceeded, Ran::Maybe)
        );
        let expected = format!("no item from {} within {time:?}", bench.by_hand.endpoint);
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(error.to_string().contains("item_timeout"), "{error}");
        assert_eq!(items.next(), None);
        while half.heard() != Heard::Cancel {}
        // The replier answers all the same, for the credit.
        half.fail(&Status::cancelled("as told"), Ran::Yes);
    }
}

#[test]
fn the_deadline_of_the_whole_ends_a_stream_that_flows() {
    let bench = Bench::new();
    let mut items = bench.flows.brief().expect("it begins");
    let half = bench.begun();
    assert!(half.left <= Duration::from_secs(2), "{:?}", half.left);
    let mut index = 0;
    let error = loop {
        half.items(index, &[1]);
        index += 1;
        match items.next_timeout(Duration::from_millis(2)) {
            Next::Item(Ok(_)) => assert!(index < 100_000, "it never ends"),
            Next::Item(Err(error)) => break error,
            Next::NotYet => {}
            Next::End => panic!("no error"),
        }
        if index % 4 == 0 {
            // All that is there is taken, so the deadline is waited for.
            let _ = half.by_hand.router.try_recv();
            if index > 500 {
                let error = items.find_map(Result::err).expect("an error");
                break error;
            }
        }
    };
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::Maybe)
    );
    assert!(error.to_string().contains("no answer from"), "{error}");
}

#[test]
fn dropping_a_stream_cancels_its_call() {
    let bench = Bench::new();
    let mut items = bench.flows.count(9).expect("it begins");
    let half = bench.begun();
    half.items(0, &[1, 2, 3]);
    half.items(3, &[4]);
    assert_eq!(items.next(), Some(Ok(1)));
    until("it has come", || {
        bench.client().stats().streams.items_in == 4
    });
    drop(items);
    // A taker that was held up may have told of room before.
    while half.heard() != Heard::Cancel {}
    // What is still on its way is passed over, and counted.
    half.items(4, &[5]);
    half.reply(&());
    until("it is answered", || bench.client().stats().calls.held == 0);
    let stats = bench.client().stats();
    assert_eq!((stats.streams.open, stats.streams.opened), (0, 1));
    assert_eq!((stats.streams.items_in, stats.streams.untaken), (4, 3));
    assert_eq!((stats.streams.late, stats.calls.late), (1, 1));
}

#[test]
fn a_stream_is_received_in_select() {
    let bench = Bench::new();
    let mut items = bench.flows.count(4).expect("it begins");
    let half = bench.begun();
    // Some before, in the middle of a message, and some after.
    half.items(0, &[0, 1, 2]);
    assert_eq!(items.next(), Some(Ok(0)));
    let channel = items.receiver();
    half.items(3, &[3]);
    half.items(4, &["x"]);
    half.reply(&());
    let (keys, other) = crossbeam_channel::bounded::<()>(1);
    let mut seen = Vec::new();
    loop {
        select! {
            recv(channel) -> item => {
                let item = item.expect("the end is the last");
                let index = item.index();
                match items.decode(item) {
                    Some(Ok(value)) => seen.push((index, value)),
                    Some(Err(error)) => {
                        assert!(error.to_string().contains("item 4 is of another type"), "{error}");
                        assert!(!items.is_over());
                    }
                    None => break,
                }
            }
            recv(other) -> _ => panic!("nobody sends there"),
            default(PATIENCE) => panic!("nothing comes"),
        }
    }
    drop(keys);
    assert_eq!(seen, [(Some(1), 1), (Some(2), 2), (Some(3), 3)]);
    assert!(items.is_over() && items.next().is_none());
    assert!(channel.recv().is_err(), "nothing follows the end");
    // It told of the room: all was taken before the end, or nobody needs to know.
    assert_eq!(items.taken(), 5);
}

#[test]
fn items_of_a_channel_give_room_once_they_are_decoded() {
    let bench = Bench::of(|builder| builder.stream_items(2));
    let mut items = bench.flows.count(4).expect("it begins");
    let half = bench.begun();
    let channel = items.receiver();
    half.items(0, &[0, 1]);
    let first = channel.recv_timeout(PATIENCE).expect("an item");
    let second = channel.recv_timeout(PATIENCE).expect("an item");
    half.heard_nothing();
    assert_eq!(items.decode(first), Some(Ok(0)));
    assert_eq!(half.heard(), Heard::Window(Flow::new(3, (1 << 20) + 1)));
    drop(second);
    assert_eq!(half.heard(), Heard::Window(Flow::new(4, (1 << 20) + 2)));
    // The iterator takes from the channel, too.
    half.items(2, &[2]);
    assert_eq!(items.next(), Some(Ok(2)));
    half.fail(&Status::data_loss("gone"), Ran::Yes);
    let error = items.next().expect("an error").expect_err("an error");
    assert_eq!(error.code(), Code::DataLoss);
    assert_eq!(items.next(), None);
}

#[test]
fn an_item_of_a_channel_that_is_late_ends_nothing_but_the_deadline_of_the_whole_does() {
    let bench = Bench::new();
    let ours = bench
        .flows
        .with(Call::new().timeout(Duration::from_secs(2)));
    let mut items = ours.count(1).expect("it begins");
    let half = bench.begun();
    let channel = items.receiver();
    let item = channel.recv_timeout(PATIENCE).expect("the end comes");
    assert!(item.is_end());
    let error = items.decode(item).expect("an error").expect_err("an error");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(half.heard(), Heard::Cancel);
}
