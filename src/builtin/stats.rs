//! Statistics: what a server has done and does now, for people and tools.
//!
//! The server itself is not known here: it is looked at through [`Observed`], which it gives once
//! it is there.
//!
//! # Invariants
//!
//! 1. What is told is bounded: callers by [`CALLERS_MAX`], the rest by what the program made, never
//!    by what callers did. (test `no_more_callers_are_told_than_the_most`)
//! 2. A server that has gone, or is not there yet, is told as one that has done nothing. (test
//!    `a_server_that_is_not_there_has_done_nothing`)

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use serde::{Deserialize, Serialize};

/// Callers that are told of one by one.
pub const CALLERS_MAX: usize = 64;

/// What a server has done since it was made, and its state now, as it is told over the wire.
///
/// At rest, `calls` is the sum of `answered`, `failed`, what `refused` holds, and what `dropped`
/// holds under `duplicate-call` and `caller-gone`; else calls in flight are missing from it. The
/// call that asks is in flight itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StatsReport {
    /// What the server calls itself; empty if it has no name.
    pub name: String,
    /// How long it has been there, in milliseconds.
    pub uptime_ms: u64,
    /// Whether it is about to leave.
    pub draining: bool,
    /// Calls that came in.
    pub calls: u64,
    /// Calls answered with a value.
    pub answered: u64,
    /// Calls answered with an error of the handler or interceptor, or since arguments did not fit.
    pub failed: u64,
    /// Of these, those whose handler panicked.
    pub panicked: u64,
    /// Calls refused before they ran, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Messages that came to nothing, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Sessions refused.
    pub hellos_refused: u64,
    /// Cancellations that came in.
    pub cancels: u64,
    /// Calls that wait or run.
    pub in_flight: u64,
    /// Callers that are connected and have said something.
    pub callers: u64,
    /// Calls that carry items.
    pub streams: StreamReport,
    /// The pools: the default one of each engine, then the named ones.
    pub pools: Vec<PoolReport>,
    /// The methods, in the order of their services.
    pub methods: Vec<MethodReport>,
}

/// Calls that carry items, as they are told over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamReport {
    /// Those whose methods have begun.
    pub begun: u64,
    /// Of these, those that have not ended.
    pub open: u64,
    /// Items that came and were taken in.
    pub items_in: u64,
    /// Items that went out.
    pub items_out: u64,
    /// What callers did that they must not, by reason: each ended its stream.
    pub violations: BTreeMap<String, u64>,
}

/// A pool of workers, as it is told over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PoolReport {
    /// Its name; that of the default pool is empty.
    pub name: String,
    /// Handlers that it runs at most at once.
    pub threads: u64,
    /// Handlers that run.
    pub running: u64,
    /// Calls that wait for a thread.
    pub queued: u64,
    /// The most that have waited at once.
    pub queued_most: u64,
    /// Bytes of those that wait.
    pub queued_bytes: u64,
    /// Calls refused since the queue was full.
    pub refused: u64,
}

/// Counts of one method, as they are told over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct MethodReport {
    /// Its path: `calc.v1.add`.
    pub path: String,
    /// Calls that it has begun.
    pub calls: u64,
    /// Of these, those that ended with an error.
    pub failed: u64,
    /// How long the handler takes, averaged over the last few calls, in nanoseconds; zero before
    /// the first.
    pub duration_ns: u64,
}

/// One caller, as it is told over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CallerReport {
    /// The name that it announced, a claim; empty if it announced none.
    pub name: String,
    /// The number of its connection.
    pub peer: u64,
    /// Calls that came from it.
    pub calls: u64,
    /// Its calls that wait or run.
    pub in_flight: u32,
    /// Calls that it may have in flight.
    pub credit: u32,
}

/// One socket, as it is told over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SocketReport {
    /// Connections that came in and are open.
    pub connections: u64,
    /// Whole messages that came in.
    pub arrived: u64,
    /// Their payload bytes.
    pub arrived_bytes: u64,
    /// Messages that wait to be received.
    pub recv_queue: u64,
    /// Messages taken to be sent.
    pub sent: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Messages that wait to go out.
    pub send_queue: u64,
    /// Their bytes.
    pub send_queue_bytes: u64,
    /// Messages that were refused to the server, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Messages that were dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Connections that ended, or never came to be, by reason.
    pub closes: BTreeMap<String, u64>,
}

/// What a server has done and does now. Offered by every server, unless it was told not to.
#[crate::service(name = "brokerless.stats.v1", crate = "crate")]
pub trait Stats {
    /// Counts of calls, methods and pools.
    #[rpc(inline, idempotent)]
    fn snapshot(&self) -> StatsReport;

    /// The callers that are connected, those with the most calls in flight first: 64 at most.
    #[rpc(idempotent)]
    fn callers(&self) -> Vec<CallerReport>;

    /// The sockets, one an engine.
    #[rpc(idempotent)]
    fn sockets(&self) -> Vec<SocketReport>;
}

/// What can be asked of a server.
pub(crate) trait Observed: Send + Sync {
    /// Counts, cheaply: it is asked on the thread that receives.
    fn snapshot(&self) -> StatsReport;
    /// All callers, in any order.
    fn callers(&self) -> Vec<CallerReport>;
    /// The sockets.
    fn sockets(&self) -> Vec<SocketReport>;
}

/// The server that is told of, once it is there. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Observer(Arc<OnceLock<Weak<dyn Observed>>>);

impl Observer {
    /// The server is there.
    pub(crate) fn observe(&self, server: Weak<dyn Observed>) {
        self.0.get_or_init(|| server);
    }

    fn server(&self) -> Option<Arc<dyn Observed>> {
        self.0.get().and_then(Weak::upgrade)
    }
}

impl Stats for Observer {
    fn snapshot(&self) -> StatsReport {
        let server = self.server();
        server.map(|server| server.snapshot()).unwrap_or_default()
    }

    fn callers(&self) -> Vec<CallerReport> {
        let server = self.server();
        let mut callers = server.map(|server| server.callers()).unwrap_or_default();
        callers.sort_by(|one, other| {
            let busiest = other.in_flight.cmp(&one.in_flight);
            busiest
                .then(other.calls.cmp(&one.calls))
                .then(one.peer.cmp(&other.peer))
        });
        callers.truncate(CALLERS_MAX);
        callers
    }

    fn sockets(&self) -> Vec<SocketReport> {
        let server = self.server();
        server.map(|server| server.sockets()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Busy;

    impl Observed for Busy {
        fn snapshot(&self) -> StatsReport {
            StatsReport {
                calls: 7,
                ..StatsReport::default()
            }
        }

        fn callers(&self) -> Vec<CallerReport> {
            let caller = |peer: u32| CallerReport {
                peer: peer.into(),
                in_flight: peer % 100,
                ..CallerReport::default()
            };
            (0..1000).map(caller).collect()
        }

        fn sockets(&self) -> Vec<SocketReport> {
            vec![SocketReport::default()]
        }
    }

    #[test]
    fn no_more_callers_are_told_than_the_most() {
        let server: Arc<dyn Observed> = Arc::new(Busy);
        let observer = Observer::default();
        observer.clone().observe(Arc::downgrade(&server));
        let callers = observer.callers();
        assert_eq!(callers.len(), CALLERS_MAX);
        assert_eq!((callers[0].peer, callers[0].in_flight), (99, 99));
        assert_eq!((callers[10].peer, callers[10].in_flight), (98, 98));
        assert_eq!(observer.snapshot().calls, 7);
        assert_eq!(observer.sockets().len(), 1);
    }

    #[test]
    fn a_server_that_is_not_there_has_done_nothing() {
        let observer = Observer::default();
        assert_eq!(observer.snapshot(), StatsReport::default());
        let server: Arc<dyn Observed> = Arc::new(Busy);
        observer.observe(Arc::downgrade(&server));
        drop(server);
        assert_eq!(observer.snapshot(), StatsReport::default());
        assert!(observer.callers().is_empty() && observer.sockets().is_empty());
    }
}
