//! The pool behind a proxy: shares, credit, nodes that are killed or drained, and changes under load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use brokerless::balance::Place;
use brokerless::client::{Call, Client};
use brokerless::proxy::{Change, Member, NodeStats};
use brokerless::wire::Envelope;
use brokerless::{Code, Error, Policy, Ran};

use crate::desk::DeskClient;
use crate::fleet::{Fleet, proxy, states, up};
use crate::hostile::Caller;
use crate::support::{ByHand, PATIENCE, Served, until};

fn member(served: &Served, weight: u32) -> Member {
    Member::new(&*served.endpoint).weight(weight)
}

#[test]
fn weights_are_shares_of_the_calls() {
    let (one, three) = (Served::new(), Served::new());
    let members = [member(&one, 1), member(&three, 3)];
    let proxy = proxy("tcp://127.0.0.1:*", members, |builder| {
        builder.policy(Policy::weighted())
    });
    up(&proxy, 2);
    let desk = DeskClient::connect(&proxy.local_endpoints()[0]).expect("an endpoint");
    for n in 0..400 {
        assert_eq!(desk.add(n, 1), Ok(n + 1));
    }
    let (light, heavy) = (one.server.stats().calls, three.server.stats().calls);
    assert!((95..=105).contains(&light), "{light}");
    assert!((295..=305).contains(&heavy), "{heavy}");
}

#[test]
fn a_killed_node_leaves_its_calls_maybe_and_the_others_go_on() {
    let (doomed, node) = (ByHand::new("tcp://127.0.0.1:*"), Served::new());
    let members = [Member::new(&*doomed.endpoint), member(&node, 1)];
    let proxy = proxy("tcp://127.0.0.1:*", members, |builder| builder);
    let (peer, hello) = doomed.router.recv_timeout(PATIENCE).expect("a hello");
    assert!(matches!(
        Envelope::decode(hello.first()),
        Ok(Envelope::Hello(_))
    ));
    doomed.welcome(&peer, 2, 16);
    up(&proxy, 2);
    let caller = Caller::new(&proxy.local_endpoints()[0].to_string());
    let first = caller.window.into();
    for id in 1..=first {
        caller.call(id, "desk.v1.hold", &[0x90]);
    }
    // One is with the node that dies, and so may be others.
    doomed.call(16, |_| {});
    drop(doomed);
    node.desk.open();
    let (mut answered, mut maybe) = (0, 0);
    while answered + maybe < first {
        let message = caller.next(PATIENCE).expect("an answer");
        match Envelope::decode(message.first()) {
            Ok(Envelope::Reply(_)) => answered += 1,
            Ok(Envelope::Error(head)) => {
                assert_eq!((head.code, head.ran), (Code::Unavailable, Ran::Maybe));
                assert!(head.message.contains("was lost"), "{}", head.message);
                maybe += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(maybe > 0, "{answered} answered");
    let desk = DeskClient::connect(&proxy.local_endpoints()[0]).expect("an endpoint");
    for n in 0..50 {
        assert_eq!(desk.add(n, 1), Ok(n + 1));
    }
    let lost: u64 = proxy.stats().nodes.iter().map(|it| it.lost).sum();
    assert_eq!(lost, maybe);
}

#[test]
fn a_drained_node_fails_no_call() {
    let fleet = Fleet::new(2);
    fleet.up(2);
    let answered = under_load(&fleet.endpoint, 4, |_| {
        let leaving = &fleet.nodes[0];
        until("it is called", || leaving.server.stats().answered > 50);
        let report = leaving.server.stop_within(Duration::from_secs(30));
        assert!(report.is_clean(), "{report:?}");
        let before = fleet.nodes[1].server.stats().answered;
        until("the other is called", || {
            fleet.nodes[1].server.stats().answered > before + 100
        });
    });
    let by_nodes = fleet.nodes.iter().map(|it| it.server.stats().answered);
    assert_eq!(by_nodes.sum::<u64>(), answered);
}

/// Threads that call while this is done; gives how many calls were answered. None may fail.
fn under_load(endpoint: &str, threads: usize, during: impl FnOnce(&AtomicU64)) -> u64 {
    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..threads)
            .map(|_| {
                let client = Client::builder().timeout(PATIENCE).connect(endpoint);
                let desk = DeskClient::from(client.expect("an endpoint"));
                let (over, answered) = (&over, &answered);
                scope.spawn(move || {
                    let mut n = 0;
                    while !over.load(Ordering::SeqCst) {
                        assert_eq!(desk.add(n, 1), Ok(n + 1));
                        answered.fetch_add(1, Ordering::SeqCst);
                        n += 1;
                    }
                })
            })
            .collect();
        /// Also where what is done meanwhile fails.
        struct Over<'o>(&'o AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let ends = Over(&over);
        during(&answered);
        drop(ends);
        for calls in calls {
            calls.join().expect("no call fails");
        }
    });
    answered.into_inner()
}

#[test]
fn nodes_come_and_go_and_change_their_weight_under_load_without_a_failed_call() {
    let nodes: Vec<Served> = (0..3).map(|_| Served::new()).collect();
    let proxy = proxy("tcp://127.0.0.1:*", [member(&nodes[0], 1)], |it| it);
    let endpoint = proxy.local_endpoints()[0].to_string();
    under_load(&endpoint, 4, |_| {
        for round in 0..20u32 {
            // One stays, one leaves, one comes: each in turn.
            let (stays, comes) = ((round as usize) % 3, (round as usize + 1) % 3);
            let weight = 1 + round % 5;
            let members = [member(&nodes[stays], weight), member(&nodes[comes], weight)];
            proxy.set_nodes(members).expect("it is taken");
            let before = nodes[comes].server.stats().answered;
            until("the one that came is called", || {
                nodes[comes].server.stats().answered > before + 5
            });
            assert_eq!(proxy.nodes().len(), 2);
        }
        until("those left out are parted from", || {
            proxy.stats().nodes.len() == 2
        });
    });
    until("the last one that left has no caller", || {
        nodes
            .iter()
            .filter(|it| it.server.stats().callers == 0)
            .count()
            == 1
    });
}

#[test]
fn what_has_changed_is_said() {
    let (one, two) = (Served::new(), Served::new());
    let proxy = proxy("tcp://127.0.0.1:*", [member(&one, 1)], |it| it);
    let changes = proxy.set_nodes([member(&one, 4), member(&two, 2)]);
    let expected = [
        Change::Changed(member(&one, 4)),
        Change::Added(member(&two, 2)),
    ];
    assert_eq!(changes.expect("it is taken"), expected);
    let changes = proxy.set_nodes([member(&two, 2)]).expect("it is taken");
    assert_eq!(changes, [Change::Removed(member(&one, 4))]);
    assert_eq!(changes[0].to_string(), format!("removed {}", one.endpoint));
    assert_eq!(proxy.set_nodes([member(&two, 2)]).expect("it is taken"), []);
    up(&proxy, 1);
    let weights: Vec<u32> = proxy.stats().nodes.iter().map(|it| it.weight).collect();
    assert_eq!(weights, [2]);
}

#[test]
fn a_stopped_proxy_connects_to_no_node() {
    let (one, two) = (Served::new(), Served::new());
    let proxy = proxy("tcp://127.0.0.1:*", [member(&one, 1)], |it| it);
    proxy.stop();
    let refused = proxy.set_nodes([member(&one, 1), member(&two, 1)]);
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    // Nor does it seem to leave one that it has left.
    let refused = proxy.set_nodes([member(&two, 1)]);
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    assert_eq!(proxy.nodes(), [member(&one, 1)]);
    assert!(proxy.stats().nodes.is_empty());
}

#[test]
fn nodes_that_are_refused_change_nothing() {
    let (one, two) = (Served::new(), Served::new());
    let proxy = proxy("tcp://127.0.0.1:*", [member(&one, 1)], |it| it);
    let refused = |members: Vec<Member>| proxy.set_nodes(members).expect_err("refused");
    assert!(matches!(refused(vec![]), Error::NoEndpoints));
    let error = refused(vec![member(&two, 1), member(&two, 2)]);
    assert!(error.to_string().contains("each endpoint once"), "{error}");
    let error = refused(vec![member(&two, 1), Member::new("tcp://nowhere")]);
    assert!(matches!(error, Error::Patterns(_)), "{error}");
    let error = refused(vec![member(&two, 1), member(&one, 1001)]);
    assert!(error.to_string().contains("weight"), "{error}");
    // One that only a listener may have, found as the last.
    let error = refused(vec![
        member(&one, 7),
        member(&two, 1),
        Member::new("tcp://*:5555"),
    ]);
    assert!(matches!(error, Error::Patterns(_)), "{error}");
    assert_eq!(proxy.nodes(), [member(&one, 1)]);
    let stays = |node: &NodeStats| node.state != "leaving";
    let nodes = || proxy.stats().nodes.into_iter().filter(stays);
    assert_eq!(nodes().map(|it| it.weight).collect::<Vec<_>>(), [1]);
    // And it is in nobody's way.
    let changes = proxy.set_nodes([member(&one, 1), member(&two, 1)]);
    assert_eq!(
        changes.expect("it is right"),
        [Change::Added(member(&two, 1))]
    );
    assert_eq!(nodes().count(), 2);
}

#[test]
fn a_set_has_to_have_a_node_at_home_and_not_each_step_to_it() {
    let (one, two) = (Served::new(), Served::new());
    let at = |served: &Served, zone: &str| member(served, 1).zone("eu", zone);
    let here = Policy::random().by_place(Place::new("eu", "eu-1"));
    let proxy = proxy("tcp://127.0.0.1:*", [at(&one, "eu-1")], |builder| {
        builder.policy(here)
    });
    let error = proxy.set_nodes([at(&one, "eu-l"), at(&two, "eu-2")]);
    let error = error.expect_err("nobody is at home").to_string();
    assert!(error.contains("there are eu/eu-2, eu/eu-l"), "{error}");
    assert_eq!(proxy.nodes(), [at(&one, "eu-1")]);
    // The one goes from home in the same set in which another comes there.
    let set = [at(&one, "eu-2"), at(&two, "eu-1")];
    let changes = proxy.set_nodes(set.clone()).expect("one is at home");
    assert_eq!(changes.len(), 2);
    assert_eq!(proxy.nodes(), set);
    // Those that stand by, too, are somewhere.
    let changes = proxy.set_nodes([at(&two, "eu-1").weight(0), at(&one, "eu-2")]);
    assert_eq!(changes.expect("it is drained").len(), 1);
}

#[test]
fn a_node_that_is_not_said_to_be_anywhere_any_more_is_the_furthest() {
    let (one, two) = (Served::new(), Served::new());
    let policy = Policy::random().by_distance(Place::default().at(52.5, 13.4));
    let near = member(&one, 1).at(52.5, 13.4);
    let far = member(&two, 1).at(40.7, -74.0);
    let proxy = proxy("tcp://127.0.0.1:*", [near, far.clone()], |builder| {
        builder.policy(policy.slow_start(Duration::ZERO))
    });
    up(&proxy, 2);
    let desk = DeskClient::connect(&proxy.local_endpoints()[0]).expect("an endpoint");
    let calls = || (one.server.stats().calls, two.server.stats().calls);
    (0..20).for_each(|n| assert_eq!(desk.add(n, 1), Ok(n + 1)));
    assert_eq!(calls(), (20, 0));
    let changes = proxy.set_nodes([member(&one, 1), far]).expect("it is one");
    assert_eq!(changes, [Change::Changed(member(&one, 1))]);
    (0..20).for_each(|n| assert_eq!(desk.add(n, 1), Ok(n + 1)));
    assert_eq!(calls(), (20, 20));
}

#[test]
fn a_pool_without_credit_makes_callers_wait_and_then_refuses_them() {
    let node = Served::at("tcp://127.0.0.1:*", |builder| {
        builder.window(1).window_max(1)
    });
    let fleet = Fleet::of("tcp://127.0.0.1:*", vec![node], |builder| builder.queue(2));
    fleet.up(1);
    let caller = Caller::new(&fleet.endpoint);
    // One after the other: threads that receive may overtake each other.
    for id in 1..=3 {
        caller.call(id, "desk.v1.hold", &[0x90]);
        until("it is taken up", || fleet.proxy.stats().in_flight == id);
    }
    caller.call(4, "desk.v1.hold", &[0x90]);
    let (code, ran, message, after) = caller.error(4);
    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::No), "{message}");
    assert!(after.is_some() && message.contains("queue"), "{message}");
    let stats = fleet.proxy.stats();
    assert_eq!((stats.waiting, stats.in_flight), (2, 3), "{stats:?}");
    assert_eq!(stats.refused["queue-full"], 1);
    // One that waits is cancelled: it is answered at once, and never sent.
    caller.cancel(3);
    let (code, ran, message, _) = caller.error(3);
    assert_eq!((code, ran), (Code::Cancelled, Ran::No), "{message}");
    fleet.nodes[0].desk.open();
    assert_eq!(caller.reply(1), [0xc2]);
    assert_eq!(caller.reply(2), [0xc2]);
    fleet.quiet();
    assert_eq!(fleet.nodes[0].desk.begun(), 2);
}

#[test]
fn callers_that_are_refused_for_want_of_room_come_again() {
    let node = Served::at("tcp://127.0.0.1:*", |builder| {
        builder.window(1).window_max(2)
    });
    let fleet = Fleet::of("tcp://127.0.0.1:*", vec![node], |builder| builder.queue(1));
    let desk = fleet.desk();
    let patient = desk.with(Call::new().timeout(PATIENCE));
    let calls: Vec<_> = (0..40)
        .map(|n| patient.begin().add(n, 1).expect("it begins"))
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.wait(), Ok(n as i64 + 1));
    }
}

#[test]
fn bytes_that_are_passed_on_at_once_are_bounded() {
    let fleet = Fleet::at("tcp://127.0.0.1:*", 1, |builder| builder.bytes_max(100_000));
    let caller = Caller::new(&fleet.endpoint);
    caller.call(1, "desk.v1.hold", &vec![0x90; 90_000]);
    fleet.nodes[0].desk.has_begun(1);
    assert_eq!(fleet.proxy.stats().in_flight_bytes, 90_000);
    let other = Caller::new(&fleet.endpoint);
    other.call(2, "desk.v1.hold", &vec![0x90; 9_000]);
    fleet.nodes[0].desk.has_begun(2);
    other.call(3, "desk.v1.hold", &vec![0x90; 2_000]);
    let (code, ran, message, after) = other.error(3);
    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::No), "{message}");
    assert!(
        after.is_some() && message.contains("bytes_max"),
        "{message}"
    );
    fleet.nodes[0].desk.open();
    caller.reply(1);
    other.reply(2);
    fleet.quiet();
    caller.call(4, "desk.v1.hold", &vec![0x90; 150_000]);
    caller.reply(4);
}

#[test]
fn a_paused_proxy_keeps_calls_and_sends_them_when_it_resumes() {
    let node = ByHand::new("tcp://127.0.0.1:*");
    let member = Member::new(&*node.endpoint);
    let proxy = proxy("tcp://127.0.0.1:*", [member], |builder| builder.queue(3));
    let caller = Caller::new(&proxy.local_endpoints()[0].to_string());
    proxy.pause();
    for id in 1..=3 {
        caller.call(id, &format!("x.y{id}"), &[0x90]);
        until("it is kept", || proxy.stats().kept == id);
    }
    caller.call(4, "x.y4", &[0x90]);
    let (code, ran, message, after) = caller.error(4);
    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::No), "{message}");
    assert!(after.is_some() && message.contains("paused"), "{message}");
    let stats = proxy.stats();
    assert_eq!((stats.state, stats.nodes[0].sent), ("paused", 0));
    proxy.resume();
    for id in 1..=3 {
        let (peer, number, method) = node.call(16, |_| {});
        assert_eq!(
            method,
            format!("x.y{id}"),
            "in the order in which they came"
        );
        node.reply(&peer, number, &[7]);
    }
    for _ in 1..=3 {
        let message = caller.next(PATIENCE).expect("an answer");
        let answer = Envelope::decode(message.first());
        assert!(matches!(answer, Ok(Envelope::Reply(_))), "{answer:?}");
    }
    assert_eq!(proxy.stats().state, "running");
}

#[test]
fn a_call_that_is_cancelled_while_paused_is_never_sent() {
    let fleet = Fleet::new(1);
    fleet.up(1);
    let caller = Caller::new(&fleet.endpoint);
    fleet.proxy.pause();
    caller.call(1, "desk.v1.note", &[0x91, 0xa1, b'1']);
    caller.call(2, "desk.v1.note", &[0x91, 0xa1, b'2']);
    until("both are kept", || fleet.proxy.stats().kept == 2);
    caller.cancel(1);
    let (code, ran, ..) = caller.error(1);
    assert_eq!((code, ran), (Code::Cancelled, Ran::No));
    fleet.proxy.resume();
    caller.reply(2);
    assert_eq!(*fleet.nodes[0].desk.lines.lock(), ["2"]);
    fleet.quiet();
}

#[test]
fn a_proxy_that_stops_answers_what_it_has_and_leaves_its_nodes() {
    let fleet = Fleet::new(1);
    fleet.up(1);
    let desk = fleet.desk();
    let held = desk.begin().hold().expect("it is sent");
    fleet.nodes[0].desk.has_begun(1);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| fleet.proxy.stop_within(Duration::from_secs(60)));
        until("it is leaving", || fleet.proxy.stats().state == "draining");
        fleet.nodes[0].desk.open();
        assert_eq!(held.wait(), Ok(false));
        drop(desk);
        let report = stopping.join().expect("no panic");
        assert!(report.is_clean(), "{report:?}");
    });
    until("the node is parted from", || {
        fleet.nodes[0].server.stats().callers == 0
    });
}

#[test]
fn a_proxy_whose_time_is_up_cancels_what_is_left() {
    let fleet = Fleet::new(1);
    fleet.up(1);
    let caller = Caller::new(&fleet.endpoint);
    caller.call(1, "desk.v1.hold", &[0x90]);
    fleet.nodes[0].desk.has_begun(1);
    let report = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| fleet.proxy.stop_within(Duration::from_millis(100)));
        let (code, ran, message, _) = caller.error(1);
        assert_eq!((code, ran), (Code::Unavailable, Ran::Maybe), "{message}");
        stopping.join().expect("no panic")
    });
    assert_eq!(report.running, 0, "{report:?}");
    fleet.nodes[0].desk.has_cancelled(1);
}

#[test]
fn a_node_that_comes_back_is_called_again() {
    let fleet = Fleet::new(2);
    fleet.up(2);
    let desk = fleet.desk();
    let endpoint = fleet.nodes[0].endpoint.clone();
    let Fleet {
        proxy, mut nodes, ..
    } = fleet;
    drop(nodes.remove(0));
    until("it is seen to be gone", || {
        states(&proxy.stats(), "up") == 1
    });
    assert_eq!(desk.add(2, 3), Ok(5));
    let back = Served::at(&endpoint, |builder| builder);
    up(&proxy, 2);
    until("it is called", || {
        assert_eq!(desk.add(2, 3), Ok(5));
        back.server.stats().answered > 0
    });
}
