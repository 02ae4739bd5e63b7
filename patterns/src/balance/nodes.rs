//! What is known of each node.

use std::sync::Arc;

use super::Nanos;
use super::error::PolicyError;
use super::place::Place;

/// The largest weight: so that a thousand times as much is still a number.
pub(super) const WEIGHT_MAX: u32 = 1_000_000;

/// How busy a node is, as it reports on its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Load {
    /// Calls that are queued or run.
    pub in_flight: u32,
    /// How long a call took there lately, queueing included, in microseconds.
    pub latency_us: u32,
    /// How much of its workers' time was taken, in thousandths; over 1,000 it has more than it can do.
    pub utilisation_permille: u16,
    /// Calls answered a second lately, by whatever caller.
    pub per_s: u32,
    /// Of those, answered with an error.
    pub errors_per_s: u32,
    /// How long a call ran there lately, without its wait, in microseconds. 0: not said.
    pub run_us: u32,
    /// Calls it runs at once. 0: not said, or without a bound.
    pub workers: u16,
}

/// A load report, and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What it says.
    pub load: Load,
    /// When it came.
    pub at: Nanos,
}

/// What the pool says of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Its share, beside the others'. 0: it gets nothing.
    pub weight: u32,
    /// 0 is used first; others as far as those before them are not healthy.
    pub priority: u8,
    /// What it is known by to all callers alike, such as the [`hash`](super::hash()) of its address: by
    /// this keys and subsets are dealt out. 0: its number.
    pub id: u64,
    /// Where it is.
    pub place: Option<Arc<Place>>,
}

impl Default for Facts {
    fn default() -> Facts {
        Facts {
            weight: 1,
            priority: 0,
            id: 0,
            place: None,
        }
    }
}

impl Facts {
    /// Of this weight.
    pub fn weight(weight: u32) -> Facts {
        Facts {
            weight,
            ..Facts::default()
        }
    }

    /// Of this priority.
    #[must_use]
    pub fn priority(self, priority: u8) -> Facts {
        Facts { priority, ..self }
    }

    /// Known by this to all callers.
    #[must_use]
    pub fn id(self, id: u64) -> Facts {
        Facts { id, ..self }
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if self.weight > WEIGHT_MAX {
            let rule = format!("from 0 to {WEIGHT_MAX}");
            return Err(PolicyError::new("weight", self.weight, rule));
        }
        self.place.as_ref().map_or(Ok(()), |place| place.validate())
    }

    /// At this place.
    #[must_use]
    pub fn place(self, place: Place) -> Facts {
        let place = Some(Arc::new(place));
        Facts { place, ..self }
    }
}

/// The nodes of a pool by small numbers, and what is known of each. A number may get another node
/// after one is gone.
#[derive(Debug, Clone, Default)]
pub struct Nodes {
    table: Vec<Option<Known>>,
    count: usize,
    /// Nodes that are silent.
    silent: usize,
    /// Nodes that warm up.
    warming: usize,
}

/// All of its weight, in thousandths.
pub(super) const WHOLE: u32 = 1000;

#[derive(Debug, Clone)]
struct Known {
    facts: Facts,
    /// The weight times 1,000, less where it is warming up.
    weight: u32,
    /// How much of it that is, in thousandths.
    part: u32,
    /// It can be reached, and is not spared for its silence.
    up: bool,
    reachable: bool,
    silent: bool,
    in_flight: u32,
    /// Of those, streams.
    lasting: u32,
    /// Since when something is in flight there, and nothing has been answered.
    waits_since: Nanos,
    report: Option<Report>,
    round_trip: Option<Nanos>,
}

impl Nodes {
    /// Nodes there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One more than the largest number.
    pub fn bound(&self) -> usize {
        self.table.len()
    }

    /// Their numbers.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let table = self.table.iter().enumerate();
        table.filter_map(|(node, known)| known.as_ref().map(|_| node))
    }

    /// What the pool says of one.
    pub fn facts(&self, node: usize) -> Option<&Facts> {
        self.get(node).map(|known| &known.facts)
    }

    /// Its weight of now, in thousandths: less than its own while it warms up.
    pub fn weight(&self, node: usize) -> u32 {
        self.get(node).map_or(0, |known| known.weight)
    }

    /// How much of its own weight that is, in thousandths: less than 1,000 while it warms up.
    pub fn part(&self, node: usize) -> u32 {
        self.get(node).map_or(0, |known| known.part)
    }

    /// Whether any node warms up.
    #[inline]
    pub fn has_warming(&self) -> bool {
        self.warming > 0
    }

    /// Whether it can be reached, and takes calls: one that is [silent](Self::is_silent) does only
    /// where all are.
    pub fn is_up(&self, node: usize) -> bool {
        self.get(node).is_some_and(|known| known.up)
    }

    /// Whether it does not answer its heartbeats, though its connection stands.
    pub fn is_silent(&self, node: usize) -> bool {
        self.get(node).is_some_and(|known| known.silent)
    }

    /// Calls from here that it has not answered.
    pub fn in_flight(&self, node: usize) -> u32 {
        self.get(node).map_or(0, |known| known.in_flight)
    }

    /// Of those, the ones that may last as long as they like: streams. How long they go on says
    /// nothing of the node.
    pub fn lasting(&self, node: usize) -> u32 {
        self.get(node).map_or(0, |known| known.lasting)
    }

    /// The two at once.
    #[inline]
    pub(super) fn flight(&self, node: usize) -> (u32, u32) {
        self.get(node)
            .map_or((0, 0), |known| (known.in_flight, known.lasting))
    }

    /// For how long it has answered nothing although something is in flight that does not
    /// [last](Self::lasting).
    pub fn silent_for(&self, node: usize, now: Nanos) -> Nanos {
        match self.get(node) {
            Some(known) if known.in_flight > known.lasting => now.saturating_sub(known.waits_since),
            _ => 0,
        }
    }

    /// Its last report.
    pub fn report(&self, node: usize) -> Option<Report> {
        self.get(node).and_then(|known| known.report)
    }

    /// How long it takes to it and back, in nanoseconds, where that was measured.
    pub fn round_trip(&self, node: usize) -> Option<Nanos> {
        self.get(node).and_then(|known| known.round_trip)
    }

    /// Whether that is a change.
    pub(super) fn set_round_trip(&mut self, node: usize, round_trip: Option<Nanos>) -> bool {
        self.get_mut(node).is_some_and(|known| {
            let before = std::mem::replace(&mut known.round_trip, round_trip);
            before != round_trip
        })
    }

    fn get(&self, node: usize) -> Option<&Known> {
        self.table.get(node).and_then(Option::as_ref)
    }

    fn get_mut(&mut self, node: usize) -> Option<&mut Known> {
        self.table.get_mut(node).and_then(Option::as_mut)
    }

    pub(super) fn add(&mut self, node: usize, facts: Facts) {
        if self.table.len() <= node {
            self.table.resize_with(node + 1, || None);
        }
        let known = Known {
            weight: facts.weight.saturating_mul(WHOLE),
            part: WHOLE,
            facts,
            up: false,
            reachable: false,
            silent: false,
            in_flight: 0,
            lasting: 0,
            waits_since: 0,
            report: None,
            round_trip: None,
        };
        if self.table[node].replace(known).is_none() {
            self.count += 1;
        }
    }

    pub(super) fn remove(&mut self, node: usize) {
        if let Some(known) = self.table.get_mut(node).and_then(Option::take) {
            self.count -= 1;
            self.silent -= usize::from(known.silent);
            self.warming -= usize::from(known.part < WHOLE);
        }
    }

    pub(super) fn set_facts(&mut self, node: usize, facts: Facts) {
        if let Some(known) = self.get_mut(node) {
            known.facts = facts;
        }
    }

    /// A node has this part of its weight, in thousandths.
    pub(super) fn set_part(&mut self, node: usize, permille: u32) {
        if let Some(known) = self.get_mut(node) {
            known.weight = known.facts.weight.saturating_mul(permille);
            let before = std::mem::replace(&mut known.part, permille);
            self.warming += usize::from(permille < WHOLE);
            self.warming -= usize::from(before < WHOLE);
        }
    }

    /// Whether it can be reached, silent or not.
    pub(super) fn is_reachable(&self, node: usize) -> bool {
        self.get(node).is_some_and(|known| known.reachable)
    }

    pub(super) fn set_reachable(&mut self, node: usize, reachable: bool) {
        if let Some(known) = self.get_mut(node) {
            known.reachable = reachable;
            known.up = reachable;
        }
    }

    /// Whether that is a change.
    pub(super) fn set_silent(&mut self, node: usize, silent: bool) -> bool {
        let Some(known) = self.get_mut(node) else {
            return false;
        };
        if known.silent == silent {
            return false;
        }
        known.silent = silent;
        match silent {
            true => self.silent += 1,
            false => self.silent -= 1,
        }
        true
    }

    pub(super) fn has_silent(&self) -> bool {
        self.silent > 0
    }

    /// Whether there is one to send to that is not silent.
    pub(super) fn has_lively(&self) -> bool {
        let mut known = self.table.iter().flatten();
        known.any(|known| known.reachable && !known.silent && known.facts.weight > 0)
    }

    /// A silent node is up only if nobody else is `lively`. Whether that is a change for this one.
    pub(super) fn spare(&mut self, node: usize, lively: bool) -> bool {
        let Some(known) = self.get_mut(node) else {
            return false;
        };
        let up = known.reachable && !(known.silent && lively);
        std::mem::replace(&mut known.up, up) != up
    }

    pub(super) fn sent(&mut self, now: Nanos, node: usize) {
        if let Some(known) = self.get_mut(node) {
            if known.in_flight <= known.lasting {
                known.waits_since = now;
            }
            known.in_flight += 1;
        }
    }

    pub(super) fn ended(&mut self, node: usize) {
        if let Some(known) = self.get_mut(node) {
            known.in_flight = known.in_flight.saturating_sub(1);
        }
    }

    /// One in flight there more, or less, lasts.
    pub(super) fn set_lasting(&mut self, node: usize, more: bool) {
        if let Some(known) = self.get_mut(node) {
            known.lasting = match more {
                true => known.lasting.saturating_add(1),
                false => known.lasting.saturating_sub(1),
            };
        }
    }

    pub(super) fn heard(&mut self, now: Nanos, node: usize, load: Option<Load>) {
        if let Some(known) = self.get_mut(node) {
            known.waits_since = now;
            if let Some(load) = load {
                known.report = Some(Report { load, at: now });
            }
        }
    }
}
