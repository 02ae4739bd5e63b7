//! How bytes become an input: written so that a seed can be made by hand.

use std::borrow::Cow;

/// Bytes to take an input from; where they end, zeros go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Input { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// The next `n` bytes, or fewer at the end.
    pub(crate) fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(n.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// All that is left, as runs: an even byte, a length of two bytes and that many bytes as they are; an odd byte,
    /// a length of two bytes, and eight times that many bytes, which can be payload but no header.
    pub(crate) fn wire(&mut self, bytes_max: usize) -> Cow<'a, [u8]> {
        let mut made: Cow<'a, [u8]> = Cow::Borrowed(&[]);
        while !self.is_empty() {
            let kind = self.byte();
            let n = usize::from(self.number());
            if kind.is_multiple_of(2) {
                let room = bytes_max - made.len();
                let run = self.take(n.min(room));
                match &mut made {
                    Cow::Borrowed([]) => made = Cow::Borrowed(run),
                    made => made.to_mut().extend_from_slice(run),
                }
            } else {
                let until = (made.len() + 8 * n).min(bytes_max);
                // Bit 3 of a frame's flags must be zero.
                made.to_mut().resize(until, kind | 8);
            }
            if made.len() == bytes_max {
                break;
            }
        }
        made
    }
}

/// The pieces that a stream arrives in: some lengths, over and over; none is all at once. After [`Pieces::COUNT_MAX`]
/// of them the rest of a stream that is not short comes in one: many in single bytes would take all the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces {
    lens: [u16; Pieces::MAX],
    count: usize,
    next: usize,
}

impl Pieces {
    const MAX: usize = 16;
    const COUNT_MAX: usize = 100;
    const SHORT: usize = 1024;

    /// A count, then that many lengths of two bytes.
    pub(crate) fn take(input: &mut Input<'_>) -> Self {
        let count = usize::from(input.byte()) % (Self::MAX + 1);
        let mut lens = [0; Self::MAX];
        for len in &mut lens[..count] {
            *len = input.number();
        }
        Pieces {
            lens,
            count,
            next: 0,
        }
    }

    /// These lengths, over and over.
    pub(crate) fn of(these: &[u16]) -> Self {
        let mut lens = [0; Self::MAX];
        let count = these.len().min(Self::MAX);
        lens[..count].copy_from_slice(&these[..count]);
        Pieces {
            lens,
            count,
            next: 0,
        }
    }

    /// Where the piece ends that begins at `at`, of `whole` bytes in all.
    pub(crate) fn end(&mut self, at: usize, whole: usize) -> usize {
        if self.count == 0 || (self.next >= Self::COUNT_MAX && whole > Self::SHORT) {
            return whole;
        }
        let len = usize::from(self.lens[self.next % self.count]).max(1);
        self.next += 1;
        whole.min(at + len)
    }
}
