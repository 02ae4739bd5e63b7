//! Arguments and values to a body and its blobs.
//!
//! Structs become maps by field name, byte strings `bin`; a blob is named by its number.
//!
//! # Invariants
//!
//! 1. What is written is read back. (test `arguments_are_read_back_in_their_order`)
//! 2. A blob's bytes are not copied. (test `a_blob_travels_as_the_frame_it_was`)
//!
//! # Not here
//!
//! The other direction (`arguments.rs`, `value.rs`).

use brokerless_patterns::Frame;
use rmp_serde::Serializer;
use rmp_serde::config::BytesMode;
use serde::Serialize;

use super::fault::EncodeError;
use super::payload::{Blobs, Payload};
use super::write;
use crate::blob::Blob;
use crate::chunk::Writer;

/// Bytes that a body is given room for before its first value is written.
const BODY_BYTES: usize = 64;

/// Writes a body: the arguments of a call, or a value.
///
/// ```
/// use brokerless::wire::Encoder;
///
/// let mut encoder = Encoder::arguments(2);
/// encoder.put(&2)?;
/// encoder.put("three")?;
/// let payload = encoder.finish();
/// assert_eq!(payload.body, &b"\x92\x02\xa5three"[..]);
/// # Ok::<(), brokerless::wire::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    to: Writer,
    blobs: Blobs,
}

impl Encoder {
    /// The body of a call with so many arguments, each of which is put once.
    pub fn arguments(count: usize) -> Encoder {
        let mut encoder = Encoder::answer();
        write::array(&mut encoder.to, count);
        encoder
    }

    /// The body of an answer or of a method's own error, of which one value is put; or of a
    /// stream's items, each of which is put after the other.
    pub fn answer() -> Encoder {
        Encoder {
            to: Writer::new(BODY_BYTES),
            blobs: Blobs::new(),
        }
    }

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// Where the type's `Serialize` refuses. What is written is then no body: drop it.
    #[inline]
    pub fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let mut serializer = Serializer::new(&mut self.to)
            .with_struct_map()
            .with_bytes(BytesMode::ForceAll);
        value.serialize(&mut serializer).map_err(refused)
    }

    /// Writes bytes as `bin`. [`put`](Self::put) does so, too, but for none: what has no element
    /// does not show that its elements are bytes, and becomes an empty array.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        write::bin(&mut self.to, bytes);
    }

    /// The same, or `nil`.
    pub fn put_optional_bytes(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.put_bytes(bytes),
            None => write::nil(&mut self.to),
        }
    }

    /// Gives a blob a frame, and writes its number.
    pub fn put_blob(&mut self, blob: &Blob) {
        self.put_frame(blob.as_frame());
    }

    /// The same, or `nil`.
    pub fn put_optional_blob(&mut self, blob: Option<&Blob>) {
        match blob {
            Some(blob) => self.put_blob(blob),
            None => write::nil(&mut self.to),
        }
    }

    /// Gives each blob a frame, and writes an array of their numbers.
    pub fn put_blobs(&mut self, blobs: &[Blob]) {
        write::array(&mut self.to, blobs.len());
        for blob in blobs {
            self.put_blob(blob);
        }
    }

    /// Bytes of what is written so far, blobs and all: what the window of a stream counts.
    pub fn bytes(&self) -> usize {
        let blobs = self.blobs.iter().map(|blob| blob.len());
        self.to.len() + blobs.sum::<usize>()
    }

    /// Blobs that are named so far.
    pub fn blobs(&self) -> usize {
        self.blobs.len()
    }

    /// What is written so far, but for blobs.
    #[inline]
    pub(crate) fn written(&self) -> &[u8] {
        self.to.written()
    }

    /// Where the writing stands: to come back to, if what is put next is refused.
    pub fn mark(&self) -> Mark {
        Mark {
            bytes: self.to.len(),
            blobs: self.blobs.len(),
        }
    }

    /// Takes back what was written since the mark. The items before it can still go.
    pub fn rewind(&mut self, mark: Mark) {
        self.to.cut(mark.bytes);
        self.blobs.truncate(mark.blobs);
    }

    /// Takes back all that was written; there were no blobs.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.to.cut(0);
    }

    fn put_frame(&mut self, frame: &Frame) {
        write::uint(&mut self.to, self.blobs.len() as u64);
        self.blobs.push(frame.clone());
    }

    /// The body and its blobs.
    pub fn finish(self) -> Payload {
        Payload {
            body: self.to.finish(),
            blobs: self.blobs,
        }
    }
}

/// A place in what an [`Encoder`] has written, between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    bytes: usize,
    blobs: usize,
}

#[cold]
fn refused(error: rmp_serde::encode::Error) -> EncodeError {
    EncodeError::Value(error.to_string().into())
}
