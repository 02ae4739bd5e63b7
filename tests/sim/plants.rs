//! Planted mistakes: each has to be found, and with none planted nothing.

use std::process::ExitCode;

use brokerless::machine::{Bug, plant};

use crate::{number, search};

/// Seeds within which each has to be found.
const SEEDS_MAX: u64 = 10_000;
/// Seeds that have to stay clean with none planted.
const CLEAN: u64 = 2_000;

/// Plants one mistake after the other, those whose name has what `BUG` says; a line each.
pub(crate) fn all() -> ExitCode {
    let seeds = number("SEEDS").unwrap_or(SEEDS_MAX);
    let mut missed = 0;
    // A mistake may well be found by a panic: that is not to be printed each time.
    std::panic::set_hook(Box::new(|_| {}));
    let wanted = std::env::var("BUG").unwrap_or_default();
    for &bug in Bug::ALL {
        let name = format!("{bug:?}");
        if !name.contains(&wanted) {
            continue;
        }
        plant(bug);
        match search(0, seeds).failure {
            Some((seed, violations)) => {
                let first = violations.first().map_or("", String::as_str);
                println!("{name:<24} {:>6} seeds  caught  {first}", seed + 1);
            }
            None => {
                missed += 1;
                println!("{name:<24} {seeds:>6} seeds  MISSED");
            }
        }
    }
    plant(Bug::None);
    let clean = search(0, CLEAN.min(seeds)).failure;
    match &clean {
        None => println!("{:<24} {:>6} seeds  clean", "none", CLEAN.min(seeds)),
        Some((seed, violations)) => println!("none: seed {seed} fails: {violations:#?}"),
    }
    match missed == 0 && clean.is_none() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
