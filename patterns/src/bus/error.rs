//! What can go wrong on the bus, an error type for each kind of operation.

use std::fmt;

use super::codec::ValueFault;
use super::topic::NAME_BYTES_MAX;
use super::wire::{HeaderFault, PublisherId};
use crate::socket::{Error, RecvError, SendRefusal};

/// What is wrong with a topic's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameFault {
    /// It is empty.
    Empty,
    /// It has so many bytes.
    Long(usize),
    /// It holds a zero byte, at this place.
    Zero(usize),
}

/// A topic, a publisher or a subscriber could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum BusError {
    /// The topic's name is not one.
    Name(NameFault),
    /// An option of the bus is out of its bounds.
    Option {
        /// Its name.
        option: &'static str,
        /// What was given.
        value: usize,
        /// What it has to be.
        rule: &'static str,
    },
    /// The socket could not be made, bound or connected.
    Socket(Error),
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusError::Name(NameFault::Empty) => {
                write!(
                    f,
                    "a topic's name is empty; give it 1 to {NAME_BYTES_MAX} bytes"
                )
            }
            BusError::Name(NameFault::Long(bytes)) => write!(
                f,
                "a topic's name has {bytes} bytes; give it 1 to {NAME_BYTES_MAX}"
            ),
            BusError::Name(NameFault::Zero(at)) => write!(
                f,
                "a topic's name holds a zero byte at {at}; it would end there: leave it out"
            ),
            BusError::Option {
                option,
                value,
                rule,
            } => write!(f, "option {option} is {value}; it has to be {rule}"),
            BusError::Socket(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BusError::Socket(error) => Some(error),
            BusError::Name(_) | BusError::Option { .. } => None,
        }
    }
}

impl From<Error> for BusError {
    fn from(error: Error) -> Self {
        BusError::Socket(error)
    }
}

/// A value was not published. It has no number: subscribers miss nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// Its type could not be written as MessagePack: its `Serialize` gave an error.
    Encode,
    /// The socket did not take it: it has been closed.
    Refused(SendRefusal),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Encode => {
                f.write_str("the value was not published: its serialize gave an error")
            }
            PublishError::Refused(reason) => write!(f, "the value was not published: {reason}"),
        }
    }
}

impl std::error::Error for PublishError {}

/// No update was received. The next one may be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateError {
    /// The deadline came first; or there is none now.
    Timeout,
    /// The subscriber has been closed.
    Closed,
    /// What came is no update; the peer that sent it does not speak this wire.
    Header {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        fault: HeaderFault,
    },
    /// An update came whose value is not of the topic's type. It counts as received.
    Value {
        /// The topic.
        topic: String,
        /// Who published it.
        publisher: PublisherId,
        /// Its number.
        sequence: u64,
        /// How many of this publisher's were lost just before it.
        lost: u64,
        /// What is wrong with it.
        fault: ValueFault,
    },
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateError::Timeout => f.write_str("no update came before the deadline"),
            UpdateError::Closed => f.write_str("the subscriber has been closed"),
            UpdateError::Header { topic, fault } => {
                write!(f, "topic {topic:?}: what came is no update: {fault}")
            }
            UpdateError::Value {
                topic,
                publisher,
                sequence,
                lost: _,
                fault,
            } => write!(
                f,
                "topic {topic:?}: update {sequence} of publisher {publisher} has no value: {fault}"
            ),
        }
    }
}

impl std::error::Error for UpdateError {}

impl From<RecvError> for UpdateError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Timeout => UpdateError::Timeout,
            RecvError::Closed | RecvError::OutOfTurn => UpdateError::Closed,
        }
    }
}
