//! Over the fabric itself: a server and a client, over tcp.

mod ends;

use std::time::Duration;

use brokerless as fabric;
use brokerless::client::{Call, Client};
use brokerless::server::Server;
use brokerless::service::Service;

/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of this service, and a client of that.
fn serve(service: impl Service) -> (Server, Client) {
    let server = Server::builder().service(service);
    let server = server.bind("tcp://127.0.0.1:*").expect("a free port");
    let endpoint = server.local_endpoints()[0].to_string();
    let client = Client::connect(endpoint).expect("an endpoint");
    (server, client)
}

/// The options of a call for this tenant.
fn tenant(name: &'static str) -> Call {
    Call::new().metadata("tenant", name)
}

#[allow(clippy::duplicate_mod, reason = "the same holds over both fabrics")]
#[path = "../facts.rs"]
mod facts;
