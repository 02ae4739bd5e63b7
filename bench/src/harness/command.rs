//! What the commands have in common: flags, one run, its report.
//!
//! The parent starts a server and a client process a system, all of this same binary, gives each its turn, and reports.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::canary::{Canary, STALL};
use super::neighbours::{self, Neighbours};
use super::pin::Cores;
use super::report::{self, Row, Run};
use super::rounds::{self, Lane, Settings};
use super::scenario::{Bar, Scenario, Workload};
use super::slice::Refill;
use crate::systems::System;

/// A process that waits should use less of a core than this.
const IDLE_SHARE_MAX: f64 = 0.01;

/// What a command measures.
pub(crate) struct Suite {
    /// The command.
    pub(crate) name: &'static str,
    /// The name of its file.
    pub(crate) out: &'static str,
    pub(crate) systems: &'static [&'static dyn System],
    pub(crate) workloads: &'static [Workload],
    pub(crate) scenarios: &'static [Scenario],
    pub(crate) bars: &'static [Bar],
}

#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Run only this scenario (repeatable)
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Run only this system (repeatable)
    #[arg(long, value_name = "NAME")]
    system: Vec<String>,
    /// Rounds that must count
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// Length of a system's turn, an eighth of it for warming up
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(20..=500))]
    slice_ms: u64,
    /// Where the JSON goes [default: in <workspace>/target/bench]
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

impl Suite {
    /// Measures and reports.
    pub(crate) fn run(&self, flags: &Flags) -> Result<ExitCode> {
        let settings = Settings {
            rounds: usize::from(flags.rounds),
            slice: Duration::from_millis(flags.slice_ms),
            cores: Cores::choose()?,
            free: flags.free,
            refill: flags.refill,
        };
        let scenarios = self.chosen_scenarios(flags)?;
        let systems = chosen_systems(self.systems, &flags.system)?;

        let folder = Folder::make(self.name)?;
        let canary = Canary::start(&[settings.cores.client, settings.cores.server])?;
        let neighbours = Neighbours::watch();
        let mut rows = Vec::new();
        let mut remarks = Vec::new();
        let mut failures = 0;
        for group in groups(&scenarios) {
            let mut lanes: Vec<Lane> = self
                .workloads
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
            failures += remark(&run, &mut remarks);
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
            .unwrap_or_else(|| report::default_out(self.out));
        report::write_json(&out, &report::figures_json(&rows))?;
        report::write_json(&beside(&out), &report::details_json(&rows))?;

        let missed = self.print(&rows, &systems, &settings, &canary, &remarks, &out)?;
        let lost: u64 = rows.iter().map(Row::lost).sum();
        Ok(
            if flags.strict && (missed > 0 || failures > 0 || lost > 0) {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            },
        )
    }

    fn chosen_scenarios(&self, flags: &Flags) -> Result<Vec<&'static Scenario>> {
        let known = |name: &String| self.scenarios.iter().any(|one| one.name == *name);
        if let Some(unknown) = flags.scenario.iter().find(|name| !known(name)) {
            bail!("no scenario {unknown}; --help lists them");
        }
        let wanted = |scenario: &&Scenario| {
            flags.scenario.is_empty() || flags.scenario.iter().any(|name| name == scenario.name)
        };
        Ok(self.scenarios.iter().filter(wanted).collect())
    }

    /// The report on standard output; how many bars were missed.
    fn print(
        &self,
        rows: &[Row],
        systems: &[&'static dyn System],
        settings: &Settings,
        canary: &Canary,
        remarks: &[String],
        out: &Path,
    ) -> Result<usize> {
        let names: Vec<&str> = systems.iter().map(|system| system.name()).collect();
        let (bars, missed) = report::bars_table(self.bars, rows);
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
                Refill::Each =>
                    "one is sent for each that comes (--refill drained is the other habit)",
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
        // Systems that are one program in several ways share theirs.
        let mut said = Vec::new();
        for note in systems.iter().flat_map(|system| system.notes()) {
            if !said.contains(&note) {
                said.push(note);
                writeln!(text, "{note}")?;
            }
        }
        for remark in remarks {
            writeln!(text, "attention: {remark}")?;
        }
        writeln!(text, "written: {}", out.display())?;
        Ok(missed)
    }
}

/// Those of `systems` that a user named; all, if none.
pub(crate) fn chosen_systems(
    systems: &'static [&'static dyn System],
    named: &[String],
) -> Result<Vec<&'static dyn System>> {
    let known = |name: &String| systems.iter().any(|system| system.name() == *name);
    if let Some(unknown) = named.iter().find(|name| !known(name)) {
        let names: Vec<_> = systems.iter().map(|system| system.name()).collect();
        bail!("{unknown} is not built in; there are {}", names.join(", "));
    }
    let wanted = |name: &str| named.is_empty() || named.iter().any(|one| one == name);
    let chosen = systems.iter().filter(|system| wanted(system.name()));
    Ok(chosen.copied().collect())
}

/// What a reader should know of a group that has run; how many of its systems failed.
fn remark(run: &Run, remarks: &mut Vec<String>) -> usize {
    let mut failures = 0;
    for (place, lane) in run.lanes.iter().enumerate() {
        let (system, workload) = (lane.system, lane.workload.name);
        let empty = run.empty_turns(place);
        if empty > 0 {
            remarks.push(format!(
                "{system} had no figure in {empty} rounds of {workload}: too little happened"
            ));
        }
        if let Some(why) = lane.failure() {
            failures += 1;
            remarks.push(format!("{system} failed in {workload}: {why}"));
        }
        if let Some(share) = lane.idle_share().filter(|share| *share > IDLE_SHARE_MAX) {
            remarks.push(format!(
                "{system} used {:.1} % of a core in {workload} while others had their turn",
                share * 100.0
            ));
        }
    }
    failures
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
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn make(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
