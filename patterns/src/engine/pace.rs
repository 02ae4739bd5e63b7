//! What a thread's own pace says about holding its messages back.
//!
//! A write is dear beside a message: so messages that would follow each other at once are gathered
//! and written together. A thread is held to come back for more in two cases only:
//!
//! | case | seen by | gathered up to | written at the latest |
//! |---|---|---|---|
//! | answering what it receives | more messages are at hand, and it is quick with each | `CHUNK` | when it waits |
//! | sending bursts | between its last two waits it sent `BURST` or more, quickly | `CHUNK` | when it waits |
//! | sending without a pause | `FLOOD_SENDS` in a row, each right after the last | `SIP`, or `CHUNK` where several threads send or nothing comes back | by the steward's next tick |
//!
//! All else is written at once. The steward writes within a tick what was guessed wrong.
//!
//! The same figures say whether a thread that waits hands the lead on: one that will be back soon
//! leaves it free.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A thread busy with each message for less than this is expected back soon.
const SOON: Duration = Duration::from_micros(50);
/// Sends between two waits that make a burst.
const BURST: u32 = 8;
/// Sends in a row, without waiting, after which a thread may be flooding.
const FLOOD_SENDS: u32 = 32;
/// Sends after which a flood that was interrupted goes on.
const FLOOD_PROOF: u32 = 4;
/// The longest pause between two of these, from the end of one to the beginning of the next: what
/// a write takes says nothing about the thread.
const FLOOD_GAP: Duration = Duration::from_micros(5);
/// The longest pause in a flood that goes on.
const FLOOD_PAUSE: Duration = Duration::from_micros(50);
/// The longest that a send of a burst may take on average, its write included.
const BURST_SEND: Duration = Duration::from_micros(10);

/// Bytes that are written together where many are at hand: enough to spare system calls, and
/// little enough that the peer works on one chunk while the next is made.
pub(crate) const CHUNK: usize = 8 * 1024;
/// Messages that are written together, however small: a window of calls in flight is to be under way
/// in parts, so that neither side waits for all of it.
pub(crate) const CHUNK_MESSAGES: usize = 64;
/// Bytes that one thread's flood is gathered up to.
pub(crate) const SIP: usize = 1024;

/// How long a message may be held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Not at all.
    Never,
    /// Until a sip is gathered.
    Sip,
    /// Until a chunk is gathered.
    Chunk,
    /// Until the caller flushes it.
    Flush,
}

impl Hold {
    /// What is sent one way may be gathered further: nobody waits for an answer to it.
    pub(crate) fn on(self, one_way: bool) -> Hold {
        if one_way && self == Hold::Sip {
            Hold::Chunk
        } else {
            self
        }
    }
}

struct Pace {
    /// It answers quickly, and more messages are at hand.
    answering: Cell<bool>,
    /// Nanoseconds spent on a message between waits, averaged.
    busy_ns: Cell<u64>,
    /// When the last wait ended.
    since: Cell<Option<Instant>>,
    /// Messages taken since.
    taken: Cell<u32>,
    /// It sent a burst between its last two waits.
    bursting: Cell<bool>,
    /// Sends since the last wait.
    sent: Cell<u32>,
    /// Sends of these in a row.
    sends: Cell<u32>,
    /// When the last of them began, or its write ended.
    mark: Cell<Option<Instant>>,
    flooding: Cell<bool>,
}

thread_local! {
    static PACE: Pace = const {
        Pace {
            answering: Cell::new(false),
            busy_ns: Cell::new(u64::MAX),
            since: Cell::new(None),
            taken: Cell::new(0),
            bursting: Cell::new(false),
            sent: Cell::new(0),
            sends: Cell::new(0),
            mark: Cell::new(None),
            flooding: Cell::new(false),
        }
    };
}

/// How long the message that this thread sends now may be held back.
pub(crate) fn holds() -> Hold {
    PACE.with(|pace| {
        pace.sent.set(pace.sent.get().saturating_add(1));
        if pace.answering.get() || pace.bursting.get() {
            return Hold::Chunk;
        }
        if pace.flooding.get() {
            pace.still_flooding()
        } else {
            pace.begins_flooding()
        }
    })
}

/// What this thread has just sent was written, or went to many peers, which took its time.
pub(crate) fn wrote() {
    PACE.with(|pace| {
        // The first send after a wait is no flood yet, and spared the clock.
        if pace.flooding.get() || pace.sends.get() > 1 {
            pace.mark.set(Some(Instant::now()));
        }
    });
}

/// A number that tells this thread from others that run.
pub(crate) fn thread() -> usize {
    PACE.with(|pace| std::ptr::from_ref(pace).addr())
}

/// This thread took a message without waiting; `more` are at hand.
pub(crate) fn took(more: bool) {
    PACE.with(|pace| {
        pace.taken.set(pace.taken.get().saturating_add(1));
        pace.answering.set(more && pace.back_soon());
    });
}

/// What is expected of a thread that is about to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// It will be back soon afterwards.
    pub(crate) back_soon: bool,
    /// It is in the middle of a stream of messages: the next ones are all but here.
    pub(crate) streaming: bool,
}

/// This thread is about to wait.
pub(crate) fn waits(now: Instant) -> Outlook {
    PACE.with(|pace| {
        let streaming = pace.taken.get() >= BURST;
        pace.answering.set(false);
        pace.flooding.set(false);
        pace.sends.set(0);
        pace.mark.set(None);
        let sent = pace.sent.take();
        if let Some(since) = pace.since.take() {
            let taken = u64::from(pace.taken.get().max(1));
            let whole = now.saturating_duration_since(since);
            let busy = whole.as_nanos() as u64 / taken;
            pace.bursting
                .set(sent >= BURST && whole < BURST_SEND * sent);
            let known = pace.busy_ns.get();
            // A quarter of the way towards what was seen; the first time, all of it.
            pace.busy_ns.set(if known == u64::MAX {
                busy
            } else {
                known - known / 4 + busy / 4
            });
        }
        let back_soon = pace.back_soon();
        Outlook {
            back_soon,
            streaming: streaming && back_soon,
        }
    })
}

/// This thread's wait is over.
pub(crate) fn waited(now: Instant) {
    PACE.with(|pace| {
        pace.since.set(Some(now));
        pace.taken.set(0);
    });
}

/// When this thread's last wait ended, if it has taken nothing since that it had not waited for.
pub(crate) fn waited_until() -> Option<Instant> {
    PACE.with(|pace| pace.since.get().filter(|_| pace.taken.get() == 0))
}

impl Pace {
    fn back_soon(&self) -> bool {
        self.busy_ns.get() < SOON.as_nanos() as u64
    }

    /// Looks at the clock from the second send in a row on.
    fn begins_flooding(&self) -> Hold {
        let sends = self.sends.get();
        if sends > 0 {
            let now = Instant::now();
            let last = self.mark.replace(Some(now));
            if last.is_some_and(|last| now.saturating_duration_since(last) >= FLOOD_GAP) {
                self.sends.set(1);
                return Hold::Never;
            }
            self.flooding.set(sends >= FLOOD_SENDS);
        }
        self.sends.set(sends + 1);
        Hold::Never
    }

    /// Looks at the clock at each send.
    fn still_flooding(&self) -> Hold {
        let now = Instant::now();
        let last = self.mark.replace(Some(now));
        if last.is_some_and(|last| now.saturating_duration_since(last) < FLOOD_PAUSE) {
            return Hold::Sip;
        }
        // Perhaps it was the processor that was taken away: a few sends show whether it goes on.
        self.flooding.set(false);
        self.sends.set(FLOOD_SENDS - FLOOD_PROOF);
        Hold::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace of a thread of its own, so that tests do not see each other's.
    fn on_a_fresh_thread<R: Send>(run: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| scope.spawn(run).join().unwrap())
    }

    /// Whether any of some hundreds of sends without a pause is held back. More than one try,
    /// since the machine may take the processor away in the middle.
    fn floods() -> bool {
        (0..100).any(|_| (0..10 * FLOOD_SENDS).any(|_| holds() == Hold::Sip))
    }

    #[test]
    fn the_first_messages_are_never_held_back() {
        on_a_fresh_thread(|| {
            assert!((0..=FLOOD_SENDS).all(|_| holds() == Hold::Never));
        });
    }

    #[test]
    fn a_flood_is_gathered_until_the_thread_waits() {
        on_a_fresh_thread(|| {
            assert!(floods());
            waits(Instant::now());
            assert_eq!(holds(), Hold::Never);
        });
    }

    #[test]
    fn a_flood_ends_with_a_pause() {
        on_a_fresh_thread(|| {
            assert!(floods());
            let end = Instant::now() + FLOOD_PAUSE;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
            assert_eq!(holds(), Hold::Never);
        });
    }

    #[test]
    fn a_thread_that_sent_a_burst_is_expected_to_send_another() {
        on_a_fresh_thread(|| {
            let begin = Instant::now();
            waited(begin);
            (0..BURST).for_each(|_| assert_eq!(holds(), Hold::Never));
            waits(begin + BURST_SEND);
            assert_eq!(holds(), Hold::Chunk);
            waited(begin);
            assert_eq!(holds(), Hold::Chunk);
            waits(begin + BURST_SEND);
            assert_eq!(holds(), Hold::Never, "one message is no burst");
            waited(begin);
            (0..BURST).for_each(|_| assert_eq!(holds(), Hold::Never));
            waits(begin + BURST_SEND * BURST * 2);
            assert_eq!(holds(), Hold::Never, "these took their time");
        });
    }

    #[test]
    fn the_end_of_a_wait_is_known_until_more_is_taken() {
        on_a_fresh_thread(|| {
            assert_eq!(waited_until(), None);
            let now = Instant::now();
            took(false);
            waited(now);
            assert_eq!(waited_until(), Some(now));
            took(true);
            assert_eq!(waited_until(), None);
            waits(now);
            assert_eq!(waited_until(), None);
        });
    }

    #[test]
    fn answers_are_held_back_while_more_is_at_hand_and_the_thread_is_quick() {
        on_a_fresh_thread(|| {
            let begin = Instant::now();
            took(true);
            assert_eq!(holds(), Hold::Never, "nothing is known of this thread");
            waited(begin);
            took(true);
            assert!(waits(begin + SOON / 2).back_soon, "it was quick");
            took(true);
            assert_eq!(holds(), Hold::Chunk);
            took(false);
            assert_eq!(holds(), Hold::Never, "the last message of all");
            waited(begin);
            took(true);
            assert!(!waits(begin + SOON * 100).back_soon, "it was slow");
            took(true);
            assert_eq!(holds(), Hold::Never);
        });
    }
}
