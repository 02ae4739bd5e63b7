//! What is wrong with bytes that came, or with values that are to go.
//!
//! # Invariants
//!
//! 1. A fault says nothing of the payload: lengths, types, and names that the code knows. (test
//!    `a_fault_never_quotes_the_payload`)

use std::fmt;

use super::{ENVELOPE_BYTES_MAX, VALUE_DEPTH_MAX};
use crate::metadata::MetadataError;
use crate::status::Status;

/// The MessagePack type that came, where another was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Came {
    /// Nothing: the value is absent.
    Nothing,
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Bool,
    /// An integer.
    Integer,
    /// A float.
    Float,
    /// Text, of so many bytes.
    Str(u32),
    /// Bytes, so many.
    Bin(u32),
    /// An array of so many values.
    Array(u32),
    /// A map of so many keys.
    Map(u32),
    /// An extension type.
    Ext,
    /// A byte that MessagePack never uses.
    Invalid,
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Came::Nothing => f.write_str("nothing"),
            Came::Nil => f.write_str("nil"),
            Came::Bool => f.write_str("a bool"),
            Came::Integer => f.write_str("an integer"),
            Came::Float => f.write_str("a float"),
            Came::Str(bytes) => write!(f, "a str of {bytes} bytes"),
            Came::Bin(bytes) => write!(f, "a bin of {bytes} bytes"),
            Came::Array(len) => write!(f, "an array of {len}"),
            Came::Map(len) => write!(f, "a map of {len}"),
            Came::Ext => f.write_str("an extension type"),
            Came::Invalid => f.write_str("a byte that is no MessagePack"),
        }
    }
}

/// What is wrong with the bytes of a field or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// They end too early.
    Truncated,
    /// They are of another type.
    Type(Came),
    /// Text that is not UTF-8.
    NotUtf8,
    /// Nested deeper than this.
    TooDeep(usize),
    /// Over a limit: so many, of at most so many.
    TooLong(usize, usize),
    /// Beyond what the field holds.
    OutOfRange,
    /// Metadata over a limit of its own.
    Metadata(MetadataError),
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bad::Truncated => f.write_str("ends too early"),
            Bad::Type(came) => write!(f, "is {came}"),
            Bad::NotUtf8 => f.write_str("is not UTF-8"),
            Bad::TooDeep(max) => write!(f, "is nested deeper than {max}"),
            Bad::TooLong(len, max) => write!(f, "has {len} bytes: at most {max} are taken"),
            Bad::OutOfRange => f.write_str("is out of range"),
            Bad::Metadata(error) => write!(f, "is refused: {error}"),
        }
    }
}

/// Why bytes are no envelope. The connection is sound: the message is refused, no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    pub(super) call: Option<u64>,
    pub(super) stream: Option<u64>,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The frame is over the limit.
    TooLong(usize),
    /// It is no array, or an empty one.
    NoArray(Came),
    /// A field of a kind is wrong.
    Field(&'static str, &'static str, Bad),
    /// A field that is not known is no MessagePack, or nested too deep.
    Surplus(Bad),
    /// Bytes follow the array.
    Trailing(usize),
    /// More frames than a return path may have.
    Path(usize),
}

impl WireError {
    /// The number of the call, if it is one and its number could be read: to be answered.
    pub fn call_id(&self) -> Option<u64> {
        self.call
    }

    /// The number of the call whose stream it was to go on with, if that could be read: what it
    /// said is lost, so the stream cannot go on, and is to be ended.
    pub fn stream_id(&self) -> Option<u64> {
        self.stream
    }
}

impl From<Fault> for WireError {
    fn from(fault: Fault) -> Self {
        WireError {
            call: None,
            stream: None,
            fault,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::TooLong(bytes) => write!(
                f,
                "an envelope of {bytes} bytes: at most {ENVELOPE_BYTES_MAX} are taken"
            ),
            Fault::NoArray(came) => write!(
                f,
                "an envelope is an array of a kind and its fields: it is {came}"
            ),
            Fault::Field(kind, field, bad) => write!(f, "{kind}: {field} {bad}"),
            Fault::Surplus(bad) => write!(f, "a field at the end {bad}"),
            Fault::Trailing(bytes) => write!(f, "{bytes} bytes follow the envelope"),
            Fault::Path(max) => write!(
                f,
                "more than {max} frames before the envelope: a return path has at most {max}"
            ),
        }
    }
}

impl std::error::Error for WireError {}

impl From<WireError> for Status {
    fn from(error: WireError) -> Status {
        Status::invalid_argument(error.to_string())
    }
}

/// Why a value could not be written. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The type's `Serialize` refused; its own words, since the value is the program's.
    Value(Box<str>),
    /// A method's path is longer than this.
    Method {
        /// Its bytes.
        bytes: usize,
        /// What is taken.
        max: usize,
    },
    /// The replier speaks version 1, which has no encoding but MessagePack.
    Encoding,
    /// The other side speaks version 1, which has no streams.
    Streams,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Value(words) => write!(f, "a value cannot be written: {words}"),
            EncodeError::Method { bytes, max } => {
                write!(f, "a method's path of {bytes} bytes: at most {max} travel")
            }
            EncodeError::Encoding => f.write_str(
                "the other side speaks version 1, which has no raw bodies: bring it up to date",
            ),
            EncodeError::Streams => f.write_str(
                "the other side speaks version 1, which has no streams: bring it up to date",
            ),
        }
    }
}

impl std::error::Error for EncodeError {}

impl From<EncodeError> for Status {
    fn from(error: EncodeError) -> Status {
        Status::invalid_argument(error.to_string())
    }
}

/// Why bytes are no value of the type that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// They end in the middle of it.
    Truncated,
    /// Bytes follow it.
    Trailing,
    /// It is nested 64 deep or deeper.
    TooDeep,
    /// Text that is not UTF-8.
    NotUtf8,
    /// It is of another type.
    Type(Came),
    /// A field that the type wants is missing within it.
    Missing(Box<str>),
    /// It names a blob that did not come.
    Blob {
        /// The blob named.
        index: u64,
        /// Blobs that came.
        blobs: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Truncated => f.write_str("it ends too early"),
            DecodeError::Trailing => f.write_str("bytes follow it"),
            DecodeError::TooDeep => write!(f, "it is nested {VALUE_DEPTH_MAX} deep or deeper"),
            DecodeError::NotUtf8 => f.write_str("its text is not UTF-8"),
            DecodeError::Type(came) => write!(f, "{came} came"),
            DecodeError::Missing(field) => write!(f, "{field} is missing"),
            DecodeError::Blob { index, blobs } => {
                write!(f, "it names blob {index}, and {blobs} came")
            }
        }
    }
}

impl std::error::Error for DecodeError {}
