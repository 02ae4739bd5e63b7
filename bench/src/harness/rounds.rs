//! Systems interleaved slice by slice, round by round.
//!
//! All processes of a group run at once; all but the one whose turn it is block. What the others use of a core meanwhile is
//! measured, since it would be paid by their neighbours.
//!
//! # Invariants
//!
//! 1. The order of turns is another one in each round, and everybody is first equally often. (test
//!    `each_lane_is_first_in_turn`)

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use super::canary::Canary;
use super::open::{Latencies, Schedule};
use super::pin::Cores;
use super::process::Process;
use super::scenario::{Load, Placement, Transport, Workload};
use super::slice::{Outcome, Plan, Question, Refill};
use crate::systems::System;

const START_WITHIN: Duration = Duration::from_secs(15);
/// How long a slice may drain before its system counts as hung.
const DRAIN_WITHIN: Duration = Duration::from_secs(15);

/// How to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) slice: Duration,
    pub(crate) cores: Cores,
    /// Throughput workloads are not pinned.
    pub(crate) free: bool,
    pub(crate) refill: Refill,
}

/// One system under one workload.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) system: &'static str,
    pub(crate) workload: &'static Workload,
    /// `None` once it has failed, and then why.
    processes: Result<Processes, String>,
    idle: Idle,
}

/// The server is first to be dropped: it would otherwise complain of a client that leaves.
#[derive(Debug)]
struct Processes {
    server: Option<Process>,
    client: Process,
    /// Another client, at work whenever the first is.
    neighbour: Option<Process>,
    endpoint: String,
}

#[derive(Debug, Default)]
struct Idle {
    used: Duration,
    of: Duration,
}

/// What a round came to, lane by lane.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) stalled: bool,
    pub(crate) outcomes: Vec<Option<Outcome>>,
}

impl Lane {
    /// Starts its processes. A failure stays in the lane, so that the others can run.
    pub(crate) fn start(
        system: &dyn System,
        workload: &'static Workload,
        settings: &Settings,
        folder: &Path,
    ) -> Self {
        Self {
            system: system.name(),
            workload,
            processes: Processes::start(system, workload, settings, folder)
                .map_err(|error| format!("{error:#}")),
            idle: Idle::default(),
        }
    }

    /// Why it has no figures.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.processes.as_ref().err().map(String::as_str)
    }

    /// The share of a core that its processes used while others had their turn.
    pub(crate) fn idle_share(&self) -> Option<f64> {
        (!self.idle.of.is_zero()).then(|| self.idle.used.as_secs_f64() / self.idle.of.as_secs_f64())
    }

    /// Starts to measure that share anew.
    #[cfg_attr(not(feature = "brokerless"), allow(dead_code))]
    pub(crate) fn forget_idle(&mut self) {
        self.idle = Idle::default();
    }

    /// Its server, if it has one.
    #[cfg_attr(not(feature = "brokerless"), allow(dead_code))]
    pub(crate) fn server(&self) -> Option<&Process> {
        self.processes.as_ref().ok()?.server.as_ref()
    }

    /// The address that its server listens on.
    #[cfg_attr(not(feature = "brokerless"), allow(dead_code))]
    pub(crate) fn endpoint(&self) -> Option<&str> {
        let processes = self.processes.as_ref().ok()?;
        Some(processes.endpoint.as_str())
    }

    /// A slice in open loop.
    pub(crate) fn open(&mut self, schedule: &Schedule) -> Option<Latencies> {
        let processes = self.processes.as_mut().ok()?;
        let within = schedule.plan.warm_up + schedule.plan.measure + DRAIN_WITHIN;
        match ask(&mut processes.client, &Question::Open(*schedule), within) {
            Ok(latencies) => Some(latencies),
            Err(error) => {
                self.processes = Err(format!("{error:#}"));
                None
            }
        }
    }

    pub(crate) fn slice(&mut self, plan: &Plan) -> Option<Outcome> {
        let processes = self.processes.as_mut().ok()?;
        match processes.slice(plan) {
            Ok(outcome) => Some(outcome),
            Err(error) => {
                self.processes = Err(format!("{error:#}"));
                None
            }
        }
    }

    fn cpu_time(&self) -> Option<Duration> {
        self.processes.as_ref().ok()?.cpu_time().ok()
    }
}

impl Processes {
    fn start(
        system: &dyn System,
        workload: &'static Workload,
        settings: &Settings,
        folder: &Path,
    ) -> Result<Self> {
        let pinned = !settings.free || workload.is_latency();
        let server_core = match workload.placement {
            Placement::Apart => settings.cores.server,
            Placement::Together => settings.cores.client,
        };
        let arguments_of = |workload: &Workload, role: &str, core: usize| {
            let mut arguments: Vec<String> =
                [role, "--system", system.name(), "--workload", workload.name]
                    .map(str::to_owned)
                    .into();
            if pinned {
                arguments.extend(["--core".to_owned(), core.to_string()]);
            }
            arguments
        };
        let arguments = |role: &str, core: usize| arguments_of(workload, role, core);
        let what = |role: &str| format!("{} {role} of {}", system.name(), workload.name);

        let (mut server, mut endpoint) = (None, String::new());
        let mut client_arguments = arguments("drive", settings.cores.client);
        if workload.transport == Transport::Inproc {
            client_arguments.extend(["--server-core".to_owned(), server_core.to_string()]);
        } else {
            let wanted = match workload.transport {
                Transport::Ipc => {
                    let path = folder.join(format!("{}-{}", system.name(), workload.name));
                    format!("ipc://{}", path.display())
                }
                Transport::Tcp | Transport::Inproc => "tcp://127.0.0.1:0".to_owned(),
            };
            let mut server_arguments = arguments("serve", server_core);
            server_arguments.extend(["--endpoint".to_owned(), wanted]);
            let mut process = Process::start(what("server"), server_arguments)?;
            endpoint = process.ready(START_WITHIN)?;
            client_arguments.extend(["--endpoint".to_owned(), endpoint.clone()]);
            server = Some(process);
        }
        let mut client = Process::start(what("client"), client_arguments)?;
        client.ready(START_WITHIN)?;
        let beside = match workload.load {
            Load::Call(calls) => calls.neighbour(),
            _ => None,
        };
        let mut neighbour = None;
        if let Some(beside) = beside {
            let mut arguments = arguments_of(beside, "drive", settings.cores.client);
            arguments.extend(["--endpoint".to_owned(), endpoint.clone()]);
            let process = Process::start(what("neighbour"), arguments)?;
            neighbour.insert(process).ready(START_WITHIN)?;
        }
        Ok(Self {
            server,
            client,
            neighbour,
            endpoint,
        })
    }

    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let within = plan.warm_up + plan.measure + DRAIN_WITHIN;
        let question = Question::Slice(*plan);
        if let Some(neighbour) = &mut self.neighbour {
            neighbour.tell(&serde_json::to_string(&question)?)?;
        }
        let outcome = ask(&mut self.client, &question, within)?;
        if let Some(neighbour) = &mut self.neighbour {
            let beside = serde_json::from_str(&neighbour.line(within)?)?;
            // Without a neighbour at work there is nothing to measure.
            if !matches!(beside, Outcome::Rate { .. }) {
                return Ok(Outcome::Nothing);
            }
        }
        Ok(outcome)
    }

    fn cpu_time(&self) -> Result<Duration> {
        let others = [&self.server, &self.neighbour].into_iter().flatten();
        others
            .map(Process::cpu_time)
            .try_fold(self.client.cpu_time()?, |sum, time| Ok(sum + time?))
    }
}

fn ask<T: DeserializeOwned>(
    client: &mut Process,
    question: &Question,
    within: Duration,
) -> Result<T> {
    let answer = client.ask(&serde_json::to_string(question)?, within)?;
    serde_json::from_str(&answer).with_context(|| format!("the client said {answer:?}"))
}

/// Runs the rounds of one group. Where a latency workload met stalled rounds, others take their place, up to as
/// many again.
pub(crate) fn run(lanes: &mut [Lane], settings: &Settings, canary: &Canary) -> Vec<Round> {
    let latency = lanes.iter().any(|lane| lane.workload.is_latency());
    let group = lanes.first().map_or("", |lane| lane.workload.group);
    let mut rounds: Vec<Round> = Vec::new();
    loop {
        let good = rounds
            .iter()
            .filter(|round| !(latency && round.stalled))
            .count();
        if good >= settings.rounds || rounds.len() >= 2 * settings.rounds {
            progress("");
            return rounds;
        }
        progress(&format!(
            "{group}: round {} of {}",
            good + 1,
            settings.rounds
        ));
        let round = one(lanes, rounds.len(), settings, canary);
        rounds.push(round);
    }
}

fn one(lanes: &mut [Lane], number: usize, settings: &Settings, canary: &Canary) -> Round {
    let stalls_before = canary.stalls();
    let mut outcomes = vec![None; lanes.len()];
    for turn in order(lanes.len(), number) {
        let slice = u32::try_from(number).unwrap_or(u32::MAX);
        let plan = Plan::new(slice, settings.slice, settings.refill);
        let before: Vec<_> = lanes.iter().map(Lane::cpu_time).collect();
        let started = Instant::now();
        outcomes[turn] = lanes[turn].slice(&plan);
        let took = started.elapsed();
        for (other, (lane, before)) in lanes.iter_mut().zip(before).enumerate() {
            if let (true, Some(before), Some(after)) = (other != turn, before, lane.cpu_time()) {
                lane.idle.used += after.saturating_sub(before);
                lane.idle.of += took;
            }
        }
    }
    Round {
        stalled: canary.stalls() > stalls_before,
        outcomes,
    }
}

/// Who has a turn when, in round `number`.
pub(crate) fn order(lanes: usize, number: usize) -> impl Iterator<Item = usize> {
    (0..lanes).map(move |turn| (turn + number) % lanes)
}

/// One line that overwrites itself, for somebody who watches.
pub(crate) fn progress(what: &str) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[2K{what}");
        let _ = err.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_is_first_in_turn() {
        let firsts: Vec<_> = (0..8).filter_map(|round| order(4, round).next()).collect();
        assert_eq!(firsts, [0, 1, 2, 3, 0, 1, 2, 3]);
        for round in 0..4 {
            let mut all: Vec<_> = order(4, round).collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3]);
        }
    }
}
