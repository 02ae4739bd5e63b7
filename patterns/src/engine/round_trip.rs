//! How long it takes to a peer and back, as its answers to PINGs show.
//!
//! What counts is the least of the last five minutes, kept minute by minute. An answer comes late for
//! many reasons that are no distance: a large frame before it, a thread that was busy reading, a machine
//! that stood still. It never comes early. So one answer in the window that found its way free is enough,
//! and a peer that has become further away is noticed once the last that came from its old place is five
//! minutes old; one that has come nearer at once.
//!
//! The first value is how long the handshake took from our greeting to the peer's READY. A peer may say
//! READY without having heard our greeting, so it stands only until a PING is answered, and only where
//! PINGs are sent; the first is a tenth of a second later.
//!
//! One PING at a time is measured, by its context, which no peer can tell beforehand: an answer that is
//! sent before its question would seem near. A peer that does not send contexts back is not measured.
//!
//! # Invariants
//!
//! 1. What delays an answer does not count, as long as another one comes within the window. (test
//!    `an_answer_that_waited_is_no_distance`)
//! 2. A way that has become longer is noticed within the window. (test
//!    `a_longer_way_is_noticed_once_the_window_is_over`)
//! 3. Only an answer to the PING that is measured counts, once. (test
//!    `only_the_answer_that_was_asked_for_counts`)
//!
//! # Not here
//!
//! When PINGs are sent (`heartbeat`), and what is made of distances (`crate::balance`).

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How long an answer counts is so many times this long, or up to one less.
const SLOT: Duration = Duration::from_secs(60);
const SLOTS: usize = 5;
/// A peer that is heard anyway is asked this often, for its distance alone: some six times in a slot.
const PAUSE: Duration = Duration::from_secs(10);
/// A PING that was not answered for so long is given up: longer ways are not measured.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

/// What a PING carries that is measured.
pub(super) type Context = [u8; 8];

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct RoundTrip {
    /// When the window's time began.
    since: Instant,
    /// The PING that is measured, and when it was sent.
    asked: Option<(Context, Instant)>,
    /// When one was last.
    asked_at: Option<Instant>,
    /// As long as no PING was answered.
    first: Option<Duration>,
    /// The least of each minute, and which it is of all.
    slots: [(u64, Duration); SLOTS],
}

impl RoundTrip {
    /// Of a connection whose handshake took so long, if that is to count.
    pub(super) fn new(now: Instant, first: Option<Duration>) -> RoundTrip {
        RoundTrip {
            since: now,
            asked: None,
            asked_at: None,
            first,
            slots: [(0, Duration::MAX); SLOTS],
        }
    }

    /// Whether the peer is to be asked although it is heard.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let pause = |at: Instant| now.saturating_duration_since(at);
        self.asked_at.is_none_or(|at| pause(at) >= PAUSE)
    }

    /// A PING is sent: what it carries, if it is to be measured.
    pub(super) fn asks(&mut self, now: Instant) -> Option<Context> {
        let waits = |(_, at): (Context, Instant)| now.saturating_duration_since(at) < LONGEST;
        if self.asked.is_some_and(waits) {
            return None;
        }
        let context = RandomState::new().hash_one(now).to_be_bytes();
        self.asked = Some((context, now));
        self.asked_at = Some(now);
        Some(context)
    }

    /// A PONG carries this. What is known by it, if that is another than before.
    pub(super) fn answered(&mut self, context: &[u8], now: Instant) -> Option<Duration> {
        let (expected, at) = self.asked?;
        if context != expected {
            return None;
        }
        self.asked = None;
        let took = now.saturating_duration_since(at);
        let before = self.known();
        let slot = now.saturating_duration_since(self.since).as_secs() / SLOT.as_secs();
        let oldest = (slot + 1).saturating_sub(SLOTS as u64);
        for (of, least) in &mut self.slots {
            if *of < oldest {
                *least = Duration::MAX;
            }
        }
        if let Some((of, least)) = self.slots.get_mut(slot as usize % SLOTS) {
            *least = if *of == slot { took.min(*least) } else { took };
            *of = slot;
        }
        self.first = None;
        let known = self.known();
        known.filter(|_| known != before)
    }

    /// The round trip, as far as it is known.
    pub(super) fn known(&self) -> Option<Duration> {
        let least = self.slots.iter().map(|(_, least)| *least).min();
        self.first.or(least.filter(|least| *least < Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// Measured each second, under a clock of its own.
    struct Way {
        now: Instant,
        trip: RoundTrip,
    }

    impl Way {
        fn new(first: Option<Duration>) -> Way {
            let now = Instant::now();
            let trip = RoundTrip::new(now, first);
            Way { now, trip }
        }

        /// An answer that takes so long.
        fn answer(&mut self, took: Duration) -> Option<Duration> {
            self.now += SECOND;
            let context = self.trip.asks(self.now).expect("none is under way");
            self.trip.answered(&context, self.now + took)
        }
    }

    #[test]
    fn the_handshake_counts_until_a_ping_is_answered() {
        let mut way = Way::new(Some(MS / 100));
        assert_eq!(way.trip.known(), Some(MS / 100));
        // It had said READY before it was greeted: it is further away than that.
        assert_eq!(way.answer(3 * MS), Some(3 * MS));
        let mut unknown = Way::new(None);
        assert_eq!(unknown.trip.known(), None);
        assert_eq!(unknown.answer(2 * MS), Some(2 * MS));
    }

    #[test]
    fn an_answer_that_waited_is_no_distance() {
        let mut way = Way::new(None);
        way.answer(2 * MS);
        // One in a hundred finds its way free, for an hour.
        for at in 0..3600 {
            let took = if at % 100 == 0 { 2 * MS } else { 300 * MS };
            assert_eq!(way.answer(took), None);
            assert_eq!(way.trip.known(), Some(2 * MS));
        }
    }

    #[test]
    fn a_longer_way_is_noticed_once_the_window_is_over() {
        let mut way = Way::new(None);
        for _ in 0..100 {
            way.answer(MS);
        }
        let begun = way.now;
        let mut told = Vec::new();
        while way.now - begun < 400 * SECOND {
            told.extend(way.answer(80 * MS).map(|took| (way.now - begun, took)));
        }
        let [(after, took)] = *told else {
            panic!("told once: {told:?}");
        };
        assert_eq!(took, 80 * MS);
        assert!((200 * SECOND..=300 * SECOND).contains(&after), "{after:?}");
        // One that has come nearer is at once.
        assert_eq!(way.answer(MS), Some(MS));
    }

    #[test]
    fn after_hours_without_an_answer_the_next_one_counts_alone() {
        let mut way = Way::new(None);
        for took in [MS, 7 * MS, 3 * MS] {
            way.answer(took);
            assert_eq!(way.trip.known(), Some(took.min(way.trip.known().unwrap())));
            way.now += 10_000 * SECOND;
        }
        assert_eq!(way.answer(9 * MS), Some(9 * MS));
    }

    #[test]
    fn only_the_answer_that_was_asked_for_counts() {
        let (mut way, now) = (Way::new(None), Instant::now());
        assert_eq!(way.trip.answered(b"", now), None);
        let context = way.trip.asks(now).expect("none is under way");
        // Others are sent meanwhile, and not measured: an answer longer than an interval is one, too.
        assert_eq!(way.trip.asks(now + SECOND), None);
        for other in [&b""[..], b"alive?", &[0; 8], &context[..7], &[1; 16]] {
            assert_eq!(way.trip.answered(other, now), None);
        }
        let late = now + 3 * SECOND;
        assert_eq!(way.trip.answered(&context, late), Some(3 * SECOND));
        assert_eq!(way.trip.answered(&context, now), None, "it counts once");
        // One that is never answered makes place.
        let lost = way.trip.asks(now).expect("none is under way");
        let next = way.trip.asks(now + LONGEST).expect("it is given up");
        assert_ne!(lost, next);
        assert_eq!(way.trip.answered(&lost, now + LONGEST), None);
    }

    #[test]
    fn who_is_heard_anyway_is_asked_every_ten_seconds() {
        let mut way = Way::new(None);
        let asked = (0..100).filter(|second| {
            let now = way.now + SECOND * *second;
            let is_due = way.trip.is_due(now);
            if is_due {
                let context = way.trip.asks(now).expect("none is under way");
                way.trip.answered(&context, now + MS);
            }
            is_due
        });
        assert_eq!(asked.count(), 10);
    }

    #[test]
    fn clocks_that_stand_or_go_back_measure_nothing_absurd() {
        let mut way = Way::new(Some(Duration::MAX));
        let context = way.trip.asks(way.now).expect("none is under way");
        assert_eq!(
            way.trip.answered(&context, way.now - SECOND),
            Some(Duration::ZERO)
        );
        assert_eq!(way.trip.known(), Some(Duration::ZERO));
    }
}
