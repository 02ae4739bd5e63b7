//! The command `bench-balance`: policies over real processes.
//!
//! ```text
//!  open:    one thread, 10,000 calls a second ──┬── worker 0, slow for half of the time
//!                                               └── workers 1 to 10
//!  closed:  50 threads, a call each ────────────┬── worker 0: 10 ms
//!                                               ├── worker 1: 20 ms
//!                                               └── worker 2: 30 ms
//! ```
//!
//! Workers sleep, so that the two tables need next to no processor: what differs is where calls go.
//! Policies take turns, so that a moment in which the machine is slow does not fall on one of them. The
//! same tables under a virtual clock, at full size: `make balance-tables`.

mod closed;
mod open;
mod worker;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use brokerless_patterns::balance::Policy;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use self::closed::Turnover;
use self::open::{Shares, Trouble};
use crate::harness::{report, rounds, stats};

/// Within 100 ms, of the adaptive policy, in percent.
const IN_TIME_BAR: f64 = 99.5;
/// Times the throughput of round-robin, of the adaptive policy.
const TURNOVER_BAR: f64 = 1.7;
/// brpc's page: what its locality-aware policy gained over round-robin, with sleeps of 1, 2 and 3 ms.
const PUBLISHED_TURNOVER: f64 = 1.83;

#[derive(Debug, Parser)]
#[command(
    name = "bench-balance",
    about = "Policies over real worker processes: one that becomes slow, three of different speeds, one that is stopped",
    after_help = "\
Examples:
  bench-balance                        3 rounds, about 3 minutes
  bench-balance --rounds 1 --policy adaptive --policy round-robin
  bench-balance --strict               exit code 1 where a bar is missed

Bars, of the adaptive policy: >= 99.5 % within 100 ms while one of eleven is slow, >= 1.7 x the throughput of
round-robin; with a worker stopped half-way at most the credit that it had granted is stuck."
)]
struct Flags {
    #[command(subcommand)]
    role: Option<BalanceRole>,
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Run only this policy (repeatable)
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,
    /// Where the JSON goes [default: <workspace>/target/balance/real.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 1 where a bar is missed
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
enum BalanceRole {
    #[command(hide = true)]
    Worker,
}

/// Runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match flags.role {
        Some(BalanceRole::Worker) => worker::play().map(|()| ExitCode::SUCCESS),
        None => run(&flags),
    };
    done.unwrap_or_else(|error| {
        eprintln!("bench-balance: {error:#}");
        ExitCode::from(2)
    })
}

/// A policy, and what came of each of its runs.
struct Lane {
    policy: Policy,
    slow: Vec<Shares>,
    closed: Vec<Turnover>,
    /// With a worker stopped.
    stopped: Option<(Shares, Turnover)>,
}

const POLICIES: [&str; 4] = ["round-robin", "least-in-flight", "peak-ewma", "adaptive"];

fn run(flags: &Flags) -> Result<ExitCode> {
    let mut names: Vec<&str> = flags.policy.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = POLICIES.to_vec();
    }
    let lanes = names.iter().map(|name| {
        let policy = Policy::named(name)?;
        Ok(Lane {
            policy,
            slow: Vec::new(),
            closed: Vec::new(),
            stopped: None,
        })
    });
    let mut lanes: Vec<Lane> = lanes.collect::<Result<_>>()?;
    for round in 0..flags.rounds {
        for lane in &mut lanes {
            let name = lane.policy.name();
            rounds::progress(&format!("round {} of {}: {name}", round + 1, flags.rounds));
            let shares = open::run(&lane.policy, Trouble::Slow, u64::from(round) + 1)?;
            lane.slow.push(shares);
            lane.closed.push(closed::run(&lane.policy, false)?);
        }
    }
    for lane in &mut lanes {
        rounds::progress(&format!("a worker stopped: {}", lane.policy.name()));
        let shares = open::run(&lane.policy, Trouble::Stopped, 1)?;
        lane.stopped = Some((shares, closed::run(&lane.policy, true)?));
    }
    rounds::progress("");

    let path = flags
        .out
        .clone()
        .unwrap_or_else(|| report::default_out("../balance/real.json"));
    report::write_json(&path, &to_json(&lanes))?;
    let mut text = io::stdout().lock();
    let missed = print(&mut text, &lanes)?;
    writeln!(text, "written: {}", path.display())?;
    Ok(ExitCode::from(u8::from(flags.strict && missed > 0)))
}

impl Lane {
    fn in_time(&self) -> Option<stats::Spread> {
        let figures: Vec<f64> = self.slow.iter().map(Shares::in_time).collect();
        stats::Spread::of(&figures)
    }

    /// Calls a second, beside those of another policy in the same round.
    fn turnover(&self, of: &Lane) -> Option<stats::Spread> {
        let pairs = self.closed.iter().zip(&of.closed);
        let ratios: Vec<f64> = pairs.map(|(own, other)| own.per_s / other.per_s).collect();
        stats::Spread::of(&ratios)
    }

    fn per_s(&self) -> f64 {
        let figures: Vec<f64> = self.closed.iter().map(|turnover| turnover.per_s).collect();
        stats::Spread::of(&figures).map_or(0.0, |spread| spread.median)
    }

    fn mean_us(&self) -> f64 {
        let figures: Vec<f64> = self
            .closed
            .iter()
            .map(|turnover| turnover.mean_us)
            .collect();
        stats::Spread::of(&figures).map_or(0.0, |spread| spread.median)
    }
}

fn named<'l>(lanes: &'l [Lane], name: &str) -> Option<&'l Lane> {
    lanes.iter().find(|lane| lane.policy.name() == name)
}

/// The tables and the bars; how many of these are missed.
fn print(text: &mut dyn Write, lanes: &[Lane]) -> Result<usize> {
    let fair = named(lanes, "round-robin");
    writeln!(
        text,
        "{:<18}{:<26}{:<12}{:<10}{:<20}{:<14}stuck, stopped in closed loop / credit",
        "policy", "% within 100 ms", "calls/s", "mean us", "x round-robin", "stuck/credit"
    )?;
    for lane in lanes {
        let stopped = lane.stopped.clone();
        let (shares, closed) = stopped.unwrap_or_default();
        writeln!(
            text,
            "{:<18}{:<26}{:<12.0}{:<10.0}{:<20}{:<14}{}",
            lane.policy.name(),
            lane.in_time().map_or_else(String::new, report::show),
            lane.per_s(),
            lane.mean_us(),
            fair.and_then(|fair| lane.turnover(fair))
                .map_or_else(String::new, report::show),
            format!("{}/{}", shares.failed, shares.credit),
            format_args!("{}/{}", closed.failed, closed.credit),
        )?;
    }
    writeln!(
        text,
        "published: 95 (round-robin), 99 (least loaded), 99.9 (peak EWMA) % within 1 s at ten times the scale; {PUBLISHED_TURNOVER} x round-robin (brpc)"
    )?;
    let Some(adaptive) = named(lanes, "adaptive") else {
        return Ok(0);
    };
    let mut missed = 0;
    let mut bar = |what: &str, wanted: &str, seen: String, holds: bool| -> io::Result<()> {
        missed += usize::from(!holds);
        let verdict = if holds { "pass" } else { "FAIL" };
        writeln!(text, "{verdict:<6}{what:<48}{wanted:<12}{seen}")
    };
    if let Some(spread) = adaptive.in_time() {
        let holds = spread.median >= IN_TIME_BAR;
        bar(
            "adaptive, one of eleven slow",
            ">= 99.5 %",
            report::show(spread),
            holds,
        )?;
    }
    if let Some(spread) = fair.and_then(|fair| adaptive.turnover(fair)) {
        let holds = spread.median >= TURNOVER_BAR;
        bar(
            "adaptive, sleeps of 10, 20, 30 ms",
            ">= 1.7 x",
            report::show(spread),
            holds,
        )?;
    }
    for (what, failed, credit) in adaptive.stopped.iter().flat_map(|(shares, closed)| {
        [
            ("adaptive, stopped, open loop", shares.failed, shares.credit),
            (
                "adaptive, stopped, closed loop",
                closed.failed,
                closed.credit,
            ),
        ]
    }) {
        bar(
            what,
            &format!("<= {credit} stuck"),
            failed.to_string(),
            failed <= credit,
        )?;
    }
    Ok(missed)
}

fn to_json(lanes: &[Lane]) -> Value {
    let fair = named(lanes, "round-robin");
    let entries = lanes.iter().map(|lane| {
        let (shares, closed) = lane.stopped.clone().unwrap_or_default();
        let entry = json!({
            "in_time_percent": lane.slow.iter().map(Shares::in_time).collect::<Vec<_>>(),
            "failed": lane.slow.iter().map(|shares| shares.failed).sum::<u64>(),
            "generator_late_ms": lane.slow.iter().map(|s| s.late.as_secs_f64() * 1e3).fold(0.0, f64::max),
            "calls_per_s": lane.closed.iter().map(|turnover| turnover.per_s).collect::<Vec<_>>(),
            "mean_us": lane.closed.iter().map(|turnover| turnover.mean_us).collect::<Vec<_>>(),
            "sent": lane.closed.iter().map(|turnover| turnover.sent.clone()).collect::<Vec<_>>(),
            "x_round_robin": fair.and_then(|fair| lane.turnover(fair)).map(|spread| spread.median),
            "stopped": {
                "open": { "in_time_percent": shares.in_time(), "stuck": shares.failed, "credit": shares.credit },
                "closed": { "calls_per_s": closed.per_s, "stuck": closed.failed, "credit": closed.credit },
            },
        });
        (lane.policy.name().to_owned(), entry)
    });
    Value::Object(entries.collect())
}
