//! Every policy, with a pool in the middle of its work.

use std::time::Duration;

use brokerless_patterns::balance::{Balancer, Facts, Load, Place, Policy};

/// When a pool has done that work, in nanoseconds.
pub(crate) const NOW: u64 = 13_000_000_000;

/// What picks, and from what.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) policy: Policy,
    /// Of each node.
    weight: fn(usize) -> u32,
    /// Whether nodes report all that there is, as those of the fabric do.
    reports_all: bool,
}

fn equal(_: usize) -> u32 {
    3
}

fn different(node: usize) -> u32 {
    1 + node as u32 % 5
}

/// Every policy, and some of them over others.
pub(crate) fn all() -> Vec<Work> {
    let work = |name, policy, weight| Work {
        name,
        policy,
        weight,
        reports_all: true,
    };
    let named = Policy::names().filter_map(|name| Some((name, Policy::named(name).ok()?)));
    let mut all: Vec<Work> = named
        .map(|(name, policy)| work(name, policy, different as fn(usize) -> u32))
        .collect();
    all.push(Work {
        reports_all: false,
        ..work("adaptive, less reported", Policy::adaptive(), different)
    });
    let home = Place::new("eu", "eu-1").at(50.0, 8.0);
    let near = |policy: Policy| policy.by_priority().by_place(home.clone());
    let least = Policy::least_in_flight;
    for (name, policy) in [
        ("least-in-flight, equal", least()),
        ("peak-ewma, equal", Policy::peak_ewma()),
        ("least by place", least().by_place(home.clone())),
        ("least by distance", least().by_distance(home.clone())),
        ("least by round trip", least().by_round_trip()),
        ("least by priority", least().by_priority()),
        ("least within 8", least().within_subset(8)),
        ("peak by priority by place", near(Policy::peak_ewma())),
        ("adaptive by priority by place", near(Policy::adaptive())),
    ] {
        all.push(work(name, policy, equal));
    }
    all
}

impl Work {
    /// A pool of so many nodes, of several places and priorities, all up.
    pub(crate) fn pool(&self, nodes: usize) -> Balancer {
        let mut balancer = Balancer::new(&self.policy, 1).expect("options within their bounds");
        for node in 0..nodes {
            let zones = [("eu", "eu-1"), ("eu", "eu-2"), ("us", "us-1")];
            let (region, zone) = zones[node % 3];
            let place = Place::new(region, zone).at((node % 60) as f64, 8.0);
            let facts = Facts::weight((self.weight)(node))
                .priority((node % 2) as u8)
                .id(node as u64 + 1)
                .place(place);
            balancer.add(0, node, facts);
            balancer.set_up(0, node, true);
            let round_trip = [300, 2_000, 80_000][node % 3] + node as u64 % 7;
            balancer.set_round_trip(node, Some(Duration::from_micros(round_trip)));
        }
        balancer
    }

    /// What a node reports.
    pub(crate) fn report(&self, node: usize) -> Load {
        let load = Load {
            in_flight: 3,
            latency_us: 900 + node as u32 % 7 * 100,
            utilisation_permille: 400 + (node % 5) as u16 * 50,
            per_s: 1000 + node as u32 % 11,
            errors_per_s: 1,
            ..Load::default()
        };
        match self.reports_all {
            false => load,
            true => Load {
                run_us: 600 + node as u32 % 7 * 90,
                workers: 2 + (node % 3) as u16 * 2,
                ..load
            },
        }
    }

    /// A pool in the middle of its work: its nodes have answered and reported, and some calls are in
    /// flight.
    pub(crate) fn at_work(&self, nodes: usize) -> Balancer {
        let mut balancer = self.pool(nodes);
        for round in 0..13_000_u64 {
            let now = round * 1_000_000;
            let node = round as usize % nodes;
            balancer.sent(now, node);
            let took = Duration::from_micros(1000 + node as u64 % 13 * 50);
            balancer.replied(now, node, took, Some(&self.report(node)));
            // What has to be made once is made.
            balancer.pick(now, Some(round), &|_| true);
        }
        for node in 0..nodes {
            (0..node % 3).for_each(|_| balancer.sent(NOW, node));
        }
        balancer
    }
}
