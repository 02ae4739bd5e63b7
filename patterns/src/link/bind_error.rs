//! Why an endpoint could not be bound, in words that say how to go on.
//!
//! # Not here
//!
//! What is wrong with the endpoint itself: [`EndpointError`].

use std::error::Error;
use std::fmt;
use std::io;

use super::endpoint::Endpoint;
use super::endpoint_error::{EndpointError, Shown};

/// Why an endpoint could not be bound. Nothing stays open, and no file is left behind.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The endpoint cannot be bound by anybody.
    Endpoint(EndpointError),
    /// Another socket listens there.
    InUse {
        /// The endpoint given.
        endpoint: Endpoint,
    },
    /// The address is not one of this machine.
    NotLocal {
        /// The endpoint given.
        endpoint: Endpoint,
    },
    /// There is no interface of that name, or it has no address.
    NoInterface {
        /// The endpoint given.
        endpoint: Endpoint,
        /// The interface's name.
        name: Box<str>,
    },
    /// The ipc path is a file that is not a socket; it was left alone.
    NotASocket {
        /// The endpoint given.
        endpoint: Endpoint,
    },
    /// The directory of the ipc path does not exist.
    NoDirectory {
        /// The endpoint given.
        endpoint: Endpoint,
    },
    /// The system does not allow it: a port under 1024, a directory or socket of another user.
    Denied {
        /// The endpoint given.
        endpoint: Endpoint,
    },
    /// The endpoint is `inproc`, which has no socket to bind.
    NotALink {
        /// The endpoint given.
        endpoint: Endpoint,
    },
    /// Anything else that the system says.
    Io {
        /// The endpoint given.
        endpoint: Endpoint,
        /// What the system said.
        error: io::Error,
    },
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BindError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (endpoint, rule): (&Endpoint, &dyn fmt::Display) = match self {
            BindError::Endpoint(error) => return error.fmt(f),
            BindError::InUse { endpoint } => (
                endpoint,
                match endpoint {
                    Endpoint::Tcp(_) => {
                        &"the address is in use; stop the socket that listens there, choose another port, or bind port * for a free one"
                    }
                    Endpoint::Ipc(_) | Endpoint::Inproc(_) => {
                        &"the address is in use; stop the socket that listens there, or choose another path or name"
                    }
                },
            ),
            BindError::NotLocal { endpoint } => (
                endpoint,
                &"the address is not one of this machine; bind one that is, or * for every address",
            ),
            BindError::NoInterface { endpoint, name } => (
                endpoint,
                &format!(
                    "no interface `{name}` with an address; bind an address such as 127.0.0.1, an interface of this machine, or * for every address"
                ),
            ),
            BindError::NotASocket { endpoint } => (
                endpoint,
                &"the path is a file that is not a socket; move it away or choose another path",
            ),
            BindError::NoDirectory { endpoint } => (
                endpoint,
                &"the directory does not exist; create it or choose another path",
            ),
            BindError::Denied { endpoint } => (
                endpoint,
                match endpoint {
                    Endpoint::Tcp(_) => {
                        &"the system does not permit it; choose a port from 1024 up"
                    }
                    Endpoint::Ipc(_) | Endpoint::Inproc(_) => {
                        &"the system does not permit it; choose a path that this user may write"
                    }
                },
            ),
            BindError::NotALink { endpoint } => (
                endpoint,
                &"inproc is not a byte link; it has no socket to bind",
            ),
            BindError::Io { endpoint, error } => (endpoint, error),
        };
        let text = endpoint.to_string();
        write!(f, "endpoint `{}`: {rule}", Shown(&text))
    }
}

impl From<EndpointError> for BindError {
    fn from(error: EndpointError) -> BindError {
        BindError::Endpoint(error)
    }
}

/// Turns an error of the system into the variant that says how to go on.
pub(super) fn refusal(endpoint: &Endpoint, error: io::Error) -> BindError {
    let endpoint = endpoint.clone();
    match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { endpoint },
        io::ErrorKind::AddrNotAvailable => BindError::NotLocal { endpoint },
        io::ErrorKind::PermissionDenied => BindError::Denied { endpoint },
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            if matches!(endpoint, Endpoint::Ipc(_)) =>
        {
            BindError::NoDirectory { endpoint }
        }
        _ => BindError::Io { endpoint, error },
    }
}
