//! How calls end: who takes an end, what is put into a slot, and what is given up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use brokerless_patterns::tap;
use crossbeam_channel::Receiver;

use super::answer::Answer;
use super::core::{Begun, Core, Tell};
use super::errors;
use super::slot::{Left, Slot};
use crate::machine::Ended;
use crate::wire::Flags;
use crate::{Code, Ran, RpcError, Status};

impl Core {
    /// Waits for the end of a call, which comes by its deadline.
    pub(super) fn finish(&self, begun: &Begun) -> Answer {
        self.end_of(begun, false)
    }

    pub(super) fn end_of(&self, begun: &Begun, held: bool) -> Answer {
        let answer = match self.look_holding(begun, Some(begun.deadline()), held) {
            Some(answer) => answer,
            None => self.expire(begun),
        };
        self.ended(begun, &answer);
        answer
    }

    /// The end of a call, if it comes by then.
    pub(super) fn look(&self, begun: &Begun, until: Option<Instant>) -> Option<Answer> {
        self.look_holding(begun, until, false)
    }

    fn look_holding(&self, begun: &Begun, until: Option<Instant>, held: bool) -> Option<Answer> {
        let slot = &begun.slot;
        if let Some((answer, woke)) = slot.take_or_await() {
            tap::took(self.taken(woke));
            return Some(answer);
        }
        let (engine, drive) = (&self.engine, self.drive());
        if !held {
            engine.flush();
        }
        // It is one of them itself.
        let others = || self.woken.load(Ordering::SeqCst) > 1;
        let found = slot
            .gate
            .wait_among(engine, drive, until, others, || slot.take());
        let (answer, woke) = found.or_else(|| slot.take_or_leave())?;
        self.taken(woke);
        Some(answer)
    }

    /// Whether other threads are about to take ends, beside this one.
    pub(super) fn is_among_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst) > 1
    }

    /// The end of a call that was waited for with others, if it is in its slot.
    pub(super) fn take_put(&self, begun: &Begun) -> Option<Answer> {
        let (answer, woke) = begun.slot.take()?;
        tap::took(self.taken(woke));
        self.ended(begun, &answer);
        Some(answer)
    }

    /// An end has been taken out of its slot; true if there are more. The last thread of those that
    /// were woken writes what was held back for its sake.
    fn taken(&self, woke: bool) -> bool {
        if !woke {
            let more = self.ready.fetch_sub(1, Ordering::SeqCst) > 1;
            return more || self.woken.load(Ordering::Relaxed) > 0;
        }
        let more = self.woken.fetch_sub(1, Ordering::SeqCst) > 1;
        if !more && self.held.load(Ordering::SeqCst) && self.held.swap(false, Ordering::SeqCst) {
            self.engine.flush();
        }
        more || self.ready.load(Ordering::Relaxed) > 0
    }

    fn expire(&self, begun: &Begun) -> Answer {
        let now = self.time(Instant::now());
        let ended = self.table.lock().caller.expire(now, begun.id);
        match ended {
            Some(ended) => self.end_here(&ended),
            // Somebody has just ended it, and is about to put the end into its place.
            None => loop {
                if let Some(answer) = self.look(begun, None) {
                    break answer;
                }
            },
        }
    }

    /// What a call came to that ended on this side; its node is told.
    fn end_here(&self, ended: &Ended<Arc<Slot>>) -> Answer {
        let answer = self.answer_of(ended);
        self.tell_of(ended);
        self.act();
        answer
    }

    /// Gives a call up: what it came to, which may be an end that had come already.
    pub(super) fn give_up(&self, begun: &Begun) -> Answer {
        let now = self.time(Instant::now());
        let ended = self.table.lock().caller.cancel(now, begun.id);
        let answer = match ended {
            Some(ended) => self.end_here(&ended),
            None => match begun.slot.let_go() {
                Left::End(answer, woke) => {
                    self.taken(woke);
                    answer
                }
                Left::Given(_) | Left::Nothing => {
                    let status = Status::new(Code::Cancelled, "cancelled by its caller");
                    Answer::ended(RpcError::new(status, Ran::Maybe))
                }
            },
        };
        self.ended(begun, &answer);
        answer
    }

    /// Gives a call up.
    pub(super) fn cancel(&self, begun: &Begun) {
        let now = self.time(Instant::now());
        let ended = self.table.lock().caller.cancel(now, begun.id);
        match ended {
            Some(ended) => {
                let answer = self.end_here(&ended);
                self.ended(begun, &answer);
            }
            None => match begun.slot.let_go() {
                Left::End(answer, woke) => {
                    self.taken(woke);
                    self.ended(begun, &answer);
                }
                Left::Given(error) => self.after(begun.path(), error.as_ref()),
                // It has ended, and whoever ended it is about to say so: too late.
                Left::Nothing => {
                    let status = Status::new(Code::Cancelled, "cancelled by its caller");
                    let error = RpcError::new(status, Ran::Maybe);
                    self.after(begun.path(), Some(&error));
                }
            },
        }
    }

    /// A channel for the end of a call.
    pub(super) fn receiver(&self, begun: &Begun) -> Receiver<Answer> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        if let Some(woke) = begun.slot.divert(sender) {
            self.taken(woke);
        }
        self.watch(begun);
        receiver
    }

    /// Nobody waits for this call: it ends by its deadline all the same.
    pub(super) fn watch(&self, begun: &Begun) {
        let due = {
            let mut table = self.table.lock();
            table.caller.watch(begun.id);
            table.caller.next_due()
        };
        self.look_by(due);
    }

    /// Puts an end into the slot of its call.
    pub(super) fn complete(&self, slot: &Slot, answer: Answer) {
        if let Some(relay) = &slot.request.relay {
            return self.tell_relay(relay, relay.put_end(answer));
        }
        if slot.request.flags.has(Flags::ONEWAY) {
            if let Err(error) = answer.payload() {
                log::debug!("{} went one way, and: {error}", &*slot.request.path);
            }
            return;
        }
        if let Some(conduit) = &slot.request.conduit {
            conduit.end(answer);
            return;
        }
        slot.complete(answer, |woken| self.put(woken));
    }

    /// The same, if at most a thread waits for it in its slot; else it comes back.
    #[inline]
    pub(super) fn complete_waiting(&self, slot: &Slot, answer: Answer) -> Option<Answer> {
        if !slot.request.is_plain() {
            return Some(answer);
        }
        slot.complete_waiting(answer, |woken| self.put(woken))
    }

    /// An end is in its slot, and a thread was woken for it or not.
    fn put(&self, woken: bool) {
        let count = if woken { &self.woken } else { &self.ready };
        count.fetch_add(1, Ordering::SeqCst);
    }

    /// The error of a call that ended on this side.
    pub(super) fn answer_of(&self, ended: &Ended<Arc<Slot>>) -> Answer {
        let table = self.table.lock();
        let error = errors::ended(ended.why, ended.ran, ended.node, &ended.payload, &table);
        Answer::ended(error)
    }

    pub(super) fn tell_of(&self, ended: &Ended<Arc<Slot>>) {
        if let (true, Some(node)) = (ended.tell, ended.node) {
            let mut table = self.table.lock();
            table.tell(node, Tell::Cancel(ended.id.wire()));
        }
    }

    /// Tells those who see every call that this one has ended.
    pub(super) fn ended(&self, begun: &Begun, answer: &Answer) {
        if !self.settings.interceptors.is_empty() {
            let error = answer.payload().err();
            self.after(&begun.slot.request.path, error.as_ref());
        }
    }

    pub(super) fn after(&self, path: &str, error: Option<&RpcError>) {
        for interceptor in &self.settings.interceptors {
            interceptor.after(path, error);
        }
    }
}
