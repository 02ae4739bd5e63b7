//! What holds for every policy, alone and composed.

use std::time::Duration;

use proptest::prelude::*;

use super::testing::{MS, Pool, SECOND};
use super::{Balancer, Facts, Load, Place, Policy};

/// Every policy there is, and some of them within every one that divides.
fn policies() -> Vec<Policy> {
    let home = Place::new("eu", "eu-1").at(50.0, 8.0);
    let mut policies: Vec<Policy> = Policy::names()
        .map(|name| Policy::named(name).unwrap())
        .collect();
    for policy in [Policy::weighted(), Policy::peak_ewma()] {
        policies.push(policy.clone().by_place(home.clone()));
        policies.push(policy.clone().by_distance(home.clone()));
        policies.push(policy.clone().by_round_trip());
        policies.push(policy.clone().by_priority());
        policies.push(policy.clone().within_subset(3));
        let all = policy.by_priority().by_place(home.clone());
        policies.push(all.within_subset(5));
    }
    for policy in [Policy::adaptive(), Policy::hot_cold()] {
        policies.push(policy.by_priority().by_place(home.clone()));
    }
    let all = Policy::adaptive().by_round_trip().by_priority();
    policies.push(all.by_place(home.clone()).within_subset(5));
    policies.push(Policy::consistent_hash().by_place(home));
    policies
}

/// One of several places, priorities and weights.
fn facts(number: usize) -> Facts {
    let places = [("eu", "eu-1"), ("eu", "eu-2"), ("us", "us-1"), ("", "")];
    let (region, zone) = places[number % 4];
    let place = Place::new(region, zone).at((number % 90) as f64, 8.0);
    Facts::weight(1 + number as u32 % 3)
        .priority((number % 3) as u8)
        .id(7 + number as u64)
        .place(place)
}

#[derive(Debug, Clone)]
enum Step {
    Add(usize, u32),
    Up(usize, bool),
    Silent(usize, bool),
    Set(usize, usize),
    Remove(usize),
    Pick(u64),
    Reply(usize, u64),
    Fail(usize),
    Lapse(usize),
    Report(usize, u16),
    Measure(usize, Option<u64>),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0usize..12;
    prop_oneof![
        2 => (node.clone(), 0u32..4).prop_map(|(node, weight)| Step::Add(node, weight)),
        3 => (node.clone(), any::<bool>()).prop_map(|(node, up)| Step::Up(node, up)),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, is)| Step::Silent(node, is)),
        1 => (node.clone(), 0usize..100).prop_map(|(node, facts)| Step::Set(node, facts)),
        1 => node.clone().prop_map(Step::Remove),
        8 => any::<u64>().prop_map(Step::Pick),
        3 => (node.clone(), 0u64..10_000_000_000).prop_map(|(node, took)| Step::Reply(node, took)),
        1 => node.clone().prop_map(Step::Fail),
        1 => node.clone().prop_map(Step::Lapse),
        1 => (node.clone(), any::<u16>()).prop_map(|(node, load)| Step::Report(node, load)),
        2 => (node, round_trip()).prop_map(|(node, took)| Step::Measure(node, took)),
        2 => (0u64..2_000_000_000).prop_map(Step::Pass),
    ]
}

/// Of nanoseconds to centuries, and none.
fn round_trip() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        Just(None),
        Just(Some(0)),
        Just(Some(u64::MAX)),
        (0u32..64, any::<u64>()).prop_map(|(bits, took)| Some(took >> bits)),
    ]
}

/// Does this step; a pick is checked.
fn go(balancer: &mut Balancer, now: &mut u64, step: &Step, strict: bool) {
    let load = |permille: u16| Load {
        utilisation_permille: permille,
        per_s: u32::from(permille) * 3,
        errors_per_s: u32::from(permille % 7),
        ..Load::default()
    };
    match *step {
        Step::Add(node, weight) => balancer.add(
            *now,
            node,
            Facts {
                weight,
                ..facts(node)
            },
        ),
        Step::Up(node, up) => balancer.set_up(*now, node, up),
        Step::Silent(node, silent) => balancer.set_silent(node, silent),
        Step::Set(node, number) => balancer.set(*now, node, facts(number)),
        Step::Remove(node) => balancer.remove(node),
        Step::Pick(able) => {
            let is_able = |node: usize| able >> (node % 64) & 1 == 1;
            let nodes = balancer.nodes().clone();
            let takes =
                |node: &usize| nodes.is_up(*node) && nodes.weight(*node) > 0 && is_able(*node);
            let picked = balancer.pick(*now, Some(able), &is_able);
            assert!(
                picked.is_none_or(|node| takes(&node)),
                "{picked:?} takes no calls"
            );
            if strict {
                assert_eq!(picked.is_some(), nodes.iter().any(|node| takes(&node)));
            }
            if let Some(node) = picked {
                balancer.sent(*now, node);
            }
        }
        Step::Reply(node, took) => {
            balancer.replied(
                *now,
                node,
                Duration::from_nanos(took),
                Some(&load((took % 3000) as u16)),
            );
        }
        Step::Fail(node) => balancer.failed(*now, node, Duration::ZERO, None),
        Step::Lapse(node) => balancer.lapsed(*now, node),
        Step::Report(node, permille) => balancer.reported(*now, node, load(permille)),
        Step::Measure(node, took) => {
            balancer.set_round_trip(node, took.map(Duration::from_nanos));
        }
        Step::Pass(time) => *now += time,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// And no number makes one panic.
    #[test]
    fn as_long_as_one_is_able_one_is_found(steps in proptest::collection::vec(step(), 1..150)) {
        for policy in policies() {
            let mut balancer = Balancer::new(&policy, 1).unwrap();
            let mut now = 0;
            // Who lacks credit in a subset is waited for.
            let strict = !policy.name().contains("subset");
            for step in &steps {
                go(&mut balancer, &mut now, step, strict);
            }
        }
    }

    #[test]
    fn shares_follow_the_weights(weights in proptest::collection::vec(1usize..20, 1..12)) {
        for policy in [Policy::weighted(), Policy::least_in_flight(), Policy::peak_ewma()] {
            // Equal weights are drawn, not in turns.
            let equal = weights.iter().all(|weight| *weight == weights[0]);
            let calls = if equal { 60_000 } else { 10_000 };
            Pool::of(&policy, weights.iter().copied()).assert_shares(calls, 0.05);
        }
    }

    #[test]
    fn above_64_nodes_shares_follow_the_weights(
        weights in proptest::collection::vec(5usize..20, 65..100),
    ) {
        for policy in [Policy::weighted(), Policy::least_in_flight()] {
            Pool::of(&policy, weights.iter().copied()).assert_shares(60_000, 0.05);
        }
    }
}

#[test]
fn a_number_that_nobody_has_changes_nothing() {
    for policy in policies() {
        let mut pool = Pool::with(&policy, (0..4).map(facts));
        for node in [4, 1000, usize::MAX] {
            pool.up(node, true);
            pool.balancer.set(0, node, facts(1));
            pool.send(node);
            pool.reply(node, Duration::from_millis(1));
            pool.balancer.failed(0, node, Duration::ZERO, None);
            pool.balancer.lapsed(0, node);
            pool.balancer.reported(0, node, Load::default());
            pool.balancer.set_round_trip(node, Some(Duration::ZERO));
            pool.balancer.remove(node);
        }
        assert!(pool.pick().is_some(), "{policy:?}");
    }
}

#[test]
fn a_silent_node_is_not_picked_while_another_is_there() {
    for policy in policies() {
        // Those at home of the best priority first: whatever a policy prefers falls silent.
        for order in [[0, 4, 3, 1, 2, 6, 5, 7], [7, 2, 5, 0, 6, 1, 4, 3]] {
            let mut pool = Pool::with(&policy, (0..8).map(facts));
            let mut picks = |silent: &[usize], heard: usize| {
                for key in 0..100 {
                    pool.now += MS;
                    let picked = pool.balancer.pick(pool.now, Some(key), &|_| true);
                    let node = picked.unwrap_or_else(|| panic!("{policy:?} finds nobody"));
                    assert!(
                        silent.len() == 8 || !silent.contains(&node),
                        "{policy:?}: {node} is picked, and {silent:?} are silent"
                    );
                    assert!(heard == 0 || node == order[0], "{policy:?}");
                    pool.send(node);
                    // What it has is not answered.
                    if !silent.contains(&node) {
                        pool.reply(node, Duration::from_millis(1));
                    }
                }
                match (silent.len(), heard) {
                    (8, 0) => pool.balancer.set_silent(order[0], false),
                    (8, _) => {}
                    (count, _) => pool.balancer.set_silent(order[count], true),
                }
            };
            (0..=8).for_each(|count| picks(&order[..count], 0));
            // Of those that are all silent the first is heard again: it has everything.
            picks(&order[1..], 1);
        }
    }
}

#[test]
fn who_is_silent_is_picked_once_the_others_have_gone_and_not_spared_again_once_heard() {
    let mut pool = Pool::of(&Policy::round_robin(), [1; 3]);
    pool.balancer.set_silent(0, true);
    assert!(pool.picks(30).iter().all(|node| *node != 0));
    pool.up(1, false);
    pool.balancer.set(0, 2, Facts::weight(0));
    assert_eq!(pool.picks(3), [0; 3], "a silent one is better than none");
    pool.balancer.set(0, 2, Facts::weight(1));
    assert_eq!(pool.picks(3), [2; 3]);
    pool.balancer.remove(2);
    assert_eq!(pool.picks(3), [0; 3]);
    pool.up(1, true);
    assert_eq!(pool.picks(3), [1; 3]);
    pool.balancer.set_silent(0, false);
    assert_eq!(pool.counts(100), [50, 50, 0]);
    // Silence belongs to a connection: one that is down and comes back is told anew.
    pool.balancer.set_silent(0, true);
    pool.balancer.remove(0);
    pool.join(0, Facts::default());
    assert_eq!(pool.counts(100), [50, 50, 0]);
}

#[test]
fn a_hundred_changes_a_second_for_a_minute_leave_no_growth_and_lose_no_pick() {
    for policy in policies() {
        let mut pool = Pool::with(&policy, (0..20).map(facts));
        // A hash's tables are slow in a test: six times each node has to do.
        let changes = if policy.needs_key() { 120 } else { 6000 };
        for change in 0..changes {
            pool.now += 10 * MS;
            // One goes and another comes under its number; every third is only down for a moment.
            let node = change * 7 % 20;
            if change % 3 == 0 {
                pool.up(node, false);
                pool.up(node, true);
            } else {
                pool.balancer.remove(node);
                pool.join(node, facts(change));
            }
            for key in 0..3 {
                let picked = pool.balancer.pick(pool.now, Some(key), &|_| true);
                let node = picked.unwrap_or_else(|| panic!("{policy:?} finds nobody"));
                pool.send(node);
                pool.reply(node, Duration::from_millis(1));
            }
        }
        assert_eq!(pool.balancer.nodes().bound(), 20);
        assert_eq!(pool.balancer.nodes().len(), 20);
    }
}

#[test]
fn from_the_same_seed_the_same_is_picked() {
    for policy in policies() {
        let picks = |seed| {
            let mut pool = Pool::seeded(&policy, (0..10).map(facts), seed);
            let mut picks = Vec::new();
            for _ in 0..200 {
                pool.now += MS;
                picks.push(pool.call(Duration::from_millis(3)));
            }
            picks
        };
        assert_eq!(picks(5), picks(5), "{policy:?}");
    }
}

/// Two zones, and in each two of priority 0 and two of priority 1; at home in the first.
fn near_and_preferred(within: Policy) -> Pool {
    let policy = within.by_priority().by_place(Place::new("eu", "eu-1"));
    let facts = (0..8).map(|node| {
        let zone = if node < 4 { "eu-1" } else { "eu-2" };
        let place = Place::new("eu", zone);
        Facts::default()
            .priority(u8::from(node % 4 > 1))
            .place(place)
    });
    let mut pool = Pool::with(&policy, facts);
    pool.now += SECOND;
    pool
}

#[test]
fn near_before_priority_before_what_is_within() {
    let mut pool = near_and_preferred(Policy::least_in_flight());
    let expect = |pool: &mut Pool, able: &dyn Fn(usize) -> bool, expected: &[usize]| {
        let mut found: Vec<_> = (0..200).filter_map(|_| pool.pick_of(able)).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, expected);
    };
    expect(&mut pool, &|_| true, &[0, 1]);
    // Of those at home, the others before those that are away.
    expect(&mut pool, &|node| node > 1, &[2, 3]);
    expect(&mut pool, &|node| node > 3, &[4, 5]);
    // The least busy of two.
    pool.send(0);
    expect(&mut pool, &|_| true, &[1]);
}

#[test]
fn near_before_priority_before_what_is_adaptive() {
    let mut pool = near_and_preferred(Policy::adaptive());
    // Calls of a millisecond each, but that the first of every two takes as long as this: how many
    // each node gets of so many that come one after the other.
    let shares = |pool: &mut Pool, slow: u64, able: &dyn Fn(usize) -> bool| {
        let mut counts = [0; 8];
        for _ in 0..2000 {
            let node = pool.pick_of(able).unwrap();
            counts[node] += 1;
            pool.send(node);
            let took = if node.is_multiple_of(2) { slow } else { 1 };
            pool.now += took * MS;
            pool.reply(node, Duration::from_millis(took));
        }
        counts
    };
    // Those at home of the first priority, then the others at home, then those that are away; and of
    // two that are alike both.
    for (least, pair) in [(0, [0, 1]), (2, [2, 3]), (4, [4, 5]), (6, [6, 7])] {
        let counts = shares(&mut pool, 1, &|node| node >= least);
        let [one, other] = pair.map(|node| counts[node]);
        assert_eq!(one + other, 2000, "{counts:?}");
        assert!(one >= 500 && other >= 500, "{counts:?}");
    }
    // Of two at home the quick one: a slow one is no reason to go further.
    let counts = shares(&mut pool, 20, &|_| true);
    assert_eq!(counts[0] + counts[1], 2000, "{counts:?}");
    assert!(counts[1] >= 1600, "{counts:?}");
}
