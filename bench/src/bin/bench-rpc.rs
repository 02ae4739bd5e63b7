//! Calls, beside those of their peers.

use std::process::ExitCode;

fn main() -> ExitCode {
    brokerless_bench::rpc::main()
}
