//! Bytes that are no message of the fabric.

use brokerless::patterns::{Frame, Message};
use brokerless::wire::{Credit, Version, encode_credit};
use brokerless::{Code, Ran};

use super::support::{Caller, Got, serve, until};

#[test]
fn bad_messages_are_counted_and_close_nothing() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let bad: [&[u8]; 8] = [
        b"",
        b"\xc1",
        b"\x90",
        b"\x93\x01",
        b"not an envelope",
        b"\x92\xc0\x01",
        b"\xdd\xff\xff\xff\xff\x01",
        &[0x91; 200],
    ];
    for bytes in bad {
        caller.send(Message::single(Frame::from(bytes)));
    }
    until(&server, "all of them", |stats| {
        stats.dropped.get("no-envelope") == Some(&(bad.len() as u64))
    });
    caller.is_answered();
    assert_eq!(server.stats().calls, 1);
}

#[test]
fn a_malformed_call_is_answered_where_its_number_is_known() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    // [1, 77, nil, 5]: a call of no method.
    caller.send(Message::single(vec![0x94, 1, 77, 0xc0, 5]));
    let got = caller.next();
    let (code, ran, message) = got.error(77);
    assert_eq!((code, ran), (Code::InvalidArgument, Ran::No));
    assert!(message.contains("method"), "{message}");
    assert_eq!(server.stats().refused.get("malformed"), Some(&1));
    caller.is_answered();
}

#[test]
fn kinds_that_only_repliers_send_and_those_of_later_versions_are_counted() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let credit = Credit { calls: 1, bytes: 1 };
    caller.send(Message::single(encode_credit(credit, Version::NEWEST)));
    caller.send(Message::single(vec![0x92, 12, 1]));
    caller.is_answered();
    // Several threads receive: the answer may come before they are counted.
    until(&server, "both", |stats| {
        let count = |reason| stats.dropped.get(reason).copied();
        count("unexpected-kind") == Some(1) && count("unknown-kind") == Some(1)
    });
    assert_eq!(server.stats().dropped.len(), 2);
}

#[test]
fn a_return_path_that_is_too_long_is_counted() {
    let (server, _desk) = serve(|builder| builder);
    let caller = Caller::silent(&server);
    let mut frames = vec![Frame::from("address"); 16];
    frames.push(Frame::new());
    frames.push(Frame::from("call"));
    caller.send(frames);
    until(&server, "the message", |stats| {
        stats.dropped.get("no-envelope") == Some(&1)
    });
    assert!(matches!(caller.hello(2, 1, ""), Got::Welcome { .. }));
}

#[test]
fn arguments_nested_too_deep_and_text_that_is_not_utf_8_are_refused() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let mut deep = vec![0x91u8; 600];
    deep.push(0x01);
    let bodies = [
        deep,
        vec![0x91, 0xa2, 0xff, 0xfe],
        vec![0x91, 0xdb, 0xff, 0xff, 0xff, 0xff],
    ];
    for body in bodies {
        let id = caller.begin("desk.v1.echo", brokerless::wire::Payload::raw(body));
        let got = caller.next();
        let (code, ran, _) = got.error(id);
        assert_eq!((code, ran), (Code::InvalidArgument, Ran::No));
    }
    caller.is_answered();
}
