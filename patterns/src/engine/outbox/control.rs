//! What a peer is told beside messages: which topics are subscribed to.
//!
//! Such frames are no messages: they have no limit of messages, count as none, and do not wait for
//! the next link, which is told everything anew ([`Outbox::place`]).
//!
//! # Invariants
//!
//! 1. A link is told its opening, then every frame that came since, in order, each once, also
//!    where the link before is still being written to. (test
//!    `a_new_link_is_told_all_while_the_old_one_is_still_written_to`)

use super::{Link, Outbox};

/// What became of something that a peer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Told {
    /// It is queued: a flush writes it.
    Queued,
    /// There is nobody to be told. Whoever comes is told everything.
    Nobody,
    /// More than the limit is queued already: the peer does not read.
    Behind,
    /// The peer does not take it.
    Refused,
}

impl<L: Link> Outbox<L> {
    /// Queues whole frames for the link at hand, unless more than `bytes_max` are queued.
    pub(crate) fn tell(&self, frames: &[u8], bytes_max: usize) -> Told {
        let mut state = self.state.lock();
        if state.closed || state.link.is_none() {
            return Told::Nobody;
        }
        if state.pending.len() + state.opening.len() + frames.len() > bytes_max {
            return Told::Behind;
        }
        if state.switching {
            // What is pending is put back by the one who writes, and control frames with it.
            state.opening.extend_from_slice(frames);
        } else {
            state.pending.push_control(frames);
        }
        Told::Queued
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::Memory;
    use super::super::{Hold, Wrote};
    use super::*;
    use crate::message::Message;
    use crate::zmtp::encoder::Encoder;

    const SUBSCRIBE: [u8; 4] = [0, 2, 1, b'a'];
    const CANCEL: [u8; 4] = [0, 2, 0, b'a'];

    #[test]
    fn what_is_told_goes_out_in_order_and_does_not_wait_for_the_next_link() {
        let outbox = Outbox::new(10, 1000, true);
        assert_eq!(outbox.tell(&SUBSCRIBE, 100), Told::Nobody);
        let old = Memory::with_room(0);
        outbox.place(old.clone(), SUBSCRIBE.to_vec());
        assert_eq!(outbox.tell(&CANCEL, 100), Told::Queued);
        let _ = outbox.push(Message::from("m"), Hold::Never, 1).unwrap();
        assert_eq!(outbox.counts().queued, 1, "frames are no messages");
        outbox.detach(&old);
        let new = Memory::with_room(100);
        outbox.place(new.clone(), SUBSCRIBE.to_vec());
        assert_eq!(outbox.tell(&CANCEL, 100), Told::Queued);
        assert!(new.taken().is_empty(), "nothing before the flush");
        let _ = outbox.flush();
        let message = [0, 1, b'm'];
        assert_eq!(
            new.taken()[..],
            [&SUBSCRIBE[..], &message, &CANCEL].concat()
        );
    }

    #[test]
    fn a_peer_that_does_not_read_is_told_no_more_than_the_limit() {
        let outbox = Outbox::new(10, 1000, true);
        outbox.place(Memory::with_room(0), Vec::new());
        assert_eq!(outbox.tell(&SUBSCRIBE, 8), Told::Queued);
        assert_eq!(outbox.tell(&CANCEL, 8), Told::Queued);
        assert_eq!(outbox.tell(&SUBSCRIBE, 8), Told::Behind);
    }

    /// A link that, while it is written to, is replaced by another.
    #[derive(Clone)]
    struct Replaced {
        memory: Memory,
        by: Option<(std::sync::Weak<Outbox<Replaced>>, Memory)>,
    }

    impl Link for Replaced {
        fn write(&self, batch: &mut Encoder) -> (usize, Wrote) {
            if let Some((outbox, new)) = &self.by
                && let Some(outbox) = outbox.upgrade()
            {
                let new = Replaced {
                    memory: new.clone(),
                    by: None,
                };
                outbox.detach(self);
                outbox.place(new, SUBSCRIBE.to_vec());
                assert_eq!(outbox.tell(&CANCEL, 100), Told::Queued);
                let _ = outbox.push(Message::from("later"), Hold::Never, 1).unwrap();
                return (0, Wrote::Failed);
            }
            self.memory.write(batch)
        }
        fn watch(&self, blocked: bool) {
            self.memory.watch(blocked);
        }
        fn condemn(&self) {}
        fn same(&self, other: &Self) -> bool {
            self.memory.same(&other.memory)
        }
    }

    #[test]
    fn a_new_link_is_told_all_while_the_old_one_is_still_written_to() {
        let new = Memory::with_room(1000);
        let outbox = std::sync::Arc::new(Outbox::new(10, 1000, true));
        let old = Replaced {
            memory: Memory::with_room(0),
            by: Some((std::sync::Arc::downgrade(&outbox), new.clone())),
        };
        outbox.place(old, Vec::new());
        let _ = outbox.push(Message::from("first"), Hold::Never, 1).unwrap();
        let told = [&SUBSCRIBE[..], &CANCEL].concat();
        let messages = b"\0\x05first\0\x05later";
        assert_eq!(new.taken()[..], [&told[..], messages].concat());
    }
}
