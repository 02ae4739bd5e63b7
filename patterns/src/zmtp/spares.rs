//! Memory of large frames that nobody holds any more, for those that come next.
//!
//! ```text
//! a large frame ──► read ──► handed on ──► dropped by all who held it ──► read into again
//!                     └── a second reference ──► ring ──────────────────────┘
//! ```
//!
//! An allocator gives such memory back to the system, and each page that it asks for anew costs as
//! much as to copy several.
//!
//! # Invariants
//!
//! 1. Memory is read into again only where nobody holds any of it: `Bytes::try_into_mut` is the only
//!    way back. (test `what_somebody_holds_is_left_alone`)
//! 2. At most [`FRAMES_MAX`] frames with [`BYTES_MAX`] bytes are kept. Memory that is free, and was of
//!    no use, makes room for another's; what is held does not, as it comes back the sooner. (test
//!    `what_is_free_makes_room_and_what_is_held_does_not`)
//! 3. What was not used from one [`rest`](Spares::rest) to the next but one is let go of, whether it
//!    came back or not. (test `what_is_of_no_use_is_let_go_of`)

use std::collections::VecDeque;

use bytes::Bytes;

/// Frames whose memory is kept: to look through them costs little beside one of them.
const FRAMES_MAX: usize = 64;
/// Bytes of these.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// One of the large frames that came last.
#[derive(Debug)]
struct Kept {
    frame: Bytes,
    /// Bytes that there is room for in its memory.
    room: usize,
    /// It came after so many rests.
    since: u64,
}

/// Some of the large frames that came last.
#[derive(Debug, Default)]
pub(super) struct Spares {
    ring: VecDeque<Kept>,
    bytes: usize,
    rests: u64,
}

impl Spares {
    /// Memory for `least..=most` bytes, if there is some: of the frame that came last, as that is
    /// the likeliest to be in a cache.
    pub(super) fn take(&mut self, least: usize, most: usize) -> Option<Vec<u8>> {
        let fits = |kept: &Kept| (least..=most).contains(&kept.room) && kept.frame.is_unique();
        let at = self.ring.iter().rposition(fits)?;
        let Kept { frame, room, .. } = self.ring.remove(at)?;
        self.bytes -= room;
        let mut memory = frame.try_into_mut().ok()?;
        // Else what it held would be copied.
        memory.clear();
        Some(memory.into())
    }

    /// Keeps the memory of a frame, in which there is room for so many bytes.
    pub(super) fn keep(&mut self, frame: &Bytes, room: usize) {
        if room > BYTES_MAX {
            return;
        }
        let full = |spares: &Spares| {
            spares.ring.len() == FRAMES_MAX || spares.bytes.saturating_add(room) > BYTES_MAX
        };
        while full(self) {
            let free = self.ring.iter().position(|kept| kept.frame.is_unique());
            let Some(oldest) = free.and_then(|at| self.ring.remove(at)) else {
                return;
            };
            self.bytes -= oldest.room;
        }
        self.bytes += room;
        self.ring.push_back(Kept {
            frame: frame.clone(),
            room,
            since: self.rests,
        });
    }

    /// Lets go of what has been of no use since the last time but one.
    pub(super) fn rest(&mut self) {
        let last = self.rests;
        self.rests += 1;
        self.ring.retain(|kept| kept.since == last);
        self.bytes = self.ring.iter().map(|kept| kept.room).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 100_000;

    /// A frame with its memory: where that is tells it from others.
    fn frame(room: usize) -> (Bytes, *const u8) {
        let mut memory = Vec::with_capacity(room);
        memory.resize(room - 9, 1);
        let at = memory.as_ptr();
        (memory.into(), at)
    }

    fn kept(spares: &mut Spares, room: usize) -> (Bytes, *const u8) {
        let (frame, at) = frame(room);
        spares.keep(&frame, room);
        (frame, at)
    }

    #[test]
    fn what_somebody_holds_is_left_alone() {
        let mut spares = Spares::default();
        let (frame, at) = kept(&mut spares, ROOM);
        let part = frame.slice(10..20);
        drop(frame);
        assert_eq!(spares.take(ROOM, ROOM), None, "a part of it is held");
        drop(part);
        let memory = spares.take(ROOM, ROOM).unwrap();
        assert_eq!((memory.as_ptr(), memory.len()), (at, 0));
        assert_eq!(memory.capacity(), ROOM);
        assert_eq!(spares.take(ROOM, ROOM), None, "it is there once");
    }

    #[test]
    fn what_is_too_small_or_too_large_is_left() {
        let mut spares = Spares::default();
        kept(&mut spares, ROOM);
        assert_eq!(spares.take(ROOM + 1, ROOM + 9), None);
        assert_eq!(spares.take(ROOM - 9, ROOM - 1), None);
        assert!(spares.take(ROOM - 9, ROOM).is_some());
    }

    #[test]
    fn the_one_that_came_last_is_taken_first() {
        let mut spares = Spares::default();
        let (_, first) = kept(&mut spares, ROOM);
        let (_, second) = kept(&mut spares, ROOM);
        let taken = [(); 2].map(|()| spares.take(ROOM, ROOM).unwrap());
        assert_eq!(taken.map(|memory| memory.as_ptr()), [second, first]);
    }

    #[test]
    fn what_is_free_makes_room_and_what_is_held_does_not() {
        let mut spares = Spares::default();
        let mut held = Vec::new();
        for _ in 0..2 * FRAMES_MAX {
            held.push(kept(&mut spares, ROOM));
        }
        assert_eq!(
            (spares.ring.len(), spares.bytes),
            (FRAMES_MAX, FRAMES_MAX * ROOM)
        );
        let (_, freed) = held.remove(3);
        assert_eq!(spares.ring[3].frame.as_ptr(), freed);
        let (_, newest) = kept(&mut spares, ROOM + 1);
        assert_eq!(spares.ring[FRAMES_MAX - 1].frame.as_ptr(), newest);
        assert!(spares.ring.iter().all(|kept| kept.frame.as_ptr() != freed));
        drop(held);
        kept(&mut spares, BYTES_MAX);
        assert_eq!((spares.ring.len(), spares.bytes), (1, BYTES_MAX));
        kept(&mut spares, BYTES_MAX + 1);
        assert_eq!(spares.bytes, BYTES_MAX, "too large for any room");
    }

    #[test]
    fn what_is_of_no_use_is_let_go_of() {
        let mut spares = Spares::default();
        let (_held, _) = kept(&mut spares, ROOM);
        kept(&mut spares, 2 * ROOM);
        spares.rest();
        assert_eq!(spares.bytes, 3 * ROOM, "they have just come");
        let memory = spares.take(2 * ROOM, 2 * ROOM).unwrap();
        spares.keep(&memory.into(), 2 * ROOM);
        spares.rest();
        assert_eq!(spares.bytes, 2 * ROOM, "it was of use");
        spares.rest();
        assert_eq!((spares.bytes, spares.ring.len()), (0, 0));
    }
}
