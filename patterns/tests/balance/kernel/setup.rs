//! What a world is made of: who calls, what calls cost, and what is written down.

use std::ops::Range;

use brokerless_patterns::balance::{Nanos, Random};

use super::Latencies;

/// When calls are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Arrivals {
    /// At random times, so many a second.
    Poisson { per_s: f64 },
    /// So many at a time, each this long after the one before it was answered.
    Closed { threads: usize, rest: Nanos },
}

/// Where each call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replicas {
    All,
    /// To so many servers that follow one another, from one by chance.
    InARow(usize),
    /// To three by chance.
    AnyThree,
}

/// Where calls come from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The callers that they come to, each as likely.
    pub(crate) callers: Range<usize>,
    pub(crate) arrivals: Arrivals,
    /// A call that takes longer has failed.
    pub(crate) deadline: Option<Nanos>,
    pub(crate) replicas: Replicas,
    /// None is due after this.
    pub(crate) until: Nanos,
}

/// What a call costs, in nanoseconds at the usual speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cost {
    Exponential {
        mean: f64,
    },
    /// Never below nothing.
    Normal {
        mean: f64,
        sigma: f64,
    },
}

impl Cost {
    pub(super) fn draw(self, random: &mut Random) -> f64 {
        match self {
            Cost::Exponential { mean } => mean * exponential(random),
            Cost::Normal { mean, sigma } => {
                let (one, other) = (exponential(random), random.unit());
                let normal = (2.0 * one).sqrt() * (std::f64::consts::TAU * other).cos();
                (mean + sigma * normal).max(0.0)
            }
        }
    }
}

/// Of mean 1.
pub(super) fn exponential(random: &mut Random) -> f64 {
    -(1.0 - random.unit()).ln()
}

/// A call that has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ended {
    pub(crate) born: Nanos,
    pub(crate) took: Nanos,
    pub(crate) caller: usize,
    /// The one that it was sent to, if it was.
    pub(crate) server: Option<usize>,
    pub(crate) fine: bool,
}

/// What is written down: of the calls that are due within a stretch.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) from: Nanos,
    pub(crate) until: Nanos,
    /// Of those that ended well.
    pub(crate) latencies: Latencies,
    /// Of all; one that failed took as long as it did.
    pub(crate) all: Latencies,
    pub(crate) failed: u64,
    /// Calls by server.
    pub(crate) hits: Vec<u64>,
    /// Every call, if asked for.
    pub(crate) calls: Option<Vec<Ended>>,
    /// A number that is another if anything went another way.
    pub(crate) digest: u64,
    /// Of so many runs.
    pub(crate) runs: u64,
}

impl Log {
    pub(super) fn new(servers: usize) -> Log {
        Log {
            from: 0,
            until: Nanos::MAX,
            latencies: Latencies::default(),
            all: Latencies::default(),
            failed: 0,
            hits: vec![0; servers],
            calls: None,
            digest: 0,
            runs: 1,
        }
    }

    pub(super) fn add(&mut self, ended: Ended) {
        let server = ended.server.map_or(u64::MAX, |server| server as u64);
        for number in [ended.born, ended.took, server, u64::from(ended.fine)] {
            self.digest = (self.digest.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        if !(self.from..self.until).contains(&ended.born) {
            return;
        }
        self.all.add(ended.took);
        if ended.fine {
            self.latencies.add(ended.took);
        } else {
            self.failed += 1;
        }
        if let Some(hits) = ended.server.and_then(|server| self.hits.get_mut(server)) {
            *hits += 1;
        }
        if let Some(calls) = &mut self.calls {
            calls.push(ended);
        }
    }

    /// Together with another run of the same.
    pub(crate) fn merge(&mut self, other: &Log) {
        self.latencies.merge(&other.latencies);
        self.all.merge(&other.all);
        self.failed += other.failed;
        self.runs += other.runs;
        for (mine, theirs) in self.hits.iter_mut().zip(&other.hits) {
            *mine += theirs;
        }
        if let (Some(mine), Some(theirs)) = (&mut self.calls, &other.calls) {
            mine.extend_from_slice(theirs);
        }
        self.digest = self.digest.rotate_left(1) ^ other.digest;
    }

    /// The share of calls that took no longer than this, and ended well.
    pub(crate) fn within(&self, nanos: Nanos) -> f64 {
        self.latencies.up_to(nanos) as f64 / self.all.count().max(1) as f64
    }

    /// The share that failed.
    pub(crate) fn errors(&self) -> f64 {
        self.failed as f64 / self.all.count().max(1) as f64
    }
}
