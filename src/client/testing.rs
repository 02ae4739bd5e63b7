//! What tests of this room share: a node that is made by hand, and measures in rounds.

#[path = "../../patterns/tests/support/rounds.rs"]
pub(super) mod rounds;

use std::sync::Arc;

use brokerless_patterns::tap::Tap;
use brokerless_patterns::{Dealer, Message, Options, Peer, Router};
use parking_lot::Mutex;

use super::node::Link;
use crate::wire::Version;

#[derive(Default)]
struct Came(Mutex<Option<Peer>>);

impl Tap for Came {
    fn take(&self, _: &Peer, _: Message) {}
    fn came(&self, peer: &Peer) {
        *self.0.lock() = Some(peer.clone());
    }
}

/// A connection to a node within the process, where so many messages find room each way.
pub(super) fn node(endpoint: &str, room: usize) -> (Router, Arc<Link>) {
    let router = Router::with(Options::new().recv_messages_max(room)).unwrap();
    router.bind_to(endpoint).unwrap();
    let came = Arc::new(Came::default());
    let options = Options::new().send_messages_max(room);
    let dealer = Dealer::with_tap(options, came.clone()).unwrap();
    dealer.connect_to(endpoint).unwrap();
    let peer = came.0.lock().take().expect("it is there at once");
    let link = Arc::new(Link {
        dealer: Arc::new(dealer),
        peer,
        version: Version::NEWEST,
        blob_bytes_max: u64::MAX,
        call_bytes_max: u64::MAX,
        sessionless: false,
        lends: false,
        wants_keys: false,
    });
    (router, link)
}
