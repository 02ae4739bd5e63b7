//! Methods that are sent items: the first window, order, the end, and callers that break rules.

use std::time::Duration;

use brokerless::patterns::Message;
use brokerless::wire::{Flow, ItemsHead, Payload, encode_items, encode_stop};
use brokerless::{Code, Ran};

use super::flow::{SHORT, eventually, items, serve};
use super::support::{Caller, Got, PATIENCE, none, until};

#[test]
fn items_are_taken_until_the_last_and_then_answered() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    for count in [0i64, 1, 5, 500] {
        let id = caller.sends("flow.v1.total");
        assert_eq!(caller.window(id), Flow::new(32 * 1024, 1 << 20));
        let values: Vec<i64> = (0..count).collect();
        for (at, value) in values.iter().enumerate() {
            caller.put(id, at as u64, &[*value], false);
        }
        caller.put::<i64>(id, count as u64, &[], true);
        let total = loop {
            match caller.next() {
                Got::Window(of, _) if of == id => {}
                got => break got.value::<i64>(id),
            }
        };
        assert_eq!(total, values.iter().sum::<i64>());
    }
    let stats = server.stats();
    assert_eq!((stats.streams.begun, stats.streams.open), (4, 0));
    assert_eq!(stats.streams.items_in, 506);
    assert_eq!((stats.answered, stats.in_flight), (4, 0));
}

#[test]
fn a_caller_sends_nothing_before_the_handler_has_begun() {
    let (server, flow) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    // The only worker is busy.
    let first = caller.sends("flow.v1.held");
    assert_eq!(flow.said.recv_timeout(PATIENCE).as_deref(), Ok("begun"));
    caller.window(first);
    let second = caller.sends("flow.v1.held");
    let third = caller.sends("flow.v1.held");
    until(&server, "they wait", |stats| stats.pools[0].queued == 2);
    caller.cancel(third);
    let got = caller.next();
    assert_eq!(
        got.error(third).1,
        Ran::No,
        "no item of it can have been sent"
    );
    // Without a window, items are none of a stream's.
    caller.put(second, 0, &[1u64], true);
    until(&server, "they come to nothing", |stats| {
        stats.dropped.get("stream-over") == Some(&1)
    });
    caller.put(first, 0, &[5u64], true);
    flow.step.send(()).unwrap();
    assert_eq!(caller.next().value::<u64>(first), 5);
    caller.window(second);
    caller.put(second, 0, &[2u64], true);
    flow.step.send(()).unwrap();
    assert_eq!(caller.next().value::<u64>(second), 2);
}

#[test]
fn items_that_come_out_of_order_are_given_in_order() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.sends("flow.v1.seen");
    caller.window(id);
    caller.put(id, 4, &[4u64, 5], true);
    caller.put(id, 1, &[1u64, 2], false);
    caller.put(id, 3, &[3u64], false);
    caller.put(id, 0, &[0u64], false);
    let seen: Vec<String> = caller.next().value(id);
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn room_is_told_when_half_is_taken_and_before_the_handler_waits() {
    let (server, flow) = serve(|builder| builder.stream_items(8));
    let mut caller = Caller::greeted(&server);
    let id = caller.sends("flow.v1.held");
    assert_eq!(caller.window(id).items, 8);
    for at in 0..8 {
        caller.put(id, at, &[1u64], false);
    }
    until(&server, "they came", |stats| stats.streams.items_in == 8);
    flow.step.send(()).unwrap();
    // Four of them are half; and then there are none.
    assert_eq!(caller.window(id), Flow::new(12, (1 << 20) + 4));
    assert_eq!(caller.window(id), Flow::new(16, (1 << 20) + 8));
    caller.put(id, 8, &[1u64; 8], true);
    assert_eq!(caller.next().value::<u64>(id), 16);
}

#[test]
fn an_item_that_does_not_decode_is_named_and_the_rest_comes() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.sends("flow.v1.seen");
    caller.window(id);
    let mut body = items(&[1u64, 2]).body.to_vec();
    body.extend_from_slice(&items(&["three"]).body);
    body.extend_from_slice(&items(&[4u64]).body);
    caller.put_as(ItemsHead::new(id, 0, 4), Payload::raw(body));
    caller.put(id, 4, &[5u64], true);
    let seen: Vec<String> = loop {
        match caller.next() {
            Got::Window(..) => {}
            got => break got.value(id),
        }
    };
    assert_eq!(seen.len(), 5);
    assert_eq!((seen[0].as_str(), seen[1].as_str()), ("1", "2"));
    assert_eq!(seen[2], "item 2 wants u64: a str of 5 bytes came");
    assert_eq!((seen[3].as_str(), seen[4].as_str()), ("4", "5"));
    flow.said.recv_timeout(PATIENCE).unwrap();
    let said = flow.said.recv_timeout(PATIENCE);
    assert_eq!(said.as_deref(), Ok("5 items, the last 5"));
    assert!(server.stats().streams.violations.is_empty());
}

#[test]
fn a_handler_that_has_enough_tells_the_caller_to_stop() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.sends("flow.v1.first");
    caller.window(id);
    caller.put(id, 0, &[7u64, 8, 9], false);
    assert_eq!(caller.next(), Got::Stop(id));
    // What crossed with it is passed over.
    caller.put(id, 3, &[10u64], false);
    assert_eq!(caller.next().value::<u64>(id), 7);
    caller.put(id, 4, &[11u64], true);
    until(&server, "the late ones are counted", |stats| {
        stats
            .dropped
            .get("stream-over")
            .is_some_and(|late| *late >= 1)
    });
    caller.put(id, 5, &[11u64], true);
    until(&server, "and those after the answer", |stats| {
        stats
            .dropped
            .get("stream-over")
            .is_some_and(|late| *late >= 2)
    });
    assert_eq!(server.stats().in_flight, 0);
}

#[test]
fn an_end_without_items_that_overtakes_its_call_is_heard() {
    let (server, flow) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    // The only worker is busy.
    let first = caller.sends("flow.v1.held");
    assert_eq!(flow.said.recv_timeout(PATIENCE).as_deref(), Ok("begun"));
    caller.window(first);
    let second = caller.sends("flow.v1.total");
    until(&server, "it waits", |stats| stats.pools[0].queued == 1);
    caller.put::<i64>(second, 0, &[], true);
    caller.put(first, 0, &[5u64], true);
    flow.step.send(()).unwrap();
    assert_eq!(caller.next().value::<u64>(first), 5);
    loop {
        match caller.next() {
            Got::Window(id, _) => assert_eq!(id, second),
            other => break assert_eq!(other.value::<i64>(second), 0),
        }
    }
}

/// One way to break the rules: what is sent after the first window of 8 items and 1,024 bytes.
type Breach = (&'static str, fn(&Caller, u64), Code);

#[test]
fn a_caller_that_breaks_the_rules_loses_its_stream_and_nothing_else() {
    let breaches: [Breach; 9] = [
        (
            "over-window",
            |caller, id| caller.put(id, 0, &[1u64; 9], false),
            Code::InvalidArgument,
        ),
        (
            "over-window",
            |caller, id| caller.put(id, 0, &["x".repeat(600), "y".repeat(600)], false),
            Code::InvalidArgument,
        ),
        (
            "over-window",
            |caller, id| caller.put(id, 8, &[1u64], true),
            Code::InvalidArgument,
        ),
        (
            "twice",
            |caller, id| {
                caller.put(id, 1, &[1u64, 2], false);
                caller.put(id, 2, &[2u64], false);
            },
            Code::InvalidArgument,
        ),
        (
            "after-last",
            |caller, id| {
                caller.put(id, 1, &[1u64], true);
                caller.put(id, 2, &[2u64], false);
            },
            Code::InvalidArgument,
        ),
        (
            "out-of-order",
            |caller, id| caller.put::<u64>(id, 0, &[], false),
            Code::InvalidArgument,
        ),
        (
            "malformed",
            // Fewer values than it says.
            |caller, id| caller.put_as(ItemsHead::new(id, 0, 3), items(&[1u64, 2])),
            Code::InvalidArgument,
        ),
        (
            "malformed",
            |caller, id| {
                let head = [0x94, 0x09, id as u8, 0xc3, 0x01];
                caller.send(Message::from([&head[..], &b"\x01"[..]]));
            },
            Code::InvalidArgument,
        ),
        (
            "too-large",
            |caller, id| caller.put(id, 0, &["x".repeat(5000)], false),
            Code::ResourceExhausted,
        ),
    ];
    let (server, flow) = serve(|builder| {
        builder
            .stream_items(8)
            .stream_bytes(1024)
            .blob_bytes_max(4096)
    });
    let mut caller = Caller::greeted(&server);
    let mut other = Caller::greeted(&server);
    let good = other.sends("flow.v1.held");
    assert_eq!(other.window(good), Flow::new(8, 1024));
    for (at, (reason, breach, code)) in breaches.into_iter().enumerate() {
        let before = server
            .stats()
            .streams
            .violations
            .get(reason)
            .copied()
            .unwrap_or(0);
        let id = caller.sends("flow.v1.seen");
        caller.window(id);
        breach(&caller, id);
        let end = loop {
            match caller.next() {
                Got::Window(..) => {}
                got => break got,
            }
        };
        let (came, ran, message) = end.error(id);
        assert_eq!((came, ran), (code, Ran::Yes), "{at}, {reason}: {message}");
        let violations = server.stats().streams.violations;
        assert_eq!(
            violations.get(reason),
            Some(&(before + 1)),
            "{at}: {violations:?}"
        );
        // What comes for it from now on is nothing.
        caller.put(id, 0, &[1u64], true);
    }
    let total = caller.sends("flow.v1.total");
    caller.window(total);
    caller.put(total, 0, &[1i64, 2], true);
    assert_eq!(
        caller.next().value::<i64>(total),
        3,
        "its connection is as it was"
    );
    other.put(good, 0, &[5u64], true);
    flow.step.send(()).unwrap();
    assert_eq!(other.next().value::<u64>(good), 5);
    let stats = server.stats();
    assert_eq!((stats.streams.open, stats.in_flight), (0, 0));
    assert!(
        stats.sockets[0].closes.is_empty(),
        "{:?}",
        stats.sockets[0].closes
    );
}

#[test]
fn items_for_nobody_are_counted_and_keep_nothing() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    for at in 0..1000 {
        caller.put(at, 0, &[1u64; 100], at % 2 == 0);
        caller.grant(at, 1, 1);
    }
    caller.send(Message::single(encode_stop(5)));
    // One that has said nothing has no streams.
    let silent = Caller::silent(&server);
    silent.put(5, 0, &[1u64], true);
    let id = caller.sends("flow.v1.total");
    caller.window(id);
    caller.put::<i64>(id, 0, &[], true);
    assert_eq!(caller.next().value::<i64>(id), 0);
    until(&server, "all are counted", |stats| {
        // The last windows may yet be of calls that they have overtaken.
        stats.dropped.get("stream-over") >= Some(&1000)
            && stats.dropped.contains_key("unexpected-kind")
    });
    let stats = server.stats();
    assert_eq!((stats.streams.items_in, stats.streams.begun), (0, 1));
}

#[test]
fn what_is_kept_of_items_is_within_the_window_whatever_comes() {
    let (server, flow) = serve(|builder| builder.stream_items(1000).stream_bytes(64 << 10));
    let mut caller = Caller::greeted(&server);
    let id = caller.sends("flow.v1.held");
    let window = caller.window(id);
    // Behind a gap nothing can be taken: it is kept up to the window.
    let kilobyte = "x".repeat(1024 - 3);
    let mut sent = 0;
    while (sent + 1) * 1024 <= window.bytes {
        sent += 1;
        caller.put(id, sent, &[kilobyte.as_str()], false);
    }
    until(&server, "they came", |stats| stats.streams.items_in == sent);
    caller.put(id, sent + 1, &[kilobyte.as_str()], false);
    flow.step.send(()).unwrap();
    let end = caller.next();
    assert_eq!(end.error(id).0, Code::InvalidArgument);
    assert_eq!(server.stats().streams.items_in, sent);
}

#[test]
fn a_handler_waits_for_an_item_no_longer_than_its_method_says() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let began = std::time::Instant::now();
    let id = caller.sends("flow.v1.waits_briefly");
    caller.window(id);
    let end = caller.next();
    let (code, ran, message) = end.error(id);
    assert_eq!((code, ran), (Code::DeadlineExceeded, Ran::Yes));
    assert!(message.contains("100ms"), "{message}");
    assert!(began.elapsed() >= SHORT);
    assert_eq!(flow.said.recv_timeout(PATIENCE).as_deref(), Ok("begun"));
    let said = flow.said.recv_timeout(PATIENCE);
    assert_eq!(said.as_deref(), Ok("DEADLINE_EXCEEDED"));
}

#[test]
fn a_channel_of_items_is_selected_from() {
    let (server, flow) = serve(|builder| builder.stream_items(4));
    let mut caller = Caller::greeted(&server);
    let id = caller.sends("flow.v1.selects");
    let mut window = caller.window(id).items;
    for at in 0..40u64 {
        while at >= window {
            window = caller.window(id).items;
        }
        caller.put(id, at, &[at], at == 39);
    }
    let total = loop {
        match caller.next() {
            Got::Window(..) => {}
            got => break got.value::<u64>(id),
        }
    };
    assert_eq!(total, 39 * 40 / 2);
    // And of something else beside it.
    let id = caller.sends("flow.v1.selects");
    caller.window(id);
    caller.put(id, 0, &[3u64], false);
    flow.said.recv_timeout(PATIENCE).unwrap();
    let _ = flow.said.recv_timeout(PATIENCE);
    eventually("the item is taken", || {
        flow.step.send(()).unwrap();
        flow.said.recv_timeout(PATIENCE).as_deref() == Ok("3")
    });
    caller.cancel(id);
    let end = loop {
        match caller.next() {
            Got::Window(..) => {}
            got => break got,
        }
    };
    assert_eq!(end.error(id).0, Code::Cancelled);
}

#[test]
fn an_item_of_a_channel_that_is_dropped_makes_room() {
    let (server, _flow) = serve(|builder| builder.stream_items(2));
    let mut caller = Caller::greeted(&server);
    let id = caller.sends("flow.v1.drops");
    caller.window(id);
    // Its handler has dropped where the items came from, with the channel at hand.
    assert_eq!(caller.next(), Got::Stop(id));
    assert_eq!(caller.next().value::<u64>(id), 0);
    let id = caller.sends("flow.v1.selects");
    assert_eq!(caller.window(id).items, 2);
    let bad = items(&["no number"]);
    caller.put_as(ItemsHead::new(id, 0, 1), bad);
    // It ends with that, and all that was in the channel counts as taken.
    let end = loop {
        match caller.next() {
            Got::Window(..) | Got::Stop(..) => {}
            got => break got,
        }
    };
    assert_eq!(end.error(id).0, Code::InvalidArgument);
    assert_eq!(server.stats().streams.open, 0);
}

#[test]
fn handlers_that_wait_for_items_hold_up_no_other_call() {
    let (server, flow) = serve(|builder| builder.workers(4));
    let mut waiting = Caller::greeted(&server);
    let ids: Vec<u64> = (0..3)
        .map(|_| {
            let id = waiting.sends("flow.v1.seen");
            waiting.window(id);
            flow.said.recv_timeout(PATIENCE).expect("it has begun");
            id
        })
        .collect();
    let mut other = Caller::greeted(&server);
    for _ in 0..200 {
        let id = other.begin("flow.v1.plain", super::support::one(&1u64));
        assert_eq!(other.next().value::<u64>(id), 7);
    }
    // Beyond all workers, there is still a thread that receives.
    let last = waiting.sends("flow.v1.seen");
    waiting.window(last);
    let id = other.begin("desk.v1.nothing", none());
    assert_eq!(other.next().error(id).0, Code::Unimplemented);
    for id in ids.into_iter().chain([last]) {
        waiting.put(id, 0, &[1u64], true);
        let seen: Vec<String> = waiting.next().value(id);
        assert_eq!(seen, ["1"]);
    }
}

#[test]
fn items_written_in_other_forms_are_understood() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.sends("flow.v1.total");
    caller.window(id);
    // An array of 16 bits, and a kind of 8: the same thing.
    let head = encode_items(&ItemsHead::new(id, 0, 2));
    let mut long = vec![0xdc, 0x00, head[0] & 0x0f, 0xcc];
    long.extend_from_slice(&head[1..]);
    caller.send(Message::from([&long[..], &items(&[1i64, 2]).body[..]]));
    caller.put(id, 2, &[3i64], true);
    let total = loop {
        match caller.next() {
            Got::Window(..) => {}
            got => break got.value::<i64>(id),
        }
    };
    assert_eq!(total, 6);
    assert!(SHORT < Duration::from_secs(1));
}

#[test]
fn items_in_other_hands_end_with_the_answer() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    for _ in 0..50 {
        let began = std::time::Instant::now();
        let id = caller.sends("flow.v1.hands_on");
        caller.window(id);
        assert_eq!(caller.next().value::<u64>(id), 0);
        for said in ["begun", "waits", "CANCELLED"] {
            assert_eq!(flow.said.recv_timeout(PATIENCE).as_deref(), Ok(said));
        }
        // Not by the item timeout.
        assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    }
    assert_eq!(server.stats().streams.open, 0);
}

#[test]
fn windows_that_overtake_calls_which_wait_are_kept_for_each() {
    let (server, flow) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    let busy = caller.sends("flow.v1.held");
    caller.window(busy);
    // The first one is the reply's; these are granted nothing by their calls.
    const WAITING: u64 = 15;
    let waiting: Vec<u64> = (0..WAITING)
        .map(|_| caller.takes("flow.v1.count", 1, Flow::default()))
        .collect();
    // Late ones of streams that have ended, beside them.
    for id in waiting.iter().copied().chain(1_000..1_100) {
        caller.grant(id, 10, 1000);
    }
    until(&server, "they wait", |stats| {
        stats.pools[0].queued == WAITING as usize
    });
    flow.step.send(()).unwrap();
    caller.put(busy, 0, &[1u64], true);
    let mut ended = 0;
    while ended <= WAITING {
        match caller.next() {
            Got::Reply { .. } => ended += 1,
            Got::Items(..) => {}
            other => panic!("{other:?}"),
        }
    }
}
