//! What nodes tell of streams, and what follows from it: on whichever thread leads the engine.
//!
//! `hear_items` and its like are called with locks of the engine held: they fill conduits and
//! wake threads. What has to be sent goes with [`Core::act`], without any lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use brokerless_patterns::Message;

use super::conduit::{Conduit, Out, Way};
use crate::client::core::Core;
use crate::client::relay;
use crate::client::{Answer, Relay};
use crate::machine::{CallId, Flow, NodeId};
use crate::wire::{ItemsHead, Payload};
use crate::{Ran, RpcError, Status};

/// Whose it is what came.
enum Heard {
    Conduit(Arc<Conduit>),
    Relay(Arc<Relay>),
}

impl Core {
    pub(in crate::client) fn hear_items(&self, node: NodeId, head: &ItemsHead, message: Message) {
        let conduit = match self.streaming(node, head.id) {
            Some(Heard::Conduit(conduit)) => conduit,
            Some(Heard::Relay(relay)) => {
                return match relay.put_items(head, Payload::of_message(message)) {
                    Ok(puts) => self.tell_relay(&relay, puts),
                    Err(violation) => self.violated_relay(node, head.id, &relay, &violation),
                };
            }
            None => return,
        };
        if let Some(window) = head.window
            && conduit.granted(window)
        {
            self.table.lock().flows.push_back(conduit.clone());
        }
        // Nothing but the window may ride on what has no items.
        if head.count == 0 && !head.last && head.window.is_some() {
            return;
        }
        if let Err(violation) = conduit.arrived(head, Payload::of_message(message)) {
            self.violated(node, head.id, &conduit, &violation);
        }
    }

    pub(in crate::client) fn hear_window(&self, node: NodeId, id: u64, window: Flow) {
        match self.streaming(node, id) {
            Some(Heard::Conduit(conduit)) if conduit.granted(window) => {
                self.table.lock().flows.push_back(conduit);
            }
            Some(Heard::Relay(relay)) => self.tell_relay(&relay, relay.put_window(window)),
            Some(Heard::Conduit(_)) | None => {}
        }
    }

    pub(in crate::client) fn hear_stop(&self, node: NodeId, id: u64) {
        match self.streaming(node, id) {
            Some(Heard::Conduit(conduit)) => conduit.stopped(),
            Some(Heard::Relay(relay)) => self.tell_relay(&relay, relay.put_stop()),
            None => {}
        }
    }

    /// A message of a stream that cannot be read.
    pub(in crate::client) fn hear_garbled(
        &self,
        node: NodeId,
        id: u64,
        why: &impl std::fmt::Display,
    ) {
        match self.streaming(node, id) {
            Some(Heard::Conduit(conduit)) => self.violated(node, id, &conduit, why),
            Some(Heard::Relay(relay)) => self.violated_relay(node, id, &relay, why),
            None => {}
        }
    }

    /// Sees to it that what has come of a call that was passed on is told, if it is to be.
    pub(in crate::client) fn tell_relay(&self, relay: &Arc<Relay>, puts: bool) {
        if puts {
            self.table.lock().relays.push_back(relay.clone());
        }
    }

    /// The stream of a call that is in flight at this node.
    fn streaming(&self, node: NodeId, id: u64) -> Option<Heard> {
        let mut table = self.table.lock();
        let slot = table.caller.in_flight(node, CallId::from_wire(id));
        let Some(slot) = slot else {
            self.streams.late.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if let Some(relay) = slot.request.relay.clone()
            && slot.request.flags.streams()
        {
            if !relay.has_begun()
                && let Some(link) = table.link(node)
            {
                relay.begin(relay::Way::new(&link, id));
            }
            return Some(Heard::Relay(relay));
        }
        let Some(conduit) = slot.request.conduit.clone() else {
            if let Some(place) = table.place(node) {
                place.misfits += 1;
            }
            return None;
        };
        if !conduit.has_begun()
            && let Some(place) = table.place(node)
            && let Some(link) = place.link.clone()
        {
            let node = place.endpoint.clone();
            conduit.begin(Way { link, id, node });
        }
        Some(Heard::Conduit(conduit))
    }

    /// A node has broken the rules of a stream: the stream ends, and the node is told so. All else
    /// goes on.
    fn violated(&self, node: NodeId, id: u64, conduit: &Arc<Conduit>, why: &dyn std::fmt::Display) {
        let answer = self.of_violation(node, why);
        self.break_off(CallId::from_wire(id), conduit, answer);
    }

    /// The same, where the stream is passed on.
    fn violated_relay(
        &self,
        node: NodeId,
        id: u64,
        relay: &Arc<Relay>,
        why: &dyn std::fmt::Display,
    ) {
        let answer = self.of_violation(node, why);
        let now = self.time(Instant::now());
        let ended = self.table.lock().caller.cancel(now, CallId::from_wire(id));
        if let Some(ended) = ended {
            self.tell_of(&ended);
            self.tell_relay(relay, relay.put_end(answer));
        }
    }

    fn of_violation(&self, node: NodeId, why: &dyn std::fmt::Display) -> Answer {
        self.streams.violations.fetch_add(1, Ordering::Relaxed);
        let endpoint = {
            let mut table = self.table.lock();
            table.place(node).map(|place| place.endpoint.clone())
        };
        let status = Status::internal(format!("the node broke the rules of streams: {why}"));
        let error = RpcError::new(status, Ran::Yes).with_node(endpoint.unwrap_or_default());
        Answer::ended(error)
    }

    /// Gives a stream's call up: it ends so, unless it has ended. What has to be sent goes with the
    /// next [`Core::act`].
    pub(super) fn break_off(&self, id: CallId, conduit: &Arc<Conduit>, answer: Answer) {
        let now = self.time(Instant::now());
        let ended = self.table.lock().caller.cancel(now, id);
        if let Some(ended) = ended {
            conduit.end(answer);
            self.tell_of(&ended);
        }
    }

    /// Sends what a stream has to send now.
    pub(super) fn send_items(&self, conduit: &Arc<Conduit>, mut out: Option<Out>) {
        while let Some(Out { way, message }) = out {
            if !way.link.send(message, false) {
                let status = Status::unavailable("items could not be sent: the connection is gone");
                let error = RpcError::new(status, Ran::Maybe);
                let error = error.with_node(way.node);
                self.break_off(CallId::from_wire(way.id), conduit, Answer::ended(error));
                self.act();
            }
            out = conduit.sent();
        }
    }

    /// What has gathered of a stream's items goes.
    pub(in crate::client) fn flush_items(&self, conduit: &Arc<Conduit>) {
        self.send_items(conduit, conduit.next_out());
    }
}
