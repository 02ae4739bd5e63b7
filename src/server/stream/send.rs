//! What goes out for a stream, in order: by one thread at a time, and with no lock held.
//!
//! ```text
//! a worker, the thread that hears a window, a handler ──► out ──► whoever finds nobody sending
//! ```
//!
//! What the socket has no room for stays in `out`, and its iterator stands still: nothing is lost,
//! and nothing is made beyond it.
//!
//! # Invariants
//!
//! 1. What was put into `out` goes in its order, whoever sends it. (test
//!    `the_answer_comes_after_all_items_whoever_sends_them`)
//! 2. A caller that does not read costs its own streams no item. (test
//!    `items_without_room_in_the_socket_are_kept_until_there_is_some`)
//! 3. Streams that found no room have it in the order in which they found none. (test
//!    `streams_that_wait_for_room_in_the_socket_have_it_in_turn`)
//! 4. A caller that sends and does not read is owed one window a stream, not one an item. (test
//!    `a_window_takes_the_place_of_the_one_before_it`)

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brokerless_patterns::{Message, SendRefusal};

use super::incoming::Taking;
use super::{Broken, Over, Stream, Todo};
use crate::machine::{Batch, Flow, Violation};
use crate::server::pass::{Kept, Unread};
use crate::server::serve::{Shared, Spent};
use crate::server::session::Session;
use crate::server::stats::{Count, Tally};
use crate::service::Outcome;
use crate::wire::{ItemsHead, Payload, encode_items, encode_stop, encode_window};

/// One thing that goes out.
pub(super) enum Out {
    Message(Message),
    /// Items that are passed on, and what is kept for them.
    Passed(Message, Kept),
    /// What the caller may send. A later one takes its place: a caller that sends and does not read
    /// makes the queue no longer.
    Window(Flow),
    /// The answer: the stream ends.
    End(Outcome),
}

/// Where messages of a stream are put, with what rides on them.
pub(super) struct Post<'s> {
    id: u64,
    taking: Option<&'s mut Taking>,
    out: &'s mut VecDeque<Out>,
    /// Items that were posted.
    pub(super) items: u32,
}

impl<'s> Post<'s> {
    pub(super) fn new(id: u64, taking: Option<&'s mut Taking>, out: &'s mut VecDeque<Out>) -> Self {
        Post {
            id,
            taking,
            out,
            items: 0,
        }
    }

    /// Posts items, and with them what the caller may send of its own.
    pub(super) fn items(&mut self, batch: Batch, items: Payload) {
        let mut head = ItemsHead::new(self.id, batch.first, batch.count);
        head.window = self.taking.as_mut().and_then(|taking| taking.due(true));
        let message = items.into_message(encode_items(&head));
        self.out.push_back(Out::Message(message));
        self.items += batch.count;
    }

    /// Posts what the caller may send, if that is to be told.
    pub(super) fn window(&mut self, about_to_wait: bool) {
        let due = self
            .taking
            .as_mut()
            .and_then(|taking| taking.due(about_to_wait));
        if let Some(window) = due {
            put_window(self.out, window);
        }
    }

    /// Posts that the caller may begin to send.
    pub(super) fn first_window(&mut self, window: Flow) {
        self.out.push_back(Out::Window(window));
    }

    /// Posts that nothing more is wanted.
    pub(super) fn stop(&mut self) {
        let message = Message::single(encode_stop(self.id));
        self.out.push_back(Out::Message(message));
    }
}

/// Puts a window at the end, in place of one that stands there.
fn put_window(out: &mut VecDeque<Out>, window: Flow) {
    match out.back_mut() {
        Some(Out::Window(last)) => *last = window,
        _ => out.push_back(Out::Window(window)),
    }
}

impl super::State {
    /// Where messages are put, and what sends items.
    pub(super) fn post(&mut self, id: u64) -> (Post<'_>, Option<&mut super::Giving>) {
        let post = Post::new(id, self.incoming.as_mut(), &mut self.out);
        (post, self.outgoing.as_mut())
    }

    /// Whether something goes out, and nobody sees to that.
    pub(super) fn is_to_send(&self) -> bool {
        !self.out.is_empty() && !self.sending && !self.clogged
    }
}

impl Stream {
    /// Whether it is passed on.
    pub(super) fn is_passed(&self) -> bool {
        self.is_passed
    }

    /// Puts what is passed on where it goes out.
    pub(in crate::server) fn post(&self, message: Message) {
        let mut state = self.lock();
        if !state.ended && state.over.is_none() {
            state.out.push_back(Out::Message(message));
        }
    }

    /// The same for items, of so many bytes; false if there is no room for them.
    pub(in crate::server) fn post_items(
        &self,
        message: Message,
        bytes: u64,
        unread: &Arc<Unread>,
    ) -> bool {
        let mut state = self.lock();
        if state.ended || state.over.is_some() {
            return true;
        }
        let Some(kept) = unread.keep(bytes, state.out.is_empty()) else {
            return false;
        };
        state.out.push_back(Out::Passed(message, kept));
        true
    }

    /// The same for what the caller may send.
    pub(in crate::server) fn post_window(&self, window: Flow) {
        let mut state = self.lock();
        if !state.ended && state.over.is_none() {
            put_window(&mut state.out, window);
        }
    }

    /// The caller lets more be sent.
    pub(super) fn granted(&self, tally: &Tally, to: Flow) -> Todo {
        let mut state = self.lock();
        let mut todo = Todo::default();
        let clogged = state.clogged;
        // What had gathered when it was cut off is not sent any more: its answer may be.
        let whole = state.over.is_none();
        let (mut post, giving) = state.post(self.id());
        if let Some(giving) = giving
            && whole
            && giving.granted(to)
        {
            giving.absorb(&mut post);
            giving.flush(&mut post);
            tally.items_out(post.items);
            if !clogged && giving.is_parked() && giving.may_go_on() {
                todo.turn = giving.unpark();
            }
        }
        todo.send = state.is_to_send();
        todo
    }
}

impl Shared {
    /// Does what is to be done about a stream. Not with a lock held.
    pub(in crate::server) fn act(self: &Arc<Self>, stream: &Arc<Stream>, todo: Todo) {
        if todo.wake {
            stream.wake();
        }
        if todo.feed {
            self.feed(stream);
        }
        if todo.send {
            self.send_out(stream);
        }
        if todo.turn {
            self.offer(stream);
        }
    }

    /// Cuts a stream off. False if it had ended, or was cut off before.
    pub(in crate::server) fn cut(self: &Arc<Self>, stream: &Arc<Stream>, why: Over) -> bool {
        let Some(todo) = stream.cut(&self.counts, why) else {
            return false;
        };
        self.act(stream, todo);
        if let (Some(ear), Some(why)) = (stream.ear(), stream.verdict()) {
            ear.gone(&why);
        }
        true
    }

    /// Sends what is there to send, unless another thread does.
    pub(in crate::server) fn send_out(self: &Arc<Self>, stream: &Arc<Stream>) {
        let Some(group) = self.group_of(&stream.session) else {
            return;
        };
        let mut first = true;
        loop {
            let (next, more) = {
                let mut state = stream.lock();
                if state.clogged || (first && state.sending) {
                    return;
                }
                first = false;
                let next = state.out.pop_front();
                state.sending = next.is_some();
                (next, !state.out.is_empty())
            };
            let mut kept = None;
            let message = match next {
                None => return,
                Some(Out::End(outcome)) => {
                    self.answer(stream, outcome);
                    continue;
                }
                Some(Out::Message(message)) => message,
                Some(Out::Passed(message, bytes)) => {
                    kept = Some(bytes);
                    message
                }
                Some(Out::Window(window)) => Message::single(encode_window(stream.id(), window)),
            };
            let sent = match more {
                true => group.router.hold_for(&stream.session.peer, message),
                false => group.router.send(&stream.session.peer, message),
            };
            match sent {
                Ok(()) => {}
                Err(error) if error.reason() == SendRefusal::Full => {
                    {
                        let mut state = stream.lock();
                        state.sending = false;
                        // Cut off meanwhile, it has nothing to say but its answer.
                        if state.over.is_none() {
                            state.clogged = true;
                            if !std::mem::replace(&mut state.in_line, true) {
                                stream.session.streams.line_up(stream.clone());
                            }
                            let message = error.into_message();
                            state.out.push_front(match kept {
                                Some(kept) => Out::Passed(message, kept),
                                None => Out::Message(message),
                            });
                        }
                    }
                    if stream.is_cut() {
                        first = true;
                        continue;
                    }
                    stream.session.set_clogged(true);
                    self.watch_out();
                    return;
                }
                // The caller is gone: the stream is about to hear of it.
                Err(_) => self.counts.one(Count::UnsentGone),
            }
        }
    }

    /// There may be room in the socket again for the streams of this session that found none: for
    /// those first that have waited the longest, as far as it goes.
    pub(in crate::server) fn unclog(self: &Arc<Self>, session: &Session) {
        session.set_clogged(false);
        // Those that find none again meanwhile are next time's: others wait, too.
        for _ in 0..session.streams.in_line() {
            let Some(stream) = session.streams.first_in_line() else {
                return;
            };
            let was = std::mem::replace(&mut stream.lock().clogged, false);
            if was {
                self.send_out(&stream);
            }
            let turn = {
                let mut state = stream.lock();
                if state.clogged {
                    // It stays the first, and the others behind it wait on.
                    return session.set_clogged(true);
                }
                state.in_line = false;
                session.streams.step_out(&stream);
                let giving = state.outgoing.as_mut();
                giving.is_some_and(|giving| {
                    was && giving.is_parked() && giving.may_go_on() && giving.unpark()
                })
            };
            if turn {
                self.offer(&stream);
            }
        }
    }

    /// A stream's method has given its end, or there is none to give: it is answered once what it
    /// has sent is on its way.
    pub(in crate::server) fn end_stream(self: &Arc<Self>, stream: &Arc<Stream>, outcome: Outcome) {
        {
            let mut state = stream.lock();
            let dropped = state.incoming.as_mut().map(Taking::close);
            let whole = state.over.is_none();
            let (mut post, giving) = state.post(stream.id());
            if let Some(giving) = giving
                && whole
            {
                giving.absorb(&mut post);
                giving.flush(&mut post);
                self.counts.tally.items_out(post.items);
            }
            state.out.push_back(Out::End(outcome));
            let waits = state.incoming.is_some();
            drop(state);
            drop(dropped);
            // Items may be in other hands than the handler's, and waited for.
            if waits {
                stream.wake();
            }
        }
        self.send_out(stream);
    }

    /// Answers a stream.
    fn answer(self: &Arc<Self>, stream: &Arc<Stream>, outcome: Outcome) {
        let watched = {
            let mut state = stream.lock();
            if std::mem::replace(&mut state.ended, true) {
                return;
            }
            state.watched.take()
        };
        stream.unlisten();
        if let Some(key) = watched {
            self.watch.forget(key);
        }
        stream.session.streams.remove(stream.id());
        self.counts.tally.closed();
        // A method that has not seen that its stream was cut off gives no answer to the part of
        // it that came.
        let outcome = match (outcome, stream.verdict()) {
            (Outcome::Answer(_) | Outcome::Later, Some(status)) => Outcome::failed(status),
            (outcome, _) => outcome,
        };
        let busy = Duration::from_nanos(stream.busy.load(Ordering::Relaxed));
        self.finish_as(
            &stream.session,
            &stream.call,
            outcome,
            Spent::Stream(busy),
            self.time(Instant::now()),
        );
    }
}

impl Broken {
    /// What it is counted as.
    pub(super) fn count(&self) -> Count {
        match self {
            Broken::Flow(Violation::Items(..) | Violation::Bytes(..)) => Count::OverWindow,
            Broken::Flow(Violation::Twice(_)) => Count::Twice,
            Broken::Flow(Violation::AfterLast(_)) => Count::AfterLast,
            Broken::Flow(_) => Count::OutOfOrder,
            Broken::TooLarge(..) => Count::ItemTooLarge,
            Broken::Malformed(_) => Count::ItemMalformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_the_place_of_the_one_before_it() {
        let mut out = VecDeque::from([Out::Message(Message::single("an item"))]);
        for items in 1..=500 {
            put_window(&mut out, Flow::new(items, 1000));
        }
        assert!(
            matches!(&out.make_contiguous()[..], [Out::Message(_), Out::Window(last)] if last.items == 500)
        );

        out.push_back(Out::Message(Message::single("another")));
        put_window(&mut out, Flow::new(501, 1000));
        assert_eq!(out.len(), 4, "nothing overtakes a message");
    }
}
