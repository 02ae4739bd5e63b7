//! Which policy the callers of a seed pick by, and where their nodes are.

use std::sync::Arc;

use brokerless::balance::{Balancer, Facts, Place, Policy};

use crate::random::Random;

/// One of all policies.
pub(crate) fn draw(random: &mut Random) -> Policy {
    match random.between(0, 1) {
        _ => Policy::weighted(),
    }
}

/// A policy at work. From the same seed it picks the same.
pub(crate) fn at_work(policy: &Policy, random: &mut Random) -> Balancer {
    Balancer::new(policy, random.next()).expect("options within bounds")
}

/// A node of some weight, priority and place.
pub(crate) fn facts(random: &mut Random) -> Facts {
    let regions = ["", "eu", "us"];
    let region = random.one(&regions);
    let zone = random.one(&["a", "b"]);
    let mut place = Place::new(region, if region.is_empty() { "" } else { zone });
    if random.chance(500_000) {
        place.coordinates = Some((random.between(0, 90) as f64, random.between(0, 90) as f64));
    }
    Facts {
        weight: random.between(1, 4) as u32,
        priority: random.between(0, 2) as u8,
        place: Some(Arc::new(place)),
    }
}
