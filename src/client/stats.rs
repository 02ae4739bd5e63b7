//! The policy's and the credit's view of a client.

use std::sync::Arc;
use std::time::Duration;

use brokerless_patterns::balance::Place;

use super::stream::StreamStats;
use crate::machine::{CallerStats, Load, NodeState};

/// What a client has done so far, and how its nodes stand.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientStats {
    /// Calls, by how they ended; and how many are held.
    pub calls: CallerStats,
    /// Streams, and the items that they carried.
    pub streams: StreamStats,
    /// The nodes, in the order in which they were added.
    pub nodes: Vec<NodeReport>,
}

/// One node of the pool, as this client sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeReport {
    /// Where it is.
    pub endpoint: String,
    /// What it calls itself; empty until it has welcomed this client.
    pub name: String,
    /// How it stands.
    pub state: NodeState,
    /// Its weight in the pool; 0 if it is drained without leaving.
    pub weight: u32,
    /// Its weight of now: less than that while it warms up.
    pub weight_now: f64,
    /// Its priority in the pool.
    pub priority: u8,
    /// Where it is, as far as that was said.
    pub place: Option<Arc<Place>>,
    /// Whether it has asked to be left alone, and that time is not over.
    pub paused: bool,
    /// Whether it was asked for a sign of life and gave none in half a heartbeat interval: nothing
    /// goes there while another node is up.
    pub silent: bool,
    /// How long it takes to it and back, without what it does there: the least that heartbeats measured
    /// within the last five minutes, or until the first of them is answered, what the handshake took.
    /// Zero within the process; not known while heartbeats are off. The last that was known, where
    /// there is no connection now.
    pub round_trip: Option<Duration>,
    /// Of the calls sent to all nodes that are in the pool now, the part that was sent to it: 0 to 1.
    pub share: f64,
    /// Calls that it lets this client have in flight.
    pub credit_calls: u32,
    /// Bytes that it lets this client have in flight.
    pub credit_bytes: u64,
    /// Calls in flight there.
    pub in_flight: u32,
    /// Bytes in flight there.
    pub in_flight_bytes: u64,
    /// Calls sent to it.
    pub sent: u64,
    /// Calls that it answered.
    pub answered: u64,
    /// Calls that it answered with an error.
    pub errors: u64,
    /// Calls that were in flight when its connection was lost.
    pub lost: u64,
    /// What it last said of its load.
    pub load: Option<Load>,
    /// What a call takes as seen from here, smoothed.
    pub latency: Duration,
    /// Load reports of it that were not believed as they came: see `docs/WIRE.md`.
    pub doubted: u64,
    /// Messages from it that made no sense: malformed, or of no kind that a replier sends.
    pub misfits: u64,
    /// Why it was last not reached, or parted from; empty if never.
    pub last_error: String,
}
