//! Methods that send items: order, room, batches, turns, and what the answer says.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brokerless::patterns::Options;
use brokerless::server::Next;
use brokerless::service::{Outcome, Request};
use brokerless::wire::{Encoding, Flags, Flow, Payload, decode_value};
use brokerless::{Code, Ran, Status};

use super::flow::{PLENTY, eventually, serve};
use super::support::{Caller, Got, LEFT, PATIENCE, none, one, until};
use crate::rounds::in_rounds;

#[test]
fn a_method_that_sends_items_is_answered_after_all_of_them() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    for (path, number) in [
        ("flow.v1.count", 3),
        ("flow.v1.on_disk", 1000),
        ("flow.v1.count", 0),
    ] {
        let id = caller.takes(path, number, PLENTY);
        let (items, end) = caller.drain(id, PLENTY);
        assert_eq!(items, (0..number).collect::<Vec<_>>());
        end.value::<()>(id);
    }
    assert_eq!(flow.made.load(Ordering::SeqCst), 1003);
    let stats = server.stats();
    assert_eq!((stats.streams.begun, stats.streams.open), (3, 0));
    assert_eq!((stats.streams.items_out, stats.streams.items_in), (1003, 0));
    assert_eq!((stats.answered, stats.in_flight), (3, 0));
}

#[test]
fn a_producer_makes_at_most_its_credit_and_one_item() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.count", 1_000_000, Flow::new(10, 1 << 20));
    let mut taken: Vec<u64> = Vec::new();
    for granted in [10u64, 25, 26, 1000] {
        caller.grant(id, granted, 1 << 20);
        while (taken.len() as u64) < granted {
            taken.extend(caller.items(id));
        }
        assert_eq!(taken.len() as u64, granted);
        // The next one is not made before there is room for it.
        assert_eq!(flow.made.load(Ordering::SeqCst), granted);
    }
    // By bytes: an item is known to be too large once it is made.
    let id = caller.takes("flow.v1.blobs", 1000, Flow::new(100, 1500));
    assert!(matches!(caller.next(), Got::Items(head, _) if head.id == id && head.first == 0));
    eventually("the second is made", || {
        flow.made.load(Ordering::SeqCst) == 1002
    });
    caller.grant(id, 101, 2502);
    assert!(matches!(caller.next(), Got::Items(head, _) if head.id == id && head.first == 1));
    eventually("the third is made, and waits", || {
        flow.made.load(Ordering::SeqCst) == 1003
    });
    assert_eq!(server.stats().streams.open, 2);
}

#[test]
fn an_item_larger_than_the_window_goes_by_itself() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.blobs", 5000, Flow::new(8, 100));
    for first in 0..3u64 {
        let Got::Items(head, payload) = caller.next() else {
            panic!("items");
        };
        assert_eq!((head.first, head.count), (first, 1));
        assert_eq!(payload.blobs[0].len(), 5000);
        let taken = (first + 1) * payload.bytes() as u64;
        caller.grant(id, first + 9, taken + 100);
    }
    caller.next().value::<()>(id);
}

#[test]
fn items_gather_while_the_caller_is_slow_and_go_when_a_window_comes() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.stepped", 1000, Flow::new(100, 1 << 20));
    // One message each, as long as few are on their way.
    for at in 0..4 {
        flow.step.send(()).unwrap();
        assert_eq!(caller.items(id), [at]);
    }
    // The next ones stay, though their iterator goes on to wait.
    for at in 5..9 {
        flow.step.send(()).unwrap();
        eventually("it is made", || flow.made.load(Ordering::SeqCst) == at);
    }
    caller.grant(id, 101, 1 << 20);
    let gathered = caller.items(id);
    assert!(!gathered.is_empty() && gathered.len() <= 4, "{gathered:?}");
    // Whatever had not gathered by then goes with the next window.
    let mut taken = 4 + gathered.len() as u64;
    while taken < 8 {
        caller.grant(id, 100 + taken, 1 << 20);
        taken += caller.items(id).len() as u64;
    }
    assert_eq!(taken, 8);
    drop(flow.step);
    caller.next().value::<()>(id);
}

#[test]
fn the_answer_comes_after_all_items_whoever_sends_them() {
    let (server, _flow) = serve(|builder| builder.workers(4));
    let mut caller = Caller::greeted(&server);
    // Windows come all the time, so that threads that hear them send what gathers.
    for size in [1, 3, 7, 300] {
        let size = Flow::new(size, 1 << 16);
        for _ in 0..20 {
            let id = caller.takes("flow.v1.count", 500, size);
            let (items, end) = caller.drain(id, size);
            assert_eq!(items.len(), 500);
            end.value::<()>(id);
        }
    }
    until(&server, "all have ended", |stats| stats.streams.open == 0);
}

#[test]
fn items_with_blobs_and_raw_ones_go_alone() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.blobs", 3, PLENTY);
    for first in 0..3 {
        let Got::Items(head, payload) = caller.next() else {
            panic!("items");
        };
        assert_eq!((head.id, head.first, head.count), (id, first, 1));
        assert_eq!(payload.body[..], [0], "the first of its own blobs");
        assert_eq!(payload.blobs.to_vec(), [&[7u8; 3][..]]);
    }
    caller.next().value::<()>(id);
    let id = caller.begin_with("flow.v1.raw", Payload::raw(&b"abc"[..]), LEFT, |head| {
        head.flags = Flags::ITEMS_OUT;
        head.window = Some(PLENTY);
        head.encoding = Encoding::Raw;
    });
    for (first, bytes) in [&b"abc"[..], b"", b"abc"].into_iter().enumerate() {
        let Got::Items(head, payload) = caller.next() else {
            panic!("items");
        };
        assert_eq!((head.first, head.count), (first as u64, 1));
        assert_eq!(payload.body, bytes);
    }
    caller.next().value::<()>(id);
}

#[test]
fn a_status_in_the_middle_comes_after_the_items_before_it() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.fails_at", 300, PLENTY);
    let (items, end) = caller.drain(id, PLENTY);
    assert_eq!(items.len(), 300);
    assert_eq!(
        end.error(id),
        (Code::NotFound, Ran::Yes, "no more of these")
    );
    assert_eq!(server.stats().failed, 1);
}

#[test]
fn a_methods_own_error_of_opening_is_typed() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes_with("flow.v1.refuses", none(), PLENTY, LEFT);
    match caller.next() {
        Got::Error {
            id: of,
            typed: Some(typed),
            ..
        } => {
            assert_eq!(of, id);
            assert_eq!(decode_value::<&str>(&typed.body), Ok("its own"));
        }
        other => panic!("no error of the method's own: {other:?}"),
    }
    let id = caller.takes_with("flow.v1.count", one("three"), PLENTY, LEFT);
    let end = caller.next();
    let (code, ran, message) = end.error(id);
    assert_eq!((code, ran), (Code::InvalidArgument, Ran::No), "{message}");
}

#[test]
fn a_panic_in_an_iterator_ends_its_stream_and_nothing_else() {
    let (server, flow) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    for number in [0, 5, 200] {
        let id = caller.takes("flow.v1.panics_at", number, PLENTY);
        let (items, end) = caller.drain(id, PLENTY);
        assert_eq!(items.len() as u64, number);
        let (code, ran, message) = end.error(id);
        assert_eq!((code, ran), (Code::Internal, Ran::Yes));
        assert!(message.contains("flow.v1.panics_at"), "{message}");
        flow.dropped.recv_timeout(PATIENCE).expect("it is dropped");
    }
    let id = caller.takes("flow.v1.count", 3, PLENTY);
    assert_eq!(caller.drain(id, PLENTY).0.len(), 3);
    assert_eq!(server.stats().panicked, 3);
}

/// What each of many streams has brought so far.
struct Taken {
    of: Vec<(u64, u64)>,
    first: u64,
    size: Flow,
}

impl Taken {
    /// Takes the next message; says whether it ended a stream.
    #[track_caller]
    fn next(&mut self, caller: &Caller) -> bool {
        match caller.next() {
            Got::Items(head, payload) => {
                let (items, bytes) = &mut self.of[(head.id - self.first) as usize];
                assert_eq!(head.first, *items, "in order");
                *items += u64::from(head.count);
                *bytes += payload.bytes() as u64;
                caller.grant(head.id, *items + self.size.items, *bytes + self.size.bytes);
                false
            }
            Got::Reply { .. } => true,
            other => panic!("{other:?}"),
        }
    }

    fn items(&self) -> Vec<u64> {
        self.of.iter().map(|(items, _)| *items).collect()
    }
}

#[test]
fn a_thousand_streams_are_served_fairly_by_four_workers() {
    in_rounds("a thousand streams", fairly_by_four_workers);
}

/// What fails only where some had more than others: one whose worker is not run has less meanwhile.
fn fairly_by_four_workers() -> Result<(), String> {
    const STREAMS: usize = 1000;
    const ITEMS: u64 = 1200;
    let (server, _flow) = serve(|builder| builder.workers(4).window(2 * STREAMS as u32));
    let mut caller = Caller::greeted(&server);
    let size = Flow::new(32, 1 << 20);
    // All of it takes a while without optimisation, on cores that others want, too.
    let left = 10 * LEFT;
    let ids: Vec<u64> = (0..STREAMS)
        .map(|_| caller.takes_with("flow.v1.count", one(&ITEMS), size, left))
        .collect();
    let mut taken = Taken {
        of: vec![(0, 0); STREAMS],
        first: ids[0],
        size,
    };
    let mut left = STREAMS;
    // From when all have begun until the first is about to end.
    while taken.of.contains(&(0, 0)) {
        left -= usize::from(taken.next(&caller));
    }
    let before = taken.items();
    while taken
        .of
        .iter()
        .all(|(items, _)| *items < ITEMS - 2 * size.items)
    {
        left -= usize::from(taken.next(&caller));
    }
    let none_has_ended = left == STREAMS;
    let got = before
        .iter()
        .zip(taken.items())
        .map(|(before, after)| after - before);
    let mut got: Vec<u64> = got.collect();
    got.sort_unstable();
    let mean = got.iter().sum::<u64>() / STREAMS as u64;
    let (least, most) = (got[0], got[STREAMS - 1]);
    // One that has just had its turn is ahead by it, and by its window, which is on its way.
    let fair = mean / 10;
    let is_fair = most - mean <= fair && mean - least <= fair;
    while left > 0 {
        left -= usize::from(taken.next(&caller));
    }
    assert!(taken.items().iter().all(|items| *items == ITEMS));
    let stats = server.stats();
    assert_eq!(stats.streams.items_out, STREAMS as u64 * ITEMS);
    assert_eq!((stats.streams.open, stats.in_flight), (0, 0));
    let default = &stats.pools[0];
    assert!(default.queued_most > 0, "they queued: {default:?}");
    // Of fewer it could not be told.
    if is_fair && none_has_ended && mean > 800 {
        Ok(())
    } else {
        Err(format!("{least} to {most}, {mean} on average"))
    }
}

#[test]
fn streams_that_wait_for_room_keep_no_worker() {
    let (server, _flow) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    for _ in 0..8 {
        let id = caller.takes("flow.v1.count", 100, Flow::new(1, 1000));
        assert_eq!(caller.items(id), [0]);
    }
    until(&server, "no worker runs", |stats| {
        stats.pools.iter().all(|pool| pool.running == 0)
    });
    assert_eq!(server.stats().streams.open, 8);
    let id = caller.takes("flow.v1.count", 3, PLENTY);
    assert_eq!(caller.drain(id, PLENTY).0, [0, 1, 2]);
}

#[test]
fn items_without_room_in_the_socket_are_kept_until_there_is_some() {
    let transport = Options::new().send_bytes_max(64 << 10);
    let transport = transport.heartbeat_interval(None);
    let (server, _flow) = serve(|builder| builder.transport(transport));
    // It takes what comes only when it is asked to, and sees no PING before that.
    let options = Options::new().recv_messages_max(1).recv_bytes_max(1024);
    let options = options.heartbeat_interval(None);
    let mut slow = Caller::with(&server.local_endpoints()[0].to_string(), options);
    slow.hello(2, 1, "slow");
    let id = slow.takes("flow.v1.blobs", 4 << 20, Flow::new(10, 1 << 30));
    let mut other = Caller::greeted(&server);
    let count = other.takes("flow.v1.count", 3000, PLENTY);
    assert_eq!(
        other.drain(count, PLENTY).0.len(),
        3000,
        "it costs no other"
    );
    for first in 0..3 {
        let Got::Items(head, payload) = slow.next() else {
            panic!("items");
        };
        assert_eq!(
            (head.id, head.first, payload.blobs[0].len()),
            (id, first, 4 << 20)
        );
    }
    slow.next().value::<()>(id);
    // But for windows that came late.
    let dropped = server.stats().dropped;
    let lost = dropped.keys().any(|reason| *reason != "stream-over");
    assert!(!lost, "{dropped:?}");
}

#[test]
fn streams_that_wait_for_room_in_the_socket_have_it_in_turn() {
    in_rounds("streams that wait for room", waiting_for_room);
}

/// What streams get that wait for room in the socket, if it is fair, or else how far from it.
fn waiting_for_room() -> Result<(), String> {
    const STREAMS: u64 = 100;
    // Messages that are taken at once.
    const AT_ONCE: u64 = 20;
    let transport = Options::new()
        .send_messages_max(16)
        .send_buffer_bytes(Some(16 << 10));
    let transport = transport.heartbeat_interval(None);
    let (server, flow) = serve(|builder| builder.workers(4).window(256).transport(transport));
    // It takes what comes only when it is asked to.
    let options = Options::new()
        .recv_messages_max(4)
        .recv_bytes_max(4096)
        .recv_buffer_bytes(Some(16 << 10));
    let options = options.heartbeat_interval(None);
    let mut caller = Caller::with(&server.local_endpoints()[0].to_string(), options);
    caller.hello(2, 1, "slow");
    let begin = |_| caller.takes_with("flow.v1.count", one(&u64::MAX), PLENTY, 10 * LEFT);
    let first = (0..STREAMS).map(begin).min().expect("some");
    let none_has_room = || {
        let (mut made, mut since) = (0, Instant::now());
        eventually("none has room", || {
            let now = flow.made.load(Ordering::SeqCst);
            if std::mem::replace(&mut made, now) != now {
                since = Instant::now();
            }
            since.elapsed() > Duration::from_millis(20)
        });
    };
    let mut taken = vec![0u64; STREAMS as usize];
    let mut take = |times: u64| {
        for _ in 0..times {
            none_has_room();
            for _ in 0..AT_ONCE {
                let Got::Items(head, _) = caller.next() else {
                    panic!("items");
                };
                taken[(head.id - first) as usize] += u64::from(head.count);
            }
        }
        taken.clone()
    };
    // What they found room for at first was not in turn.
    let before = take(5);
    let after = take(75);
    let got = before
        .iter()
        .zip(after)
        .map(|(before, after)| after - before);
    let mut got: Vec<u64> = got.collect();
    got.sort_unstable();
    // One that has just had its turn is ahead by a message, of about twelve.
    let (least, most) = (got[0], got[STREAMS as usize - 1]);
    let mean = got.iter().sum::<u64>() / STREAMS;
    let fair = mean * 85 / 100..=mean * 115 / 100;
    if fair.contains(&least) && fair.contains(&most) {
        Ok(())
    } else {
        Err(format!("{least} to {most}, {mean} on average"))
    }
}

#[test]
fn windows_that_fall_come_late_or_know_no_bounds_do_no_harm() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.count", 30, Flow::new(10, 1000));
    let mut taken = Vec::new();
    while taken.len() < 10 {
        taken.extend(caller.items(id));
    }
    caller.grant(id, 3, 7);
    caller.grant(id, 0, 0);
    caller.grant(id, 10, 1000);
    caller.grant(77, 10, 1000);
    assert_eq!(flow.made.load(Ordering::SeqCst), 10);
    caller.grant(id, u64::MAX, u64::MAX);
    while taken.len() < 30 {
        taken.extend(caller.items(id));
    }
    assert_eq!(taken, (0..30).collect::<Vec<_>>());
    caller.next().value::<()>(id);
    for _ in 0..20 {
        caller.grant(id, 10, 1000);
    }
    until(
        &server,
        "the late ones are counted, but for the last",
        |stats| stats.dropped.get("stream-over").copied() >= Some(4),
    );
    // For one who grants all at once and then says nothing, nothing is held back.
    let boundless = Flow::new(u64::MAX, u64::MAX);
    let id = caller.takes("flow.v1.stepped", 20, boundless);
    for at in 0..20 {
        flow.step.send(()).unwrap();
        assert_eq!(caller.items(id), [at]);
    }
    caller.next().value::<()>(id);
    let id = caller.takes("flow.v1.count", 3, Flow::new(0, 0));
    caller.grant(id, 3, 3);
    assert_eq!(caller.drain(id, PLENTY).0, [0, 1, 2]);
}

#[test]
fn an_item_with_a_part_over_the_limit_ends_the_stream() {
    let (server, _flow) = serve(|builder| builder.blob_bytes_max(1000));
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.blobs", 1001, PLENTY);
    let end = caller.next();
    let (code, ran, message) = end.error(id);
    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::Yes));
    assert!(
        message.contains("1001") && message.contains("blob_bytes_max"),
        "{message}"
    );
}

#[test]
fn interceptors_surround_the_opening() {
    let intercept = |request: Request<'_>, next: Next<'_>| match request.running.metadata().len() {
        0 => match next.run(request) {
            Outcome::Later => Outcome::Later,
            other => other,
        },
        1 => Outcome::refused(Status::unauthenticated("nobody knows you")),
        // After the method was opened.
        _ => {
            drop(next.run(request));
            Outcome::failed(Status::aborted("thought better of it"))
        }
    };
    let (server, flow) = serve(|builder| builder.interceptor(intercept));
    let mut caller = Caller::greeted(&server);
    let id = caller.takes("flow.v1.count", 3, PLENTY);
    assert_eq!(caller.drain(id, PLENTY).0.len(), 3);
    flow.dropped.recv_timeout(PATIENCE).expect("it ended");
    for (entries, code) in [(1, Code::Unauthenticated), (2, Code::Aborted)] {
        let mut along = brokerless::Metadata::new();
        for entry in 0..entries {
            along.insert(format!("key{entry}"), "value").unwrap();
        }
        let id = caller.number();
        let mut head = brokerless::wire::CallHead::new(id, "flow.v1.count", 60_000_000);
        head.flags = Flags::ITEMS_OUT;
        head.window = Some(PLENTY);
        head.metadata = brokerless::wire::CallMetadata::from(&along);
        let envelope = brokerless::wire::encode_call(&head, caller.version).unwrap();
        caller.send(one(&3u64).into_message(envelope));
        assert_eq!(caller.next().error(id).0, code);
    }
    let dropped = flow.dropped.recv_timeout(PATIENCE);
    assert!(dropped.is_ok(), "what was opened is dropped");
    assert_eq!(flow.made.load(Ordering::SeqCst), 3);
}
