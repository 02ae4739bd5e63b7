//! The serving end: services behind endpoints, run by threads.
//!
//! ```text
//!              ┌ engine ── Router ── receiving threads: workers + 2 ──┬─ inline methods
//!  endpoints ──┤                        seats ── default pool ────────┤
//!              └ engine ── ...                                        └─► named pools: own threads
//! ```
//!
//! A [`Server`] serves from the moment when it is built. A thread that receives a call runs it
//! itself if it may: that spares two thread switches a call.
//!
//! # How a server ends
//!
//! | what | does |
//! |---|---|
//! | [`Server::stop`], [`Server::stop_within`] | drain, and wait for its end |
//! | [`Stopper::stop`] | begins the drain, from anywhere, handlers too |
//! | [`Server::wait`], [`Server::run`] | wait until somebody else has stopped it |
//! | `Server::run_until_signal` | the same, with SIGTERM and SIGINT as somebody else |
//! | dropping it | as [`Server::stop`] |
//!
//! A drain closes the listeners, says bye to callers, runs what is there until its deadline, answers
//! the rest with `UNAVAILABLE`, which has not run, waits until every caller has said bye in turn and
//! every answer is written, and closes the connections. [`DrainReport`] says what came of it. A
//! handler that blocks beyond the end keeps its thread and nothing else.
//!
//! | file | what |
//! |---|---|
//! | `builder.rs` | options, their bounds, the start |
//! | `receive.rs` | the threads that receive: envelopes to calls |
//! | `hooks.rs` | what the threads that read do at once |
//! | `stream/` | calls that carry items |
//! | `serve.rs` | what threads share; a call from start to answer |
//! | `call.rs` | a call on its way, and what its handler sees |
//! | `answer.rs` | answers to bytes |
//! | `owed.rs` | what found no room in the socket |
//! | `pool.rs`, `queue.rs` | who runs a call, and what waits |
//! | `pull.rs` | worker-pull: credit for free workers alone |
//! | `pass.rs` | calls that are passed on |
//! | `methods.rs` | methods by path, and what was learned of them |
//! | `session.rs` | callers |
//! | `drain.rs` | the end |
//! | `load.rs` | what is said of its load, on each answer |
//! | `intercept.rs`, `stats.rs` | what surrounds calls, what is counted |
//! | `report.rs` | what of it is told over the wire |
//! | `signals.rs` | the end by a signal |
//!
//! # Not here
//!
//! What is admitted, the credit that is granted, when a session is over (`crate::machine`); the
//! bytes (`crate::wire`); what a handler is (`crate::service`); health,
//! reflection, statistics and echo (`crate::builtin`).

mod answer;
mod builder;
mod call;
mod drain;
mod hooks;
mod intercept;
mod load;
mod methods;
mod owed;
mod pass;
mod pool;
mod pull;
mod queue;
mod receive;
mod report;
mod serve;
mod session;
#[cfg(feature = "signals")]
mod signals;
mod stats;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use brokerless_patterns::Endpoint;

pub use crate::builtin::{Condition, Health};
pub use builder::{Pool, ServerBuilder};
pub use drain::DrainReport;
pub use intercept::{Interceptor, Next};
pub use load::Utilisation;
pub(crate) use pass::{Back, Fallback, Hears, Unread};
pub use pool::PoolStats;
use serve::Shared;
#[cfg(feature = "signals")]
pub use signals::until_signal;
pub use stats::{MethodStats, ServerStats, StreamStats};

/// Serves services, from when it is built until it is stopped or dropped.
///
/// ```
/// use brokerless::server::Server;
///
/// let server = Server::builder().name("example").bind("tcp://127.0.0.1:*")?;
/// println!("listening on {}", server.local_endpoints()[0]);
/// let report = server.stop();
/// assert!(report.is_clean());
/// # Ok::<(), brokerless::Error>(())
/// ```
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// What a server is built with.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The endpoints bound to, wildcards resolved, in the order of their engines. Empty once the
    /// server leaves.
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        let groups = self.shared.groups.iter();
        groups
            .flat_map(|group| group.router.local_endpoints())
            .collect()
    }

    /// Serves until somebody stops it; says how it ended.
    ///
    /// # Blocking
    ///
    /// Until then.
    pub fn run(self) -> DrainReport {
        self.shared.drain.wait()
    }

    /// As [`run`](Self::run), for threads that share the server.
    pub fn wait(&self) -> DrainReport {
        self.shared.drain.wait()
    }

    /// Stops serving, with the drain timeout that it was built with; says how it ended. A second
    /// call waits for the first one's end, and says the same.
    ///
    /// # Blocking
    ///
    /// Until the drain's end: at the latest the drain timeout, a quarter of a second for handlers
    /// to see that they are cancelled, the linger time for the last answers, and a second for
    /// threads to go. A handler that asks for it waits for itself until then; it should use a
    /// [`Stopper`].
    pub fn stop(&self) -> DrainReport {
        self.stop_within(self.shared.settings.drain_timeout)
    }

    /// As [`stop`](Self::stop), with this drain timeout.
    pub fn stop_within(&self, timeout: Duration) -> DrainReport {
        drain::begin(&self.shared, timeout);
        self.shared.drain.wait()
    }

    /// What stops the server from anywhere.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            shared: Arc::downgrade(&self.shared),
        }
    }

    /// What says whether its services are fit to be called.
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// Says how much of what it can do it does, from anywhere: see [`Utilisation`].
    pub fn utilisation(&self) -> Utilisation {
        self.shared.utilisation.clone()
    }

    /// Says it once: [`Utilisation::set`].
    pub fn set_utilisation(&self, utilisation: Option<f64>) {
        self.shared.utilisation.set(utilisation);
    }

    /// What it has done so far.
    pub fn stats(&self) -> ServerStats {
        self.shared.stats()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.shared.methods.services().iter();
        f.debug_struct("Server")
            .field("name", &self.shared.settings.name)
            .field(
                "services",
                &services.map(|about| about.name).collect::<Vec<_>>(),
            )
            .field("phase", &self.shared.phase())
            .finish_non_exhaustive()
    }
}

/// Stops a server from anywhere, handlers too. It keeps no server alive; clones are the same.
#[derive(Clone)]
pub struct Stopper {
    shared: std::sync::Weak<Shared>,
}

impl Stopper {
    #[cfg(feature = "signals")]
    fn is_alive(&self) -> bool {
        self.shared.strong_count() > 0
    }

    /// Begins the drain, with the timeout that the server was built with, and does not wait for
    /// it. Without effect on a server that has been stopped.
    pub fn stop(&self) {
        if let Some(shared) = self.shared.upgrade() {
            drain::begin(&shared, shared.settings.drain_timeout);
        }
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}
