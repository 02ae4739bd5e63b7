//! Calls that come when their time has come, whatever became of those before: the open loop.
//!
//! Times between calls are exponential, from a seed. A call's latency counts from the time at which it was due, so that a
//! system which falls behind pays for the calls that it keeps waiting. At most [`IN_FLIGHT`] are out at once; more wait
//! here, and pay for that too.
//!
//! The loops belong to the systems. They look whether an answer has come or a call is due, and do not sleep in between: a
//! timer's own lateness would be in every figure. So the client's core is always awake here, the server's is not.
//!
//! # Invariants
//!
//! 1. What was due in the warm-up is in no figure. (test `calls_due_in_the_warm_up_are_not_recorded`)
//! 2. A call that was sent late pays from when it was due. (test `a_late_call_pays_from_when_it_was_due`)

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::slice::Plan;

/// Calls in flight at once, at most.
pub(crate) const IN_FLIGHT: usize = 256;

/// When calls are due in one slice.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Schedule {
    pub(crate) plan: Plan,
    /// Calls a second on average. `None`: one is due whenever there is room, which measures the capacity.
    pub(crate) per_s: Option<f64>,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latencies {
    /// Answers a second, within the measured time.
    pub(crate) per_s: f64,
    /// Nanoseconds, and how often.
    pub(crate) counts: Vec<(u64, u64)>,
}

/// An empty histogram of latencies in nanoseconds.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).context("making a histogram")
}

/// One slice, as it runs.
#[derive(Debug)]
pub(crate) struct Open {
    warm: Instant,
    end: Instant,
    measure: Duration,
    next: Instant,
    gap_s: Option<f64>,
    random: u64,
    answered: u64,
    latencies_ns: Histogram<u64>,
}

impl Open {
    pub(crate) fn start(schedule: &Schedule) -> Result<Self> {
        let plan = &schedule.plan;
        let now = Instant::now();
        Ok(Self {
            warm: now + plan.warm_up,
            end: now + plan.warm_up + plan.measure,
            measure: plan.measure,
            next: now,
            gap_s: schedule.per_s.map(f64::recip),
            // Never 0, which a shift register stays at.
            random: schedule.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            answered: 0,
            latencies_ns: histogram()?,
        })
    }

    /// When the next call was due, if its time has come. Each is given once.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        let Some(gap_s) = self.gap_s else {
            return (now < self.end).then_some(now);
        };
        let due = self.next;
        if due > now || due >= self.end {
            return None;
        }
        let gap_s = -gap_s * self.random().ln();
        self.next = due + Duration::from_secs_f64(gap_s);
        Some(due)
    }

    /// Whether no further call will be due.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        match self.gap_s {
            Some(_) => self.next >= self.end,
            None => now >= self.end,
        }
    }

    /// The answer to a call that was due at `due` has come.
    pub(crate) fn answered(&mut self, due: Instant, now: Instant) {
        self.answered += u64::from(now >= self.warm && now < self.end);
        if due >= self.warm {
            let ns = u64::try_from((now - due).as_nanos()).unwrap_or(u64::MAX);
            self.latencies_ns.saturating_record(ns.max(1));
        }
    }

    pub(crate) fn latencies(&self) -> Latencies {
        let recorded = self.latencies_ns.iter_recorded();
        Latencies {
            per_s: self.answered as f64 / self.measure.as_secs_f64(),
            counts: recorded
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        }
    }

    /// In (0, 1]: xorshift64*.
    fn random(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (bits + 1) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::slice::Refill;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn open(per_s: f64, warm_up: Duration, measure: Duration) -> Open {
        let plan = Plan {
            slice: 0,
            warm_up,
            measure,
            refill: Refill::Each,
        };
        let schedule = Schedule {
            plan,
            per_s: Some(per_s),
            seed: 7,
        };
        Open::start(&schedule).expect("a histogram")
    }

    #[test]
    fn as_many_are_due_as_the_rate_says_and_none_after_the_end() {
        let mut open = open(10_000.0, Duration::ZERO, SECOND);
        let after = open.end + SECOND;
        let mut last = None;
        let mut due = 0;
        while let Some(at) = open.due(after) {
            assert!(at < open.end && last <= Some(at), "{due}");
            last = Some(at);
            due += 1;
        }
        assert!((9_600..10_400).contains(&due), "{due}");
        assert!(open.is_over(after));
    }

    #[test]
    fn a_call_is_not_due_before_its_time() {
        let mut open = open(1.0, Duration::ZERO, SECOND * 60);
        let start = open.next;
        assert_eq!(open.due(start), Some(start));
        let next = open.next;
        assert_eq!(open.due(next - Duration::from_nanos(1)), None);
        assert_eq!(open.due(next), Some(next));
    }

    #[test]
    fn calls_due_in_the_warm_up_are_not_recorded() {
        let mut open = open(1.0, SECOND, SECOND);
        let (warm, ms) = (open.warm, Duration::from_millis(1));
        open.answered(warm - ms, warm + ms);
        assert!(open.latencies().counts.is_empty());
        open.answered(warm, warm + ms);
        assert_eq!(open.latencies().counts.len(), 1);
    }

    #[test]
    fn a_late_call_pays_from_when_it_was_due() {
        let mut open = open(1_000.0, Duration::ZERO, SECOND);
        let late = open.next + SECOND;
        let due = open.due(late).expect("a call");
        open.answered(due, late);
        let ns = open.latencies().counts[0].0;
        assert!((999_000_000..1_001_000_000).contains(&ns), "{ns}");
    }

    #[test]
    fn answers_count_as_a_rate_within_the_measured_time_only() {
        let mut open = open(1.0, SECOND, SECOND * 2);
        let (warm, end) = (open.warm, open.end);
        for at in [warm - SECOND, warm, end - SECOND, end] {
            open.answered(warm - SECOND, at);
        }
        assert_eq!(open.latencies().per_s, 1.0);
    }
}
