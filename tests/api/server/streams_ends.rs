//! How streams end that do not end by themselves: cancelled, out of time, deserted, drained.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brokerless::wire::Flow;
use brokerless::{Code, Ran};

use super::flow::{PLENTY, Watched, serve};
use super::support::{Caller, Got, LEFT, PATIENCE, one, until};

/// Time left for a call that is to have begun before it is over, on a busy machine, too.
const BEGINS: Duration = Duration::from_secs(2);
/// What a drain leaves those who go on for a while.
const DRAIN: Duration = Duration::from_secs(5);

/// The iterator was dropped by one of the server's workers.
#[track_caller]
fn dropped_on_a_worker(flow: &Watched) {
    let name = flow.dropped.recv_timeout(PATIENCE).expect("it is dropped");
    assert!(name == "bl-worker" || name == "bl-disk", "on {name}");
}

#[test]
fn an_iterator_is_dropped_on_a_worker_whatever_ends_it() {
    let (server, flow) = serve(|builder| builder.drain_timeout(Duration::ZERO));
    let mut caller = Caller::greeted(&server);
    // Its end, an error, a cancellation while it waits for room.
    let id = caller.takes("flow.v1.count", 3, PLENTY);
    caller.drain(id, PLENTY);
    dropped_on_a_worker(&flow);
    let id = caller.takes("flow.v1.fails_at", 3, PLENTY);
    caller.drain(id, PLENTY);
    dropped_on_a_worker(&flow);
    for path in ["flow.v1.count", "flow.v1.on_disk"] {
        let id = caller.takes(path, 300, Flow::new(1, 1000));
        assert_eq!(caller.items(id), [0]);
        caller.cancel(id);
        let end = caller.next();
        assert_eq!(
            (end.error(id).0, end.error(id).1),
            (Code::Cancelled, Ran::Yes)
        );
        dropped_on_a_worker(&flow);
    }
    // The time for room.
    let id = caller.takes("flow.v1.impatient", 300, Flow::new(1, 1000));
    assert_eq!(caller.items(id), [0]);
    assert_eq!(caller.next().error(id).0, Code::DeadlineExceeded);
    dropped_on_a_worker(&flow);
    // The caller's end.
    let mut other = Caller::greeted(&server);
    let id = other.takes("flow.v1.count", 300, Flow::new(1, 1000));
    assert_eq!(other.items(id), [0]);
    drop(other);
    dropped_on_a_worker(&flow);
    until(&server, "nothing is in flight", |stats| {
        stats.in_flight == 0
    });
    // The server's end.
    let id = caller.takes("flow.v1.count", 300, Flow::new(1, 1000));
    assert_eq!(caller.items(id), [0]);
    let report = server.stop();
    assert_eq!((report.streams, report.running), (1, 0));
    dropped_on_a_worker(&flow);
}

#[test]
fn a_cancel_ends_an_iterator_that_runs_before_its_next_item() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.stepped", 300, PLENTY);
    flow.step.send(()).unwrap();
    assert_eq!(caller.items(id), [0]);
    caller.cancel(id);
    until(&server, "it is heard", |stats| stats.cancels == 1);
    flow.step.send(()).unwrap();
    let end = caller.next();
    assert_eq!(end.error(id).0, Code::Cancelled);
    assert_eq!(flow.made.load(Ordering::SeqCst), 2);
    dropped_on_a_worker(&flow);
    assert_eq!(server.stats().in_flight, 0);
}

#[test]
fn a_handler_that_waits_for_items_hears_of_the_end() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let said = |expected: &str| {
        assert_eq!(flow.said.recv_timeout(PATIENCE).as_deref(), Ok("begun"));
        let said = flow.said.recv_timeout(PATIENCE).expect("it ends");
        assert!(said.contains(expected), "{said}");
    };
    // A cancellation.
    let id = caller.sends("flow.v1.seen");
    caller.window(id);
    caller.put(id, 0, &[1u64], false);
    until(&server, "it came", |stats| stats.streams.items_in == 1);
    caller.cancel(id);
    said("cancelled");
    let end = loop {
        match caller.next() {
            Got::Window(..) => {}
            end => break end,
        }
    };
    assert_eq!(end.error(id).0, Code::Cancelled, "though it gave an answer");
    // The deadline of the call.
    let id = caller.begin_with("flow.v1.seen", super::support::none(), BEGINS, |head| {
        head.flags = brokerless::wire::Flags::ITEMS_IN
    });
    caller.window(id);
    assert_eq!(caller.next().error(id).0, Code::DeadlineExceeded);
    said("deadline");
    // The caller's end.
    let mut other = Caller::greeted(&server);
    let id = other.sends("flow.v1.seen");
    other.window(id);
    drop(other);
    said("gone");
    until(&server, "nothing is in flight", |stats| {
        stats.in_flight == 0 && stats.streams.open == 0
    });
}

#[test]
fn a_caller_that_gives_no_room_is_told_at_the_item_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(2500);
    let (server, flow) = serve(|builder| builder.item_timeout(TIMEOUT));
    let mut caller = Caller::greeted(&server);
    let began = Instant::now();
    let id = caller.takes("flow.v1.count", 300, Flow::new(1, 1000));
    assert_eq!(caller.items(id), [0]);
    // Room in time begins the time anew.
    for at in 1..4 {
        let granted = Instant::now();
        caller.grant(id, at + 1, 1000);
        assert_eq!(caller.items(id), [at]);
        let over = crossbeam_channel::at(granted + TIMEOUT * 2 / 5);
        over.recv().expect("it is sent once the time is over");
    }
    assert!(began.elapsed() > TIMEOUT);
    let end = caller.next();
    let (code, ran, message) = end.error(id);
    assert_eq!((code, ran), (Code::DeadlineExceeded, Ran::Yes));
    assert!(
        message.contains("room") && message.contains("2.5s"),
        "{message}"
    );
    dropped_on_a_worker(&flow);
    assert_eq!(server.stats().in_flight, 0);
}

#[test]
fn a_stream_that_waits_for_room_ends_by_its_deadline() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes_with("flow.v1.count", one(&300u64), Flow::new(1, 1000), BEGINS);
    assert_eq!(caller.items(id), [0]);
    let end = caller.next();
    let (code, ran, message) = end.error(id);
    assert_eq!((code, ran), (Code::DeadlineExceeded, Ran::Yes));
    assert!(message.contains("deadline"), "{message}");
    dropped_on_a_worker(&flow);
    // And one that is never short of room.
    let left = Duration::from_millis(50);
    let id = caller.takes_with("flow.v1.count", one(&u64::MAX), PLENTY, left);
    let (mut taken, mut bytes) = (0, 0);
    let end = loop {
        match caller.next() {
            Got::Items(head, payload) => {
                taken += u64::from(head.count);
                bytes += payload.bytes() as u64;
                caller.grant(id, taken + (1 << 20), bytes + (1 << 30));
            }
            end => break end,
        }
    };
    assert_eq!(end.error(id).0, Code::DeadlineExceeded);
}

#[test]
fn a_drain_lets_streams_run_on_and_cuts_what_is_left() {
    let (server, flow) = serve(|builder| builder.workers(4));
    let mut caller = Caller::greeted(&server);
    let runs_on = caller.takes("flow.v1.stepped", 3, PLENTY);
    let parked = caller.takes("flow.v1.count", 300, Flow::new(1, 1000));
    assert_eq!(caller.items(parked), [0]);
    let waits = caller.sends("flow.v1.total");
    caller.window(waits);
    let stopping = std::thread::spawn(move || server.stop_within(DRAIN));
    assert!(matches!(caller.next(), Got::Bye(_)));
    // It still sends, and is answered.
    for at in 0..3 {
        flow.step.send(()).unwrap();
        assert_eq!(caller.items(runs_on), [at]);
    }
    caller.next().value::<()>(runs_on);
    // The others are told at the deadline; what the handler made of a part is no answer.
    let mut left = vec![parked, waits];
    while !left.is_empty() {
        let end = caller.next();
        let Got::Error { id, .. } = end else {
            panic!("{end:?}");
        };
        assert_eq!(
            (end.error(id).0, end.error(id).1),
            (Code::Unavailable, Ran::Yes)
        );
        left.retain(|other| *other != id);
    }
    let report = stopping.join().expect("no panic");
    assert_eq!((report.streams, report.running, report.refused), (2, 0, 0));
    assert!(!report.is_clean());
    dropped_on_a_worker(&flow);
    dropped_on_a_worker(&flow);
}

#[test]
fn a_drain_without_streams_to_cut_is_clean() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.count", 3, PLENTY);
    caller.drain(id, PLENTY);
    let stopping = std::thread::spawn(move || server.stop());
    assert!(matches!(caller.next(), Got::Bye(_)));
    caller.bye();
    let report = stopping.join().expect("no panic");
    assert!(report.is_clean() && report.streams == 0, "{report:?}");
}

#[test]
fn a_caller_that_leaves_in_the_middle_leaves_nothing_behind() {
    let (server, flow) = serve(|builder| builder.workers(2));
    for round in 0..20u64 {
        let mut caller = Caller::greeted(&server);
        for _ in 0..4 {
            caller.takes_with(
                "flow.v1.count",
                one(&u64::MAX),
                Flow::new(1 << 20, 1 << 30),
                LEFT,
            );
        }
        let id = caller.takes("flow.v1.count", 300, Flow::new(round, 1000));
        let sends = caller.both("flow.v1.chat", PLENTY);
        caller.put(sends, 0, &[1u64], false);
        let _ = (caller.next(), id);
        drop(caller);
        until(&server, "nothing is left", |stats| {
            stats.in_flight == 0 && stats.streams.open == 0 && stats.callers == 0
        });
    }
    let begun = server.stats().streams.begun;
    assert!(begun >= 20, "too few to tell: {begun}");
    for name in flow.dropped.try_iter() {
        assert_eq!(name, "bl-worker");
    }
    until(&server, "the books balance", |stats| {
        let refused: u64 = stats.refused.values().sum();
        let dropped = |reason| stats.dropped.get(reason).copied().unwrap_or(0);
        let lost = dropped("caller-gone") + dropped("duplicate-call");
        stats.calls == stats.answered + stats.failed + refused + lost
    });
}
