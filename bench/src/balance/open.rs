//! A slow server comes and goes: eleven workers, calls in open loop, one of them slow for half of the
//! time. What is measured is the share that is answered within a limit.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use brokerless::client::Together;
use brokerless_patterns::balance::{Policy, Random};

use super::worker::{self, Pace, Worker};

const WORKERS: usize = 11;
/// A tenth of the published times, and ten times the rate.
const USUAL: Pace = Pace {
    mean_us: 16_700,
    spread_us: 500,
};
const SLOW: Pace = Pace {
    mean_us: 200_000,
    spread_us: 0,
};
const RATE_PER_S: f64 = 10_000.0;
const RUN: Duration = Duration::from_secs(6);
/// Answered within this counts.
const LIMIT: Duration = Duration::from_millis(100);

/// What the first worker does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trouble {
    /// It is slow from a quarter of the time to three quarters.
    Slow,
    /// It is stopped half-way, and does not come back.
    Stopped,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shares {
    pub(super) calls: u64,
    pub(super) in_time: u64,
    pub(super) failed: u64,
    /// Calls that the stopped worker had let this client have in flight.
    pub(super) credit: u64,
    /// The generator's own lateness at its worst.
    pub(super) late: Duration,
}

impl Shares {
    /// In percent.
    pub(super) fn in_time(&self) -> f64 {
        100.0 * self.in_time as f64 / self.calls.max(1) as f64
    }
}

pub(super) fn run(policy: &Policy, trouble: Trouble, seed: u64) -> Result<Shares> {
    let workers = (0..WORKERS).map(|number| Worker::start(number, USUAL));
    let mut workers: Vec<Worker> = workers.collect::<Result<_>>()?;
    let naps = worker::client_of(&workers, policy)?;
    let client = naps.client();

    let mut random = Random::new(seed);
    let mut gap = || Duration::from_secs_f64(-(1.0 - random.unit()).ln() / RATE_PER_S);
    let mut shares = Shares::default();
    let mut calls = Together::new();
    let start = Instant::now();
    let end = start + RUN;
    let mut due = start + gap();
    let mut turns = match trouble {
        Trouble::Slow => vec![(start + RUN * 3 / 4, USUAL), (start + RUN / 4, SLOW)],
        Trouble::Stopped => vec![(start + RUN / 2, USUAL)],
    };
    loop {
        let now = Instant::now();
        if turns.last().is_some_and(|(at, _)| *at <= now) {
            let (_, pace) = turns.pop().context("a turn")?;
            match trouble {
                Trouble::Slow => workers[0].pace(pace)?,
                Trouble::Stopped => {
                    workers[0].stop()?;
                    let first = client.stats().nodes.into_iter().next();
                    shares.credit = first.context("the first node")?.credit_calls.into();
                }
            }
        }
        while due <= now && due < end {
            shares.late = shares.late.max(now - due);
            calls.put(due, naps.begin().nap()?);
            shares.calls += 1;
            due += gap();
        }
        if due >= end && calls.is_empty() {
            return Ok(shares);
        }
        let mut wait = if due < end {
            due.saturating_duration_since(now)
        } else {
            worker::TIMEOUT
        };
        while let Some((due, answer)) = calls.wait_any_timeout(wait) {
            wait = Duration::ZERO;
            match answer {
                Ok(()) if due.elapsed() <= LIMIT => shares.in_time += 1,
                Ok(()) => {}
                Err(_) => shares.failed += 1,
            }
        }
    }
}
