//! The tests, and the roles of the program.

mod callers;
mod device;
mod forgers;
mod handlers;
mod malformed;
mod repliers;
mod silence;
mod streams;
mod support;
mod upgrade;
mod weights;

use libtest_mimic::{Arguments, Trial};

/// Names each test by its place.
macro_rules! tests {
    ($($module:ident { $($name:ident),* $(,)? })*) => {
        vec![$($(Trial::test(
            concat!(stringify!($module), "::", stringify!($name)),
            || {
                support::measured::measured(stringify!($name), || {
                    support::bars::held($module::$name);
                });
                Ok(())
            },
        )),*),*]
    };
}

/// Runs them, or plays a role.
pub(crate) fn run() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(support::server::ROLE) => return support::server::run(arguments),
        Some(support::caller::ROLE) => return support::caller::run(arguments),
        Some(support::taker::ROLE) => return support::taker::run(arguments),
        _ => {}
    }
    let mut arguments = Arguments::from_args();
    arguments
        .test_threads
        .get_or_insert(support::measured::AT_ONCE);
    support::canary::begin();
    let trials = tests! {
        repliers {
            a_killed_replier_costs_at_most_its_credit_and_the_others_take_over,
            callers_of_servers_that_are_all_killed_come_back_spread_out_and_are_told_the_truth,
            a_stopped_replier_strands_at_most_its_credit,
        }
        silence {
            a_server_that_falls_silent_gets_nothing_after_one_heartbeat_by_any_policy,
        }
        callers {
            a_caller_killed_in_a_call_gives_back_what_it_held,
            a_caller_that_does_not_read_costs_the_others_at_most_a_tenth,
        }
        streams {
            a_caller_stopped_in_a_stream_costs_its_producer_at_most_its_credit,
            streams_that_nobody_reads_cost_the_others_at_most_a_tenth,
        }
        device {
            calls_through_a_device_that_is_killed_end_truthfully_and_go_on_once_it_is_back,
        }
        malformed {
            malformed_envelopes_close_nothing_and_disturb_nobody,
        }
        forgers {
            answers_to_what_was_not_asked_are_counted_and_reach_nobody,
        }
        weights {
            absurd_weights_and_load_reports_fail_no_call_and_are_counted,
        }
        handlers {
            a_handler_that_panics_has_run_and_takes_no_worker_with_it,
        }
        upgrade {
            callers_and_repliers_of_the_version_before_are_served_beside_new_ones,
            a_rolling_restart_of_three_servers_under_load_fails_no_call,
        }
    };
    libtest_mimic::run(&arguments, trials).exit();
}
