//! Near first: by zone and region, or by rings of distance, of coordinates or of round trips.
//!
//! Each zone, or each ring, is a part with a policy of its own, and belongs to a tier: home, the
//! rest of the region, everywhere; or one ring after the other. The tiers take calls in this order,
//! each what it is good for of what is left; what nobody in it can take at the moment goes on.
//!
//! By place, what home is good for is Envoy's rule: as if each zone of the region had as many callers
//! as any other. A zone with less than the mean of what is up keeps as much as gives its nodes what
//! all others get; the rest goes to where more than the mean is, by how much it is more.
//!
//! That knows nothing of who calls how much. So each tier keeps less while its nodes report that
//! they are busier than those further away, and more than they should be: so much that they would
//! come to that measure, and again more as soon as they are less busy. Only that, and that nobody in
//! it is able, takes calls out of a region, or to a ring further away.
//!
//! # Invariants
//!
//! 1. With room at home all stay there. (test `with_room_at_home_everything_stays`)
//! 2. Nodes get the same everywhere, as far as zones can know. (test
//!    `a_small_zone_keeps_what_gives_its_nodes_the_mean`)
//! 3. As long as anyone is able, one is found, the nearest first. (test
//!    `a_zone_without_an_able_node_falls_to_the_next`)
//! 4. By round trip a node of which none is known comes last, and gets calls all the same where nobody
//!    else can. (test `who_is_not_measured_comes_last_and_fails_no_call`)
//!
//! # Not here
//!
//! Where rings end (`rings`), and who measures: whoever owns the connections.

use std::sync::Arc;

use super::Nanos;
use super::nodes::Nodes;
use super::parts::Parts;
use super::pick::{Ask, Pick, tell_inner};
use super::place::Place;
use super::policy::Policy;
use super::random::Random;
use super::rings::{self, RINGS};
use super::stay::Stay;

/// As many tiers as there can be.
const TIERS: usize = RINGS;
/// How often tiers look at how busy they are.
const PERIOD: Nanos = 100_000_000;
/// Until when a report is believed.
const REPORT_AGE_MAX: Nanos = 5_000_000_000;

/// What divides nodes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    /// By zone and region, from here.
    Place(Arc<Place>),
    /// By coordinates, from here.
    Distance(Arc<Place>),
    /// By how much longer it takes there and back than to the nearest: so much is near.
    RoundTrip(Nanos),
}

pub(super) struct Near {
    rule: Rule,
    parts: Parts<Zone>,
    /// The nearest tier first.
    plan: Vec<Turn>,
    /// The least round trip of all nodes, if they go by that.
    nearest: Nanos,
    /// How much of what it is good for each tier keeps.
    stays: [Stay; TIERS],
    look_at: Nanos,
}

/// What the nodes of a part have in common.
struct Zone {
    tier: usize,
    region: String,
    zone: String,
}

/// A part, in the order in which they are tried.
#[derive(Debug, Clone, Copy)]
struct Turn {
    at: usize,
    tier: usize,
    /// What its nodes that are up are worth, of all.
    worth: f64,
    /// How much of all calls it and those before it take.
    upto: f64,
}

impl Near {
    pub(super) fn new(rule: Rule, inner: &Arc<Policy>, random: &mut Random) -> Near {
        Near {
            rule,
            nearest: Nanos::MAX,
            parts: Parts::new(inner, random),
            plan: Vec::new(),
            stays: [Stay::default(); TIERS],
            look_at: 0,
        }
    }

    /// The tier of a node, and the names by which its part is known.
    fn zone_of<'n>(&self, nodes: &'n Nodes, node: usize) -> (usize, &'n str, &'n str) {
        let place = nodes.facts(node).and_then(|facts| facts.place.as_deref());
        match &self.rule {
            Rule::Place(home) => match place {
                Some(place) => (home.tier_of(place), &place.region, &place.zone),
                None => (home.tier_of(&Place::default()), "", ""),
            },
            Rule::Distance(home) => {
                let km = place.and_then(|place| home.km_to(place));
                (rings::by_km(km), "", "")
            }
            Rule::RoundTrip(near) => {
                let before = self.parts.part_of(node).and_then(|at| self.parts.get(at));
                let before = before.map(|part| part.key.tier);
                let round_trip = nodes.round_trip(node);
                let ring = rings::by_round_trip(round_trip, self.nearest, *near, before);
                (ring, "", "")
            }
        }
    }

    /// Puts a node where it belongs.
    fn place(&mut self, nodes: &Nodes, node: usize) {
        let (tier, region, zone) = self.zone_of(nodes, node);
        let is_its = |key: &Zone| (key.tier, &*key.region, &*key.zone) == (tier, region, zone);
        let key = || Zone {
            tier,
            region: region.to_owned(),
            zone: zone.to_owned(),
        };
        self.parts.changed(nodes, node, is_its, key);
    }

    /// Puts all where they belong if the nearest has become another.
    fn look_around(&mut self, nodes: &Nodes) {
        if !matches!(self.rule, Rule::RoundTrip(_)) {
            return;
        }
        let known = self.parts.nodes().filter_map(|node| nodes.round_trip(node));
        let nearest = known.min().unwrap_or(Nanos::MAX);
        if std::mem::replace(&mut self.nearest, nearest) == nearest {
            return;
        }
        for node in 0..nodes.bound() {
            if self.is_elsewhere(nodes, node) {
                self.place(nodes, node);
            }
        }
    }

    /// Whether a node is in a part that it does not belong to any more.
    fn is_elsewhere(&self, nodes: &Nodes, node: usize) -> bool {
        let part = self.parts.part_of(node).and_then(|at| self.parts.get(at));
        part.is_some_and(|part| part.key.tier != self.zone_of(nodes, node).0)
    }

    /// Which parts there are, and what each is worth.
    fn plan(&mut self) {
        let all: u64 = self.parts.iter().map(|(_, part)| part.up).sum();
        self.plan.clear();
        self.plan.extend(self.parts.iter().map(|(at, part)| Turn {
            at,
            tier: part.key.tier,
            worth: part.up as f64 / all.max(1) as f64,
            upto: 0.0,
        }));
        self.plan.sort_unstable_by_key(|turn| (turn.tier, turn.at));
        self.share_out();
    }

    /// Gives each part its share of calls.
    fn share_out(&mut self) {
        let (at_home, fair) = self.home_keeps();
        let (mut left, mut taken) = (1.0, 0.0);
        let mut rest = self.plan.as_mut_slice();
        while let Some(tier) = rest.first().map(|turn| turn.tier) {
            let count = rest.iter().take_while(|turn| turn.tier == tier).count();
            let (turns, further) = rest.split_at_mut(count);
            let keeps = match tier {
                _ if turns.iter().all(|turn| turn.worth <= 0.0) => 0.0,
                _ if further.iter().all(|turn| turn.worth <= 0.0) => 1.0,
                0 => at_home * self.stays[0].share(),
                _ => self.stays[tier].share(),
            };
            let share = left * keeps;
            left -= share;
            // In the region by what is there beyond what each zone's own callers need.
            let over = |turn: &Turn| f64::max(turn.worth - fair, 0.0);
            let all = |worth: &dyn Fn(&Turn) -> f64| turns.iter().map(worth).sum::<f64>();
            let (overs, worths) = (all(&over), all(&|turn| turn.worth));
            for turn in turns.iter_mut() {
                let part = if tier == 1 && overs > 1e-9 {
                    over(turn) / overs
                } else if worths > 0.0 {
                    turn.worth / worths
                } else {
                    0.0
                };
                taken += share * part;
                turn.upto = taken;
            }
            rest = further;
        }
    }

    /// What of its calls home can keep so that its nodes get no more than all in the region, and
    /// what each zone of the region would be worth if all were the same.
    fn home_keeps(&self) -> (f64, f64) {
        let Rule::Place(home) = &self.rule else {
            return (1.0, 0.0);
        };
        let is_region = home.zone.is_empty();
        let region = || self.plan.iter().take_while(|turn| turn.tier <= 1);
        let home: f64 = region()
            .filter(|turn| turn.tier == 0)
            .map(|turn| turn.worth)
            .sum();
        if is_region {
            // All of the region is home: by what each zone is worth.
            return (1.0, 0.0);
        }
        let worth: f64 = region().map(|turn| turn.worth).sum();
        // Callers are at home, even where no node is.
        let is_home = region().any(|turn| turn.tier == 0);
        let zones = region().count() + usize::from(!is_home);
        let fair = worth / zones as f64;
        let keeps = if home < fair { home / fair } else { 1.0 };
        (keeps, fair)
    }

    /// Looks at how busy the tiers say they are.
    fn look(&mut self, nodes: &Nodes, now: Nanos) {
        let (mut busy, mut weights) = ([0.0; TIERS], [0.0; TIERS]);
        for node in nodes.iter().filter(|node| nodes.is_up(*node)) {
            let Some(tier) = self.parts.part_of(node).and_then(|at| self.parts.get(at)) else {
                continue;
            };
            let Some(report) = nodes.report(node) else {
                continue;
            };
            if now.saturating_sub(report.at) <= REPORT_AGE_MAX {
                let weight = f64::from(nodes.weight(node));
                let utilisation = f64::from(report.load.utilisation_permille) / 1000.0;
                busy[tier.key.tier] += weight * utilisation;
                weights[tier.key.tier] += weight;
            }
        }
        // How busy the least busy of those further away is.
        let mut further = f64::INFINITY;
        for tier in (0..TIERS).rev() {
            let utilisation = (weights[tier] > 0.0).then(|| busy[tier] / weights[tier]);
            self.stays[tier].look(utilisation, further);
            let is_there = self
                .plan
                .iter()
                .any(|turn| turn.tier == tier && turn.worth > 0.0);
            if is_there {
                // One that says nothing is thought to have room.
                further = further.min(utilisation.unwrap_or(0.0));
            }
        }
    }
}

impl Pick for Near {
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let chance = match self.plan.first() {
            Some(first) if first.upto >= 1.0 => 0.0,
            _ => ask.random.unit(),
        };
        let (plan, parts) = (&self.plan, &mut self.parts);
        let drawn = plan.iter().position(|turn| chance < turn.upto);
        if let Some(node) = drawn.and_then(|drawn| parts.pick(plan[drawn].at, ask)) {
            return Some(node);
        }
        plan.iter().find_map(|turn| parts.pick(turn.at, ask))
    }

    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.changed(nodes, node);
        self.look_around(nodes);
        self.plan();
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        if nodes.facts(node).is_some() {
            self.place(nodes, node);
            self.plan();
        }
    }

    fn measured(&mut self, nodes: &Nodes, node: usize) {
        if let Some(policy) = self.parts.policy_of(node) {
            policy.measured(nodes, node);
            self.look_around(nodes);
            if self.is_elsewhere(nodes, node) {
                self.place(nodes, node);
            }
            self.plan();
        }
    }

    fn left(&mut self, nodes: &Nodes, node: usize) {
        self.parts.left(nodes, node);
        self.look_around(nodes);
        self.plan();
    }

    fn sent(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        if let Some(policy) = self.parts.policy_of(node) {
            policy.sent(nodes, now, node);
        }
        if now >= self.look_at {
            self.look_at = now.saturating_add(PERIOD);
            self.look(nodes, now);
            self.share_out();
        }
    }

    tell_inner!(self, node => self.parts.policy_of(node));

    fn wonders(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        self.parts.wonders(ask)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{MS, Pool, SECOND};
    use super::super::{Facts, Load, Policy};
    use super::*;

    /// So many nodes in each of these zones.
    fn zones(home: &str, zones: &[(&str, &str, usize)]) -> Pool {
        let policy = Policy::least_in_flight().by_place(Place::new("eu", home));
        let facts = zones.iter().flat_map(|(region, zone, nodes)| {
            vec![Facts::default().place(Place::new(region, zone)); *nodes]
        });
        Pool::with(&policy, facts)
    }

    /// The share of each zone, in hundredths.
    fn shares(pool: &mut Pool) -> Vec<(String, f64)> {
        let counts = pool.counts(5_000);
        let nodes = pool.balancer.nodes();
        let mut shares: Vec<(String, f64)> = Vec::new();
        for node in nodes.iter() {
            let place = nodes.facts(node).and_then(|facts| facts.place.as_ref());
            let zone = place.map_or("nowhere".to_owned(), |place| place.zone.clone());
            let share = counts[node] as f64 / 50.0;
            match shares.iter_mut().find(|(name, _)| *name == zone) {
                Some((_, sum)) => *sum += share,
                None => shares.push((zone, share)),
            }
        }
        shares
    }

    #[track_caller]
    fn assert_shares(pool: &mut Pool, expected: &[(&str, f64)]) {
        let found = shares(pool);
        for (zone, expected) in expected {
            let share = found.iter().find(|(name, _)| name == zone).unwrap().1;
            assert!(
                (share - expected).abs() < 2.0,
                "{found:?}, not {expected} in {zone}"
            );
        }
    }

    const WORLD: [(&str, &str, usize); 5] = [
        ("eu", "eu-1", 4),
        ("eu", "eu-2", 4),
        ("eu", "eu-3", 4),
        ("us", "us-1", 4),
        ("us", "us-2", 8),
    ];

    #[test]
    fn with_room_at_home_everything_stays() {
        let mut pool = zones("eu-1", &WORLD);
        assert_shares(&mut pool, &[("eu-1", 100.0)]);
    }

    #[test]
    fn a_small_zone_keeps_what_gives_its_nodes_the_mean() {
        let mut pool = zones(
            "eu-1",
            &[("eu", "eu-1", 2), ("eu", "eu-2", 4), ("eu", "eu-3", 6)],
        );
        // Half of what its callers need is there, and all that is too much is in the third.
        assert_shares(&mut pool, &[("eu-1", 50.0), ("eu-2", 0.0), ("eu-3", 50.0)]);
        let mut pool = zones(
            "eu-1",
            &[("eu", "eu-1", 1), ("eu", "eu-2", 5), ("eu", "eu-3", 6)],
        );
        assert_shares(&mut pool, &[("eu-1", 25.0), ("eu-2", 25.0), ("eu-3", 50.0)]);
    }

    #[test]
    fn nodes_that_are_down_count_for_nothing() {
        let mut pool = zones("eu-1", &WORLD);
        // 2, 4 and 4 are up: 3.33 for the callers of each.
        (0..2).for_each(|node| pool.up(node, false));
        assert_shares(&mut pool, &[("eu-1", 60.0), ("eu-2", 20.0), ("eu-3", 20.0)]);
        (0..4).for_each(|node| pool.up(node, false));
        assert_shares(&mut pool, &[("eu-2", 50.0), ("eu-3", 50.0), ("us-1", 0.0)]);
        (4..12).for_each(|node| pool.up(node, false));
        assert_shares(&mut pool, &[("us-1", 33.3), ("us-2", 66.7)]);
    }

    #[test]
    fn a_zone_without_an_able_node_falls_to_the_next() {
        let mut pool = zones("eu-1", &WORLD);
        for _ in 0..100 {
            assert!(
                pool.pick_of(&|node| node >= 4)
                    .is_some_and(|node| node < 12)
            );
            assert!(pool.pick_of(&|node| node >= 12).is_some());
            assert_eq!(pool.pick_of(&|node| node == 17), Some(17));
            assert_eq!(pool.pick_of(&|_| false), None);
        }
    }

    #[test]
    fn a_region_without_a_zone_is_a_home_too() {
        let policy = Policy::random().by_place(Place::new("us", ""));
        let facts = WORLD.map(|(region, zone, _)| Facts::default().place(Place::new(region, zone)));
        let mut pool = Pool::with(&policy, facts);
        assert_shares(&mut pool, &[("us-1", 50.0), ("us-2", 50.0)]);
        // Its zones get what they are worth, the small ones too.
        let mut pool = zones(
            "",
            &[("eu", "eu-1", 8), ("eu", "eu-2", 2), ("us", "us-1", 5)],
        );
        assert_shares(&mut pool, &[("eu-1", 80.0), ("eu-2", 20.0), ("us-1", 0.0)]);
        let mut pool = zones(
            "",
            &[("eu", "eu-1", 5), ("eu", "eu-2", 3), ("eu", "eu-3", 2)],
        );
        assert_shares(&mut pool, &[("eu-1", 50.0), ("eu-2", 30.0), ("eu-3", 20.0)]);
    }

    #[test]
    fn a_node_may_move_and_zones_may_go() {
        let mut pool = zones("eu-1", &[("eu", "eu-1", 1), ("eu", "eu-2", 1)]);
        let there = Place::new("eu", "eu-2");
        pool.balancer.set(0, 0, Facts::default().place(there));
        assert_eq!(
            pool.counts(1000)
                .iter()
                .filter(|count| **count > 300)
                .count(),
            2
        );
        pool.balancer.remove(1);
        assert_eq!(pool.counts(10), [10, 0]);
        pool.balancer.remove(0);
        assert_eq!(pool.pick(), None);
    }

    /// What callers at home offer, in times of what a zone of four can do, until all is at rest:
    /// what each zone gets then, in the same measure.
    fn settled(offered: f64, elsewhere: f64) -> Vec<(String, f64)> {
        let mut pool = zones("eu-1", &WORLD);
        let mut got = shares(&mut pool);
        for _ in 0..100 {
            for node in 0..24 {
                let zone = if node < 16 { node / 4 } else { 4 };
                let alone = if zone == 0 { 0.0 } else { elsewhere };
                let nodes = WORLD[zone].2 as f64 / 4.0;
                let busy = alone + offered * got[zone].1 / 100.0 / nodes;
                let load = Load {
                    utilisation_permille: (busy * 1000.0) as u16,
                    ..Load::default()
                };
                pool.report(node, load);
            }
            pool.now += 200 * MS;
            got = shares(&mut pool);
        }
        got.iter()
            .map(|(zone, share)| (zone.clone(), share * offered / 100.0))
            .collect()
    }

    #[test]
    fn what_home_cannot_do_goes_to_the_region_and_only_then_further() {
        // Half more than home can do, and the region has room.
        let got = settled(1.5, 0.4);
        assert!((got[0].1 - 0.9).abs() < 0.1, "{got:?}");
        assert!(got[3].1 + got[4].1 < 0.03, "{got:?}");
        // The region has room for 0.4 more: what is left goes everywhere.
        let got = settled(2.0, 0.7);
        assert!((got[0].1 - 0.9).abs() < 0.15, "{got:?}");
        assert!(got[1].1 < 0.35 && got[2].1 < 0.35, "{got:?}");
        assert!(got[3].1 + got[4].1 > 0.4, "{got:?}");
    }

    #[test]
    fn home_takes_back_what_it_can_do_again() {
        assert!(settled(0.85, 0.4)[0].1 > 0.84);
    }

    #[test]
    fn the_nearest_ring_is_first_and_the_unknown_last() {
        let home = Place::default().at(52.52, 13.4);
        let cities = [(48.86, 2.35), (52.4, 13.07), (40.71, -74.0), (52.52, 13.41)];
        let mut facts: Vec<_> = cities
            .iter()
            .map(|(lat, lon)| Facts::default().place(Place::default().at(*lat, *lon)))
            .collect();
        facts.push(Facts::default());
        let mut pool = Pool::with(&Policy::random().by_distance(home), facts);
        for expected in [&[1, 3][..], &[0], &[2], &[4]] {
            let mut found = pool.picks(100);
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, expected);
            expected.iter().for_each(|node| pool.up(*node, false));
        }
    }

    #[test]
    fn distances_are_those_of_a_great_circle() {
        let km = |from: (f64, f64), to: (f64, f64)| {
            let (from, to) = (
                Place::default().at(from.0, from.1),
                Place::default().at(to.0, to.1),
            );
            from.km_to(&to).unwrap()
        };
        // A quarter of the way round, half of it, and over the line where dates change.
        assert!((km((0.0, 0.0), (0.0, 90.0)) - 10_007.5).abs() < 1.0);
        assert!((km((90.0, 0.0), (-90.0, 33.0)) - 20_015.1).abs() < 1.0);
        assert!((km((10.0, 179.9), (10.0, -179.9)) - 21.9).abs() < 0.1);
        // London and New York, as published: 5,570 km.
        assert!((km((51.5074, -0.1278), (40.7128, -74.0060)) - 5_570.0).abs() < 5.0);
    }

    #[test]
    fn reports_that_are_old_say_nothing() {
        let mut pool = zones("eu-1", &WORLD);
        let load = Load {
            utilisation_permille: 3000,
            ..Load::default()
        };
        for _ in 0..20 {
            pool.now += 100 * MS;
            (0..4).for_each(|node| pool.report(node, load));
        }
        assert!(shares(&mut pool)[0].1 < 70.0);
        pool.now += 10 * SECOND;
        for _ in 0..50 {
            pool.now += 100 * MS;
            pool.call(Duration::from_millis(1));
        }
        assert_shares(&mut pool, &[("eu-1", 100.0)]);
    }
}

#[cfg(test)]
#[path = "near_tests.rs"]
mod by_round_trip;
