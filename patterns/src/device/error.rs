//! What can go wrong with a device.

use std::fmt;
use std::io;

use super::place::{Place, PlaceError, Side};
use crate::socket;

/// Why a device could not be made, changed or run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A place is malformed. Nothing was changed.
    Place {
        /// The side that it was given for.
        side: Side,
        /// What is wrong with it.
        error: PlaceError,
    },
    /// A side has no place, and nothing would pass.
    NoPlace {
        /// The side.
        side: Side,
    },
    /// A place was given twice for a side. Nothing was changed.
    Twice {
        /// The side.
        side: Side,
        /// The place.
        place: Place,
    },
    /// A socket could not be made, or a place could not be bound or connected to. Nothing was
    /// changed.
    Socket {
        /// The side.
        side: Side,
        /// What the socket said.
        error: socket::Error,
    },
    /// The system gave no poller or no thread.
    System(io::Error),
    /// The device has ended.
    Ended,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Place { side, error } => write!(f, "{side}: {error}"),
            Error::NoPlace { side } => write!(
                f,
                "the {side} has no endpoint; give at least one, such as tcp://127.0.0.1:5555"
            ),
            Error::Twice { side, place } => {
                write!(f, "the {side} has `{place}` twice; give it once")
            }
            Error::Socket { side, error } => write!(f, "{side}: {error}"),
            Error::System(error) => write!(f, "the system gave no poller or thread: {error}"),
            Error::Ended => f.write_str("the device has ended"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Place { error, .. } => Some(error),
            Error::Socket { error, .. } => Some(error),
            Error::System(error) => Some(error),
            Error::NoPlace { .. } | Error::Twice { .. } | Error::Ended => None,
        }
    }
}
