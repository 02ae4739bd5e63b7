//! What a pick costs: nanoseconds of processor time for each policy, at 10 and at 1,000 nodes, and
//! how picks of many threads add up.
//!
//! The time is that of the thread, not of the clock on the wall, and the least of several rounds: so
//! what else runs beside it counts for little. Bounds are those of a release build; another prints
//! nothing and holds to nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brokerless_patterns::balance::{Balancer, Facts, Load, Place, Policy, hash};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

/// Picks of a round.
const PICKS: u64 = 20_000;
/// Rounds, of which the best counts.
const ROUNDS: usize = 15;
/// Nanoseconds a pick may take: at so many nodes, of which the second is only shown. Up to 64 some
/// look at every node.
const BOUNDS: [(usize, f64); 3] = [(10, 100.0), (64, f64::INFINITY), (1000, 250.0)];
/// How much less 16 threads may pick than 2, all together.
const SCALE: f64 = 0.8;
/// How long threads pick.
const SPELL: Duration = Duration::from_millis(100);

/// A pool in the middle of its work: nodes of several places and priorities, which have answered
/// and reported, with some calls in flight.
fn at_work(policy: &Policy, nodes: usize, weight: fn(usize) -> u32) -> Balancer {
    let mut balancer = Balancer::new(policy, 1).expect("options within their bounds");
    for node in 0..nodes {
        let zones = [("eu", "eu-1"), ("eu", "eu-2"), ("us", "us-1")];
        let (region, zone) = zones[node % 3];
        let place = Place::new(region, zone).at((node % 60) as f64, 8.0);
        let facts = Facts::weight(weight(node))
            .priority((node % 2) as u8)
            .id(node as u64 + 1)
            .place(place);
        balancer.add(0, node, facts);
        balancer.set_up(0, node, true);
    }
    for round in 0..13_000_u64 {
        let now = round * 1_000_000;
        let node = round as usize % nodes;
        let load = Load {
            in_flight: 3,
            latency_us: 900 + node as u32 % 7 * 100,
            utilisation_permille: 400 + (node % 5) as u16 * 50,
            per_s: 1000 + node as u32 % 11,
            errors_per_s: 1,
            ..Load::default()
        };
        balancer.sent(now, node);
        let took = Duration::from_micros(1000 + node as u64 % 13 * 50);
        balancer.replied(now, node, took, Some(&load));
        // What has to be made once is made.
        balancer.pick(now, Some(round), &|_| true);
    }
    for node in 0..nodes {
        (0..node % 3).for_each(|_| balancer.sent(13_000_000_000, node));
    }
    balancer
}

fn equal(_: usize) -> u32 {
    3
}

fn different(node: usize) -> u32 {
    1 + node as u32 % 5
}

/// What is measured: its name, the policy, and the weights.
type Measured = (&'static str, Policy, fn(usize) -> u32);

fn measured() -> Vec<Measured> {
    let home = Place::new("eu", "eu-1").at(50.0, 8.0);
    let near = Policy::peak_ewma().by_priority().by_place(home.clone());
    let mut measured: Vec<Measured> = Vec::new();
    for name in Policy::names() {
        if let Ok(policy) = Policy::named(name) {
            measured.push((name, policy, different));
        }
    }
    measured.extend([
        (
            "least-in-flight, equal",
            Policy::least_in_flight(),
            equal as fn(usize) -> u32,
        ),
        ("peak-ewma, equal", Policy::peak_ewma(), equal),
        (
            "least by place",
            Policy::least_in_flight().by_place(home.clone()),
            equal,
        ),
        (
            "least by distance",
            Policy::least_in_flight().by_distance(home),
            equal,
        ),
        (
            "least by priority",
            Policy::least_in_flight().by_priority(),
            equal,
        ),
        (
            "least within 8",
            Policy::least_in_flight().within_subset(8),
            equal,
        ),
        ("peak by priority by place", near, equal),
    ]);
    measured
}

fn thread_time() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

fn process_time() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// How often a figure over its bound is measured.
const ATTEMPTS: usize = 5;

/// Nanoseconds of each of so many times, in the best of the rounds.
fn nanos_of(mut each: impl FnMut(u64)) -> f64 {
    let round = |_| {
        let before = thread_time();
        (0..PICKS).for_each(&mut each);
        (thread_time() - before).as_nanos() as f64 / PICKS as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// How much slower this core is, for now, than the one that the bounds are for: which multiplies, adds
/// and divides, each waiting for the one before, in 3 ns. Never less than 1.
fn slowness() -> f64 {
    const STEPS: u64 = 10;
    let steps = nanos_of(|at| {
        let first = black_box(at as f64);
        black_box((0..STEPS).fold(first, |value, _| (value * 1.5 + 1.0) / 1.25));
    });
    (steps / STEPS as f64 / 3.0).max(1.0)
}

#[test]
fn a_pick_is_cheap_whatever_the_policy() {
    if cfg!(debug_assertions) {
        println!("skipped: figures are those of a release build (cargo test --release)");
        return;
    }
    println!(
        "a core {:.2} times slower than that of the bounds",
        slowness()
    );
    println!("ns a pick, at 10, 64 and 1,000 nodes; with what it is told of a call, at 1,000");
    let mut over = Vec::new();
    for (name, policy, weight) in measured() {
        let mut found = Vec::new();
        let mut call = 0.0;
        for (nodes, bound) in BOUNDS {
            let mut balancer = at_work(&policy, nodes, weight);
            let now = 13_000_000_000;
            let able = |node: usize| node != usize::MAX;
            let mut nanos = f64::INFINITY;
            let mut bound = bound;
            // Whoever else uses the core makes it look dearer than it is, never cheaper.
            for _ in 0..ATTEMPTS {
                let slower = slowness();
                nanos = nanos.min(nanos_of(|at| {
                    black_box(balancer.pick(now, Some(hash(&at.to_le_bytes())), &able));
                }));
                if nanos <= bound * slower {
                    bound *= slower;
                    break;
                }
            }
            call = nanos_of(|at| {
                let key = Some(hash(&at.to_le_bytes()));
                if let Some(node) = balancer.pick(now + at * 1000, key, &able) {
                    balancer.sent(now + at * 1000, node);
                    let took = Duration::from_micros(1000);
                    balancer.replied(now + at * 1000, node, took, None);
                }
            });
            if nanos > bound {
                over.push(format!(
                    "{name}: {nanos:.0} ns at {nodes} nodes, at most {bound:.0}"
                ));
            }
            found.push(nanos);
        }
        let found: String = found.iter().map(|nanos| format!("{nanos:10.1}")).collect();
        println!("{name:28} {found} {call:10.1}");
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

/// Picks of so many threads, each of which picks as `make` says: a second of processor time, and a
/// second of the clock on the wall.
fn picks_a_second<F: FnMut(u64) + Send>(threads: usize, make: impl Fn(usize) -> F) -> (f64, f64) {
    let (stop, picks) = (AtomicBool::new(false), AtomicU64::new(0));
    let pickers: Vec<F> = (0..threads).map(make).collect();
    let (begun, before) = (Instant::now(), process_time());
    thread::scope(|scope| {
        for mut pick in pickers {
            let (stop, picks) = (&stop, &picks);
            scope.spawn(move || {
                let mut done = 0;
                // Each picks at least once, however little time it gets.
                loop {
                    (0..64).for_each(|at| pick(done + at));
                    done += 64;
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                picks.fetch_add(done, Ordering::Relaxed);
            });
        }
        // The time that is measured, not a wait for something.
        while begun.elapsed() < SPELL {
            thread::park_timeout(SPELL.saturating_sub(begun.elapsed()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let picks = picks.load(Ordering::Relaxed) as f64;
    let spent = process_time() - before;
    (
        picks / spent.as_secs_f64(),
        picks / begun.elapsed().as_secs_f64(),
    )
}

/// What 16 threads pick to what 2 do, in the middle of several tries that take turns. Where each has
/// a balancer of its own it is held to processor time: on the wall, 16 threads get more of a machine
/// that has other things to do. Where they share one it is held to the clock on the wall: how much
/// they wait for each other is what is looked for.
fn scale<F: FnMut(u64) + Send>(what: &str, is_shared: bool, make: impl Fn(usize) -> F) -> String {
    let mut on_the_wall = Vec::new();
    let ratio = |_| {
        let (two, many) = (picks_a_second(2, &make), picks_a_second(16, &make));
        on_the_wall.push(many.1 / two.1);
        many.0 / two.0
    };
    let mut ratios: Vec<f64> = (0..9).map(ratio).collect();
    let [ratio, wall] = [&mut ratios, &mut on_the_wall].map(|ratios| {
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    });
    let held = if is_shared { wall } else { ratio };
    assert!(
        held >= SCALE,
        "{what}: 16 threads pick {held:.2} of what 2 do"
    );
    format!("{what}: 16 threads pick {ratio:.2} of what 2 do, {wall:.2} by the clock on the wall")
}

#[test]
fn sixteen_threads_pick_as_much_as_two() {
    if cfg!(debug_assertions) {
        println!("skipped: figures are those of a release build (cargo test --release)");
        return;
    }
    for (name, policy, weight) in measured() {
        if !["weighted", "peak-ewma, equal"].contains(&name) {
            continue;
        }
        let own = scale(&format!("{name}, each its own"), false, |_| {
            let mut balancer = at_work(&policy, 100, weight);
            move |at| {
                black_box(balancer.pick(13_000_000_000 + at, None, &|_| true));
            }
        });
        let shared = Arc::new(Mutex::new(at_work(&policy, 100, weight)));
        let one = scale(&format!("{name}, one for all"), true, |_| {
            let shared = Arc::clone(&shared);
            move |at| {
                black_box(shared.lock().pick(13_000_000_000 + at, None, &|_| true));
            }
        });
        println!("{own}\n{one}");
    }
}
