//! What a socket has done, as a snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::message::Frame;

/// Counts of one peer's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// The number of the peer's connection: that of [`Peer::id`](crate::Peer::id).
    pub id: u64,
    /// The identity that it announced; empty is none.
    pub identity: Frame,
    /// Whether it is connected now.
    pub connected: bool,
    /// Messages taken to be sent to it.
    pub sent_messages: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Messages of these that the connection has taken whole.
    pub written_messages: u64,
    /// Messages that wait to go out.
    pub send_queue_messages: usize,
    /// Their bytes, headers included.
    pub send_queue_bytes: usize,
    /// Messages taken and then dropped, since the peer went.
    pub dropped_messages: u64,
    /// Messages that were not queued for it, since it does not read and its queue was full. Only
    /// sockets that publish drop them so.
    pub passed_over_messages: u64,
    /// Messages that gave place to a later one before they went out.
    pub conflated_messages: u64,
    /// Topics that it has subscribed to.
    pub subscriptions: usize,
    /// Messages from it that wait to be received.
    pub recv_queue_messages: usize,
    /// Their payload bytes.
    pub recv_queue_bytes: u64,
    /// PINGs from it over the rate that is answered.
    pub pings_unanswered: u64,
    /// How long it takes to it and back, as heartbeats measure it:
    /// [`Peer::round_trip`](crate::Peer::round_trip).
    pub round_trip: Option<Duration>,
}

/// Counts of a socket since it was made.
///
/// The books balance at every moment, peers that have gone included:
///
/// - `sent_messages = written_messages + send_queue_messages`, and these of `dropped`:
///   `peer-gone`, `slow-subscriber` (of an XSUB `slow-publisher`), `conflated`
/// - `arrived_messages = received_messages + recv_queue_messages`, and these of `dropped`: `closed`,
///   `misfit`, `unexpected`, `filtered`, `conflated-unread`
///
/// What is published counts as sent once for each peer that has subscribed to it, and a
/// subscription that an XPUB is told of counts as a message when it is received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Messages that were published, each to any number of peers.
    pub published_messages: u64,
    /// Messages of these that nobody had subscribed to.
    pub unmatched_messages: u64,
    /// Subscriptions that an XPUB which is told of every one was not told of: too many waited.
    pub subscriptions_untold: u64,
    /// Topics whose last message an XPUB keeps.
    pub last_values: usize,
    /// Topics whose last message had to go, for the limits.
    pub last_values_evicted: u64,
    /// Messages taken to be sent.
    pub sent_messages: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Messages of these that a connection has taken whole. It does not mean that they arrived.
    pub written_messages: u64,
    /// Messages that wait to go out.
    pub send_queue_messages: usize,
    /// Their bytes, headers included.
    pub send_queue_bytes: usize,
    /// Whole messages that came in.
    pub arrived_messages: u64,
    /// Their payload bytes.
    pub arrived_bytes: u64,
    /// Messages of these that the program has received.
    pub received_messages: u64,
    /// Messages that wait to be received.
    pub recv_queue_messages: usize,
    /// Messages that were refused to the sender, by reason. It has them back.
    pub refused: BTreeMap<&'static str, u64>,
    /// Messages that were dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Connections that ended, or never came to be, by reason.
    pub closes: BTreeMap<&'static str, u64>,
    /// Connections that came in and are open.
    pub connections: usize,
    /// Of these, those in their handshake.
    pub handshakes: usize,
    /// Events that the monitor's channel had no room for.
    pub events_missed: u64,
    /// Every peer that can be sent to.
    pub peers: Vec<PeerStats>,
}

/// What was left when a socket was closed: messages that did not go out within the linger time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Unsent {
    /// Messages.
    pub messages: usize,
    /// Their bytes, headers included.
    pub bytes: usize,
}

impl Unsent {
    /// Whether everything went out.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }
}
