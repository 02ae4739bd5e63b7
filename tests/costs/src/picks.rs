//! What a pick costs: nanoseconds of processor time for each policy, at 10 and at 1,000 nodes, and
//! how picks of many threads add up.
//!
//! The time is that of the thread, not of the clock on the wall, the least of several runs, and beside
//! reference work on the same core: so what else runs beside it counts for little. A bar that is missed
//! all the same is measured in another round. Bounds are those of a release build; another prints
//! nothing and holds to nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brokerless_patterns::balance::hash;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::at_work::{NOW, all};
use crate::rounds::{ROUNDS, in_rounds};

/// Picks of a run.
const PICKS: u64 = 20_000;
/// Runs, of which the best counts.
const RUNS: usize = 15;
/// Nanoseconds a pick may take: at so many nodes, of which the second is only shown. Up to 64 some
/// look at every node.
const BOUNDS: [(usize, f64); 3] = [(10, 100.0), (64, f64::INFINITY), (1000, 250.0)];
/// Who shares a core with others is slowed down by what they do, and not all work alike: where
/// reference work takes so many times as long in every round, times say nothing, and instructions alone
/// are held to what they were (`instructions/sockets.rs`).
const DISTURBED: f64 = 1.1;
/// Nanoseconds of a step of the one reference work, and of all of the other, on the core that the bounds
/// are for.
const CHAIN: f64 = 2.6;
const LEAST: f64 = 86.0;
/// How much less 16 threads may pick than 2, all together.
const SCALE: f64 = 0.8;
/// Tries of which the middle one is taken.
const TRIES: usize = 5;
/// How long threads pick.
const SPELL: Duration = Duration::from_millis(100);

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

/// Nanoseconds of each of so many times, in the best of the runs.
fn nanos_of(mut each: impl FnMut(u64)) -> f64 {
    let run = |_| {
        let before = thread_time();
        (0..PICKS).for_each(&mut each);
        (thread_time() - before).as_nanos() as f64 / PICKS as f64
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

/// How much slower this core is, for now, than the one that the bounds are for: by work of which each
/// step waits for the one before, which takes as long as the clock says, and by work that fills the core,
/// which another thread of the same core halves. Never less than 1.
fn slowness() -> f64 {
    const STEPS: u64 = 10;
    let chain = nanos_of(|at| {
        let first = black_box(at as f64);
        black_box((0..STEPS).fold(first, |value, _| (value * 1.5 + 1.0) / 1.25));
    });
    let table: Vec<[u64; 3]> = (0..64).map(|i| [i * 7 % 13, i * 5 % 11, i * 77]).collect();
    let least = nanos_of(|at| {
        let scores = black_box(&table[..])
            .iter()
            .map(|[a, b, c]| (a + at).wrapping_mul(b | 1) ^ c);
        let scored = scores.enumerate().filter(|(_, score)| score & 7 != 3);
        black_box(scored.min_by_key(|(_, score)| *score));
    });
    (chain / STEPS as f64 / CHAIN).max(least / LEAST).max(1.0)
}

#[test]
fn a_pick_is_cheap_whatever_the_policy() {
    let _alone = crate::alone();
    if cfg!(debug_assertions) {
        println!("skipped: figures are those of a release build (cargo test --release)");
        return;
    }
    println!(
        "a core {:.2} times slower than that of the bounds",
        slowness()
    );
    println!("ns a pick, at 10, 64 and 1,000 nodes; with what it is told of a call, at 1,000");
    for work in all() {
        let name = work.name;
        let mut found = String::new();
        let mut call = 0.0;
        for (nodes, bound) in BOUNDS {
            let mut balancer = work.at_work(nodes);
            let able = |node: usize| node != usize::MAX;
            let mut disturbed = 0;
            let nanos = in_rounds(&format!("{name}, {nodes} nodes"), || {
                let before = slowness();
                let nanos = nanos_of(|at| {
                    black_box(balancer.pick(NOW, Some(hash(&at.to_le_bytes())), &able));
                });
                let slower = before.max(slowness());
                let most = bound * slower;
                if nanos <= most {
                    return Ok(nanos);
                }
                let seen = format!("{nanos:.0} ns a pick, at most {most:.0}");
                disturbed += usize::from(slower > DISTURBED);
                if disturbed == ROUNDS {
                    println!(
                        "NOT HELD, {name}, {nodes} nodes: {seen}, on a core that others slow down"
                    );
                    return Ok(nanos);
                }
                Err(seen)
            });
            found += &format!("{nanos:10.1} ");
            call = nanos_of(|at| {
                let now = NOW + at * 1000;
                let key = Some(hash(&at.to_le_bytes()));
                if let Some(node) = balancer.pick(now, key, &able) {
                    balancer.sent(now, node);
                    let took = Duration::from_micros(1000);
                    balancer.replied(now, node, took, Some(&work.report(node)));
                }
            });
        }
        println!("{name:30} {found} {call:10.1}");
    }
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

/// Holds what 16 threads pick to what 2 do, in the middle of several tries that take turns. Where each
/// has a balancer of its own it is held to processor time: on the wall, 16 threads get more of a machine
/// that has other things to do. Where they share one it is held to the clock on the wall: how much
/// they wait for each other is what is looked for.
fn scale<F: FnMut(u64) + Send>(what: &str, is_shared: bool, make: impl Fn(usize) -> F) {
    let seen = in_rounds(what, || {
        let mut on_the_wall = Vec::new();
        let ratio = |_| {
            let (two, many) = (picks_a_second(2, &make), picks_a_second(16, &make));
            on_the_wall.push(many.1 / two.1);
            many.0 / two.0
        };
        let mut ratios: Vec<f64> = (0..TRIES).map(ratio).collect();
        let [ratio, wall] = [&mut ratios, &mut on_the_wall].map(|ratios| {
            ratios.sort_by(f64::total_cmp);
            ratios[TRIES / 2]
        });
        let held = if is_shared { wall } else { ratio };
        let seen =
            format!("16 threads pick {ratio:.2} of what 2 do, {wall:.2} by the clock on the wall");
        if held >= SCALE { Ok(seen) } else { Err(seen) }
    });
    println!("{what}: {seen}");
}

#[test]
fn sixteen_threads_pick_as_much_as_two() {
    let _alone = crate::alone();
    if cfg!(debug_assertions) {
        println!("skipped: figures are those of a release build (cargo test --release)");
        return;
    }
    for work in all() {
        let name = work.name;
        if !["weighted", "peak-ewma, equal"].contains(&name) {
            continue;
        }
        scale(&format!("{name}, each its own"), false, |_| {
            let mut balancer = work.at_work(100);
            move |at| {
                black_box(balancer.pick(NOW + at, None, &|_| true));
            }
        });
        let shared = Arc::new(Mutex::new(work.at_work(100)));
        scale(&format!("{name}, one for all"), true, |_| {
            let shared = Arc::clone(&shared);
            move |at| {
                black_box(shared.lock().pick(NOW + at, None, &|_| true));
            }
        });
    }
}
