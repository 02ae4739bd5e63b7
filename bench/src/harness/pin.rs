//! Cores: which there are, and keeping a process or thread on one.
//!
//! A child process pins itself first of all, so that every thread which a library starts in it inherits the core.

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One core for each side of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) client: usize,
    pub(crate) server: usize,
}

impl Cores {
    /// The first and the last core that this process may use.
    ///
    /// # Errors
    ///
    /// When it may use one core only: the placement "a core each" cannot be had.
    pub(crate) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("reading the allowed cores")?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .collect();
        match cores[..] {
            [client, .., server] => Ok(Self { client, server }),
            _ => bail!(
                "{} core allowed, 2 needed: client and server are measured on a core each",
                cores.len()
            ),
        }
    }
}

/// Keeps the calling thread, and the threads it starts from now on, on one core.
pub(crate) fn to_core(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("pinning to core {core}"))
}
