//! The command `bench-sockets`: flags, one run, its report.
//!
//! The parent starts a server and a client process a system, all of this same binary, gives each its turn, and reports.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::harness::canary::{Canary, STALL};
use crate::harness::neighbours::{self, Neighbours};
use crate::harness::pin::Cores;
use crate::harness::report::{self, Row, Run};
use crate::harness::roles::{Role, system_named};
use crate::harness::rounds::{self, Lane, Settings};
use crate::harness::scenario::{SCENARIOS, Scenario, WORKLOADS};
use crate::harness::slice::Refill;
use crate::systems::{self, System};

/// A process that waits should use less of a core than this.
const IDLE_SHARE_MAX: f64 = 0.01;

#[derive(Debug, Parser)]
#[command(
    name = "bench-sockets",
    about = "Round trips and throughput of the sockets, beside raw sockets, `zeromq` and libzmq in one run",
    after_help = "\
Examples:
  bench-sockets                                       all scenarios, all systems
  bench-sockets --scenario rtt_64B_p50_us --rounds 31
  bench-sockets --scenario echo_1MiB_MB_per_s --system raw --system brokerless
  bench-sockets --scenario pipelined_64B_msgs_per_s --refill drained
  bench-sockets --strict                              exit code 1 where a bar is missed

Scenarios:
  rtt_64B_p50_us  rtt_64B_p99_us  rtt_64B_same_core_p50_us  pipelined_64B_msgs_per_s
  echo_1MiB_MB_per_s  senders_1_64B_msgs_per_s  senders_16_64B_msgs_per_s
  ipc_rtt_64B_p50_us  inproc_rtt_64B_p50_us

The JSON holds the scenarios of this run only; <out>-details.json has the figures of each round."
)]
struct Flags {
    #[command(subcommand)]
    role: Option<Role>,
    /// Run only this scenario (repeatable)
    #[arg(long, value_name = "NAME", value_parser = scenario_named)]
    scenario: Vec<&'static Scenario>,
    /// Run only this system: raw, brokerless, zeromq, libzmq (repeatable)
    #[arg(long, value_name = "NAME", value_parser = system_named)]
    system: Vec<&'static str>,
    /// Rounds that must count
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// Length of a system's turn, an eighth of it for warming up
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(20..=500))]
    slice_ms: u64,
    /// Where the JSON goes [default: <workspace>/target/bench/sockets.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Do not pin the processes in the throughput scenarios
    #[arg(long)]
    free: bool,
    /// Pipelined: when every system fills its window again
    #[arg(long, value_enum, value_name = "WHEN", default_value = "each")]
    refill: Refill,
    /// Exit with 1 where a bar is missed, a message lost or a system failed
    #[arg(long)]
    strict: bool,
}

fn scenario_named(name: &str) -> Result<&'static Scenario> {
    SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .context("no such scenario; --help lists them")
}

/// Runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match &flags.role {
        Some(role) => role.play().map(|()| ExitCode::SUCCESS),
        None => run(&flags),
    };
    done.unwrap_or_else(|error| {
        eprintln!("bench-sockets: {error:#}");
        ExitCode::from(2)
    })
}

fn run(flags: &Flags) -> Result<ExitCode> {
    let settings = Settings {
        rounds: usize::from(flags.rounds),
        slice: Duration::from_millis(flags.slice_ms),
        cores: Cores::choose()?,
        free: flags.free,
        refill: flags.refill,
    };
    let scenarios: Vec<&'static Scenario> = SCENARIOS
        .iter()
        .filter(|scenario| {
            flags.scenario.is_empty() || flags.scenario.iter().any(|one| one.name == scenario.name)
        })
        .collect();
    let systems: Vec<&'static dyn System> = systems::ALL
        .iter()
        .copied()
        .filter(|system| flags.system.is_empty() || flags.system.contains(&system.name()))
        .collect();

    let folder = Folder::make()?;
    let canary = Canary::start(&[settings.cores.client, settings.cores.server])?;
    let neighbours = Neighbours::watch();
    let mut rows = Vec::new();
    let mut remarks = Vec::new();
    let mut failures = 0;
    for group in groups(&scenarios) {
        let mut lanes: Vec<Lane> = WORKLOADS
            .iter()
            .filter(|workload| workload.group == group)
            .flat_map(|workload| systems.iter().map(move |system| (workload, *system)))
            .filter(|(workload, system)| system.can(workload))
            .map(|(workload, system)| Lane::start(system, workload, &settings, &folder.0))
            .collect();
        let run = Run {
            rounds: rounds::run(&mut lanes, &settings, &canary),
            lanes,
        };
        for (place, lane) in run.lanes.iter().enumerate() {
            let empty = run.empty_turns(place);
            if empty > 0 {
                remarks.push(format!(
                    "{} had no figure in {empty} rounds of {}: too little happened",
                    lane.system, lane.workload.name
                ));
            }
            if let Some(why) = lane.failure() {
                failures += 1;
                remarks.push(format!(
                    "{} failed in {}: {why}",
                    lane.system, lane.workload.name
                ));
            }
            if let Some(share) = lane.idle_share().filter(|share| *share > IDLE_SHARE_MAX) {
                remarks.push(format!(
                    "{} used {:.1} % of a core in {} while others had their turn",
                    lane.system,
                    share * 100.0,
                    lane.workload.name
                ));
            }
        }
        let of_group = scenarios
            .iter()
            .filter(|scenario| scenario.workload().group == group);
        rows.extend(of_group.map(|scenario| Row::read(scenario, &run)));
    }

    for row in rows.iter().filter(|row| row.rounds() < settings.rounds) {
        remarks.push(format!(
            "only {} of {} rounds of {} count: the machine stalled in the others; run it again",
            row.rounds(),
            settings.rounds,
            row.scenario.name
        ));
    }
    remarks.extend(neighbours.as_ref().and_then(neighbours::remark));

    let out = flags
        .out
        .clone()
        .unwrap_or_else(|| report::default_out("sockets.json"));
    report::write_json(&out, &report::figures_json(&rows))?;
    report::write_json(&beside(&out), &report::details_json(&rows))?;

    let missed = print(&rows, &systems, &settings, &canary, &remarks, &out)?;
    let lost: u64 = rows.iter().map(Row::lost).sum();
    Ok(
        if flags.strict && (missed > 0 || failures > 0 || lost > 0) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        },
    )
}

/// The report on standard output; how many bars were missed.
fn print(
    rows: &[Row],
    systems: &[&'static dyn System],
    settings: &Settings,
    canary: &Canary,
    remarks: &[String],
    out: &Path,
) -> Result<usize> {
    let names: Vec<&str> = systems.iter().map(|system| system.name()).collect();
    let (bars, missed) = report::bars_table(rows);
    let mut text = io::stdout().lock();
    writeln!(
        text,
        "{} ms a turn, systems in turn within each round; client on core {}, server on core {}{}\n",
        settings.slice.as_millis(),
        settings.cores.client,
        settings.cores.server,
        if settings.free {
            " (throughput scenarios not pinned)"
        } else {
            ""
        }
    )?;
    writeln!(text, "{}", report::figures_table(rows, &names))?;
    writeln!(text, "{}", report::ratios_table(rows, &names))?;
    writeln!(text, "{bars}")?;
    writeln!(
        text,
        "left out: rounds in which a canary thread slept {} ms too long (worst of this run: {:.1} ms)",
        STALL.as_millis(),
        canary.longest().as_secs_f64() * 1e3
    )?;
    writeln!(
        text,
        "pipelined: all systems in the same loop, {}",
        match settings.refill {
            Refill::Each => "one is sent for each that comes (--refill drained is the other habit)",
            Refill::Drained => "the window is filled once all that are there have been taken",
        }
    )?;
    let mut known_as = Vec::new();
    for row in rows {
        let raw = row.scenario.raw;
        if !known_as.contains(&raw) {
            known_as.push(raw);
            let alike = rows.iter().filter(|other| other.scenario.raw == raw);
            let names: Vec<&str> = alike.map(|row| row.scenario.name).collect();
            writeln!(text, "raw is {raw}: {}", names.join(", "))?;
        }
    }
    for note in systems.iter().flat_map(|system| system.notes()) {
        writeln!(text, "{note}")?;
    }
    for remark in remarks {
        writeln!(text, "attention: {remark}")?;
    }
    writeln!(text, "written: {}", out.display())?;
    Ok(missed)
}

/// The groups that these scenarios need, in the order in which they run.
fn groups(scenarios: &[&'static Scenario]) -> Vec<&'static str> {
    let mut groups = Vec::new();
    for scenario in scenarios {
        let group = scenario.workload().group;
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// `sockets.json` -> `sockets-details.json`
fn beside(out: &Path) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}-details.json"))
}

/// A folder for ipc sockets, removed at the end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("bench-sockets-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
