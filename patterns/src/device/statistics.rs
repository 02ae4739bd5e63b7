//! What a device has done, as a snapshot, and as one JSON object.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Kind;
use super::json::Object;
use super::state::State;
use crate::link::Endpoint;
use crate::socket::SocketStats;

/// What has gone one way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WayStatistics {
    /// Messages passed on.
    pub messages: u64,
    /// Their payload bytes, as the peers see them.
    pub bytes: u64,
    /// Messages taken that wait for room at the other side: 0 or 1.
    pub held: u64,
    /// Messages taken and not passed on, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// One side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideStatistics {
    /// Where it is bound or connected, wildcards resolved.
    pub endpoints: Vec<Endpoint>,
    /// Peers that are connected.
    pub peers: usize,
    /// What its socket has done.
    pub socket: SocketStats,
}

impl SideStatistics {
    pub(super) fn new(endpoints: Vec<Endpoint>, socket: SocketStats) -> Self {
        let peers = socket.peers.iter().filter(|peer| peer.connected).count();
        SideStatistics {
            endpoints,
            peers,
            socket,
        }
    }
}

/// What a device has done so far.
///
/// What was received is passed, dropped or held:
/// `frontend.socket.received_messages = from_frontend.messages + held + sum(dropped)`, and the same
/// for the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub state: State,
    /// Since it was made.
    pub uptime: Duration,
    /// What went from the frontend to the backend.
    pub from_frontend: WayStatistics,
    /// What went from the backend to the frontend.
    pub from_backend: WayStatistics,
    /// The side in front.
    pub frontend: SideStatistics,
    /// The side at the back.
    pub backend: SideStatistics,
    /// Where copies go out.
    pub capture: SideStatistics,
    /// Where commands come in.
    pub control: SideStatistics,
    /// Copies given to the capture's socket, which may drop some: see its own counts.
    pub copies_sent: u64,
    /// Copies that were not: the capture could not keep up, or nobody was there.
    pub copies_lost: u64,
}

impl Statistics {
    /// Messages that wait in the device.
    pub fn queued(&self) -> usize {
        let sides = [&self.frontend, &self.backend].map(|side| {
            let socket = &side.socket;
            socket.recv_queue_messages + socket.send_queue_messages
        });
        let held = self.from_frontend.held + self.from_backend.held;
        sides.iter().sum::<usize>() + held as usize
    }

    /// Messages that came in and were dropped, by the device or its sockets, by reason.
    pub fn dropped(&self) -> BTreeMap<&'static str, u64> {
        let mut dropped = BTreeMap::new();
        for counts in [
            &self.from_frontend.dropped,
            &self.from_backend.dropped,
            &self.frontend.socket.dropped,
            &self.backend.socket.dropped,
        ] {
            for (reason, count) in counts {
                *dropped.entry(*reason).or_default() += count;
            }
        }
        dropped
    }

    /// All of it as one JSON object on one line.
    pub fn to_json(&self) -> String {
        Object::new()
            .text("device", self.kind.name())
            .text("state", self.state.name())
            .number("uptime_ms", self.uptime.as_millis() as u64)
            .object("from_frontend", way(&self.from_frontend))
            .object("from_backend", way(&self.from_backend))
            .object("frontend", side(&self.frontend))
            .object("backend", side(&self.backend))
            .object("capture", side(&self.capture))
            .object("control", side(&self.control))
            .number("copies_sent", self.copies_sent)
            .number("copies_lost", self.copies_lost)
            .finish()
    }
}

fn way(way: &WayStatistics) -> Object {
    Object::new()
        .number("messages", way.messages)
        .number("bytes", way.bytes)
        .number("held", way.held)
        .object("dropped", counts(&way.dropped))
}

fn side(side: &SideStatistics) -> Object {
    let socket = &side.socket;
    Object::new()
        .texts("endpoints", side.endpoints.iter().map(Endpoint::to_string))
        .number("peers", side.peers as u64)
        .number("connections", socket.connections as u64)
        .number("arrived_messages", socket.arrived_messages)
        .number("arrived_bytes", socket.arrived_bytes)
        .number("received_messages", socket.received_messages)
        .number("recv_queue_messages", socket.recv_queue_messages as u64)
        .number("published_messages", socket.published_messages)
        .number("unmatched_messages", socket.unmatched_messages)
        .number("sent_messages", socket.sent_messages)
        .number("sent_bytes", socket.sent_bytes)
        .number("written_messages", socket.written_messages)
        .number("send_queue_messages", socket.send_queue_messages as u64)
        .number("send_queue_bytes", socket.send_queue_bytes as u64)
        .object("dropped", counts(&socket.dropped))
        .object("refused", counts(&socket.refused))
        .object("closes", counts(&socket.closes))
}

fn counts(counts: &BTreeMap<&'static str, u64>) -> Object {
    let mut object = Object::new();
    for (name, count) in counts {
        object = object.number(name, *count);
    }
    object
}

/// What a device had not passed on when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Left {
    /// Messages that had come and were not passed on.
    pub unread: u64,
    /// Messages passed on that had not gone out.
    pub unsent: u64,
    /// Answers that workers owed, as far as it is known: exact where each request has one reply.
    pub unanswered: u64,
}

impl Left {
    /// Whether nothing was left.
    pub fn is_empty(&self) -> bool {
        *self == Left::default()
    }
}

/// How a device ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What it did.
    pub statistics: Statistics,
    /// What it left.
    pub left: Left,
    /// How long the end took.
    pub took: Duration,
}
