//! Hostile peers, over a real ROUTER process with a good client beside them.
//!
//! The oracle in all: the good client is answered throughout, its worst round trip takes 100 ms
//! (without what a watch over the machine saw it stall), the router counts each closed peer under
//! its reason, writes at most a line a second about them, and the books balance on both sides.
//!
//! | file | the peers in it |
//! |---|---|
//! | `malformed` | break the protocol, each in another way, or leave in the middle |
//! | `giants` | announce more than they may, or send byte by byte |
//! | `descriptors` | hold every descriptor that the process may have |
//! | `flood` | come in numbers: connections, handshakes |
//! | `identity` | claim a name that is another's |
//! | `pings` | ask for answers all the time |
//! | `silence` | are there, and say nothing |
//! | `departures` | leave while somebody waits for them |
//! | `interruptions` | are good, but signals, short writes and resets get in between |
//! | `crowd` | are 300 of all kinds at once |
//! | `promises` | what the sockets promise against the hazards, one by one |
//!
//! A bar on a measure that is missed is measured in another round; all else fails at once. The
//! program is at the same time the other processes, which it starts with a role for a filter.

#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod departures;
#[cfg(target_os = "linux")]
mod interruptions;
#[cfg(target_os = "linux")]
mod pings;
#[cfg(target_os = "linux")]
mod promises;
#[cfg(target_os = "linux")]
#[path = "../support/rounds.rs"]
mod rounds;
#[cfg(target_os = "linux")]
mod silence;
#[cfg(target_os = "linux")]
mod support;

#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod flood;
#[cfg(target_os = "linux")]
mod giants;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod malformed;

/// Names each test by its place.
#[cfg(target_os = "linux")]
macro_rules! tests {
    ($($module:ident { $($name:ident),* $(,)? })*) => {
        vec![$($(libtest_mimic::Trial::test(
            concat!(stringify!($module), "::", stringify!($name)),
            || {
                support::measured::measured(stringify!($name), $module::$name);
                Ok(())
            },
        )),*),*]
    };
}

#[cfg(target_os = "linux")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(support::router::ROLE) => return support::router::run(arguments),
        Some(support::dealer::ROLE) => return support::dealer::run(arguments),
        _ => {}
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    arguments
        .test_threads
        .get_or_insert(support::measured::AT_ONCE);
    support::canary::begin();
    let tests = tests! {
        malformed {
            each_breach_closes_its_peer_and_is_counted_under_its_name,
            a_dialogue_cut_at_any_byte_closes_one_peer_and_delivers_no_part,
        }
        giants {
            sixty_four_peers_that_announce_a_gigabyte_are_closed_before_anything_is_allocated,
            a_hundred_gigabytes_before_ready_are_refused_from_their_length,
            the_largest_frames_allowed_are_allocated_as_they_arrive,
            frames_that_come_byte_by_byte_are_whole_in_the_end,
            a_handshake_that_comes_byte_by_byte_has_no_more_time_than_others,
        }
        descriptors {
            a_newcomer_is_served_within_two_seconds_while_mute_peers_hold_every_descriptor,
            a_newcomer_is_served_within_two_seconds_while_peers_that_went_silent_hold_every_descriptor,
            a_newcomer_that_spoke_while_the_router_stood_still_is_not_turned_out,
            a_newcomer_that_spoke_in_part_is_spared_once,
        }
        flood {
            connections_over_the_limit_are_refused_and_places_given_free_are_taken,
            one_address_has_its_share_of_connections_and_no_more,
            handshakes_under_way_never_exceed_their_limit_and_the_oldest_give_place,
            a_mute_peer_is_closed_when_its_handshake_is_due,
            a_storm_of_connections_that_come_and_go_disturbs_nobody,
        }
        identity {
            a_second_claimant_is_told_so_and_the_first_goes_on,
            a_stopped_holder_is_replaced_within_600_ms_and_refused_when_it_comes_back,
            a_holder_that_answers_no_ping_is_replaced_within_600_ms,
            a_reply_to_one_who_has_gone_does_not_reach_the_next_of_its_name,
            a_living_holder_has_its_time_to_answer_each_claimant,
            a_holder_is_not_judged_while_the_router_does_not_read,
            fifty_claimants_at_once_never_see_what_is_the_holders,
            a_claimant_that_gave_up_does_not_stand_in_the_way_of_the_next,
        }
        pings {
            ten_thousand_pings_a_second_are_answered_at_a_hundred_and_all_are_counted,
            a_flood_of_pings_costs_the_others_at_most_a_tenth,
        }
        silence {
            a_router_notices_a_stopped_peer_within_half_a_second,
            a_dealer_notices_a_stopped_router_within_half_a_second_and_comes_back,
            a_peer_is_given_up_after_the_time_to_live_that_it_announced,
            a_router_that_stood_still_takes_no_peer_for_dead,
            a_peer_that_does_not_receive_for_a_while_is_not_taken_for_dead,
        }
        departures {
            senders_blocked_on_a_full_peer_return_by_their_deadlines_though_it_leaves,
            a_sender_without_deadline_goes_on_when_the_peer_is_back,
            a_sender_without_deadline_goes_on_when_another_peer_comes,
            a_sender_without_deadline_goes_on_when_the_peer_reads,
        }
        interruptions {
            a_storm_of_signals_and_short_writes_change_nothing_for_the_caller,
            resets_cost_a_counted_reconnect_each_and_nothing_else,
            resets_while_the_router_writes_are_counted_and_so_is_what_they_took,
        }
        promises {
            sockets_are_synchronous_and_shared_between_threads,
            an_oversized_frame_before_login_closes_the_peer_before_anything_is_allocated,
            frames_and_messages_are_limited_before_they_are_read,
            what_waits_to_be_received_is_limited_in_messages_and_in_bytes,
            what_waits_to_be_sent_is_limited_in_messages_and_in_bytes,
            heartbeats_are_on_by_default_answered_and_limited,
            reconnects_are_spread_by_jitter,
            a_handshake_has_two_seconds_by_default,
            handshakes_under_way_are_256_by_default,
            a_listener_out_of_descriptors_rests_between_attempts,
            an_identity_clash_is_refused_visibly_and_replies_go_by_connection,
            one_full_peer_only_waits_itself,
            a_close_lets_two_thousand_messages_arrive,
            a_close_loses_nothing_though_the_peer_goes_on_sending,
            a_close_waits_no_longer_than_linger_and_reports_what_is_left,
        }
        crowd {
            three_hundred_broken_mute_and_pinging_peers_do_not_keep_a_good_one_waiting,
        }
    };
    libtest_mimic::run(&arguments, tests).exit();
}

/// The tests look at processes by way of `/proc`.
#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: hostile peers are tested on Linux");
}
