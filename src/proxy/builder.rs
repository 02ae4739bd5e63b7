//! What a proxy is told before it starts, and what is checked then.

use std::sync::Arc;
use std::time::Duration;

use brokerless_patterns::balance::Policy;
use brokerless_patterns::{Engine, Options};

use super::Proxy;
use super::core::{Core, Passer};
use super::nodes;
use crate::client::{Client, Member};
use crate::error::Error;
use crate::server::{Server, ServerBuilder};

const TEBIBYTE: u64 = 1 << 40;

/// Builds a [`Proxy`].
///
/// The setters take what they are given; bounds are checked by [`bind`](Self::bind), which starts
/// it.
///
/// # Worst-case memory
///
/// `bytes_max` and one call, for calls and what they wait for; as much again and one message of each
/// call, for items that callers let be sent and do not read; for each connection what its options
/// allow; for each call that is sent items what its node lets be sent, and one item.
#[must_use]
pub struct ProxyBuilder {
    name: String,
    nodes: Vec<Member>,
    policy: Option<Policy>,
    hops_max: u32,
    queue: usize,
    bytes_max: u64,
    /// Windows, the largest call, the drain: what a proxy is to its callers.
    server: ServerBuilder,
    options: Options,
}

impl Default for ProxyBuilder {
    fn default() -> Self {
        ProxyBuilder {
            name: String::new(),
            nodes: Vec::new(),
            policy: None,
            hops_max: 4,
            queue: 1024,
            bytes_max: 256 << 20,
            server: Server::builder().workers(1),
            options: Options::new(),
        }
    }
}

impl ProxyBuilder {
    /// What it calls itself, for people: callers and nodes are told. Default empty; at most 255 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Nodes that calls are passed on to, with their weight, priority and place; beside those given
    /// before. Default: none.
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = impl Into<Member>>) -> Self {
        self.nodes.extend(nodes.into_iter().map(Into::into));
        self
    }

    /// Which node gets the next call. Default: adaptive, as a client's.
    ///
    /// One by key goes by the keys that calls bring: those of `#[rpc(key = "user")]` and
    /// [`Call::key`](crate::client::Call::key) of Rust callers, and the field `key` of others. A call
    /// that brings none is refused by `FAILED_PRECONDITION`, ran `no`.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Programs that may have passed a call on, this one among them: one more, and it ends with
    /// `FAILED_PRECONDITION`. Default 4; 1 to 64.
    pub fn hops_max(mut self, hops: u32) -> Self {
        self.hops_max = hops;
        self
    }

    /// Calls that may wait for the nodes' credit, and calls that are kept while it is paused; one
    /// more is refused with `RESOURCE_EXHAUSTED`. Default 1,024; 1 to 1,000,000.
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls;
        self
    }

    /// Bytes of the calls that it has taken up and not yet answered, all callers' together; one call
    /// fits in any case, and what is beyond it is refused with `RESOURCE_EXHAUSTED`. And, apart from
    /// those, bytes of the items that callers let be sent and do not read: a stream that would have
    /// more kept ends so, too. Default 256 MiB; 1 KiB to 1 TiB.
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Calls that a new caller may have in flight. Default 16; 1 to 65,536. It grows with use, up
    /// to `window_max`.
    pub fn window(mut self, calls: u32) -> Self {
        self.server = self.server.window(calls);
        self
    }

    /// Calls that a caller may have in flight at most. Default 1,024; 1 to 65,536.
    pub fn window_max(mut self, calls: u32) -> Self {
        self.server = self.server.window_max(calls);
        self
    }

    /// Bytes of the largest arguments and of the largest blob, both ways. Default 16 MiB; 1 to
    /// 1 TiB. Callers are told. A node may take less: then it is the node that refuses.
    pub fn blob_bytes_max(mut self, bytes: u64) -> Self {
        self.server = self.server.blob_bytes_max(bytes);
        self
    }

    /// Bytes of the largest call, and of the largest answer. Default 32 MiB, or twice
    /// `blob_bytes_max` if that is more; 1 to 1 TiB.
    pub fn call_bytes_max(mut self, bytes: u64) -> Self {
        self.server = self.server.call_bytes_max(bytes);
        self
    }

    /// What [`stop`](Proxy::stop) and dropping give calls and callers to come to an end. Default
    /// 10 s; at most a day.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.server = self.server.drain_timeout(timeout);
        self
    }

    /// Options of the sockets on both sides: heartbeats, connections, TCP. Limits of frames and
    /// messages, engine, identity and queues are the proxy's own. Default [`Options::new`].
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Starts a proxy that is bound to this endpoint.
    ///
    /// # Errors
    ///
    /// As [`bind_all`](Self::bind_all).
    pub fn bind(self, endpoint: &str) -> Result<Proxy, Error> {
        self.bind_all([endpoint])
    }

    /// Starts a proxy that is bound to these endpoints. It does not wait for its nodes: calls that
    /// come before the first is reached wait for that.
    ///
    /// # Errors
    ///
    /// If an option is out of its bounds, there is no node or no endpoint, a node stands twice, or
    /// the system refuses an endpoint or a thread. Nothing runs then.
    pub fn bind_all<E: AsRef<str>>(
        self,
        endpoints: impl IntoIterator<Item = E>,
    ) -> Result<Proxy, Error> {
        let hops = u8::try_from(self.hops_max).ok();
        let hops = hops.filter(|hops| (1..=64).contains(hops));
        let Some(hops_max) = hops else {
            return Err(Error::option("hops_max", self.hops_max, "it is 1 to 64"));
        };
        if !(1..=1_000_000).contains(&self.queue) {
            return Err(Error::option("queue", self.queue, "it is 1 to 1,000,000"));
        }
        if !(1024..=TEBIBYTE).contains(&self.bytes_max) {
            let rule = "it is 1 KiB to 1 TiB";
            return Err(Error::option("bytes_max", self.bytes_max, rule));
        }
        let nodes = nodes::check(self.nodes)?;
        let engine = Engine::new().map_err(brokerless_patterns::Error::System)?;
        let core = Arc::new(Core::new(
            self.name.clone(),
            hops_max,
            self.queue,
            self.bytes_max,
            nodes.clone(),
        ));
        let options = self.server.with_room(self.options);
        let mut client = Client::builder();
        if let Some(policy) = self.policy {
            // Calls bring their keys, or are refused.
            let keyed = policy.needs_key();
            client = client.policy(if keyed {
                policy.keyed_by_call()
            } else {
                policy
            });
        }
        let client = client
            .name(&self.name)
            .waiting_max(self.queue)
            .options(options.clone())
            .engine(&engine)
            .nodes(nodes)
            .connect(())?;
        // It is set once.
        let _ = core.client.set(client);
        let server = self
            .server
            .name(self.name)
            .window_bytes_max(self.bytes_max.clamp(64 << 10, 64 << 20))
            .transport(options)
            .passing(&engine, Arc::new(Passer(core.clone())))
            .bind_all(endpoints)?;
        Ok(Proxy { server, core })
    }
}

impl std::fmt::Debug for ProxyBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyBuilder")
            .field("name", &self.name)
            .field("nodes", &self.nodes)
            .field("hops_max", &self.hops_max)
            .finish_non_exhaustive()
    }
}
