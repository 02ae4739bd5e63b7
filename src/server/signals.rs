//! The end by a signal: SIGTERM, SIGINT or SIGHUP.
//!
//! A process has one handler. It is installed for the first server that asks, and stops every
//! server that has asked.
//!
//! # Invariants
//!
//! 1. A signal stops every server that asked, and each drains. (test
//!    `a_signal_drains_every_server_that_waits_for_one`)

use parking_lot::Mutex;

use super::{DrainReport, Server, Stopper};
use crate::error::Error;

struct Wanted {
    installed: bool,
    stoppers: Vec<Stopper>,
}

static WANTED: Mutex<Wanted> = Mutex::new(Wanted {
    installed: false,
    stoppers: Vec::new(),
});

impl Server {
    /// Serves until the process is told to end, by SIGTERM, SIGINT or SIGHUP, or until somebody
    /// stops the server; says how it ended. With the feature `signals`.
    ///
    /// The signal begins the drain. Once this returns, `main` should, too.
    ///
    /// # Errors
    ///
    /// If the program has a handler for these signals already, as the package `ctrlc` finds: have
    /// that one call [`Stopper::stop`]. The server serves on.
    ///
    /// # Blocking
    ///
    /// Until then.
    pub fn run_until_signal(&self) -> Result<DrainReport, Error> {
        until_signal(&[self.stopper()])?;
        Ok(self.wait())
    }
}

/// Has these servers stopped when the process is told to end, by SIGTERM, SIGINT or SIGHUP. With
/// the feature `signals`.
///
/// # Errors
///
/// If the program has a handler for these signals already. Nothing has changed.
///
/// # Blocking
///
/// Never: wait for the servers with [`Server::wait`].
pub fn until_signal(stoppers: &[Stopper]) -> Result<(), Error> {
    let mut wanted = WANTED.lock();
    if !wanted.installed {
        ctrlc::set_handler(stop_all).map_err(|error| match error {
            ctrlc::Error::System(error) => Error::Signals(error),
            other => Error::Signals(std::io::Error::other(other.to_string())),
        })?;
        wanted.installed = true;
    }
    // Those that have gone are of no use any more.
    wanted.stoppers.retain(Stopper::is_alive);
    wanted.stoppers.extend_from_slice(stoppers);
    Ok(())
}

/// Runs on a thread of the handler's own.
fn stop_all() {
    let stoppers = std::mem::take(&mut WANTED.lock().stoppers);
    for stopper in stoppers {
        stopper.stop();
    }
}
