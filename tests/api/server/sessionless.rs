//! Callers without a session: plain REQ sockets, and callers behind devices.

use std::time::Duration;

use brokerless::patterns::{Frame, Message, Options, Req};
use brokerless::wire::{
    CallHead, Hello, decode_value, encode_call, encode_cancel, encode_hello, encode_plain_call,
};
use brokerless::{Code, Ran};
use serde::Deserialize;

use super::support::{Caller, Got, LEFT, PATIENCE, none, one, serve, until};

/// The answer to a plain call: its code and what follows.
#[track_caller]
fn plain<T: for<'d> Deserialize<'d>>(message: &Message) -> T {
    assert_eq!(message.len(), 1, "{message:?}");
    decode_value(&message[0]).expect("a plain answer")
}

#[test]
fn a_plain_req_socket_is_answered() {
    let (server, _desk) = serve(|builder| builder);
    let req = Req::connect(&server.local_endpoints()[0].to_string()).expect("a socket");
    let ask = |call: &[u8]| {
        req.send(call).expect("room");
        req.recv_timeout(PATIENCE).expect("an answer")
    };
    for text in ["hello", "again"] {
        let call = encode_plain_call("desk.v1.echo", &one(text).body).expect("a call");
        assert_eq!(plain::<(u8, String)>(&ask(&call)), (0, text.to_owned()));
    }
    let call = encode_plain_call("desk.v1.ecko", &none().body).expect("a call");
    let (code, message, ran) = plain::<(u8, String, u8)>(&ask(&call));
    assert_eq!((code, ran), (12, 0));
    assert!(message.ends_with("echo"), "{message}");
    let call = encode_plain_call("desk.v1.fail", &none().body).expect("a call");
    assert_eq!(
        plain::<(u8, String, u8)>(&ask(&call)),
        (5, "no such thing".to_owned(), 2)
    );
    // Blobs stand in the answer as bytes.
    let call = encode_plain_call("desk.v1.zeros", &one(&3u64).body).expect("a call");
    assert_eq!(plain::<(u8, Vec<u8>)>(&ask(&call)).0, 0);
    // A method without arguments may be called by its name alone.
    let answer = plain::<(u8, u64)>(&ask(b"\x91\xacdesk.v1.left"));
    assert!(answer.0 == 0 && answer.1 <= 10_000, "{answer:?}");
    // What cannot be read is answered, too: the socket would wait for ever.
    let (code, _, ran) = plain::<(u8, String, u8)>(&ask(b"\xc1"));
    assert_eq!((code, ran), (Code::InvalidArgument.number(), 0));
    let stats = server.stats();
    assert_eq!((stats.calls, stats.answered), (6, 4));
}

#[test]
fn a_caller_without_a_session_has_a_credit_of_one() {
    let (server, desk) = serve(|builder| builder);
    let caller = Caller::silent(&server);
    let call = |number: u64| {
        let frame = encode_plain_call("desk.v1.block", &one(&number).body).expect("a call");
        caller.send([Frame::new(), frame]);
    };
    call(1);
    assert_eq!(desk.next_begun(), 1);
    call(2);
    let mut refused = caller.next_message();
    refused.pop_front();
    let (code, _, ran) = plain::<(u8, String, u8)>(&refused);
    assert_eq!((code, ran), (Code::ResourceExhausted.number(), 0));
    assert_eq!(server.stats().refused.get("over-credit"), Some(&1));
    desk.let_go();
    let mut answer = caller.next_message();
    assert!(answer[0].is_empty());
    answer.pop_front();
    assert_eq!(plain::<(u8, u64)>(&answer), (0, 1));
    call(3);
    desk.let_go();
    assert_eq!(desk.next_begun(), 3);
}

/// A call as a device passes it on, and what comes back that way.
fn through(address: &str, head: &CallHead<'_>, payload: brokerless::wire::Payload) -> Message {
    let envelope = encode_call(head, brokerless::wire::Version::NEWEST).expect("a call");
    let mut message = payload.into_message(envelope);
    message.push_front("");
    message.push_front(address);
    message.push_front(&b"\0outer"[..]);
    message
}

#[track_caller]
fn back(mut message: Message) -> (String, Got) {
    assert_eq!(message[0], &b"\0outer"[..]);
    message.pop_front();
    let address = message.pop_front().expect("an address");
    assert_eq!(message.pop_front(), Some(Frame::new()));
    let address = address.to_str().expect("the test's own").to_owned();
    (address, Got::of(message))
}

#[test]
fn a_call_through_devices_is_answered_by_its_return_path() {
    let (server, desk) = serve(|builder| builder);
    let device = Caller::silent(&server);
    let left = LEFT.as_micros() as u64;
    // Two clients behind one device use the same number at the same time.
    for (address, number) in [("north", 1u64), ("south", 2)] {
        let head = CallHead::new(7, "desk.v1.block", left);
        device.send(through(address, &head, one(&number)));
    }
    let mut begun = [desk.next_begun(), desk.next_begun()];
    begun.sort();
    assert_eq!(begun, [1, 2]);
    desk.let_go();
    desk.let_go();
    let mut answers = [back(device.next_message()), back(device.next_message())];
    answers.sort_by(|a, b| a.0.cmp(&b.0));
    let answers: Vec<(&str, u64)> = answers
        .iter()
        .map(|(address, got)| (address.as_str(), got.value(7)))
        .collect();
    assert_eq!(answers, [("north", 1), ("south", 2)]);
    // Errors go the same way.
    device.send(through(
        "east",
        &CallHead::new(8, "desk.v1.no", left),
        none(),
    ));
    let (address, got) = back(device.next_message());
    assert_eq!(
        (address.as_str(), got.error(8).0),
        ("east", Code::Unimplemented)
    );
}

#[test]
fn a_cancellation_through_a_device_ends_its_own_clients_call_only() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let device = Caller::silent(&server);
    let left = LEFT.as_micros() as u64;
    for (address, number) in [("first", 1u64), ("north", 2), ("south", 3)] {
        let head = CallHead::new(7, "desk.v1.block", left);
        device.send(through(address, &head, one(&number)));
        if number == 1 {
            assert_eq!(desk.next_begun(), 1);
        }
    }
    until(&server, "two calls that wait", |stats| {
        stats.pools[0].queued == 2
    });
    let outer = Frame::from(&b"\0outer"[..]);
    device.send([outer, "south".into(), Frame::new(), encode_cancel(7)]);
    let (address, got) = back(device.next_message());
    assert_eq!(
        (address.as_str(), got.error(7).0),
        ("south", Code::Cancelled)
    );
    desk.let_go();
    desk.let_go();
    let answers = [back(device.next_message()), back(device.next_message())];
    assert_eq!(answers.map(|(address, _)| address), ["first", "north"]);
}

#[test]
fn a_device_has_a_window_for_all_of_its_clients() {
    let (server, desk) = serve(|builder| builder.workers(1).sessionless_max(2));
    let device = Caller::silent(&server);
    for number in 1..=3u64 {
        // Several threads receive, and may overtake each other.
        until(&server, "those before", |stats| {
            stats.in_flight == number - 1
        });
        let head = CallHead::new(number, "desk.v1.block", LEFT.as_micros() as u64);
        device.send(through(&format!("client-{number}"), &head, one(&number)));
    }
    let (address, got) = back(device.next_message());
    let (code, ran, _) = got.error(3);
    assert_eq!(
        (address.as_str(), code, ran),
        ("client-3", Code::ResourceExhausted, Ran::No)
    );
    desk.let_go();
    desk.let_go();
    assert_eq!(back(device.next_message()).0, "client-1");
}

#[test]
fn a_hello_that_came_through_a_device_is_refused() {
    let (server, _desk) = serve(|builder| builder);
    let device = Caller::silent(&server);
    let hello = encode_hello(&Hello {
        version: 2,
        oldest: 1,
        name: "",
    });
    device.send([
        Frame::from(&b"\0outer"[..]),
        "a".into(),
        Frame::new(),
        hello,
    ]);
    let (address, got) = back(device.next_message());
    let (code, _, message) = got.error(0);
    assert_eq!((address.as_str(), code), ("a", Code::FailedPrecondition));
    assert!(message.contains("connection of its own"), "{message}");
}

#[test]
fn plain_calls_have_the_methods_deadline_or_the_servers() {
    let (server, _desk) = serve(|builder| builder.plain_timeout(Duration::from_secs(30)));
    let req = Req::with(Options::new()).expect("a socket");
    let endpoint = server.local_endpoints()[0].to_string();
    req.connect_to(&endpoint).expect("an endpoint");
    req.send(&b"\x91\xacdesk.v1.left"[..]).expect("room");
    let answer = req.recv_timeout(PATIENCE).expect("an answer");
    let (code, left) = plain::<(u8, u64)>(&answer);
    assert!(code == 0 && left <= 30_000, "{left} ms");
}
