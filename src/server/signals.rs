//! The end by a signal: SIGTERM, SIGINT or SIGHUP.
//!
//! A process has one handler. It is installed by the first server that asks for it, and stops
//! every server that has asked.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::{DrainReport, Server, Stopper};

static STOPPERS: Mutex<Vec<Stopper>> = Mutex::new(Vec::new());
static INSTALLED: OnceLock<()> = OnceLock::new();
