//! What is sent to many peers at once: never waited for, never copied but into the write buffer.

use super::super::pace::Hold;
use super::{After, Link, Outbox};
use crate::message::Message;

/// What became of a message that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Offered {
    /// It is queued or on its way.
    Taken(After),
    /// The queue is full: the message has been dropped and counted.
    PassedOver,
    /// The peer has gone for good.
    Gone,
}

impl<L: Link> Outbox<L> {
    /// Queues a message that goes to others too, as [`push`](Outbox::push) does; one for which
    /// there is no room is dropped and counted. `beyond` lets it go over the limits.
    pub(crate) fn offer(
        &self,
        message: &Message,
        hold: Hold,
        pusher: usize,
        beyond: bool,
    ) -> Offered {
        let mut state = self.state.lock();
        if state.closed {
            return Offered::Gone;
        }
        let bytes = message.bytes();
        let full;
        (state, full) = self.is_full(state, bytes);
        let full = full && !beyond;
        state.pushed += 1;
        state.pushed_bytes += bytes as u64;
        if full {
            state.passed_over += 1;
            return Offered::PassedOver;
        }
        if state.link.is_none() || !state.backlog.is_empty() {
            state.backlog_bytes += bytes;
            state.backlog.push_back(message.clone());
            return Offered::Taken(After::default());
        }
        state.pending.push_ref(message);
        Offered::Taken(self.pushed(state, hold, pusher))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::Memory;
    use super::*;

    fn offer(outbox: &Outbox<Memory>, text: &str, beyond: bool) -> bool {
        match outbox.offer(&text.into(), Hold::Never, 1, beyond) {
            Offered::Taken(_) => true,
            Offered::PassedOver => false,
            Offered::Gone => panic!("gone"),
        }
    }

    #[test]
    fn a_full_queue_is_passed_over_and_the_books_balance() {
        let outbox = Outbox::new(2, 1000, true);
        let link = Memory::with_room(0);
        let _ = outbox.attach(link.clone());
        assert!(offer(&outbox, "a", false) && offer(&outbox, "b", false));
        assert!(!offer(&outbox, "c", false) && !offer(&outbox, "d", false));
        assert!(offer(&outbox, "e", true), "let in beyond the limit");
        let counts = outbox.counts();
        assert_eq!(
            (counts.pushed, counts.passed_over, counts.queued),
            (5, 2, 3)
        );
        link.make_room(100);
        let _ = outbox.writable(&link);
        assert_eq!(link.taken()[..], [0, 1, b'a', 0, 1, b'b', 0, 1, b'e']);
        assert_eq!(outbox.counts().written, 3);
        assert!(offer(&outbox, "f", false), "room again");
    }

    #[test]
    fn a_conflating_queue_keeps_the_last_message_and_what_is_half_written() {
        let outbox = Outbox::new(1, 1000, true).conflating(true);
        assert!(offer(&outbox, "before", false) && offer(&outbox, "the link", false));
        let link = Memory::with_room(12);
        let _ = outbox.attach(link.clone());
        for text in ["ab", "cd", "ef"] {
            let _ = outbox.push(Message::from(text), Hold::Chunk, 1).unwrap();
        }
        assert_eq!(outbox.counts().queued, 2, "one in part, one in full");
        link.make_room(100);
        let _ = outbox.writable(&link);
        let text = b"\0\x08the link\0\x02ab\0\x02ef";
        assert_eq!(link.taken()[..], text[..]);
        let counts = outbox.counts();
        assert_eq!((counts.pushed, counts.written, counts.conflated), (5, 3, 2));
    }
}
