//! Calls of every kind through a proxy: what they say, how they end, how long they may take.

use std::time::{Duration, Instant};

use brokerless::client::Call;
use brokerless::patterns::{Message, Req};
use brokerless::wire::{Encoder, Payload, encode_plain_call};
use brokerless::{Blob, CallError, Code, Ran, Server};

use crate::calculator::{Calc, CalculatorClient, CalculatorServer, DivideError};
use crate::desk::DeskClient;
use crate::fleet::{Fleet, proxy};
use crate::support::{ByHand, PATIENCE, inproc, transports, until};
use brokerless::proxy::Member;

/// Each kind of call that a desk has.
#[track_caller]
fn calls_of_every_kind(desk: &DeskClient) {
    assert_eq!(desk.add(2, 3), Ok(5));
    assert_eq!(desk.empty(), Ok(()));
    assert_eq!(desk.bytes(&[1, 2, 3]), Ok(vec![1, 2, 3]));
    assert_eq!(
        desk.raw(&[1, 2, 3]),
        Ok(vec![3, 2, 1]),
        "an encoding of its own"
    );
    let blobs: Vec<Blob> = (0..4u8).map(|n| Blob::from(vec![n; 70_000])).collect();
    let turned: Vec<Blob> = blobs.iter().rev().cloned().collect();
    assert_eq!(desk.turn(blobs), Ok(turned));
    assert_eq!(
        desk.large(Blob::from(vec![1; 300_000]), 200_000)
            .map(|it| it.len()),
        Ok(200_000)
    );
    assert_eq!(desk.later(4), Ok(8));
    let sent = desk.with(
        Call::new()
            .metadata("a", "text")
            .metadata_bytes("b", &[0xff, 0]),
    );
    assert_eq!(
        sent.metadata("a", "b"),
        Ok((Some("text".to_owned()), vec![0xff, 0]))
    );

    let error = desk.fail(5, "no such thing", true).expect_err("it fails");
    assert_eq!((error.code(), error.ran()), (Code::NotFound, Ran::Yes));
    let CallError::Rpc(error) = error else {
        panic!("it is a status");
    };
    assert_eq!(error.message(), "no such thing");
    assert_eq!(error.details().map(|it| &it[..]), Some(&b"details"[..]));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
    let error = desk.panic().expect_err("it panics");
    assert_eq!((error.code(), error.ran()), (Code::Internal, Ran::Yes));
    let error = desk.never().expect_err("nobody answers");
    assert_eq!((error.code(), error.ran()), (Code::Internal, Ran::Yes));
}

#[test]
fn calls_of_every_kind_pass_as_they_are_over_every_transport() {
    for endpoint in transports() {
        let fleet = Fleet::at(&endpoint, 1, |builder| builder);
        calls_of_every_kind(&fleet.desk());
        fleet.quiet();
        let stats = fleet.proxy.stats();
        assert_eq!(stats.passed, 11, "{stats:?}");
        assert_eq!((stats.answered, stats.errors), (8, 3), "{stats:?}");
        let node = &stats.nodes[0];
        assert_eq!((node.sent, node.answered, node.errors), (11, 8, 3));
        let report = fleet.proxy.stop();
        assert!(report.is_clean(), "{report:?}");
    }
}

#[test]
fn nodes_within_the_process_are_called_as_others_are() {
    let node = crate::support::Served::at(&inproc(), |builder| builder);
    let fleet = Fleet::of(&inproc(), vec![node], |builder| builder);
    calls_of_every_kind(&fleet.desk());
    let node = crate::support::Served::at(&inproc(), |builder| builder);
    let fleet = Fleet::of("tcp://127.0.0.1:*", vec![node], |builder| builder);
    calls_of_every_kind(&fleet.desk());
}

#[test]
fn a_methods_own_error_passes_as_it_is() {
    let calc = Server::builder().service(CalculatorServer::new(Calc::default()));
    let calc = calc.bind("tcp://127.0.0.1:*").expect("it binds");
    let member = Member::new(calc.local_endpoints()[0].to_string());
    let proxy = proxy("tcp://127.0.0.1:*", [member], |builder| builder);
    let client = CalculatorClient::connect(&proxy.local_endpoints()[0]).expect("an endpoint");
    assert_eq!(
        client.divide(1.0, 0.0),
        Err(CallError::Method(DivideError::ByZero))
    );
    assert_eq!(client.divide(1.0, 2.0), Ok(0.5));
    assert_eq!(client.load(""), Ok(None));
    assert_eq!(client.load("x"), Ok(Some(Blob::from("x".to_owned()))));
}

#[test]
fn a_call_that_goes_one_way_arrives_and_gives_its_credit_back() {
    let fleet = Fleet::new(1);
    let desk = fleet.desk();
    for line in 0..3000 {
        desk.note(&line.to_string()).expect("it is sent");
    }
    until("all have arrived", || {
        fleet.nodes[0].desk.lines.lock().len() == 3000
    });
    fleet.quiet();
    assert_eq!(fleet.proxy.stats().nodes[0].in_flight, 0);
}

#[test]
fn a_plain_call_passes_too() {
    let fleet = Fleet::new(1);
    let req = Req::connect(&fleet.endpoint).expect("an endpoint");
    let mut encoder = Encoder::arguments(2);
    encoder.put(&2).expect("a number");
    encoder.put(&3).expect("a number");
    let frame = encode_plain_call("desk.v1.add", &encoder.finish().body).expect("it fits");
    req.send(Message::single(frame)).expect("it is sent");
    let answer = req.recv_timeout(PATIENCE).expect("an answer");
    assert_eq!(&answer.first()[..], [0x92, 0, 5]);
}

#[test]
fn the_callers_deadline_holds_at_the_node() {
    let fleet = Fleet::new(1);
    let desk = fleet.desk();
    let hurried = desk.with(Call::new().timeout(Duration::from_secs(7)));
    let left = hurried.left().expect("an answer");
    assert!((1_000_000..7_000_000).contains(&left), "{left}");
    let before = Instant::now();
    let error = desk
        .with(Call::new().timeout(Duration::from_millis(300)))
        .hold()
        .expect_err("it takes longer");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::Maybe)
    );
    assert!(before.elapsed() >= Duration::from_millis(300));
    fleet.nodes[0].desk.has_cancelled(1);
    fleet.quiet();
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_node() {
    let fleet = Fleet::new(1);
    let desk = fleet.desk();
    let held = desk.begin().hold().expect("it is sent");
    fleet.nodes[0].desk.has_begun(1);
    held.cancel();
    fleet.nodes[0].desk.has_cancelled(1);
    fleet.quiet();
    assert_eq!(desk.add(1, 1), Ok(2));
}

#[test]
fn the_calls_of_a_lost_caller_are_cancelled_at_the_node() {
    let fleet = Fleet::new(1);
    let caller = crate::hostile::Caller::new(&fleet.endpoint);
    caller.call(1, "desk.v1.hold", &[0x90]);
    caller.call(2, "desk.v1.hold", &[0x90]);
    fleet.nodes[0].desk.has_begun(2);
    drop(caller);
    fleet.nodes[0].desk.has_cancelled(2);
    fleet.quiet();
}

#[test]
fn a_call_that_cannot_be_sent_has_not_run() {
    let nowhere = ByHand::new("tcp://127.0.0.1:*").endpoint;
    let proxy = proxy("tcp://127.0.0.1:*", [Member::new(&*nowhere)], |builder| {
        builder
    });
    let caller = crate::hostile::Caller::new(&proxy.local_endpoints()[0].to_string());
    caller.call(1, "desk.v1.add", &[0x92, 2, 3]);
    let (code, ran, message, _) = caller.error(1);
    assert_eq!((code, ran), (Code::Unavailable, Ran::No), "{message}");
    assert!(message.contains(&nowhere), "{message}");
}

#[test]
fn what_no_node_has_is_refused_with_the_nearest_name() {
    let fleet = Fleet::new(1);
    let client = fleet.client(|builder| builder);
    let none = Payload::raw(vec![0x90]);
    let error = client
        .call_raw("desk.v1.ad", &Call::new(), none)
        .expect_err("there is none");
    assert_eq!((error.code(), error.ran()), (Code::Unimplemented, Ran::No));
    assert!(
        error.message().contains("nearest that it has is add"),
        "{error}"
    );
}

#[test]
fn blobs_over_the_limit_are_refused_by_whoever_has_it() {
    let node = crate::support::Served::at("tcp://127.0.0.1:*", |builder| {
        builder.blob_bytes_max(100_000)
    });
    let fleet = Fleet::of("tcp://127.0.0.1:*", vec![node], |builder| {
        builder.blob_bytes_max(1 << 20)
    });
    let desk = fleet.desk();
    for bytes in [200_000, 2 << 20] {
        let error = desk
            .large(Blob::from(vec![0; bytes]), 1)
            .expect_err("it is too large");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::ResourceExhausted, Ran::No)
        );
    }
    assert_eq!(
        desk.large(Blob::from(vec![0; 100_000]), 1)
            .map(|it| it.len()),
        Ok(1)
    );
}
