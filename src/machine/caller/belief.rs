//! How much of a load report is believed: a node may say anything.
//!
//! | what it says | what is believed |
//! |---|---|
//! | more in flight, longer, busier or more often than any node can be | the most that there is |
//! | more errors than answers | as many as answers |
//! | a leap within 10 ms of the report before: to or from twice as much, and not a trifle | half of the way |
//!
//! So a node that says one thing and the opposite by turns is taken for something between, and one
//! whose load did leap is believed after a few answers.
//!
//! # Invariants
//!
//! 1. What is believed is within bounds, whatever was said. (test
//!    `whatever_a_node_says_what_is_believed_is_within_bounds`)
//! 2. What an honest node says is believed as it came. (test `an_honest_report_is_believed`)

use brokerless_patterns::balance::{Load, Nanos, Report};

/// The most that is believed: a million calls, an hour, 65.5 times its workers' time, a hundred
/// million answers a second.
const MOST: Load = Load {
    in_flight: 1_000_000,
    latency_us: 3_600_000_000,
    utilisation_permille: 65_500,
    per_s: 100_000_000,
    errors_per_s: 100_000_000,
    run_us: 3_600_000_000,
    workers: u16::MAX,
};
/// Within this time a leap is one.
const LEAP_NS: Nanos = 10_000_000;
/// What is a trifle: so many calls, microseconds, thousandths.
const TRIFLE: (u32, u32, u32) = (1_000, 100_000, 500);

/// What is believed of a report, after the one before it.
pub(super) fn believed(now: Nanos, before: Option<Report>, told: Load) -> Load {
    let per_s = told.per_s.min(MOST.per_s);
    let mut load = Load {
        in_flight: told.in_flight.min(MOST.in_flight),
        latency_us: told.latency_us.min(MOST.latency_us),
        utilisation_permille: told.utilisation_permille.min(MOST.utilisation_permille),
        per_s,
        errors_per_s: told.errors_per_s.min(per_s),
        run_us: told.run_us.min(MOST.run_us),
        workers: told.workers,
    };
    let before = before.filter(|before| now.saturating_sub(before.at) < LEAP_NS);
    if let Some(Report { load: before, .. }) = before {
        load.in_flight = tempered(before.in_flight, load.in_flight, TRIFLE.0);
        load.latency_us = tempered(before.latency_us, load.latency_us, TRIFLE.1);
        load.run_us = tempered(before.run_us, load.run_us, TRIFLE.1);
        let (was, is) = (before.utilisation_permille, load.utilisation_permille);
        let utilisation = tempered(was.into(), is.into(), TRIFLE.2);
        load.utilisation_permille = u16::try_from(utilisation).unwrap_or(u16::MAX);
    }
    load
}

/// Half of the way, if that is a leap.
fn tempered(was: u32, is: u32, trifle: u32) -> u32 {
    let (low, high) = (was.min(is), was.max(is));
    if high - low > trifle && high / 2 >= low {
        low + (high - low) / 2
    } else {
        is
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Nanos = 1_000_000;

    fn report(at: Nanos, load: Load) -> Option<Report> {
        Some(Report { load, at })
    }

    #[test]
    fn an_honest_report_is_believed() {
        let busy = Load {
            in_flight: 900,
            latency_us: 90_000,
            utilisation_permille: 950,
            per_s: 20_000,
            errors_per_s: 3,
            run_us: 40_000,
            workers: 8,
        };
        let idle = Load {
            utilisation_permille: 500,
            ..Load::default()
        };
        assert_eq!(believed(0, None, busy), busy);
        for (before, now) in [(busy, idle), (idle, busy)] {
            assert_eq!(believed(MS, report(0, before), now), now);
        }
        let overwhelmed = Load {
            in_flight: 50_000,
            latency_us: 9_000_000,
            ..busy
        };
        let later = believed(20 * MS, report(0, busy), overwhelmed);
        assert_eq!(later, overwhelmed, "after a while a leap is none");
    }

    #[test]
    fn one_that_says_the_opposite_each_millisecond_is_taken_for_something_between() {
        let (none, all) = (
            Load::default(),
            Load {
                in_flight: u32::MAX,
                latency_us: u32::MAX,
                utilisation_permille: u16::MAX,
                ..Load::default()
            },
        );
        let mut known = believed(0, None, all);
        for ms in 1..100 {
            let told = if ms % 2 == 0 { all } else { none };
            let next = believed(ms * MS, report((ms - 1) * MS, known), told);
            assert_ne!(next, told, "it is doubted each time");
            known = next;
            assert!(
                (10_000..=65_000).contains(&known.utilisation_permille),
                "{known:?}"
            );
            assert!((200_000..=900_000).contains(&known.in_flight), "{known:?}");
        }
    }

    #[test]
    fn a_leap_that_stays_is_believed_after_a_few_reports() {
        let told = Load {
            in_flight: 80_000,
            utilisation_permille: 1_000,
            ..Load::default()
        };
        let mut known = Load::default();
        let mut reports = 0;
        while known != told {
            known = believed(reports * MS, report(reports * MS, known), told);
            reports += 1;
            assert!(reports < 5, "{known:?}");
        }
        assert!(reports > 1);
    }

    proptest! {
        #[test]
        fn whatever_a_node_says_what_is_believed_is_within_bounds(
            said in proptest::collection::vec(any::<(u32, u32, u16, u32, u32, u8)>(), 1..50),
        ) {
            let (mut now, mut before) = (0, None);
            for (in_flight, latency_us, utilisation_permille, per_s, errors_per_s, ms) in said {
                now += Nanos::from(ms) * MS;
                let told = Load {
                    in_flight,
                    latency_us,
                    utilisation_permille,
                    per_s,
                    errors_per_s,
                    run_us: per_s,
                    workers: utilisation_permille,
                };
                let load = believed(now, before, told);
                prop_assert!(load.in_flight <= MOST.in_flight && load.latency_us <= MOST.latency_us);
                prop_assert!(load.run_us <= MOST.run_us);
                prop_assert!(load.utilisation_permille <= MOST.utilisation_permille);
                prop_assert!(load.per_s <= MOST.per_s && load.errors_per_s <= load.per_s);
                before = report(now, load);
            }
        }
    }
}
