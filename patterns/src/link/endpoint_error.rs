//! What can be wrong with an endpoint, in words that say how to put it right.
//!
//! Every message names the endpoint, the rule that it breaks and the way out.
//!
//! # Not here
//!
//! Failures of the system below: [`BindError`](super::BindError), and `io::Error` from connecting.

use std::error::Error;
use std::fmt;

/// Characters of an endpoint that a message repeats.
const SHOWN_CHARS_MAX: usize = 160;

/// An endpoint that does not parse, or that cannot be used for what was asked.
///
/// Nothing was opened, bound or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// There is no `://`.
    MissingTransport {
        /// The text given.
        endpoint: Box<str>,
    },
    /// What stands before `://` is not `tcp`, `ipc` or `inproc`.
    UnknownTransport {
        /// The text given.
        endpoint: Box<str>,
        /// What stands before `://`.
        transport: Box<str>,
    },
    /// A tcp endpoint without a host.
    MissingHost {
        /// The text given.
        endpoint: Box<str>,
    },
    /// A tcp endpoint without a port.
    MissingPort {
        /// The text given.
        endpoint: Box<str>,
    },
    /// A port that is not a number from 0 to 65535, nor `*`.
    BadPort {
        /// The text given.
        endpoint: Box<str>,
        /// The port in it.
        port: Box<str>,
    },
    /// A host of digits and dots that is not an IPv4 address.
    BadIpv4 {
        /// The text given.
        endpoint: Box<str>,
        /// The host in it.
        host: Box<str>,
    },
    /// A host in brackets that is not an IPv6 address.
    BadIpv6 {
        /// The text given.
        endpoint: Box<str>,
        /// The host in it.
        host: Box<str>,
    },
    /// A scope (`%eth0`) that cannot be an interface.
    BadScope {
        /// The text given.
        endpoint: Box<str>,
        /// The scope in it.
        scope: Box<str>,
    },
    /// More than one `:` outside brackets.
    TooManyColons {
        /// The text given.
        endpoint: Box<str>,
    },
    /// A host with a character that no host or interface name has.
    BadHost {
        /// The text given.
        endpoint: Box<str>,
        /// The host in it.
        host: Box<str>,
        /// The first such character.
        found: char,
    },
    /// More than one `;`.
    TwoSources {
        /// The text given.
        endpoint: Box<str>,
    },
    /// An ipc path or an inproc name of no bytes.
    MissingName {
        /// The text given.
        endpoint: Box<str>,
        /// What is missing.
        part: &'static str,
        /// How it is written.
        example: &'static str,
    },
    /// A part over its limit, such as an ipc path that does not fit `sun_path`.
    TooLong {
        /// The text given.
        endpoint: Box<str>,
        /// What is too long.
        part: &'static str,
        /// Bytes that it has.
        bytes: usize,
        /// Bytes that it may have.
        bytes_max: usize,
    },
    /// An ipc path or name with a zero byte.
    ZeroByte {
        /// The text given.
        endpoint: Box<str>,
        /// The part with the zero byte.
        part: &'static str,
        /// Where in it.
        offset: usize,
    },
    /// An abstract ipc name where the system has none.
    AbstractUnsupported {
        /// The text given.
        endpoint: Box<str>,
    },
    /// A source address, given to a bind.
    BindWithSource {
        /// The endpoint given.
        endpoint: Box<str>,
    },
    /// The host `*`, given to a connect.
    ConnectToAnyHost {
        /// The endpoint given.
        endpoint: Box<str>,
        /// Its port.
        port: u16,
    },
    /// Port 0 (`*`), given to a connect.
    ConnectToPortZero {
        /// The endpoint given.
        endpoint: Box<str>,
    },
    /// `ipc://*`, given to a connect.
    ConnectToTemporary {
        /// The endpoint given.
        endpoint: Box<str>,
    },
}

impl EndpointError {
    /// The endpoint that was given.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self {
            EndpointError::MissingTransport { endpoint }
            | EndpointError::UnknownTransport { endpoint, .. }
            | EndpointError::MissingHost { endpoint }
            | EndpointError::MissingPort { endpoint }
            | EndpointError::BadPort { endpoint, .. }
            | EndpointError::BadIpv4 { endpoint, .. }
            | EndpointError::BadIpv6 { endpoint, .. }
            | EndpointError::BadScope { endpoint, .. }
            | EndpointError::TooManyColons { endpoint }
            | EndpointError::BadHost { endpoint, .. }
            | EndpointError::TwoSources { endpoint }
            | EndpointError::MissingName { endpoint, .. }
            | EndpointError::TooLong { endpoint, .. }
            | EndpointError::ZeroByte { endpoint, .. }
            | EndpointError::AbstractUnsupported { endpoint }
            | EndpointError::BindWithSource { endpoint }
            | EndpointError::ConnectToAnyHost { endpoint, .. }
            | EndpointError::ConnectToPortZero { endpoint }
            | EndpointError::ConnectToTemporary { endpoint } => endpoint,
        }
    }
}

impl Error for EndpointError {}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "endpoint `{}`: ", Shown(self.endpoint()))?;
        match self {
            EndpointError::MissingTransport { .. } => f.write_str(
                "the transport is missing; write tcp://host:port, ipc://path or inproc://name",
            ),
            EndpointError::UnknownTransport { transport, .. } => write!(
                f,
                "the transport `{}` is unknown; use tcp, ipc or inproc",
                Shown(transport)
            ),
            EndpointError::MissingHost { .. } => f.write_str(
                "the host is missing; write tcp://host:port, or tcp://*:port to bind every address",
            ),
            EndpointError::MissingPort { endpoint } => write!(
                f,
                "the port is missing; write {}:5555",
                Shown(endpoint.trim_end_matches(':'))
            ),
            EndpointError::BadPort { port, .. } => write!(
                f,
                "the port `{}` is not a number from 0 to 65535; write a number such as 5555, or * to bind a free port",
                Shown(port)
            ),
            EndpointError::BadIpv4 { host, .. } => write!(
                f,
                "`{}` is not an ipv4 address; write four numbers from 0 to 255, such as 127.0.0.1",
                Shown(host)
            ),
            EndpointError::BadIpv6 { host, .. } => write!(
                f,
                "`{}` is not an ipv6 address with a port; write tcp://[::1]:5555",
                Shown(host)
            ),
            EndpointError::BadScope { scope, .. } => write!(
                f,
                "the scope `{}` is not an interface of 1 to 15 letters, digits, `-`, `_` or `.`; write tcp://[fe80::1%eth0]:5555",
                Shown(scope)
            ),
            EndpointError::TooManyColons { .. } => f.write_str(
                "there is more than one `:` outside brackets; write tcp://host:port, or tcp://[::1]:5555 for an ipv6 address",
            ),
            EndpointError::BadHost { host, found, .. } => write!(
                f,
                "the host `{}` has the character `{}`; a host is made of letters, digits, `-`, `_` and `.`",
                Shown(host),
                found.escape_debug()
            ),
            EndpointError::TwoSources { .. } => {
                f.write_str("there is more than one `;`; write tcp://source:port;host:port")
            }
            EndpointError::MissingName { part, example, .. } => {
                write!(f, "the {part} is missing; write {example}")
            }
            EndpointError::TooLong {
                part,
                bytes,
                bytes_max,
                ..
            } => write!(
                f,
                "the {part} has {bytes} bytes, over the limit of {bytes_max}{}",
                match *part {
                    "ipc path" => " (sun_path); use a shorter or a relative path",
                    "abstract ipc name" => " (sun_path); use a shorter name",
                    _ => "; use a shorter name",
                }
            ),
            EndpointError::ZeroByte { part, offset, .. } => {
                write!(f, "the {part} has a zero byte at offset {offset}; remove it")
            }
            EndpointError::AbstractUnsupported { .. } => f.write_str(
                "abstract ipc names exist on linux only; use a path such as ipc:///tmp/name.sock",
            ),
            EndpointError::BindWithSource { .. } => f.write_str(
                "a source address (before `;`) is for connecting only; bind tcp://host:port",
            ),
            EndpointError::ConnectToAnyHost { port, .. } => {
                let port = if *port == 0 { 5555 } else { *port };
                write!(
                    f,
                    "`*` is for binding only; connect to a host, such as tcp://127.0.0.1:{port}"
                )
            }
            EndpointError::ConnectToPortZero { .. } => f.write_str(
                "port 0 or * is for binding only; connect to the port that the bound socket reports",
            ),
            EndpointError::ConnectToTemporary { .. } => f.write_str(
                "`*` is for binding only; connect to the path that the bound socket reports",
            ),
        }
    }
}

/// Text from outside, with control characters escaped and a bounded length.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, c) in self.0.chars().enumerate() {
            if index == SHOWN_CHARS_MAX {
                return write!(f, "... ({} bytes)", self.0.len());
            }
            // Only what would break a line of a log: a backslash or a quote stays as written.
            if c.is_control() {
                write!(f, "{}", c.escape_debug())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}
