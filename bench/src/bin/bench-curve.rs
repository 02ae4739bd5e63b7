//! Latency of calls under load, up to what each system can carry.

use std::process::ExitCode;

fn main() -> ExitCode {
    brokerless_bench::curve::main()
}
