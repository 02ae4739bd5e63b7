//! Calls without an envelope, for those who have a REQ socket, MessagePack and no more.
//!
//! ```text
//! [method, arguments]   answered by   [0, result]   or   [code, message, ran]
//! ```
//!
//! # Invariants
//!
//! 1. An answer is one frame: blobs stand in it as bytes. (test
//!    `a_plain_answer_holds_its_blobs_as_bytes`)

use brokerless_patterns::Frame;

use super::encode::cut;
use super::fault::{Bad, DecodeError, EncodeError, Fault, WireError};
use super::payload::Payload;
use super::read::Reader;
use super::write::{self, UINT_BYTES_MAX};
use super::{MESSAGE_BYTES_MAX, METHOD_BYTES_MAX, decode_blob, decode_blobs};
use crate::chunk::Writer;
use crate::status::{Code, Status};
use crate::values::Ran;

/// A call that is one frame: `[method, arguments]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainCall<'f> {
    /// Service and method: `calc.v1.add`.
    pub method: &'f str,
    /// The array of the arguments, as the body of a call has it.
    pub arguments: &'f [u8],
}

impl<'f> PlainCall<'f> {
    /// Reads what follows the head of an array of `len`, which begins with text.
    pub(super) fn read(mut reader: Reader<'f>, len: u32) -> Result<Self, WireError> {
        let bad = |field, bad| WireError::from(Fault::Field("plain call", field, bad));
        let method = reader.str(METHOD_BYTES_MAX);
        let method = method.map_err(|fault| bad("method", fault))?;
        // What follows is read, and its bounds checked, when the arguments are taken.
        match len {
            // A method without arguments may be called by its name alone.
            1 => Ok(PlainCall {
                method,
                arguments: NO_ARGUMENTS,
            }),
            _ if reader.is_array() => Ok(PlainCall {
                method,
                arguments: reader.rest(),
            }),
            _ => Err(bad("arguments", Bad::Type(reader.came()))),
        }
    }
}

/// An array without values.
const NO_ARGUMENTS: &[u8] = &[0x90];

/// A plain call of a body that holds the arguments; its blobs are none.
///
/// # Errors
///
/// Where the method's path is too long.
pub fn encode_plain_call(method: &str, body: &[u8]) -> Result<Frame, EncodeError> {
    let bytes = method.len();
    if bytes > METHOD_BYTES_MAX {
        let max = METHOD_BYTES_MAX;
        return Err(EncodeError::Method { bytes, max });
    }
    let mut to = Writer::new(UINT_BYTES_MAX + bytes + body.len());
    write::array(&mut to, 2);
    write::str(&mut to, method);
    to.put(body);
    Ok(to.finish())
}

/// The answer to a plain call: `[0, result]`. Blobs, which would have been frames of their own,
/// stand in it as bytes.
///
/// # Errors
///
/// Where a body that came with blobs does not name them.
pub fn encode_plain_reply(payload: &Payload) -> Result<Frame, DecodeError> {
    let mut to = Writer::new(2 * UINT_BYTES_MAX + payload.bytes());
    write::array(&mut to, 2);
    write::uint(&mut to, Code::Ok.number().into());
    if payload.blobs.is_empty() {
        to.put(&payload.body);
    } else if Reader::new(&payload.body).is_array() {
        let blobs = decode_blobs(&payload.body, &payload.blobs)?;
        write::array(&mut to, blobs.len());
        for blob in &blobs {
            write::bin(&mut to, blob);
        }
    } else {
        write::bin(&mut to, &decode_blob(&payload.body, &payload.blobs)?);
    }
    Ok(to.finish())
}

/// The answer to a plain call that failed: `[code, message, ran]`.
pub fn encode_plain_error(status: &Status, ran: Ran) -> Frame {
    let message = cut(status.message(), MESSAGE_BYTES_MAX);
    let mut to = Writer::new(4 * UINT_BYTES_MAX + message.len());
    write::array(&mut to, 3);
    write::uint(&mut to, status.code().number().into());
    write::str(&mut to, message);
    write::uint(&mut to, ran.number().into());
    to.finish()
}
