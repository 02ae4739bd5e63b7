//! Round trips and throughput of the sockets, beside those of their peers.

use std::process::ExitCode;

fn main() -> ExitCode {
    brokerless_bench::sockets::main()
}
