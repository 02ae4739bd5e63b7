//! One request: its deadline, its attempts, the pauses between them.
//!
//! # Invariants
//!
//! 1. There are at most `attempts_max` attempts, none begins at the deadline or after it, and no
//!    answer is awaited longer. (proptest `attempts_end_by_number_or_by_deadline`)
//! 2. Pauses are spread over the whole of 0.5 to 1.5 of what they double to. (same test)

use std::fmt;
use std::time::Duration;

use super::budget::Budget;

/// How a request is to be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all. Default 3; 0 is taken for 1.
    pub attempts_max: u32,
    /// How long an answer to one attempt is awaited. Default 200 ms.
    pub patience: Duration,
    /// The first pause, before its spread of 0.5 to 1.5; each is twice the one before. Default
    /// 50 ms.
    pub pause: Duration,
    /// The longest pause before its spread. Default 1 s.
    pub pause_max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            attempts_max: 3,
            patience: Duration::from_millis(200),
            pause: Duration::from_millis(50),
            pause_max: Duration::from_secs(1),
        }
    }
}

/// What to do after an attempt that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask again, at this time: an answer may come until then.
    Again {
        /// When.
        at: Duration,
    },
    /// Give up: the one who serves should be told.
    GiveUp(GiveUp),
}

/// Why a request is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GiveUp {
    /// Its deadline has come, or would before another attempt.
    Deadline,
    /// It has had all its attempts.
    Attempts,
    /// The caller's requests are being repeated more often than the budget allows.
    Budget,
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GiveUp::Deadline => "the deadline has come",
            GiveUp::Attempts => "every attempt went unanswered",
            GiveUp::Budget => "too many requests are being repeated",
        })
    }
}

/// The attempts of one request.
#[derive(Debug, Clone)]
pub struct Attempts {
    policy: Policy,
    deadline: Duration,
    made: u32,
}

impl Attempts {
    /// None yet; all is over at `deadline`.
    pub fn new(policy: Policy, deadline: Duration) -> Self {
        Attempts {
            policy,
            deadline,
            made: 0,
        }
    }

    /// An attempt begins; gives the time until which its answer is awaited.
    pub fn begin(&mut self, now: Duration) -> Duration {
        self.made = self.made.saturating_add(1);
        now.saturating_add(self.policy.patience).min(self.deadline)
    }

    /// Attempts made.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// The attempt was not answered: what next? `random` is any number, drawn for this call.
    pub fn failed(&mut self, now: Duration, random: u64, budget: &mut Budget) -> Next {
        if now >= self.deadline {
            return Next::GiveUp(GiveUp::Deadline);
        }
        if self.made >= self.policy.attempts_max {
            return Next::GiveUp(GiveUp::Attempts);
        }
        let at = now.saturating_add(self.pause(random));
        if at >= self.deadline {
            return Next::GiveUp(GiveUp::Deadline);
        }
        // Asked last: nothing is spent on what is given up for another reason.
        if !budget.retry() {
            return Next::GiveUp(GiveUp::Budget);
        }
        Next::Again { at }
    }

    fn pause(&self, random: u64) -> Duration {
        let doublings = self.made.saturating_sub(1).min(31);
        let whole = self.policy.pause.saturating_mul(1 << doublings);
        let whole = whole.min(self.policy.pause_max);
        // 0.5 to 1.5, in 65,536 steps.
        let spread = 32_768 + (random >> 48) as u32;
        whole.saturating_mul(spread) / 65_536
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = Policy {
            attempts_max: 10,
            pause: Duration::from_millis(100),
            pause_max: Duration::from_millis(350),
            ..Policy::default()
        };
        let mut attempts = Attempts::new(policy, Duration::from_secs(100));
        let middle = 1 << 63;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            attempts.begin(Duration::ZERO);
            pauses.push(attempts.pause(middle).as_millis());
        }
        assert_eq!(pauses, [100, 200, 350, 350]);
    }

    #[test]
    fn an_empty_budget_ends_it() {
        let mut budget = Budget::new(1, 0);
        let mut attempts = Attempts::new(Policy::default(), Duration::from_secs(9));
        attempts.begin(Duration::ZERO);
        let next = attempts.failed(Duration::ZERO, 0, &mut budget);
        assert_eq!(
            next,
            Next::Again {
                at: Duration::from_millis(25)
            }
        );
        attempts.begin(Duration::ZERO);
        let next = attempts.failed(Duration::ZERO, 0, &mut budget);
        assert_eq!(next, Next::GiveUp(GiveUp::Budget));
    }

    proptest! {
        #[test]
        fn attempts_end_by_number_or_by_deadline(
            attempts_max in 0u32..6,
            patience in 0u64..500,
            pause in 0u64..200,
            deadline in 1u64..2000,
            randoms in proptest::collection::vec(any::<u64>(), 8),
        ) {
            let ms = Duration::from_millis;
            let policy = Policy { attempts_max, patience: ms(patience), pause: ms(pause), pause_max: ms(300) };
            let mut budget = Budget::new(100, 0);
            let mut attempts = Attempts::new(policy, ms(deadline));
            let mut now = Duration::ZERO;
            let mut randoms = randoms.into_iter();
            let why = loop {
                prop_assert!(now < ms(deadline));
                let until = attempts.begin(now);
                prop_assert!(until <= ms(deadline) && until <= now + ms(patience));
                match attempts.failed(until, randoms.next().unwrap(), &mut budget) {
                    Next::Again { at } => {
                        let whole = ms(pause << (attempts.made() - 1)).min(ms(300));
                        prop_assert!(at - until >= whole / 2 && at - until <= whole * 3 / 2);
                        now = at;
                    }
                    Next::GiveUp(why) => break why,
                }
            };
            prop_assert!(attempts.made() <= attempts_max.max(1));
            prop_assert_eq!(why == GiveUp::Attempts && attempts.made() < attempts_max, false);
            prop_assert!(why != GiveUp::Budget);
        }
    }
}
