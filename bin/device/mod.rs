//! What the device programs share: flags and a file to a configuration, then the device runs.
//!
//! | room | what |
//! |---|---|
//! | `flags` | the command line, its help, its man page |
//! | `file` | the configuration file |
//! | `bounds` | what values may be, for both and the help |
//! | `settings` | what both give together |
//! | `lines` | what goes to standard output |
//! | `signals` | the end on a signal |
//! | `../common/` | what the programs share: values as text, the file's text, lines that wait for nobody, the exit code |
//!
//! # Not here
//!
//! The devices themselves: `patterns/src/device/`.

mod bounds;
#[path = "../common/bounds.rs"]
mod bounds_of;
#[path = "../common/config.rs"]
mod config;
#[path = "../common/duration.rs"]
mod duration;
#[path = "../common/failure.rs"]
mod failure;
mod file;
mod flags;
mod lines;
#[path = "../common/printer.rs"]
mod printer;
#[path = "../common/program.rs"]
mod program;
mod settings;
mod signals;
#[path = "../common/size.rs"]
mod size;
#[path = "../common/values.rs"]
mod values;

pub(crate) use flags::Program;

use std::process::ExitCode;
use std::sync::Arc;

use brokerless::patterns::Error as SocketError;
use brokerless::patterns::device::{Error, Handle};

use failure::Failure;
use flags::Flags;
use lines::Ticker;
use settings::Settings;
use signals::Signals;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let of_user = match &error {
            Error::Place { .. } | Error::NoPlace { .. } | Error::Twice { .. } => true,
            Error::Socket { error, .. } => {
                matches!(error, SocketError::Endpoint(_) | SocketError::Option(_))
            }
            _ => false,
        };
        if of_user {
            Failure::usage(error.to_string())
        } else {
            Failure::run(error.to_string())
        }
    }
}

/// Runs the program.
pub(crate) fn run(program: &Program) -> ExitCode {
    program::run(|| {
        let flags = program.flags();
        match flags.man {
            true => program.man_page(),
            false => device(program, flags),
        }
    })
}

fn device(program: &Program, flags: Flags) -> Result<(), Failure> {
    let settings = Settings::read(&flags)?;
    let signals = Signals::take()?;
    let ticker = Arc::new(Ticker::new(settings.stats));
    let reload = {
        let (ticker, before) = (ticker.clone(), settings.clone());
        move |handle: &Handle| reload(&flags, &before, handle, &ticker)
    };
    let mut builder = (program.builder)()
        .places(settings.places.clone())
        .options(settings.options())
        .capture_type(settings.capture_type)
        .linger(settings.linger);
    if settings.is_from_file {
        builder = builder.on_reload(reload);
    }
    let device = builder.build()?;
    let handle = device.handle();
    lines::endpoints(&handle.endpoints());
    signals.end(handle.clone());
    let printer = ticker.start(handle)?;
    let report = device.run();
    ticker.stop();
    if printer.join().is_err() {
        log::error!("the thread that prints ended in a panic");
    }
    lines::report(&report?);
    Ok(())
}

/// Reads the file again, and changes what may change while the device runs.
fn reload(
    flags: &Flags,
    before: &Settings,
    handle: &Handle,
    ticker: &Ticker,
) -> Result<String, String> {
    let settings = Settings::read(flags).map_err(|failure| failure.to_string())?;
    settings.changes_at_run_time(before)?;
    let changes = handle
        .set_places(&settings.places)
        .map_err(|error| error.to_string())?;
    handle.set_linger(settings.linger);
    ticker.set(settings.stats);
    program::print_each(&changes);
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    Ok(changes.join("\n"))
}
