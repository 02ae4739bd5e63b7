//! How a server ends.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use brokerless::patterns::{Dealer, Message, Options};
use brokerless::server::{Condition, DrainReport, Server};
use brokerless::wire::{Hello, encode_hello};
use brokerless::{Code, Ran};

use super::support::{Caller, Got, PATIENCE, one, serve, until};

/// Stops the server on a thread of its own.
fn stopping(server: &Arc<Server>, within: Duration) -> thread::JoinHandle<DrainReport> {
    let server = server.clone();
    thread::spawn(move || server.stop_within(within))
}

#[track_caller]
fn hears_bye(caller: &Caller) -> u64 {
    match caller.next() {
        Got::Bye(left_us) => left_us,
        other => panic!("no bye: {other:?}"),
    }
}

#[test]
fn a_drain_waits_for_every_callers_bye() {
    let (server, _desk) = serve(|builder| builder);
    let server = Arc::new(server);
    let (mut first, second) = (Caller::greeted(&server), Caller::greeted(&server));
    let stop = stopping(&server, PATIENCE);
    let left = hears_bye(&first);
    assert!(left > 0 && left <= PATIENCE.as_micros() as u64);
    hears_bye(&second);
    assert_eq!(server.health().of("desk.v1"), Condition::Draining);
    assert!(server.local_endpoints().is_empty(), "it listens");
    second.bye();
    // What crossed with the bye is answered.
    first.is_answered();
    assert!(!stop.is_finished());
    first.bye();
    let report = stop.join().expect("a report");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.told, report.unheard, report.finished), (2, 0, 1));
    assert_eq!(server.stop(), report, "a second one says the same");
    assert_eq!(server.wait(), report);
}

#[test]
fn a_drain_runs_what_waits() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let server = Arc::new(server);
    let mut caller = Caller::greeted(&server);
    let first = caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let second = caller.begin("desk.v1.block", one(&2u64));
    until(&server, "a call that waits", |stats| {
        stats.pools[0].queued == 1
    });
    let stop = stopping(&server, PATIENCE);
    hears_bye(&caller);
    caller.bye();
    desk.let_go();
    desk.let_go();
    assert_eq!(caller.next().value::<u64>(first), 1);
    assert_eq!(caller.next().value::<u64>(second), 2);
    let report = stop.join().expect("a report");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.finished, report.refused, report.unheard), (2, 0, 0));
}

#[test]
fn what_waits_beyond_the_drains_deadline_is_answered_no() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let server = Arc::new(server);
    let mut caller = Caller::greeted(&server);
    let running = caller.begin("desk.v1.until_cancelled", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let waiting = caller.begin("desk.v1.block", one(&2u64));
    let disk = caller.begin("desk.v1.block_disk", one(&3u64));
    assert_eq!(desk.next_begun(), 3);
    until(&server, "a call that waits", |stats| {
        stats.pools[0].queued == 1
    });
    let stop = stopping(&server, Duration::from_millis(20));
    hears_bye(&caller);
    caller.bye();
    // The handler that looks sees that it is not wanted any more; the other one does not look.
    assert_eq!(desk.cancelled.recv_timeout(PATIENCE), Ok(1));
    let mut ended = [caller.next(), caller.next()];
    ended.sort_by_key(|got| matches!(got, Got::Reply { .. }));
    let (code, ran, _) = ended[0].error(waiting);
    assert_eq!((code, ran), (Code::Unavailable, Ran::No));
    assert_eq!(ended[1].value::<u64>(running), 1);
    let report = stop.join().expect("a report");
    assert_eq!((report.refused, report.finished, report.running), (1, 1, 1));
    assert!(!report.is_clean());
    assert!(
        disk > 0 && desk.begun.try_recv().is_err(),
        "what was refused ran"
    );
    desk.let_go();
}

#[test]
fn a_drain_ends_by_its_deadline_whatever_handlers_do() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let server = Arc::new(server);
    let mut caller = Caller::greeted(&server);
    caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let began = Instant::now();
    let report = server.stop_within(Duration::ZERO);
    assert_eq!((report.told, report.unheard, report.running), (1, 1, 1));
    // A quarter of a second to be seen, a second to linger, one to go; and the machine's own.
    assert!(began.elapsed() < PATIENCE / 2, "{report:?}");
    desk.let_go();
}

#[test]
fn a_server_that_drains_turns_away_who_cannot_be_told() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let server = Arc::new(server);
    let mut busy = Caller::greeted(&server);
    let call = busy.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let late = Caller::silent(&server);
    until(&server, "both connections", |stats| {
        stats.sockets[0].peers.len() == 2
    });
    let stop = stopping(&server, PATIENCE);
    hears_bye(&busy);
    let got = late.hello(2, 1, "");
    assert_eq!(got.error(0).0, Code::Unavailable);
    let plain = brokerless::wire::encode_plain_call("desk.v1.echo", &one("x").body);
    late.send([brokerless::patterns::Frame::new(), plain.expect("a call")]);
    let mut answer = late.next_message();
    answer.pop_front();
    let answer: (u8, String, u8) = brokerless::wire::decode_value(&answer[0]).expect("an answer");
    assert_eq!((answer.0, answer.2), (Code::Unavailable.number(), 0));
    busy.bye();
    desk.let_go();
    assert_eq!(busy.next().value::<u64>(call), 1);
    assert!(stop.join().expect("a report").is_clean());
}

#[test]
fn a_server_that_was_stopped_listens_no_more() {
    let (server, _desk) = serve(|builder| builder);
    let endpoint = server.local_endpoints()[0].to_string();
    assert!(server.stop().is_clean());
    let dealer = Dealer::connect(&endpoint).expect("a dealer");
    let events = dealer.monitor();
    let end = Instant::now() + PATIENCE;
    let failed = std::iter::from_fn(|| events.recv_deadline(end).ok())
        .any(|event| matches!(event, brokerless::patterns::Event::ConnectFailed { .. }));
    assert!(failed, "somebody listens");
}

#[test]
fn a_stopper_ends_a_server_that_another_thread_runs() {
    let (server, _desk) = serve(|builder| builder);
    let stopper = server.stopper();
    let run = thread::spawn(move || server.run());
    stopper.stop();
    stopper.stop();
    assert!(run.join().expect("a report").is_clean());
    stopper.stop();
}

#[test]
fn dropping_a_server_drains_it() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    let id = caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let dropped = thread::spawn(move || drop(server));
    hears_bye(&caller);
    caller.bye();
    desk.let_go();
    assert_eq!(caller.next().value::<u64>(id), 1);
    dropped.join().expect("the end");
}

/// Calls of a caller that reads none of their answers.
const CALLS: usize = 8;

/// A server, and a caller that has asked for more than there is room for, and reads nothing. What the
/// server's socket has when it closes has so much time to go out.
fn clogged(linger: Duration) -> (Arc<Server>, Caller) {
    let (server, _desk) = serve(|builder| {
        let transport = Options::new().send_bytes_max(64 << 10);
        let transport = transport.send_buffer_bytes(Some(8 << 10));
        let transport = transport.heartbeat_interval(None);
        builder.transport(transport.linger(Some(linger)))
    });
    let options = Options::new().recv_messages_max(1).recv_bytes_max(1024);
    let options = options.recv_buffer_bytes(Some(8 << 10));
    // Who reads nothing sees no PING, either.
    let options = options.heartbeat_interval(None);
    let mut caller = Caller::with(&server.local_endpoints()[0].to_string(), options);
    caller.hello(2, 1, "");
    // More than there is room for at all is taken where nothing else waits: the welcome may be read
    // before its writer has counted it.
    until(&server, "a welcome that is written", |stats| {
        let peer = &stats.sockets[0].peers[0];
        (peer.written_messages, peer.send_queue_bytes) == (1, 0)
    });
    // The first one is all that is taken, and the second one stays on its way.
    caller.begin("desk.v1.zeros", one(&(1u64 << 20)));
    until(&server, "an answer that is written", |stats| {
        stats.sockets[0].peers[0].written_messages == 2
    });
    for _ in 1..CALLS {
        caller.begin("desk.v1.zeros", one(&(1u64 << 20)));
    }
    until(&server, "answers without room", |stats| {
        stats.in_flight == 0 && stats.owed == CALLS as u64 - 2
    });
    (Arc::new(server), caller)
}

#[test]
fn a_drain_waits_for_answers_that_found_no_room() {
    let (server, caller) = clogged(PATIENCE);
    caller.bye();
    let stop = stopping(&server, PATIENCE);
    until(&server, "a bye that found no room, either", |_| {
        server.local_endpoints().is_empty()
    });
    let (mut ended, mut byes) = (0, 0);
    while ended < CALLS || byes < 1 {
        match caller.next() {
            Got::Reply { .. } | Got::Error { .. } => ended += 1,
            Got::Bye(_) => byes += 1,
            other => panic!("no end of a call: {other:?}"),
        }
    }
    let report = stop.join().expect("a report");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.told, report.unheard), (1, 0));
    assert_eq!(server.stats().owed, 0);
}

#[test]
fn a_drain_reports_answers_that_found_no_room_until_its_end() {
    let (server, caller) = clogged(Duration::ZERO);
    caller.bye();
    let report = server.stop_within(Duration::from_millis(20));
    assert!(!report.is_clean(), "{report:?}");
    // Those without room, one on its way, and the bye.
    assert_eq!(report.unsent, CALLS, "{report:?}");
    let first = caller.next();
    assert!(matches!(first, Got::Reply { .. }), "{first:?}");
}

#[test]
fn a_welcome_and_a_bye_without_room_come_once_there_is_some() {
    let (server, caller) = clogged(Duration::ZERO);
    let owed = server.stats().owed;
    let again = Hello {
        version: 2,
        oldest: 1,
        name: "",
    };
    caller.send(Message::single(encode_hello(&again)));
    until(&server, "a welcome without room", |stats| {
        stats.owed == owed + 1
    });
    let stop = stopping(&server, PATIENCE);
    until(&server, "a bye without room", |stats| {
        stats.owed == owed + 2
    });
    let (mut ended, mut welcomes, mut byes) = (0, 0, 0);
    while ended < CALLS || byes < 1 {
        match caller.next() {
            Got::Reply { .. } | Got::Error { .. } => ended += 1,
            Got::Welcome { .. } => welcomes += 1,
            Got::Bye(_) => byes += 1,
            other => panic!("no end of a call: {other:?}"),
        }
    }
    assert_eq!(welcomes, 1);
    caller.bye();
    let report = stop.join().expect("a report");
    assert_eq!((report.told, report.unheard), (1, 0), "{report:?}");
}
