//! Flags and a file to a configuration, then the proxy runs.
//!
//! | room | what |
//! |---|---|
//! | `flags` | the command line, its help, its man page |
//! | `file` | the configuration file |
//! | `settings` | what both give together |
//! | `running` | the proxy, its reloads, its end |
//! | `control` | commands from other programs |
//! | `lines` | what goes to standard output |
//!
//! # Not here
//!
//! What passes calls on: `src/proxy/`.

mod control;
#[path = "../common/duration.rs"]
mod duration;
#[path = "../common/failure.rs"]
mod failure;
mod file;
mod flags;
mod lines;
mod running;
mod settings;
#[path = "../common/size.rs"]
mod size;

use std::io::{self, Write};
use std::process::ExitCode;

use failure::Failure;

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let filter = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(filter).init();
    let flags = flags::get();
    let done = match flags.man {
        true => flags::man_page(),
        false => running::run(flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With standard error gone, the exit code still tells.
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::from(failure.code)
        }
    }
}
