//! What an old figure is still worth: learned from how later ones came out.
//!
//! Each time that a node reports, its report before this one is a guess that can be checked, and it
//! was so old. For each age (in powers of two) a line is fitted, `now = base + slope x then`, over the
//! last few hundred guesses of all nodes. Where nodes change slowly the slope stays near 1; where they
//! change within the age of a report it goes to 0, and the base to what a node is like on average. So
//! an old report that says "idle" is trusted less than a new one that says "nearly idle", and by as
//! much as is true of these nodes.
//!
//! # Invariants
//!
//! 1. Without a guess that was checked a figure is taken as it is. (test
//!    `before_anything_is_learned_a_figure_stays_as_it_is`)
//! 2. No figure, however absurd, makes a guess that is not a number or below 0. (test
//!    `absurd_figures_leave_guesses_finite`)

use super::Nanos;

/// Ages that are told apart: below 0.26 ms, then each twice the one before.
const AGES: usize = 24;
/// The shift from nanoseconds to the first age.
const FIRST: u32 = 18;
/// What one guess counts; the one before it counts by so much less.
const NEW: f64 = 1.0 / 200.0;
/// A guess counts for the ages beside its own, too.
const BESIDE: f64 = 0.3;
/// So many guesses that came true are taken for granted at first.
const PRIOR: f64 = 5.0;
/// The largest figure that counts, in nanoseconds: an hour.
const MOST: f64 = 3.6e12;

#[derive(Debug, Clone, Copy)]
struct Line {
    count: f64,
    then: f64,
    now: f64,
    then_then: f64,
    then_now: f64,
    base: f64,
    slope: f64,
}

/// Lines for each age.
#[derive(Debug, Clone)]
pub(super) struct Stale {
    lines: [Line; AGES],
}

impl Default for Stale {
    fn default() -> Stale {
        let line = Line {
            count: 0.0,
            then: 0.0,
            now: 0.0,
            then_then: 0.0,
            then_now: 0.0,
            base: 0.0,
            slope: 1.0,
        };
        Stale {
            lines: [line; AGES],
        }
    }
}

fn index(age: Nanos) -> usize {
    let steps = Nanos::BITS - (age >> FIRST).leading_zeros();
    (steps as usize).min(AGES - 1)
}

impl Stale {
    /// What a figure of this age stands for now.
    #[inline]
    pub(super) fn guess(&self, figure: f64, age: Nanos) -> f64 {
        let line = &self.lines[index(age)];
        line.base + line.slope * figure
    }

    /// A figure of `then` has been followed, after `age`, by one of `now`.
    pub(super) fn learn(&mut self, then: f64, age: Nanos, now: f64) {
        let (then, now) = (then.clamp(0.0, MOST), now.clamp(0.0, MOST));
        let at = index(age);
        for index in at.saturating_sub(1)..=(at + 1).min(AGES - 1) {
            let counts = if index == at { 1.0 } else { BESIDE };
            self.lines[index].learn(then, now, counts);
        }
    }
}

impl Line {
    fn learn(&mut self, then: f64, now: f64, counts: f64) {
        let keep = 1.0 - NEW * counts;
        self.count = self.count * keep + counts;
        self.then = self.then * keep + counts * then;
        self.now = self.now * keep + counts * now;
        self.then_then = self.then_then * keep + counts * then * then;
        self.then_now = self.then_now * keep + counts * then * now;
        let (then, now) = (self.then / self.count, self.now / self.count);
        let spread = (self.then_then / self.count - then * then).max(0.0);
        let both = self.then_now / self.count - then * now;
        let trusted = self.count + PRIOR;
        // Without a spread there is nothing to tell by: as if it had come true.
        self.slope = if spread > then * then * 1e-9 + f64::MIN_POSITIVE {
            ((both * self.count + PRIOR * spread) / (spread * trusted)).clamp(0.0, 1.0)
        } else {
            1.0
        };
        self.base = ((now - self.slope * then) * self.count / trusted).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn before_anything_is_learned_a_figure_stays_as_it_is() {
        let stale = Stale::default();
        for age in [0, MS, 1000 * MS, Nanos::MAX] {
            assert_eq!(stale.guess(17.5, age), 17.5);
        }
    }

    #[test]
    fn a_figure_that_says_nothing_of_later_counts_for_the_mean() {
        // At 10 ms all is as it was; at 1 s it is anything from 0 to 100.
        let (mut stale, mut random) = (Stale::default(), Random::new(1));
        for _ in 0..2000 {
            let then = random.unit() * 100.0;
            stale.learn(then, 10 * MS, then);
            stale.learn(then, 1000 * MS, random.unit() * 100.0);
        }
        for figure in [0.0, 50.0, 100.0] {
            let soon = stale.guess(figure, 10 * MS);
            assert!((soon - figure).abs() < 1.0, "{figure} is {soon} soon");
            let late = stale.guess(figure, 1000 * MS);
            assert!((late - 50.0).abs() < 15.0, "{figure} is {late} late");
        }
    }

    #[test]
    fn what_is_learned_is_forgotten_when_nodes_are_otherwise() {
        let (mut stale, mut random) = (Stale::default(), Random::new(1));
        for _ in 0..2000 {
            stale.learn(random.unit() * 100.0, 10 * MS, random.unit() * 100.0);
        }
        for _ in 0..2000 {
            let then = random.unit() * 100.0;
            stale.learn(then, 10 * MS, then);
        }
        let guess = stale.guess(100.0, 10 * MS);
        assert!((90.0..=101.0).contains(&guess), "{guess}");
    }

    #[test]
    fn absurd_figures_leave_guesses_finite() {
        let mut stale = Stale::default();
        let absurd = [0.0, -1.0, f64::MAX, f64::INFINITY, 1e-300, 1e18];
        for round in 0..5000 {
            let (then, now) = (absurd[round % 6], absurd[(round * 7 + round / 6) % 6]);
            stale.learn(then, (round as Nanos) << (round % 40), now);
            for age in [0, MS, 100 * MS, Nanos::MAX] {
                let guess = stale.guess(5e6, age);
                assert!(guess.is_finite() && guess >= 0.0, "{guess}");
            }
        }
    }
}
