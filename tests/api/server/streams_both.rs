//! Items both ways, and calls in a form that their methods have not got.

use brokerless::patterns::Message;
use brokerless::wire::{CallHead, Flags, Flow, ItemsHead, encode_call};
use brokerless::{Code, Ran};

use super::flow::{PLENTY, items, serve};
use super::support::{Caller, Got, LEFT, PATIENCE, none, one, until};

#[test]
fn a_ping_pong_costs_one_message_each_way() {
    let (server, _flow) = serve(|builder| builder.stream_items(4));
    let mut caller = Caller::greeted(&server);
    let id = caller.both("flow.v1.chat", Flow::new(4, 1000));
    assert_eq!(caller.window(id).items, 4);
    for at in 0..100u64 {
        let mut head = ItemsHead::new(id, at, 1);
        head.window = Some(Flow::new(at + 4, 1000 + 9 * at));
        caller.put_as(head, items(&[at]));
        let Got::Items(head, payload) = caller.next() else {
            panic!("an item");
        };
        assert_eq!((head.first, payload.body), (at, items(&[at * 2]).body));
        // The room for the next ones came along.
        assert_eq!(head.window.map(|window| window.items), Some(at + 5));
    }
    caller.put::<u64>(id, 100, &[], true);
    caller.next().value::<()>(id);
    let stats = server.stats();
    assert_eq!(
        (stats.streams.items_in, stats.streams.items_out),
        (100, 100)
    );
}

#[test]
fn many_chats_go_on_at_once_and_each_is_given_its_own() {
    const CHATS: u64 = 8;
    let (server, _flow) = serve(|builder| builder.workers(CHATS as usize));
    let mut caller = Caller::greeted(&server);
    let ids: Vec<u64> = (0..CHATS)
        .map(|_| caller.both("flow.v1.chat", PLENTY))
        .collect();
    let first = ids[0];
    for _ in 0..CHATS {
        assert!(matches!(caller.next(), Got::Window(..)));
    }
    let mut next = vec![0u64; CHATS as usize];
    for id in &ids {
        caller.put(*id, 0, &[1000 * (id - first)], false);
    }
    let mut ended = 0;
    while ended < CHATS {
        match caller.next() {
            Got::Items(head, payload) => {
                let at = (head.id - first) as usize;
                let number = 1000 * at as u64 + next[at];
                assert_eq!(head.first, next[at]);
                assert_eq!(payload.body, items(&[2 * number]).body);
                next[at] += 1;
                let last = next[at] == 200;
                if last {
                    caller.put::<u64>(head.id, next[at], &[], true);
                } else {
                    let mut more = ItemsHead::new(head.id, next[at], 1);
                    more.window = Some(Flow::new(next[at] + PLENTY.items, 1 << 31));
                    caller.put_as(more, items(&[number + 1]));
                }
            }
            Got::Window(..) => {}
            end => {
                let Got::Reply { id, .. } = end else {
                    panic!("{end:?}");
                };
                end.value::<()>(id);
                ended += 1;
            }
        }
    }
    until(&server, "all have ended", |stats| stats.streams.open == 0);
}

#[test]
fn both_directions_end_for_themselves() {
    let (server, flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    // The caller has sent its last before it takes the first.
    let id = caller.both("flow.v1.chat", Flow::new(0, 0));
    caller.window(id);
    caller.put(id, 0, &[1u64, 2, 3], true);
    until(&server, "they came", |stats| stats.streams.items_in == 3);
    caller.grant(id, 10, 1000);
    let (got, end) = caller.drain(id, PLENTY);
    assert_eq!(got, [2, 4, 6]);
    end.value::<()>(id);
    flow.dropped.recv_timeout(PATIENCE).expect("it ended");
    // What was taken in the wrong order ends both.
    let id = caller.both("flow.v1.chat", PLENTY);
    caller.window(id);
    caller.put(id, 0, &[1u64], true);
    caller.put(id, 1, &[2u64], true);
    let end = loop {
        match caller.next() {
            Got::Items(..) | Got::Window(..) => {}
            end => break end,
        }
    };
    // It may have been answered before the second one came.
    match &end {
        Got::Reply { .. } => end.value::<()>(id),
        end => assert_eq!(end.error(id).0, Code::InvalidArgument),
    }
}

#[test]
fn a_call_in_a_form_that_the_method_has_not_got_is_refused() {
    let (server, _flow) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let both = Flags::ITEMS_IN.with(Flags::ITEMS_OUT);
    let wrong = [
        ("flow.v1.count", Flags::empty(), "that sends items"),
        ("flow.v1.count", Flags::ITEMS_IN, "that is sent items"),
        ("flow.v1.count", both, "both ways"),
        ("flow.v1.total", Flags::empty(), "without items"),
        ("flow.v1.total", both, "both ways"),
        ("flow.v1.chat", Flags::ITEMS_OUT, "both ways"),
        ("flow.v1.plain", Flags::ITEMS_OUT, "without items"),
        ("flow.v1.plain", Flags::ITEMS_IN, "that is sent items"),
        (
            "flow.v1.count",
            Flags::ITEMS_OUT.with(Flags::ONEWAY),
            "answer",
        ),
    ];
    for (path, flags, said) in wrong {
        let id = caller.begin_with(path, one(&1u64), LEFT, |head| {
            head.flags = flags;
            head.window = Some(PLENTY);
        });
        let end = caller.next();
        let (code, ran, message) = end.error(id);
        assert_eq!((code, ran), (Code::Unimplemented, Ran::No));
        assert!(
            message.contains(path) && message.contains(said),
            "{message}"
        );
    }
    let stats = server.stats();
    assert_eq!(stats.refused.get("wrong-form"), Some(&(wrong.len() as u64)));
    assert_eq!((stats.streams.begun, stats.in_flight), (0, 0));
}

#[test]
fn without_a_session_of_version_2_there_are_no_streams() {
    let (server, _flow) = serve(|builder| builder);
    let mut silent = Caller::silent(&server);
    let id = silent.takes("flow.v1.count", 3, PLENTY);
    let end = silent.next();
    let (code, ran, message) = end.error(id);
    assert_eq!((code, ran), (Code::FailedPrecondition, Ran::No));
    assert!(message.contains("session"), "{message}");
    // A plain call cannot say that it carries items.
    silent.send(Message::from([
        &b""[..],
        &brokerless::wire::encode_plain_call("flow.v1.count", &one(&3u64).body).unwrap(),
    ]));
    let refused = silent.next_message();
    assert_eq!(refused.len(), 2, "{refused:?}");
    let text = String::from_utf8_lossy(&refused[1]).into_owned();
    assert!(text.contains("session"), "{text}");

    let mut old = Caller::silent(&server);
    let got = old.hello(1, 1, "of old");
    assert!(matches!(got, Got::Welcome { version: 1, .. }), "{got:?}");
    let mut head = CallHead::new(7, "flow.v1.total", 1_000_000);
    head.flags = Flags::ITEMS_IN;
    let call = encode_call(&head, brokerless::wire::Version::Two).unwrap();
    old.send(none().into_message(call));
    let end = old.next();
    let (code, ran, message) = end.error(7);
    assert_eq!((code, ran), (Code::Unimplemented, Ran::No));
    assert!(message.contains("version 1"), "{message}");
    let stats = server.stats();
    assert_eq!(stats.refused.get("no-streams"), Some(&3));
    old.version = brokerless::wire::Version::One;
    let id = old.begin("flow.v1.plain", one(&1u64));
    assert_eq!(old.next().value::<u64>(id), 7);
}

#[test]
fn a_sessions_streams_are_bounded_by_its_window_of_calls() {
    let (server, flow) = serve(|builder| builder.window(4).window_max(4));
    let mut caller = Caller::greeted(&server);
    let ids: Vec<u64> = (0..4)
        .map(|_| {
            let id = caller.takes("flow.v1.count", 100, Flow::new(1, 1000));
            assert_eq!(caller.items(id), [0]);
            id
        })
        .collect();
    let over = caller.takes("flow.v1.count", 100, PLENTY);
    let end = caller.next();
    assert_eq!(end.error(over).0, Code::ResourceExhausted);
    assert_eq!(server.stats().refused.get("over-credit"), Some(&1));
    // The place is free once it has ended.
    caller.cancel(ids[0]);
    assert_eq!(caller.next().error(ids[0]).0, Code::Cancelled);
    flow.dropped.recv_timeout(PATIENCE).expect("it is dropped");
    let id = caller.takes("flow.v1.count", 3, PLENTY);
    assert_eq!(caller.drain(id, PLENTY).0.len(), 3);
}
