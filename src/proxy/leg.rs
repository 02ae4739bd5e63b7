//! One call, between its caller and its node.
//!
//! ```text
//! begin ──► submitted ──► answered
//!   │          ▲   └ cancelled by its caller: cancelled at its node, and answered at once
//!   └► kept ───┘ resume           (paused)
//! ```
//!
//! # Invariants
//!
//! 1. What a call holds of the proxy's bounds is given back once, when it has ended. (held by the
//!    end of [`Leg`])
//! 2. A call that its caller gives up before it is sent has not run, and is not sent. (test
//!    `a_call_that_is_cancelled_while_paused_is_never_sent`)
//! 3. What its caller says of a stream before that is sent is kept for the node. (tests
//!    `an_end_without_items_is_kept_by_a_paused_proxy`,
//!    `a_window_is_kept_by_a_paused_proxy`)

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::core::Core;
use crate::client::{Answer, Relay, Returns};
use crate::machine::{Flow, Violation};
use crate::server::{Back, Hears};
use crate::service::{Outcome, Passing};
use crate::status::{Code, Status};
use crate::values::Ran;
use crate::wire::{ItemsHead, Payload};

/// A call that is passed on.
pub(super) struct Leg {
    core: Arc<Core>,
    back: Back,
    bytes: u64,
    /// Set before anybody knows of it. Each holds the other, until the end.
    relay: OnceLock<Arc<Relay>>,
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    /// It is not sent yet, as nothing is.
    kept: Option<Passing>,
    /// Why nobody wants it any more.
    gone: Option<Status>,
}

impl Leg {
    /// Takes a call up: it is sent, or kept, or refused.
    pub(super) fn begin(core: &Arc<Core>, call: Passing, back: Back) {
        let bytes = call.payload.bytes() as u64;
        let counts = &core.counts;
        let held = counts.held_bytes.fetch_add(bytes, Ordering::SeqCst);
        counts.held.fetch_add(1, Ordering::SeqCst);
        let leg = Arc::new(Leg {
            core: core.clone(),
            back,
            bytes,
            relay: OnceLock::new(),
            state: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        if held > 0 && held.saturating_add(bytes) > core.bytes_max {
            let most = core.bytes_max;
            let what =
                format!("calls of {held} bytes are being passed on, of {most}; raise bytes_max");
            return leg.turn_back(&what);
        }
        let Some(client) = core.client.get() else {
            let status = Status::unavailable("the proxy has just begun: call again");
            return leg.end(Outcome::refused(status));
        };
        leg.relay.get_or_init(|| client.relay(&call, leg.clone()));
        let ear: Arc<dyn Hears> = leg.clone();
        leg.back.listen(&ear);
        if let Some(call) = core.pause.keep(&leg, call, core.waiting_max) {
            match call {
                Ok(call) => leg.submit(call),
                Err(()) => {
                    let most = core.waiting_max;
                    let what = format!("it is paused, and {most} calls are kept; raise queue");
                    leg.turn_back(&what);
                }
            }
        }
    }

    /// Keeps it, until it is [sent](Self::send_kept).
    ///
    /// # Errors
    ///
    /// Where nobody wants it any more: it is given back.
    #[allow(
        clippy::result_large_err,
        reason = "it is the call, which is given back"
    )]
    pub(super) fn keep(&self, call: Passing) -> Result<(), Passing> {
        let mut state = self.state.lock();
        if state.gone.is_some() {
            return Err(call);
        }
        state.kept = Some(call);
        Ok(())
    }

    /// Whether it is still kept.
    pub(super) fn is_kept(&self) -> bool {
        self.state.lock().kept.is_some()
    }

    /// Sends it, if it is still kept.
    pub(super) fn send_kept(self: &Arc<Self>) {
        let kept = self.state.lock().kept.take();
        if let Some(call) = kept {
            self.submit(call);
        }
    }

    fn submit(self: &Arc<Self>, call: Passing) {
        let (Some(client), Some(relay)) = (self.core.client.get(), self.relay.get()) else {
            return;
        };
        if let Some(why) = self.why_gone() {
            return self.end(Outcome::refused(why));
        }
        match client.pass(call, relay) {
            Ok(()) => {
                if self.why_gone().is_some() {
                    relay.cancel();
                }
            }
            Err(error) if error.code() == Code::ResourceExhausted => {
                let most = self.core.waiting_max;
                let what = format!("{most} calls wait for the pool's credit already; raise queue");
                self.turn_back(&what);
            }
            Err(error) => {
                let ran = error.ran();
                let status = error.into_status();
                let typed = None;
                self.end(Outcome::Failed { status, typed, ran });
            }
        }
    }

    /// It holds nothing of the proxy's bounds any more.
    fn release(&self) {
        if !self.ended.swap(true, Ordering::SeqCst) {
            let counts = &self.core.counts;
            counts.held_bytes.fetch_sub(self.bytes, Ordering::SeqCst);
            counts.held.fetch_sub(1, Ordering::SeqCst);
            if let Some(relay) = self.relay.get() {
                relay.let_go();
            }
        }
    }

    fn end(&self, outcome: Outcome) {
        // Before the answer: whoever has that finds the books balanced.
        self.release();
        self.back.end(outcome);
    }

    fn turn_back(&self, what: &str) {
        self.release();
        self.back.turn_back(&self.core.is_full(what));
    }

    fn why_gone(&self) -> Option<Status> {
        self.state.lock().gone.clone()
    }

    /// What the caller is told of an answer.
    fn outcome(&self, answer: &Answer) -> Outcome {
        let error = match answer.payload() {
            Ok(payload) => return Outcome::Answer(payload.clone()),
            Err(error) => error,
        };
        let typed = answer.method_error().cloned().map(Box::new);
        let mut ran = error.ran();
        let mut status = error.into_status();
        if let (Code::Cancelled, Some(why)) = (status.code(), self.why_gone()) {
            status = why;
            if self.relay.get().is_some_and(|relay| relay.is_begun()) {
                ran = Ran::Yes;
            }
        }
        Outcome::Failed { status, typed, ran }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.release();
    }
}

impl Returns for Leg {
    fn answered(&self, answer: Answer) {
        self.end(self.outcome(&answer));
    }

    fn items(&self, head: &ItemsHead, items: Payload) {
        self.back.items(head, items);
    }

    fn window(&self, window: Flow) {
        self.back.window(window);
    }

    fn stop(&self) {
        self.back.stop();
    }
}

impl Hears for Leg {
    fn items(&self, head: &ItemsHead, items: Payload) -> Result<(), Violation> {
        match self.relay.get() {
            Some(relay) => relay.give(head, items),
            None => Err(Violation::Items(head.count.into(), 0)),
        }
    }

    fn window(&self, window: Flow) {
        if let Some(relay) = self.relay.get() {
            relay.allow(window);
        }
    }

    fn stop(&self) {
        if let Some(relay) = self.relay.get() {
            relay.stop();
        }
    }

    fn gone(&self, why: &Status) {
        let kept = {
            let mut state = self.state.lock();
            state.gone.get_or_insert_with(|| why.clone());
            state.kept.take()
        };
        if kept.is_some() {
            return self.end(Outcome::refused(why.clone()));
        }
        if let Some(relay) = self.relay.get() {
            relay.cancel();
        }
    }
}
