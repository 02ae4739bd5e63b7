//! Nodes, and a proxy in front of them.

use brokerless::Policy;
use brokerless::client::{Client, ClientBuilder};
use brokerless::proxy::{Member, Proxy, ProxyBuilder, ProxyStats};
use std::time::Duration;

use crate::desk::DeskClient;
use crate::support::{PATIENCE, Served, until};

/// A proxy and its nodes.
pub(crate) struct Fleet {
    pub(crate) proxy: Proxy,
    pub(crate) endpoint: String,
    pub(crate) nodes: Vec<Served>,
}

impl Fleet {
    /// So many nodes behind a proxy that is bound there.
    pub(crate) fn at(
        endpoint: &str,
        nodes: usize,
        build: impl FnOnce(ProxyBuilder) -> ProxyBuilder,
    ) -> Fleet {
        let nodes = (0..nodes).map(|_| Served::new()).collect();
        Fleet::of(endpoint, nodes, build)
    }

    /// These nodes behind it.
    pub(crate) fn of(
        endpoint: &str,
        nodes: Vec<Served>,
        build: impl FnOnce(ProxyBuilder) -> ProxyBuilder,
    ) -> Fleet {
        let members = nodes.iter().map(|node| Member::new(&*node.endpoint));
        let proxy = proxy(endpoint, members, build);
        let endpoint = proxy.local_endpoints()[0].to_string();
        Fleet {
            proxy,
            endpoint,
            nodes,
        }
    }

    /// So many at ports of their own.
    pub(crate) fn new(nodes: usize) -> Fleet {
        Fleet::at("tcp://127.0.0.1:*", nodes, |builder| builder)
    }

    pub(crate) fn desk(&self) -> DeskClient {
        DeskClient::from(self.client(|builder| builder.timeout(PATIENCE)))
    }

    pub(crate) fn client(&self, build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
        let client = build(Client::builder()).connect(&self.endpoint);
        client.expect("an endpoint")
    }

    /// Waits until the proxy may call so many nodes.
    #[track_caller]
    pub(crate) fn up(&self, nodes: usize) {
        up(&self.proxy, nodes);
    }

    /// Waits until nothing is left of what was passed on.
    #[track_caller]
    pub(crate) fn quiet(&self) {
        until("nothing is in flight in the proxy", || {
            let stats = self.proxy.stats();
            stats.in_flight == 0 && stats.in_flight_bytes == 0 && stats.streams_open == 0
        });
    }
}

/// A proxy for these nodes.
pub(crate) fn proxy(
    endpoint: &str,
    members: impl IntoIterator<Item = Member>,
    build: impl FnOnce(ProxyBuilder) -> ProxyBuilder,
) -> Proxy {
    let builder = Proxy::builder().name("edge").nodes(members);
    // In turn, so that a test knows who is called.
    let builder = builder.policy(Policy::weighted());
    let builder = builder.drain_timeout(Duration::from_secs(20));
    build(builder).bind(endpoint).expect("it binds")
}

#[track_caller]
pub(crate) fn up(proxy: &Proxy, nodes: usize) {
    until("the nodes are up", || states(&proxy.stats(), "up") == nodes);
}

/// How many nodes stand so.
pub(crate) fn states(stats: &ProxyStats, state: &str) -> usize {
    stats.nodes.iter().filter(|it| it.state == state).count()
}
