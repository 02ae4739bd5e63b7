//! One call: its answer, its errors, its deadline, its cancellation.

use std::sync::Arc;
use std::time::Duration;

use brokerless::patterns::Options;
use brokerless::server::Next;
use brokerless::service::{Outcome, Request};
use brokerless::wire::{Encoder, decode_value};
use brokerless::{Blob, Code, Metadata, Ran, Status};

use super::desk::value;
use super::support::{Caller, Got, LEFT, PATIENCE, none, one, serve, until};

#[test]
fn a_call_is_answered_with_its_value_and_a_load_report() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    for number in 0..3u64 {
        let id = caller.begin("desk.v1.quick", one(&number));
        let got = caller.next();
        assert_eq!(got.value::<u64>(id), number);
        let Got::Reply { load, .. } = got else {
            unreachable!("it has a value");
        };
        let load = load.expect("a load report");
        assert!(
            load.in_flight == 0 && load.utilisation_permille <= 1000,
            "{load:?}"
        );
    }
    caller.is_answered();
    let stats = server.stats();
    assert_eq!((stats.calls, stats.answered), (4, 4));
    let quick = stats
        .methods
        .iter()
        .find(|method| method.path == "desk.v1.quick");
    assert_eq!(
        quick.map(|method| (method.calls, method.failed)),
        Some((3, 0))
    );
}

#[test]
fn what_is_not_offered_is_unimplemented_and_the_nearest_name_is_told() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    for (path, near) in [("desk.v1.ecko", "echo"), ("disk.v1.echo", "desk.v1")] {
        let id = caller.begin(path, none());
        let got = caller.next();
        let (code, ran, message) = got.error(id);
        assert_eq!((code, ran), (Code::Unimplemented, Ran::No));
        assert!(message.ends_with(near), "{message}");
    }
    assert_eq!(server.stats().refused.get("unknown-method"), Some(&2));
    caller.is_answered();
}

#[test]
fn arguments_that_do_not_fit_are_named() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.begin("desk.v1.quick", one("seven"));
    let got = caller.next();
    let (code, ran, message) = got.error(id);
    assert_eq!((code, ran), (Code::InvalidArgument, Ran::No));
    for part in ["number", "u64", "a str of 5 bytes"] {
        assert!(message.contains(part), "{message}");
    }
    caller.is_answered();
}

#[test]
fn a_status_arrives_with_its_details_and_retry_after() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.begin("desk.v1.fail", none());
    let got = caller.next();
    assert_eq!(got.error(id), (Code::NotFound, Ran::Yes, "no such thing"));
    let Got::Error {
        details,
        retry_after,
        typed,
        ..
    } = got
    else {
        unreachable!("it is an error");
    };
    assert_eq!(details.as_deref(), Some(&b"details"[..]));
    assert_eq!(retry_after, Some(Duration::from_millis(7)));
    assert_eq!(typed, None);
    let id = caller.begin("desk.v1.typed", none());
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
}

#[test]
fn a_panic_is_an_error_and_its_worker_lives_on() {
    let (server, _desk) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    for _ in 0..4 {
        let id = caller.begin("desk.v1.panic", none());
        let got = caller.next();
        let (code, ran, message) = got.error(id);
        assert_eq!((code, ran), (Code::Internal, Ran::Yes));
        assert!(message.contains("desk.v1.panic"), "{message}");
        assert_eq!(caller.call::<u64>("desk.v1.quick", one(&5u64)), 5);
    }
    assert_eq!(server.stats().panicked, 4);
}

#[test]
fn a_deferred_answer_comes_from_another_thread() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    let slow = caller.begin("desk.v1.later", one(&1u64));
    let deferred = desk
        .deferred
        .recv_timeout(PATIENCE)
        .expect("a deferred call");
    // Its worker is free meanwhile.
    assert_eq!(caller.call::<u64>("desk.v1.quick", one(&5u64)), 5);
    assert!(!deferred.is_cancelled());
    std::thread::spawn(move || deferred.finish(Outcome::Answer(value(&7u64))));
    assert_eq!(caller.next().value::<u64>(slow), 7);

    let dropped = caller.begin("desk.v1.later", one(&1u64));
    drop(desk.deferred.recv_timeout(PATIENCE));
    let got = caller.next();
    let (code, ran, _) = got.error(dropped);
    assert_eq!((code, ran), (Code::Internal, Ran::Yes));

    let cancelled = caller.begin("desk.v1.later", one(&1u64));
    let deferred = desk
        .deferred
        .recv_timeout(PATIENCE)
        .expect("a deferred call");
    caller.cancel(cancelled);
    until(&server, "the cancellation", |stats| stats.cancels == 1);
    assert!(deferred.is_cancelled());
}

#[test]
fn a_call_whose_deadline_passed_in_the_queue_is_not_run() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    let first = caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let left = Duration::from_millis(1);
    let second = caller.begin_with("desk.v1.block", one(&2u64), left, |_| {});
    until(&server, "a call that waits", |stats| {
        stats.pools[0].queued == 1 || stats.refused.contains_key("deadline")
    });
    let past = std::time::Instant::now() + left;
    while std::time::Instant::now() < past {
        std::thread::yield_now();
    }
    desk.let_go();
    let mut ended = [caller.next(), caller.next()];
    ended.sort_by_key(|got| matches!(got, Got::Error { .. }));
    assert_eq!(ended[0].value::<u64>(first), 1);
    let (code, ran, _) = ended[1].error(second);
    assert_eq!((code, ran), (Code::DeadlineExceeded, Ran::No));
    assert!(desk.begun.try_recv().is_err(), "it ran");
}

#[test]
fn a_call_that_comes_without_time_left_is_not_run() {
    let (server, desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.begin_with("desk.v1.note", one("late"), Duration::ZERO, |_| {});
    let got = caller.next();
    let (code, ran, _) = got.error(id);
    assert_eq!((code, ran), (Code::DeadlineExceeded, Ran::No));
    assert!(desk.notes.try_recv().is_err(), "it ran");
}

#[test]
fn a_cancelled_call_that_waits_is_never_run() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    let first = caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let second = caller.begin("desk.v1.block", one(&2u64));
    let third = caller.begin("desk.v1.block", one(&3u64));
    until(&server, "two calls that wait", |stats| {
        stats.pools[0].queued == 2
    });
    caller.cancel(second);
    let got = caller.next();
    let (code, ran, _) = got.error(second);
    assert_eq!((code, ran), (Code::Cancelled, Ran::No));
    assert_eq!(server.stats().pools[0].queued, 1);
    desk.let_go();
    desk.let_go();
    assert_eq!(caller.next().value::<u64>(first), 1);
    assert_eq!(caller.next().value::<u64>(third), 3);
    assert_eq!(desk.begun.try_iter().collect::<Vec<_>>(), [3]);
}

#[test]
fn a_running_handler_sees_that_it_was_cancelled() {
    let (server, desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.begin("desk.v1.until_cancelled", one(&9u64));
    assert_eq!(desk.next_begun(), 9);
    caller.cancel(id);
    assert_eq!(desk.cancelled.recv_timeout(PATIENCE), Ok(9));
    // It is answered all the same: that gives the credit back.
    assert_eq!(caller.next().value::<u64>(id), 9);
}

#[test]
fn a_handler_sees_that_its_caller_is_gone() {
    let (server, desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    caller.begin("desk.v1.until_cancelled", one(&9u64));
    assert_eq!(desk.next_begun(), 9);
    drop(caller);
    assert_eq!(desk.cancelled.recv_timeout(PATIENCE), Ok(9));
    until(&server, "the end of the call", |stats| stats.in_flight == 0);
    assert_eq!(server.stats().dropped.get("caller-gone"), Some(&1));
}

#[test]
fn a_oneway_call_runs_and_is_acknowledged_without_a_value() {
    let (server, desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let id = caller.begin_oneway("desk.v1.note", one("noted"));
    assert_eq!(desk.notes.recv_timeout(PATIENCE).as_deref(), Ok("noted"));
    match caller.next() {
        Got::Reply {
            id: of, payload, ..
        } => {
            assert_eq!(of, id);
            assert!(payload.body.is_empty() && payload.blobs.is_empty());
        }
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn a_handler_sees_metadata_the_caller_and_its_deadline() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let mut along = Metadata::new();
    along.insert("tenant", "blue").expect("metadata");
    let id = caller.begin_along("desk.v1.tenant", none(), &along);
    assert_eq!(
        caller.next().value::<Option<String>>(id).as_deref(),
        Some("blue")
    );
    assert_eq!(
        caller.call::<Option<String>>("desk.v1.tenant", none()),
        None
    );
    assert_eq!(caller.call::<String>("desk.v1.whoami", none()), "tester");
}

#[test]
fn a_handlers_thread_has_the_calls_deadline() {
    let (server, _desk) = serve(|builder| builder);
    let mut caller = Caller::greeted(&server);
    let left: u64 = caller.call("desk.v1.left", none());
    let most = LEFT.as_millis() as u64;
    assert!(
        left <= most && left >= most - PATIENCE.as_millis() as u64,
        "{left} ms"
    );
    // However long, it is an instant that can be waited for.
    let id = caller.begin_with("desk.v1.left", none(), LEFT, |head| head.left_us = u64::MAX);
    assert!(caller.next().value::<u64>(id) > most);
}

#[test]
fn a_blob_over_the_limit_is_refused_with_the_option_that_raises_it() {
    let (server, _desk) = serve(|builder| builder.blob_bytes_max(1000));
    let mut caller = Caller::greeted(&server);
    let blob = |bytes: usize| {
        let mut encoder = Encoder::arguments(1);
        encoder.put_blob(&Blob::from(vec![7; bytes]));
        encoder.finish()
    };
    assert_eq!(caller.call::<u64>("desk.v1.measure", blob(1000)), 1000);
    let id = caller.begin("desk.v1.measure", blob(1001));
    let got = caller.next();
    let (code, ran, message) = got.error(id);
    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::No));
    for part in ["1001 bytes", "at most 1000", "blob_bytes_max"] {
        assert!(message.contains(part), "{message}");
    }
    caller.is_answered();
}

#[test]
fn an_answer_over_the_limit_becomes_an_error() {
    let (server, _desk) = serve(|builder| builder.blob_bytes_max(1000));
    let mut caller = Caller::greeted(&server);
    let id = caller.begin("desk.v1.zeros", one(&1001u64));
    let got = caller.next();
    let (code, ran, message) = got.error(id);
    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::Yes));
    assert!(
        message.contains("1001 bytes") && message.contains("blob_bytes_max"),
        "{message}"
    );
    caller.is_answered();
}

#[test]
fn an_answer_without_room_becomes_an_error() {
    const CALLS: usize = 64;
    let (server, _desk) = serve(|builder| {
        let transport = Options::new().send_bytes_max(1 << 20);
        let transport = transport.heartbeat_interval(None);
        builder.window(CALLS as u32 + 1).transport(transport)
    });
    let endpoint = server.local_endpoints()[0].to_string();
    let options = Options::new().recv_messages_max(1).recv_bytes_max(64 << 10);
    // Who reads nothing sees no PING, either.
    let options = options.heartbeat_interval(None);
    let mut caller = Caller::with(&endpoint, options);
    caller.hello(2, 1, "");
    // It asks for much and reads nothing.
    for _ in 0..CALLS {
        caller.begin("desk.v1.zeros", one(&(1u64 << 20)));
    }
    until(&server, "answers without room", |stats| {
        stats.answered == CALLS as u64 && stats.dropped.contains_key("answer-no-room")
    });
    // Then it reads again, and learns of each call how it ended.
    let (mut answered, mut told) = (0, 0);
    while answered + told < CALLS {
        let echo = caller.begin("desk.v1.echo", one("back"));
        loop {
            match caller.next() {
                Got::Reply { id, .. } | Got::Error { id, .. } if id == echo => break,
                Got::Reply { .. } => answered += 1,
                Got::Error { code, ran, .. } => {
                    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::Yes));
                    told += 1;
                }
                other => panic!("no end of a call: {other:?}"),
            }
        }
    }
    assert!(
        told > 0 && answered + told == CALLS,
        "{answered} and {told}"
    );
}

#[test]
fn interceptors_run_around_every_call_the_first_one_outermost() {
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let seen = seen.clone();
        move |request: Request<'_>, next: Next<'_>| {
            seen.lock().push(name);
            next.run(request)
        }
    };
    let guard = |request: Request<'_>, next: Next<'_>| match request.running.method().name {
        "fail" => Outcome::refused(Status::permission_denied("not for you")),
        _ => next.run(request),
    };
    let (outer, inner) = (note("outer"), note("inner"));
    let (server, _desk) = serve(|builder| {
        builder
            .interceptor(outer)
            .interceptor(guard)
            .interceptor(inner)
    });
    let mut caller = Caller::greeted(&server);
    caller.is_answered();
    assert_eq!(std::mem::take(&mut *seen.lock()), ["outer", "inner"]);
    let id = caller.begin("desk.v1.fail", none());
    assert_eq!(
        caller.next().error(id),
        (Code::PermissionDenied, Ran::No, "not for you")
    );
    assert_eq!(*seen.lock(), ["outer"]);
}

#[test]
fn the_books_balance_after_calls_of_every_kind() {
    let (server, desk) = serve(|builder| builder.workers(1).queue(1));
    let mut caller = Caller::greeted(&server);
    caller.is_answered();
    for path in ["desk.v1.fail", "desk.v1.panic", "desk.v1.nothing"] {
        caller.begin(path, none());
        caller.next();
    }
    caller.begin("desk.v1.block", one(&1u64));
    desk.next_begun();
    caller.begin("desk.v1.block", one(&2u64));
    until(&server, "a call that waits", |stats| {
        stats.pools[0].queued == 1
    });
    caller.begin("desk.v1.block", one(&3u64));
    caller.next();
    drop(caller);
    // Before the handler ends: else its answer may come first.
    until(&server, "nobody", |stats| stats.callers == 0);
    desk.let_go();
    until(&server, "an empty server", |stats| stats.in_flight == 0);
    let stats = server.stats();
    let dropped = |reason: &str| stats.dropped.get(reason).copied().unwrap_or(0);
    let refused: u64 = stats.refused.values().sum();
    let ended = stats.answered + stats.failed + refused;
    let ended = ended + dropped("duplicate-call") + dropped("caller-gone");
    assert_eq!(stats.calls, 7);
    assert_eq!(ended, stats.calls, "{stats:#?}");
    assert_eq!(dropped("caller-gone"), 2);
}
