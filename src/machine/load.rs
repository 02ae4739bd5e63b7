//! How loaded a replier is: what it reports on each answer.
//!
//! In flight: calls admitted and not yet answered. Latency: an exponentially weighted mean of the
//! time from arrival to answer, over about 16 calls; and of the time in the handler, where one that took far
//! longer than the mean, as when the process stood still, counts as sixteen times that: it doubles the mean at
//! most. Utilisation: the share of its workers' time that went into handlers, over about a tenth of a second. Answers a second, and errors among them:
//! over about a second.

use std::time::Duration;

use super::time::{Time, nanos};
pub use crate::values::Load;

/// The stretch over which utilisation is taken.
const STRETCH: u64 = 100_000_000;
const SECOND: u64 = 1_000_000_000;
/// The most that one time in a handler counts for, of the mean so far,
const RUN_TIMES_MOST: u64 = 16;
/// which is taken to be this at least, in nanoseconds: whoever does next to nothing is not held to it.
const RUN_LEAST: u64 = 10_000;

/// What a replier knows of its own load.
#[derive(Debug, Clone)]
pub struct LoadTracker {
    workers: u64,
    in_flight: u32,
    latency: u64,
    run: u64,
    busy: u64,
    stretch_from: Time,
    utilisation: u16,
    /// Answers in this stretch, and errors among them.
    answers: u64,
    errors: u64,
    /// The same a second, in thousandths, smoothed.
    rate: u64,
    error_rate: u64,
}

impl LoadTracker {
    /// For a replier with so many workers.
    pub fn new(workers: usize) -> LoadTracker {
        LoadTracker {
            workers: (workers as u64).max(1),
            in_flight: 0,
            latency: 0,
            run: 0,
            busy: 0,
            stretch_from: Time::ZERO,
            utilisation: 0,
            answers: 0,
            errors: 0,
            rate: 0,
            error_rate: 0,
        }
    }

    /// A call was admitted.
    pub fn arrived(&mut self) {
        self.in_flight += 1;
    }

    /// A call is answered: it had waited for `queued` and run for `ran`. `error`: with one that says
    /// that this replier is not well.
    pub fn finished(&mut self, now: Time, queued: Duration, ran: Duration, error: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answers += 1;
        self.errors += u64::from(error);
        let took = nanos(queued).saturating_add(nanos(ran));
        self.latency = smoothed(self.latency, took);
        let most = match self.run {
            0 => u64::MAX,
            run => run.max(RUN_LEAST).saturating_mul(RUN_TIMES_MOST),
        };
        self.run = smoothed(self.run, nanos(ran).min(most));
        self.busy = self.busy.saturating_add(nanos(ran));
        let stretch = nanos(now.since(self.stretch_from));
        if stretch >= STRETCH {
            let most = stretch.saturating_mul(self.workers);
            let share = u128::from(self.busy) * 1000 / u128::from(most.max(1));
            self.utilisation = share.min(1000) as u16;
            self.busy = 0;
            self.stretch_from = now;
            let part = stretch.min(SECOND);
            let rate = |mean: u64, count: u64| {
                let of_now = u128::from(count) * 1000 * u128::from(SECOND) / u128::from(stretch);
                let mean = u128::from(mean) * u128::from(SECOND - part);
                let sum = mean + of_now * u128::from(part);
                u64::try_from(sum / u128::from(SECOND)).unwrap_or(u64::MAX)
            };
            self.rate = rate(self.rate, self.answers);
            self.error_rate = rate(self.error_rate, self.errors);
            (self.answers, self.errors) = (0, 0);
        }
    }

    /// A call that was admitted is answered without having run.
    pub fn refused(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// The report of now.
    pub fn report(&self) -> Load {
        Load {
            in_flight: self.in_flight,
            latency_us: u32::try_from(self.latency / 1000).unwrap_or(u32::MAX),
            utilisation_permille: self.utilisation,
            per_s: per_s(self.rate),
            errors_per_s: per_s(self.error_rate),
            // What takes less than a microsecond is said, too.
            run_us: u32::try_from(self.run.div_ceil(1000)).unwrap_or(u32::MAX),
            workers: u16::try_from(self.workers).unwrap_or(u16::MAX),
        }
    }
}

/// From thousandths: the nearest.
fn per_s(rate: u64) -> u32 {
    u32::try_from(rate.saturating_add(500) / 1000).unwrap_or(u32::MAX)
}

/// An exponentially weighted mean over about 16 values; the first one counts in full.
pub(crate) fn smoothed(mean: u64, value: u64) -> u64 {
    if mean == 0 {
        return value;
    }
    let change = (i128::from(value) - i128::from(mean)) / 16;
    u64::try_from(i128::from(mean) + change).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_report_follows_what_calls_took() {
        let ms = Duration::from_millis;
        let mut load = LoadTracker::new(2);
        for index in 1..=100 {
            load.arrived();
            load.arrived();
            assert_eq!(load.report().in_flight, 2);
            load.finished(at(index * 10), ms(5), ms(10), index % 4 == 0);
            load.finished(at(index * 10), ms(5), ms(0), false);
        }
        let report = load.report();
        assert_eq!(report.in_flight, 0);
        assert!((5_000..15_000).contains(&report.latency_us), "{report:?}");
        assert!(
            (400..=600).contains(&report.utilisation_permille),
            "{report:?}"
        );
        // Two each 10 ms, for a second.
        assert!((100..=205).contains(&report.per_s), "{report:?}");
        assert!((12..=26).contains(&report.errors_per_s), "{report:?}");
    }

    #[test]
    fn a_handler_that_stood_still_doubles_the_mean_at_most_and_slower_ones_are_told_soon() {
        let (us, none) = (Duration::from_micros, Duration::ZERO);
        let mut load = LoadTracker::new(1);
        let mut run = |calls: u64, ran| {
            for _ in 0..calls {
                load.arrived();
                load.finished(at(1), none, ran, false);
            }
            load.report().run_us
        };
        assert_eq!(run(50, us(20)), 20);
        let still = run(1, us(1_500_000));
        assert!((21..=40).contains(&still), "{still}");
        assert!(run(16, us(20)) < 30);
        // Whoever does take that long says so after a score of calls.
        assert!(run(20, us(1_000)) > 600);
        assert!(run(60, us(1_500_000)) > 1_000_000);
    }

    #[test]
    fn a_rate_comes_near_what_stays_and_falls_after_a_pause() {
        let none = Duration::ZERO;
        let mut load = LoadTracker::new(1);
        for index in 1..=5_000 {
            load.arrived();
            load.finished(at(index), none, none, false);
        }
        let busy = load.report().per_s;
        assert!((980..=1_010).contains(&busy), "{busy}");
        load.arrived();
        load.finished(at(15_000), none, none, false);
        let idle = load.report().per_s;
        assert!(idle <= 1, "{idle}");
    }

    #[test]
    fn the_mean_comes_near_what_stays() {
        let mut mean = 0;
        for _ in 0..200 {
            mean = smoothed(mean, 1_000_000);
        }
        assert_eq!(mean, 1_000_000);
        for _ in 0..200 {
            mean = smoothed(mean, 1_000);
        }
        assert!(mean < 2_000, "{mean}");
    }
}
