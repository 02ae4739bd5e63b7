//! Who passes on items between two others: they may send through it what they were let send.
//!
//! It keeps no item itself. What lies in its queues is what was sent and not taken, so it is bounded
//! by the taker's window as long as the sender keeps to that: this holds it to it.
//!
//! # Invariants
//!
//! 1. No more is passed than the taker let be sent, but for one item that is larger than its window
//!    and goes alone. (test `a_meter_passes_what_the_taker_lets_be_sent`)
//!
//! # Not here
//!
//! Order, and what comes twice: the taker sees to that, who knows what it has got.

use super::{Flow, Violation};

/// What one side of a stream may send through whoever passes it on.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// The taker's window when nothing was taken.
    size: Flow,
    told: Flow,
    passed: Flow,
}

impl Meter {
    /// The taker lets so much be sent, since the stream began.
    pub fn granted(&mut self, to: Flow) {
        if self.told == Flow::default() {
            self.size = to;
        } else if to.items > 0 {
            // The first one was overtaken.
            self.size.items = self.size.items.min(to.items);
        }
        self.told.items = self.told.items.max(to.items);
        self.told.bytes = self.told.bytes.max(to.bytes);
    }

    /// What the taker has let be sent.
    pub fn told(&self) -> Flow {
        self.told
    }

    /// So many items with so many bytes are to be passed on.
    ///
    /// # Errors
    ///
    /// Where that is more than the taker lets be sent. Nothing is counted then.
    pub fn pass(&mut self, count: u32, bytes: u64) -> Result<(), Violation> {
        let items = self.passed.items.saturating_add(count.into());
        if items > self.told.items {
            return Err(Violation::Items(items, self.told.items));
        }
        let sum = self.passed.bytes.saturating_add(bytes);
        let all_taken = self.passed.items.saturating_add(self.size.items) <= self.told.items;
        if sum > self.told.bytes && bytes > 0 && !(count == 1 && all_taken) {
            return Err(Violation::Bytes(sum, self.told.bytes));
        }
        self.passed = Flow::new(items, sum);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_passes_what_the_taker_lets_be_sent() {
        let mut meter = Meter::default();
        assert_eq!(meter.pass(1, 1), Err(Violation::Items(1, 0)), "nothing yet");
        meter.granted(Flow::new(4, 100));
        assert_eq!(meter.pass(2, 60), Ok(()));
        assert_eq!(meter.pass(3, 10), Err(Violation::Items(5, 4)));
        assert_eq!(meter.pass(1, 41), Err(Violation::Bytes(101, 100)));
        assert_eq!(meter.pass(2, 40), Ok(()));
        assert_eq!(meter.pass(0, 0), Ok(()), "an end has no items");
        meter.granted(Flow::new(6, 160));
        meter.granted(Flow::new(5, 120));
        assert_eq!(meter.told(), Flow::new(6, 160), "it never falls");
        assert_eq!(meter.pass(1, 500), Err(Violation::Bytes(600, 160)));
        meter.granted(Flow::new(8, 200));
        assert_eq!(meter.pass(2, 500), Err(Violation::Bytes(600, 200)));
        assert_eq!(meter.pass(1, 500), Ok(()), "larger than the window, alone");
        assert_eq!(meter.pass(1, 1), Err(Violation::Bytes(601, 200)));
    }
}
