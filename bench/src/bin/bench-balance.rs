//! Policies over real processes.

use std::process::ExitCode;

fn main() -> ExitCode {
    brokerless_bench::balance::main()
}
