//! The options of policies: default, unit and bounds of each.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::PolicyError;
use super::policy::{Kind, Policy};

const SECOND: Duration = Duration::from_secs(1);

/// Sets an option where the policy has it, and it is within its bounds.
macro_rules! option {
    ($policy:expr, $field:literal, $value:ident in $bounds:expr, $($kind:pat => $place:expr),+) => {{
        let mut policy = $policy;
        let refused = match &mut policy.kind {
            $($kind => within($field, $value, $bounds).map(|()| *$place = $value),)+
            _ => {
                let rule = format!(
                    "`{}` has no such option; those of a policy are set before it is composed",
                    policy.name(),
                );
                Err(PolicyError::new($field, shown(&$value), rule))
            }
        };
        if let Err(error) = refused {
            policy.refused.get_or_insert(error);
        }
        policy
    }};
}

fn within<T: PartialOrd + fmt::Debug>(
    field: &'static str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<(), PolicyError> {
    // Not a number is in no range.
    if bounds.contains(&value) {
        return Ok(());
    }
    let rule = format!("from {} to {}", shown(bounds.start()), shown(bounds.end()));
    Err(PolicyError::new(field, shown(&value), rule))
}

/// A number or a time, as a user writes it.
fn shown<T: fmt::Debug>(value: &T) -> String {
    format!("{value:?}")
}

impl Policy {
    /// Of how many nodes the best is taken, of `least_in_flight` and `peak_ewma` among nodes of the
    /// same weight. All are looked at if there are no more.
    ///
    /// Default 2, from 1, which is any node, to 1,000.
    #[must_use]
    pub fn choices(self, nodes: usize) -> Policy {
        option!(self, "choices", nodes in 1..=1000,
            Kind::Least(options) => &mut options.choices,
            Kind::Peak(options) => &mut options.choices)
    }

    /// How much what is in flight counts among nodes of different weights, of `least_in_flight`: 0
    /// is not at all.
    ///
    /// Default 1, from 0 to 10.
    #[must_use]
    pub fn bias(self, exponent: f64) -> Policy {
        option!(self, "bias", exponent in 0.0..=10.0, Kind::Least(options) => &mut options.bias)
    }

    /// How long it takes `peak_ewma` to forget all but a third of a slow answer.
    ///
    /// Default 10 s, from 1 ms to 1 h.
    #[must_use]
    pub fn decay(self, time: Duration) -> Policy {
        option!(self, "decay", time in Duration::from_millis(1)..=3600 * SECOND,
            Kind::Peak(options) => &mut options.decay)
    }

    /// For how long a node has to report before `dynamic` believes it.
    ///
    /// Default 10 s, from 0 to 1 h.
    #[must_use]
    pub fn blackout(self, time: Duration) -> Policy {
        option!(self, "blackout", time in Duration::ZERO..=3600 * SECOND,
            Kind::Dynamic(options) => &mut options.blackout)
    }

    /// After how long without a report `dynamic` forgets what a node's weight was.
    ///
    /// Default 3 min, from 1 s to 1 day.
    #[must_use]
    pub fn weight_expiry(self, time: Duration) -> Policy {
        option!(self, "weight_expiry", time in SECOND..=86_400 * SECOND,
            Kind::Dynamic(options) => &mut options.expiry)
    }

    /// How often `dynamic` takes over new weights.
    ///
    /// Default 1 s, from 100 ms to 1 h.
    #[must_use]
    pub fn update_period(self, time: Duration) -> Policy {
        option!(self, "update_period", time in SECOND / 10..=3600 * SECOND,
            Kind::Dynamic(options) => &mut options.period)
    }

    /// How much a node's errors take of its weight, of `dynamic`: 0 is nothing.
    ///
    /// Default 1, from 0 to 1,000.
    #[must_use]
    pub fn error_penalty(self, penalty: f64) -> Policy {
        option!(self, "error_penalty", penalty in 0.0..=1000.0,
            Kind::Dynamic(options) => &mut options.penalty)
    }

    /// How many times its share of what is in flight a node may have, of `consistent_hash`, before
    /// keys go on to the next.
    ///
    /// Default 1.25, from 1 to 100.
    #[must_use]
    pub fn load_bound(self, times: f64) -> Policy {
        option!(self, "load_bound", times in 1.0..=100.0, Kind::Hash(options) => &mut options.bound)
    }

    /// How many times their share the nodes of a priority are good for, of `by_priority`: with 1.4
    /// it keeps all calls while 72 % of its nodes are up.
    ///
    /// Default 1.4, from 1 to 10.
    #[must_use]
    pub fn overprovision(self, times: f64) -> Policy {
        option!(self, "overprovision", times in 1.0..=10.0, Kind::ByPriority(_, factor) => factor)
    }

    /// How much longer than the nearest node's a round trip may be, of `by_round_trip`, and the node is as
    /// near as that: rings further away are so many times as wide.
    ///
    /// Default 1 ms, from 10 us to 1 s.
    #[must_use]
    pub fn near(self, time: Duration) -> Policy {
        option!(self, "near", time in Duration::from_micros(10)..=SECOND,
            Kind::ByRoundTrip(_, near) => near)
    }

    /// For how long a node that comes up gets less than its share: a tenth at first, and more by the
    /// time. The first of a pool begin with all. 0: so do all others. It holds for policies that go by
    /// no weights, too; with `consistent_hash` keys keep their nodes, and what grows is how many calls
    /// a node may have before they go on to the next.
    ///
    /// Default 500 ms, from 0 to 1 h.
    #[must_use]
    pub fn slow_start(self, window: Duration) -> Policy {
        let mut policy = self;
        match within("slow_start", window, Duration::ZERO..=3600 * SECOND) {
            Ok(()) => policy.slow_start = window,
            Err(error) => {
                policy.refused.get_or_insert(error);
            }
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, Policy};
    use super::*;

    #[track_caller]
    fn refused(policy: Policy, expected: &str) {
        let error = policy.validate().unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.field(), expected.split(' ').next().unwrap());
        // Whatever it is within, nothing is built.
        let within = policy.clone().by_priority().within_subset(3);
        assert_eq!(super::super::Balancer::new(&within, 1).unwrap_err(), error);
    }

    #[test]
    fn an_option_out_of_its_bounds_names_itself_its_value_and_its_bounds() {
        let ms = Duration::from_millis;
        let dynamic = Policy::dynamic;
        refused(
            Policy::peak_ewma().choices(0),
            "choices is 0: from 1 to 1000",
        );
        refused(
            Policy::least_in_flight().choices(1001),
            "choices is 1001: from 1 to 1000",
        );
        refused(
            Policy::least_in_flight().bias(-1.0),
            "bias is -1.0: from 0.0 to 10.0",
        );
        refused(
            Policy::least_in_flight().bias(f64::NAN),
            "bias is NaN: from 0.0 to 10.0",
        );
        refused(
            Policy::peak_ewma().decay(ms(0)),
            "decay is 0ns: from 1ms to 3600s",
        );
        refused(
            dynamic().blackout(ms(3_600_001)),
            "blackout is 3600.001s: from 0ns to 3600s",
        );
        refused(
            dynamic().weight_expiry(ms(1)),
            "weight_expiry is 1ms: from 1s to 86400s",
        );
        refused(
            dynamic().update_period(ms(99)),
            "update_period is 99ms: from 100ms to 3600s",
        );
        refused(
            dynamic().error_penalty(-0.1),
            "error_penalty is -0.1: from 0.0 to 1000.0",
        );
        let hash = Policy::consistent_hash;
        refused(
            hash().load_bound(0.9),
            "load_bound is 0.9: from 1.0 to 100.0",
        );
        refused(
            hash().load_bound(f64::INFINITY),
            "load_bound is inf: from 1.0 to 100.0",
        );
        let over = Policy::random().by_priority().overprovision(0.0);
        refused(over, "overprovision is 0.0: from 1.0 to 10.0");
        let near = |time| Policy::random().by_round_trip().near(time);
        refused(near(Duration::ZERO), "near is 0ns: from 10µs to 1s");
        refused(near(ms(1001)), "near is 1.001s: from 10µs to 1s");
        refused(
            Policy::random().slow_start(ms(3_600_001)),
            "slow_start is 3600.001s: from 0ns to 3600s",
        );
        refused(Policy::random().within_subset(0), "subset is 0: at least 1");
    }

    #[test]
    fn the_first_option_that_is_wrong_is_told() {
        let both = Policy::least_in_flight().choices(0).bias(99.0);
        refused(both, "choices is 0: from 1 to 1000");
    }

    #[test]
    fn an_option_that_a_policy_does_not_have_is_refused() {
        let error = Policy::round_robin().choices(3).validate().unwrap_err();
        let expected = "choices is 3: `round-robin` has no such option; those of a policy are set \
                        before it is composed";
        assert_eq!(error.to_string(), expected);
        let late = Policy::peak_ewma().by_priority().choices(3);
        assert!(late.validate().is_err());
        let home = Place::new("eu", "eu-1");
        let early = Policy::peak_ewma()
            .choices(3)
            .by_priority()
            .overprovision(2.0);
        assert_eq!(early.by_place(home).validate(), Ok(()));
    }

    #[test]
    fn bounds_are_within() {
        let near = |time| Policy::random().by_round_trip().near(time);
        assert_eq!(near(Duration::from_micros(10)).validate(), Ok(()));
        assert_eq!(near(SECOND).validate(), Ok(()));
        let policy = Policy::least_in_flight().choices(1000).bias(0.0);
        assert_eq!(policy.validate(), Ok(()));
        let policy = Policy::consistent_hash()
            .load_bound(1.0)
            .slow_start(Duration::ZERO);
        assert_eq!(policy.validate(), Ok(()));
    }
}
