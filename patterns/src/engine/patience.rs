//! Looking a few times before sleeping, where that has paid lately.
//!
//! To fall asleep and be woken takes the two threads tens of microseconds. Where what is waited for
//! is nearer than that, to look again for as long is cheaper for both. That is so in two cases, and
//! nowhere else does anybody spin:
//!
//! | who | waits for | at most |
//! |---|---|---|
//! | a leader in the middle of a stream | the next chunk | [`LINGER`] |
//! | a thread that waits for others of its process | their answer | [`LINGER_WITHIN`] |
//!
//! Whether it paid is learned: after each failure twice as many waits pass before the next try, up
//! to 1,024. So where both sides share a core, or answers take long, it costs next to nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::waiter::Waiter;

/// The longest that a leader looks again and again before it sleeps.
const LINGER: Duration = Duration::from_micros(24);
/// The pause between two such looks.
const LOOK_PAUSE: Duration = Duration::from_micros(2);
/// The longest that a thread looks whether another one of its process has woken it.
const LINGER_WITHIN: Duration = Duration::from_micros(50);

/// Whether lingering has paid lately.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Patience {
    failures: u32,
    /// Waits to let pass before the next try.
    skips: u32,
}

impl Patience {
    pub(super) const fn new() -> Self {
        Patience {
            failures: 0,
            skips: 0,
        }
    }

    pub(super) fn tries(&mut self) -> bool {
        let tries = self.skips == 0;
        self.skips = self.skips.saturating_sub(1);
        tries
    }

    /// After each failure twice as many waits pass, up to 1,024.
    pub(super) fn learns(&mut self, came: bool) {
        self.failures = if came { 0 } else { (self.failures + 1).min(10) };
        self.skips = if came { 0 } else { 1 << self.failures };
    }
}

/// Looks at once, then after each [`LOOK_PAUSE`], until there is something or [`LINGER`] is over:
/// gives the last look, and whether there is something.
pub(super) fn linger<R>(mut look: impl FnMut() -> (R, bool)) -> (R, bool) {
    let mut next = Instant::now();
    let end = next + LINGER;
    loop {
        let (looked, came) = look();
        if came || next >= end {
            return (looked, came);
        }
        next += LOOK_PAUSE;
        while Instant::now() < next {
            std::hint::spin_loop();
        }
    }
}

thread_local! {
    static WITHIN: Cell<Patience> = const { Cell::new(Patience::new()) };
}

/// Looks a few times whether the waiter has one of these signals, if that has paid lately; true if
/// it has.
pub(super) fn linger_within(
    waiter: &Waiter,
    signals: u32,
    now: Instant,
    deadline: Option<Instant>,
) -> bool {
    let end = now + LINGER_WITHIN;
    let mut patience = WITHIN.get();
    let tries = deadline.is_none_or(|deadline| end < deadline) && patience.tries();
    let came = tries
        && loop {
            // The clock is dear beside a look.
            if (0..16).any(|_| {
                std::hint::spin_loop();
                waiter.has(signals)
            }) {
                break true;
            }
            if Instant::now() >= end {
                break false;
            }
        };
    if tries {
        patience.learns(came);
    }
    WITHIN.set(patience);
    came
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_pay_is_tried_more_and_more_seldom() {
        let mut patience = Patience::default();
        let mut tries = 0;
        for _ in 0..10_000 {
            if patience.tries() {
                tries += 1;
                patience.learns(false);
            }
        }
        assert!((10..=20).contains(&tries), "{tries}");
        while !patience.tries() {}
        patience.learns(true);
        assert!(patience.tries() && patience.tries());
    }
}
