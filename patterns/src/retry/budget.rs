//! What retries may cost in all, so that a server in trouble is not buried under them.
//!
//! # Invariants
//!
//! 1. Over any stretch, retries are at most what may be saved up and the share of the requests.
//!    (proptest `retries_are_what_is_saved_and_the_share_at_most`)

/// The retries that a caller may still make, whichever request they are for.
///
/// Each request adds a share of a retry, each retry takes a whole one: with 10 percent, ten requests pay for
/// one. Some may be saved up, and at first all of that is there.
#[derive(Debug, Clone)]
pub struct Budget {
    /// In hundredths of a retry.
    saved: u64,
    saved_max: u64,
    percent: u64,
}

impl Budget {
    /// A budget with room for `retries_max`, all of it there, to which each request adds `percent`
    /// of a retry.
    pub fn new(retries_max: u32, percent: u32) -> Self {
        let saved_max = u64::from(retries_max) * 100;
        Budget {
            saved: saved_max,
            saved_max,
            percent: percent.into(),
        }
    }

    /// A request is made, not yet a retry.
    pub fn request(&mut self) {
        self.saved = (self.saved + self.percent).min(self.saved_max);
    }

    /// Takes a retry out; false if there is none.
    pub fn retry(&mut self) -> bool {
        let left = self.saved.checked_sub(100);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }

    /// Whole retries that are left.
    pub fn left(&self) -> u64 {
        self.saved / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn retries_are_what_is_saved_and_the_share_at_most(
            retries_max in 0u32..5,
            percent in 0u32..150,
            steps in proptest::collection::vec(any::<bool>(), 0..200),
        ) {
            let mut budget = Budget::new(retries_max, percent);
            let (mut requests, mut retries) = (0, 0);
            for is_request in steps {
                if is_request {
                    budget.request();
                    requests += 1;
                } else if budget.retry() {
                    retries += 1;
                }
                let share = requests * u64::from(percent) / 100;
                prop_assert!(retries <= u64::from(retries_max) + share);
                prop_assert!(budget.left() <= u64::from(retries_max));
            }
        }
    }

    #[test]
    fn ten_requests_pay_for_a_retry() {
        let mut budget = Budget::new(2, 10);
        assert_eq!(
            (budget.retry(), budget.retry(), budget.retry()),
            (true, true, false)
        );
        for _ in 0..9 {
            budget.request();
        }
        assert!(!budget.retry());
        budget.request();
        assert!(budget.retry() && !budget.retry());
    }
}
