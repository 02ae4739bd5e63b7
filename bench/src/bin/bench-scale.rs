//! One ROUTER with up to 10,000 connected peers.

use std::process::ExitCode;

fn main() -> ExitCode {
    brokerless_bench::scale::main()
}
