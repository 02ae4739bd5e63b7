//! What a program does that runs until it is told to end: its log, its man page, its lines, its exit
//! code.
//!
//! Lines and log go by a [`Printer`] each, so that whoever does not read them stops nothing.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::printer::Printer;

/// How long the end waits for whoever reads what was printed.
const READ_MAX: Duration = Duration::from_secs(2);

/// Standard output, from when the program runs.
static OUT: OnceLock<Printer> = OnceLock::new();

/// Runs it, and says why it failed.
pub(crate) fn run(program: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    let started = Printer::start("bl-out", io::stdout())
        .and_then(|out| Ok((out, Printer::start("bl-log", io::stderr())?)));
    let (out, log) = match started {
        Ok(printers) => printers,
        Err(error) => {
            // With standard error gone, the exit code still tells.
            let _ = writeln!(io::stderr(), "error: the system gave no thread: {error}");
            return ExitCode::FAILURE;
        }
    };
    let filter = env_logger::Env::default().default_filter_or("warn");
    let mut logger = env_logger::Builder::from_env(filter);
    // A terminal has its colours, and somebody before it.
    if !io::stderr().is_terminal() {
        logger.target(env_logger::Target::Pipe(Box::new(log.clone())));
    }
    logger.init();
    let out = OUT.get_or_init(|| out);
    let code = match program() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log.print(format!("error: {failure}\n"));
            ExitCode::from(failure.code)
        }
    };
    let end = Instant::now() + READ_MAX;
    for printer in [out, &log] {
        // What is not read by then is lost: the program is to end.
        printer.flush(end.saturating_duration_since(Instant::now()));
    }
    code
}

/// Prints the man page of this command line.
pub(crate) fn man_page(command: clap::Command) -> Result<(), Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .and_then(|()| io::stdout().write_all(&page))
        .map_err(|error| Failure::run(format!("cannot print: {error}")))
}

/// Prints whole lines at once, soon, and waits for nobody who reads them.
pub(crate) fn print(text: &str) {
    if let Some(out) = OUT.get() {
        out.print(text);
    }
}

/// Prints a line for each thing that has come, gone or changed.
pub(crate) fn print_each(changes: &[impl Display]) {
    let lines: Vec<String> = changes.iter().map(|one| format!("{one}\n")).collect();
    print(&lines.concat());
}
