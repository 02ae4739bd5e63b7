//! How far is how far: rings around a caller, by kilometres or by round trips.
//!
//! Both are counted in one unit and fall into the same rings: light takes a millisecond there and back
//! through 100 km of fibre. A round trip counts by how much longer it is than the nearest node's: what
//! lies on every way, such as a tunnel, tells nodes not apart. Where the nearest is far away the rings
//! are wider: beside 80 ms five more are nothing.
//!
//! # Invariants
//!
//! 1. What jitters by less than a quarter of its distance stays in its ring, once it is there. (test
//!    `jitter_moves_nothing_to_another_ring`)
//! 2. No round trip is in the ring of those that nobody knows. (test
//!    `absurd_round_trips_have_a_ring_of_the_known`)

use super::Nanos;

/// How far the rings reach; what is further is one more, and what is not known the last.
const REACH: [f64; 4] = [1.0, 5.0, 15.0, 50.0];
/// The reach of the first, in kilometres.
const NEAR_KM: f64 = 100.0;
/// What part of the nearest round trip the first reaches at least, in addition to that.
const NEAR_PART: f64 = 0.25;
/// How much less, or more, a distance would have to be for a ring that it comes to be its own: so
/// that it does not go to and fro.
const SLACK: f64 = 1.25;

/// As many rings as there can be.
pub(super) const RINGS: usize = REACH.len() + 2;
/// That of nodes of which nothing is known.
pub(super) const UNKNOWN: usize = RINGS - 1;

fn ring_of(distance: f64) -> usize {
    REACH.iter().take_while(|reach| **reach < distance).count()
}

/// The ring of a node so many kilometres away.
pub(super) fn by_km(km: Option<f64>) -> usize {
    km.map_or(UNKNOWN, |km| ring_of(km / NEAR_KM))
}

/// The ring of a node with this round trip, where the nearest has that; `near` is how much longer it
/// may be in the first. A node that is in a ring leaves it only for good.
pub(super) fn by_round_trip(
    round_trip: Option<Nanos>,
    nearest: Nanos,
    near: Nanos,
    before: Option<usize>,
) -> usize {
    let Some(round_trip) = round_trip else {
        return UNKNOWN;
    };
    let unit = f64::max(near as f64, nearest as f64 * NEAR_PART).max(1.0);
    let distance = round_trip.saturating_sub(nearest) as f64 / unit;
    let ring = ring_of(distance);
    match before {
        Some(before) if before < ring && ring_of(distance / SLACK) <= before => before,
        Some(before)
            if before > ring && before != UNKNOWN && ring_of(distance * SLACK) >= before =>
        {
            before
        }
        _ => ring,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Nanos = 1_000;
    const MS: Nanos = 1_000 * US;

    #[test]
    fn kilometres_and_round_trips_have_the_same_rings() {
        for (km, ring) in [(0.0, 0), (100.0, 0), (101.0, 1), (501.0, 2), (4999.0, 3)] {
            assert_eq!(by_km(Some(km)), ring);
            let round_trip = (km * 10_000.0) as Nanos + US;
            assert_eq!(by_round_trip(Some(round_trip), US, MS, None), ring);
        }
        assert_eq!((by_km(Some(20_000.0)), by_km(None)), (4, UNKNOWN));
        assert_eq!(by_round_trip(None, 0, MS, Some(0)), UNKNOWN);
    }

    #[test]
    fn rings_are_wider_where_the_nearest_is_far() {
        let ring = |ms: Nanos, nearest| by_round_trip(Some(ms * MS), nearest * MS, MS, None);
        assert_eq!([ring(80, 80), ring(99, 80), ring(150, 80)], [0, 0, 1]);
        assert_eq!([ring(80, 1), ring(99, 1), ring(150, 1)], [4, 4, 4]);
        // 20 ms on every way, as by a tunnel, hide a region, and no ocean.
        assert_eq!([ring(21, 20), ring(100, 20)], [0, 3]);
    }

    #[test]
    fn jitter_moves_nothing_to_another_ring() {
        for reach in REACH {
            for first in [0.9, 1.1] {
                let at = |part: f64| (MS as f64 * (1.0 + reach * part)) as Nanos;
                let ring = by_round_trip(Some(at(first)), MS, MS, None);
                for part in [0.81, 0.9, 0.99, 1.0, 1.01, 1.1, 1.24, 0.81, 1.24] {
                    let found = by_round_trip(Some(at(part)), MS, MS, Some(ring));
                    assert_eq!(found, ring, "{part} of {reach}");
                }
                // Further than that it does move, out and in.
                let (inside, outside) = (ring_of(reach * 0.79), ring_of(reach * 1.26));
                assert_eq!(by_round_trip(Some(at(0.79)), MS, MS, Some(ring)), inside);
                assert_eq!(by_round_trip(Some(at(1.26)), MS, MS, Some(ring)), outside);
            }
        }
    }

    #[test]
    fn absurd_round_trips_have_a_ring_of_the_known() {
        for round_trip in [0, 1, Nanos::MAX / 2, Nanos::MAX] {
            for nearest in [0, 1, Nanos::MAX] {
                for near in [0, 1, Nanos::MAX] {
                    for before in [None, Some(0), Some(3), Some(UNKNOWN)] {
                        let ring = by_round_trip(Some(round_trip), nearest, near, before);
                        assert!(ring < UNKNOWN);
                        if round_trip <= nearest {
                            assert!(ring == 0 || Some(ring) == before);
                        }
                    }
                }
            }
        }
    }
}
