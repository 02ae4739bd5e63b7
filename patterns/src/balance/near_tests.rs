//! What by round trip picks, under a clock of its own.

use std::time::Duration;

use super::super::testing::{MS, Pool};
use super::super::{Facts, Load, Place, Policy};

const US: Duration = Duration::from_micros(1);
/// Of three regions.
const ROUND_TRIPS: [Duration; 3] = [
    Duration::from_micros(300),
    Duration::from_millis(2),
    Duration::from_millis(80),
];

/// Four nodes in each region, with what was measured to each.
fn regions(policy: Policy) -> Pool {
    let mut pool = Pool::with(&policy, vec![Facts::default(); 12]);
    for node in 0..12 {
        let round_trip = ROUND_TRIPS[node / 4];
        pool.balancer.set_round_trip(node, Some(round_trip));
    }
    pool
}

fn measured(pool: &mut Pool, node: usize, round_trip: Duration) {
    pool.balancer.set_round_trip(node, Some(round_trip));
}

/// The share of each region, in hundredths.
fn shares(pool: &mut Pool) -> [f64; 3] {
    let counts = pool.counts(4_000);
    [0, 1, 2].map(|region| {
        let of = &counts[4 * region..4 * region + 4];
        of.iter().sum::<usize>() as f64 / 40.0
    })
}

/// Who is picked, of a hundred.
fn picked(pool: &mut Pool) -> Vec<usize> {
    let mut found = pool.picks(100);
    found.sort_unstable();
    found.dedup();
    found
}

/// Callers offer so much, in times of what the first region can do, until all is at rest; each other
/// region is as busy as that by itself. What each gets then, in the same measure.
fn settled(offered: f64, elsewhere: [f64; 3]) -> [f64; 3] {
    let mut pool = regions(Policy::least_in_flight().by_round_trip());
    let mut got = shares(&mut pool);
    for _ in 0..100 {
        for node in 0..12 {
            let region = node / 4;
            let busy = elsewhere[region] + offered * got[region] / 100.0;
            let load = Load {
                utilisation_permille: (busy * 1000.0) as u16,
                ..Load::default()
            };
            pool.report(node, load);
        }
        pool.now += 200 * MS;
        got = shares(&mut pool);
    }
    got.map(|share| share * offered / 100.0)
}

#[test]
fn with_room_at_the_nearest_everything_stays() {
    for policy in [
        Policy::adaptive(),
        Policy::round_robin(),
        Policy::peak_ewma(),
    ] {
        assert_eq!(
            shares(&mut regions(policy.by_round_trip())),
            [100.0, 0.0, 0.0]
        );
    }
    assert_eq!(settled(0.85, [0.0, 0.2, 0.0]), [0.85, 0.0, 0.0]);
}

#[test]
fn what_the_nearest_cannot_do_goes_to_the_next_ring_first() {
    let [near, next, far] = settled(1.5, [0.0, 0.2, 0.2]);
    assert!((near - 0.9).abs() < 0.1, "{near}");
    assert!((next - 0.6).abs() < 0.1 && far < 0.02, "{next} {far}");
    // What that cannot do goes further.
    let [near, next, far] = settled(2.0, [0.0, 0.6, 0.0]);
    assert!((near - 0.9).abs() < 0.15, "{near}");
    assert!(next < 0.5 && far > 0.5, "{next} {far}");
}

#[test]
fn who_cannot_take_a_call_is_passed_over_for_the_next_ring() {
    let mut pool = regions(Policy::random().by_round_trip());
    for least in [0, 4, 8] {
        for _ in 0..100 {
            let node = pool.pick_of(&|node| node >= least);
            assert!(node.is_some_and(|node| (least..least + 4).contains(&node)));
        }
    }
    // Those that are down, too.
    (0..4).for_each(|node| pool.up(node, false));
    assert_eq!(picked(&mut pool), [4, 5, 6, 7]);
    (4..8).for_each(|node| pool.up(node, false));
    assert_eq!(picked(&mut pool), [8, 9, 10, 11]);
    assert_eq!(pool.pick_of(&|_| false), None);
}

#[test]
fn a_node_that_moves_is_noticed() {
    let mut pool = regions(Policy::random().by_round_trip());
    measured(&mut pool, 0, 80_000 * US);
    assert_eq!(picked(&mut pool), [1, 2, 3]);
    measured(&mut pool, 9, 500 * US);
    assert_eq!(picked(&mut pool), [1, 2, 3, 9]);
    // All of the nearest move: the next are the nearest then.
    for node in [1, 2, 3, 9] {
        measured(&mut pool, node, 80_000 * US);
    }
    assert_eq!(picked(&mut pool), [4, 5, 6, 7]);
    // The caller itself moves: nobody is nearer than the others any more.
    (0..12).for_each(|node| measured(&mut pool, node, 80_000 * US));
    assert_eq!(picked(&mut pool).len(), 12);
}

#[test]
fn jitter_keeps_nodes_where_they_are() {
    let mut pool = regions(Policy::round_robin().by_round_trip());
    // One that is near, and comes to the edge of the ring.
    measured(&mut pool, 4, 900 * US);
    measured(&mut pool, 4, 1_250 * US);
    let near = [0, 1, 2, 3, 4];
    assert_eq!(picked(&mut pool), near);
    let mut jitter = super::super::Random::new(7);
    for _ in 0..1_000 {
        for node in 0..12 {
            let base = if node == 4 {
                1_250 * US
            } else {
                ROUND_TRIPS[node / 4]
            };
            // A tenth less or more.
            let now = base.mul_f64(0.9 + 0.2 * jitter.unit());
            measured(&mut pool, node, now);
        }
        let mut found = pool.picks(5);
        found.sort_unstable();
        // In turn without a gap: a policy whose nodes come and go would begin anew.
        assert_eq!(found, near);
    }
}

#[test]
fn who_is_not_measured_comes_last_and_fails_no_call() {
    let mut pool = Pool::with(&Policy::random().by_round_trip(), vec![Facts::default(); 3]);
    // Nobody is known: any.
    assert_eq!(picked(&mut pool), [0, 1, 2]);
    measured(&mut pool, 1, 300_000 * US);
    assert_eq!(picked(&mut pool), [1]);
    pool.up(1, false);
    assert_eq!(picked(&mut pool), [0, 2]);
    pool.up(1, true);
    pool.balancer.set_round_trip(1, None);
    assert_eq!(picked(&mut pool), [0, 1, 2]);
    // A new one takes the number of one that was known.
    measured(&mut pool, 1, US);
    pool.balancer.remove(1);
    pool.join(1, Facts::default());
    assert_eq!(picked(&mut pool), [0, 1, 2]);
}

#[test]
fn where_all_are_as_near_the_policy_within_picks_as_if_alone() {
    for round_trip in [None, Some(Duration::ZERO), Some(80_000 * US)] {
        let mut within = Pool::of(&Policy::round_robin().by_round_trip(), [1; 7]);
        for node in 0..7 {
            within.balancer.set_round_trip(node, round_trip);
        }
        let alone = Pool::of(&Policy::round_robin(), [1; 7]).picks(50);
        let found = within.picks(50);
        let first = found.first().copied();
        let from = alone.iter().position(|node| Some(*node) == first);
        let from = from.expect("one of them");
        assert_eq!(found[..40], alone[from..from + 40], "{round_trip:?}");
    }
    let weights = [1, 2, 3, 4];
    let mut pool = Pool::of(&Policy::weighted().by_round_trip(), weights);
    (0..4).for_each(|node| measured(&mut pool, node, (300 + 200 * node as u32) * US));
    pool.assert_shares(10_000, 0.02);
}

#[test]
fn absurd_round_trips_leave_somebody_to_pick() {
    let absurd = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ];
    let mut pool = Pool::with(&Policy::random().by_round_trip(), vec![Facts::default(); 4]);
    for (node, round_trip) in absurd.into_iter().enumerate() {
        measured(&mut pool, node, round_trip);
    }
    assert_eq!(picked(&mut pool), [0, 1]);
    (0..2).for_each(|node| pool.balancer.remove(node));
    assert_eq!(picked(&mut pool), [2, 3]);
}

#[test]
fn near_says_how_much_further_is_as_near() {
    let at = |near| {
        let mut pool = regions(Policy::random().by_round_trip().near(near));
        picked(&mut pool).len()
    };
    assert_eq!([at(1_000 * US), at(2_000 * US)], [4, 8]);
    assert_eq!([at(10 * US), at(1_000_000 * US)], [4, 12]);
}

#[test]
fn within_a_zone_it_goes_by_the_nodes_of_that_alone() {
    let policy = Policy::random().by_round_trip();
    let policy = policy.by_priority().by_place(Place::new("eu", "eu-1"));
    let place = |node: usize| Place::new("eu", if node < 4 { "eu-1" } else { "eu-2" });
    let facts = (0..8).map(|node| Facts::default().place(place(node)));
    let mut pool = Pool::with(&policy, facts);
    for (node, ms) in [
        (0, 5),
        (1, 5),
        (2, 30),
        (3, 30),
        (4, 1),
        (5, 1),
        (6, 9),
        (7, 9),
    ] {
        measured(&mut pool, node, ms * 1_000 * US);
    }
    assert_eq!(picked(&mut pool), [0, 1]);
    (0..4).for_each(|node| pool.up(node, false));
    assert_eq!(picked(&mut pool), [4, 5]);
}
