//! Envelopes to bytes, in the thread's chunk.
//!
//! Fields at the end that have their default are left out, so the shortest form of each is
//! written; what a version has not got is not written for it.
//!
//! # Invariants
//!
//! 1. What is written is read back. (proptest `an_envelope_is_read_back`)
//! 2. No envelope is longer than is taken on the other side. (test
//!    `the_longest_envelope_is_within_the_limit`)
//! 3. The bytes are those of `docs/WIRE.md`. (test `the_examples_of_the_page_are_written_and_read`
//!    in `tests/wire`)

use std::time::Duration;

use brokerless_patterns::Frame;

use super::call_metadata::{CallMetadata, Value};
use super::envelope::{
    CallHead, Credit, Encoding, Envelope, ErrorHead, Flow, Hello, ItemsHead, Load, ReplyHead,
    Welcome, kind,
};
use super::fault::EncodeError;
use super::plain::encode_plain_call;
use super::version::Version;
use super::write::{self, Put, SHORT_BYTES, Short, UINT_BYTES_MAX, Written};
use super::{DETAILS_BYTES_MAX, MESSAGE_BYTES_MAX, METHOD_BYTES_MAX, NAME_BYTES_MAX};
use crate::chunk::Writer;

/// Bytes of the fields of any envelope whose length is bounded by their type.
const FIXED_BYTES_MAX: usize = 16 * UINT_BYTES_MAX;
/// Bytes of the longest method with which a call without metadata is short.
const SHORT_METHOD_BYTES_MAX: usize = SHORT_BYTES - 6 * UINT_BYTES_MAX;

impl Envelope<'_> {
    /// The frame of an envelope of any kind.
    ///
    /// # Errors
    ///
    /// As [`encode_call`] and [`encode_plain_call`](super::encode_plain_call); or version 1 has
    /// not got the kind.
    pub fn encode(&self, version: Version) -> Result<Frame, EncodeError> {
        Ok(match self {
            Envelope::Items(_) | Envelope::Window { .. } | Envelope::Stop { .. }
                if version < Version::Two =>
            {
                return Err(EncodeError::Streams);
            }
            Envelope::Items(items) => encode_items(items),
            Envelope::Window { id, window } => encode_window(*id, *window),
            Envelope::Stop { id } => encode_stop(*id),
            Envelope::Call(call) => encode_call(call, version)?,
            Envelope::Reply(reply) => encode_reply(reply, version),
            Envelope::Error(error) => encode_error(error, version),
            Envelope::Cancel { id } => encode_cancel(*id),
            Envelope::Credit(credit) => encode_credit(*credit, version),
            Envelope::Hello(hello) => encode_hello(hello),
            Envelope::Welcome(welcome) => encode_welcome(welcome),
            Envelope::Bye { left_us } => encode_bye(*left_us),
            Envelope::Plain(call) => encode_plain_call(call.method, call.arguments)?,
            Envelope::Unknown { kind } => {
                let mut to = Writer::new(FIXED_BYTES_MAX);
                begin(&mut to, 1, *kind);
                to.finish()
            }
        })
    }
}

/// A call. For version 1 the metadata are left out, as that version has none.
///
/// # Errors
///
/// Where the method's path is too long, or version 1 has not got the encoding or streams. Nothing
/// is written.
///
/// # Allocation
///
/// None, but for a chunk of 16 KiB for some hundred envelopes.
pub fn encode_call(call: &CallHead<'_>, version: Version) -> Result<Frame, EncodeError> {
    write_call(call, version).map(Written::into_frame)
}

/// The same, to be lent.
///
/// # Errors
///
/// As there.
pub fn write_call(call: &CallHead<'_>, version: Version) -> Result<Written, EncodeError> {
    let method = call.method.len();
    if method > METHOD_BYTES_MAX {
        return Err(EncodeError::Method {
            bytes: method,
            max: METHOD_BYTES_MAX,
        });
    }
    let of_two = version >= Version::Two;
    if !of_two && call.encoding != Encoding::MessagePack {
        return Err(EncodeError::Encoding);
    }
    if !of_two && call.flags.streams() {
        return Err(EncodeError::Streams);
    }
    let metadata = if of_two {
        call.metadata
    } else {
        CallMetadata::empty()
    };
    let fields = match () {
        () if of_two && call.key.is_some() => 10,
        () if of_two && call.window.is_some() => 9,
        () if of_two && call.hops > 0 => 8,
        () if !metadata.is_empty() => 7,
        () if call.encoding != Encoding::MessagePack => 6,
        () if call.flags.0 > 0 => 5,
        () => 4,
    };
    if fields < 7 && method <= SHORT_METHOD_BYTES_MAX {
        let mut to = Short::new();
        put_call(&mut to, call, &metadata, fields);
        return Ok(Written::short(to));
    }
    let mut to = Writer::new(FIXED_BYTES_MAX + method + metadata.bytes_max());
    put_call(&mut to, call, &metadata, fields);
    Ok(Written::long(to.finish()))
}

#[inline]
fn put_call(to: &mut impl Put, call: &CallHead<'_>, metadata: &CallMetadata<'_>, fields: usize) {
    begin(to, fields, kind::CALL);
    write::uint(to, call.id);
    write::str(to, call.method);
    write::uint(to, call.left_us);
    if fields > 4 {
        write::uint(to, call.flags.0.into());
    }
    if fields > 5 {
        write::uint(to, call.encoding.number().into());
    }
    if fields > 6 {
        write_metadata(to, metadata);
    }
    if fields > 7 {
        write::uint(to, call.hops.into());
    }
    if fields > 8 {
        write_flow(to, call.window);
    }
    if fields > 9 {
        write::uint(to, call.key.unwrap_or_default());
    }
}

/// An answer. For version 1 it has no load report, and a window of calls only.
pub fn encode_reply(reply: &ReplyHead, version: Version) -> Frame {
    write_reply(reply, version).into_frame()
}

/// The same, to be lent.
pub fn write_reply(reply: &ReplyHead, version: Version) -> Written {
    let (load, credit) = of_version(reply.load, reply.credit, version);
    let fields = match (load, credit) {
        (_, Some(_)) => 4,
        (Some(_), None) => 3,
        (None, None) => 2,
    };
    let mut to = Short::new();
    begin(&mut to, fields, kind::REPLY);
    write::uint(&mut to, reply.id);
    write_state(&mut to, load, credit);
    Written::short(to)
}

/// An error. A message that is too long is cut; details that are too large are left out, and
/// the message says so. For version 1 it has no load report, and a window of calls only.
pub fn encode_error(error: &ErrorHead<'_>, version: Version) -> Frame {
    let (load, credit) = of_version(error.load, error.credit, version);
    let left_out = error.details.map_or(0, <[u8]>::len) > DETAILS_BYTES_MAX;
    let details = error.details.filter(|_| !left_out);
    let fields = match () {
        () if credit.is_some() => 10,
        () if load.is_some() => 9,
        () if error.typed => 8,
        () if details.is_some() => 7,
        () if error.retry_after.is_some() => 6,
        () => 5,
    };
    let mut room = FIXED_BYTES_MAX + error.message.len().min(MESSAGE_BYTES_MAX);
    room += details.map_or(0, <[u8]>::len);
    let mut to = Writer::new(room);
    begin(&mut to, fields, kind::ERROR);
    write::uint(&mut to, error.id);
    write::uint(&mut to, error.code.number().into());
    write::uint(&mut to, error.ran.number().into());
    if left_out {
        let note = format!(
            " (details over {DETAILS_BYTES_MAX} bytes were left out: put them into the method's own error)"
        );
        let kept = cut(error.message, MESSAGE_BYTES_MAX - note.len());
        write::str(&mut to, &format!("{kept}{note}"));
    } else {
        write::str(&mut to, cut(error.message, MESSAGE_BYTES_MAX));
    }
    if fields > 5 {
        match error.retry_after {
            Some(after) => write::uint(&mut to, micros(after)),
            None => write::nil(&mut to),
        }
    }
    if fields > 6 {
        match details {
            Some(details) => write::bin(&mut to, details),
            None => write::nil(&mut to),
        }
    }
    if fields > 7 {
        write::bool(&mut to, error.typed);
    }
    if fields > 8 {
        write_state(&mut to, load, credit);
    }
    to.finish()
}

/// The caller waits for the answer to this call no more.
pub fn encode_cancel(id: u64) -> Frame {
    let mut to = Short::new();
    begin(&mut to, 2, kind::CANCEL);
    write::uint(&mut to, id);
    to.finish()
}

/// A caller's window from now on; of calls only for version 1.
pub fn encode_credit(credit: Credit, version: Version) -> Frame {
    let credit = credit_of(credit, version);
    let bounded = credit.bytes != u64::MAX;
    let mut to = Short::new();
    begin(&mut to, if bounded { 3 } else { 2 }, kind::CREDIT);
    write::uint(&mut to, credit.calls.into());
    if bounded {
        write::uint(&mut to, credit.bytes);
    }
    to.finish()
}

/// The beginning of a session. A name that is too long is cut.
pub fn encode_hello(hello: &Hello<'_>) -> Frame {
    let name = cut(hello.name, NAME_BYTES_MAX);
    let mut to = Writer::new(FIXED_BYTES_MAX + name.len());
    begin(&mut to, if name.is_empty() { 3 } else { 4 }, kind::HELLO);
    write::uint(&mut to, hello.version.into());
    write::uint(&mut to, hello.oldest.into());
    if !name.is_empty() {
        write::str(&mut to, name);
    }
    to.finish()
}

/// The answer to a hello. Its form follows from the version that it chooses: 1 has a window of
/// calls and no more.
pub fn encode_welcome(welcome: &Welcome<'_>) -> Frame {
    let name = cut(welcome.name, NAME_BYTES_MAX);
    let fields = match () {
        () if welcome.version < Version::Two.number() => 3,
        () if welcome.wants_keys => 9,
        () if welcome.pulls => 8,
        () if welcome.call_bytes_max != u64::MAX => 7,
        () if !name.is_empty() => 6,
        () if welcome.blob_bytes_max != u64::MAX => 5,
        () if welcome.credit.bytes != u64::MAX => 4,
        () => 3,
    };
    let mut to = Writer::new(FIXED_BYTES_MAX + name.len());
    begin(&mut to, fields, kind::WELCOME);
    write::uint(&mut to, welcome.version.into());
    write::uint(&mut to, welcome.credit.calls.into());
    if fields > 3 {
        write_bound(&mut to, welcome.credit.bytes);
    }
    if fields > 4 {
        write_bound(&mut to, welcome.blob_bytes_max);
    }
    if fields > 5 {
        write::str(&mut to, name);
    }
    if fields > 6 {
        write_bound(&mut to, welcome.call_bytes_max);
    }
    if fields > 7 {
        write::bool(&mut to, welcome.pulls);
    }
    if fields > 8 {
        write::bool(&mut to, welcome.wants_keys);
    }
    to.finish()
}

/// This side is about to leave.
pub fn encode_bye(left_us: u64) -> Frame {
    let mut to = Short::new();
    begin(&mut to, 2, kind::BYE);
    write::uint(&mut to, left_us);
    to.finish()
}

/// Items of a stream, as their head says; their body is an [`Encoder`](super::Encoder)'s.
///
/// What is not within [`INDEX_MAX`](super::INDEX_MAX) and [`ITEMS_MAX`](super::ITEMS_MAX) is
/// refused by the other side.
///
/// # Allocation
///
/// None, as [`encode_call`].
pub fn encode_items(head: &ItemsHead) -> Frame {
    let fields = match () {
        () if head.window.is_some() => 6,
        () if head.last => 5,
        () => 4,
    };
    let mut to = Short::new();
    begin(&mut to, fields, kind::ITEMS);
    write::uint(&mut to, head.id);
    write::uint(&mut to, head.first);
    write::uint(&mut to, head.count.into());
    if fields > 4 {
        write::bool(&mut to, head.last);
    }
    if fields > 5 {
        write_flow(&mut to, head.window);
    }
    to.finish()
}

/// What the other side of a stream may send of its items, in all since it began.
pub fn encode_window(id: u64, window: Flow) -> Frame {
    let bounded = window.bytes != u64::MAX;
    let mut to = Short::new();
    begin(&mut to, if bounded { 4 } else { 3 }, kind::WINDOW);
    write::uint(&mut to, id);
    write::uint(&mut to, window.items);
    if bounded {
        write::uint(&mut to, window.bytes);
    }
    to.finish()
}

/// No more items are wanted of the other side; the call goes on.
pub fn encode_stop(id: u64) -> Frame {
    let mut to = Short::new();
    begin(&mut to, 2, kind::STOP);
    write::uint(&mut to, id);
    to.finish()
}

/// `fields` are counted with the kind's own, as the array does.
#[inline]
fn begin(to: &mut impl Put, fields: usize, kind: u64) {
    write::array(to, fields);
    write::uint(to, kind);
}

fn write_metadata(to: &mut impl Put, metadata: &CallMetadata<'_>) {
    if metadata.is_empty() {
        return write::nil(to);
    }
    write::map(to, metadata.iter().count());
    for (key, value) in metadata.iter() {
        write::str(to, key);
        match value {
            Value::Text(text) => write::str(to, text),
            Value::Binary(bytes) => write::bin(to, bytes),
        }
    }
}

/// The window of a stream.
fn write_flow(to: &mut impl Put, window: Option<Flow>) {
    let Some(window) = window else {
        return write::nil(to);
    };
    let bounded = window.bytes != u64::MAX;
    write::array(to, if bounded { 2 } else { 1 });
    write::uint(to, window.items);
    if bounded {
        write::uint(to, window.bytes);
    }
}

/// A bound that may be none.
fn write_bound(to: &mut impl Put, bound: u64) {
    if bound == u64::MAX {
        write::nil(to);
    } else {
        write::uint(to, bound);
    }
}

/// Load and credit at the end of an answer, neither if neither is there.
#[inline]
fn write_state(to: &mut impl Put, load: Option<Load>, credit: Option<Credit>) {
    match load {
        Some(load) => {
            write::array(to, 7);
            write::uint(to, load.in_flight.into());
            write::uint(to, load.latency_us.into());
            write::uint(to, load.utilisation_permille.into());
            write::uint(to, load.per_s.into());
            write::uint(to, load.errors_per_s.into());
            write::uint(to, load.run_us.into());
            write::uint(to, load.workers.into());
        }
        None if credit.is_some() => write::nil(to),
        None => {}
    }
    if let Some(credit) = credit {
        let bounded = credit.bytes != u64::MAX;
        write::array(to, if bounded { 2 } else { 1 });
        write::uint(to, credit.calls.into());
        if bounded {
            write::uint(to, credit.bytes);
        }
    }
}

fn of_version(
    load: Option<Load>,
    credit: Option<Credit>,
    version: Version,
) -> (Option<Load>, Option<Credit>) {
    let load = load.filter(|_| version >= Version::Two);
    (load, credit.map(|credit| credit_of(credit, version)))
}

fn credit_of(credit: Credit, version: Version) -> Credit {
    let bytes = if version >= Version::Two {
        credit.bytes
    } else {
        u64::MAX
    };
    Credit { bytes, ..credit }
}

/// The longest beginning of a text that is not over so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
