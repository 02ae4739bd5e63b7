//! Flags and a file to a configuration, then the proxy runs.
//!
//! | room | what |
//! |---|---|
//! | `flags` | the command line, its help, its man page |
//! | `file` | the configuration file |
//! | `policy` | which node gets the next call, in words or as a table |
//! | `bounds` | what values may be, for both and the help |
//! | `settings` | what both give together |
//! | `running` | the proxy, its reloads, its end |
//! | `control` | commands from other programs |
//! | `lines` | what goes to standard output |
//! | `../common/` | what the programs share: values as text, the file's text, lines that wait for nobody, the exit code |
//!
//! # Not here
//!
//! What passes calls on: `src/proxy/`.

mod bounds;
#[path = "../common/bounds.rs"]
mod bounds_of;
#[path = "../common/config.rs"]
mod config;
mod control;
#[path = "../common/duration.rs"]
mod duration;
#[path = "../common/failure.rs"]
mod failure;
mod file;
mod flags;
mod lines;
mod policy;
#[path = "../common/printer.rs"]
mod printer;
#[path = "../common/program.rs"]
mod program;
mod running;
mod settings;
#[path = "../common/size.rs"]
mod size;
#[path = "../common/values.rs"]
mod values;

use std::process::ExitCode;

use failure::Failure;

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    program::run(|| {
        let flags = flags::get();
        match flags.man {
            true => flags::man_page(),
            false => running::run(flags),
        }
    })
}
