//! The command `bench-curve`: what calls cost under load, from a tenth of what each system can carry to all of it.
//!
//! In each round every system's capacity is measured first, then its latency at each share of that, in open loop. The machine
//! is another one from minute to minute, and so is the capacity. Systems take turns at each share.
//!
//! # Not here
//!
//! When calls are due, and what they are held to (`harness::open`).

mod plot;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hdrhistogram::Histogram;

use crate::harness::canary::Canary;
use crate::harness::command::{Folder, chosen_systems};
use crate::harness::neighbours::{self, Neighbours};
use crate::harness::open::{IN_FLIGHT, Latencies, Schedule, histogram};
use crate::harness::pin::Cores;
use crate::harness::report;
use crate::harness::roles::Role;
use crate::harness::rounds::{self, Lane, Settings};
use crate::harness::scenario::Workload;
use crate::harness::slice::{Plan, Refill};
use crate::harness::stats::Spread;
use crate::systems::{self, System};

/// Shares of the capacity, in percent.
const LOADS: [u32; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

#[derive(Debug, Parser)]
#[command(
    name = "bench-curve",
    about = "Latency of calls in open loop, from 10 to 100 % of what each system carries, beside tonic and tarpc in one run",
    after_help = "\
Examples:
  bench-curve                                 curve.csv and curve.svg in target/bench
  bench-curve --rounds 31 --out /tmp/curve
  bench-curve --system brokerless --system tarpc

Calls are due at random times, and their latency counts from then, not from when they were sent.
In the CSV p50_us, p99_us and p999_us are medians over the rounds; those of all rounds together follow."
)]
struct Command {
    #[command(subcommand)]
    role: Option<Role>,
    /// Run only this system: brokerless, tonic, tarpc (repeatable)
    #[arg(long, value_name = "NAME")]
    system: Vec<String>,
    /// Rounds that must count
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// Length of a system's turn, an eighth of it for warming up
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(20..=500))]
    slice_ms: u64,
    /// The folder that the files go to [default: <workspace>/target/bench]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let command = Command::parse();
    let done = match &command.role {
        Some(role) => role.play(),
        None => run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-curve: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let settings = Settings {
        rounds: usize::from(command.rounds),
        slice: Duration::from_millis(command.slice_ms),
        cores: Cores::choose()?,
        free: false,
        refill: Refill::Each,
    };
    let workload = Workload::named("open").context("no workload open")?;
    let mut systems = chosen_systems(systems::CALLS, &command.system)?;
    systems.retain(|system| system.can(workload));
    ensure!(!systems.is_empty(), "none of these has calls of its own");

    let folder = Folder::make("bench-curve")?;
    let canary = Canary::start(&[settings.cores.client, settings.cores.server])?;
    let neighbours = Neighbours::watch();
    let mut lanes: Vec<Lane> = systems
        .iter()
        .map(|system| Lane::start(*system, workload, &settings, &folder.0))
        .collect();
    let mut curves: Vec<Curve> = systems.iter().map(|system| Curve::new(*system)).collect();
    let mut left_out = 0;
    for round in 0..settings.rounds {
        rounds::progress(&format!("round {} of {}", round + 1, settings.rounds));
        let points = one_round(&mut lanes, round, &settings, &canary, &mut left_out);
        for (curve, points) in curves.iter_mut().zip(points) {
            curve.add(points)?;
        }
    }
    rounds::progress("");

    let failures: Vec<String> = lanes
        .iter()
        .filter_map(|lane| Some(format!("{} failed: {}", lane.system, lane.failure()?)))
        .collect();
    ensure!(
        curves.iter().any(Curve::has_points),
        "there is nothing to draw: {}",
        match &failures[..] {
            [] => "the machine stalled in every round; run it again".to_owned(),
            failures => failures.join("; "),
        }
    );
    let out = command
        .out
        .clone()
        .unwrap_or_else(|| report::default_out(""));
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let (csv, svg) = (out.join("curve.csv"), out.join("curve.svg"));
    save(&csv, &to_csv(&curves))?;
    save(&svg, &plot::draw(&lines(&curves))?)?;

    let mut text = io::stdout().lock();
    writeln!(
        text,
        "{} ms a turn; client on core {}, server on core {}; at most {IN_FLIGHT} calls in flight\n",
        settings.slice.as_millis(),
        settings.cores.client,
        settings.cores.server,
    )?;
    writeln!(text, "{}", table(&curves))?;
    for failure in &failures {
        writeln!(text, "attention: {failure}")?;
    }
    if left_out > 0 {
        writeln!(
            text,
            "attention: in {left_out} of {} measurements the machine stalled twice: they are left out",
            settings.rounds * (1 + LOADS.len())
        )?;
    }
    if let Some(remark) = neighbours.as_ref().and_then(neighbours::remark) {
        writeln!(text, "attention: {remark}")?;
    }
    writeln!(text, "written: {}, {}", csv.display(), svg.display())?;
    Ok(())
}

/// One slice: the calls a second that were wanted, and what came of them.
type Slice = (f64, Latencies);

/// Each system's slices at each share of its capacity; `None` where there is none: its system failed or the machine stalled.
fn one_round(
    lanes: &mut [Lane],
    round: usize,
    settings: &Settings,
    canary: &Canary,
    left_out: &mut usize,
) -> Vec<Vec<Option<Slice>>> {
    let number = u32::try_from(round).unwrap_or(u32::MAX);
    let plan = Plan::new(number, settings.slice, settings.refill);
    // All in turn, and once more where the machine stalled.
    let mut all = |per_s: &[Option<f64>], seed: u64| -> Option<Vec<Option<Latencies>>> {
        for _ in 0..2 {
            let stalls = canary.stalls();
            let mut came = vec![None; lanes.len()];
            for turn in rounds::order(lanes.len(), round) {
                // Of no capacity no share can be had.
                if per_s.get(turn) != Some(&None) {
                    let per_s = per_s.get(turn).copied().flatten();
                    came[turn] = lanes[turn].open(&Schedule { plan, per_s, seed });
                }
            }
            if canary.stalls() == stalls {
                return Some(came);
            }
        }
        *left_out += 1;
        None
    };
    let Some(most) = all(&[], 0) else {
        return Vec::new();
    };
    let most: Vec<Option<f64>> = most
        .into_iter()
        .map(|most| Some(most?.per_s).filter(|per_s| *per_s > 0.0))
        .collect();
    let mut slices = vec![Vec::new(); most.len()];
    for load in LOADS {
        let share = |most: &Option<f64>| most.map(|most| most * f64::from(load) / 100.0);
        let per_s: Vec<Option<f64>> = most.iter().map(share).collect();
        // The same times for everybody but for the rate.
        let seed = (u64::from(number) << 32) | u64::from(load);
        let mut came = all(&per_s, seed).unwrap_or_default().into_iter();
        for (slices, per_s) in slices.iter_mut().zip(per_s) {
            let latencies = came.next().flatten();
            slices.push(per_s.zip(latencies));
        }
    }
    slices
}

/// One system.
struct Curve {
    system: &'static str,
    points: Vec<Point>,
}

/// One share of its capacity.
struct Point {
    load: u32,
    offered_per_s: Vec<f64>,
    answered_per_s: Vec<f64>,
    /// Of each round.
    quantiles_us: [Vec<f64>; QUANTILES.len()],
    /// Of all rounds.
    all_ns: Histogram<u64>,
}

const QUANTILES: [f64; 3] = [0.50, 0.99, 0.999];

impl Curve {
    fn new(system: &'static dyn System) -> Self {
        Self {
            system: system.name(),
            points: Vec::new(),
        }
    }

    fn has_points(&self) -> bool {
        self.points.iter().any(|point| !point.all_ns.is_empty())
    }

    /// One more round.
    fn add(&mut self, slices: Vec<Option<Slice>>) -> Result<()> {
        for (place, (load, slice)) in LOADS.iter().zip(slices).enumerate() {
            if self.points.len() == place {
                self.points.push(Point::new(*load)?);
            }
            if let Some(slice) = slice {
                self.points[place].add(slice)?;
            }
        }
        Ok(())
    }
}

impl Point {
    fn new(load: u32) -> Result<Self> {
        Ok(Self {
            load,
            offered_per_s: Vec::new(),
            answered_per_s: Vec::new(),
            quantiles_us: Default::default(),
            all_ns: histogram()?,
        })
    }

    fn add(&mut self, (offered_per_s, latencies): Slice) -> Result<()> {
        let mut slice_ns = histogram()?;
        for (ns, count) in latencies.counts {
            slice_ns.saturating_record_n(ns, count);
        }
        if slice_ns.is_empty() {
            return Ok(());
        }
        self.offered_per_s.push(offered_per_s);
        self.answered_per_s.push(latencies.per_s);
        for (quantile, all) in QUANTILES.iter().zip(&mut self.quantiles_us) {
            all.push(slice_ns.value_at_quantile(*quantile) as f64 / 1e3);
        }
        self.all_ns.add(&slice_ns)?;
        Ok(())
    }

    /// Medians over the rounds: offered, answered, and the quantiles. `None` without rounds.
    fn medians(&self) -> Option<(f64, f64, [f64; QUANTILES.len()])> {
        let median = |figures: &[f64]| Spread::of(figures).map(|spread| spread.median);
        let offered = median(&self.offered_per_s)?;
        let answered = median(&self.answered_per_s)?;
        let quantiles = self.quantiles_us.each_ref().map(|all| median(all));
        let [Some(p50), Some(p99), Some(p999)] = quantiles else {
            return None;
        };
        Some((offered, answered, [p50, p99, p999]))
    }
}

fn to_csv(curves: &[Curve]) -> String {
    let mut csv = "system,load_percent,offered_per_s,answered_per_s,p50_us,p99_us,p999_us,\
                   all_p50_us,all_p99_us,all_p999_us,calls,rounds\n"
        .to_owned();
    for curve in curves {
        for point in &curve.points {
            let Some((offered, answered, quantiles)) = point.medians() else {
                continue;
            };
            let _ = write!(
                csv,
                "{},{},{offered:.1},{answered:.1}",
                curve.system, point.load
            );
            for us in quantiles {
                let _ = write!(csv, ",{us:.2}");
            }
            for quantile in QUANTILES {
                let ns = point.all_ns.value_at_quantile(quantile);
                let _ = write!(csv, ",{:.2}", ns as f64 / 1e3);
            }
            let (calls, rounds) = (point.all_ns.len(), point.offered_per_s.len());
            let _ = writeln!(csv, ",{calls},{rounds}");
        }
    }
    csv
}

fn table(curves: &[Curve]) -> String {
    let mut table = format!(
        "{:<14}{:>6}{:>14}{:>14}{:>12}{:>12}{:>12}\n",
        "median", "load", "offered/s", "answered/s", "p50 us", "p99 us", "p99.9 us"
    );
    for curve in curves {
        for point in &curve.points {
            let Some((offered, answered, [p50, p99, p999])) = point.medians() else {
                continue;
            };
            let _ = writeln!(
                table,
                "{:<14}{:>5}%{offered:>14.0}{answered:>14.0}{p50:>12.1}{p99:>12.1}{p999:>12.1}",
                curve.system, point.load
            );
        }
    }
    table
}

fn lines(curves: &[Curve]) -> Vec<plot::Line> {
    let line = |curve: &Curve| plot::Line {
        name: curve.system,
        points: curve
            .points
            .iter()
            .filter_map(Point::medians)
            .map(|(_, answered, quantiles)| (answered, quantiles))
            .collect(),
    };
    curves.iter().map(line).collect()
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(rounds: &[&[(u64, u64)]]) -> Curve {
        let mut curve = Curve {
            system: "brokerless",
            points: Vec::new(),
        };
        for counts in rounds {
            let slice = Latencies {
                per_s: 900.0,
                counts: counts.to_vec(),
            };
            let slices = LOADS.map(|load| Some((f64::from(load) * 10.0, slice.clone())));
            curve.add(slices.into()).expect("a round");
        }
        curve
    }

    #[test]
    fn the_csv_has_a_line_for_each_share_with_medians_over_the_rounds() {
        let csv = to_csv(&[curve(&[&[(1_000, 100)], &[(2_000, 100)], &[(50_000, 100)]])]);
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 1 + LOADS.len(), "{csv}");
        assert!(
            lines[1].starts_with("brokerless,10,100.0,900.0,2.00,2.00,2.00,"),
            "{csv}"
        );
        assert!(lines[1].ends_with(",300,3"), "{csv}");
        let columns = |line: &str| line.split(',').count();
        assert_eq!(columns(lines[0]), columns(lines[1]));
    }

    #[test]
    fn a_system_that_failed_has_no_line() {
        let mut curve = curve(&[]);
        curve.add(LOADS.map(|_| None).into()).expect("a round");
        assert_eq!(to_csv(&[curve]).lines().count(), 1);
    }

    #[test]
    fn a_picture_has_every_system_and_percentile() {
        let svg = plot::draw(&lines(&[curve(&[&[(1_000, 99), (90_000, 1)]])])).expect("a picture");
        for text in [
            "<svg",
            "brokerless",
            "p50",
            "p99",
            "p99.9",
            "calls a second",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_picture_of_nothing_is_refused() {
        assert!(plot::draw(&[]).is_err());
    }
}
