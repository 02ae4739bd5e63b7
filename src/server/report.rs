//! What is told of a server over the wire, by the built-in statistics.
//!
//! # Not here
//!
//! What is counted (`stats.rs`); how it is told (`crate::builtin`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::pool::PoolStats;
use super::serve::{Phase, Shared};
use super::session::Session;
use super::stats::MethodStats;
use crate::builtin::{
    CallerReport, MethodReport, Observed, PoolReport, SocketReport, StatsReport, StreamReport,
};

impl Observed for Shared {
    fn snapshot(&self) -> StatsReport {
        let stats = self.counted();
        let uptime = Instant::now().saturating_duration_since(self.origin);
        StatsReport {
            name: self.settings.name.clone(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            draining: self.phase() != Phase::Serving,
            calls: stats.calls,
            answered: stats.answered,
            failed: stats.failed,
            panicked: stats.panicked,
            refused: owned(&stats.refused),
            dropped: owned(&stats.dropped),
            hellos_refused: stats.hellos_refused,
            cancels: stats.cancels,
            in_flight: stats.in_flight,
            callers: stats.callers as u64,
            streams: StreamReport {
                begun: stats.streams.begun,
                open: stats.streams.open,
                items_in: stats.streams.items_in,
                items_out: stats.streams.items_out,
                violations: owned(&stats.streams.violations),
            },
            pools: stats.pools.into_iter().map(pool).collect(),
            methods: stats.methods.into_iter().map(method).collect(),
        }
    }

    fn callers(&self) -> Vec<CallerReport> {
        let sessions = self.sessions.all();
        let caller = |session: &Arc<Session>| {
            let (stats, credit) = {
                let state = session.lock();
                (state.machine.stats(), state.machine.credit())
            };
            CallerReport {
                name: session.caller().name().to_owned(),
                peer: session.id(),
                calls: stats.arrived,
                in_flight: stats.held,
                credit: credit.calls,
            }
        };
        sessions.iter().map(caller).collect()
    }

    fn sockets(&self) -> Vec<SocketReport> {
        let sockets = self.groups.iter().map(|group| group.router.stats());
        sockets
            .map(|stats| SocketReport {
                connections: stats.connections as u64,
                arrived: stats.arrived_messages,
                arrived_bytes: stats.arrived_bytes,
                recv_queue: stats.recv_queue_messages as u64,
                sent: stats.sent_messages,
                sent_bytes: stats.sent_bytes,
                send_queue: stats.send_queue_messages as u64,
                send_queue_bytes: stats.send_queue_bytes as u64,
                refused: owned(&stats.refused),
                dropped: owned(&stats.dropped),
                closes: owned(&stats.closes),
            })
            .collect()
    }
}

fn pool(stats: PoolStats) -> PoolReport {
    PoolReport {
        name: stats.name,
        threads: stats.threads as u64,
        running: stats.running as u64,
        queued: stats.queued as u64,
        queued_most: stats.queued_most as u64,
        queued_bytes: stats.queued_bytes as u64,
        refused: stats.refused,
    }
}

fn method(stats: MethodStats) -> MethodReport {
    MethodReport {
        path: stats.path.to_owned(),
        calls: stats.calls,
        failed: stats.failed,
        duration_ns: u64::try_from(stats.duration.as_nanos()).unwrap_or(u64::MAX),
    }
}

fn owned(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    let counts = counts.iter();
    counts
        .map(|(reason, count)| ((*reason).to_owned(), *count))
        .collect()
}
