//! Which policy the callers of a seed pick by, and where their nodes are.

use std::sync::Arc;
use std::time::Duration;

use brokerless::balance::{Balancer, Facts, Place, Policy};

use crate::random::Random;

/// One of all policies, as it is or with others around it.
pub(crate) fn draw(random: &mut Random) -> Policy {
    let names: Vec<&str> = Policy::names().collect();
    let mut policy = Policy::named(random.one(&names)).expect("a name of its own");
    if random.chance(250_000) {
        policy = policy.within_subset(random.between(1, 4) as usize);
    }
    if random.chance(250_000) {
        policy = policy.by_priority();
    }
    match random.between(0, 8) {
        0 => policy.by_place(Place::new("eu", "a")),
        1 => policy.by_place(Place::new("us", "")),
        2 => {
            let coordinates = Some((10.0, 20.0));
            policy.by_distance(Place {
                coordinates,
                ..Place::default()
            })
        }
        3 => policy.by_round_trip(),
        _ => policy,
    }
}

/// A policy at work. From the same seed it picks the same.
pub(crate) fn at_work(policy: &Policy, random: &mut Random) -> Balancer {
    Balancer::new(policy, random.next()).expect("options within bounds")
}

/// What heartbeats of this caller measure of a node, or nothing: another one over each connection.
pub(crate) fn round_trip(caller: usize, node: usize, connection: usize) -> Option<Duration> {
    let micros = [Some(300), Some(2_000), Some(80_000), None];
    micros[(caller + node + connection / 16) % 4].map(Duration::from_micros)
}

/// A node of some weight, priority and place.
pub(crate) fn facts(random: &mut Random) -> Facts {
    let region = random.one(&["", "eu", "us"]);
    let zone = random.one(&["a", "b"]);
    let mut place = Place::new(region, if region.is_empty() { "" } else { zone });
    if random.chance(500_000) {
        place.coordinates = Some((random.between(0, 90) as f64, random.between(0, 90) as f64));
    }
    Facts {
        weight: random.between(1, 4) as u32,
        priority: random.between(0, 2) as u8,
        place: Some(Arc::new(place)),
        ..Facts::default()
    }
}
