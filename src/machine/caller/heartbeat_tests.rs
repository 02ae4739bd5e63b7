//! Facts about what heartbeats tell of nodes: silence, and how far they are.

use std::collections::BTreeSet;
use std::time::Duration;

use brokerless_patterns::balance::Policy;

use super::tests::{NO, NOW, ask, pool, sent};
use super::*;

#[test]
fn a_silent_node_gets_nothing_while_another_is_up() {
    for name in Policy::names() {
        let policy = Policy::named(name).expect("a name of its own");
        let balancer = Balancer::new(&policy, 1).expect("a policy without options");
        let mut caller = Caller::new(CallerLimits::default(), balancer);
        let nodes = [0, 1].map(|_| caller.add_node(NOW, Facts::default()));
        for node in nodes {
            caller.connected(NOW, node);
            caller.welcome(NOW, node, Credit::new(100, 1 << 20));
        }
        let mut key = 0;
        let mut submit = |caller: &mut Caller<u64>, now: Time| {
            key += 1;
            let ask = Ask {
                key: Some(key << 32),
                ..ask()
            };
            match caller.submit(now, ask, key) {
                Submitted::Send(sending) => Some(sending),
                Submitted::Waits(_) => None,
                other => panic!("{name}: {other:?}"),
            }
        };
        let within = Duration::from_millis(100);
        caller.asked(NOW, nodes[0], within);
        let late = NOW.after(within);
        assert_eq!(caller.stats().sent, 0);
        // Not late yet: both are called.
        let early = Time::from_nanos(late.as_nanos() - 1);
        let called: BTreeSet<_> = (0..40)
            .map(|_| submit(&mut caller, early).map(|sending| sending.node))
            .collect();
        assert_eq!(called.len(), 2, "{name}");
        let before = caller.node_stats(nodes[0]).map(|node| node.sent);
        let mut sendings = Vec::new();
        while let Some(sending) = submit(&mut caller, late) {
            assert_eq!(sending.node, nodes[1], "{name}");
            sendings.push(sending);
        }
        assert!(caller.node_stats(nodes[0]).is_some_and(|node| node.silent));
        // Full, or turned away: a call waits for the node that is there, and not for the other.
        let one = sendings.pop().expect("some went there");
        let then = caller.error(late, one.node, one.id, NO, Answered::default());
        assert_eq!(then, ErrorThen::Again);
        assert_eq!(caller.next_send(late).map(|it| it.node), Some(nodes[1]));
        assert_eq!(caller.next_send(late), None, "{name}: it rests");
        assert_eq!(caller.node_stats(nodes[0]).map(|node| node.sent), before);
        caller.heard(nodes[0]);
        assert!(caller.node_stats(nodes[0]).is_some_and(|node| !node.silent));
        assert_eq!(
            submit(&mut caller, late).map(|it| it.node),
            Some(nodes[0]),
            "{name}: it has room again"
        );
    }
}

#[test]
fn what_is_measured_of_a_node_holds_until_more_is_and_fails_no_call() {
    let policy = Policy::round_robin().by_round_trip();
    let balancer = Balancer::new(&policy, 1).expect("a policy without options");
    let mut caller = Caller::new(CallerLimits::default(), balancer);
    let nodes = [0, 1].map(|_| caller.add_node(NOW, Facts::default()));
    let round_trip = |caller: &Caller<u64>, node| {
        let stats = caller.node_stats(node);
        stats.and_then(|stats| stats.round_trip)
    };
    for node in nodes {
        caller.connected(NOW, node);
        caller.welcome(NOW, node, Credit::new(100, 1 << 20));
        assert_eq!(round_trip(&caller, node), None);
    }
    let (near, far) = (Duration::from_micros(300), Duration::from_millis(80));
    caller.measured(nodes[0], Some(far));
    caller.measured(nodes[1], Some(near));
    assert!((0..10).all(|call| sent(&mut caller, call).node == nodes[1]));
    // Its connection is lost, and it comes back as near as it was: nobody has said otherwise.
    caller.lost(NOW, nodes[1]);
    assert_eq!(sent(&mut caller, 10).node, nodes[0]);
    assert_eq!(round_trip(&caller, nodes[1]), Some(near));
    caller.connected(NOW, nodes[1]);
    caller.welcome(NOW, nodes[1], Credit::new(100, 1 << 20));
    assert_eq!(sent(&mut caller, 11).node, nodes[1]);
    // Of one that has left nothing is known, and what is told of it still says nothing of others.
    assert!(caller.remove_node(NOW, nodes[1]) || round_trip(&caller, nodes[1]).is_some());
    caller.measured(nodes[0], None);
    assert_eq!(round_trip(&caller, nodes[0]), None);
    assert_eq!(sent(&mut caller, 12).node, nodes[0]);
}

#[test]
fn where_all_are_silent_all_are_called() {
    let (mut caller, nodes) = pool(2, 100);
    for node in &nodes {
        caller.asked(NOW, *node, Duration::ZERO);
    }
    let called: BTreeSet<_> = (0..10).map(|call| sent(&mut caller, call).node).collect();
    assert_eq!(called.len(), 2);
    // The first that is not comes alone, and so does one that is connected anew.
    caller.heard(nodes[1]);
    assert!((0..10).all(|call| sent(&mut caller, call).node == nodes[1]));
    caller.lost(NOW, nodes[0]);
    caller.connected(NOW, nodes[0]);
    caller.welcome(NOW, nodes[0], Credit::new(100, 1 << 20));
    let called: BTreeSet<_> = (0..10).map(|call| sent(&mut caller, call).node).collect();
    assert_eq!(called.len(), 2);
}
