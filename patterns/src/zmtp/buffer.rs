//! The read buffer that every connection of an engine shares.
//!
//! One buffer of [`READ_BYTES`] serves all connections in turn, so an idle peer owns none. What
//! becomes of the bytes depends on the frame:
//!
//! ```text
//! frame bytes      where they go                                     what a kept frame pins
//! <= SHORT_MAX     copied into the frame itself                      nothing
//! <= ARENA_MAX     copied into a small shared chunk                  at most ARENA_BYTES
//! <  SLICE_MIN     copied into an allocation of their own            itself
//! >= SLICE_MIN     a slice of the read buffer                        READ_BYTES, at most 16 x itself
//! too large here   read by the decoder into memory of its own        itself, and the spares
//! ```
//!
//! # Invariants
//!
//! 1. A kept frame pins at most `max(ARENA_BYTES, 16 x its length)` bytes.
//!    (test `a_small_frame_does_not_pin_the_read_buffer`)
//! 2. A buffer is read into only while nobody holds a slice of it: `Bytes::try_into_mut` is the
//!    only way back. (test `a_sliced_buffer_is_left_alone_until_its_slices_are_gone`)

use bytes::{Bytes, BytesMut};

use super::spares::Spares;
use crate::counters;
use crate::message::Frame;

/// Bytes of the shared read buffer, and the most that one read takes.
pub const READ_BYTES: usize = 64 * 1024;
/// Frames up to this many bytes share chunks.
const ARENA_MAX: usize = 512;
/// Bytes of a chunk for small frames.
const ARENA_BYTES: usize = 4 * 1024;
/// Frames from this many bytes on are slices of the read buffer.
const SLICE_MIN: usize = READ_BYTES / 16;
/// Buffers kept for later while slices of them are alive.
const POOL_MAX: usize = 8;

/// The shared read buffer, with the chunk that small frames are copied to.
#[derive(Debug)]
pub struct ReadBuffer {
    current: BytesMut,
    pool: Vec<Bytes>,
    cutter: Cutter,
}

/// Bytes that have been read, and the buffer that they are the front of, where frames may be
/// slices of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lent<'a> {
    pub(super) bytes: &'a [u8],
    whole: Option<&'a Bytes>,
}

impl<'a> Lent<'a> {
    /// Bytes of no buffer: frames are copies.
    pub(super) fn few(bytes: &'a [u8]) -> Self {
        Lent { bytes, whole: None }
    }
}

/// What turns bytes of the buffer into frames.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    arena: BytesMut,
    /// Memory for large frames.
    pub(super) spares: Spares,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadBuffer {
    /// An empty buffer.
    ///
    /// # Allocation
    ///
    /// [`READ_BYTES`], at once.
    pub fn new() -> Self {
        ReadBuffer {
            current: BytesMut::zeroed(READ_BYTES),
            pool: Vec::new(),
            cutter: Cutter::default(),
        }
    }

    /// The whole buffer, to read into.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.current
    }

    /// What turns bytes into frames, where they are not in this buffer.
    pub(super) fn cutter(&mut self) -> &mut Cutter {
        &mut self.cutter
    }

    /// Gives back the memory that is kept for large frames, if it was of no use since the last
    /// time.
    pub fn rest(&mut self) {
        self.cutter.spares.rest();
    }

    /// Lends the first `filled` bytes out to be cut into frames, then takes the buffer back, or
    /// another one where slices of it are still held.
    pub(super) fn lend<R>(
        &mut self,
        filled: usize,
        cut: impl FnOnce(Lent<'_>, &mut Cutter) -> R,
    ) -> R {
        if filled < SLICE_MIN {
            // No frame in here is large enough to be a slice.
            let lent = Lent {
                bytes: &self.current[..filled],
                whole: None,
            };
            return cut(lent, &mut self.cutter);
        }
        let whole = std::mem::take(&mut self.current).freeze();
        let lent = Lent {
            bytes: &whole[..filled],
            whole: Some(&whole),
        };
        let result = cut(lent, &mut self.cutter);
        self.current = match whole.try_into_mut() {
            Ok(back) => back,
            Err(held) => {
                if self.pool.len() < POOL_MAX {
                    self.pool.push(held);
                }
                self.reclaim()
            }
        };
        result
    }

    fn reclaim(&mut self) -> BytesMut {
        if let Some(free) = self.pool.iter().position(Bytes::is_unique)
            && let Ok(buffer) = self.pool.swap_remove(free).try_into_mut()
        {
            return buffer;
        }
        BytesMut::zeroed(READ_BYTES)
    }
}

impl Cutter {
    /// The frame over `lent.bytes[start..end]`.
    pub(super) fn cut(&mut self, lent: Lent<'_>, start: usize, end: usize) -> Frame {
        let len = end - start;
        if len >= SLICE_MIN
            && let Some(whole) = lent.whole
        {
            return whole.slice(start..end).into();
        }
        let bytes = &lent.bytes[start..end];
        counters::copied(len);
        if len > ARENA_MAX || len <= Frame::SHORT_MAX {
            return Frame::copy_from_slice(bytes);
        }
        if self.arena.capacity() < len {
            self.arena.reserve(ARENA_BYTES);
        }
        self.arena.extend_from_slice(bytes);
        self.arena.split().freeze().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_one(buffer: &mut ReadBuffer, len: usize) -> Frame {
        buffer.lend(len, |lent, cutter| cutter.cut(lent, 0, len))
    }

    #[test]
    fn a_small_frame_does_not_pin_the_read_buffer() {
        let mut buffer = ReadBuffer::new();
        let start = buffer.space().as_ptr();
        let kept: Vec<Frame> = [1, 64, 512, 513, 4095]
            .map(|n| cut_one(&mut buffer, n))
            .into();
        assert_eq!(buffer.space().as_ptr(), start, "nothing holds the buffer");
        assert_eq!(
            kept.iter().map(|f| f.len()).sum::<usize>(),
            1 + 64 + 512 + 513 + 4095
        );
    }

    #[test]
    fn a_sliced_buffer_is_left_alone_until_its_slices_are_gone() {
        let mut buffer = ReadBuffer::new();
        buffer.space().fill(1);
        let start = buffer.space().as_ptr();
        let kept = cut_one(&mut buffer, SLICE_MIN);
        assert_ne!(buffer.space().as_ptr(), start);
        buffer.space().fill(2);
        assert!(kept.iter().all(|&byte| byte == 1));

        drop(kept);
        let second = cut_one(&mut buffer, SLICE_MIN);
        assert_eq!(
            buffer.space().as_ptr(),
            start,
            "the first buffer comes back"
        );
        drop(second);
    }

    #[test]
    fn small_frames_share_a_chunk() {
        let mut buffer = ReadBuffer::new();
        let first = cut_one(&mut buffer, 64);
        let second = cut_one(&mut buffer, 64);
        assert_eq!(first.as_ptr().wrapping_add(64), second.as_ptr());
    }
}
