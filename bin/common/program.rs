//! What a program does that runs until it is told to end: its log, its man page, its lines, its exit
//! code.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use super::failure::Failure;

/// Runs it, and says why it failed.
pub(crate) fn run(program: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    let filter = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(filter).init();
    match program() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With standard error gone, the exit code still tells.
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Prints the man page of this command line.
pub(crate) fn man_page(command: clap::Command) -> Result<(), Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .and_then(|()| io::stdout().write_all(&page))
        .map_err(|error| Failure::run(format!("cannot print: {error}")))
}

/// Prints whole lines at once. Nobody reads them any more: that is no reason to end.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        log::debug!("standard output has gone: {error}");
    }
}

/// Prints a line for each thing that has come, gone or changed.
pub(crate) fn print_each(changes: &[impl Display]) {
    let lines: Vec<String> = changes.iter().map(|one| format!("{one}\n")).collect();
    print(&lines.concat());
}
