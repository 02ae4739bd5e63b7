//! How a call ended: a code with gRPC's names and numbers, a message, and whether the call ran.
//!
//! A handler returns a [`Status`]; a caller gets it back within an
//! [`RpcError`](crate::RpcError), with what a retry has to know: [`Ran`](crate::Ran).
//!
//! # Invariants
//!
//! 1. Codes and their names are gRPC's. (test `codes_have_the_numbers_and_names_of_grpc`)
//! 2. A status is small, and one of a fixed text allocates nothing. (test
//!    `a_status_is_small_and_its_rare_parts_are_boxed`)
//!
//! # Not here
//!
//! How they look on the wire (`crate::wire`); who the error is from (`crate::error`).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use brokerless_patterns::Frame;

/// What went wrong, as a number that programs act upon: gRPC's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Code {
    /// Nothing did.
    Ok = 0,
    /// The caller gave up.
    Cancelled = 1,
    /// Nobody can say, or it is the method's own error.
    Unknown = 2,
    /// The arguments are wrong, whatever the state of the system.
    InvalidArgument = 3,
    /// The time was up.
    DeadlineExceeded = 4,
    /// What was asked for is not there.
    NotFound = 5,
    /// What was to be made is there already.
    AlreadyExists = 6,
    /// The caller is known and may not do this.
    PermissionDenied = 7,
    /// A quota, a queue or a limit is used up.
    ResourceExhausted = 8,
    /// The system is not in the state that the call needs.
    FailedPrecondition = 9,
    /// Another call came between.
    Aborted = 10,
    /// Beyond the end of something.
    OutOfRange = 11,
    /// There is no such service or method.
    Unimplemented = 12,
    /// Something that never happens happened.
    Internal = 13,
    /// Nobody is there to answer, for now.
    Unavailable = 14,
    /// Data are lost or spoilt.
    DataLoss = 15,
    /// The caller has not shown who it is.
    Unauthenticated = 16,
}

impl Code {
    /// All codes, by number.
    pub const ALL: [Code; 17] = [
        Code::Ok,
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code of a number, if there is one.
    pub fn from_number(number: u8) -> Option<Code> {
        Code::ALL.get(usize::from(number)).copied()
    }

    /// The name that gRPC gives it: `DEADLINE_EXCEEDED`.
    pub const fn name(self) -> &'static str {
        match self {
            Code::Ok => "OK",
            Code::Cancelled => "CANCELLED",
            Code::Unknown => "UNKNOWN",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Aborted => "ABORTED",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
            Code::Unavailable => "UNAVAILABLE",
            Code::DataLoss => "DATA_LOSS",
            Code::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a call failed: what a handler returns, and what its caller reads.
///
/// ```
/// use brokerless::{Code, Status};
///
/// fn find(name: &str) -> Result<u64, Status> {
///     match name {
///         "" => Err(Status::invalid_argument("the name is empty")),
///         name => Err(Status::not_found(format!("no entry {name:?}"))),
///     }
/// }
/// assert_eq!(find("").unwrap_err().code(), Code::InvalidArgument);
/// assert_eq!(find("a").unwrap_err().to_string(), "NOT_FOUND: no entry \"a\"");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Status {
    message: Cow<'static, str>,
    rare: Option<Box<Rare>>,
    code: Code,
}

/// What most statuses do not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rare {
    retry_after: Option<Duration>,
    details: Option<Frame>,
}

macro_rules! constructors {
    ($($name:ident $code:ident;)*) => {$(
        #[doc = concat!("A status with [`Code::", stringify!($code), "`].")]
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Status::new(Code::$code, message)
        }
    )*};
}

impl Status {
    /// A status of this code and message.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Status {
            message: message.into(),
            rare: None,
            code,
        }
    }

    constructors! {
        cancelled Cancelled;
        unknown Unknown;
        invalid_argument InvalidArgument;
        deadline_exceeded DeadlineExceeded;
        not_found NotFound;
        already_exists AlreadyExists;
        permission_denied PermissionDenied;
        resource_exhausted ResourceExhausted;
        failed_precondition FailedPrecondition;
        aborted Aborted;
        out_of_range OutOfRange;
        unimplemented Unimplemented;
        internal Internal;
        unavailable Unavailable;
        data_loss DataLoss;
        unauthenticated Unauthenticated;
    }

    /// Says when it is worth to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.rare.get_or_insert_default().retry_after = Some(after);
        self
    }

    /// Adds bytes for programs to read, in whatever form the method has for them: at most
    /// [`DETAILS_BYTES_MAX`](crate::wire::DETAILS_BYTES_MAX) travel.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Frame>) -> Self {
        self.rare.get_or_insert_default().details = Some(details.into());
        self
    }

    /// What went wrong, for programs.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// When it is worth to try again, if the replier said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.rare.as_ref()?.retry_after
    }

    /// Bytes for programs to read, if there are any.
    pub fn details(&self) -> Option<&Frame> {
        self.rare.as_ref()?.details.as_ref()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(after) = self.retry_after() {
            write!(f, " (try again after {after:?})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("code", &self.code)
            .field("message", &self.message)
            .field("retry_after", &self.retry_after())
            .field("details_bytes", &self.details().map(|bytes| bytes.len()))
            .finish()
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_numbers_and_names_of_grpc() {
        for (number, code) in (0u8..).zip(Code::ALL) {
            assert_eq!(code.number(), number);
            assert_eq!(Code::from_number(number), Some(code));
            // `DeadlineExceeded` and `DEADLINE_EXCEEDED` are one name in two spellings.
            let debug = format!("{code:?}").to_uppercase();
            assert_eq!(code.name().replace('_', ""), debug);
        }
        assert_eq!(Code::from_number(17), None);
        assert_eq!(Code::from_number(255), None);
        assert_eq!(Code::DeadlineExceeded.to_string(), "DEADLINE_EXCEEDED");
        assert_eq!(Code::FailedPrecondition.number(), 9);
        assert_eq!(Code::Unauthenticated.number(), 16);
    }

    #[test]
    fn a_status_is_small_and_its_rare_parts_are_boxed() {
        assert!(size_of::<Status>() <= 40, "{}", size_of::<Status>());
        let plain = Status::internal("a fixed text");
        assert!(matches!(plain.message, Cow::Borrowed(_)));
        assert!(plain.rare.is_none());
        let rich = plain
            .with_retry_after(Duration::from_millis(50))
            .with_details(vec![1, 2]);
        assert_eq!(rich.retry_after(), Some(Duration::from_millis(50)));
        assert_eq!(rich.details().unwrap(), &[1u8, 2][..]);
        assert_eq!(
            rich.to_string(),
            "INTERNAL: a fixed text (try again after 50ms)"
        );
        assert!(!format!("{rich:?}").contains("0x"), "{rich:?}");
    }
}
