//! `bl-call`: calls the methods of any service from the command line.
//!
//! Flags to configuration to run; the rooms are in `call/`.

mod call;

use std::process::ExitCode;

fn main() -> ExitCode {
    let filter = env_logger::Env::default().default_filter_or("error");
    env_logger::Builder::from_env(filter).init();
    call::run(call::Flags::read())
}
