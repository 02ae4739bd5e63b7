//! Copies of everything that passes, for whoever wants to look on.
//!
//! ```text
//! the loop: passes a message on, then a copy --> bounded queue --> a thread --> PUB or PUSH
//! ```
//!
//! A copy shares the bytes. It is a message with one frame more in front: `frontend` or `backend`,
//! the side that it came from. A copy that finds the queue full, or nobody to take it, is lost and
//! counted: looking on never holds up what is looked at.
//!
//! # Invariants
//!
//! 1. A capture that nobody reads, or that somebody has stopped reading, costs no message that
//!    passes. (test `a_capture_that_is_not_read_loses_copies_and_nothing_else`)
//! 2. Copies wait within `COPIES_MAX` messages and `COPY_BYTES_MAX` bytes. (test
//!    `copies_wait_within_their_limits`)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender};

use super::counts::{Tally, Way};
use crate::message::{Frame, Message};
use crate::socket::{Pub, Push, SendError};

/// Copies that wait for their thread.
const COPIES_MAX: usize = 1000;
/// Their bytes; a single one may be larger.
const COPY_BYTES_MAX: usize = 16 << 20;

/// How copies are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CaptureType {
    /// By a PUB: each copy to every SUB that wants it; `frontend` and `backend` are the topics.
    #[default]
    Publish,
    /// By a PUSH: each copy to one PULL, in turn.
    Push,
}

/// The socket that copies go out by.
pub(super) enum Outlet {
    Publish(Arc<Pub>),
    Push(Arc<Push>),
}

impl Outlet {
    fn send(&self, copy: Message) -> Result<(), SendError> {
        match self {
            Outlet::Publish(socket) => socket.try_send(copy),
            Outlet::Push(socket) => socket.try_send(copy),
        }
    }
}

/// Copies, counted.
#[derive(Debug, Default)]
pub(super) struct CopyCounts {
    /// Bytes in the queue.
    queued_bytes: AtomicUsize,
    /// Counted by the loop: those that the queue had no room for.
    overflowed: Tally,
    /// Counted by the thread.
    sent: Tally,
    refused: Tally,
}

impl CopyCounts {
    /// Copies that went out.
    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Copies that did not.
    pub(super) fn lost(&self) -> u64 {
        self.overflowed.get() + self.refused.get()
    }
}

/// The loop's end of the queue.
pub(super) struct Copies<'a> {
    queue: Sender<(Way, Message)>,
    counts: &'a CopyCounts,
}

impl Copies<'_> {
    /// Hands a copy over, if there is room.
    pub(super) fn offer(&self, way: Way, copy: Message) {
        let bytes = copy.bytes();
        let queued = self.counts.queued_bytes.load(Ordering::Relaxed);
        if queued > 0 && queued + bytes > COPY_BYTES_MAX {
            self.counts.overflowed.add(1);
            return;
        }
        self.counts.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.queue.try_send((way, copy)).is_err() {
            self.counts.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.overflowed.add(1);
        }
    }
}

/// A queue of copies: the loop's end, and that of the thread which sends them.
pub(super) fn queue(counts: &CopyCounts) -> (Copies<'_>, Receiver<(Way, Message)>) {
    let (queue, copies) = crossbeam_channel::bounded(COPIES_MAX);
    (Copies { queue, counts }, copies)
}

/// Sends copies until the loop has let go of its end, and none is left.
pub(super) fn serve(copies: &Receiver<(Way, Message)>, outlet: &Outlet, counts: &CopyCounts) {
    for (way, mut copy) in copies {
        counts
            .queued_bytes
            .fetch_sub(copy.bytes(), Ordering::Relaxed);
        copy.push_front(Frame::from_static(match way {
            Way::FromFrontend => b"frontend",
            Way::FromBackend => b"backend",
        }));
        match outlet.send(copy) {
            Ok(()) => counts.sent.add(1),
            Err(_) => counts.refused.add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_wait_within_their_limits() {
        let counts = CopyCounts::default();
        let (copies, waiting) = queue(&counts);
        for _ in 0..COPIES_MAX + 5 {
            copies.offer(Way::FromFrontend, Message::from("small"));
        }
        assert_eq!((waiting.len(), counts.lost()), (COPIES_MAX, 5));
        assert_eq!(counts.queued_bytes.load(Ordering::Relaxed), COPIES_MAX * 5);

        let counts = CopyCounts::default();
        let (copies, waiting) = queue(&counts);
        let large = Message::from(vec![0u8; COPY_BYTES_MAX + 1]);
        let half = Message::from(vec![0u8; COPY_BYTES_MAX / 2]);
        copies.offer(Way::FromFrontend, large);
        copies.offer(Way::FromFrontend, half.clone());
        assert_eq!((waiting.len(), counts.lost()), (1, 1));
        drop(copies);
        let push = Outlet::Push(Arc::new(Push::with(crate::Options::new()).unwrap()));
        serve(&waiting, &push, &counts);
        assert_eq!((counts.sent(), counts.lost()), (0, 2), "nobody to send to");
        let (copies, waiting) = queue(&counts);
        for _ in 0..3 {
            copies.offer(Way::FromBackend, half.clone());
        }
        assert_eq!((waiting.len(), counts.lost()), (2, 3));
    }
}
