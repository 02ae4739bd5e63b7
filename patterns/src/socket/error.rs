//! What can go wrong with a socket, an error type for each kind of operation.

use std::fmt;
use std::io;

use super::options::OptionError;
use crate::link::{BindError, Endpoint, EndpointError};
use crate::message::Message;

/// Why a socket could not be made, bound or connected. The socket is as it was before.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The endpoint is not one, or not one for this use.
    Endpoint(EndpointError),
    /// The endpoint could not be bound.
    Bind(BindError),
    /// An option is out of its bounds.
    Option(OptionError),
    /// Another socket of this process is bound to the name.
    NameInUse {
        /// The `inproc` endpoint.
        endpoint: Endpoint,
    },
    /// The socket is not bound or connected there.
    NotFound {
        /// The endpoint given.
        endpoint: Endpoint,
    },
    /// The socket is a PAIR, and has a peer or waits for one.
    PairTaken {
        /// The endpoint given.
        endpoint: Endpoint,
    },
    /// The socket's engine cannot do this: [`Engine::zeromq`](crate::Engine::zeromq).
    #[cfg(feature = "zeromq")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What can be done instead.
        way_out: &'static str,
    },
    /// The socket has been closed.
    Closed,
    /// The system gave no poller or no thread.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Endpoint(error) => error.fmt(f),
            Error::Bind(error) => error.fmt(f),
            Error::Option(error) => error.fmt(f),
            Error::NameInUse { endpoint } => write!(
                f,
                "another socket of this process is bound to {endpoint}; unbind it or take another name"
            ),
            Error::NotFound { endpoint } => write!(
                f,
                "the socket is not bound or connected to {endpoint}; \
                 `local_endpoints` lists where it is bound"
            ),
            Error::PairTaken { endpoint } => write!(
                f,
                "not connected to {endpoint}: a pair has one peer at a time, and this one has its; \
                 disconnect from it first"
            ),
            #[cfg(feature = "zeromq")]
            Error::Unsupported { what, way_out } => {
                write!(f, "{what} on an engine of the zeromq crate; {way_out}")
            }
            Error::Closed => f.write_str("the socket has been closed"),
            Error::System(error) => write!(f, "the system gave no poller or thread: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Endpoint(error) => Some(error),
            Error::Bind(error) => Some(error),
            Error::Option(error) => Some(error),
            Error::System(error) => Some(error),
            #[cfg(feature = "zeromq")]
            Error::Unsupported { .. } => None,
            Error::NameInUse { .. }
            | Error::NotFound { .. }
            | Error::PairTaken { .. }
            | Error::Closed => None,
        }
    }
}

impl From<EndpointError> for Error {
    fn from(error: EndpointError) -> Self {
        Error::Endpoint(error)
    }
}

impl From<BindError> for Error {
    fn from(error: BindError) -> Self {
        Error::Bind(error)
    }
}

impl From<OptionError> for Error {
    fn from(error: OptionError) -> Self {
        Error::Option(error)
    }
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefusal {
    /// Every peer that would do has as much queued as it may: the send limits.
    Full,
    /// There is no peer and no endpoint connected to.
    NoPeer,
    /// The peer has gone, or was never there.
    Gone,
    /// The deadline came first.
    Timeout,
    /// The socket's pattern does not allow it now: a REQ that awaits an answer, a REP that has
    /// nothing to answer.
    OutOfTurn,
    /// The socket has been closed.
    Closed,
}

impl fmt::Display for SendRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendRefusal::Full => {
                "the send queue is full; wait for the peer to read, or raise send_messages_max \
                 or send_bytes_max"
            }
            SendRefusal::NoPeer => "no peer is connected and none is being connected to",
            SendRefusal::Gone => "the peer is no longer connected",
            SendRefusal::Timeout => "no peer took it before the deadline",
            SendRefusal::OutOfTurn => {
                "it is not this socket's turn: a req sends once and receives once, a rep the \
                 other way round"
            }
            SendRefusal::Closed => "the socket has been closed",
        })
    }
}

/// A message was not sent; nothing of it was. It comes back with the reason.
#[derive(Clone)]
pub struct SendError {
    reason: SendRefusal,
    message: Box<Message>,
}

impl SendError {
    pub(crate) fn new(reason: SendRefusal, message: Message) -> Self {
        SendError {
            reason,
            message: Box::new(message),
        }
    }

    /// Why it was not sent.
    pub fn reason(&self) -> SendRefusal {
        self.reason
    }

    /// Whether it may be sent later: only the queues are full.
    pub fn is_full(&self) -> bool {
        self.reason == SendRefusal::Full
    }

    /// The message, as it was given.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message, as it was given.
    pub fn into_message(self) -> Message {
        *self.message
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SendError({:?}, {} bytes)",
            self.reason,
            self.message.bytes()
        )
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (frames, bytes) = (self.message.len(), self.message.bytes());
        write!(
            f,
            "a message of {frames} frames, {bytes} bytes was not sent: {}",
            self.reason
        )
    }
}

impl std::error::Error for SendError {}

/// Why no message was received. No message is lost by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The deadline came first; for `try_recv`, there is none now.
    Timeout,
    /// The socket's pattern does not allow it now: a REQ that has asked nothing.
    OutOfTurn,
    /// The socket has been closed, or its messages go to a `receiver()`.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvError::Timeout => "no message came before the deadline",
            RecvError::OutOfTurn => "a req receives only after it has sent",
            RecvError::Closed => "the socket has been closed, or a receiver takes its messages",
        })
    }
}

impl std::error::Error for RecvError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_message_comes_back_and_is_not_shown() {
        let error = SendError::new(SendRefusal::Full, Message::from(["secret", "word"]));
        assert!(error.is_full());
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(
                !text.contains("secret") && text.contains("10 bytes"),
                "{text}"
            );
        }
        assert_eq!(error.into_message(), Message::from(["secret", "word"]));
    }
}
