//! What the sockets promise on every engine: the same facts about each, and those that the second
//! one falls short of, with the way in which it does.
//!
//! | run | engines |
//! |---|---|
//! | `cargo test --test conformance` | our own |
//! | `cargo test --features zeromq --test conformance` | both |
//!
//! A case is a function from a [`Rig`](rig::Rig), which makes sockets on the engine under test, to
//! whether the fact holds. `shortfalls.rs` lists what the second engine cannot do: such a case has
//! to fail, and with the words given there. One that holds all of a sudden fails the suite.
//!
//! The program is at the same time a process that a case starts, and that may be brought down.

mod ending;
mod exchange;
mod giants;
mod peers;
mod pipeline;
mod pubsub;
#[cfg(feature = "zeromq")]
mod refusals;
mod rig;
mod shortfalls;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use rig::{Outcome, Rig};
use shortfalls::SHORTFALLS;

/// A fact, and the function that looks whether it holds.
type Case = (&'static str, fn(&Rig) -> Outcome);

/// The cases of each file, by their names.
macro_rules! cases {
    ($($file:ident { $($case:ident,)* })*) => {
        &[$($((concat!(stringify!($file), "::", stringify!($case)), $file::$case),)*)*]
    };
}

const CASES: &[Case] = cases! {
    exchange {
        messages_go_there_and_back_whole_and_in_order,
        a_message_of_a_thousand_frames_arrives_whole,
        a_message_of_eight_mebibytes_arrives_whole,
        ten_thousand_messages_keep_their_order,
        an_empty_inbox_says_so_at_once,
        a_timeout_is_kept,
        what_is_sent_before_the_other_side_is_bound_arrives,
        several_threads_share_a_socket,
        wait_any_names_the_socket_that_has_a_message,
        a_channel_takes_the_place_of_receiving,
        a_receiver_that_does_not_read_stops_its_sender,
        the_books_balance,
        an_abstract_name_is_an_endpoint,
        both_sides_of_an_exchange_may_have_engines_of_their_own,
        a_peer_that_sends_heartbeats_is_answered,
        sockets_of_one_process_need_no_link,
    }
    peers {
        a_router_answers_whoever_has_asked,
        a_router_finds_a_peer_by_its_identity,
        an_unknown_identity_gives_the_message_back,
        a_message_to_a_peer_that_has_gone_comes_back,
        a_peer_without_an_identity_has_none,
        a_second_claimant_of_an_identity_is_refused,
        peers_that_send_all_the_time_are_received_from_fairly,
        a_peer_over_its_receive_limit_keeps_nobody_else_waiting,
        a_dealer_sends_to_its_peers_in_turn,
        a_dealer_that_is_bound_reaches_all_who_came,
        peers_that_came_in_at_one_endpoint_are_told_apart,
        a_connection_that_came_in_is_counted,
        a_pool_of_servers_is_served_by_weight,
    }
    pubsub {
        a_subscriber_gets_what_begins_with_its_topic,
        the_empty_topic_is_everything,
        a_subscription_may_come_after_the_connection,
        nothing_is_received_of_a_topic_after_its_cancellation,
        a_subscriber_hears_several_publishers,
        a_publisher_may_connect_to_its_subscribers,
        what_nobody_wants_is_counted,
        a_topic_may_be_any_bytes,
        a_publisher_knows_what_is_subscribed_to,
        subscriptions_are_told_anew_to_a_publisher_that_comes_back,
    }
    pipeline {
        work_is_spread_evenly,
        a_pull_receives_from_all_its_peers,
        without_a_peer_the_message_comes_back,
        a_full_queue_gives_the_message_back,
        a_push_notices_that_its_peer_has_gone,
    }
    giants {
        a_frame_of_exabytes_ends_its_connection_and_nothing_else,
    }
    ending {
        nothing_is_lost_on_close,
        closing_says_what_was_left,
        closing_wakes_whoever_waits,
        a_lost_connection_is_made_again,
        coming_and_going_is_reported,
        an_unbound_endpoint_takes_nobody_and_keeps_those_it_has,
        a_disconnected_endpoint_is_sent_nothing,
        an_endpoint_in_use_is_refused,
        limits_on_what_a_peer_sends_are_held,
        heartbeats_may_be_asked_for,
        a_request_may_be_answered_in_turn,
    }
};

/// Facts about the second engine alone.
#[cfg(feature = "zeromq")]
const REFUSALS: &[Case] = cases! {
    refusals {
        what_it_cannot_hold_to_is_refused_by_name,
        the_defaults_do_for_six_types_with_heartbeats_or_without,
        endpoints_that_it_does_not_know_are_refused,
    }
};
#[cfg(not(feature = "zeromq"))]
const REFUSALS: &[Case] = &[];

/// Runs a case, whose shortfall is known or not.
fn judge(rig: &Rig, name: &str, run: fn(&Rig) -> Outcome) -> Result<(), Failed> {
    let shortfall = SHORTFALLS.iter().find(|shortfall| shortfall.case == name);
    let outcome = run(rig).map_err(|error| error.to_string());
    match (outcome, shortfall.filter(|_| rig.is_second())) {
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(error.into()),
        (Ok(()), Some(shortfall)) => Err(format!(
            "it holds now, though listed as out of reach ({}): take it off the list",
            shortfall.reason
        )
        .into()),
        (Err(error), Some(shortfall)) if error.contains(shortfall.words) => Ok(()),
        (Err(error), Some(shortfall)) => Err(format!(
            "it fails in another way than listed ({}): {error}",
            shortfall.words
        )
        .into()),
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(giants::ROLE) {
        let engine = arguments.next().unwrap_or_default();
        return match giants::answer(&engine) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    for shortfall in SHORTFALLS {
        let is_known = CASES.iter().any(|(name, _)| *name == shortfall.case);
        if !is_known {
            eprintln!("no such case: {}", shortfall.case);
            return ExitCode::FAILURE;
        }
    }
    let mut trials = Vec::new();
    for rig in Rig::all() {
        let refusals = if rig.is_second() { REFUSALS } else { &[] };
        for (name, run) in CASES.iter().chain(refusals) {
            let rig = rig.clone();
            let full = format!("{}::{name}", rig.name());
            trials.push(Trial::test(full, move || judge(&rig, name, *run)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
