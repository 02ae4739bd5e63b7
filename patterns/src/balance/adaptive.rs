//! The default: each call goes where it is expected to end soonest.
//!
//! Of a few nodes (all of them, if there are not many) it is reckoned how long a call would take
//! there:
//!
//! ```text
//!   what the line of others makes a call take, its own run included      its last report, and what
//! + what those from here make it wait                                     that is worth at its age
//! + the way there, where it is much longer than elsewhere                 (`stale`)
//! ```
//!
//! Among those that are about as good, within a quarter of a run or a tenth of a millisecond, turns are
//! taken by weight: equal nodes get equal shares, as with round-robin, and a weight is a hint where
//! reports say nothing.
//!
//! - A node that owes an answer for longer than is usual there is taken to go on at that pace, so one
//!   that has stopped or become slow is left before any answer tells.
//! - Reports that do not go with how long answers take are not believed: what was measured counts.
//! - How long a failure took says nothing of speed. Failures put a node last, and are forgotten by
//!   half in three seconds.
//! - Whoever was slow is tried again, with one call, after a rest that grows with how slow it was, and
//!   with no more than one call of four hundred. Where nobody else calls it and it answers as quickly as
//!   usual, that has cost nothing, and the next one follows: what was late because the node stood still
//!   is outweighed within a second or two.
//! - A stall is told once: of what was owed meanwhile the first answer counts, and for no more than 64
//!   times what is usual.
//! - Reports ride on answers. Beside a call a question may be asked, of whoever was not heard of for
//!   long and may well be picked next: only while others' calls are in line there, and as far as
//!   questions cost a hundredth of what calls cost. That is three questions for four calls where a
//!   call runs for a millisecond, and one for twenty where it runs for 50 us.
//!
//! # What was found
//!
//! In the simulated tables (`patterns/tests/balance`), each against the policy without it. T4 is p99 at
//! 100 and 500 ms between changes of speed, one question a call.
//!
//! | with | without | with |
//! |---|---|---|
//! | worth of reports learned by age, no questions | 164, 135 ms | 129, 122 ms |
//! | the same, with a question a call | no questions: 129, 122 ms | 81, 65 ms |
//! | asking those that are likely to be picked next, not the one unheard of for longest | 75, 63 ms | 73, 51 ms |
//! | pace of now while an answer is owed | once the silence: 82, 56 ms | twice, by what is in flight: 76, 52 ms |
//! | ways told apart only where they differ much | 76, 52 ms | 72, 45 ms |
//! | half of the questions | 73, 45 ms | 81, 51 ms |
//! | the six that were heard of last beside six drawn, T5 at 1.74 | 765 ms | 456 ms |
//! | an answer counts for 16 times the usual at most, T5 at 1.41; for 64 times | 363 ms | 369 ms; as without |
//! | tries paid back wherever they are quick, T5 at 1.57; only where nobody else calls, one in 400 | 392 ms | 410 ms; 400 ms |
//!
//! No gain: calls from here that count many times (C3 does so), forgetting faster or slower what
//! reports are worth, a wider band of equals, longer means of a run.
//!
//! # Invariants
//!
//! 1. Equal nodes get equal shares, within 5 % where all are looked at. (test `equal_nodes_get_equal_shares`)
//! 2. No more than one call of four hundred goes to a slow node for a try. (test
//!    `a_slow_node_is_tried_now_and_then_and_no_more`)
//! 3. Nothing that a slow node reports draws calls from the others for long. (test
//!    `nonsense_in_reports_breaks_nothing`)
//! 4. A node that stood still is used again within two seconds of a hundred calls each. (test
//!    `a_node_that_stood_still_is_used_again_within_two_seconds`)
//! 5. Of equal nodes none is starved by what a busy machine makes of single answers. (test
//!    `equal_nodes_on_a_busy_machine_are_never_starved`)
//!
//! # Not here
//!
//! Slow start and places: a node of which the weight of now is below its own has so many turns less.

use std::time::Duration;

use super::members::Members;
use super::nodes::Nodes;
use super::pick::{Ask, Pick};
use super::random::Random;
use super::stale::Stale;
use super::{Load, Nanos};

/// Up to so many nodes all are looked at.
const ALL: usize = 12;
/// Of more, so many by chance,
const DRAWN: usize = 6;
/// and so many of those that were heard of last.
const RECENT: usize = ALL - DRAWN;
/// Within this share of a run nodes are equally good,
const BAND: f64 = 0.25;
/// and within so many nanoseconds: that is what a thread that was not run for a moment makes of it.
const TRIFLE: f64 = 100_000.0;
/// So much of an old turn is kept: one that has had none for long has no backlog of turns.
const TURNS_KEPT: f64 = 8.0;
/// A report of a run so many times longer or shorter is not noise: the mean begins anew.
const JUMP: f64 = 2.0;
/// A run is the mean of so many reports,
const RUNS: f64 = 64.0;
/// and at first of so many that say what all the others say.
const PRIOR: f64 = 4.0;
/// A run counts for so many times as long as its answers take at most.
const RUN_MOST: f64 = 2.0;
/// How much longer than the shortest of all a way has to be, to count.
const FAR: f64 = 4.0;
/// How often a silence counts: the answer that ends it may be as far off again.
const SILENCE: f64 = 2.0;
/// A failure takes so much of what is left of a good name,
const FAILURE: f64 = 0.25;
/// half of which is back after this, in nanoseconds.
const FORGIVEN: f64 = 3e9;
/// Who does nothing but fail seems to take so much longer, in nanoseconds,
const FAILING: f64 = 1e9;
/// and so many times what is usual.
const FAILING_TIMES: f64 = 20.0;
/// A slow node is tried with one call of so many at most,
const TRIES: f64 = 400.0;
/// after so many times as long as a call would take there,
const TRY_AFTER: f64 = 5.0;
/// A try of a node that nobody else calls costs the less, the quicker it is answered: all of it only
/// where it took longer than usual by so many times that,
const SLOW: f64 = 3.0;
/// and where it took no longer so many tries come back for the one.
const QUICK_GIVES: f64 = 1.2;
/// The most tries that are kept.
const TRIES_MOST: f64 = 4.0;
/// and not before so many times as long as a call takes on average, or this in nanoseconds.
const REST_TIMES: f64 = 50.0;
const REST_MAX: f64 = 1e9;
/// What a question costs the node and the caller, about, in nanoseconds.
const QUESTION: f64 = 10_000.0;
/// What questions may cost, as a share of what calls cost,
const QUESTIONS: f64 = 0.01;
/// and how many there are of them for a call, at most.
const QUESTIONS_MAX: f64 = 0.9;
/// From so many calls of others in line on, questions are worth all that.
const BUSY: f64 = 0.25;
/// A report that is younger than this share of a usual answer's time is not asked for anew.
const FRESH: f64 = 0.5;
/// Of so many the one is asked of which it is worth most.
const ASKED_OF: usize = 4;
/// Who has calls that are not answered will report by itself: a question is worth so much.
const OWES: f64 = 0.2;
/// Whoever was not heard of for this long may be asked whatever it costs, one in a `PAUSE`.
const UNHEARD: Nanos = 10_000_000_000;
const PAUSE: Nanos = 1_000_000_000;
/// Answers that take so many times as long as reports have it are odd,
const DOUBTFUL: f64 = 8.0;
/// and reports do not count any more when this share of answers is.
const DOUBT: f64 = 0.5;
/// An answer that takes so many times as long as usual counts for as much, and what was sent before it
/// came and takes as long for nothing: the node stood still.
const STOOD: f64 = 64.0;
/// The longest time that counts, in nanoseconds: an hour.
const MOST: f64 = 3.6e12;
/// The most calls in line that count.
const LINE_MOST: u32 = 1_000_000;

/// What is kept of a node.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// How long a call runs there once it is its turn, in nanoseconds. 0: not known.
    run: f64,
    /// How many values that is the mean of.
    runs: f64,
    /// Reports so far, up to a bound.
    seen: f64,
    /// How long each call in line ahead makes one wait.
    step: f64,
    /// What the line of others would make a call take at the last report, its own run included.
    line: f64,
    /// Calls in flight there at its reports, smoothed.
    usual: f64,
    /// When it last reported, or was asked to.
    reported: Nanos,
    asked: Nanos,
    /// How long answers took from here, smoothed. 0: not known.
    took: f64,
    /// The least that an answer took of late.
    way: f64,
    /// Since when it owes an answer.
    since: Nanos,
    /// Of what is in flight there, what was sent before `mark`,
    mark: Nanos,
    before: u32,
    /// and is overtaken: what was sent later has been answered, so it only takes long.
    overtaken: u32,
    /// When it last answered a call,
    answered: Nanos,
    /// and when one that says that it stood still.
    stood: Nanos,
    /// What it owes was sent as a try.
    tried: bool,
    /// The share of answers of late that took far longer than its reports have it.
    doubt: f64,
    /// The share of failures, as of `failed_at`.
    failures: f64,
    failed_at: Nanos,
    /// Its turn comes when this is the least.
    turn: f64,
    /// 1 by its weight: what a turn costs.
    per_turn: f64,
    /// What of the sum of weights is its own.
    weighed: f64,
    /// How many times its weight of now is below its own: it warms up.
    cold: f64,
    known: bool,
}

/// The policy.
#[derive(Debug)]
pub(super) struct Adaptive {
    members: Members,
    nodes: Vec<Node>,
    stale: Stale,
    /// For the order of the first turns.
    random: Random,
    /// The turn of the last pick.
    turn: f64,
    /// Runs and answers of all, smoothed, in nanoseconds.
    run: f64,
    took: f64,
    /// What of the time of answers is runs: beside nodes that report those, the way to one that does
    /// not is left out.
    within: f64,
    /// A way that is shorter than this is not told apart: some times the shortest.
    near: f64,
    /// The mean weight of the members.
    usual_weight: f64,
    /// The sum of their weights.
    weights: f64,
    /// Calls of others at a report, smoothed.
    others: f64,
    /// Who was heard of last.
    recent: [u32; RECENT],
    recent_at: usize,
    /// Calls that may be tries, and questions that may be asked.
    tries: f64,
    questions: f64,
    asked: Nanos,
}

impl Default for Node {
    fn default() -> Node {
        Node {
            run: 0.0,
            runs: 0.0,
            seen: 0.0,
            step: 0.0,
            line: 0.0,
            usual: 0.0,
            reported: 0,
            asked: 0,
            took: 0.0,
            way: 0.0,
            since: 0,
            mark: 0,
            before: 0,
            overtaken: 0,
            answered: 0,
            stood: 0,
            tried: false,
            doubt: 0.0,
            failures: 0.0,
            failed_at: 0,
            turn: 0.0,
            per_turn: 1.0,
            weighed: 0.0,
            cold: 1.0,
            known: false,
        }
    }
}

impl Node {
    /// Calls in flight there whose answers are due: neither streams, nor overtaken.
    #[inline]
    fn owed(&self, (in_flight, lasting): (u32, u32)) -> u32 {
        in_flight.saturating_sub(lasting.max(self.overtaken))
    }

    /// From now on what is in flight there is what was sent before.
    fn mark_at(&mut self, now: Nanos, in_flight: u32) {
        self.mark = now;
        self.before = in_flight;
        self.overtaken = self.overtaken.min(in_flight);
    }

    /// What was sent there at this time has been answered.
    #[inline]
    fn passes(&mut self, sent: Nanos) {
        if sent < self.mark {
            self.before = self.before.saturating_sub(1);
            self.overtaken = self.overtaken.min(self.before);
        } else {
            self.overtaken = self.before;
        }
    }
}

impl Adaptive {
    /// No nodes yet; with chance from `random`.
    pub(super) fn new(random: &mut Random) -> Adaptive {
        Adaptive {
            members: Members::new(),
            nodes: Vec::new(),
            stale: Stale::default(),
            random: Random::new(random.next_u64()),
            turn: 0.0,
            run: 0.0,
            took: 0.0,
            within: 1.0,
            near: 0.0,
            usual_weight: 1.0,
            weights: 0.0,
            others: 0.0,
            recent: [u32::MAX; RECENT],
            recent_at: 0,
            tries: TRIES_MOST / 2.0,
            questions: 0.0,
            asked: 0,
        }
    }

    /// What a call would take there, in nanoseconds.
    #[inline]
    fn expected(&self, known: &Node, flight: (u32, u32), now: Nanos) -> f64 {
        let ours = f64::from(flight.0);
        // Of a weight below the usual each call of ours is worth more of its line.
        let heavy = self.usual_weight * known.per_turn;
        let mut time = if known.known && known.doubt <= DOUBT {
            let line = self
                .stale
                .guess(known.line, now.saturating_sub(known.reported));
            larger(known.way - self.near, 0.0) + line + known.step * ours * known.cold
        } else if known.known {
            known.took * (ours * heavy + 1.0)
        } else {
            let took = if known.took > 0.0 {
                known.took
            } else {
                self.took
            };
            larger(took, 1.0) * self.within * (ours * heavy + 1.0)
        };
        let owed = known.owed(flight);
        if owed > 0 {
            // At the pace of now: one answer in all this time, if it came now.
            let silent = nanos(now.saturating_sub(known.since));
            let pace = silent * (f64::from(owed) + 1.0) * SILENCE - known.took;
            time = larger(time, pace);
        }
        if known.failures > 0.0 {
            let forgiven = (-(now.saturating_sub(known.failed_at) as f64) / FORGIVEN).exp2();
            let failures = known.failures * forgiven;
            time += failures * failures * (FAILING + FAILING_TIMES * self.took);
        }
        time
    }

    fn learn(&mut self, nodes: &Nodes, now: Nanos, node: usize, load: &Load) {
        let ours = f64::from(nodes.in_flight(node));
        let Some(known) = self.nodes.get_mut(node) else {
            return;
        };
        let in_flight = f64::from(load.in_flight.min(LINE_MOST));
        known.usual += (in_flight - known.usual) / 8.0;
        let said = if load.run_us > 0 {
            load.run_us
        } else {
            load.latency_us
        };
        if said == 0 {
            return;
        }
        let said = (f64::from(said) * 1000.0).min(MOST);
        // A mean over many, unless it is another altogether: then anew from this one.
        if known.run == 0.0 || said > known.run * JUMP || said < known.run / JUMP {
            known.runs = 0.0;
        }
        known.runs = (known.runs + 1.0).min(RUNS);
        known.run += (said - known.run) / known.runs;
        known.seen = (known.seen + 1.0).min(RUNS);
        // None runs for much longer than answers take.
        let run = if self.took > 0.0 {
            known.run.min(4.0 * self.took)
        } else {
            known.run
        };
        self.run = smoothed(self.run, run, 64.0);
        self.within = match self.took > self.run {
            true => self.run / self.took,
            false => 1.0,
        };
        // Little is known yet: as if a few more had said what all do.
        let run = (known.run * known.seen + self.run * PRIOR) / (known.seen + PRIOR);
        let run = if known.seen < RUNS { run } else { known.run };
        // Whatever it says: it has answered in less.
        let run = match known.took > 0.0 {
            true => run.min(RUN_MOST * known.took),
            false => run,
        };
        let others = (in_flight - ours).max(0.0);
        self.others += (others - self.others) / 64.0;
        let line = if load.run_us > 0 && load.workers > 0 {
            known.step = run / f64::from(load.workers);
            known.step * (others + 1.0).max(f64::from(load.workers))
        } else {
            // Whoever divides itself among all that it has: in proportion to what it has.
            known.step = run / (known.usual + 1.0);
            known.step * (others + 1.0)
        };
        if known.known {
            let age = now.saturating_sub(known.reported);
            self.stale.learn(known.line, age, line);
        }
        known.line = line;
        known.reported = now;
        known.known = true;
        self.recent[self.recent_at % RECENT] = node as u32;
        self.recent_at = (self.recent_at + 1) % RECENT;
    }

    /// Whether a node that was slow may be tried.
    #[inline]
    fn is_rested(&self, ask: &Ask<'_>, looked: &Looked, least: Nanos) -> bool {
        self.nodes.get(looked.node).is_some_and(|known| {
            let rest = ask.now.saturating_sub(known.answered);
            rest > least
                && ask.nodes.in_flight(looked.node) == 0
                && nanos(rest) > TRY_AFTER * known.took.max(looked.time)
        })
    }

    /// An answer took so long.
    fn measured(&mut self, node: usize, took: f64) {
        let Some(known) = self.nodes.get_mut(node) else {
            return;
        };
        known.way = if known.took == 0.0 || took < known.way {
            took
        } else {
            known.way + (took - known.way) / 256.0
        };
        known.took = smoothed(known.took, took, 8.0);
        let far = FAR * known.way + self.run;
        self.near = if self.near == 0.0 || far < self.near {
            far
        } else {
            self.near + (far - self.near) / 1024.0
        };
        self.took = smoothed(self.took, took, 64.0);
    }

    fn update(&mut self, nodes: &Nodes, node: usize) {
        let Some(known) = self.nodes.get_mut(node) else {
            return;
        };
        let weight = f64::from(nodes.weight(node).max(1)) / 1000.0;
        let whole = nodes.facts(node).map_or(1, |facts| facts.weight.max(1));
        known.per_turn = 1.0 / weight;
        known.cold = (f64::from(whole) / weight).max(1.0);
        self.members.update(nodes, node);
        self.weigh(node);
    }

    /// Its weight is another, or it is no member any more.
    fn weigh(&mut self, node: usize) {
        let Some(known) = self.nodes.get_mut(node) else {
            return;
        };
        let weight = match self.members.contains(node) {
            true => 1.0 / known.per_turn,
            false => 0.0,
        };
        self.weights = (self.weights + weight - known.weighed).max(0.0);
        known.weighed = weight;
        self.usual_weight = self.weights / self.members.len().max(1) as f64;
    }
}

/// So many nanoseconds, of which there are never as many as an `i64` has no room for: a conversion
/// from that takes a fifth of the instructions.
#[inline]
fn nanos(time: Nanos) -> f64 {
    time as i64 as f64
}

/// The larger one, none of them being no number: that is one instruction, where `max` has ten.
#[inline]
fn larger(one: f64, other: f64) -> f64 {
    if one > other { one } else { other }
}

/// One of those that a pick looks at.
#[derive(Debug, Clone, Copy)]
struct Looked {
    node: usize,
    /// What a call would take there.
    time: f64,
    turn: f64,
}

impl Looked {
    /// Of which nothing is known: nobody picks it.
    const NONE: Looked = Looked {
        node: usize::MAX,
        time: f64::MAX,
        turn: f64::MAX,
    };
}

/// A time in nanoseconds, as far as it counts.
#[inline]
fn counted(took: Duration) -> f64 {
    (u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) as f64).min(MOST)
}

fn smoothed(mean: f64, value: f64, over: f64) -> f64 {
    if mean == 0.0 {
        value
    } else {
        mean + (value - mean) / over
    }
}

impl Pick for Adaptive {
    fn joined(&mut self, nodes: &Nodes, node: usize) {
        if self.nodes.len() <= node {
            self.nodes.resize(node + 1, Node::default());
        }
        self.nodes[node] = Node::default();
        self.update(nodes, node);
        // Many callers with the same nodes do not begin with the same one.
        let known = &mut self.nodes[node];
        known.turn = self.turn + self.random.unit() * known.per_turn;
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        self.update(nodes, node);
    }

    fn left(&mut self, _: &Nodes, node: usize) {
        self.members.leave(node);
        self.weigh(node);
    }

    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let mut found = [0; ALL];
        let mut count = 0;
        let mut add = |node: usize| {
            if let Some(place) = found.get_mut(count) {
                *place = node;
                count += 1;
            }
        };
        if self.members.len() <= ALL {
            self.members
                .iter()
                .filter(|node| ask.is_able(*node))
                .for_each(&mut add);
        } else {
            for &node in &self.recent {
                let node = node as usize;
                if self.members.contains(node) && ask.is_able(node) {
                    add(node);
                }
            }
            let mut drawn = 0;
            for _ in 0..DRAWN {
                let Some(node) = self.members.draw(ask, &mut drawn) else {
                    break;
                };
                add(node);
            }
        }
        let mut looked = [Looked::NONE; ALL];
        let mut least = f64::MAX;
        let mut run = 0.0;
        for (&node, place) in found[..count].iter().zip(&mut looked) {
            let Some(known) = self.nodes.get(node) else {
                continue;
            };
            let time = self.expected(known, ask.nodes.flight(node), ask.now);
            if time < least {
                least = time;
                run = known.run;
            }
            let turn = larger(known.turn, self.turn - TURNS_KEPT * known.per_turn);
            *place = Looked { node, time, turn };
        }
        let close = if run > 0.0 { run } else { least };
        let close = least + (BAND * close).max(TRIFLE);
        // One that was slow, and has not been tried for long.
        self.tries = (self.tries + 1.0 / TRIES).min(TRIES_MOST);
        // However slow it was, it is not tried sooner.
        let rest_least = match self.tries >= 1.0 {
            true => REST_MAX.min(self.took * REST_TIMES) as Nanos,
            false => Nanos::MAX,
        };
        let mut best: Option<&Looked> = None;
        for looked in &looked[..count] {
            if looked.time > close && !self.is_rested(ask, looked, rest_least) {
                continue;
            }
            if best.is_none_or(|best| looked.turn < best.turn) {
                best = Some(looked);
            }
        }
        let &Looked { node, time, turn } = best?;
        self.turn = turn;
        let tried = time > close;
        if tried {
            self.tries -= 1.0;
            self.nodes[node].tried = true;
        }
        Some(node)
    }

    fn sent(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        let clock = self.turn;
        let Some(known) = self.nodes.get_mut(node) else {
            return;
        };
        known.turn = known.turn.max(clock - TURNS_KEPT * known.per_turn) + known.per_turn;
        let flight = nodes.flight(node);
        if known.owed(flight) <= 1 {
            known.since = now;
        }
        if now.saturating_sub(known.mark) >= PAUSE {
            known.mark_at(now, flight.0.saturating_sub(1));
        }
        let worth = (self.run * QUESTIONS / QUESTION).min(QUESTIONS_MAX);
        let busy = (self.others / BUSY).min(1.0);
        self.questions = (self.questions + worth * busy).min(2.0);
    }

    fn replied(
        &mut self,
        nodes: &Nodes,
        now: Nanos,
        node: usize,
        took: Duration,
        load: Option<&Load>,
    ) {
        let Some(known) = self.nodes.get_mut(node) else {
            return;
        };
        let took = counted(took);
        known.since = now;
        known.answered = now;
        let sent = now.saturating_sub(took as Nanos);
        known.passes(sent);
        let is_idle = load.is_none_or(|load| load.in_flight <= nodes.in_flight(node));
        if std::mem::replace(&mut known.tried, false) {
            let cost = if is_idle {
                ((took / self.took.max(1.0) - 1.0) / SLOW).clamp(0.0, 1.0)
            } else {
                1.0
            };
            let gives = if cost > 0.0 { 1.0 - cost } else { QUICK_GIVES };
            self.tries = (self.tries + gives).min(TRIES_MOST);
        }
        // It stood still: that is told once, whatever it owed, and does not make it slow.
        let long = STOOD * known.took.max(self.took);
        let is_late = took > long && long > 0.0;
        let is_told = is_late && sent < known.stood;
        let took = if is_late {
            known.stood = now;
            long
        } else {
            took
        };
        if !is_told {
            self.measured(node, took);
        }
        let Some(known) = self.nodes.get_mut(node) else {
            return;
        };
        known.failures *= 1.0 - FAILURE;
        if known.failures < 0.01 {
            known.failures = 0.0;
        }
        // Beside no other there is nothing to choose, and nothing to learn for it.
        if self.members.len() < 2 {
            return;
        }
        if let Some(load) = load {
            self.learn(nodes, now, node, load);
        }
        // What it says does not go with how long it takes.
        let near = self.near;
        let known = &mut self.nodes[node];
        if !is_told {
            let is_odd = known.known && took > DOUBTFUL * (known.line + near);
            known.doubt += (f64::from(u8::from(is_odd)) - known.doubt) / 16.0;
        }
    }

    fn failed(
        &mut self,
        nodes: &Nodes,
        now: Nanos,
        node: usize,
        took: Duration,
        load: Option<&Load>,
    ) {
        if let Some(known) = self.nodes.get_mut(node) {
            known.since = now;
            known.passes(now.saturating_sub(counted(took) as Nanos));
            known.tried = false;
            let forgiven = (-(now.saturating_sub(known.failed_at) as f64) / FORGIVEN).exp2();
            known.failures *= forgiven;
            known.failures += (1.0 - known.failures) * FAILURE;
            known.failed_at = now;
        }
        if let Some(load) = load {
            self.learn(nodes, now, node, load);
        }
    }

    fn lapsed(&mut self, nodes: &Nodes, _: Nanos, node: usize) {
        if let Some(known) = self.nodes.get_mut(node) {
            // Which of them it was is not told.
            known.before = known.before.min(nodes.in_flight(node));
            known.overtaken = known.overtaken.min(known.before);
            known.tried = false;
        }
    }

    fn reported(&mut self, nodes: &Nodes, now: Nanos, node: usize, load: &Load) {
        if let Some(known) = self.nodes.get_mut(node)
            && now.saturating_sub(known.since) >= PAUSE
        {
            // It answers, though not what was sent there: that only takes long.
            known.since = now;
            known.passes(known.asked);
        }
        self.learn(nodes, now, node, load);
    }

    fn wonders(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let is_paid = self.questions >= 1.0;
        if !is_paid && ask.now.saturating_sub(self.asked) < PAUSE {
            return None;
        }
        let fresh = match is_paid {
            true => (FRESH * self.took) as Nanos,
            false => UNHEARD,
        };
        let mut drawn = 0;
        let mut best: Option<(usize, f64)> = None;
        for _ in 0..ASKED_OF {
            let Some(node) = self.members.draw(ask, &mut drawn) else {
                break;
            };
            let known = &self.nodes[node];
            let age = ask.now.saturating_sub(known.reported.max(known.asked));
            let silent = ask.now.saturating_sub(known.since.max(known.asked));
            let is_silent = known.owed(ask.nodes.flight(node)) > 0 && silent >= PAUSE;
            if age < fresh && !is_silent {
                continue;
            }
            // One with a long line is not picked soon, whatever it says.
            let mut worth = age as f64 / known.line.max(1.0).sqrt();
            if ask.nodes.in_flight(node) > 0 {
                worth *= OWES;
            }
            if best.is_none_or(|(_, most)| worth > most) {
                best = Some((node, worth));
            }
        }
        self.asked = ask.now;
        let (node, _) = best?;
        let known = &mut self.nodes[node];
        known.asked = ask.now;
        known.mark_at(ask.now, ask.nodes.in_flight(node));
        self.questions = (self.questions - 1.0).max(0.0);
        Some(node)
    }
}

#[cfg(test)]
mod still_tests;
#[cfg(test)]
mod tests;
