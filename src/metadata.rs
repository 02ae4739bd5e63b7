//! What travels beside the arguments of a call: a short list of keys, with text or bytes each.
//!
//! # Invariants
//!
//! 1. No more than 64 entries and 8 KiB, however they come. (test
//!    `metadata_beyond_its_limits_is_refused_and_unchanged`)
//!
//! # Not here
//!
//! How it looks on the wire, and metadata that is borrowed from it (`crate::wire`).

use std::fmt;

use crate::status::Status;

/// Entries of the longest metadata.
pub(crate) const ENTRIES_MAX: usize = 64;
/// Bytes of the keys and values of the longest metadata.
pub(crate) const BYTES_MAX: usize = 8 * 1024;
/// Bytes of the longest key.
pub(crate) const KEY_BYTES_MAX: usize = 128;

/// A value of [`Metadata`].
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetadataValue {
    /// Text.
    Text(Box<str>),
    /// Bytes.
    Binary(Box<[u8]>),
}

impl MetadataValue {
    /// The value's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            MetadataValue::Text(text) => text.as_bytes(),
            MetadataValue::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is that.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            MetadataValue::Text(text) => Some(text),
            MetadataValue::Binary(_) => None,
        }
    }
}

/// Values may be secrets: their lengths are shown.
impl fmt::Debug for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataValue::Text(text) => write!(f, "text of {} bytes", text.len()),
            MetadataValue::Binary(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl From<&str> for MetadataValue {
    fn from(text: &str) -> Self {
        MetadataValue::Text(text.into())
    }
}

impl From<String> for MetadataValue {
    fn from(text: String) -> Self {
        MetadataValue::Text(text.into())
    }
}

impl From<&[u8]> for MetadataValue {
    fn from(bytes: &[u8]) -> Self {
        MetadataValue::Binary(bytes.into())
    }
}

impl From<Vec<u8>> for MetadataValue {
    fn from(bytes: Vec<u8>) -> Self {
        MetadataValue::Binary(bytes.into())
    }
}

/// A short list of keys and values that travels beside the arguments of a call.
///
/// At most 64 entries, 8 KiB over all keys and values, 128 bytes a key. A key stands once.
///
/// ```
/// use brokerless::Metadata;
///
/// let mut metadata = Metadata::new();
/// metadata.insert("tenant", "blue")?;
/// metadata.insert("trace", vec![1, 2])?;
/// assert_eq!(metadata.get("tenant"), Some("blue"));
/// assert_eq!(metadata.get_bytes("trace"), Some(&[1, 2][..]));
/// # Ok::<(), brokerless::MetadataError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    entries: Vec<(Box<str>, MetadataValue)>,
    bytes: usize,
}

impl Metadata {
    /// Metadata without entries.
    pub const fn new() -> Self {
        Metadata {
            entries: Vec::new(),
            bytes: 0,
        }
    }

    /// Sets a key; a value that it had is replaced.
    ///
    /// # Errors
    ///
    /// Where a limit would be broken; the metadata is unchanged.
    pub fn insert(
        &mut self,
        key: impl Into<Box<str>>,
        value: impl Into<MetadataValue>,
    ) -> Result<(), MetadataError> {
        let (key, value) = (key.into(), value.into());
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(MetadataError::Key { bytes: key.len() });
        }
        let entries = self.entries.len();
        let replaced = self.entries.iter_mut().find(|(other, _)| *other == key);
        let before = replaced
            .as_ref()
            .map_or(0, |(key, value)| key.len() + value.as_bytes().len());
        let bytes = self.bytes - before + key.len() + value.as_bytes().len();
        if bytes > BYTES_MAX {
            return Err(MetadataError::TooLong { bytes });
        }
        match replaced {
            Some(entry) => entry.1 = value,
            None if entries == ENTRIES_MAX => {
                let entries = entries + 1;
                return Err(MetadataError::TooMany { entries });
            }
            None => self.entries.push((key, value)),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// The text of a key, if it has text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.value(key)?.as_text()
    }

    /// The bytes of a key, of text too.
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        Some(self.value(key)?.as_bytes())
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&MetadataValue> {
        let mut entries = self.entries.iter();
        entries
            .find(|(other, _)| **other == *key)
            .map(|(_, value)| value)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<MetadataValue> {
        let at = self.entries.iter().position(|(other, _)| **other == *key)?;
        let (key, value) = self.entries.remove(at);
        self.bytes -= key.len() + value.as_bytes().len();
        Some(value)
    }

    /// The entries, in the order in which they were set.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &MetadataValue)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes over all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Why metadata refused an entry. It is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// A key has 1 to 128 bytes.
    Key {
        /// Bytes of the key given.
        bytes: usize,
    },
    /// There would be more than 64 entries.
    TooMany {
        /// Entries there would be.
        entries: usize,
    },
    /// Keys and values would be over 8 KiB.
    TooLong {
        /// Bytes there would be.
        bytes: usize,
    },
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataError::Key { bytes } => write!(
                f,
                "a metadata key of {bytes} bytes: it has 1 to {KEY_BYTES_MAX}"
            ),
            MetadataError::TooMany { entries } => write!(
                f,
                "{entries} metadata entries: at most {ENTRIES_MAX} travel, so put the rest into the arguments"
            ),
            MetadataError::TooLong { bytes } => write!(
                f,
                "{bytes} bytes of metadata: at most {BYTES_MAX} travel, so put the rest into the arguments"
            ),
        }
    }
}

impl std::error::Error for MetadataError {}

impl From<MetadataError> for Status {
    fn from(error: MetadataError) -> Status {
        Status::invalid_argument(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_once_and_its_bytes_are_counted() {
        let mut metadata = Metadata::new();
        metadata.insert("a", "long value").unwrap();
        metadata.insert("b", vec![1, 2]).unwrap();
        metadata.insert("a", "q").unwrap();
        assert_eq!(metadata.len(), 2);
        assert_eq!(metadata.bytes(), 5);
        assert_eq!((metadata.get("a"), metadata.get("b")), (Some("q"), None));
        assert_eq!(metadata.remove("b"), Some(vec![1, 2].into()));
        assert_eq!((metadata.len(), metadata.bytes()), (1, 2));
        assert_eq!(metadata.remove("b"), None);
        assert!(!format!("{metadata:?}").contains('q'), "{metadata:?}");
    }

    #[test]
    fn metadata_beyond_its_limits_is_refused_and_unchanged() {
        let mut metadata = Metadata::new();
        for number in 0..64 {
            metadata.insert(number.to_string(), "").unwrap();
        }
        let full = metadata.clone();
        let refused = metadata.insert("one more", "");
        assert_eq!(refused, Err(MetadataError::TooMany { entries: 65 }));
        let refused = metadata.insert("", "");
        assert_eq!(refused, Err(MetadataError::Key { bytes: 0 }));
        let refused = metadata.insert("k".repeat(129), "");
        assert_eq!(refused, Err(MetadataError::Key { bytes: 129 }));
        let bytes = metadata.bytes();
        let refused = metadata.insert("7", vec![0; 8 * 1024]);
        let bytes = bytes + 8 * 1024;
        assert_eq!(refused, Err(MetadataError::TooLong { bytes }));
        assert_eq!(metadata, full);
        let mut metadata = Metadata::new();
        metadata.insert("k", vec![0; 8 * 1024 - 1]).unwrap();
        assert!(metadata.insert("l", "").is_err());
    }
}
