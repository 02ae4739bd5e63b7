//! Metadata of a call, borrowed from its envelope or from the caller's own.
//!
//! # Invariants
//!
//! 1. What is read is within the limits that hold for [`Metadata`]. (test
//!    `metadata_over_a_limit_is_refused_with_the_call_to_answer`)
//! 2. Values, which may be secrets, are not shown. (test `metadata_is_shown_without_its_values`)

use std::fmt;

use super::fault::Bad;
use super::read::Reader;
use crate::metadata::{
    BYTES_MAX, ENTRIES_MAX, KEY_BYTES_MAX, Metadata, MetadataError, MetadataValue,
};

/// Metadata of a call: read from an envelope, or to be written into one.
#[derive(Clone, Copy)]
pub struct CallMetadata<'f>(Source<'f>);

#[derive(Clone, Copy)]
enum Source<'f> {
    None,
    /// The entries of a map, checked.
    Wire(&'f [u8]),
    Own(&'f Metadata),
}

/// A value of [`CallMetadata`], borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'f> {
    Text(&'f str),
    Binary(&'f [u8]),
}

impl<'f> CallMetadata<'f> {
    /// None.
    pub const fn empty() -> Self {
        CallMetadata(Source::None)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            Source::None => true,
            Source::Wire(entries) => entries.is_empty(),
            Source::Own(metadata) => metadata.is_empty(),
        }
    }

    /// The text of a key, if it has text.
    pub fn get(&self, key: &str) -> Option<&'f str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            Value::Binary(_) => None,
        }
    }

    /// The bytes of a key, of text too.
    pub fn get_bytes(&self, key: &str) -> Option<&'f [u8]> {
        match self.value(key)? {
            Value::Text(text) => Some(text.as_bytes()),
            Value::Binary(bytes) => Some(bytes),
        }
    }

    /// The last value of a key: of one that stands twice, the later holds.
    fn value(&self, key: &str) -> Option<Value<'f>> {
        let entries = self.iter().filter(|(other, _)| *other == key);
        entries.last().map(|(_, value)| value)
    }

    /// A copy that can be kept.
    pub fn to_metadata(&self) -> Metadata {
        if let Source::Own(metadata) = self.0 {
            return metadata.clone();
        }
        let mut metadata = Metadata::new();
        for (key, value) in self.iter() {
            let value = match value {
                Value::Text(text) => MetadataValue::from(text),
                Value::Binary(bytes) => MetadataValue::from(bytes),
            };
            // Cannot be refused: what came is within the limits.
            let _ = metadata.insert(key, value);
        }
        metadata
    }

    pub(super) fn iter(&self) -> Entries<'f> {
        match self.0 {
            Source::None => Entries::Wire(Reader::new(&[])),
            Source::Wire(entries) => Entries::Wire(Reader::new(entries)),
            Source::Own(metadata) => Entries::Own(metadata, 0),
        }
    }

    /// Bytes on the wire, at most.
    pub(super) fn bytes_max(&self) -> usize {
        match self.0 {
            Source::None => 1,
            Source::Wire(entries) => entries.len() + 3,
            Source::Own(metadata) => 3 + metadata.bytes() + 8 * metadata.len(),
        }
    }

    /// Reads a map, and checks it against the limits.
    pub(super) fn read(reader: &mut Reader<'f>) -> Result<Self, Bad> {
        let entries = reader.map()?;
        if entries as usize > ENTRIES_MAX {
            let entries = entries as usize;
            return Err(Bad::Metadata(MetadataError::TooMany { entries }));
        }
        let start = reader.rest();
        let mut bytes = 0;
        for _ in 0..entries {
            let key = reader.str(KEY_BYTES_MAX)?;
            if key.is_empty() {
                return Err(Bad::Metadata(MetadataError::Key { bytes: 0 }));
            }
            bytes += key.len() + value(reader)?.len();
            if bytes > BYTES_MAX {
                return Err(Bad::Metadata(MetadataError::TooLong { bytes }));
            }
        }
        let read = start.len() - reader.rest().len();
        Ok(match start.get(..read) {
            Some([]) | None => CallMetadata::empty(),
            Some(entries) => CallMetadata(Source::Wire(entries)),
        })
    }
}

impl Value<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
        }
    }
}

fn value<'f>(reader: &mut Reader<'f>) -> Result<Value<'f>, Bad> {
    if reader.is_bin() {
        Ok(Value::Binary(reader.bin(BYTES_MAX)?))
    } else {
        Ok(Value::Text(reader.str(BYTES_MAX)?))
    }
}

/// The entries, one by one.
pub(super) enum Entries<'f> {
    Wire(Reader<'f>),
    Own(&'f Metadata, usize),
}

impl<'f> Iterator for Entries<'f> {
    type Item = (&'f str, Value<'f>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Entries::Wire(reader) => {
                let key = reader.str(KEY_BYTES_MAX).ok()?;
                Some((key, value(reader).ok()?))
            }
            Entries::Own(metadata, at) => {
                let (key, value) = metadata.iter().nth(*at)?;
                *at += 1;
                Some((
                    key,
                    match value {
                        MetadataValue::Text(text) => Value::Text(text),
                        MetadataValue::Binary(bytes) => Value::Binary(bytes),
                    },
                ))
            }
        }
    }
}

/// Values may be secrets: their lengths are shown.
impl fmt::Debug for CallMetadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.iter().map(|(key, value)| (key, value.len()));
        f.debug_map().entries(entries).finish()
    }
}

impl PartialEq for CallMetadata<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for CallMetadata<'_> {}

impl<'f> From<&'f Metadata> for CallMetadata<'f> {
    fn from(metadata: &'f Metadata) -> Self {
        CallMetadata(Source::Own(metadata))
    }
}
