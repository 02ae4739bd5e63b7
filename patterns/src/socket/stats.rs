//! What a socket has done, as a snapshot.

use std::collections::BTreeMap;

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
    /// Messages from it that wait to be received.
    pub recv_queue_messages: usize,
    /// Their payload bytes.
    pub recv_queue_bytes: u64,
    /// PINGs from it over the rate that is answered.
    pub pings_unanswered: u64,
}

/// Counts of a socket since it was made.
///
/// The books balance at every moment, peers that have gone included:
///
/// - `sent_messages = written_messages + send_queue_messages + dropped["peer-gone"]`
/// - `arrived_messages = received_messages + recv_queue_messages + dropped["closed"] + dropped["misfit"]
///   + dropped["unexpected"]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
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
