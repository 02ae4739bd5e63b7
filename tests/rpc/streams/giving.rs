//! Items that a method takes.

use std::time::{Duration, Instant};

use brokerless::client::{Call, TrySendError};
use brokerless::patterns::Frame;
use brokerless::wire::Flags;
use brokerless::{Blob, Code, Ran, Status};

use super::wire::{Bench, Heard, Tired};
use crate::support::{in_rounds, take_time, transports, until};

const LOTS: u64 = 1 << 30;

#[test]
fn items_go_once_the_method_lets_them_and_the_last_is_told() {
    for endpoint in transports() {
        let bench = Bench::at(&endpoint, |builder| builder);
        let mut sink = bench.flows.begin().total().expect("it begins");
        let half = bench.begun();
        assert_eq!((half.flags, half.window), (Flags::ITEMS_IN, None));
        assert_eq!(
            sink.try_send(1),
            Err(TrySendError::Full(1)),
            "it has not begun"
        );
        half.window(8, LOTS);
        for value in [3, 4] {
            sink.send(value).expect("there is room");
            let index = sink.sent() - 1;
            assert_eq!(
                half.heard_items(),
                (index, vec![value], false),
                "{endpoint}"
            );
        }
        let end = std::thread::scope(|scope| {
            let end = scope.spawn(|| sink.finish());
            assert_eq!(half.heard_items::<i64>(), (2, vec![], true));
            half.reply(&7);
            end.join().expect("it does not panic")
        });
        assert_eq!(end, Ok(7));
        let stats = bench.client().stats().streams;
        assert_eq!((stats.items_out, stats.unsent, stats.open), (2, 0, 0));
    }
}

#[test]
fn small_items_travel_together_while_the_method_is_behind() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().total().expect("it begins");
    let half = bench.begun();
    half.window(1000, LOTS);
    for value in 0..100 {
        sink.send(value).expect("there is room");
    }
    // A few go at once; the others gather.
    for value in 0..4 {
        assert_eq!(half.heard_items(), (value, vec![value as i64], false));
    }
    half.heard_nothing();
    assert_eq!(sink.sent(), 100);
    // A window comes, and is heard by whichever thread reads: all that has gathered goes.
    half.window(1001, LOTS);
    assert_eq!(half.heard_items(), (4, (4..100).collect(), false));
    half.heard_nothing();
    // Or there are many.
    for value in 100..100 + 256 {
        sink.send(value).expect("there is room");
    }
    assert_eq!(half.heard_items(), (100, (100..356).collect(), false));
    drop(sink);
    assert_eq!(half.heard(), Heard::Cancel);
}

#[test]
fn what_has_gathered_goes_with_the_last() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().total().expect("it begins");
    let half = bench.begun();
    half.window(1000, LOTS);
    for value in 0..10 {
        sink.send(value).expect("there is room");
    }
    for value in 0..4 {
        assert_eq!(half.heard_items(), (value, vec![value as i64], false));
    }
    std::thread::scope(|scope| {
        let end = scope.spawn(|| sink.finish());
        assert_eq!(half.heard_items(), (4, (4..10).collect::<Vec<i64>>(), true));
        half.reply(&45);
        assert_eq!(end.join().expect("it does not panic"), Ok(45));
    });
}

#[test]
fn a_sender_waits_for_room_and_no_longer_than_the_item_deadline() {
    let bench = Bench::new();
    let time = Duration::from_secs(2);
    let ours = bench.flows.with(Call::new().item_timeout(time));
    let mut sink = ours.begin().total().expect("it begins");
    let half = bench.begun();
    half.window(2, LOTS);
    sink.send(1).expect("there is room");
    sink.send(2).expect("there is room");
    assert_eq!(sink.try_send(3), Err(TrySendError::Full(3)));
    std::thread::scope(|scope| {
        let sink = &mut sink;
        let third = scope.spawn(|| sink.send(3));
        assert_eq!(half.heard_items(), (0, vec![1], false));
        assert_eq!(half.heard_items(), (1, vec![2], false));
        half.window(3, LOTS);
        assert_eq!(half.heard_items(), (2, vec![3], false));
        assert_eq!(third.join().expect("it does not panic"), Ok(()));
    });
    let before = Instant::now();
    let error = sink.send(4).expect_err("there is no room");
    assert!(before.elapsed() >= time);
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::Maybe)
    );
    let expected = format!(
        "no room for an item at {} within 2s",
        bench.by_hand.endpoint
    );
    assert!(error.to_string().contains(&expected), "{error}");
    assert_eq!(half.heard(), Heard::Cancel);
    assert_eq!(
        sink.finish().expect_err("it has ended").code(),
        Code::DeadlineExceeded
    );
    assert_eq!(bench.client().stats().streams.unsent, 1);
}

#[test]
fn bytes_are_room_too_and_a_large_item_goes_alone() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().keep().expect("it begins");
    let half = bench.begun();
    let part = |bytes| Blob::from(vec![7; bytes]);
    half.window(100, 1000);
    // One byte names the blob.
    sink.send(part(599)).expect("there is room");
    assert!(matches!(half.heard(), Heard::Items(head, parts)
        if head.first == 0 && head.count == 1 && parts[1].len() == 599));
    std::thread::scope(|scope| {
        let sink = &mut sink;
        let more = scope.spawn(move || {
            sink.send(part(599))?;
            sink.send(part(5000))
        });
        // 600 of 1,000 are gone. It takes 600, so there is room for 600 more.
        half.window(101, 1600);
        assert!(matches!(half.heard(), Heard::Items(head, _) if head.first == 1));
        // All that came is taken: the one that is too large may go.
        half.window(102, 2200);
        assert!(matches!(half.heard(), Heard::Items(head, parts)
            if head.first == 2 && head.count == 1 && parts[1].len() == 5000));
        more.join()
            .expect("it does not panic")
            .expect("they are sent");
    });
}

#[test]
fn blobs_are_never_copied() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().keep().expect("it begins");
    let half = bench.begun();
    half.window(100, LOTS);
    let part = Blob::from(vec![7; 100_000]);
    // Also when items gather.
    for _ in 0..20 {
        sink.send(part.clone()).expect("there is room");
    }
    for index in 0..20 {
        let Heard::Items(head, parts) = half.heard() else {
            panic!("no items");
        };
        assert_eq!((head.first, head.count), (index, 1));
        assert_eq!(parts[1].as_ptr(), part.as_frame().as_ptr(), "of {index}");
    }
}

#[test]
fn an_item_larger_than_the_node_takes_is_refused_and_the_rest_goes_on() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().keep().expect("it begins");
    let half = bench.begun_with_blobs_of(1000);
    half.window(100, LOTS);
    for bytes in [10, 999, 1000] {
        sink.send(Blob::from(vec![7; bytes])).expect("it is taken");
    }
    let error = sink
        .send(Blob::from(vec![7; 1001]))
        .expect_err("it is too large");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::ResourceExhausted, Ran::No)
    );
    assert!(
        error.to_string().contains("1001 bytes: at most 1000"),
        "{error}"
    );
    sink.send(Blob::from(vec![7; 3])).expect("the rest goes on");
    for (index, bytes) in (0..).zip([10, 999, 1000, 3]) {
        let Heard::Items(head, parts) = half.heard() else {
            panic!("no items");
        };
        assert_eq!((head.first, parts[1].len()), (index, bytes));
    }
}

#[test]
fn a_method_that_has_enough_says_so_and_its_answer_is_waited_for() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().total().expect("it begins");
    let half = bench.begun();
    half.window(100, LOTS);
    sink.send(1).expect("there is room");
    assert!(sink.is_wanted());
    half.stop();
    until("it has stopped", || !sink.is_wanted());
    let error = sink.send(2).expect_err("it is not wanted");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::FailedPrecondition, Ran::Yes)
    );
    assert!(
        error.to_string().contains("no more items are taken"),
        "{error}"
    );
    assert_eq!(sink.send_all([2, 3]), Ok(0), "which is no error here");
    half.reply(&1);
    assert_eq!(sink.finish(), Ok(1));
}

#[test]
fn a_method_that_answers_early_has_answered() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().total().expect("it begins");
    let half = bench.begun();
    half.window(100, LOTS);
    sink.send(1).expect("there is room");
    assert_eq!(half.heard_items(), (0, vec![1], false));
    half.reply(&11);
    until("the end has come", || !sink.is_wanted());
    assert_eq!(
        sink.send(2).map_err(|error| error.code()),
        Err(Code::FailedPrecondition)
    );
    assert_eq!(sink.send_all([2, 3]), Ok(0));
    assert_eq!(sink.finish(), Ok(11));
    // Or within a call that waits for all of it.
    std::thread::scope(|scope| {
        let end = scope.spawn(|| bench.flows.total(0..));
        let half = bench.begun();
        half.window(10, LOTS);
        let _ = half.heard_items::<i64>();
        half.reply(&12);
        assert_eq!(end.join().expect("it does not panic"), Ok(12));
    });
}

#[test]
fn the_error_of_a_call_is_that_of_its_items() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().strain().expect("it begins");
    let half = bench.begun();
    half.window(100, LOTS);
    sink.send(1).expect("there is room");
    let mut encoder = brokerless::wire::Encoder::answer();
    encoder.put(&Tired(1)).expect("a value");
    let status = Status::unknown("tired");
    let mut head = brokerless::wire::ErrorHead::new(half.id, &status, Ran::Yes);
    head.typed = true;
    let envelope = brokerless::wire::encode_error(&head, brokerless::wire::Version::NEWEST);
    half.send(encoder.finish().into_message(envelope));
    until("the end has come", || !sink.is_wanted());
    assert_eq!(
        sink.send(2).expect_err("it has ended").method(),
        Some(&Tired(1))
    );
    assert!(sink.send_all([2]).is_err());
    assert_eq!(
        sink.finish().expect_err("it has ended").method(),
        Some(&Tired(1))
    );
}

#[test]
fn an_answer_that_does_not_come_in_time_ends_the_call_but_progress_is_patience() {
    in_rounds("progress", progress_is_patience);
}

/// What fails only if there was no progress in time.
fn progress_is_patience() -> Result<(), String> {
    let bench = Bench::new();
    let time = Duration::from_millis(1200);
    let ours = bench.flows.with(Call::new().item_timeout(time));
    let mut sink = ours.begin().total().expect("it begins");
    let half = bench.begun();
    half.window(100, LOTS);
    for value in 0..10 {
        sink.send(value).expect("there is room");
    }
    let before = Instant::now();
    let mut last = before;
    let mut longest = Duration::ZERO;
    let error = std::thread::scope(|scope| {
        let end = scope.spawn(|| sink.finish());
        // It takes an item now and then, and takes longer than the deadline in all.
        let mut items = 100;
        while before.elapsed() < 3 * time {
            items += 1;
            longest = longest.max(last.elapsed());
            last = Instant::now();
            half.window(items, LOTS);
            take_time(time / 4);
        }
        longest = longest.max(last.elapsed());
        let is_patient = !end.is_finished();
        let end = end.join().expect("it does not panic");
        (is_patient, end.expect_err("no answer comes"))
    });
    let (is_patient, error) = error;
    if longest >= time / 2 {
        return Err(format!("this test was not run for {longest:?}"));
    }
    assert!(is_patient, "{error}");
    assert!(last.elapsed() >= time, "{:?}", last.elapsed());
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::Maybe)
    );
    assert!(error.to_string().contains("no answer from"), "{error}");
    Ok(())
}

#[test]
fn a_call_that_is_answered_no_before_it_has_begun_is_picked_again_with_all_its_items() {
    let bench = Bench::new();
    let end = std::thread::scope(|scope| {
        let end = scope.spawn(|| bench.flows.total([1, 2, 3]));
        let half = bench.begun();
        half.fail(&Status::unavailable("full"), Ran::No);
        let half = bench.begun();
        half.window(100, LOTS);
        let mut came = Vec::new();
        loop {
            let (first, items, last) = half.heard_items::<i64>();
            assert_eq!(first, came.len() as u64);
            came.extend(items);
            if last {
                break;
            }
        }
        assert_eq!(came, [1, 2, 3]);
        half.reply(&6);
        end.join().expect("it does not panic")
    });
    assert_eq!(end, Ok(6));
    assert_eq!(bench.client().stats().calls.repicked, 1);
}

#[test]
fn a_call_that_has_begun_is_never_picked_again() {
    let bench = Bench::new();
    let mut sink = bench.flows.begin().total().expect("it begins");
    let half = bench.begun();
    half.window(100, LOTS);
    sink.send(1).expect("there is room");
    // Whatever it says.
    half.fail(&Status::unavailable("full"), Ran::No);
    let error = sink.finish().expect_err("it has ended");
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(bench.client().stats().calls.repicked, 0);
}

#[test]
fn an_item_that_cannot_be_encoded_is_refused_and_the_rest_goes_on() {
    use super::wire::Awkward;
    let bench = Bench::new();
    let mut sink = bench.flows.begin().awkward().expect("it begins");
    let half = bench.begun();
    half.window(1000, LOTS);
    let sent = |number: i64| Awkward { number };
    for number in 0..20 {
        let error = sink.send(sent(-1)).expect_err("it cannot be encoded");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::InvalidArgument, Ran::No)
        );
        let expected = format!("item {number} for flows.v1.awkward cannot be encoded");
        assert!(error.to_string().contains(&expected), "{error}");
        sink.send(sent(number)).expect("the rest goes on");
        // Nor does one that panics take others along.
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = sink.send(sent(-2));
        }));
        assert!(caught.is_err());
    }
    half.window(1001, LOTS);
    let mut came = Vec::new();
    while came.len() < 20 {
        let (first, items, _) = half.heard_items::<i64>();
        assert_eq!(first, came.len() as u64);
        came.extend(items);
    }
    assert_eq!(came, (0..20).collect::<Vec<i64>>());
}

#[test]
fn bytes_in_an_encoding_of_their_own_go_one_by_one() {
    let bench = Bench::new();
    let mut both = bench.flows.raw(b"to begin").expect("it begins");
    let half = bench.begun();
    half.window(1000, LOTS);
    for count in 0..20 {
        both.send(vec![count; usize::from(count)])
            .expect("there is room");
    }
    for count in 0..20 {
        let Heard::Items(head, parts) = half.heard() else {
            panic!("no items");
        };
        assert_eq!((head.first, head.count), (count, 1));
        assert_eq!(parts[..], [Frame::from(vec![count as u8; count as usize])]);
    }
    half.message(&half.head(0, 1), &[Frame::from_static(b"\xc1 anything")]);
    assert_eq!(both.next(), Some(Ok(b"\xc1 anything".to_vec())));
}
