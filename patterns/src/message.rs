//! Messages and their frames: shared, sliceable, never copied to be passed on.
//!
//! A [`Frame`] is a reference-counted slice of bytes. Cloning one, slicing it, or sending it over
//! `inproc://` moves a pointer; the bytes stay where they are. So few that they fit in the place of
//! the reference are kept there, and shared with nobody. A [`Message`] is a short list of frames; up
//! to two of them need no allocation.
//!
//! # Invariants
//!
//! 1. A message has at least one frame: the empty message is one empty frame.
//!    (test `an_empty_list_becomes_one_empty_frame`)
//! 2. Passing a frame on never copies more than a pointer would take. (test
//!    `clones_and_slices_share_their_bytes`)
//! 3. Where its bytes are does not show: frames of the same bytes are equal, and hash alike. (test
//!    `a_frame_is_the_same_wherever_its_bytes_are`)

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Index, RangeBounds};

use bytes::Bytes;
use smallvec::SmallVec;

/// One part of a [`Message`]: a cheap, shared slice of bytes.
///
/// ```
/// use brokerless_patterns::Frame;
///
/// let frame = Frame::from("hello");
/// assert_eq!(&frame[..], b"hello");
/// assert_eq!(&frame.slice(1..3)[..], b"el");
/// ```
#[derive(Clone)]
pub struct Frame(Kept);

/// Where the bytes of a frame are.
#[derive(Clone)]
enum Kept {
    /// Within the frame: to count who shares so few would cost more than to copy them.
    Short {
        len: u8,
        bytes: [u8; Frame::SHORT_MAX],
    },
    Shared(Bytes),
}

impl Kept {
    /// The bytes themselves, where they are few.
    #[inline]
    fn short(bytes: &[u8]) -> Option<Kept> {
        let mut kept = [0; Frame::SHORT_MAX];
        kept.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Kept::Short {
            len: bytes.len() as u8,
            bytes: kept,
        })
    }
}

impl Frame {
    /// Bytes that a frame has room for itself, in the place of a reference to shared ones.
    pub const SHORT_MAX: usize = size_of::<Bytes>() - 9;

    /// A frame without bytes.
    pub const fn new() -> Self {
        Frame::from_static(&[])
    }

    /// A frame over bytes that live as long as the program; nothing is allocated.
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Frame(Kept::Shared(Bytes::from_static(bytes)))
    }

    /// A frame with a copy of `bytes`.
    ///
    /// # Allocation
    ///
    /// One, of the length of `bytes`; none for up to 23.
    #[inline]
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        let short = Kept::short(bytes);
        Frame(short.unwrap_or_else(|| Kept::Shared(Bytes::copy_from_slice(bytes))))
    }

    /// A part of this frame that shares its bytes, or has a copy of them where they are few.
    ///
    /// # Panics
    ///
    /// If the range does not lie within the frame.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        match &self.0 {
            Kept::Shared(bytes) => Frame(Kept::Shared(bytes.slice(range))),
            Kept::Short { .. } => {
                let range = (range.start_bound().cloned(), range.end_bound().cloned());
                Frame::copy_from_slice(&self[range])
            }
        }
    }

    /// The bytes as text, where they are UTF-8.
    ///
    /// # Errors
    ///
    /// Where they are not; the frame is untouched.
    pub fn to_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(self)
    }

    /// The bytes, to be shared. Up to 23 may have to be copied for that.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Kept::Shared(bytes) => bytes,
            Kept::Short { .. } => Bytes::copy_from_slice(&self),
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Frame::new()
    }
}

impl Deref for Frame {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kept::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Kept::Shared(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for Frame {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Frame(Kept::Shared(bytes))
    }
}

impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        frame.into_bytes()
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Frame(Kept::Shared(bytes.into()))
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Frame::from(text.into_bytes())
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Frame::copy_from_slice(text.as_bytes())
    }
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Frame::copy_from_slice(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Frame {
    fn from(bytes: &[u8; N]) -> Self {
        Frame::copy_from_slice(bytes)
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Frame) -> bool {
        **self == **other
    }
}

impl Eq for Frame {}

impl PartialOrd for Frame {
    fn partial_cmp(&self, other: &Frame) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Frame {
    fn cmp(&self, other: &Frame) -> Ordering {
        self[..].cmp(&other[..])
    }
}

/// As a slice of the same bytes does.
impl Hash for Frame {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl PartialEq<[u8]> for Frame {
    fn eq(&self, other: &[u8]) -> bool {
        self[..] == *other
    }
}

impl PartialEq<&[u8]> for Frame {
    fn eq(&self, other: &&[u8]) -> bool {
        self[..] == **other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Frame {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self[..] == other[..]
    }
}

impl PartialEq<str> for Frame {
    fn eq(&self, other: &str) -> bool {
        self[..] == *other.as_bytes()
    }
}

impl PartialEq<&str> for Frame {
    fn eq(&self, other: &&str) -> bool {
        self[..] == *other.as_bytes()
    }
}

/// Shows text as text, and other bytes as their count and first few in hex.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let head = &self[..self.len().min(SHOWN)];
        match std::str::from_utf8(head) {
            Ok(text) if !text.contains(|c: char| c.is_control() && c != '\n') => {
                write!(f, "{text:?}")?;
            }
            _ => {
                write!(f, "0x")?;
                for byte in head {
                    write!(f, "{byte:02x}")?;
                }
            }
        }
        if self.len() > SHOWN {
            write!(f, "... ({} bytes)", self.len())?;
        }
        Ok(())
    }
}

/// A list of at least one [`Frame`], sent and received as a whole or not at all.
///
/// Whatever makes a frame makes a message of one; arrays and vectors of them make longer ones.
///
/// ```
/// use brokerless_patterns::Message;
///
/// let message = Message::from(["hello", "world"]);
/// assert_eq!(message.len(), 2);
/// assert_eq!(message[1], "world");
/// assert_eq!(message.bytes(), 10);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Message {
    frames: SmallVec<[Frame; 2]>,
}

impl Message {
    /// A message of one frame.
    pub fn single(frame: impl Into<Frame>) -> Self {
        let mut frames = SmallVec::new();
        frames.push(frame.into());
        Message { frames }
    }

    /// A message of two frames: the same as of an array of them, and quicker.
    #[inline]
    pub fn pair(first: Frame, second: Frame) -> Self {
        let frames = SmallVec::from_buf([first, second]);
        Message { frames }
    }

    /// A message of these frames; an empty list becomes one empty frame.
    pub fn from_frames(frames: impl IntoIterator<Item = Frame>) -> Self {
        Self::from_parts(frames.into_iter().collect())
    }

    pub(crate) fn from_parts(mut frames: SmallVec<[Frame; 2]>) -> Self {
        if frames.is_empty() {
            frames.push(Frame::new());
        }
        Message { frames }
    }

    /// Frames in the message: at least one.
    #[allow(clippy::len_without_is_empty)] // a message is never empty
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Payload bytes over all frames.
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(|frame| frame.len()).sum()
    }

    /// The frames in order.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The frames in order, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Frame> {
        self.frames.iter()
    }

    /// The first frame.
    pub fn first(&self) -> &Frame {
        &self.frames[0]
    }

    /// Adds a frame at the end.
    pub fn push(&mut self, frame: impl Into<Frame>) {
        self.frames.push(frame.into());
    }

    /// Adds a frame at the front.
    pub fn push_front(&mut self, frame: impl Into<Frame>) {
        self.frames.insert(0, frame.into());
    }

    /// Takes the first frame off, unless it is the only one.
    pub fn pop_front(&mut self) -> Option<Frame> {
        (self.frames.len() > 1).then(|| self.frames.remove(0))
    }

    /// The frames, as a vector.
    pub fn into_frames(self) -> Vec<Frame> {
        self.frames.into_vec()
    }

    pub(crate) fn into_parts(self) -> SmallVec<[Frame; 2]> {
        self.frames
    }
}

/// A message on its way out, whose first frame is lent: where it is short and made for this message
/// alone, that spares a frame. It becomes a [`Message`] only where it has to wait as one.
#[derive(Debug, Clone, Copy)]
pub struct Headed<'a> {
    first: &'a [u8],
    second: &'a Frame,
    rest: &'a [Frame],
}

impl<'a> Headed<'a> {
    /// These bytes, and these frames after them.
    pub fn new(first: &'a [u8], second: &'a Frame, rest: &'a [Frame]) -> Self {
        Headed {
            first,
            second,
            rest,
        }
    }

    /// Payload bytes over all frames.
    pub fn bytes(&self) -> usize {
        let rest = self.rest.iter().map(|frame| frame.len());
        self.first.len() + self.second.len() + rest.sum::<usize>()
    }

    /// The first frame, and the others in two pieces.
    pub(crate) fn parts(&self) -> (&'a [u8], &'a Frame, &'a [Frame]) {
        (self.first, self.second, self.rest)
    }

    /// The message of these frames.
    ///
    /// # Allocation
    ///
    /// One for the first frame, unless it is within [`Frame::SHORT_MAX`]; one if there are more
    /// than two.
    pub fn to_message(&self) -> Message {
        let first = Frame::copy_from_slice(self.first);
        let mut message = Message::pair(first, self.second.clone());
        message.frames.extend(self.rest.iter().cloned());
        message
    }
}

impl Index<usize> for Message {
    type Output = Frame;

    /// # Panics
    ///
    /// If the message has no frame of that index.
    fn index(&self, index: usize) -> &Frame {
        &self.frames[index]
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let mut list = f.debug_list();
        list.entries(self.frames.iter().take(SHOWN));
        if self.frames.len() > SHOWN {
            list.entry(&format_args!("... ({} frames)", self.frames.len()));
        }
        list.finish()
    }
}

impl IntoIterator for Message {
    type Item = Frame;
    type IntoIter = smallvec::IntoIter<[Frame; 2]>;
    fn into_iter(self) -> Self::IntoIter {
        self.frames.into_iter()
    }
}

impl<'a> IntoIterator for &'a Message {
    type Item = &'a Frame;
    type IntoIter = std::slice::Iter<'a, Frame>;
    fn into_iter(self) -> Self::IntoIter {
        self.frames.iter()
    }
}

impl<F: Into<Frame>, const N: usize> From<[F; N]> for Message {
    fn from(frames: [F; N]) -> Self {
        Message::from_frames(frames.into_iter().map(Into::into))
    }
}

impl From<Vec<Frame>> for Message {
    fn from(frames: Vec<Frame>) -> Self {
        Message::from_parts(SmallVec::from_vec(frames))
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Self {
        Message::single(frame)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Message::single(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message::single(bytes)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::single(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::single(text)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Message::single(bytes)
    }
}

impl From<Cow<'_, [u8]>> for Message {
    fn from(bytes: Cow<'_, [u8]>) -> Self {
        Message::single(bytes.into_owned())
    }
}

impl FromIterator<Frame> for Message {
    fn from_iter<I: IntoIterator<Item = Frame>>(frames: I) -> Self {
        Message::from_frames(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_becomes_one_empty_frame() {
        let message = Message::from_frames([]);
        assert_eq!(message.len(), 1);
        assert!(message.first().is_empty());
        assert_eq!(Message::from(Vec::<Frame>::new()).len(), 1);
    }

    #[test]
    fn clones_and_slices_share_their_bytes() {
        let frame = Frame::from(vec![7u8; 1 << 20]);
        let start = frame.as_ptr();
        assert_eq!(frame.clone().as_ptr(), start);
        assert_eq!(frame.slice(5..).as_ptr(), start.wrapping_add(5));
        assert_eq!(Message::from(frame).clone().first().as_ptr(), start);
    }

    #[test]
    fn a_frame_is_the_same_wherever_its_bytes_are() {
        let hash = |frame: &Frame| {
            let mut hasher = std::hash::DefaultHasher::new();
            frame.hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(size_of::<Frame>(), size_of::<Bytes>());
        for len in [
            0,
            1,
            Frame::SHORT_MAX - 1,
            Frame::SHORT_MAX,
            Frame::SHORT_MAX + 1,
        ] {
            let bytes: Vec<u8> = (0..len as u8).collect();
            let (within, shared) = (Frame::from(&bytes[..]), Frame::from(bytes.clone()));
            assert_eq!((&within[..], within.len()), (&bytes[..], len));
            assert_eq!(within, shared);
            assert_eq!(within.cmp(&shared), Ordering::Equal);
            assert_eq!(hash(&within), hash(&shared));
            assert_eq!(within.clone().into_bytes(), bytes);
            let half = len / 2;
            assert_eq!(within.slice(half..), shared.slice(half..));
            assert_eq!(within.slice(..half), &bytes[..half]);
        }
        let (first, second) = (Frame::from("a"), Frame::from(b"b".to_vec()));
        assert!(first < second);
    }

    #[test]
    fn a_headed_message_is_the_message_of_its_frames() {
        let frames = ["second", "third", "fourth"].map(Frame::from);
        let [second, rest @ ..] = &frames;
        let headed = Headed::new(b"first", second, rest);
        let message = headed.to_message();
        assert_eq!(
            message,
            Message::from(["first", "second", "third", "fourth"])
        );
        assert_eq!(headed.bytes(), message.bytes());
    }

    #[test]
    fn the_last_frame_cannot_be_popped() {
        let mut message = Message::from(["a", "b"]);
        assert_eq!(message.pop_front().unwrap(), "a");
        assert_eq!(message.pop_front(), None);
        assert_eq!(message.first(), &"b");
    }

    #[test]
    fn debug_shows_text_as_text_and_cuts_the_rest() {
        assert_eq!(
            format!("{:?}", Message::from(["hi", "x"])),
            r#"["hi", "x"]"#
        );
        assert_eq!(format!("{:?}", Frame::from(&[0u8, 255])), "0x00ff");
        let long = format!("{:?}", Frame::from(vec![b'a'; 100]));
        assert!(long.ends_with("... (100 bytes)"), "{long}");
    }
}
