//! Peak EWMA: who seems to answer soonest, by how long answers took and what is in flight.
//!
//! Of each node an average of how long its answers took. A longer answer than that counts at once; a
//! shorter one by how long ago the last was, so that a slow node is forgotten slowly. Times what is
//! in flight and one more it is what a call there costs (Finagle's rule).
//!
//! What the published form leaves open is this: a node from which no answer has come yet is thought
//! to be as fast as the others as soon as something is in flight there, and to cost nothing before,
//! so a new one is tried at once, with one call. Time alone makes nobody faster than half of what is
//! usual, so one that has had no calls for long is tried and not flooded. A failure never makes a
//! node faster, however soon it comes.
//!
//! # Invariants
//!
//! 1. A slow answer counts in the very next pick. (test `a_spike_counts_at_once`)
//! 2. It is forgotten by the time that the option says, not by turns, where weights differ, too. (tests
//!    `recovery_decays_over_ten_seconds`, `recovery_decays_by_time_where_weights_differ`)
//! 3. Who fails fast does not look fast. (test `failing_fast_is_not_being_fast`)

use std::time::Duration;

use super::Nanos;
use super::choice::Choice;
use super::nodes::{Load, Nodes};
use super::pick::{Ask, Pick};
use super::random::Random;

/// What answers are thought to take before there are any, in nanoseconds.
const UNKNOWN: f64 = 1e6;
/// What a failure counts for at most, in nanoseconds: so that it is forgotten some day.
const FAILURE_MAX: f64 = 10e9;
/// How much one answer counts for in what is usual.
const USUAL_GAIN: f64 = 1.0 / 64.0;

/// See the options of [`Policy::peak_ewma`](super::Policy::peak_ewma).
#[derive(Debug, Clone)]
pub(super) struct PeakOptions {
    pub(super) choices: usize,
    pub(super) decay: Duration,
}

impl Default for PeakOptions {
    fn default() -> PeakOptions {
        PeakOptions {
            choices: 2,
            decay: Duration::from_secs(10),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Peak {
    choice: Choice,
    estimates: Estimates,
}

#[derive(Debug, Clone)]
struct Estimates {
    table: Vec<Estimate>,
    /// What answers take, of all nodes.
    usual: f64,
    /// Whether there have been any.
    measured: bool,
    decay: f64,
    /// The latest time that it has been told.
    now: Nanos,
}

#[derive(Debug, Clone, Copy, Default)]
struct Estimate {
    /// How long answers take, in nanoseconds, as of `at`; 0 is not known.
    takes: f64,
    at: Nanos,
    /// Since when something is in flight and nothing has been heard.
    waits_since: Nanos,
}

impl Estimates {
    fn cost(&self, nodes: &Nodes, now: Nanos, node: usize) -> f64 {
        let in_flight = f64::from(nodes.in_flight(node));
        match self.table.get(node) {
            Some(known) if known.takes > 0.0 => self.takes(known, now) * (in_flight + 1.0),
            _ if in_flight == 0.0 => 0.0,
            _ => self.usual * (in_flight + 1.0),
        }
    }

    /// What a turn's rate is divided by: never nothing.
    fn turn(&self, nodes: &Nodes, now: Nanos, node: usize) -> f64 {
        let cost = self.cost(nodes, now, node);
        if cost > 0.0 { cost } else { self.usual }
    }

    fn takes(&self, known: &Estimate, now: Nanos) -> f64 {
        let floor = known.takes.min(self.usual / 2.0);
        (known.takes * self.kept(known, now)).max(floor)
    }

    /// How much of an estimate is left by now.
    fn kept(&self, known: &Estimate, now: Nanos) -> f64 {
        (-(now.saturating_sub(known.at) as f64) / self.decay).exp()
    }

    /// An answer took so long.
    fn heard(&mut self, now: Nanos, node: usize, took: f64) {
        let gain = if self.measured { USUAL_GAIN } else { 1.0 };
        self.measured = true;
        self.usual += gain * (took - self.usual);
        let Some(known) = self.table.get(node).copied() else {
            return;
        };
        let takes = if took >= known.takes {
            took
        } else {
            let kept = self.kept(&known, now);
            known.takes * kept + took * (1.0 - kept)
        };
        self.set(now, node, takes);
    }

    /// A call failed, or was given up after so long.
    fn bad(&mut self, now: Nanos, node: usize, took: f64) {
        let known = self.table.get(node).map_or(0.0, |known| known.takes);
        let twice = (2.0 * known.max(self.usual)).min(FAILURE_MAX);
        self.set(now, node, took.max(twice).max(known));
    }

    fn set(&mut self, now: Nanos, node: usize, takes: f64) {
        if let Some(known) = self.table.get_mut(node) {
            *known = Estimate {
                takes,
                at: now,
                waits_since: now,
            };
        }
    }
}

impl Peak {
    pub(super) fn new(options: &PeakOptions, random: &mut Random) -> Peak {
        Peak {
            choice: Choice::new(options.choices, random),
            estimates: Estimates {
                table: Vec::new(),
                usual: UNKNOWN,
                measured: false,
                decay: options.decay.as_nanos() as f64,
                now: 0,
            },
        }
    }

    fn costs(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        let estimates = &mut self.estimates;
        estimates.now = estimates.now.max(now);
        let cost = || estimates.turn(nodes, now, node);
        self.choice.costs(nodes, node, cost);
    }
}

fn nanos(took: Duration) -> f64 {
    took.as_nanos().max(1) as f64
}

impl Pick for Peak {
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let estimates = &self.estimates;
        let now = ask.now;
        if self.choice.has_turns() {
            let cost = |node| estimates.turn(ask.nodes, now, node);
            self.choice.dates(ask.nodes, cost);
            let cost = |ask: &Ask<'_>, node| estimates.turn(ask.nodes, now, node);
            return self.choice.pick(ask, cost);
        }
        let cost = |ask: &Ask<'_>, node| estimates.cost(ask.nodes, now, node);
        self.choice.pick(ask, cost)
    }

    fn joined(&mut self, nodes: &Nodes, node: usize) {
        let table = &mut self.estimates.table;
        if table.len() <= node {
            table.resize(node + 1, Estimate::default());
        }
        table[node] = Estimate::default();
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        let estimates = &self.estimates;
        let cost = |node| estimates.turn(nodes, estimates.now, node);
        self.choice.changed(nodes, node, cost);
    }

    fn left(&mut self, nodes: &Nodes, node: usize) {
        let estimates = &self.estimates;
        let cost = |node| estimates.turn(nodes, estimates.now, node);
        self.choice.left(nodes, node, cost);
    }

    fn sent(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        if nodes.in_flight(node) == 1
            && let Some(known) = self.estimates.table.get_mut(node)
        {
            known.waits_since = now;
        }
    }

    fn replied(
        &mut self,
        nodes: &Nodes,
        now: Nanos,
        node: usize,
        took: Duration,
        _: Option<&Load>,
    ) {
        self.estimates.heard(now, node, nanos(took));
        self.costs(nodes, now, node);
    }

    fn failed(&mut self, nodes: &Nodes, now: Nanos, node: usize, took: Duration, _: Option<&Load>) {
        self.estimates.bad(now, node, nanos(took));
        self.costs(nodes, now, node);
    }

    fn lapsed(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        if let Some(known) = self.estimates.table.get(node) {
            let silent = now.saturating_sub(known.waits_since) as f64;
            if silent > known.takes {
                self.estimates.bad(now, node, silent);
            }
        }
        self.costs(nodes, now, node);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{MS, Pool, SECOND};
    use super::super::{Facts, Policy};

    /// Nodes that have answered within 10 ms each.
    fn measured(weights: &[usize]) -> Pool {
        let mut pool = Pool::of(&Policy::peak_ewma(), weights.iter().copied());
        for _ in 0..100 {
            for node in 0..weights.len() {
                pool.send(node);
                pool.reply(node, ms(10));
            }
        }
        pool
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn share(pool: &mut Pool, node: usize) -> f64 {
        let picks = pool.picks(10_000);
        picks.iter().filter(|it| **it == node).count() as f64 / 1e4
    }

    #[test]
    fn a_spike_counts_at_once() {
        let mut pool = measured(&[1, 1]);
        pool.send(0);
        pool.reply(0, ms(11));
        assert_eq!(share(&mut pool, 0), 0.0);
        // And where weights differ.
        let mut pool = measured(&[2, 1]);
        let before = share(&mut pool, 0);
        assert!((before - 0.667).abs() < 0.01, "{before}");
        pool.send(0);
        pool.reply(0, ms(1000));
        let after = share(&mut pool, 0);
        assert!(after < 0.05, "{after}");
    }

    #[test]
    fn recovery_decays_over_ten_seconds() {
        let mut pool = measured(&[1, 1]);
        pool.send(0);
        pool.reply(0, ms(40));
        // The other answers in 20 ms all the time; 40 ms decay to those after ln 2 of 10 s.
        for second in 0..10 {
            pool.now += SECOND;
            pool.send(1);
            pool.reply(1, ms(20));
            let gets = share(&mut pool, 0);
            let expected = if second < 6 { 0.0 } else { 1.0 };
            assert_eq!(gets, expected, "after {} s", second + 1);
        }
    }

    #[test]
    fn recovery_decays_by_time_where_weights_differ() {
        // Of one that took 10 s beside others of 1 ms: that decays to as much in 92 s. Where they are
        // called often its turn comes before.
        let cases = [
            ([2, 1, 1], 10, 30),
            ([1, 2, 3], 10, 30),
            ([2, 1, 1], 1000, 1),
        ];
        for (weights, calls, least) in cases {
            let mut pool = Pool::of(&Policy::peak_ewma(), weights);
            pool.counts(100);
            pool.send(0);
            pool.reply(0, ms(10_000));
            let mut seconds = 0;
            'until: loop {
                seconds += 1;
                assert!(seconds <= 200, "{weights:?}, {calls} a second: never again");
                for _ in 0..calls {
                    pool.now += SECOND / calls;
                    if pool.call(ms(1)) == Some(0) {
                        break 'until;
                    }
                }
            }
            assert!(
                (least..=110).contains(&seconds),
                "{weights:?}, {calls} a second: again after {seconds} s"
            );
        }
    }

    #[test]
    fn what_is_in_flight_multiplies_what_an_answer_takes() {
        let mut pool = measured(&[1, 1]);
        pool.send(0);
        pool.reply(0, ms(30));
        pool.send(1);
        assert_eq!(share(&mut pool, 0), 0.0); // 30 x 1 beside 10 x 2
        (0..2).for_each(|_| pool.send(1));
        assert_eq!(share(&mut pool, 0), 1.0); // beside 10 x 4
    }

    #[test]
    fn a_new_node_is_tried_at_once_and_with_one_call() {
        let mut pool = measured(&[1; 10]);
        pool.join(10, Facts::default());
        let got = (0..100).filter(|_| {
            let node = pool.pick().unwrap();
            pool.send(node);
            if node != 10 {
                pool.reply(node, ms(10));
            }
            node == 10
        });
        let got = got.count();
        assert_eq!(got, 1, "before its first answer");
        pool.reply(10, ms(10));
        pool.assert_shares(20_000, 0.2);
    }

    #[test]
    fn failing_fast_is_not_being_fast() {
        let mut pool = measured(&[1, 1, 1]);
        let mut failed = 0;
        for _ in 0..1000 {
            pool.now += MS;
            let node = pool.pick().unwrap();
            pool.send(node);
            if node == 0 {
                failed += 1;
                let took = Duration::from_micros(10);
                pool.balancer.failed(pool.now, node, took, None);
            } else {
                pool.reply(node, ms(10));
            }
        }
        assert!(failed < 10, "{failed} of 1000 went where they fail");
    }

    #[test]
    fn a_call_that_is_given_up_counts_for_as_long_as_it_waited() {
        let mut pool = measured(&[1, 1]);
        pool.send(0);
        pool.now += SECOND;
        pool.balancer.lapsed(pool.now, 0);
        assert_eq!(share(&mut pool, 0), 0.0);
    }

    #[test]
    fn a_node_without_calls_for_long_is_not_flooded() {
        let mut pool = measured(&[1, 1]);
        for _ in 0..600 {
            pool.now += SECOND / 10;
            pool.send(1);
            pool.reply(1, ms(10));
        }
        // Nothing comes back from it: it gets about twice as much as the other at most.
        let mut sent = [0, 0];
        for _ in 0..30 {
            let node = pool.pick().unwrap();
            pool.send(node);
            sent[node] += 1;
        }
        assert!(sent[0] <= 21, "{sent:?}");
    }

    #[test]
    fn a_node_of_99_percent_of_the_weight_gets_99_percent() {
        let mut pool = Pool::of(&Policy::peak_ewma(), [990, 5, 5]);
        pool.counts(1000);
        let counts = pool.counts(10_000);
        assert!((9_880..=9_920).contains(&counts[0]), "{counts:?}");
    }
}
