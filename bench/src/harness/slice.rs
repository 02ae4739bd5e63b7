//! One system's turn: warm-up, measuring, what it reports.
//!
//! The loops belong to the systems; the clocks are here, so that every system is measured by the same ones. A slice starts
//! with nothing in flight and ends with nothing in flight.
//!
//! ```text
//! |-- warm-up --|------------- measured -------------|-- drain --|
//! ```
//!
//! # Invariants
//!
//! 1. What the warm-up did is in no figure. (test `the_warm_up_is_in_no_figure`)
//! 2. Every one-way message is counted or reported lost. (test `a_missing_message_is_reported_lost`)

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::open::Schedule;

/// Bytes in a small message.
pub(crate) const SMALL: usize = 64;
/// Bytes in a large one.
pub(crate) const LARGE: usize = 1 << 20;
/// Small messages in flight.
pub(crate) const SMALL_IN_FLIGHT: usize = 256;
/// Large messages in flight.
pub(crate) const LARGE_IN_FLIGHT: usize = 16;

/// When a pipelined client fills its window again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refill {
    /// One is sent for each that comes, so that the window is always full.
    Each,
    /// Once all answers that are there have been taken.
    Drained,
}

/// How long a slice is, and which one it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) slice: u32,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    pub(crate) refill: Refill,
}

impl Plan {
    /// A slice of `whole`, an eighth of it for warming up.
    pub(crate) fn new(slice: u32, whole: Duration, refill: Refill) -> Self {
        let warm_up = whole / 8;
        Self {
            slice,
            warm_up,
            measure: whole - warm_up,
            refill,
        }
    }
}

/// What a client is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    /// One slice of the workload.
    Slice(Plan),
    /// One slice in which calls come when their time has come.
    Open(Schedule),
}

/// What a slice came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// One at a time.
    Latency {
        /// Median round trip.
        p50_us: f64,
        /// 99 of 100 are shorter.
        p99_us: f64,
        /// The longest.
        worst_us: f64,
        /// How many there were.
        round_trips: u64,
    },
    /// As many as possible.
    Rate {
        /// Messages a second (for an echo: of answers).
        per_s: f64,
        /// Messages counted.
        messages: u64,
        /// Sent and never seen again.
        lost: u64,
    },
    /// The machine let too little happen for a figure.
    Nothing,
}

/// The clock of a round-trip loop: one reading of the time a lap.
#[derive(Debug)]
pub(crate) struct Laps {
    last: Instant,
    warm: Instant,
    end: Instant,
    times_ns: Histogram<u64>,
}

impl Laps {
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let now = Instant::now();
        Ok(Self {
            last: now,
            warm: now + plan.warm_up,
            end: now + plan.warm_up + plan.measure,
            times_ns: Histogram::new_with_bounds(1, 60_000_000_000, 3)
                .context("making a histogram")?,
        })
    }

    /// Whether another round trip is wanted.
    pub(crate) fn running(&self) -> bool {
        self.last < self.end
    }

    /// A round trip is over, and the next begins.
    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        if self.last >= self.warm {
            let ns = u64::try_from((now - self.last).as_nanos()).unwrap_or(u64::MAX);
            self.times_ns.saturating_record(ns.max(1));
        }
        self.last = now;
    }

    pub(crate) fn outcome(&self) -> Outcome {
        if self.times_ns.is_empty() {
            return Outcome::Nothing;
        }
        let us = |ns: u64| ns as f64 / 1e3;
        Outcome::Latency {
            p50_us: us(self.times_ns.value_at_quantile(0.50)),
            p99_us: us(self.times_ns.value_at_quantile(0.99)),
            worst_us: us(self.times_ns.max()),
            round_trips: self.times_ns.len(),
        }
    }
}

/// The clock of a loop that keeps many messages in flight.
#[derive(Debug)]
pub(crate) struct Meter {
    warm: Instant,
    end: Instant,
    counted_from: Option<Instant>,
    counted_to: Option<Instant>,
    counted: u64,
    until_clock: usize,
    clock_every: usize,
}

impl Meter {
    /// `clock_every`: read the time once in so many messages.
    pub(crate) fn start(plan: &Plan, clock_every: usize) -> Self {
        let now = Instant::now();
        Self {
            warm: now + plan.warm_up,
            end: now + plan.warm_up + plan.measure,
            counted_from: None,
            counted_to: None,
            counted: 0,
            until_clock: clock_every,
            clock_every,
        }
    }

    /// Whether more is to be sent.
    pub(crate) fn running(&self) -> bool {
        self.counted_to.is_none()
    }

    /// So many answers have come.
    pub(crate) fn add(&mut self, messages: usize) {
        if self.counted_to.is_some() {
            return;
        }
        if self.counted_from.is_some() {
            self.counted += messages as u64;
        }
        self.until_clock = self.until_clock.saturating_sub(messages);
        if self.until_clock == 0 {
            self.until_clock = self.clock_every;
            let now = Instant::now();
            if now >= self.end {
                self.counted_to = Some(now);
            } else if self.counted_from.is_none() && now >= self.warm {
                self.counted_from = Some(now);
            }
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match (self.counted_from, self.counted_to) {
            (Some(from), Some(to)) if self.counted > 0 => Outcome::Rate {
                per_s: self.counted as f64 / (to - from).as_secs_f64(),
                messages: self.counted,
                lost: 0,
            },
            _ => Outcome::Nothing,
        }
    }
}

/// The clock of one of several callers at work at once: counts what ends within the measured time.
#[derive(Debug)]
pub(crate) struct Share {
    warm: Instant,
    end: Instant,
    last: Instant,
    counted: u64,
}

impl Share {
    /// `started` is the same for all of them.
    pub(crate) fn start(plan: &Plan, started: Instant) -> Self {
        Self {
            warm: started + plan.warm_up,
            end: started + plan.warm_up + plan.measure,
            last: started,
            counted: 0,
        }
    }

    /// Whether another call is wanted.
    pub(crate) fn running(&self) -> bool {
        self.last < self.end
    }

    /// A call is over.
    pub(crate) fn lap(&mut self) {
        self.last = Instant::now();
        self.counted += u64::from(self.last >= self.warm && self.last < self.end);
    }

    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }
}

/// What all shares together came to.
pub(crate) fn shares_outcome(plan: &Plan, counted: u64) -> Outcome {
    if counted == 0 {
        return Outcome::Nothing;
    }
    Outcome::Rate {
        per_s: counted as f64 / plan.measure.as_secs_f64(),
        messages: counted,
        lost: 0,
    }
}

/// A small message with a number in it, so that a wrong answer is seen.
pub(crate) fn stamped(number: u64) -> [u8; SMALL] {
    let mut body = [0x5a; SMALL];
    body[..8].copy_from_slice(&number.to_le_bytes());
    body
}

/// Looks whether `body` is the answer to [`stamped`]`(number)`.
pub(crate) fn check_stamp(body: &[u8], number: u64) -> Result<()> {
    ensure!(
        body.len() == SMALL && body[..8] == number.to_le_bytes(),
        "answer {number} is not what was sent ({} bytes)",
        body.len()
    );
    Ok(())
}

/// Looks whether a large answer is whole.
pub(crate) fn check_large(body: &[u8]) -> Result<()> {
    ensure!(
        body.len() == LARGE,
        "an answer of {} bytes, not {LARGE}",
        body.len()
    );
    Ok(())
}

const WARM: u8 = 0;
const DATA: u8 = 1;
const END: u8 = 2;

fn one_way(kind: u8, slice: u32) -> [u8; SMALL] {
    let mut body = [0x5a; SMALL];
    body[0] = kind;
    body[1..5].copy_from_slice(&slice.to_le_bytes());
    body
}

/// One sending thread's part of a one-way slice: pours messages through `send` and says how many counted.
pub(crate) fn pour(
    plan: &Plan,
    started: Instant,
    mut send: impl FnMut(&[u8; SMALL]) -> Result<()>,
) -> Result<u64> {
    let mut pour = Pour::new(plan, started);
    while let Some(body) = pour.next() {
        send(&body)?;
    }
    Ok(pour.sent())
}

/// [`pour`], a message at a time, for loops that are not a closure.
#[derive(Debug)]
pub(crate) struct Pour {
    slice: u32,
    warm: Instant,
    end: Instant,
    kind: u8,
    turn: u8,
    sent: u64,
}

impl Pour {
    const CLOCK_EVERY: u8 = 32;

    pub(crate) fn new(plan: &Plan, started: Instant) -> Self {
        Self {
            slice: plan.slice,
            warm: started + plan.warm_up,
            end: started + plan.warm_up + plan.measure,
            kind: WARM,
            turn: 0,
            sent: 0,
        }
    }

    /// The next message to send, until time is up.
    pub(crate) fn next(&mut self) -> Option<[u8; SMALL]> {
        if self.turn == 0 {
            self.turn = Self::CLOCK_EVERY;
            let now = Instant::now();
            if now >= self.end {
                return None;
            }
            if now >= self.warm {
                self.kind = DATA;
            }
        }
        self.turn -= 1;
        self.sent += u64::from(self.kind == DATA);
        Some(one_way(self.kind, self.slice))
    }

    /// Messages that the receiver should have counted.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }
}

/// The last message of a connection in a one-way slice; the receiver answers it with its count.
pub(crate) fn end_of(plan: &Plan) -> [u8; SMALL] {
    one_way(END, plan.slice)
}

/// The receiver's count of a one-way slice. Each connection's end is answered with the count so far, so that the
/// answer to the last end holds all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    slice: Option<u32>,
    received: u64,
    first: Option<Instant>,
}

/// A [`Tally`] on its way back to the sender.
pub(crate) type Count = [u8; 16];

impl Tally {
    /// A message has come. `Some` is the answer to send.
    pub(crate) fn take(&mut self, body: &[u8]) -> Option<Count> {
        let (kind, slice) = match body {
            [kind, a, b, c, d, ..] if body.len() == SMALL => {
                (*kind, u32::from_le_bytes([*a, *b, *c, *d]))
            }
            _ => return None,
        };
        if self.slice != Some(slice) {
            *self = Self {
                slice: Some(slice),
                ..Self::default()
            };
        }
        match kind {
            DATA => {
                if self.received == 0 {
                    self.first = Some(Instant::now());
                }
                self.received += 1;
                None
            }
            END => {
                let ns = self.first.map_or(0, |first| first.elapsed().as_nanos());
                let mut count = Count::default();
                count[..8].copy_from_slice(&self.received.to_le_bytes());
                count[8..].copy_from_slice(&u64::try_from(ns).unwrap_or(u64::MAX).to_le_bytes());
                Some(count)
            }
            _ => None,
        }
    }
}

/// What the receiver's counts say about `sent` messages.
pub(crate) fn one_way_outcome(sent: u64, counts: &[Vec<u8>]) -> Result<Outcome> {
    let (received, ns) = counts
        .iter()
        .map(|count| {
            let count: Count = count[..].try_into().context("a count of a wrong length")?;
            let (received, ns) = count.split_at(8);
            Ok((
                u64::from_le_bytes(received.try_into()?),
                u64::from_le_bytes(ns.try_into()?),
            ))
        })
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .max()
        .context("no count came back")?;
    if sent == 0 {
        return Ok(Outcome::Nothing);
    }
    Ok(Outcome::Rate {
        per_s: received as f64 / (ns.max(1) as f64 / 1e9),
        messages: received,
        lost: sent.saturating_sub(received),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(warm_up_ms: u64, measure_ms: u64) -> Plan {
        Plan {
            slice: 7,
            warm_up: Duration::from_millis(warm_up_ms),
            measure: Duration::from_millis(measure_ms),
            refill: Refill::Each,
        }
    }

    #[test]
    fn the_warm_up_is_in_no_figure() {
        let mut tally = Tally::default();
        let mut pour = Pour::new(&plan(20, 20), Instant::now());
        let mut all = 0;
        while let Some(body) = pour.next() {
            all += 1;
            assert_eq!(tally.take(&body), None);
        }
        assert!(
            pour.sent() > 0 && pour.sent() < all,
            "{} of {all}",
            pour.sent()
        );
        assert_eq!(tally.received, pour.sent());
    }

    #[test]
    fn a_missing_message_is_reported_lost() {
        let mut tally = Tally::default();
        let sent = pour(&plan(0, 10), Instant::now(), {
            let (tally, mut nth) = (&mut tally, 0);
            move |body| {
                nth += 1;
                if nth != 5 {
                    tally.take(body);
                }
                Ok(())
            }
        })
        .expect("pouring into memory");
        let count = tally.take(&end_of(&plan(0, 10))).expect("a count");
        match one_way_outcome(sent, &[count.to_vec()]).expect("an outcome") {
            Outcome::Rate { messages, lost, .. } => {
                assert_eq!((messages, lost), (sent - 1, 1));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_slice_starts_counting_anew() {
        let mut tally = Tally::default();
        tally.take(&one_way(DATA, 1));
        tally.take(&one_way(DATA, 2));
        let count = tally.take(&one_way(END, 2)).expect("a count");
        assert_eq!(count[..8], 1u64.to_le_bytes());
    }

    #[test]
    fn the_last_of_several_counts_is_the_one_that_holds() {
        let count = |received: u64, ns: u64| [received.to_le_bytes(), ns.to_le_bytes()].concat();
        let outcome = one_way_outcome(30, &[count(10, 5), count(30, 1_000_000_000), count(20, 7)]);
        assert_eq!(
            outcome.expect("an outcome"),
            Outcome::Rate {
                per_s: 30.0,
                messages: 30,
                lost: 0
            }
        );
    }

    #[test]
    fn a_slice_in_which_nothing_happened_has_no_figure() {
        let plan = plan(0, 0);
        assert_eq!(Meter::start(&plan, 1).outcome(), Outcome::Nothing);
        assert_eq!(
            Laps::start(&plan).expect("a clock").outcome(),
            Outcome::Nothing
        );
        let nothing = one_way_outcome(0, &[vec![0; 16]]).expect("an outcome");
        assert_eq!(nothing, Outcome::Nothing);
    }

    #[test]
    fn a_share_is_what_ended_within_the_measured_time() {
        let started = Instant::now();
        let mut early = Share::start(&plan(60_000, 60_000), started);
        early.lap();
        assert!(early.running());
        let mut within = Share::start(&plan(0, 60_000), started);
        within.lap();
        within.lap();
        let mut late = Share::start(&plan(0, 0), started);
        late.lap();
        assert!(!late.running());
        assert_eq!(
            [early, within, late].map(|share| share.counted()),
            [0, 2, 0]
        );
    }

    #[test]
    fn a_changed_stamp_is_refused() {
        assert!(check_stamp(&stamped(3), 3).is_ok());
        assert!(check_stamp(&stamped(3), 4).is_err());
        assert!(check_stamp(&stamped(3)[..63], 3).is_err());
    }
}
