//! Messages in, bytes out: what is queued for one connection.
//!
//! Headers and small frames are gathered into one vector; a large frame stays where it lies and
//! is noted with the place in the stream where it belongs. [`Encoder::slices`] shows the two
//! interleaved, ready for one vectored write.
//!
//! ```text
//! gathered  | hdr small hdr |           | hdr small |
//! inserted                  | large ... |                 (not copied)
//! ends           ^m1                    ^m2         ^m3   places where messages end
//! ```
//!
//! # Invariants
//!
//! 1. What `slices` shows, joined, is the encoding of everything pushed, in order, less what
//!    `advance` took off. (test `partial_writes_at_every_byte_give_the_same_stream`)
//! 2. `advance` says how many messages have now gone out whole. (same test)
//! 3. `take_unsent` gives back exactly the messages that have not gone out whole, without
//!    copying large frames. (test `what_was_not_written_whole_comes_back`)

use std::collections::VecDeque;
use std::io::IoSlice;

use smallvec::SmallVec;

use super::decoder::HEADER_MAX;
use super::{FLAG_COMMAND, FLAG_LONG, FLAG_MORE};
use crate::counters;
use crate::message::{Frame, Headed, Message};

/// Frames from this many bytes on are written from where they lie.
pub const BY_REFERENCE_MIN: usize = 4 * 1024;
/// Capacity that each buffer of an emptied encoder keeps.
const KEPT_BYTES: usize = 16 * 1024;
/// Slices that one vectored write takes at most.
const SLICES_MAX: usize = 64;

/// The slices of one vectored write.
pub type Slices<'a> = SmallVec<[IoSlice<'a>; 4]>;

#[derive(Debug)]
struct Insert {
    /// Its place: bytes of `gathered` before it.
    at: usize,
    /// Its place in the stream: all bytes before it.
    stream: u64,
    frame: Frame,
}

/// Encoded messages on their way out.
#[derive(Debug, Default)]
pub struct Encoder {
    gathered: Vec<u8>,
    inserted: VecDeque<Insert>,
    /// Stream places where the queued messages end.
    ends: VecDeque<u64>,
    /// Stream place just after the last byte pushed.
    pushed: u64,
    /// Stream place of the next byte to write.
    written: u64,
    /// Stream place where the first unfinished message begins.
    start: u64,
    /// Stream place just after the last large frame that was written and let go.
    let_go: u64,
}

impl Encoder {
    /// Whether every byte has been written.
    pub fn is_empty(&self) -> bool {
        self.pushed == self.written
    }

    /// Bytes left to write.
    pub fn len(&self) -> usize {
        (self.pushed - self.written) as usize
    }

    /// Messages not written whole.
    pub fn messages(&self) -> usize {
        self.ends.len()
    }

    /// Encodes a message at the end.
    pub fn push(&mut self, message: Message) {
        self.push_ref(&message);
    }

    /// Encodes a message at the end that others send too: small frames are copied, large ones
    /// shared.
    pub fn push_ref(&mut self, message: &Message) {
        let (last, before) = match message.frames().split_last() {
            Some(split) => split,
            None => return, // a message has a frame
        };
        for frame in before {
            self.push_frame(FLAG_MORE, frame);
        }
        self.push_frame(0, last);
        self.ends.push_back(self.pushed);
    }

    /// Encodes a message at the end whose first frame is lent: that is copied.
    pub(crate) fn push_headed(&mut self, message: &Headed<'_>) {
        let (first, second, rest) = message.parts();
        if first.len() < BY_REFERENCE_MIN {
            self.push_bytes(FLAG_MORE, first);
        } else {
            self.push_frame(FLAG_MORE, &Frame::copy_from_slice(first));
        }
        match rest.split_last() {
            None => self.push_frame(0, second),
            Some((last, before)) => {
                self.push_frame(FLAG_MORE, second);
                for frame in before {
                    self.push_frame(FLAG_MORE, frame);
                }
                self.push_frame(0, last);
            }
        }
        self.ends.push_back(self.pushed);
    }

    fn push_frame(&mut self, more: u8, frame: &Frame) {
        if frame.len() < BY_REFERENCE_MIN {
            return self.push_bytes(more, frame);
        }
        self.push_header(more, frame.len());
        self.inserted.push_back(Insert {
            at: self.gathered.len(),
            stream: self.pushed,
            frame: frame.clone(),
        });
        self.pushed += frame.len() as u64;
    }

    #[inline]
    fn push_bytes(&mut self, more: u8, bytes: &[u8]) {
        self.push_header(more, bytes.len());
        counters::copied(bytes.len());
        self.gathered.extend_from_slice(bytes);
        self.pushed += bytes.len() as u64;
    }

    /// The header of a frame of `len` bytes, and room for those that may be gathered.
    #[inline]
    fn push_header(&mut self, more: u8, len: usize) {
        self.gathered
            .reserve(HEADER_MAX + len.min(BY_REFERENCE_MIN));
        if len <= 255 {
            self.gathered.extend_from_slice(&[more, len as u8]);
            self.pushed += 2;
        } else {
            let mut header = [more | FLAG_LONG; HEADER_MAX];
            header[1..].copy_from_slice(&(len as u64).to_be_bytes());
            self.gathered.extend_from_slice(&header);
            self.pushed += HEADER_MAX as u64;
        }
    }

    /// Puts the bytes of a whole command frame at the end.
    pub fn push_command(&mut self, frame: &[u8]) {
        debug_assert!(frame.first().is_some_and(|flags| flags & FLAG_COMMAND != 0));
        self.push_control(frame);
    }

    /// Puts whole frames at the end that belong to no message: commands, and subscriptions in the
    /// form of ZMTP 3.0. They count as no message, and do not come back.
    pub fn push_control(&mut self, frames: &[u8]) {
        self.gathered.extend_from_slice(frames);
        self.pushed += frames.len() as u64;
    }

    /// Forgets everything pushed, of which nothing may have been written; gives the messages.
    pub fn discard(&mut self) -> usize {
        debug_assert_eq!(self.written, 0);
        self.advance(self.len())
    }

    /// What to write next, as it lies in memory: nothing only if all is written.
    pub fn slices(&self) -> Slices<'_> {
        let mut slices = Slices::new();
        let Some(first) = self.inserted.front() else {
            let left = self.len();
            if left > 0 {
                slices.push(IoSlice::new(&self.gathered[self.gathered.len() - left..]));
            }
            return slices;
        };
        let mut stream = self.written;
        // A place before the first large frame counts back from it.
        let mut at = first.at - first.stream.saturating_sub(stream) as usize;
        for insert in &self.inserted {
            if slices.len() + 2 > SLICES_MAX {
                return slices;
            }
            if at < insert.at {
                slices.push(IoSlice::new(&self.gathered[at..insert.at]));
                stream = insert.stream;
                at = insert.at;
            }
            let skip = (stream - insert.stream) as usize;
            slices.push(IoSlice::new(&insert.frame[skip..]));
            stream = insert.stream + insert.frame.len() as u64;
        }
        if at < self.gathered.len() && slices.len() < SLICES_MAX {
            slices.push(IoSlice::new(&self.gathered[at..]));
        }
        slices
    }

    /// Notes that `bytes` more have been written; gives the number of messages that have now
    /// gone out whole.
    pub fn advance(&mut self, bytes: usize) -> usize {
        self.written += bytes as u64;
        debug_assert!(self.written <= self.pushed);
        while let Some(insert) = self.inserted.front() {
            let end = insert.stream + insert.frame.len() as u64;
            if end > self.written {
                break;
            }
            self.let_go = end;
            self.inserted.pop_front();
        }
        let mut whole = 0;
        if self.is_empty() {
            whole = self.ends.len();
            self.ends.clear();
            self.gathered.clear();
            self.inserted.clear();
            (self.pushed, self.written, self.start, self.let_go) = (0, 0, 0, 0);
            self.gathered.shrink_to(KEPT_BYTES);
            self.ends.shrink_to(KEPT_BYTES / size_of::<u64>());
            self.inserted.shrink_to(KEPT_BYTES / size_of::<Insert>());
        } else {
            while let Some(&end) = self.ends.front() {
                if end > self.written {
                    break;
                }
                self.start = end;
                self.ends.pop_front();
                whole += 1;
            }
        }
        whole
    }

    /// Gives up the buffers of an encoder that has nothing left to write.
    pub fn release(&mut self) {
        debug_assert!(self.is_empty());
        *self = Encoder::default();
    }

    /// The messages that have not gone out whole; the encoder is empty afterwards.
    ///
    /// The second figure counts messages that could not be given back: a first one of which a
    /// large frame has been written and let go.
    pub fn take_unsent(&mut self) -> (Vec<Message>, usize) {
        let mut unsent = Vec::with_capacity(self.ends.len());
        let mut lost = 0;
        let old = std::mem::take(self);
        let mut reader = Unsent::new(&old);
        let mut begin = old.start;
        for &end in &old.ends {
            // Places before a frame that was let go cannot be found any more.
            let whole = begin >= old.let_go;
            match whole.then(|| reader.message(begin, end)).flatten() {
                Some(message) => unsent.push(message),
                None => lost += 1,
            }
            begin = end;
        }
        (unsent, lost)
    }

    /// Everything left, joined. For tests and golden files.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut encoder_bytes = Vec::with_capacity(self.len());
        let mut view = Unsent::new(self);
        let mut at = self.written;
        while at < self.pushed {
            let (piece, _) = view.piece(at);
            encoder_bytes.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        encoder_bytes
    }
}

/// Reads an encoder's stream by place.
struct Unsent<'a> {
    encoder: &'a Encoder,
}

impl<'a> Unsent<'a> {
    fn new(encoder: &'a Encoder) -> Self {
        Unsent { encoder }
    }

    /// The contiguous piece from `place` on, and the large frame that it belongs to.
    fn piece(&mut self, place: u64) -> (&'a [u8], Option<&'a Frame>) {
        let encoder = self.encoder;
        let next = encoder
            .inserted
            .partition_point(|insert| insert.stream <= place);
        if let Some(insert) = next.checked_sub(1).map(|index| &encoder.inserted[index]) {
            let inside = (place - insert.stream) as usize;
            if inside < insert.frame.len() {
                return (&insert.frame[inside..], Some(&insert.frame));
            }
        }
        let (until, stream) = match encoder.inserted.get(next) {
            Some(insert) => (insert.at, insert.stream),
            None => (encoder.gathered.len(), encoder.pushed),
        };
        let back = (stream - place) as usize;
        (
            encoder
                .gathered
                .get(until.wrapping_sub(back)..until)
                .unwrap_or(&[]),
            None,
        )
    }

    fn message(&mut self, begin: u64, end: u64) -> Option<Message> {
        let mut frames = SmallVec::new();
        let mut place = begin;
        while place < end {
            let (piece, large) = self.piece(place);
            if large.is_some() {
                return None; // the header before it is gone
            }
            let &flags = piece.first()?;
            let (size, len) = if flags & FLAG_LONG == 0 {
                (2, usize::from(*piece.get(1)?))
            } else {
                (
                    9,
                    u64::from_be_bytes(*piece.get(1..)?.first_chunk::<8>()?) as usize,
                )
            };
            place += size as u64;
            // A frame that is the last of its message, but not of this one, stands alone: a
            // subscription in the form of 3.0.
            let alone = flags & FLAG_MORE == 0 && place + (len as u64) < end;
            if alone || flags & FLAG_COMMAND != 0 {
                place += len as u64;
                continue;
            }
            if len < BY_REFERENCE_MIN {
                frames.push(Frame::copy_from_slice(piece.get(size..size + len)?));
            } else {
                let (_, large) = self.piece(place);
                frames.push(large.filter(|frame| frame.len() == len)?.clone());
            }
            place += len as u64;
        }
        Some(Message::from_parts(frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headed_message_is_encoded_as_the_message_of_its_frames() {
        for lens in [&[5, 0][..], &[0, 300], &[300, 4096, 0, 5000], &[5000, 1, 9]] {
            let frames = lens.iter().map(|len| Frame::from(vec![*len as u8; *len]));
            let frames: Vec<Frame> = frames.collect();
            let [first, second, rest @ ..] = &frames[..] else {
                unreachable!("two at least");
            };
            let (mut whole, mut headed) = (Encoder::default(), Encoder::default());
            whole.push(Message::from(frames.clone()));
            headed.push_headed(&Headed::new(first, second, rest));
            assert_eq!(headed.to_vec(), whole.to_vec());
            assert_eq!(headed.messages(), 1);
            let (unsent, lost) = headed.take_unsent();
            assert_eq!((unsent, lost), (vec![Message::from(frames)], 0));
        }
    }

    fn sample() -> Vec<Message> {
        vec![
            Message::from("one"),
            Message::from(
                [vec![1; 10], vec![2; 5000], vec![3; 300], vec![4; 4096]].map(Frame::from),
            ),
            Message::from(vec![0u8; 0]),
            Message::from([vec![5; 9000], vec![]].map(Frame::from)),
        ]
    }

    fn encoded(messages: &[Message]) -> Encoder {
        let mut encoder = Encoder::default();
        for message in messages {
            encoder.push(message.clone());
        }
        encoder
    }

    fn joined(encoder: &Encoder) -> Vec<u8> {
        encoder
            .slices()
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    #[test]
    fn headers_are_as_the_protocol_has_them() {
        let mut encoder = encoded(&[Message::from(["ab", "c"])]);
        encoder.push_command(&[4, 1, 9]);
        assert_eq!(encoder.to_vec(), [1, 2, b'a', b'b', 0, 1, b'c', 4, 1, 9]);
        let long = encoded(&[Message::from(vec![7; 256])]).to_vec();
        assert_eq!(long[..10], [2, 0, 0, 0, 0, 0, 0, 1, 0, 7]);
    }

    #[test]
    fn partial_writes_at_every_byte_give_the_same_stream() {
        let messages = sample();
        let whole = encoded(&messages).to_vec();
        assert_eq!(joined(&encoded(&messages)), whole);
        for cut in (0..whole.len()).step_by(7).chain([whole.len()]) {
            let mut encoder = encoded(&messages);
            let mut sent = encoder.advance(cut);
            assert_eq!(joined(&encoder), whole[cut..], "cut at {cut}");
            assert_eq!(encoder.messages(), messages.len() - sent);
            sent += encoder.advance(encoder.len());
            assert_eq!(sent, messages.len());
            assert!(encoder.is_empty());
        }
    }

    #[test]
    fn an_emptied_encoder_starts_anew() {
        let mut encoder = encoded(&sample());
        encoder.advance(encoder.len());
        encoder.push("next".into());
        assert_eq!(joined(&encoder), [0, 4, b'n', b'e', b'x', b't']);
    }

    #[test]
    fn what_was_not_written_whole_comes_back() {
        let messages = sample();
        let whole = encoded(&messages).to_vec();
        for cut in 0..whole.len() {
            let mut encoder = encoded(&messages);
            let sent = encoder.advance(cut);
            let (unsent, lost) = encoder.take_unsent();
            assert!(lost <= 1, "only the first can be lost");
            assert_eq!(unsent[..], messages[sent + lost..], "cut at {cut}");
            assert!(encoder.is_empty());
        }
    }

    #[test]
    fn a_message_cut_behind_a_large_frame_is_lost_and_not_mangled() {
        // Given enough gathered bytes before it that its own would be looked for among them.
        let large = vec![7u8; BY_REFERENCE_MIN];
        let messages = [
            Message::from([vec![0; 3000], vec![0; 3000]].map(Frame::from)),
            Message::from([vec![1; 5], large.clone(), vec![2; 5], large].map(Frame::from)),
            Message::from("last"),
        ];
        let first = encoded(&messages[..1]).len();
        let two = encoded(&messages[..2]).len();
        for cut in first..two {
            let mut encoder = encoded(&messages);
            assert_eq!(encoder.advance(cut), 1);
            let let_go = cut >= first + 7 + 9 + BY_REFERENCE_MIN;
            let (unsent, lost) = encoder.take_unsent();
            assert_eq!(lost, usize::from(let_go), "cut at {cut}");
            assert_eq!(unsent[..], messages[1 + lost..], "cut at {cut}");
        }
    }

    #[test]
    fn commands_between_messages_are_left_out_of_what_comes_back() {
        let mut encoder = encoded(&[Message::from("a")]);
        encoder.push_command(&[4, 1, 9]);
        encoder.push("b".into());
        assert_eq!(encoder.take_unsent(), (vec!["a".into(), "b".into()], 0));
    }

    #[test]
    fn subscriptions_as_messages_are_left_out_of_what_comes_back() {
        let mut encoder = encoded(&[Message::from(["a", "b"])]);
        encoder.push_control(&[0, 2, 1, b'x']);
        encoder.push_control(&[&[2, 0, 0, 0, 0, 0, 0, 0x20, 0][..], &[1; 0x2000]].concat());
        encoder.push("c".into());
        encoder.push_control(&[0, 2, 0, b'x']);
        assert_eq!(encoder.messages(), 2);
        assert_eq!(
            encoder.take_unsent(),
            (vec![["a", "b"].into(), "c".into()], 0)
        );
    }

    #[test]
    fn a_discarded_encoder_starts_anew() {
        let mut encoder = encoded(&sample());
        encoder.push_command(&[4, 1, 9]);
        assert_eq!(encoder.discard(), sample().len());
        encoder.push_ref(&"next".into());
        assert_eq!(joined(&encoder), [0, 4, b'n', b'e', b'x', b't']);
    }

    #[test]
    fn an_emptied_encoder_keeps_little() {
        let mut encoder = Encoder::default();
        for _ in 0..KEPT_BYTES {
            encoder.push("small".into());
        }
        for _ in 0..1000 {
            encoder.push(Message::from(vec![1; BY_REFERENCE_MIN]));
        }
        encoder.advance(encoder.len());
        assert!(encoder.gathered.capacity() <= KEPT_BYTES);
        assert!(encoder.ends.capacity() * size_of::<u64>() <= KEPT_BYTES);
        assert!(encoder.inserted.capacity() * size_of::<Insert>() <= KEPT_BYTES);
    }

    #[test]
    fn large_frames_are_not_copied() {
        let frame = Frame::from(vec![1; BY_REFERENCE_MIN]);
        let encoder = encoded(&[Message::from(frame.clone())]);
        assert_eq!(encoder.slices()[1].as_ptr(), frame.as_ptr());
    }

    #[test]
    fn many_large_frames_take_several_writes() {
        let messages = vec![Message::from(vec![1; BY_REFERENCE_MIN]); 100];
        let mut encoder = encoded(&messages);
        let mut written = 0;
        while !encoder.is_empty() {
            let sizes: Vec<usize> = encoder.slices().iter().map(|slice| slice.len()).collect();
            assert!(sizes.len() <= SLICES_MAX);
            let bytes = sizes.iter().sum();
            written += encoder.advance(bytes);
        }
        assert_eq!(written, 100);
    }

    #[test]
    fn a_tail_behind_the_last_slice_waits_for_the_next_write() {
        let mut encoder = encoded(&vec![
            Message::from(vec![1; BY_REFERENCE_MIN]);
            SLICES_MAX / 2
        ]);
        encoder.push("tail".into());
        let slices = encoder.slices();
        assert_eq!(slices.len(), SLICES_MAX);
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        drop(slices);
        assert_eq!(encoder.advance(bytes), SLICES_MAX / 2);
        assert_eq!(joined(&encoder), [0, 4, b't', b'a', b'i', b'l']);
    }
}
