//! Sessions: versions, credit, and how they end.

use brokerless::patterns::Message;
use brokerless::wire::{Flags, Version};
use brokerless::{Code, Ran};

use super::support::{Caller, Got, LEFT, none, one, serve, until};

#[test]
fn a_hello_is_welcomed_with_the_first_window_and_the_limits() {
    let (server, _desk) = serve(|builder| {
        builder
            .name("teller")
            .window(5)
            .window_bytes_max(1 << 20)
            .blob_bytes_max(12_345)
    });
    let caller = Caller::silent(&server);
    match caller.hello(2, 1, "tester") {
        Got::Welcome {
            version,
            credit,
            blob_bytes_max,
            name,
        } => {
            assert_eq!(
                (version, blob_bytes_max, name.as_str()),
                (2, 12_345, "teller")
            );
            assert_eq!((credit.calls, credit.bytes), (5, 1 << 20));
        }
        other => panic!("no welcome: {other:?}"),
    }
}

#[test]
fn a_peer_of_version_1_is_answered_in_its_own_words() {
    let (server, _desk) = serve(|builder| builder.name("teller"));
    let caller = Caller::silent(&server);
    // [6, 1, 1]: hello, of someone who has never heard of version 2.
    caller.send(Message::single(vec![0x93, 6, 1, 1]));
    // [7, 1, 16]: no bytes, no limits, no name.
    assert_eq!(caller.next_message()[0][..], [0x93, 7, 1, 16]);
    // [1, 9, "desk.v1.quick", 1000000], and [5].
    let mut call = vec![0x94, 1, 9, 0xad];
    call.extend_from_slice(b"desk.v1.quick");
    call.extend_from_slice(&[0xce, 0x00, 0x0f, 0x42, 0x40]);
    caller.send(Message::from([call, vec![0x91, 5]]));
    let answer = caller.next_message();
    // [2, 9]: no load report.
    assert_eq!(answer[0][..], [0x92, 2, 9]);
    assert_eq!(answer[1][..], [5]);
}

#[test]
fn a_newer_peer_is_met_at_the_version_that_both_speak() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::silent(&server);
    let got = caller.hello(9, 2, "from the future");
    assert!(matches!(got, Got::Welcome { version: 2, .. }), "{got:?}");
    caller.is_answered();
}

#[test]
fn sides_without_a_common_version_are_told_both_and_stay_connected() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::silent(&server);
    let got = caller.hello(9, 8, "");
    let (code, ran, message) = got.error(0);
    assert_eq!((code, ran), (Code::FailedPrecondition, Ran::No));
    assert!(
        message.contains("8 to 9") && message.contains("1 to 2"),
        "{message}"
    );
    assert_eq!(server.stats().hellos_refused, 1);
    assert!(matches!(caller.hello(2, 1, ""), Got::Welcome { .. }));
    caller.is_answered();
}

#[test]
fn a_call_over_the_window_is_refused_as_not_run_and_counted() {
    let (server, desk) = serve(|builder| builder.window(2).window_max(2));
    let mut caller = Caller::greeted(&server);
    let first = caller.begin("desk.v1.block", one(&1u64));
    let second = caller.begin("desk.v1.block", one(&2u64));
    // Several threads receive, and may overtake each other.
    until(&server, "both", |stats| stats.in_flight == 2);
    let third = caller.begin("desk.v1.block", one(&3u64));
    let got = caller.next();
    let (code, ran, message) = got.error(third);
    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::No));
    assert!(message.contains("window"), "{message}");
    desk.let_go();
    desk.let_go();
    let mut values = [caller.next(), caller.next()];
    values.sort_by_key(|got| !matches!(got, Got::Reply { id, .. } if *id == first));
    assert_eq!(values[0].value::<u64>(first), 1);
    assert_eq!(values[1].value::<u64>(second), 2);
    assert_eq!(server.stats().refused.get("over-credit"), Some(&1));
    caller.is_answered();
}

#[test]
fn a_caller_that_wants_more_gets_a_larger_window() {
    let (server, _desk) = serve(|builder| builder.window(2).window_max(64));
    let mut caller = Caller::greeted(&server);
    let mut most = 2;
    for _ in 0..200 {
        let more = |head: &mut brokerless::wire::CallHead<'_>| head.flags = Flags::MORE;
        caller.begin_with("desk.v1.echo", one("more"), LEFT, more);
        if let Got::Reply {
            credit: Some(credit),
            ..
        } = caller.next()
        {
            most = most.max(credit.calls);
        }
    }
    assert_eq!(most, 64);
}

#[test]
fn a_number_that_is_in_use_is_passed_over() {
    let (server, desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let again = |head: &mut brokerless::wire::CallHead<'_>| head.id = id;
    caller.begin_with("desk.v1.block", one(&2u64), LEFT, again);
    until(&server, "the second one", |stats| {
        stats.dropped.get("duplicate-call") == Some(&1)
    });
    desk.let_go();
    assert_eq!(caller.next().value::<u64>(id), 1);
    caller.is_answered();
}

#[test]
fn a_peer_that_is_gone_leaves_no_session() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    for number in 1..=5u64 {
        caller.begin("desk.v1.block", one(&number));
    }
    // Two threads receive: whose call is the first to be seated is open.
    assert!((1..=5).contains(&desk.next_begun()));
    until(&server, "four calls that wait", |stats| {
        stats.pools[0].queued == 4
    });
    drop(caller);
    until(&server, "nobody", |stats| stats.callers == 0);
    until(&server, "nothing that waits", |stats| {
        stats.pools[0].queued == 0
    });
    desk.let_go();
    until(&server, "an idle server", |stats| stats.in_flight == 0);
    assert_eq!(server.stats().dropped.get("caller-gone"), Some(&5));
    assert!(desk.begun.try_recv().is_err(), "a call of nobody's ran");
}

#[test]
fn a_caller_that_said_bye_is_answered_what_it_has_asked_and_nothing_more() {
    let (server, desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let first = caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    caller.bye();
    // Several threads receive: what follows at once may overtake it.
    loop {
        let late = caller.begin("desk.v1.echo", one("late"));
        let got = caller.next();
        if let Got::Error { code, ran, .. } = &got {
            assert_eq!((*code, *ran), (Code::Unavailable, Ran::No));
            break;
        }
        assert_eq!(got.value::<String>(late), "late");
    }
    desk.let_go();
    assert_eq!(caller.next().value::<u64>(first), 1);
}

#[test]
fn a_second_hello_is_answered_like_the_first() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let got = caller.hello(2, 1, "somebody else");
    assert!(matches!(got, Got::Welcome { version: 2, .. }), "{got:?}");
    assert_eq!(caller.version, Version::Two);
    assert_eq!(caller.call::<String>("desk.v1.whoami", none()), "tester");
}
