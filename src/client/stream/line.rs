//! A call that streams, in its caller's hands: what its halves share.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brokerless_patterns::tap::Gate;

use super::conduit::{Conduit, Out};
use crate::client::core::{Begun, Core};
use crate::client::{Answer, Client};
use crate::{Code, Ran, RpcError, Status};

/// A call that streams.
#[derive(Debug, Clone)]
pub(super) struct Line {
    client: Client,
    begun: Begun,
    conduit: Arc<Conduit>,
    /// How long to wait for an item, for room, or for the end after the last.
    item_timeout: Duration,
}

/// What did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    Item,
    Room,
    Answer,
}

/// Until when to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) until: Instant,
    /// It is the call's deadline, not the item's.
    whole: bool,
}

impl Line {
    pub(super) fn new(
        client: Client,
        begun: Begun,
        conduit: Arc<Conduit>,
        item_timeout: Duration,
    ) -> Self {
        Line {
            client,
            begun,
            conduit,
            item_timeout,
        }
    }

    pub(super) fn conduit(&self) -> &Arc<Conduit> {
        &self.conduit
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        self.client.core()
    }

    pub(super) fn path(&self) -> &str {
        self.begun.path()
    }

    /// The node that the call runs at; empty if that is not known.
    pub(super) fn node(&self) -> Arc<str> {
        let way = self.conduit.way();
        way.map_or_else(|| Arc::from(""), |way| way.node)
    }

    /// How long one wait that begins now may take.
    pub(super) fn patience(&self) -> Patience {
        let of_item = Instant::now().checked_add(self.item_timeout);
        let of_call = self.begun.deadline();
        match of_item.filter(|until| *until < of_call) {
            Some(until) => Patience {
                until,
                whole: false,
            },
            None => Patience {
                until: of_call,
                whole: true,
            },
        }
    }

    /// Waits at one of the conduit's gates, and drives the engine meanwhile.
    pub(super) fn wait<T>(
        &self,
        gate: &Gate,
        until: Option<Instant>,
        ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let core = self.core();
        gate.wait(&core.engine, core.drive(), until, ready)
    }

    /// Sends this, and what is to be sent after it.
    pub(super) fn send(&self, out: Option<Out>) {
        self.core().send_items(&self.conduit, out);
    }

    /// Something did not come in time: the call ends, unless it has just ended otherwise.
    pub(super) fn expire(&self, awaited: Awaited, patience: Patience) {
        let core = self.core();
        let now = core.time(Instant::now());
        let ended = core.table.lock().caller.expire(now, self.begun.id());
        let Some(ended) = ended else {
            // Somebody has just ended it, and is about to say so.
            let gate = match awaited {
                Awaited::Item => &self.conduit.taker,
                Awaited::Room | Awaited::Answer => &self.conduit.giver,
            };
            self.wait(gate, None, || self.conduit.end_or_wait(awaited));
            return;
        };
        let answer = if patience.whole || ended.node.is_none() {
            core.answer_of(&ended)
        } else {
            let node = self.node();
            let what = match awaited {
                Awaited::Item => "no item from",
                Awaited::Room => "no room for an item at",
                Awaited::Answer => "no answer from",
            };
            let time = self.item_timeout;
            let message =
                format!("{what} {node} within {time:.0?}: item_timeout lets it take longer");
            let status = Status::new(Code::DeadlineExceeded, message);
            Answer::ended(RpcError::new(status, ended.ran).with_node(node))
        };
        self.conduit.end(answer);
        core.tell_of(&ended);
        core.act();
    }

    /// Gives the call up, if it has not ended.
    pub(super) fn cancel(&self) {
        let core = self.core();
        let now = core.time(Instant::now());
        let ended = core.table.lock().caller.cancel(now, self.begun.id());
        if let Some(ended) = ended {
            self.conduit.end(core.answer_of(&ended));
            core.tell_of(&ended);
            core.act();
        }
        self.tell_end(None);
    }

    /// The node has broken the rules: the call is given up, and ends so.
    pub(super) fn violated(&self, error: RpcError) {
        let core = self.core();
        let answer = Answer::ended(error);
        core.streams.violations.fetch_add(1, Ordering::Relaxed);
        core.break_off(self.begun.id(), &self.conduit, answer.clone());
        core.act();
        self.tell_end(Some(&answer));
    }

    /// The call ends by its deadline though nobody waits for it.
    pub(super) fn watch(&self) {
        self.core().watch(&self.begun);
    }

    /// Those who see every call are told of its end, once: of this, or else of what it is.
    pub(super) fn tell_end(&self, answer: Option<&Answer>) {
        if !self.conduit.tell_end() {
            return;
        }
        let known;
        let answer = match answer {
            Some(answer) => answer,
            None => {
                known = self.conduit.ended().unwrap_or_else(|| {
                    // It has ended, and whoever ended it is about to say so: too late.
                    let status = Status::new(Code::Cancelled, "cancelled by its caller");
                    Answer::ended(RpcError::new(status, Ran::Maybe))
                });
                &known
            }
        };
        self.core().ended(&self.begun, answer);
    }
}
