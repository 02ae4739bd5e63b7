//! Three workers that sleep for 10, 20 and 30 ms, and 50 threads that call them one call after the
//! other: a demo that people repeat. What is measured is how many calls are answered a second.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use brokerless_patterns::balance::Policy;

use super::worker::{self, Pace, Worker};

const SLEEPS_MS: [u64; 3] = [10, 20, 30];
const THREADS: usize = 50;
const WARM: Duration = Duration::from_millis(500);
const RUN: Duration = Duration::from_secs(3);

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Turnover {
    pub(super) per_s: f64,
    pub(super) mean_us: f64,
    pub(super) failed: u64,
    pub(super) credit: u64,
    /// Calls to each worker.
    pub(super) sent: Vec<u64>,
}

/// `stopped`: the slowest worker is stopped half-way.
pub(super) fn run(policy: &Policy, stopped: bool) -> Result<Turnover> {
    let workers = SLEEPS_MS.iter().enumerate().map(|(number, ms)| {
        let pace = Pace {
            mean_us: ms * 1000,
            spread_us: 0,
        };
        Worker::start(number, pace)
    });
    let workers: Vec<Worker> = workers.collect::<Result<_>>()?;
    let naps = worker::client_of(&workers, policy)?;
    let client = naps.client();

    let total = Mutex::new((0u64, Duration::ZERO, 0u64));
    let warm = Instant::now() + WARM;
    let end = warm + RUN;
    let mut turnover = Turnover::default();
    thread::scope(|scope| -> Result<()> {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let (mut answered, mut took, mut failed) = (0, Duration::ZERO, 0);
                loop {
                    let begun = Instant::now();
                    if begun >= end {
                        break;
                    }
                    let answer = naps.nap();
                    match answer {
                        Ok(()) if begun >= warm => {
                            answered += 1;
                            took += begun.elapsed();
                        }
                        Ok(()) => {}
                        Err(_) => failed += 1,
                    }
                }
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                *total = (total.0 + answered, total.1 + took, total.2 + failed);
            });
        }
        if stopped {
            // Not a wait for anything: the run's own clock.
            thread::sleep((warm + RUN / 2).saturating_duration_since(Instant::now()));
            workers[2].stop()?;
            let last = client.stats().nodes.pop().context("the last node")?;
            turnover.credit = last.credit_calls.into();
        }
        Ok(())
    })?;
    let (answered, took, failed) = *total.lock().unwrap_or_else(PoisonError::into_inner);
    turnover.per_s = answered as f64 / RUN.as_secs_f64();
    turnover.mean_us = took.as_secs_f64() * 1e6 / answered.max(1) as f64;
    turnover.failed = failed;
    turnover.sent = client.stats().nodes.iter().map(|node| node.sent).collect();
    Ok(turnover)
}
