//! Passing calls on: the services of a pool of nodes, under one address.
//!
//! ```text
//! callers ── sessions ──► Server ── Fallback ──► Leg ── Relay ──► Client ── sessions ──► nodes
//!                            ◄── Back ──── Leg ◄── Returns ──┘
//! ```
//!
//! A [`Proxy`] is a server to its callers and a caller to its nodes. It knows no types: the frames of
//! a call, of its items and of its answer are shared, never copied or decoded. Both sides are on one
//! engine, so the thread that reads a call sends it on, and the thread that reads its answer sends
//! that back: a call in flight keeps memory, and no thread.
//!
//! What a caller may have in flight is the proxy's to grant, as any server's; a call that no node has
//! credit for waits in the proxy, within a bound, and beyond that it is refused as a full server
//! refuses. The windows of a stream are the far taker's own, and go through: a reader that stops
//! costs the proxy at most its window.
//!
//! # What is the proxy's own
//!
//! | service | who answers |
//! |---|---|
//! | `brokerless.health.v1.check` of `""` | the proxy: it serves while any node is up |
//! | `brokerless.health.v1`, all else of it | a node |
//! | `brokerless.reflection.v1`, `brokerless.echo.v1` | a node |
//! | `brokerless.stats.v1` | the proxy, of itself |
//! | any other | a node |
//!
//! | file | what |
//! |---|---|
//! | `builder.rs` | options, their bounds, the start |
//! | `core.rs` | what the threads share: which calls are taken up |
//! | `leg.rs` | one call, between its caller and its node |
//! | `pause.rs` | calls that are kept while nothing is passed on |
//! | `nodes.rs` | the nodes, and how they change |
//! | `stats.rs` | what is counted |
//!
//! # Invariants
//!
//! 1. A call that was not sent to a node says so: it has not run. (test
//!    `a_call_that_cannot_be_sent_has_not_run`)
//! 2. A call that was lost in flight may have run, and says that. (test
//!    `a_killed_node_leaves_its_calls_maybe_and_the_others_go_on`)
//! 3. What waits in the proxy is bounded, in calls and in bytes. (test
//!    `a_pool_without_credit_makes_callers_wait_and_then_refuses_them`)
//! 4. Calls that go round in a loop end. (test `a_loop_of_proxies_ends_at_the_hop_limit`)
//!
//! # Not here
//!
//! The sessions and windows (`crate::server`, `crate::client`, `crate::machine`); files, flags,
//! commands and signals: the program `bl-proxy`.

mod builder;
mod core;
mod leg;
mod nodes;
mod pause;
mod stats;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use brokerless_patterns::Endpoint;

use self::core::Core;
use crate::builtin::Condition;
use crate::error::Error;
use crate::server::{DrainReport, Server};

pub use builder::ProxyBuilder;
pub use nodes::Change;
pub use stats::{NodeStats, ProxyStats};

#[doc(no_inline)]
pub use crate::client::Member;

/// Serves the services of a pool of nodes under addresses of its own, from when it is built until it
/// is stopped or dropped.
///
/// ```
/// use brokerless::proxy::Proxy;
///
/// #[brokerless::service(name = "twice.v1")]
/// trait Twice {
///     fn twice(&self, x: u64) -> u64;
/// }
///
/// struct Handler;
///
/// impl Twice for Handler {
///     fn twice(&self, x: u64) -> u64 {
///         2 * x
///     }
/// }
///
/// # use brokerless::Server;
/// let node = Server::builder().service(TwiceServer::new(Handler)).bind("inproc://proxy-node")?;
/// let proxy = Proxy::builder().nodes(["inproc://proxy-node"]).bind("inproc://proxy-tour")?;
///
/// let client = TwiceClient::connect("inproc://proxy-tour")?;
/// assert_eq!(client.twice(21)?, 42);
/// assert!(proxy.stop().is_clean());
/// # drop(node);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Proxy {
    server: Server,
    core: Arc<Core>,
}

impl Proxy {
    /// What a proxy is built with.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::default()
    }

    /// The endpoints bound to, wildcards resolved. Empty once the proxy leaves.
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.server.local_endpoints()
    }

    /// The nodes, as they were last set.
    pub fn nodes(&self) -> Vec<Member> {
        self.core.nodes()
    }

    /// Makes these the nodes: new ones are connected to, those left out are drained and parted from,
    /// others get the weight, priority and zone that they have here. No call fails for it. Says what has changed.
    ///
    /// # Errors
    ///
    /// If there is none, an endpoint is malformed or stands twice, a field is out of its bounds, the
    /// policy has a home and none of them is there (one of weight 0 is, too), or the proxy has been
    /// stopped. Nothing was changed then.
    pub fn set_nodes(
        &self,
        nodes: impl IntoIterator<Item = impl Into<Member>>,
    ) -> Result<Vec<Change>, Error> {
        self.core
            .set_nodes(nodes.into_iter().map(Into::into).collect())
    }

    /// Passes no call on from now on: those that come are kept, within the bound of what waits; what
    /// is in flight goes on.
    pub fn pause(&self) {
        self.core.pause();
    }

    /// Passes on what was kept, and what comes.
    pub fn resume(&self) {
        self.core.resume();
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.core.is_paused()
    }

    /// Whether it should be called: it serves while any node is up.
    pub fn condition(&self) -> Condition {
        self.core.condition()
    }

    /// What it has done so far, and how its nodes stand.
    pub fn stats(&self) -> ProxyStats {
        self.core.stats(&self.server.stats())
    }

    /// Stops, with the drain timeout that it was built with: callers are told, what is in flight is
    /// answered, the nodes are left. A second call waits for the first one's end.
    ///
    /// # Blocking
    ///
    /// As [`Server::stop`].
    pub fn stop(&self) -> DrainReport {
        self.core.leave();
        let report = self.server.stop();
        self.core.close();
        report
    }

    /// As [`stop`](Self::stop), with this drain timeout.
    pub fn stop_within(&self, timeout: Duration) -> DrainReport {
        self.core.leave();
        let report = self.server.stop_within(timeout);
        self.core.close();
        report
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("name", &self.core.name)
            .field("nodes", &self.nodes())
            .finish_non_exhaustive()
    }
}
