//! One node of the pool: its socket, its connection, and what is told of it.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use brokerless_patterns::tap::Tap;
use brokerless_patterns::{CloseReason, Dealer, Message, Peer, SendRefusal};

use super::core::Core;
use super::slot::Request;
use crate::Status;
use crate::machine::NodeId;
use crate::wire::{Payload, Version};

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
