//! The memory that a thread cuts its envelopes and small bodies from.
//!
//! A thread keeps one chunk. What is written is split off and travels as a frame; when the chunk
//! is used up it is taken back if all its frames are gone, and replaced otherwise. So an
//! envelope allocates nothing, and a chunk's allocation is shared by some hundred of them. What
//! does not fit a chunk gets an allocation of its own; what fits within the frame is copied there.
//!
//! ```text
//! Writer::new()       takes the thread's chunk      (the thread has none for the while: a second
//!   put(..)           writes at its end              writer, within a `Serialize` of a user, makes
//! finish() -> Frame   splits it off, gives it back   its own, and the last to finish is kept)
//! ```
//!
//! # Invariants
//!
//! 1. A frame is not changed by what is written after it. (test
//!    `frames_of_one_chunk_do_not_touch_each_other`)
//! 2. A chunk whose frames are gone is used again, without an allocation. (test
//!    `a_chunk_whose_frames_are_gone_is_used_again`)
//! 3. A large body pins no chunk, and a chunk is at most 16 KiB. (test
//!    `a_large_body_has_memory_of_its_own`)

use std::cell::Cell;
use std::io;

use brokerless_patterns::Frame;
use bytes::BytesMut;

/// Bytes of a chunk.
pub(crate) const CHUNK_BYTES: usize = 16 * 1024;
/// Bytes that are carried over into a new chunk when one is used up; more get their own memory.
const CARRIED_BYTES_MAX: usize = 1024;

thread_local! {
    static CHUNK: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// Writes a frame into the thread's chunk.
#[derive(Debug)]
pub(crate) struct Writer {
    /// The chunk, with what is written since the last frame; or memory of its own.
    memory: BytesMut,
    /// The chunk, while `memory` is not it.
    aside: Option<BytesMut>,
}

impl Writer {
    /// A writer of a frame that begins with room for `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        let chunk = CHUNK.try_with(Cell::take).ok().flatten();
        let mut writer = Writer {
            memory: chunk.unwrap_or_default(),
            aside: None,
        };
        writer.room(bytes);
        writer
    }

    /// Sees to room for so many bytes more.
    #[inline]
    pub(crate) fn room(&mut self, bytes: usize) {
        if self.memory.capacity() - self.memory.len() < bytes {
            self.make_room(bytes);
        }
    }

    #[cold]
    fn make_room(&mut self, bytes: usize) {
        if self.aside.is_some() {
            self.memory.reserve(bytes);
            return;
        }
        let wanted = self.memory.len() + bytes;
        if wanted <= CHUNK_BYTES && self.memory.try_reclaim(bytes) {
            return;
        }
        if wanted <= CARRIED_BYTES_MAX {
            let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
            chunk.extend_from_slice(&self.memory);
            self.memory = chunk;
            return;
        }
        let mut own = BytesMut::with_capacity(wanted.next_power_of_two());
        own.extend_from_slice(&self.memory);
        let mut chunk = std::mem::replace(&mut self.memory, own);
        chunk.clear();
        self.aside = Some(chunk);
    }

    /// Writes bytes.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        self.memory.extend_from_slice(bytes);
    }

    /// Bytes written.
    pub(crate) fn len(&self) -> usize {
        self.memory.len()
    }

    /// What is written.
    #[inline]
    pub(crate) fn written(&self) -> &[u8] {
        &self.memory
    }

    /// Takes back what was written after the first so many bytes.
    #[inline]
    pub(crate) fn cut(&mut self, bytes: usize) {
        self.memory.truncate(bytes);
    }

    /// The frame of what is written. The chunk goes back to the thread.
    ///
    /// A writer that is dropped unfinished takes the chunk with it: the next one makes a new one.
    #[inline]
    pub(crate) fn finish(mut self) -> Frame {
        let (frame, chunk) = match self.aside {
            None if self.memory.len() <= Frame::SHORT_MAX => {
                let frame = Frame::copy_from_slice(&self.memory);
                self.memory.clear();
                (frame, self.memory)
            }
            None => (Frame::from(self.memory.split().freeze()), self.memory),
            Some(chunk) => (Frame::from(self.memory.freeze()), chunk),
        };
        // At the end of a thread there is nobody to give it back to.
        let _ = CHUNK.try_with(|kept| kept.set(Some(chunk)));
        frame
    }
}

impl io::Write for Writer {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Frame {
        let mut writer = Writer::new(8);
        writer.put(bytes);
        writer.finish()
    }

    /// Of some lengths, of which a frame has room for the shorter ones itself.
    fn bytes_of(n: u32) -> Vec<u8> {
        n.to_be_bytes().repeat((n % 5) as usize * 3)
    }

    /// So many bytes that a frame has no room for them itself.
    fn long(text: &str) -> Vec<u8> {
        text.repeat(Frame::SHORT_MAX).into_bytes()
    }

    /// Whether both lie in one chunk.
    fn are_neighbours(a: &Frame, b: &Frame) -> bool {
        (a.as_ptr() as usize).abs_diff(b.as_ptr() as usize) < CHUNK_BYTES
    }

    #[test]
    fn frames_of_one_chunk_do_not_touch_each_other() {
        let frames: Vec<Frame> = (0..5000u32).map(|n| frame(&bytes_of(n))).collect();
        for (n, frame) in (0u32..).zip(&frames) {
            assert_eq!(*frame, bytes_of(n)[..]);
        }
        assert!(are_neighbours(&frames[3], &frames[4]));
    }

    #[test]
    fn a_chunk_whose_frames_are_gone_is_used_again() {
        let first = frame(&[0; 40]);
        let place = first.as_ptr() as usize;
        drop(first);
        for n in 0..10_000u32 {
            let frame = frame(&n.to_be_bytes().repeat(10));
            let distance = (frame.as_ptr() as usize).abs_diff(place);
            assert!(distance < CHUNK_BYTES, "after {n}: {distance}");
        }
    }

    #[test]
    fn a_large_body_has_memory_of_its_own() {
        let small = frame(&long("small"));
        let mut writer = Writer::new(8);
        for _ in 0..3 * CHUNK_BYTES {
            writer.put(b"x");
        }
        let large = writer.finish();
        assert_eq!(large, vec![b'x'; 3 * CHUNK_BYTES][..]);
        // And the chunk is where it was.
        assert!(are_neighbours(&small, &frame(&long("next"))));
        assert_eq!(small, long("small")[..]);
    }

    #[test]
    fn a_writer_within_another_has_memory_of_its_own() {
        let before = frame(&long("before"));
        let mut outer = Writer::new(8);
        outer.put(b"outer");
        let inner = frame(&long("inner"));
        outer.put(b" goes on, and on, and on");
        let outer = outer.finish();
        assert_eq!(outer, b"outer goes on, and on, and on");
        assert_eq!(inner, long("inner")[..]);
        assert!(are_neighbours(&before, &outer));
        drop((before, outer));
        let after = frame(&long("after"));
        assert!(are_neighbours(&after, &frame(&long("and on"))));
    }

    #[test]
    fn what_was_begun_and_dropped_is_not_in_the_next_frame() {
        let mut writer = Writer::new(8);
        writer.put(b"begun");
        drop(writer);
        assert_eq!(frame(b"next"), b"next");
    }
}
