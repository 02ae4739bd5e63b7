//! Bytes to envelopes: borrowed, bounded, and read the same for every version.
//!
//! # Invariants
//!
//! 1. No bytes panic, and none are read beyond their end. (proptest
//!    `any_bytes_are_read_or_refused`)
//! 2. Fields at the end that are not known are passed over. (test
//!    `fields_at_the_end_that_are_not_known_are_passed_over`)
//! 3. An envelope that is cut off is refused. (test
//!    `every_truncation_of_a_golden_file_is_refused` in `tests/wire`)

use std::time::Duration;

use super::call_metadata::CallMetadata;
use super::envelope::{
    CallHead, Credit, Encoding, Envelope, ErrorHead, Flags, Flow, Hello, ItemsHead, Load,
    ReplyHead, Welcome, kind,
};
use super::fault::{Bad, Came, Fault, WireError};
use super::plain::PlainCall;
use super::read::Reader;
use super::{
    DETAILS_BYTES_MAX, ENVELOPE_BYTES_MAX, ENVELOPE_DEPTH_MAX, INDEX_MAX, ITEMS_MAX,
    MESSAGE_BYTES_MAX, METHOD_BYTES_MAX, NAME_BYTES_MAX,
};
use crate::status::Code;
use crate::values::Ran;

impl<'f> Envelope<'f> {
    /// Reads an envelope, or a plain call, from a frame.
    ///
    /// # Errors
    ///
    /// Where it is neither. The connection is sound; of a call whose number could be read,
    /// [`WireError::call_id`] says which to answer.
    ///
    /// # Allocation
    ///
    /// None: what it says is borrowed.
    pub fn decode(frame: &'f [u8]) -> Result<Envelope<'f>, WireError> {
        let mut reader = Reader::new(frame);
        let Ok(len) = reader.array() else {
            return Err(Fault::NoArray(Reader::new(frame).came()).into());
        };
        if reader.is_str() {
            return PlainCall::read(reader, len).map(Envelope::Plain);
        }
        if frame.len() > ENVELOPE_BYTES_MAX {
            return Err(Fault::TooLong(frame.len()).into());
        }
        let mut fields = Fields {
            reader,
            left: len,
            kind: "envelope",
            call: None,
            stream: None,
        };
        let envelope = match fields.uint("kind")? {
            kind::CALL => Envelope::Call(call(&mut fields)?),
            kind::REPLY => Envelope::Reply(reply(&mut fields)?),
            kind::ERROR => Envelope::Error(error(&mut fields)?),
            kind::CANCEL => {
                fields.kind = "cancel";
                Envelope::Cancel {
                    id: fields.uint("id")?,
                }
            }
            kind::CREDIT => {
                fields.kind = "credit";
                Envelope::Credit(Credit {
                    calls: fields.number("calls")?,
                    bytes: fields.bound("bytes")?,
                })
            }
            kind::HELLO => Envelope::Hello(hello(&mut fields)?),
            kind::WELCOME => Envelope::Welcome(welcome(&mut fields)?),
            kind::BYE => {
                fields.kind = "bye";
                Envelope::Bye {
                    left_us: fields.uint("left_us")?,
                }
            }
            kind::ITEMS => Envelope::Items(items(&mut fields)?),
            kind::WINDOW => Envelope::Window {
                id: fields.of_stream("window")?,
                window: Flow {
                    items: fields.uint("items")?,
                    bytes: fields.bound("bytes")?,
                },
            },
            kind::STOP => Envelope::Stop {
                id: fields.of_stream("stop")?,
            },
            kind => Envelope::Unknown { kind },
        };
        fields.end()?;
        Ok(envelope)
    }
}

#[inline]
fn call<'f>(fields: &mut Fields<'f>) -> Result<CallHead<'f>, WireError> {
    fields.kind = "call";
    let id = fields.uint("id")?;
    fields.call = Some(id);
    Ok(CallHead {
        id,
        method: fields.str("method", METHOD_BYTES_MAX)?,
        left_us: fields.uint("left_us")?,
        // Of what later versions may add, the low bits are what is known here.
        flags: Flags(fields.optional("flags", Reader::uint)?.unwrap_or(0) as u8),
        encoding: Encoding::from_number(fields.small("encoding")?),
        metadata: fields
            .optional("metadata", CallMetadata::read)?
            .unwrap_or(CallMetadata::empty()),
        hops: fields.small("hops")?,
        window: fields.optional("window", flow)?,
        key: fields.optional("key", Reader::uint)?,
    })
}

#[inline]
fn items(fields: &mut Fields<'_>) -> Result<ItemsHead, WireError> {
    Ok(ItemsHead {
        id: fields.of_stream("items")?,
        first: fields.required("first", |reader| at_most(reader, INDEX_MAX))?,
        count: fields.required("count", |reader| {
            at_most(reader, ITEMS_MAX.into()).map(|count| count as u32)
        })?,
        last: fields.optional("last", Reader::bool)?.unwrap_or(false),
        window: fields.optional("window", flow)?,
    })
}

#[inline]
fn reply(fields: &mut Fields<'_>) -> Result<ReplyHead, WireError> {
    fields.kind = "reply";
    Ok(ReplyHead {
        id: fields.uint("id")?,
        load: fields.optional("load", load)?,
        credit: fields.optional("credit", credit)?,
    })
}

fn error<'f>(fields: &mut Fields<'f>) -> Result<ErrorHead<'f>, WireError> {
    fields.kind = "error";
    Ok(ErrorHead {
        id: fields.uint("id")?,
        code: u8::try_from(fields.uint("code")?)
            .ok()
            .and_then(Code::from_number)
            .unwrap_or(Code::Unknown),
        ran: Ran::from_number(fields.uint("ran")?),
        message: fields.str("message", MESSAGE_BYTES_MAX)?,
        retry_after: fields
            .optional("retry_after_us", Reader::uint)?
            .map(Duration::from_micros),
        details: fields.optional("details", |reader| reader.bin(DETAILS_BYTES_MAX))?,
        typed: fields.optional("typed", Reader::bool)?.unwrap_or(false),
        load: fields.optional("load", load)?,
        credit: fields.optional("credit", credit)?,
    })
}

fn hello<'f>(fields: &mut Fields<'f>) -> Result<Hello<'f>, WireError> {
    fields.kind = "hello";
    Ok(Hello {
        version: fields.number("version")?,
        oldest: fields.number("oldest")?,
        name: fields.name()?,
    })
}

fn welcome<'f>(fields: &mut Fields<'f>) -> Result<Welcome<'f>, WireError> {
    fields.kind = "welcome";
    Ok(Welcome {
        version: fields.number("version")?,
        credit: Credit {
            calls: fields.number("calls")?,
            bytes: fields.bound("bytes")?,
        },
        blob_bytes_max: fields.bound("blob_bytes_max")?,
        name: fields.name()?,
        call_bytes_max: fields.bound("call_bytes_max")?,
        pulls: fields.optional("pulls", Reader::bool)?.unwrap_or(false),
        wants_keys: fields
            .optional("wants_keys", Reader::bool)?
            .unwrap_or(false),
    })
}

/// A number of a load report. The answer that it rides on is none the worse for one that makes no
/// sense: it reads as the most, which nobody believes.
#[inline]
fn measure(reader: &mut Reader<'_>) -> Result<u32, Bad> {
    let mut ahead = *reader;
    if let Ok(number) = ahead.uint() {
        *reader = ahead;
        return Ok(u32::try_from(number).unwrap_or(u32::MAX));
    }
    skip(reader, 1)?;
    Ok(u32::MAX)
}

#[inline]
fn load(reader: &mut Reader<'_>) -> Result<Load, Bad> {
    let mut left = reader.array()?.checked_sub(3).ok_or(Bad::OutOfRange)?;
    let mut load = Load {
        in_flight: measure(reader)?,
        latency_us: measure(reader)?,
        utilisation_permille: u16::try_from(measure(reader)?).unwrap_or(u16::MAX),
        ..Load::default()
    };
    // Replies of before have three.
    let more = [&mut load.per_s, &mut load.errors_per_s, &mut load.run_us];
    for number in more {
        if left > 0 {
            left -= 1;
            *number = measure(reader)?;
        }
    }
    if left > 0 {
        left -= 1;
        load.workers = u16::try_from(measure(reader)?).unwrap_or(u16::MAX);
    }
    skip(reader, left)?;
    Ok(load)
}

#[inline]
fn credit(reader: &mut Reader<'_>) -> Result<Credit, Bad> {
    let mut left = reader.array()?.checked_sub(1).ok_or(Bad::OutOfRange)?;
    let calls = saturated(reader)?;
    let mut bytes = u64::MAX;
    if left > 0 {
        left -= 1;
        if !reader.nil() {
            bytes = reader.uint()?;
        }
    }
    skip(reader, left)?;
    Ok(Credit { calls, bytes })
}

#[inline]
fn flow(reader: &mut Reader<'_>) -> Result<Flow, Bad> {
    let mut left = reader.array()?.checked_sub(1).ok_or(Bad::OutOfRange)?;
    let items = reader.uint()?;
    let mut bytes = u64::MAX;
    if left > 0 {
        left -= 1;
        if !reader.nil() {
            bytes = reader.uint()?;
        }
    }
    skip(reader, left)?;
    Ok(Flow { items, bytes })
}

#[inline]
fn at_most(reader: &mut Reader<'_>, max: u64) -> Result<u64, Bad> {
    match reader.uint()? {
        number if number <= max => Ok(number),
        _ => Err(Bad::OutOfRange),
    }
}

#[inline]
fn saturated(reader: &mut Reader<'_>) -> Result<u32, Bad> {
    Ok(u32::try_from(reader.uint()?).unwrap_or(u32::MAX))
}

fn skip(reader: &mut Reader<'_>, values: u32) -> Result<(), Bad> {
    for _ in 0..values {
        // The envelope and the field are two levels.
        reader.skip(ENVELOPE_DEPTH_MAX - 2)?;
    }
    Ok(())
}

/// The fields of an envelope that are not read yet.
struct Fields<'f> {
    reader: Reader<'f>,
    left: u32,
    kind: &'static str,
    call: Option<u64>,
    stream: Option<u64>,
}

impl<'f> Fields<'f> {
    /// A field that must be there.
    #[inline(always)]
    fn required<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'f>) -> Result<T, Bad>,
    ) -> Result<T, WireError> {
        if self.left == 0 {
            return Err(self.bad(field, Bad::Type(Came::Nothing)));
        }
        self.left -= 1;
        read(&mut self.reader).map_err(|bad| self.bad(field, bad))
    }

    /// A field that may be left out, or be `nil`.
    #[inline(always)]
    fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'f>) -> Result<T, Bad>,
    ) -> Result<Option<T>, WireError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        if self.reader.nil() {
            return Ok(None);
        }
        let value = read(&mut self.reader).map_err(|bad| self.bad(field, bad))?;
        Ok(Some(value))
    }

    fn uint(&mut self, field: &'static str) -> Result<u64, WireError> {
        self.required(field, Reader::uint)
    }

    /// The number of the call whose stream an envelope is about.
    fn of_stream(&mut self, kind: &'static str) -> Result<u64, WireError> {
        self.kind = kind;
        let id = self.uint("id")?;
        self.stream = Some(id);
        Ok(id)
    }

    /// A number that the field's type holds.
    fn number<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, WireError> {
        self.required(field, narrow)
    }

    /// A number that is 0 if it is left out.
    fn small(&mut self, field: &'static str) -> Result<u8, WireError> {
        Ok(self.optional(field, narrow)?.unwrap_or(0))
    }

    /// A bound that is none if it is left out.
    fn bound(&mut self, field: &'static str) -> Result<u64, WireError> {
        Ok(self.optional(field, Reader::uint)?.unwrap_or(u64::MAX))
    }

    fn str(&mut self, field: &'static str, bytes_max: usize) -> Result<&'f str, WireError> {
        self.required(field, |reader| reader.str(bytes_max))
    }

    fn name(&mut self) -> Result<&'f str, WireError> {
        let name = self.optional("name", |reader| reader.str(NAME_BYTES_MAX))?;
        Ok(name.unwrap_or(""))
    }

    /// Passes over what is not known.
    #[inline]
    fn end(&mut self) -> Result<(), WireError> {
        for _ in 0..self.left {
            self.reader
                .skip(ENVELOPE_DEPTH_MAX - 1)
                .map_err(|bad| self.fault(Fault::Surplus(bad)))?;
        }
        match self.reader.rest().len() {
            0 => Ok(()),
            bytes => Err(self.fault(Fault::Trailing(bytes))),
        }
    }

    #[cold]
    fn bad(&self, field: &'static str, bad: Bad) -> WireError {
        self.fault(Fault::Field(self.kind, field, bad))
    }

    #[cold]
    fn fault(&self, fault: Fault) -> WireError {
        WireError {
            call: self.call,
            stream: self.stream,
            fault,
        }
    }
}

fn narrow<T: TryFrom<u64>>(reader: &mut Reader<'_>) -> Result<T, Bad> {
    T::try_from(reader.uint()?).map_err(|_| Bad::OutOfRange)
}
