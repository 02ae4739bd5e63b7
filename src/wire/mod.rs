//! Envelopes and their encoding: what `docs/WIRE.md` says, and nothing that waits or sends.
//!
//! ```text
//! in a session       [envelope] [body] [blob]*
//! without a session  [address]* [] [envelope] [body] [blob]*
//! plain              [address]* [] [[method, arguments]]        answered by [0, result]
//!                                                               or [code, message, ran]
//! ```
//!
//! | file | what |
//! |---|---|
//! | `envelope.rs` | the kinds of envelope, as types |
//! | `encode.rs`, `decode.rs` | those to bytes and back |
//! | `read.rs`, `write.rs` | MessagePack itself, as far as envelopes need it |
//! | `call_metadata.rs` | metadata borrowed from an envelope |
//! | `version.rs` | which versions there are, and which one two sides speak |
//! | `payload.rs` | body and blobs of a message |
//! | `encoder.rs`, `arguments.rs`, `value.rs` | arguments and values to bytes and back |
//! | `key.rs` | where a call's key lies among its arguments |
//! | `items.rs` | where the items of a stream's message lie |
//! | `plain.rs` | calls and answers of a single array |
//! | `path.rs` | the addresses that stand before an envelope |
//! | `fault.rs` | what is wrong with bytes or values |
//!
//! # Not here
//!
//! Credit, sessions and deadlines as rules over time; sockets. The memory that frames are cut
//! from (`crate::chunk`).

mod arguments;
mod call_metadata;
mod decode;
mod encode;
mod encoder;
mod envelope;
mod fault;
mod items;
mod key;
mod path;
mod payload;
mod plain;
mod read;
mod value;
mod version;
mod write;

pub use arguments::{ArgumentInfo, Arguments};
pub use call_metadata::CallMetadata;
pub use encode::{
    encode_bye, encode_call, encode_cancel, encode_credit, encode_error, encode_hello,
    encode_items, encode_reply, encode_stop, encode_welcome, encode_window, write_call,
    write_reply,
};
pub use encoder::{Encoder, Mark};
pub use envelope::{
    CallHead, Credit, Encoding, Envelope, ErrorHead, Flags, Flow, Hello, ItemsHead, Load,
    ReplyHead, Welcome, kind,
};
pub use fault::{Came, DecodeError, EncodeError, WireError};
pub use items::ItemCursor;
pub(crate) use key::key_of;
pub use path::ReturnPath;
pub use payload::{Blobs, Parts, Payload};
pub use plain::{PlainCall, encode_plain_call, encode_plain_error, encode_plain_reply};
pub use value::OwnedBytes;
#[doc(hidden)]
pub(crate) use value::decode_found;
pub use value::{decode_blob, decode_blobs, decode_optional_blob, decode_value};
pub use version::Version;
pub use write::Written;

/// Bytes of the longest envelope.
pub const ENVELOPE_BYTES_MAX: usize = 16 * 1024;
/// Nesting at which an envelope is refused: metadata is the deepest that is known.
pub const ENVELOPE_DEPTH_MAX: usize = 16;
/// Nesting at which arguments and values are refused.
pub const VALUE_DEPTH_MAX: usize = 64;
/// Bytes of the longest method path: `calc.v1.add`.
pub const METHOD_BYTES_MAX: usize = 255;
/// Bytes of the longest name of a peer.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes of the longest message of an error; a longer one is cut.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the largest details of an error; larger ones are left out, and the message says so.
pub const DETAILS_BYTES_MAX: usize = 8 * 1024;
/// Items in one message of a stream.
pub const ITEMS_MAX: u32 = 65_536;
/// The largest index that the first item of a message may have.
pub const INDEX_MAX: u64 = 1 << 62;
/// Frames of the longest return path, its empty frame counted.
pub const PATH_FRAMES_MAX: usize = 16;
