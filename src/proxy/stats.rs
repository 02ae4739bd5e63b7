//! What a proxy has done, and how its nodes stand.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::core::Core;
use crate::client::{Client, NodeReport, NodeState};
use crate::server::ServerStats;

/// What a proxy has done so far, and how its nodes stand.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct ProxyStats {
    /// What it calls itself.
    pub name: String,
    /// `running`, `paused` or `draining`.
    pub state: &'static str,
    /// Since it was started, in milliseconds.
    pub uptime_ms: u64,
    /// Callers that are connected.
    pub callers: u64,
    /// Calls that came in, those to the proxy itself and those refused among them.
    pub calls: u64,
    /// Calls taken up to be passed on.
    pub passed: u64,
    /// Of these, those that have not been answered.
    pub in_flight: u64,
    /// Their bytes.
    pub in_flight_bytes: u64,
    /// Of these, calls that wait for the nodes' credit.
    pub waiting: u64,
    /// Of these, calls that are kept as the proxy is paused.
    pub kept: u64,
    /// Calls answered with a value.
    pub answered: u64,
    /// Calls answered with an error, the methods' own among them.
    pub errors: u64,
    /// Calls that were sent to another node after one that had not run them.
    pub repicked: u64,
    /// Calls that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Streams that are open.
    pub streams_open: u64,
    /// Items that came from callers.
    pub items_in: u64,
    /// Items that went to callers.
    pub items_out: u64,
    /// The nodes, in the order in which they were added; those that are being drained among them.
    pub nodes: Vec<NodeStats>,
}

/// One node, as the proxy sees it.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct NodeStats {
    /// Where it is.
    pub endpoint: String,
    /// What it calls itself.
    pub name: String,
    /// `connecting`, `failed`, `up`, `draining` or `leaving`.
    pub state: &'static str,
    /// Its weight.
    pub weight: u32,
    /// Calls in flight there.
    pub in_flight: u32,
    /// Their bytes.
    pub in_flight_bytes: u64,
    /// Calls that it lets the proxy have in flight.
    pub credit_calls: u32,
    /// Their bytes.
    pub credit_bytes: u64,
    /// Calls sent to it.
    pub sent: u64,
    /// Calls that it answered with a value.
    pub answered: u64,
    /// Calls that it answered with an error.
    pub errors: u64,
    /// Calls that were in flight when its connection was lost.
    pub lost: u64,
    /// What a call takes there, smoothed, in microseconds.
    pub latency_us: u64,
    /// How long it takes to it and back, as heartbeats measure it, in microseconds; `null` if that is
    /// not known.
    pub round_trip_us: Option<u64>,
    /// Why it was last not reached, or parted from; empty if never.
    pub last_error: String,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl From<NodeReport> for NodeStats {
    fn from(node: NodeReport) -> Self {
        NodeStats {
            endpoint: node.endpoint,
            name: node.name,
            state: match node.state {
                NodeState::Connecting => "connecting",
                NodeState::Failed => "failed",
                NodeState::Up => "up",
                NodeState::Draining => "draining",
                NodeState::Leaving => "leaving",
            },
            weight: node.weight,
            in_flight: node.in_flight,
            in_flight_bytes: node.in_flight_bytes,
            credit_calls: node.credit_calls,
            credit_bytes: node.credit_bytes,
            sent: node.sent,
            answered: node.answered,
            errors: node.errors,
            lost: node.lost,
            latency_us: micros(node.latency),
            round_trip_us: node.round_trip.map(micros),
            last_error: node.last_error,
        }
    }
}

impl Core {
    pub(super) fn stats(&self, server: &ServerStats) -> ProxyStats {
        let client = self.client.get().map(Client::stats);
        let counts = &self.counts;
        let calls = client
            .as_ref()
            .map(|client| client.calls)
            .unwrap_or_default();
        let mut refused: BTreeMap<String, u64> = BTreeMap::new();
        for (reason, count) in &server.refused {
            refused.insert((*reason).to_owned(), *count);
        }
        let hops = counts.hops.load(Ordering::Relaxed);
        refused.insert("over-hops".to_owned(), hops);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        ProxyStats {
            name: self.name.clone(),
            state: match (self.is_leaving(), self.is_paused()) {
                (true, _) => "draining",
                (false, true) => "paused",
                (false, false) => "running",
            },
            uptime_ms: millis(self.since.elapsed()),
            callers: server.callers as u64,
            calls: server.calls,
            passed: counts.passed.load(Ordering::Relaxed),
            in_flight: counts.held.load(Ordering::SeqCst),
            in_flight_bytes: counts.held_bytes.load(Ordering::SeqCst),
            waiting: calls.waiting as u64,
            kept: self.kept() as u64,
            answered: server.answered,
            errors: server.failed,
            repicked: calls.repicked,
            refused,
            streams_open: server.streams.open,
            items_in: server.streams.items_in,
            items_out: server.streams.items_out,
            nodes: client
                .map(|client| client.nodes)
                .unwrap_or_default()
                .into_iter()
                .map(NodeStats::from)
                .collect(),
        }
    }
}
