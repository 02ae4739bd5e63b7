//! One node of the pool: its socket, its connection, and what is told of it.
//!
//! # Invariants
//!
//! 1. What is told of a node that has left is not taken for one that has its place now. (test
//!    `a_late_connection_of_a_node_that_left_is_not_its_successors`)
//! 2. A node that has left is parted from, however others that left with it stand. (test
//!    `a_node_without_a_socket_that_leaves_holds_up_no_other`)

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use std::vec::Drain;

use brokerless_patterns::tap::Tap;
use brokerless_patterns::{CloseReason, Dealer, Headed, Message, Peer, SendRefusal};

use super::core::Core;
use super::slot::Request;
use crate::Status;
use crate::machine::NodeId;
use crate::wire::{Payload, Version, Written};

/// What this client knows of a node, beside what the table of calls does.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: NodeId,
    pub(super) endpoint: Arc<str>,
    /// None until it is there, and once the node is parted from.
    pub(super) dealer: Option<Arc<Dealer>>,
    /// The connection, while there is one.
    pub(super) link: Option<Arc<Link>>,
    pub(super) welcomed: bool,
    /// It has said bye.
    pub(super) draining: bool,
    pub(super) name: Arc<str>,
    pub(super) last_error: Option<String>,
    pub(super) misfits: u64,
    pub(super) inproc: bool,
    /// No session, as something stands between that passes on what it does not understand.
    pub(super) sessionless: bool,
}

impl Place {
    /// How it stands, for people.
    pub(super) fn standing(&self) -> &str {
        match (&self.link, &self.last_error) {
            (None, Some(error)) => error,
            (None, None) => "not connected yet",
            (Some(_), _) if self.draining => "draining",
            (Some(_), Some(error)) if !self.welcomed => error,
            (Some(_), _) if !self.welcomed => {
                "connected, but without a welcome: if a device stands between, use sessionless"
            }
            (Some(_), _) => "connected, without credit",
        }
    }
}

/// One connection to a node.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) dealer: Arc<Dealer>,
    pub(super) peer: Peer,
    pub(super) version: Version,
    /// What the node takes in one part.
    pub(super) blob_bytes_max: u64,
    /// What the node takes in one call.
    pub(super) call_bytes_max: u64,
    pub(super) sessionless: bool,
    /// Messages are encoded where they are sent, and nothing stands before their envelopes: these
    /// need no frame.
    pub(super) lends: bool,
    /// The node passes calls on, and is told their keys. So is whoever is behind a device: nobody
    /// knows what is there.
    pub(super) wants_keys: bool,
}

impl Link {
    /// Why this call is not to be sent over this connection.
    pub(super) fn refuses_call(&self, request: &Request) -> Option<Status> {
        if request.conduit.is_some() && self.version < Version::Two {
            return Some(Status::unimplemented(
                "the node speaks version 1, which has no streams: bring it up to date",
            ));
        }
        self.refuses(&request.payload)
    }

    /// Why this is not to be sent: the node would refuse it at best, and at worst close the
    /// connection before it has read it.
    pub(super) fn refuses(&self, payload: &Payload) -> Option<Status> {
        let most = self.blob_bytes_max;
        // What all of them are within, each is.
        if payload.bytes() as u64 <= most.min(self.call_bytes_max) {
            return None;
        }
        let parts = std::iter::once(&payload.body).chain(&payload.blobs);
        let too_large = parts
            .map(|part| part.len() as u64)
            .enumerate()
            .find(|(_, length)| *length > most);
        let Some((index, length)) = too_large else {
            let (bytes, most) = (payload.bytes() as u64, self.call_bytes_max);
            return (bytes > most).then(|| {
                Status::resource_exhausted(format!(
                    "the call has {bytes} bytes in {} blobs and its arguments: at most {most} are taken; raise the server's option call_bytes_max, or send it in parts",
                    payload.blobs.len()
                ))
            });
        };
        let what = match index {
            0 => "the arguments have".to_owned(),
            _ => format!("blob {} has", index - 1),
        };
        Some(Status::resource_exhausted(format!(
            "{what} {length} bytes: at most {most} are taken; raise the server's option blob_bytes_max, or send it in parts"
        )))
    }

    /// Sends a call, as [`send`](Self::send) does.
    pub(super) fn send_call(&self, envelope: Written, payload: &Payload, held: bool) -> bool {
        if !self.lends {
            let message = payload.clone().into_message(envelope.into_frame());
            return self.send(message, held);
        }
        let message = Headed::new(&envelope, &payload.body, &payload.blobs);
        self.dealer.send_headed(&self.peer, message, held).is_ok()
    }

    /// Sends over this connection and no other; false if it has gone or is full. `held` if other
    /// threads are about to send, too, and it may go out with what they send.
    pub(super) fn send(&self, message: Message, held: bool) -> bool {
        self.try_send(message, held).is_ok()
    }

    /// The same, with the reason why not.
    pub(super) fn try_send(&self, mut message: Message, held: bool) -> Result<(), SendRefusal> {
        if self.sessionless {
            message.push_front("");
        }
        let sent = if held {
            self.dealer.hold_for(&self.peer, message)
        } else {
            self.dealer.send_to(&self.peer, message)
        };
        sent.map_err(|error| error.reason())
    }
}

/// What hears of a node's connections and answers.
pub(super) struct NodeTap {
    pub(super) core: Weak<Core>,
    pub(super) node: NodeId,
    pub(super) endpoint: Arc<str>,
}

impl Tap for NodeTap {
    fn take(&self, _peer: &Peer, message: Message) {
        if let Some(core) = self.core.upgrade() {
            core.hear(self.node, &self.endpoint, message);
        }
    }

    fn take_all(&self, _peer: &Peer, messages: Drain<'_, Message>, came: Instant) {
        if let Some(core) = self.core.upgrade() {
            core.hear_all(self.node, &self.endpoint, messages, came);
        }
    }

    fn came(&self, peer: &Peer) {
        if let Some(core) = self.core.upgrade() {
            core.came(self.node, peer);
        }
    }

    fn gone(&self, peer: &Peer, reason: &CloseReason) {
        if let Some(core) = self.core.upgrade() {
            core.gone(self.node, peer, reason);
        }
    }

    fn asked(&self, peer: &Peer, within: Duration) {
        if let Some(core) = self.core.upgrade() {
            core.asked(self.node, peer, within);
        }
    }

    fn heard(&self, peer: &Peer) {
        if let Some(core) = self.core.upgrade() {
            core.heard(self.node, peer);
        }
    }

    fn measured(&self, peer: &Peer, round_trip: Duration) {
        if let Some(core) = self.core.upgrade() {
            core.measured(self.node, peer, round_trip);
        }
    }

    fn failed(&self, why: &dyn fmt::Display) {
        if let Some(core) = self.core.upgrade() {
            core.failed(self.node, why);
        }
    }

    fn settle(&self) {
        if let Some(core) = self.core.upgrade() {
            core.act();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brokerless_patterns::Router;
    use brokerless_patterns::balance::Facts;

    use super::*;
    use crate::Client;
    use crate::machine::Time;

    const PATIENCE: Duration = Duration::from_secs(50);

    /// Somebody who hears hellos there.
    fn bound(name: &str) -> Router {
        Router::bind(name).expect("a free name")
    }

    #[test]
    fn a_node_without_a_socket_that_leaves_holds_up_no_other() {
        let router = bound("inproc://leaves-behind-another");
        let client = Client::connect("inproc://leaves-behind-another").expect("an endpoint");
        assert!(router.recv_timeout(PATIENCE).is_ok(), "no hello");
        let core = client.core();
        {
            // Added by a thread that has got no further, and taken out by another.
            let mut table = core.table.lock();
            let node = table.caller.add_node(Time::ZERO, Facts::default());
            table.caller.remove_node(Time::ZERO, node);
            table.leaving.push(node);
        }
        assert!(client.remove("inproc://leaves-behind-another"));
        let table = core.table.lock();
        assert!(table.leaving.is_empty() && table.nodes.iter().flatten().next().is_none());
    }

    #[test]
    fn a_late_connection_of_a_node_that_left_is_not_its_successors() {
        let old = bound("inproc://left-and-late");
        let router = bound("inproc://successor-of-the-late");
        let client = Client::connect("inproc://left-and-late").expect("an endpoint");
        let (peer, _) = old.recv_timeout(PATIENCE).expect("a hello");
        let core = client.core();
        let node = core.table.lock().named("inproc://left-and-late");
        let node = node.expect("it is there");
        assert!(client.remove("inproc://left-and-late"));
        client
            .add("inproc://successor-of-the-late")
            .expect("an endpoint");
        assert!(router.recv_timeout(PATIENCE).is_ok(), "no hello");
        let link = || {
            let mut table = core.table.lock();
            let successor = table.named("inproc://successor-of-the-late");
            let successor = successor.expect("it is there");
            assert_eq!(successor.index(), node.index());
            let place = table.place(successor).expect("a place");
            (place.link.clone(), place.last_error.clone())
        };
        let (before, _) = link();
        assert!(before.is_some());
        // The socket of the one that left had been about to connect, and to fail.
        core.came(node, &peer);
        core.failed(node, &"too late");
        let (after, error) = link();
        assert!(
            after
                .zip(before)
                .is_some_and(|(after, before)| Arc::ptr_eq(&after, &before))
        );
        assert_eq!(error, None);
    }
}
