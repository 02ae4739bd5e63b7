//! What callers are owed: answers, and what else they are told, that found no room in the socket.
//!
//! ```text
//! answer ── no room ──► answers, at most OWED_MAX: as it is if it is short, else cut down to an error
//! tell ──── no room ──► one note of each kind, the latest
//!                            │ pay: with the next answer, by `bl-owed` every OWED_LOOK, by a drain
//!                            ▼
//!                          socket
//! ```
//!
//! # Invariants
//!
//! 1. An answer that finds no room is not lost silently: its caller is told as soon as there is
//!    room. (test `an_answer_without_room_becomes_an_error`)
//! 2. A welcome, a window or a bye that finds no room comes once there is some. (test
//!    `a_welcome_and_a_bye_without_room_come_once_there_is_some`)
//! 3. One thread at a time pays a caller, and what it has in hand counts as owed. (test
//!    `what_is_being_paid_is_owed_still`)
//! 4. What is owed is bounded, whoever does not read. (tests
//!    `what_is_owed_is_bounded`, `of_each_note_the_latest_is_owed`)
//!
//! # Not here
//!
//! Items and windows of streams, which each stream keeps by itself (`stream/send.rs`).

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brokerless_patterns::{Headed, Message, SendRefusal};

use super::answer::{self, Report};
use super::call::Target;
use super::serve::{Phase, Shared};
use super::session::Session;
use super::stats::Count;
use crate::service::Outcome;
use crate::status::Status;
use crate::values::Ran;

/// Answers without room of which one caller is told later.
const OWED_MAX: usize = 4096;
/// An answer that is no longer than this is kept as it is.
const OWED_WHOLE: usize = 256;
/// How often it is looked whether there is room for them.
const OWED_LOOK: Duration = Duration::from_millis(5);

/// What callers are told beside answers, in the order in which it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    Welcome,
    /// What may be in flight from now on: the latest is what holds.
    Window,
    Bye,
}

const NOTES: [Note; 3] = [Note::Welcome, Note::Window, Note::Bye];

/// Something that is owed.
enum Due {
    Note(Note, Message),
    Answer(Message),
}

/// What one caller is owed.
#[derive(Default)]
pub(super) struct Owed {
    notes: [Option<Message>; NOTES.len()],
    answers: VecDeque<Message>,
    /// A thread is about to send what it took from here.
    paying: bool,
}

impl Owed {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much there is, with what is in hand.
    pub(super) fn len(&self) -> u64 {
        self.left() + u64::from(self.paying)
    }

    /// How much there is, without what is in hand.
    fn left(&self) -> u64 {
        (self.notes.iter().flatten().count() + self.answers.len()) as u64
    }

    /// Adds an answer; false if there are too many.
    fn add(&mut self, answer: Message) -> bool {
        let room = self.answers.len() < OWED_MAX;
        if room {
            self.answers.push_back(answer);
        }
        room
    }

    /// Adds a note, in the place of an earlier one of its kind.
    fn put(&mut self, note: Note, message: Message) {
        if let Some(place) = self.notes.get_mut(note as usize) {
            *place = Some(message);
        }
    }

    /// The next thing to send; the one who has it pays until there is nothing more, or it has put
    /// something back. `first`: it has nothing yet.
    fn take(&mut self, first: bool) -> Option<Due> {
        if first && self.paying {
            return None;
        }
        let mut notes = NOTES.into_iter();
        let due = notes.find_map(|note| {
            let message = self.notes.get_mut(note as usize)?.take()?;
            Some(Due::Note(note, message))
        });
        let due = due.or_else(|| self.answers.pop_front().map(Due::Answer));
        self.paying = due.is_some();
        due
    }

    /// There was no room for this. A later note of its kind stands in for it.
    fn put_back(&mut self, due: Due) {
        self.paying = false;
        match due {
            Due::Answer(message) => self.answers.push_front(message),
            Due::Note(note, message) => {
                if let Some(place) = self.notes.get_mut(note as usize) {
                    place.get_or_insert(message);
                }
            }
        }
    }

    /// Nobody is to be paid any more: how much is left.
    pub(super) fn write_off(&mut self) -> u64 {
        let left = self.left();
        self.notes = Default::default();
        self.answers.clear();
        left
    }
}

impl Due {
    fn of(what: Option<Note>, message: Message) -> Due {
        match what {
            Some(note) => Due::Note(note, message),
            None => Due::Answer(message),
        }
    }

    fn into_parts(self) -> (Option<Note>, Message) {
        match self {
            Due::Note(note, message) => (Some(note), message),
            Due::Answer(message) => (None, message),
        }
    }
}

impl Shared {
    /// Ends a call.
    pub(super) fn send_outcome(
        &self,
        session: &Session,
        target: &Target,
        outcome: Outcome,
        report: Report,
        ran: Ran,
    ) {
        if let Outcome::Answer(payload) = &outcome
            && session.lends
            && !session.has_owed()
            && let Some(group) = self.group_of(session)
            && let Some(head) = answer::reply_head(target, report)
        {
            let lent = Headed::new(&head, &payload.body, &payload.blobs);
            if let Err(why) = group.router.send_headed(&session.peer, lent) {
                self.unsent(session, target, why, || lent.to_message(), ran);
            }
            return;
        }
        let message = answer::of_outcome(target, outcome, report);
        self.send_answer(session, target, message, ran);
    }

    pub(super) fn send_answer(
        &self,
        session: &Session,
        target: &Target,
        message: Message,
        ran: Ran,
    ) {
        if session.has_owed() {
            self.pay(session);
        }
        let Some(group) = self.group_of(session) else {
            return;
        };
        if let Err(error) = group.router.send(&session.peer, message) {
            let why = error.reason();
            self.unsent(session, target, why, || error.into_message(), ran);
        }
    }

    /// The socket did not take an answer: it is owed, or an error in its place.
    fn unsent(
        &self,
        session: &Session,
        target: &Target,
        why: SendRefusal,
        answer: impl FnOnce() -> Message,
        ran: Ran,
    ) {
        if why != SendRefusal::Full {
            self.counts.one(Count::UnsentGone);
            return;
        }
        let answer = answer();
        let status = Status::resource_exhausted(
            "the answer found no room: the caller does not read its answers; lower its window, or raise send_bytes_max of the server's transport",
        );
        let told = answer::error(target, &status, ran, None, Report::default());
        let whole = answer.bytes() <= told.bytes().max(OWED_WHOLE);
        let owed = if whole { answer } else { told };
        let kept = {
            let mut state = session.lock();
            // Looked at under the lock: who writes off what is left finds it there, or it is lost here.
            let kept = self.phase() < Phase::Stopped && state.owed.add(owed);
            if kept {
                session.set_owed(true);
            }
            kept
        };
        match (kept, whole) {
            (true, true) => {}
            (true, false) => self.counts.one(Count::UnsentFull),
            (false, _) => self.counts.one(Count::UnsentLost),
        }
        self.watch_out();
    }

    /// Sends what is no answer to a call. Where there is no room it is owed: the latest of its kind.
    pub(super) fn tell(&self, session: &Session, note: Note, message: Message) {
        let Some(group) = self.group_of(session) else {
            return;
        };
        let message = if session.has_owed() {
            // It must not overtake an earlier one of its kind.
            message
        } else {
            match group.router.send(&session.peer, message) {
                Ok(()) => return,
                Err(error) if error.reason() == SendRefusal::Full => error.into_message(),
                Err(_) => return self.counts.one(Count::UnsentGone),
            }
        };
        let kept = {
            let mut state = session.lock();
            let kept = self.phase() < Phase::Stopped;
            if kept {
                state.owed.put(note, message);
                session.set_owed(true);
            }
            kept
        };
        if kept {
            self.pay(session);
        } else {
            self.counts.one(Count::UnsentLost);
        }
    }

    /// Sees to it that somebody looks whether there is room again.
    pub(super) fn watch_out(&self) {
        if !self.owing.swap(true, Ordering::SeqCst) {
            self.look_after_owed();
        }
    }

    /// Starts a thread that tells callers of answers without room, and sends items that found none,
    /// once there is some; it ends when nobody is owed any more. Without it they are told with the
    /// next answer to them.
    fn look_after_owed(&self) {
        let Some(shared) = self.me.upgrade() else {
            return;
        };
        let look = move || {
            while shared.phase() < Phase::Stopped {
                std::thread::sleep(OWED_LOOK);
                let owed = || {
                    shared
                        .sessions
                        .all()
                        .into_iter()
                        .filter(|one| one.has_owed() || one.is_clogged())
                };
                owed().for_each(|session| {
                    shared.pay(&session);
                    if session.is_clogged() {
                        shared.unclog(&session);
                    }
                });
                if owed().next().is_none() {
                    shared.owing.store(false, Ordering::SeqCst);
                    // Whoever left an answer before the store started no other thread.
                    if owed().next().is_none() || shared.owing.swap(true, Ordering::SeqCst) {
                        return;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("bl-owed".to_owned());
        if thread.spawn(look).is_err() {
            self.owing.store(false, Ordering::SeqCst);
        }
    }

    /// Sends a caller what it is owed, as far as there is room now.
    pub(super) fn pay(&self, session: &Session) {
        let Some(group) = self.group_of(session) else {
            return;
        };
        let mut first = true;
        loop {
            let (what, message) = {
                let mut state = session.lock();
                let Some(due) = state.owed.take(first) else {
                    if state.owed.is_empty() {
                        session.set_owed(false);
                        drop(state);
                        if !first {
                            self.drain.moved(self.phase());
                        }
                    }
                    return;
                };
                due.into_parts()
            };
            first = false;
            let Err(error) = group.router.send(&session.peer, message) else {
                continue;
            };
            if error.reason() != SendRefusal::Full {
                self.counts.one(Count::UnsentGone);
                continue;
            }
            let mut state = session.lock();
            state.owed.put_back(Due::of(what, error.into_message()));
            // What was left has been written off, but for this.
            let over = session.is_gone() || self.phase() >= Phase::Stopped;
            let lost = if over { state.owed.write_off() } else { 0 };
            drop(state);
            self.counts.add(Count::UnsentLost, lost);
            if !over {
                self.watch_out();
            }
            return;
        }
    }

    /// The server is closed: nobody is paid any more.
    pub(super) fn write_off(&self, session: &Session) {
        let left = session.lock().owed.write_off();
        self.counts.add(Count::UnsentLost, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &'static [u8]) -> Message {
        Message::single(bytes)
    }

    fn next(owed: &mut Owed, first: bool) -> Option<(Option<Note>, Vec<u8>)> {
        let (what, message) = owed.take(first)?.into_parts();
        Some((what, message.first().to_vec()))
    }

    #[test]
    fn of_each_note_the_latest_is_owed() {
        let mut owed = Owed::default();
        assert!(owed.add(message(b"answer")));
        owed.put(Note::Bye, message(b"bye"));
        for _ in 0..1000 {
            owed.put(Note::Window, message(b"1"));
            owed.put(Note::Welcome, message(b"welcome"));
        }
        owed.put(Note::Window, message(b"2"));
        assert_eq!(owed.len(), 4);
        let all: Vec<_> = std::iter::successors(next(&mut owed, true), |_| next(&mut owed, false))
            .map(|(_, bytes)| bytes)
            .collect();
        assert_eq!(all, [&b"welcome"[..], b"2", b"bye", b"answer"]);
        assert!(owed.is_empty());
    }

    #[test]
    fn what_is_being_paid_is_owed_still() {
        let mut owed = Owed::default();
        owed.put(Note::Window, message(b"1"));
        let due = owed.take(true).expect("a note");
        assert_eq!((owed.is_empty(), owed.len()), (false, 1));
        assert!(owed.take(true).is_none(), "another thread pays nothing");
        // A later one of its kind takes its place.
        owed.put(Note::Window, message(b"2"));
        owed.put_back(due);
        assert_eq!(
            next(&mut owed, true),
            Some((Some(Note::Window), b"2".to_vec()))
        );
        assert_eq!(next(&mut owed, false), None);
        assert!(owed.is_empty());
    }

    #[test]
    fn what_is_owed_is_bounded() {
        let mut owed = Owed::default();
        for _ in 0..OWED_MAX {
            assert!(owed.add(message(b"answer")));
        }
        assert!(!owed.add(message(b"one more")));
        owed.put(Note::Bye, message(b"bye"));
        assert_eq!(owed.write_off(), OWED_MAX as u64 + 1);
        assert!(owed.is_empty());
    }
}
