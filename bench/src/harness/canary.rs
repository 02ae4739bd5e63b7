//! Sees the machine stall.
//!
//! One thread on each core sleeps 2 ms at a time. Where a sleep lasts 10 ms longer than that, the core was taken away
//! (by the hypervisor, or by somebody else's load), and the round it happened in says nothing about latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::pin;

const NAP: Duration = Duration::from_millis(2);
/// A gap of this length between two naps is a stall.
pub(crate) const STALL: Duration = Duration::from_millis(10);

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Canary {
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    stop: AtomicBool,
    stalls: AtomicU64,
    longest_us: AtomicU64,
}

impl Canary {
    /// Starts a watcher on each of `cores`.
    pub(crate) fn start(cores: &[usize]) -> Result<Self> {
        let seen = Arc::new(Seen::default());
        let threads = cores
            .iter()
            .map(|core| {
                let (core, seen) = (*core, Arc::clone(&seen));
                thread::Builder::new()
                    .name(format!("canary-{core}"))
                    .spawn(move || {
                        // An unpinned canary still sees a stall of the whole machine.
                        let _ = pin::to_core(core);
                        watch(&seen);
                    })
                    .context("starting a canary thread")
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { seen, threads })
    }

    /// How many stalls there have been so far.
    pub(crate) fn stalls(&self) -> u64 {
        self.seen.stalls.load(Ordering::Relaxed)
    }

    /// The longest gap so far.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.seen.longest_us.load(Ordering::Relaxed))
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn watch(seen: &Seen) {
    let mut last = Instant::now();
    while !seen.stop.load(Ordering::Relaxed) {
        thread::sleep(NAP);
        let now = Instant::now();
        let late = (now - last).saturating_sub(NAP);
        let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        seen.longest_us.fetch_max(late_us, Ordering::Relaxed);
        if late > STALL {
            seen.stalls.fetch_add(1, Ordering::Relaxed);
        }
        last = now;
    }
}
