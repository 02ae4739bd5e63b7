//! Servers, clients and peers by hand for the tests.

#[path = "../support/port.rs"]
mod port;
#[path = "../../patterns/tests/support/rounds.rs"]
mod rounds;
#[path = "../support/waiting.rs"]
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brokerless::client::{Client, ClientBuilder, NodeReport};
use brokerless::patterns::{Frame, Message, Peer, Router};
use brokerless::server::{Server, ServerBuilder};
use brokerless::wire::{
    Credit, Envelope, ErrorHead, ReplyHead, Version, Welcome, encode_error, encode_reply,
    encode_welcome,
};
use brokerless::{Ran, Status};

use crate::desk::{DeskClient, DeskServer, Handler};

pub(crate) use port::KeptPort;
pub(crate) use rounds::in_rounds;
pub(crate) use waiting::{PATIENCE, until};

static NAMES: AtomicUsize = AtomicUsize::new(0);

/// An endpoint within the process that nobody else has.
pub(crate) fn inproc() -> String {
    format!("inproc://rpc-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// An endpoint to bind of each transport.
pub(crate) fn transports() -> [String; 3] {
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let id = std::process::id();
    let path = std::env::temp_dir().join(format!("brokerless-rpc-{id}-{number}.ipc"));
    [
        "tcp://127.0.0.1:*".to_owned(),
        format!("ipc://{}", path.display()),
        inproc(),
    ]
}

/// A server with a desk.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) desk: Arc<Handler>,
    pub(crate) endpoint: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // What a test has not let go must not hold up the end of the server.
        self.desk.open();
    }
}

impl Served {
    /// At this endpoint, with these options.
    pub(crate) fn at(endpoint: &str, build: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Served {
        let desk = Arc::new(Handler::default());
        let builder = Server::builder().service(DeskServer::new(desk.clone()));
        let builder = builder.drain_timeout(Duration::from_secs(2));
        let server = build(builder).bind(endpoint).expect("it binds");
        let endpoint = server.local_endpoints()[0].to_string();
        Served {
            server,
            desk,
            endpoint,
        }
    }

    /// At a port of its own.
    pub(crate) fn new() -> Served {
        Served::at("tcp://127.0.0.1:*", |builder| builder)
    }

    /// One whose calls take as long as they take: see `deadlines.rs` for the rest.
    pub(crate) fn client(&self) -> DeskClient {
        self.client_of(|builder| builder.timeout(PATIENCE))
    }

    pub(crate) fn client_of(
        &self,
        build: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> DeskClient {
        let client = build(Client::builder()).connect(&self.endpoint);
        DeskClient::from(client.expect("an endpoint"))
    }
}

/// Takes so long: what is slow in a test is not waited for by it.
pub(crate) fn take_time(time: Duration) {
    let over = crossbeam_channel::after(time);
    over.recv().expect("it is sent once the time is over");
}

/// Waits until every node takes calls.
#[track_caller]
pub(crate) fn all_up(desk: &DeskClient) {
    until("every node is up", || {
        let nodes = desk.client().stats().nodes;
        nodes
            .iter()
            .all(|node| node.name.is_empty() && node.credit_calls > 0)
    });
}

/// What a client knows of the node at this endpoint.
#[track_caller]
pub(crate) fn node(client: &Client, endpoint: &str) -> NodeReport {
    let stats = client.stats();
    let found = stats.nodes.iter().find(|node| node.endpoint == endpoint);
    found.expect("a node of the pool").clone()
}

/// A replier made of a ROUTER and the wire's functions: it does what a test says, and no more.
pub(crate) struct ByHand {
    pub(crate) router: Router,
    pub(crate) endpoint: String,
}

impl ByHand {
    pub(crate) fn new(endpoint: &str) -> ByHand {
        let router = Router::bind(endpoint).expect("a free endpoint");
        let endpoint = router.local_endpoints()[0].to_string();
        ByHand { router, endpoint }
    }

    /// The next message that is a call: from whom, its number and its method. Hellos that come
    /// before are welcomed with this window; other kinds are given to `other`.
    pub(crate) fn call(&self, calls: u32, mut other: impl FnMut(&Message)) -> (Peer, u64, String) {
        loop {
            let (peer, message) = self.router.recv_timeout(PATIENCE).expect("a message");
            match Envelope::decode(message.first()).expect("an envelope") {
                Envelope::Call(head) => return (peer, head.id, head.method.to_owned()),
                Envelope::Hello(hello) => self.welcome(&peer, hello.version, calls),
                _ => other(&message),
            }
        }
    }

    pub(crate) fn welcome(&self, peer: &Peer, version: u8, calls: u32) {
        let welcome = encode_welcome(&Welcome {
            version,
            credit: Credit {
                calls,
                bytes: 1 << 20,
            },
            blob_bytes_max: u64::MAX,
            name: "by hand",
            call_bytes_max: u64::MAX,
            pulls: false,
            wants_keys: false,
        });
        self.router.send(peer, welcome).expect("it is there");
    }

    pub(crate) fn reply(&self, peer: &Peer, id: u64, body: &[u8]) {
        let head = ReplyHead {
            id,
            load: None,
            credit: None,
        };
        let envelope = encode_reply(&head, Version::NEWEST);
        let message = Message::from_frames([envelope, Frame::copy_from_slice(body)]);
        self.router.send(peer, message).expect("it is there");
    }

    pub(crate) fn refuse(&self, peer: &Peer, id: u64, status: &Status, ran: Ran) {
        let envelope = encode_error(&ErrorHead::new(id, status, ran), Version::NEWEST);
        self.router.send(peer, envelope).expect("it is there");
    }
}
