//! What the second engine cannot do: which case fails on it, why, and in which words.
//!
//! What is here is said to users at `Engine::zeromq`.

/// A case that fails on the second engine.
pub(crate) struct Shortfall {
    pub(crate) case: &'static str,
    pub(crate) reason: &'static str,
    /// What its failure has to say.
    pub(crate) words: &'static str,
}

pub(crate) const SHORTFALLS: &[Shortfall] = &[
    Shortfall {
        case: "exchange::a_peer_that_sends_heartbeats_is_answered",
        reason: "a PING is an error to the crate",
        words: "parted from a peer that sends heartbeats",
    },
    Shortfall {
        case: "exchange::sockets_of_one_process_need_no_link",
        reason: "the crate has no inproc, and endpoints of it are refused",
        words: "no sockets within the process on an engine of the zeromq crate; use tcp://",
    },
    Shortfall {
        case: "peers::a_peer_without_an_identity_has_none",
        reason: "the crate makes one up, and does not say so",
        words: "it has an identity of 16 bytes",
    },
    Shortfall {
        case: "peers::a_second_claimant_of_an_identity_is_refused",
        reason: "the crate lets whoever comes later have it",
        words: "the newcomer took the identity over",
    },
    Shortfall {
        case: "peers::a_peer_over_its_receive_limit_keeps_nobody_else_waiting",
        reason: "the crate receives from all of a ROUTER's peers or from none",
        words: "the other's message: not within",
    },
    Shortfall {
        case: "peers::peers_that_came_in_at_one_endpoint_are_told_apart",
        reason: "only a ROUTER of the crate says whose a message is",
        words: "two peers are not two",
    },
    Shortfall {
        case: "peers::a_connection_that_came_in_is_counted",
        reason: "the crate accepts them itself",
        words: "0 connections",
    },
    Shortfall {
        case: "pubsub::a_topic_may_be_any_bytes",
        reason: "the crate's topics are text, and others are refused",
        words: "that is not UTF-8 on an engine of the zeromq crate; choose topics of text",
    },
    Shortfall {
        case: "pubsub::a_publisher_knows_what_is_subscribed_to",
        reason: "the crate keeps subscriptions to itself",
        words: "it knows of 0 topics",
    },
    Shortfall {
        case: "pipeline::a_push_notices_that_its_peer_has_gone",
        reason: "a PUSH of the crate reads nothing, not even the end of its connection",
        words: "the peer has gone: not within",
    },
    Shortfall {
        case: "giants::a_frame_of_exabytes_ends_its_connection_and_nothing_else",
        reason: "the crate allocates what a stranger announces",
        words: "the process has ended",
    },
    Shortfall {
        case: "ending::limits_on_what_a_peer_sends_are_held",
        reason: "the crate has none, and options that would set them are refused",
        words: "option frame_bytes_max is 1000",
    },
    Shortfall {
        case: "ending::heartbeats_may_be_asked_for",
        reason: "the crate has none, and options that would set them are refused",
        words: "option heartbeat_interval is Some(20ms)",
    },
    Shortfall {
        case: "ending::a_request_may_be_answered_in_turn",
        reason: "REQ and REP of the crate are not put behind our own",
        words: "for a REP; it has to be one of Engine::new",
    },
];
