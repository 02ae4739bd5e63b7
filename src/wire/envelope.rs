//! The kinds of envelope. What an envelope says is borrowed from its frame.
//!
//! # Not here
//!
//! Their bytes (`encode.rs`, `decode.rs`); which may be sent when (`docs/WIRE.md`).

use std::borrow::Cow;
use std::time::Duration;

use super::call_metadata::CallMetadata;
use super::plain::PlainCall;
use crate::status::{Code, Status};
use crate::values::Ran;
pub use crate::values::{Credit, Flow, Load};

/// The number that an envelope begins with. 12 to 15 are kept for streams.
pub mod kind {
    /// A caller asks.
    pub const CALL: u64 = 1;
    /// A replier answers.
    pub const REPLY: u64 = 2;
    /// A replier says why there is no answer.
    pub const ERROR: u64 = 3;
    /// A caller waits for an answer no more.
    pub const CANCEL: u64 = 4;
    /// A replier changes a caller's window.
    pub const CREDIT: u64 = 5;
    /// A caller begins a session.
    pub const HELLO: u64 = 6;
    /// A replier takes it.
    pub const WELCOME: u64 = 7;
    /// Either side is about to leave.
    pub const BYE: u64 = 8;
    /// Either side sends items of a stream. Not in version 1, as the next two.
    pub const ITEMS: u64 = 9;
    /// The side that takes items lets the other send more.
    pub const WINDOW: u64 = 10;
    /// The side that takes items wants no more of them.
    pub const STOP: u64 = 11;
}

/// An envelope, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Envelope<'f> {
    /// A caller asks.
    Call(CallHead<'f>),
    /// A replier answers.
    Reply(ReplyHead),
    /// A replier says why there is no answer.
    Error(ErrorHead<'f>),
    /// A caller waits for an answer no more.
    Cancel {
        /// The call.
        id: u64,
    },
    /// A replier changes a caller's window.
    Credit(Credit),
    /// A caller begins a session.
    Hello(Hello<'f>),
    /// A replier takes it.
    Welcome(Welcome<'f>),
    /// Either side is about to leave.
    Bye {
        /// What it gives the other to come to an end, in microseconds.
        left_us: u64,
    },
    /// Either side sends items of a stream.
    Items(ItemsHead),
    /// The side that takes items lets the other send more.
    Window {
        /// The call.
        id: u64,
        /// What may be sent, since the stream began.
        window: Flow,
    },
    /// The side that takes items wants no more of them; the call goes on.
    Stop {
        /// The call.
        id: u64,
    },
    /// A call without an envelope: `[method, arguments]`.
    Plain(PlainCall<'f>),
    /// A kind that this version does not know: to be passed over, and counted.
    Unknown {
        /// Its number.
        kind: u64,
    },
}

/// What a call is, in bits. Those that are not known are kept and mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No value is wanted: the answer has no body.
    pub const ONEWAY: Flags = Flags(1);
    /// More calls wait in the caller for credit.
    pub const MORE: Flags = Flags(2);
    /// To run it twice does what running it once does.
    pub const IDEMPOTENT: Flags = Flags(4);
    /// The caller sends items. Not in version 1.
    pub const ITEMS_IN: Flags = Flags(8);
    /// The caller takes items. Not in version 1.
    pub const ITEMS_OUT: Flags = Flags(16);

    /// No flag.
    pub const fn empty() -> Flags {
        Flags(0)
    }

    /// These flags and those.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether either side sends items.
    pub const fn streams(self) -> bool {
        self.0 & (Flags::ITEMS_IN.0 | Flags::ITEMS_OUT.0) != 0
    }
}

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Encoding {
    /// A MessagePack array of the arguments, or a value.
    #[default]
    MessagePack,
    /// Bytes that caller and method agree on: Protocol Buffers, Thrift, CBOR.
    Raw,
    /// One that this version does not know: to be refused by whoever would have to read it.
    Other(u8),
}

impl Encoding {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Encoding::MessagePack => 0,
            Encoding::Raw => 1,
            Encoding::Other(number) => number,
        }
    }

    /// The encoding of a number.
    pub const fn from_number(number: u8) -> Encoding {
        match number {
            0 => Encoding::MessagePack,
            1 => Encoding::Raw,
            other => Encoding::Other(other),
        }
    }
}

/// A call: `[1, id, method, left_us, flags, encoding, metadata, hops, window, key]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallHead<'f> {
    /// The caller's number for it: anything but 0, and none that is in flight.
    pub id: u64,
    /// Service and method: `calc.v1.add`.
    pub method: &'f str,
    /// What is left of its deadline, in microseconds; 0 is up.
    pub left_us: u64,
    /// What the call is.
    pub flags: Flags,
    /// What its body is written in. Version 1 has MessagePack only.
    pub encoding: Encoding,
    /// What travels beside the arguments. Not in version 1.
    pub metadata: CallMetadata<'f>,
    /// Programs that have passed it on.
    pub hops: u8,
    /// What the replier may send of its items at first, if the caller takes any. Not in version 1.
    pub window: Option<Flow>,
    /// The hash of its key, for a replier that passes calls on and may pick by it. Not in version 1.
    pub key: Option<u64>,
}

impl<'f> CallHead<'f> {
    /// A call with nothing but what each one has.
    pub const fn new(id: u64, method: &'f str, left_us: u64) -> Self {
        CallHead {
            id,
            method,
            left_us,
            flags: Flags::empty(),
            encoding: Encoding::MessagePack,
            metadata: CallMetadata::empty(),
            hops: 0,
            window: None,
            key: None,
        }
    }
}

/// Items of a stream: `[9, id, first, count, last, window]`. The body is the items, one after the
/// other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemsHead {
    /// The call's number.
    pub id: u64,
    /// The index of the first of these items, from 0; at most [`INDEX_MAX`](super::INDEX_MAX).
    pub first: u64,
    /// How many there are; at most [`ITEMS_MAX`](super::ITEMS_MAX).
    pub count: u32,
    /// Whether the caller sends no more after these.
    pub last: bool,
    /// What the other side may send of its own items, if that changes.
    pub window: Option<Flow>,
}

impl ItemsHead {
    /// So many items from this index on, which are not the last.
    pub const fn new(id: u64, first: u64, count: u32) -> ItemsHead {
        ItemsHead {
            id,
            first,
            count,
            last: false,
            window: None,
        }
    }
}

/// An answer: `[2, id, load, credit]`. The body is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyHead {
    /// The call's number.
    pub id: u64,
    /// How busy the replier is, if it says so.
    pub load: Option<Load>,
    /// The caller's window from now on, if it changes.
    pub credit: Option<Credit>,
}

/// An error: `[3, id, code, ran, message, retry_after_us, details, typed, load, credit]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorHead<'f> {
    /// The call's number; 0 is the session itself.
    pub id: u64,
    /// What went wrong, for programs.
    pub code: Code,
    /// Whether the call was begun.
    pub ran: Ran,
    /// What went wrong, for people.
    pub message: &'f str,
    /// When it is worth to try again.
    pub retry_after: Option<Duration>,
    /// Bytes for programs.
    pub details: Option<&'f [u8]>,
    /// Whether the body holds the method's own error.
    pub typed: bool,
    /// How busy the replier is, if it says so.
    pub load: Option<Load>,
    /// The caller's window from now on, if it changes.
    pub credit: Option<Credit>,
}

impl<'f> ErrorHead<'f> {
    /// The error of a call that ended with this status.
    pub fn new(id: u64, status: &'f Status, ran: Ran) -> Self {
        ErrorHead {
            id,
            code: status.code(),
            ran,
            message: status.message(),
            retry_after: status.retry_after(),
            details: status.details().map(|details| &details[..]),
            typed: false,
            load: None,
            credit: None,
        }
    }

    /// The status that it tells.
    ///
    /// # Allocation
    ///
    /// The message and the details are copied.
    pub fn status(&self) -> Status {
        let mut status = Status::new(self.code, Cow::Owned(self.message.to_owned()));
        if let Some(after) = self.retry_after {
            status = status.with_retry_after(after);
        }
        if let Some(details) = self.details {
            status = status.with_details(details);
        }
        status
    }
}

/// A caller begins a session: `[6, version, oldest, name]`. The same in all versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hello<'f> {
    /// The newest version that it speaks.
    pub version: u8,
    /// The oldest version that it speaks.
    pub oldest: u8,
    /// What it calls itself: for people.
    pub name: &'f str,
}

/// A replier takes a session: `[7, version, calls, bytes, blob_bytes_max, name, call_bytes_max,
/// pulls, wants_keys]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Welcome<'f> {
    /// The version that is spoken from now on.
    pub version: u8,
    /// The caller's first window.
    pub credit: Credit,
    /// Bytes of the largest blob that is taken; [`u64::MAX`] is any. Not in version 1.
    pub blob_bytes_max: u64,
    /// What the replier calls itself: for people. Not in version 1.
    pub name: &'f str,
    /// Bytes of the largest call that is taken, its body and blobs together; [`u64::MAX`] is any.
    /// Not in version 1.
    pub call_bytes_max: u64,
    /// It takes calls only where a worker is free: a caller whose calls wait for credit says so, by a
    /// credit of as many calls. Not in version 1.
    pub pulls: bool,
    /// It passes calls on, and is to be told their keys. Not in version 1.
    pub wants_keys: bool,
}
