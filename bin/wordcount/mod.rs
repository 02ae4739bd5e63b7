//! Counting words over processes: text is cut into tasks, the tasks go by weight to workers, the
//! answers are gathered into one table.
//!
//! ```text
//! text --tasks--> demo --WordCountClient--> worker (Server), a process each
//!            board + ^                        |
//!                    +-------- counts --------+
//! ```
//!
//! | room | what |
//! |---|---|
//! | `args` | the command line |
//! | `text` | finds files that are text, cuts them into tasks |
//! | `words` | what a word is; the table of counts |
//! | `heart` | what a worker serves; how tasks are scattered over workers |
//! | `board` | who has done how much, and how fast |
//! | `crew` | the worker processes |
//! | `worker` | what runs in one of them |
//! | `minder` | sees to the workers, and shows how far it is |
//! | `demo` | all of it together, and the check |
//! | `progress`, `report` | what a user sees while it runs, and at the end |

mod args;
mod board;
mod crew;
mod demo;
#[path = "../common/failure.rs"]
mod failure;
mod heart;
mod minder;
mod progress;
mod report;
#[path = "../common/size.rs"]
mod size;
mod text;
mod words;
mod worker;

pub(crate) use args::Cli;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use args::Command;
use failure::Failure;

/// The exit code of what was interrupted: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// Whether the user wants an end.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Set by Ctrl-C, SIGTERM and SIGHUP; the second time the program leaves at once, and its
    /// workers with it.
    fn on_signals() -> Result<Self, Failure> {
        let stop = Stop::default();
        let flag = stop.0.clone();
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED.into());
            }
        })
        .map_err(|error| Failure::run(format!("cannot take signals: {error}")))?;
        Ok(stop)
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs what the command line says.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Demo(args) => demo(&args),
        Command::Count(args) => count(&args),
        Command::Worker(args) => worker::run(&args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|failure| {
        // With standard error gone, the exit code still tells.
        let _ = writeln!(io::stderr(), "error: {failure}");
        ExitCode::from(failure.code)
    })
}

fn demo(args: &args::DemoArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let report = demo::run(args, &stop)?;
    print(&report, args.json)?;
    Ok(ExitCode::from(report.exit_code()))
}

fn count(args: &args::CountArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let counted = report::Counted::run(args, &stop)?;
    print(&counted, args.json)?;
    Ok(ExitCode::from(if counted.interrupted {
        INTERRUPTED
    } else {
        0
    }))
}

fn print(result: &(impl serde::Serialize + fmt::Display), json: bool) -> Result<(), Failure> {
    let failed = |error: &dyn fmt::Display| Failure::run(format!("cannot print: {error}"));
    let text = if json {
        serde_json::to_string_pretty(result).map_err(|error| failed(&error))? + "\n"
    } else {
        result.to_string()
    };
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes());
    written
        .and_then(|()| out.flush())
        .map_err(|error| failed(&error))
}
