//! Pools of nodes: which gets a call, what is picked again, and what is told of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brokerless::client::{Call, Client, Member, NodeState};
use brokerless::patterns::Engine;
use brokerless::{Code, Policy, Ran, Status};

use crate::desk::DeskClient;
use crate::support::{ByHand, KeptPort, PATIENCE, Served, all_up, inproc, node, until};

#[test]
fn without_a_node_calls_fail_fast_or_wait_for_one() {
    let kept = KeptPort::new();
    let nowhere = kept.endpoint();
    let client = Client::builder().timeout(PATIENCE).connect(&nowhere);
    let desk = DeskClient::from(client.expect("an endpoint"));
    let before = Instant::now();
    let error = desk.add(2, 3).expect_err("nobody is there");
    assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
    assert!(before.elapsed() < PATIENCE / 2);
    assert!(error.to_string().contains("wait_for_ready"), "{error}");
    assert!(error.to_string().contains(&nowhere), "{error}");
    let patient = desk.with(Call::new().wait_for_ready(true));
    let mut waits = patient.begin().add(2, 3).expect("it waits");
    assert!(waits.try_wait().is_none());
    let _served = Served::at(&nowhere, |builder| builder);
    assert_eq!(waits.wait(), Ok(5));
}

#[test]
fn within_the_process_calls_fail_fast_while_nobody_is_bound() {
    let nowhere = inproc();
    let client = Client::builder().timeout(PATIENCE).connect(&nowhere);
    let desk = DeskClient::from(client.expect("an endpoint"));
    let before = Instant::now();
    let error = desk.add(2, 3).expect_err("nobody is there");
    assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
    assert!(before.elapsed() < PATIENCE / 2);
    assert!(error.to_string().contains("nobody is bound"), "{error}");
    let patient = desk.with(Call::new().wait_for_ready(true));
    let waits = patient.begin().add(2, 3).expect("it waits");
    let served = Served::at(&nowhere, |builder| builder);
    assert_eq!(waits.wait(), Ok(5));
    // And again once it has gone.
    drop(served);
    until("it is seen to be gone", || {
        desk.add(2, 3)
            .is_err_and(|error| error.to_string().contains("nobody is bound"))
    });
    let _served = Served::at(&nowhere, |builder| builder);
    until("it is back", || desk.add(2, 3) == Ok(5));
}

#[test]
fn weights_are_shares_of_the_calls() {
    let (one, three) = (Served::new(), Served::new());
    let client = Client::builder()
        .policy(Policy::weighted())
        .nodes([Member::new(&three.endpoint).weight(3)])
        .connect(&one.endpoint);
    let desk = DeskClient::from(client.expect("endpoints"));
    all_up(&desk);
    let before = three.server.stats().calls;
    for n in 0..400 {
        assert_eq!(desk.add(n, 1), Ok(n + 1));
    }
    assert_eq!(three.server.stats().calls - before, 300);
    assert_eq!(node(desk.client(), &three.endpoint).weight, 3);
}

#[test]
fn what_a_full_queue_turns_away_is_picked_again_elsewhere() {
    let full = Served::at("tcp://127.0.0.1:*", |builder| {
        builder.workers(1).queue(1).window(64)
    });
    let desk = full.client();
    let held: Vec<_> = (0..2)
        .map(|_| desk.begin().hold().expect("it begins"))
        .collect();
    full.desk.has_begun(1);
    until("its queue is full", || {
        full.server.stats().pools[0].queued == 1
    });
    let free = Served::new();
    let nodes = [&full, &free].map(|one| Member::new(&one.endpoint));
    // By turns, whatever a node says of its load: else it may be that none goes to the full one.
    let both = Client::builder().nodes(nodes).policy(Policy::round_robin());
    let both = DeskClient::from(both.connect(()).expect("endpoints"));
    all_up(&both);
    for n in 0..20 {
        assert_eq!(both.add(n, 1), Ok(n + 1));
    }
    assert!(both.client().stats().calls.repicked > 0);
    assert_eq!(free.server.stats().answered, 20);
    full.desk.open();
    for held in held {
        assert_eq!(held.wait(), Ok(false));
    }
}

#[test]
fn a_refusal_names_when_to_try_again_once_the_deadline_is_near() {
    let peer = ByHand::new("tcp://127.0.0.1:*");
    let client = Client::builder().timeout(PATIENCE).connect(&peer.endpoint);
    let desk = DeskClient::from(client.expect("an endpoint"));
    let sum = desk.begin().add(2, 3).expect("it begins");
    let (who, id, method) = peer.call(4, |_| ());
    assert_eq!(method, "desk.v1.add");
    let busy = Status::resource_exhausted("busy").with_retry_after(Duration::from_millis(5));
    peer.refuse(&who, id, &busy, Ran::No);
    // It did not run, so it comes again under another number.
    let (who, again, _) = peer.call(4, |_| ());
    assert_ne!(id, again);
    peer.reply(&who, again, &[5]);
    assert_eq!(sum.wait(), Ok(5));
    // What ran, or may have, does not.
    let sum = desk.begin().add(2, 3).expect("it begins");
    let (who, id, _) = peer.call(4, |_| ());
    peer.refuse(&who, id, &busy, Ran::Maybe);
    let error = sum.wait().expect_err("refused");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::ResourceExhausted, Ran::Maybe)
    );
    let error = error.rpc().expect("the fabric's");
    assert_eq!(error.retry_after(), Some(Duration::from_millis(5)));
}

#[test]
fn a_call_refused_until_its_deadline_is_told_by_whom_and_with_what() {
    let peer = ByHand::new("tcp://127.0.0.1:*");
    let desk = DeskClient::connect(&peer.endpoint).expect("an endpoint");
    let desk = desk.with(Call::new().timeout(Duration::from_secs(3)));
    let sum = desk.begin().add(2, 3).expect("it begins");
    // It comes back soon after the first, and never after the second.
    for (why, after) in [("busy", 1), ("the queue is full", 3_600_000)] {
        let (who, id, _) = peer.call(4, |_| ());
        let after = Duration::from_millis(after);
        let busy = Status::resource_exhausted(why).with_retry_after(after);
        peer.refuse(&who, id, &busy, Ran::No);
    }
    let error = sum.wait().expect_err("it rests");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::No)
    );
    let text = error.to_string();
    let told = format!(
        "it was turned away 2 times, the last by {} with RESOURCE_EXHAUSTED: the queue is full",
        peer.endpoint
    );
    assert!(text.contains(&told), "{text}");
    assert!(!text.contains("not sent"), "{text}");
    assert!(!text.contains("without credit"), "{text}");
    // It has left that alone by now, and has credit.
    assert!(
        text.contains(&format!("; {}: connected", peer.endpoint)),
        "{text}"
    );
}

#[test]
fn a_call_that_rests_for_a_lone_node_goes_to_one_that_is_added() {
    let peer = ByHand::new("tcp://127.0.0.1:*");
    let desk = DeskClient::connect(&peer.endpoint).expect("an endpoint");
    let patient = desk.with(Call::new().timeout(Duration::from_secs(600)));
    let mut sum = patient.begin().add(2, 3).expect("it begins");
    let (who, id, _) = peer.call(4, |_| ());
    let busy = Status::resource_exhausted("busy").with_retry_after(Duration::from_secs(3600));
    peer.refuse(&who, id, &busy, Ran::No);
    until("it rests", || desk.client().stats().calls.waiting == 1);
    let served = Served::new();
    desk.client().add(&served.endpoint).expect("another");
    assert_eq!(sum.wait_timeout(PATIENCE), Some(Ok(5)));
}

#[test]
fn a_node_that_is_left_alone_is_said_to_be() {
    let peer = ByHand::new("tcp://127.0.0.1:*");
    let desk = DeskClient::connect(&peer.endpoint).expect("an endpoint");
    let hasty = desk.with(Call::new().timeout(Duration::from_millis(20)));
    let busy = Status::resource_exhausted("busy").with_retry_after(Duration::from_secs(3600));
    let began = Instant::now();
    // It is left alone for a moment only: if this thread misses that, once more.
    loop {
        let before = node(desk.client(), &peer.endpoint).errors;
        let refused = desk.begin().add(2, 3).expect("it begins");
        // One of those that missed it may come before.
        let (who, id, _) = peer.call(100, |_| ());
        peer.refuse(&who, id, &busy, Ran::No);
        until("it is left alone, or was", || {
            node(desk.client(), &peer.endpoint).errors > before
        });
        let error = hasty.add(2, 3).expect_err("nobody answers");
        assert_eq!(error.code(), Code::DeadlineExceeded);
        let text = error.to_string();
        if text.contains("not sent within 20ms") {
            assert_eq!(error.ran(), Ran::No);
            assert!(
                text.contains("left alone for a while, as it asked"),
                "{text}"
            );
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{text}");
        drop(refused);
    }
}

#[test]
fn a_draining_node_costs_no_call() {
    let (leaving, staying) = (Served::new(), Served::new());
    // By turns: by its loads one may get next to none.
    let client = Client::builder()
        .policy(Policy::round_robin())
        .timeout(PATIENCE);
    let client = client.connect([&*leaving.endpoint, &*staying.endpoint]);
    let desk = DeskClient::from(client.expect("endpoints"));
    all_up(&desk);
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for n in 0..200 {
                        assert_eq!(desk.add(n, 1), Ok(n + 1));
                    }
                })
            })
            .collect();
        until("it has been called", || {
            leaving.server.stats().answered > 20
        });
        assert!(leaving.server.stop_within(PATIENCE).is_clean());
        for calls in calls {
            calls.join().expect("no call fails");
        }
    });
    // Of this method: a node may have been asked for its load, too.
    let added = |served: &Served| {
        let methods = served.server.stats().methods;
        let add = methods.iter().find(|method| method.path == "desk.v1.add");
        add.expect("a method of it").calls
    };
    assert_eq!(added(&leaving) + added(&staying), 800);
}

#[test]
fn nodes_come_and_go_while_calls_run() {
    let (first, second) = (Served::new(), Served::new());
    let desk = first.client();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Until the pool has changed twice, however long this thread is kept from doing so.
        let calls = scope.spawn(|| {
            let (began, mut n) = (Instant::now(), 0);
            while n < 500 || (!over.load(Ordering::SeqCst) && began.elapsed() < 2 * PATIENCE) {
                assert_eq!(desk.add(n, 1), Ok(n + 1));
                n += 1;
            }
        });
        let client = desk.client();
        client.add(&second.endpoint).expect("another");
        let error = client.add(&second.endpoint).expect_err("twice");
        assert!(error.to_string().contains("each endpoint once"), "{error}");
        until("it is called", || second.server.stats().answered > 0);
        assert!(client.remove(&first.endpoint));
        assert!(!client.remove(&first.endpoint));
        over.store(true, Ordering::SeqCst);
        calls.join().expect("no call fails");
    });
    until("it is parted from", || first.server.stats().callers == 0);
    assert_eq!(desk.client().stats().nodes.len(), 1);
    assert_eq!(desk.add(2, 3), Ok(5));
}

#[test]
fn an_empty_pool_says_so() {
    let served = Served::new();
    let desk = served.client();
    assert_eq!(desk.add(2, 3), Ok(5));
    assert!(desk.client().remove(&served.endpoint));
    let error = desk.add(2, 3).expect_err("nobody is left");
    assert!(error.to_string().contains("the pool is empty"), "{error}");
}

#[test]
fn stats_show_the_pickers_and_the_credits_view() {
    let served = Served::at("tcp://127.0.0.1:*", |builder| builder.name("desk"));
    let desk = served.client();
    let held = desk.begin().hold().expect("it begins");
    served.desk.has_begun(1);
    assert!(desk.fail(5, "no", false).is_err());
    let report = node(desk.client(), &served.endpoint);
    assert_eq!((&*report.name, report.weight), ("desk", 1));
    assert!(report.credit_calls >= 16 && report.credit_bytes > 0);
    assert_eq!((report.in_flight, report.sent), (1, 2));
    assert_eq!((report.answered, report.errors, report.lost), (0, 1, 0));
    assert!(
        report.load.is_some_and(|load| load.in_flight >= 1),
        "{report:?}"
    );
    served.desk.open();
    assert_eq!(held.wait(), Ok(false));
    let stats = desk.client().stats();
    assert_eq!((stats.calls.submitted, stats.calls.held), (2, 0));
    assert!(node(desk.client(), &served.endpoint).latency > Duration::ZERO);
}

#[test]
fn a_client_may_have_an_engine_of_its_own() {
    let served = Served::new();
    let engine = Engine::new().expect("an engine");
    let desk = served.client_of(|builder| builder.engine(&engine).name("own"));
    assert_eq!(desk.add(2, 3), Ok(5));
    assert_eq!(desk.caller(), Ok("own".to_owned()));
    let sum = desk.begin().add(2, 3).expect("it begins");
    let answer = sum.receiver().recv_timeout(PATIENCE).expect("one end");
    assert_eq!(sum.finish(answer), Ok(5));
}

#[test]
fn a_call_that_waits_for_a_node_that_goes_is_sent_to_the_one_that_had_refused_it() {
    let (first, other) = (
        ByHand::new("tcp://127.0.0.1:*"),
        ByHand::new("tcp://127.0.0.1:*"),
    );
    let nodes = [Member::new(&first.endpoint), Member::new(&other.endpoint)];
    let client = Client::builder().nodes(nodes).timeout(PATIENCE);
    let desk = DeskClient::from(client.connect(()).expect("endpoints"));
    for (peer, calls) in [(&first, 4), (&other, 0)] {
        let (who, _) = peer.router.recv_timeout(PATIENCE).expect("a hello");
        peer.welcome(&who, 2, calls);
        until("it is up", || {
            node(desk.client(), &peer.endpoint).state == NodeState::Up
        });
    }
    let waits = desk.begin().add(2, 3).expect("it is sent");
    let (who, id, _) = first.call(4, |_| {});
    first.refuse(&who, id, &Status::unavailable("not now"), Ran::No);
    until("it waits for the other", || {
        desk.client().stats().calls.repicked == 1
    });
    drop(other);
    let (who, id, _) = first.call(4, |_| {});
    first.reply(&who, id, &[5]);
    assert_eq!(waits.wait(), Ok(5));
}
