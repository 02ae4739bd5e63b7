//! The tests, and which devices each is run on.

mod corpora;
mod flood;
mod giants;
mod malformed;
mod pings;
mod queue;
mod receivers;
mod support;
mod unread;

use libtest_mimic::{Arguments, Trial};

use support::kinds::{FORWARDER, Kind, QUEUE, STREAMER};

type Test = (&'static str, fn(&'static Kind));

/// Names each test by its place.
macro_rules! tests {
    ($($module:ident { $($name:ident),* $(,)? })*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name)),*),*]
    };
}

/// Tests on every device.
const ALL: &[Test] = tests! {
    malformed {
        each_breach_closes_its_peer_and_is_counted_under_its_name,
        a_dialogue_cut_at_any_byte_closes_one_peer_and_delivers_no_part,
    }
    giants {
        announced_gigabytes_close_their_peers_before_anything_is_allocated,
        the_largest_messages_allowed_are_allocated_as_they_arrive,
    }
    flood {
        connections_over_the_limit_are_refused_and_places_given_free_are_taken,
        mute_peers_are_closed_when_their_time_is_up_or_others_need_the_place,
    }
    pings {
        ten_thousand_pings_a_second_at_either_side_are_answered_at_a_hundred,
    }
    unread {
        a_peer_that_stops_reading_is_the_only_one_that_misses_anything,
    }
    corpora {
        what_the_fuzzer_has_found_changes_nothing_for_a_running_device,
    }
};
const AT_A_QUEUE: &[Test] = tests! {
    queue {
        claimants_of_a_name_in_use_are_told_so_and_the_holder_goes_on,
        a_reply_to_one_who_has_gone_does_not_reach_the_next_of_its_name,
        forged_tokens_reach_nobody_and_are_counted,
    }
};
const AT_A_FORWARDER: &[Test] = tests! {
    receivers {
        subscriptions_over_the_limits_close_their_peer,
        subscriptions_within_the_limits_take_bounded_memory_and_go_with_their_peers,
        what_a_subscriber_sends_reaches_no_subscriber,
    }
    unread {
        a_publisher_that_does_not_read_subscriptions_is_parted_from,
        a_subscriber_that_stops_reading_is_disconnected_where_that_is_wanted,
    }
};
const AT_A_STREAMER: &[Test] = tests! {
    receivers {
        what_a_worker_sends_closes_it,
    }
};

/// Runs them.
pub(crate) fn run() {
    let mut arguments = Arguments::from_args();
    arguments
        .test_threads
        .get_or_insert(support::measured::AT_ONCE);
    support::canary::begin();
    let mut trials = Vec::new();
    for (kind, own) in [
        (&QUEUE, AT_A_QUEUE),
        (&FORWARDER, AT_A_FORWARDER),
        (&STREAMER, AT_A_STREAMER),
    ] {
        for (name, test) in ALL.iter().chain(own) {
            let whole = format!("{}::{name}", kind.program);
            trials.push(Trial::test(whole, move || {
                support::measured::measured(name, || test(kind));
                Ok(())
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
