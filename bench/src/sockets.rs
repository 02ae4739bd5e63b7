//! The command `bench-sockets`: messages over sockets.

use std::process::ExitCode;

use clap::Parser;

use crate::harness::command::{Flags, Suite};
use crate::harness::roles::Role;
use crate::harness::scenario::{BARS, SCENARIOS, WORKLOADS};
use crate::systems;

static SUITE: Suite = Suite {
    name: "bench-sockets",
    out: "sockets.json",
    systems: systems::SOCKETS,
    workloads: &WORKLOADS,
    scenarios: &SCENARIOS,
    bars: &BARS,
};

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

Systems: raw  brokerless  zeromq  libzmq

Scenarios:
  rtt_64B_p50_us  rtt_64B_p99_us  rtt_64B_same_core_p50_us  pipelined_64B_msgs_per_s
  echo_1MiB_MB_per_s  senders_1_64B_msgs_per_s  senders_16_64B_msgs_per_s
  pushpull_64B_msgs_per_s  pubsub_64B_msgs_per_s  queue_rtt_64B_p50_us
  ipc_rtt_64B_p50_us  inproc_rtt_64B_p50_us

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
