//! Credit: how much a caller may have in flight at a replier.

pub use crate::values::Credit;

impl Credit {
    /// So many calls and bytes.
    pub const fn new(calls: u32, bytes: u64) -> Credit {
        Credit { calls, bytes }
    }

    /// The smaller of both in each.
    pub fn at_most(self, bound: Credit) -> Credit {
        Credit::new(self.calls.min(bound.calls), self.bytes.min(bound.bytes))
    }

    /// The larger of both in each.
    pub fn at_least(self, bound: Credit) -> Credit {
        Credit::new(self.calls.max(bound.calls), self.bytes.max(bound.bytes))
    }

    /// Whether one more call of `bytes` fits beside what is in `flight`.
    ///
    /// The rule of both sides: a call that is larger than the window goes while no other bytes are
    /// in flight, so that no call waits for ever.
    pub fn admits(self, flight: Credit, bytes: u64) -> bool {
        flight.calls < self.calls
            && (flight.bytes == 0 || flight.bytes.saturating_add(bytes) <= self.bytes)
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.calls += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(crate) fn take(&mut self, bytes: u64) {
        self.calls = self.calls.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_larger_than_the_window_goes_alone() {
        let window = Credit::new(2, 100);
        assert!(window.admits(Credit::new(0, 0), 1000));
        assert!(!window.admits(Credit::new(1, 1), 100));
        assert!(window.admits(Credit::new(1, 1), 99));
        assert!(!window.admits(Credit::new(2, 0), 0));
        assert!(!Credit::new(0, 100).admits(Credit::default(), 0));
    }
}
