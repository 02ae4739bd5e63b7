//! What a caller gets when a call fails, and what a builder says when it refuses.
//!
//! | type | whose fault, what is left |
//! |---|---|
//! | [`RpcError`] | the fabric's or the replier's: a status, whether the call ran, which node |
//! | [`CallError`] | either that, or the method's own error, typed |
//! | [`Error`] | the program's, while a client or a server is built: nothing was started |
//!
//! # Invariants
//!
//! 1. Every error of a call says whether it ran. (held by [`CallError::ran`], which matches
//!    without a wildcard)
//! 2. An [`RpcError`] is as large as a pointer. (test `an_rpc_error_is_as_large_as_a_pointer`)

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use brokerless_patterns::balance::PolicyError;
use brokerless_patterns::{Error as PatternsError, Frame, OptionError};

use crate::status::{Code, Status};
use crate::values::Ran;

/// A call that failed: the status, whether it ran, and the node that it was sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    status: Status,
    ran: Ran,
    node: Option<Arc<str>>,
}

impl RpcError {
    /// An error of this status.
    pub fn new(status: Status, ran: Ran) -> Self {
        let node = None;
        RpcError(Box::new(Inner { status, ran, node }))
    }

    /// The same error, with the node that the call was sent to: its endpoint or name.
    #[must_use]
    pub fn with_node(mut self, node: impl Into<Arc<str>>) -> Self {
        self.0.node = Some(node.into());
        self
    }

    /// What went wrong, for programs.
    pub fn code(&self) -> Code {
        self.0.status.code()
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        self.0.status.message()
    }

    /// Whether the call was begun: if not, to call again is safe.
    pub fn ran(&self) -> Ran {
        self.0.ran
    }

    /// When it is worth to try again, if the replier said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.status.retry_after()
    }

    /// Bytes for programs to read, if the replier added any.
    pub fn details(&self) -> Option<&Frame> {
        self.0.status.details()
    }

    /// The node that the call was sent to, if it was sent.
    pub fn node(&self) -> Option<&str> {
        self.0.node.as_deref()
    }

    /// The status as a whole.
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// The status, without what only the caller knew.
    pub fn into_status(self) -> Status {
        self.0.status
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (ran: {}", self.0.status, self.0.ran)?;
        if let Some(node) = self.node() {
            write!(f, "; node {node}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcError")
            .field("status", &self.0.status)
            .field("ran", &self.0.ran)
            .field("node", &self.0.node)
            .finish()
    }
}

impl std::error::Error for RpcError {}

/// A handler passes on what a call of its own came to.
impl From<RpcError> for Status {
    fn from(error: RpcError) -> Status {
        error.into_status()
    }
}

/// A call that failed: by the fabric, or by the method's own error.
///
/// Methods that declare no error of their own have `CallError` without a parameter, which holds
/// the fabric's only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError<E = Infallible> {
    /// The fabric, or a handler by a [`Status`].
    Rpc(RpcError),
    /// The method's own error: it ran, and this is what it says.
    Method(E),
}

impl<E> CallError<E> {
    /// Whether the call was begun: if not, to call again is safe.
    pub fn ran(&self) -> Ran {
        match self {
            CallError::Rpc(error) => error.ran(),
            CallError::Method(_) => Ran::Yes,
        }
    }

    /// What went wrong, for programs; the method's own error is [`Code::Unknown`] to the fabric.
    pub fn code(&self) -> Code {
        match self {
            CallError::Rpc(error) => error.code(),
            CallError::Method(_) => Code::Unknown,
        }
    }

    /// The fabric's error, if it is that.
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            CallError::Rpc(error) => Some(error),
            CallError::Method(_) => None,
        }
    }

    /// The method's own error, if it is that.
    pub fn method(&self) -> Option<&E> {
        match self {
            CallError::Rpc(_) => None,
            CallError::Method(error) => Some(error),
        }
    }

    /// The same error with the method's own turned into another.
    pub fn map_method<F>(self, turn: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            CallError::Rpc(error) => CallError::Rpc(error),
            CallError::Method(error) => CallError::Method(turn(error)),
        }
    }
}

impl<E> From<RpcError> for CallError<E> {
    fn from(error: RpcError) -> Self {
        CallError::Rpc(error)
    }
}

/// A handler passes on what a call of its own came to.
impl<E: fmt::Display> From<CallError<E>> for Status {
    fn from(error: CallError<E>) -> Status {
        match error {
            CallError::Rpc(error) => error.into_status(),
            CallError::Method(error) => Status::unknown(error.to_string()),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Rpc(error) => error.fmt(f),
            CallError::Method(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for CallError<E> {}

/// Why a client or a server could not be built. Nothing was started.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The sockets refused: an endpoint that is none, or is taken, and the like.
    Patterns(PatternsError),
    /// An option is out of its bounds.
    Option {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What may be given.
        bound: &'static str,
    },
    /// An option of a policy is out of its bounds, or there is no policy of that name.
    Policy(PolicyError),
    /// No endpoint was given.
    NoEndpoints,
    /// A scatter over a client whose pool is empty, and that is not to wait for a node.
    EmptyPool,
    /// It has left its nodes, for good.
    Closed,
    /// Two services of one name.
    DuplicateService {
        /// The name.
        service: String,
    },
    /// A method names a pool that the server has not got.
    UnknownPool {
        /// The pool's name.
        pool: String,
        /// The method's path.
        method: String,
    },
    /// The system refused a thread.
    Thread(std::io::Error),
    /// Signals could not be waited for: the program has a handler for them, or the system refused.
    #[cfg(feature = "signals")]
    Signals(std::io::Error),
}

impl Error {
    /// An option that is out of its bounds.
    pub fn option(option: &'static str, value: impl fmt::Display, bound: &'static str) -> Self {
        let value = value.to_string();
        Error::Option {
            option,
            value,
            bound,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Patterns(error) => error.fmt(f),
            Error::Policy(error) => error.fmt(f),
            Error::Option {
                option,
                value,
                bound,
            } => write!(f, "option {option} is {value}: {bound}"),
            Error::NoEndpoints => f.write_str("no endpoint was given: name at least one"),
            Error::EmptyPool => f.write_str(
                "the client's pool is empty: add a node first, or let calls wait by wait_for_ready",
            ),
            Error::Closed => {
                f.write_str("it has been stopped and has left its nodes: build another")
            }
            Error::DuplicateService { service } => write!(
                f,
                "service {service} was added twice: give one of them another name"
            ),
            Error::UnknownPool { pool, method } => write!(
                f,
                "method {method} wants the pool {pool}, which the server has not got: add it with `pool(\"{pool}\", ..)`"
            ),
            Error::Thread(error) => write!(f, "the system refused a thread: {error}"),
            #[cfg(feature = "signals")]
            Error::Signals(error) => write!(
                f,
                "signals cannot be waited for: {error}; if the program has a handler of its own, let it stop the server"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Patterns(error) => Some(error),
            Error::Policy(error) => Some(error),
            Error::Thread(error) => Some(error),
            #[cfg(feature = "signals")]
            Error::Signals(error) => Some(error),
            _ => None,
        }
    }
}

impl From<PolicyError> for Error {
    fn from(error: PolicyError) -> Self {
        Error::Policy(error)
    }
}

impl From<PatternsError> for Error {
    fn from(error: PatternsError) -> Self {
        Error::Patterns(error)
    }
}

impl From<OptionError> for Error {
    fn from(error: OptionError) -> Self {
        Error::Patterns(PatternsError::Option(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rpc_error_is_as_large_as_a_pointer() {
        assert_eq!(size_of::<RpcError>(), size_of::<usize>());
        assert_eq!(size_of::<CallError>(), size_of::<usize>());
    }

    #[test]
    fn an_error_says_whether_the_call_ran_and_where_it_went() {
        let error =
            RpcError::new(Status::unavailable("the node left"), Ran::Maybe).with_node("tcp://a:1");
        assert_eq!(
            error.to_string(),
            "UNAVAILABLE: the node left (ran: maybe; node tcp://a:1)"
        );
        let error = CallError::<String>::from(error);
        assert_eq!(error.ran(), Ran::Maybe);
        assert_eq!(error.code(), Code::Unavailable);
        assert_eq!(error.rpc().and_then(RpcError::node), Some("tcp://a:1"));
        let own = CallError::Method("divided by zero".to_owned());
        assert_eq!((own.ran(), own.code()), (Ran::Yes, Code::Unknown));
        assert_eq!(own.method().map(String::as_str), Some("divided by zero"));
        assert_eq!(own.map_method(|text| text.len()), CallError::Method(15));
    }

    #[test]
    fn an_error_of_a_nested_call_becomes_the_handlers_status() {
        fn handler(error: CallError<String>) -> Result<(), Status> {
            Err(error)?;
            Ok(())
        }
        let status = handler(CallError::Method("own".into())).unwrap_err();
        assert_eq!(status, Status::unknown("own"));
        let error = RpcError::new(Status::not_found("x"), Ran::Yes);
        assert_eq!(handler(error.into()).unwrap_err(), Status::not_found("x"));
    }

    #[test]
    fn a_refused_option_names_itself_its_value_and_its_bound() {
        let error = Error::option("window_max", 0, "from 1 to 65,536");
        assert_eq!(
            error.to_string(),
            "option window_max is 0: from 1 to 65,536"
        );
    }
}
