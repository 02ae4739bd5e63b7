//! The simulator: callers and repliers under a virtual clock and network, from a seed.
//!
//! The machines of `src/machine` run here as they run in the client and the server, thousands of
//! times faster, while connections stall, break and are cut, devices lose and double messages, and
//! processes stop, die, leave and come back. A ledger that stands outside of them knows what truly
//! happened:
//!
//! 1. Every call ends once, by its deadline and 50 ms.
//! 2. No acknowledged call is lost.
//! 3. `ran()` is truthful.
//! 4. No call runs twice, unless the network has doubled it.
//! 5. Tables, queues and windows keep to their bounds.
//! 6. Counts add up: calls, messages, credit.
//! 7. Only the one who asked is answered.
//! 8. Every item of a stream is taken once, in order and within the window; its end comes once, and
//!    after them. What has gathered goes.
//! 9. A replier that pulls is fed no more calls than it has workers, and none of them is lost to its
//!    callers; questions for its health wait for none.
//! 10. What leaves in order fails no call; what heals converges, and nothing is left over.
//!
//! Each seed runs twice and has to come to the same end. By the environment: `SEED` replays one with
//! a trace, `SEEDS` says how many, `FROM` the first one.
//!
//! | file | what |
//! |---|---|
//! | `doses` | how much of everything a seed gets |
//! | `world` | the clock, the faults, the two phases |
//! | `network` | connections and devices |
//! | `calling`, `replying` | the processes: shells around the machines; `calling/looks.rs`: what the ledger looks at |
//! | `pulling` | repliers that grant free workers alone |
//! | `scattering` | scatters of the callers, with a ledger of their own |
//! | `streams` | calls with items: both sides' shells and programs |
//! | `ledger` | what truly happened |
//! | `policies` | what callers pick by |
//! | `plants` | the proof that it finds mistakes |

#![allow(clippy::print_stdout)]

mod calling;
mod doses;
mod ledger;
mod network;
#[cfg(planted)]
mod plants;
mod policies;
mod pulling;
mod random;
mod replying;
mod scattering;
mod streams;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
#[cfg(not(planted))]
use std::time::Instant;

use world::{Verdict, World};

/// Seeds of a run that asks for no number of them.
#[cfg(not(planted))]
const SEEDS: u64 = 60;
/// More threads than this are of no use to anybody else on the machine.
const THREADS_MAX: usize = 8;

fn main() -> ExitCode {
    if let Some(seed) = number("SEED") {
        return replay(seed);
    }
    #[cfg(planted)]
    return plants::all();
    #[cfg(not(planted))]
    {
        let (from, seeds) = (
            number("FROM").unwrap_or(0),
            number("SEEDS").unwrap_or(SEEDS),
        );
        let began = Instant::now();
        let found = search(from, seeds);
        let took = began.elapsed().as_secs_f64();
        let Found {
            failure,
            calls,
            replied,
            events,
            streams,
            items,
        } = found;
        println!(
            "sim: seeds {from} to {}, {calls} calls, {replied} replied, {streams} streams of {items} items, {events} events, {took:.1} s",
            from + seeds
        );
        match failure {
            None => ExitCode::SUCCESS,
            Some((seed, violations)) => {
                println!("sim: seed {seed} fails:");
                for violation in violations {
                    println!("  {violation}");
                }
                println!("replay: make sim SEED={seed}");
                ExitCode::FAILURE
            }
        }
    }
}

/// What a search over seeds found.
#[derive(Debug, Default)]
struct Found {
    /// The first seed that fails, and how.
    failure: Option<(u64, Vec<String>)>,
    calls: u64,
    replied: u64,
    events: u64,
    streams: u64,
    items: u64,
}

/// Runs seeds on every core, until one fails.
fn search(from: u64, seeds: u64) -> Found {
    let next = AtomicU64::new(from);
    let failed = AtomicBool::new(false);
    let found = Mutex::new(Found::default());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS_MAX));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= from + seeds || failed.load(Relaxed) {
                        return;
                    }
                    let (verdict, violations) = twice(seed);
                    let mut found = found.lock().unwrap();
                    found.calls += verdict.calls;
                    found.replied += verdict.replied;
                    found.events += verdict.events;
                    found.streams += verdict.streams;
                    found.items += verdict.items;
                    let first = found.failure.as_ref().is_none_or(|(it, _)| seed < *it);
                    if !violations.is_empty() && first {
                        failed.store(true, Relaxed);
                        found.failure = Some((seed, violations));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// A seed, twice: both have to come to the same end.
fn twice(seed: u64) -> (Verdict, Vec<String>) {
    let first = once(seed, false);
    let mut violations = first.violations.clone();
    if violations.is_empty() && once(seed, false) != first {
        violations.push("the seed does not come to the same end twice".to_owned());
    }
    (first, violations)
}

fn once(seed: u64, trace: bool) -> Verdict {
    let run = catch_unwind(AssertUnwindSafe(|| World::new(seed, trace).run()));
    run.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.downcast_ref::<&str>().copied());
        Verdict {
            hash: 0,
            calls: 0,
            replied: 0,
            events: 0,
            streams: 0,
            items: 0,
            violations: vec![format!("panic: {}", said.unwrap_or("?"))],
        }
    })
}

fn replay(seed: u64) -> ExitCode {
    let verdict = once(seed, true);
    println!("seed {seed}: {verdict:#?}");
    match verdict.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
