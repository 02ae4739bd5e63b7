//! Bytes that travel as a frame of their own, beside the arguments, and are never copied.
//!
//! # Invariants
//!
//! 1. Making a blob, cloning it and giving its frame away copy no byte, save where the name says
//!    so. (test `a_blob_shares_the_bytes_it_was_made_of`)
//!
//! # Not here
//!
//! How arguments name a blob's frame (`crate::wire`).

use std::fmt;
use std::ops::Deref;

use brokerless_patterns::Frame;
use bytes::Bytes;

/// Bytes that are never copied: an argument or a result that has a frame of its own.
///
/// It stands as an argument or a result by itself, in an `Option` or in a `Vec`; not deeper.
///
/// ```
/// use brokerless::Blob;
///
/// let blob = Blob::from(vec![1, 2, 3]);
/// assert_eq!(blob.len(), 3);
/// assert_eq!(&blob[1..], [2, 3]);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Blob(Frame);

impl Blob {
    /// A blob without bytes.
    pub const fn new() -> Self {
        Blob(Frame::new())
    }

    /// A blob over bytes that live as long as the program.
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Blob(Frame::from_static(bytes))
    }

    /// A blob with a copy of `bytes`.
    ///
    /// # Allocation
    ///
    /// One, of the length of `bytes`.
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        Blob(Frame::copy_from_slice(bytes))
    }

    /// The frame, which shares the bytes.
    pub fn as_frame(&self) -> &Frame {
        &self.0
    }

    /// The frame.
    pub fn into_frame(self) -> Frame {
        self.0
    }
}

impl Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Frame> for Blob {
    fn from(frame: Frame) -> Self {
        Blob(frame)
    }
}

impl From<Blob> for Frame {
    fn from(blob: Blob) -> Self {
        blob.0
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Blob(bytes.into())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Blob(bytes.into())
    }
}

impl From<String> for Blob {
    fn from(text: String) -> Self {
        Blob(text.into())
    }
}

impl PartialEq<[u8]> for Blob {
    fn eq(&self, other: &[u8]) -> bool {
        self.0[..] == *other
    }
}

impl PartialEq<&[u8]> for Blob {
    fn eq(&self, other: &&[u8]) -> bool {
        self.0[..] == **other
    }
}

/// Says how many bytes, and not which.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_shares_the_bytes_it_was_made_of() {
        let bytes = vec![7u8; 1 << 16];
        let start = bytes.as_ptr();
        let blob = Blob::from(bytes);
        assert_eq!(blob.as_ptr(), start);
        assert_eq!(blob.clone().into_frame().as_ptr(), start);
        assert_eq!(
            Blob::from(blob.as_frame().slice(1..)).as_ptr(),
            start.wrapping_add(1)
        );
        assert_eq!(format!("{blob:?}"), "Blob(65536 bytes)");
    }
}
