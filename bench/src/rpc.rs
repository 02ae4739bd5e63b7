//! The command `bench-rpc`: calls.

use std::process::ExitCode;

use clap::Parser;

use crate::harness::calls::{BARS, SCENARIOS, WORKLOADS};
use crate::harness::command::{Flags, Suite};
use crate::harness::roles::Role;
use crate::systems;

static SUITE: Suite = Suite {
    name: "bench-rpc",
    out: "rpc.json",
    systems: systems::CALLS,
    workloads: &WORKLOADS,
    scenarios: &SCENARIOS,
    bars: &BARS,
};

#[derive(Debug, Parser)]
#[command(
    name = "bench-rpc",
    about = "Calls, beside a raw echo of the same bytes, tonic, tarpc and bare libzmq in one run",
    after_help = "\
Examples:
  bench-rpc                                         all scenarios, all systems
  bench-rpc --scenario unary_p50_us --rounds 31
  bench-rpc --scenario payload_1MiB_MB_per_s --system brokerless --system tonic
  bench-rpc --strict                                exit code 1 where a bar is missed

Systems: raw  brokerless  by-hand  in-turn  tonic  tonic-1m  tarpc  libzmq
  by-hand: tasks begun one by one, for scatter_100; in-turn: with the policy round-robin

Scenarios:
  unary_p50_us  unary_p99_us  unary_same_core_p50_us  unary_pooled_p50_us
  unary_named_pool_p50_us  unary_threads_64_per_s  pipelined_256_per_s
  payload_64KiB_per_s  payload_1MiB_MB_per_s  inproc_unary_p50_us
  slow_neighbour_p99_us  slow_neighbours_3_p99_us  stream_items_per_s
  stream_64KiB_MB_per_s  bidi_ping_pong_p50_us  scatter_100_p50_us

The JSON holds the scenarios of this run only; <out>-details.json has the figures of each round."
)]
struct Command {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    flags: Flags,
}

/// Runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let command = Command::parse();
    let done = match &command.role {
        Some(role) => role.play().map(|()| ExitCode::SUCCESS),
        None => SUITE.run(&command.flags),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{}: {error:#}", SUITE.name);
        ExitCode::from(2)
    })
}
