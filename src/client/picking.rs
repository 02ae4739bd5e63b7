//! What picking a node takes beside the table of calls: the keys of calls, and news of loads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::Core;
use super::errors;
use super::options::Call;
use super::slot::{Path, Request, Slot};
use super::wanted::Wanted;
use crate::RpcError;
use crate::machine::NodeId;
use crate::wire::{self, Encoding, Flags, Payload};

/// What is called to hear of a node's load.
const HEALTH: &str = "brokerless.health.v1.check";
/// Its arguments: of the server as a whole.
const PROBE_ARGUMENTS: &[u8] = &[0x91, 0xa0];
/// After this time the answer to such a question is no news any more.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

impl Core {
    /// The hash of the call's key. An error if the policy picks by one, and there is none.
    #[inline]
    pub(super) fn key(
        &self,
        wanted: &Wanted,
        options: &Call,
        payload: &Payload,
    ) -> Result<Option<u64>, RpcError> {
        let named = || wire::key_of(payload, wanted.encoding, wanted.key?);
        let key = options.key.or_else(named);
        match &self.settings.keyed {
            // One that is refused is so for a reason of its own.
            Some(policy) if key.is_none() && options.to.is_none() && options.refused.is_none() => {
                Err(errors::without_key(policy, &wanted.path))
            }
            _ => Ok(key),
        }
    }

    /// Asks a node for its load, to which no call goes: its health, by a call that nobody waits for.
    #[cold]
    pub(super) fn probe(&self, node: NodeId, began: Instant) {
        let arguments = Payload::raw(PROBE_ARGUMENTS);
        let request = Request {
            path: Path::Static(HEALTH),
            flags: Flags::empty().with(Flags::ONEWAY).with(Flags::IDEMPOTENT),
            encoding: Encoding::MessagePack,
            metadata: None,
            conduit: None,
            relay: None,
            hops: 0,
            only: Some(node),
            key: None,
            began,
            deadline: began + PROBE_TIMEOUT,
            left: PROBE_TIMEOUT,
            payload: arguments,
        };
        let (now, deadline) = (self.time(began), self.time(request.deadline));
        let bytes = request.payload.bytes() as u64;
        let slot = Arc::new(Slot::new(request));
        let (sending, link, due) = {
            let mut table = self.table.lock();
            let asked = table.caller.ask(now, node, deadline, bytes, slot.clone());
            // It has no room for a question: another time.
            let Some(sending) = asked else { return };
            let link = table.link(sending.node);
            (sending, link, table.caller.next_due())
        };
        let left = slot.request.left;
        if !self.send(&sending, &slot, link.as_ref(), (began, left), false) {
            self.act();
        }
        self.look_by(due);
    }
}
