//! Where a socket binds or connects: `tcp://`, `ipc://` and `inproc://` addresses.
//!
//! Parsing knows text only: it opens nothing, asks no resolver, and an [`Endpoint`] is plain data
//! owned by whoever holds it. What only one side may use (`*`, port 0, a source address) parses
//! and is refused by [`Endpoint::check_bind`] or [`Endpoint::check_connect`].
//!
//! | form | bind | connect |
//! |---|---|---|
//! | `tcp://*:5555`, `tcp://*:*` | every address, a given or a free port | - |
//! | `tcp://127.0.0.1:5555`, `tcp://[::1]:5555`, `tcp://[fe80::1%eth0]:5555` | yes | yes |
//! | `tcp://127.0.0.1:*` (or `:0`) | a free port | - |
//! | `tcp://eth0:5555` | the interface's address | a host of that name |
//! | `tcp://host:5555` | - | yes |
//! | `tcp://source:0;host:5555` | - | from that address or interface |
//! | `ipc:///path`, `ipc://relative`, `ipc://@abstract` | yes | yes |
//! | `ipc://*` | a temporary path | - |
//! | `inproc://name` | yes | yes |
//!
//! # Invariants
//!
//! 1. Parsing never panics, whatever the input. (proptest `parsing_is_total`)
//! 2. `parse(display(e)) == e` for every endpoint that parsing gave. (proptest
//!    `a_parsed_endpoint_displays_as_text_that_parses_to_itself`)
//! 3. An ipc path or name fits `sun_path` of this platform. (`a_path_over_sun_path_is_refused`)
//!
//! # Not here
//!
//! Names to addresses (`resolve`), interfaces to addresses (`iface`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::endpoint_error::EndpointError;

/// Bytes that a socket path may have: `sun_path` less its terminating zero.
pub(crate) const PATH_BYTES_MAX: usize = if cfg!(any(target_os = "linux", target_os = "android")) {
    107
} else {
    103
};
/// Bytes that a host name may have in the DNS.
pub(crate) const HOST_BYTES_MAX: usize = 253;
/// Bytes that an interface name, hence a scope, may have.
pub(crate) const SCOPE_BYTES_MAX: usize = 15;
/// Bytes that an inproc name may have.
pub(crate) const INPROC_BYTES_MAX: usize = 256;

/// An address to bind or to connect to.
///
/// # Examples
///
/// ```
/// use brokerless_patterns::Endpoint;
///
/// let endpoint: Endpoint = "tcp://127.0.0.1:5555".parse()?;
/// assert_eq!(endpoint.to_string(), "tcp://127.0.0.1:5555");
/// assert!(endpoint.check_connect().is_ok());
///
/// let error = "tcp://localhost".parse::<Endpoint>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "endpoint `tcp://localhost`: the port is missing; write tcp://localhost:5555"
/// );
/// # Ok::<(), brokerless_patterns::EndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP address, over IPv4 or IPv6.
    Tcp(TcpEndpoint),
    /// A Unix stream socket on this machine.
    Ipc(IpcEndpoint),
    /// A name within this process.
    Inproc(Box<str>),
}

/// The address of a `tcp://` endpoint, and the source address where one was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpEndpoint {
    pub(super) source: Option<TcpAddress>,
    pub(super) address: TcpAddress,
}

/// One `host:port` of a `tcp://` endpoint; port 0 is written `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpAddress {
    pub(super) host: TcpHost,
    pub(super) port: u16,
}

/// The host of a `tcp://` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TcpHost {
    /// `*`: every address of this machine.
    Any,
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6 {
        /// The address.
        ip: Ipv6Addr,
        /// The interface, by name or index, that a link-local address belongs to.
        scope: Option<Box<str>>,
    },
    /// An interface name when bound or used as a source, a host name when connected to.
    Name(Box<str>),
}

/// The place of an `ipc://` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IpcEndpoint {
    pub(super) place: IpcPlace,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum IpcPlace {
    Path(Box<str>),
    Abstract(Box<str>),
    Temporary,
}

impl Endpoint {
    /// Whether this endpoint can be bound.
    ///
    /// # Errors
    ///
    /// A source address (`tcp://source;host:port`) has no meaning for a listener.
    pub fn check_bind(&self) -> Result<(), EndpointError> {
        match self {
            Endpoint::Tcp(tcp) if tcp.source.is_some() => Err(EndpointError::BindWithSource {
                endpoint: self.text(),
            }),
            Endpoint::Inproc(name) => check_inproc(&self.to_string(), name),
            Endpoint::Tcp(_) | Endpoint::Ipc(_) => Ok(()),
        }
    }

    /// Whether this endpoint can be connected to.
    ///
    /// # Errors
    ///
    /// The host `*`, port 0 and `ipc://*` leave a choice to a listener: there is nothing to
    /// connect to until one has been bound and says what it chose.
    pub fn check_connect(&self) -> Result<(), EndpointError> {
        let endpoint = || self.text();
        match self {
            Endpoint::Tcp(tcp) if tcp.address.host == TcpHost::Any => {
                Err(EndpointError::ConnectToAnyHost {
                    endpoint: endpoint(),
                    port: tcp.address.port,
                })
            }
            Endpoint::Tcp(tcp) if tcp.address.port == 0 => Err(EndpointError::ConnectToPortZero {
                endpoint: endpoint(),
            }),
            Endpoint::Ipc(ipc) if ipc.place == IpcPlace::Temporary => {
                Err(EndpointError::ConnectToTemporary {
                    endpoint: endpoint(),
                })
            }
            Endpoint::Inproc(name) => check_inproc(&self.to_string(), name),
            Endpoint::Tcp(_) | Endpoint::Ipc(_) => Ok(()),
        }
    }

    fn text(&self) -> Box<str> {
        self.to_string().into()
    }
}

impl TcpEndpoint {
    /// The host to bind or to connect to.
    #[must_use]
    pub fn host(&self) -> &TcpHost {
        &self.address.host
    }

    /// The port; 0 where the system chooses one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// The address to connect from, where one was given.
    #[must_use]
    pub fn source(&self) -> Option<&TcpAddress> {
        self.source.as_ref()
    }
}

impl TcpAddress {
    /// The host or interface.
    #[must_use]
    pub fn host(&self) -> &TcpHost {
        &self.host
    }

    /// The port; 0 where the system chooses one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl IpcEndpoint {
    /// The path of the socket file, unless the endpoint is abstract or temporary.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match &self.place {
            IpcPlace::Path(path) => Some(path),
            IpcPlace::Abstract(_) | IpcPlace::Temporary => None,
        }
    }

    /// The name without its `@`, where the endpoint is abstract.
    #[must_use]
    pub fn abstract_name(&self) -> Option<&str> {
        match &self.place {
            IpcPlace::Abstract(name) => Some(name),
            IpcPlace::Path(_) | IpcPlace::Temporary => None,
        }
    }

    /// Whether this is `ipc://*`: a path that the listener chooses.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.place == IpcPlace::Temporary
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Endpoint {
        let host = match addr {
            SocketAddr::V4(v4) => TcpHost::V4(*v4.ip()),
            SocketAddr::V6(v6) => TcpHost::V6 {
                ip: *v6.ip(),
                scope: (v6.scope_id() != 0).then(|| v6.scope_id().to_string().into()),
            },
        };
        Endpoint::Tcp(TcpEndpoint {
            source: None,
            address: TcpAddress {
                host,
                port: addr.port(),
            },
        })
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &str) -> Result<Endpoint, EndpointError> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(tcp) => {
                f.write_str("tcp://")?;
                if let Some(source) = &tcp.source {
                    write!(f, "{source};")?;
                }
                write!(f, "{}", tcp.address)
            }
            Endpoint::Ipc(ipc) => match &ipc.place {
                IpcPlace::Path(path) => write!(f, "ipc://{path}"),
                IpcPlace::Abstract(name) => write!(f, "ipc://@{name}"),
                IpcPlace::Temporary => f.write_str("ipc://*"),
            },
            Endpoint::Inproc(name) => write!(f, "inproc://{name}"),
        }
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            0 => write!(f, "{}:*", self.host),
            port => write!(f, "{}:{port}", self.host),
        }
    }
}

impl fmt::Display for TcpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TcpHost::Any => f.write_str("*"),
            TcpHost::V4(ip) => write!(f, "{ip}"),
            TcpHost::V6 { ip, scope: None } => write!(f, "[{ip}]"),
            TcpHost::V6 {
                ip,
                scope: Some(scope),
            } => write!(f, "[{ip}%{scope}]"),
            TcpHost::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let Some((transport, rest)) = text.split_once("://") else {
            return Err(EndpointError::MissingTransport {
                endpoint: text.into(),
            });
        };
        match transport {
            "tcp" => parse_tcp(text, rest).map(Endpoint::Tcp),
            "ipc" => parse_ipc(text, rest).map(Endpoint::Ipc),
            "inproc" => {
                check_inproc(text, rest)?;
                Ok(Endpoint::Inproc(rest.into()))
            }
            _ => Err(EndpointError::UnknownTransport {
                endpoint: text.into(),
                transport: transport.into(),
            }),
        }
    }
}

fn check_inproc(text: &str, name: &str) -> Result<(), EndpointError> {
    if name.is_empty() {
        return Err(EndpointError::MissingName {
            endpoint: text.into(),
            part: "inproc name",
            example: "inproc://name",
        });
    }
    check_length(text, "inproc name", name, INPROC_BYTES_MAX)
}

fn check_length(
    text: &str,
    part: &'static str,
    value: &str,
    bytes_max: usize,
) -> Result<(), EndpointError> {
    if value.len() > bytes_max {
        return Err(EndpointError::TooLong {
            endpoint: text.into(),
            part,
            bytes: value.len(),
            bytes_max,
        });
    }
    Ok(())
}

fn parse_ipc(text: &str, rest: &str) -> Result<IpcEndpoint, EndpointError> {
    if rest == "*" {
        return Ok(IpcEndpoint {
            place: IpcPlace::Temporary,
        });
    }
    let (part, value, example) = match rest.strip_prefix('@') {
        Some(name) => ("abstract ipc name", name, "ipc://@name"),
        None => ("ipc path", rest, "ipc:///tmp/name.sock"),
    };
    if value.is_empty() {
        return Err(EndpointError::MissingName {
            endpoint: text.into(),
            part,
            example,
        });
    }
    if let Some(offset) = value.bytes().position(|byte| byte == 0) {
        return Err(EndpointError::ZeroByte {
            endpoint: text.into(),
            part,
            offset,
        });
    }
    check_length(text, part, value, PATH_BYTES_MAX)?;
    let place = if part == "ipc path" {
        IpcPlace::Path(value.into())
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        IpcPlace::Abstract(value.into())
    } else {
        return Err(EndpointError::AbstractUnsupported {
            endpoint: text.into(),
        });
    };
    Ok(IpcEndpoint { place })
}

fn parse_tcp(text: &str, rest: &str) -> Result<TcpEndpoint, EndpointError> {
    let mut parts = rest.split(';');
    let first = parts.next().unwrap_or_default();
    let second = parts.next();
    if parts.next().is_some() {
        return Err(EndpointError::TwoSources {
            endpoint: text.into(),
        });
    }
    match second {
        None => Ok(TcpEndpoint {
            source: None,
            address: parse_address(text, first, Port::Required)?,
        }),
        Some(second) => Ok(TcpEndpoint {
            source: Some(parse_address(text, first, Port::Optional)?),
            address: parse_address(text, second, Port::Required)?,
        }),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Required,
    Optional,
}

fn parse_address(text: &str, address: &str, rule: Port) -> Result<TcpAddress, EndpointError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(bracketed) => {
            let bad = || EndpointError::BadIpv6 {
                endpoint: text.into(),
                host: address.into(),
            };
            let (inner, after) = bracketed.split_once(']').ok_or_else(bad)?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(bad()),
            };
            (parse_v6(text, inner)?, port)
        }
        None => {
            let (host, port) = match address.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            };
            (parse_host(text, host)?, port)
        }
    };
    let port = match port {
        None | Some("") if rule == Port::Optional => 0,
        None | Some("") => {
            return Err(EndpointError::MissingPort {
                endpoint: text.into(),
            });
        }
        Some("*") => 0,
        Some(port) => parse_port(text, port)?,
    };
    Ok(TcpAddress { host, port })
}

fn parse_port(text: &str, port: &str) -> Result<u16, EndpointError> {
    // `u16::from_str` takes a leading `+`.
    let number = if port.bytes().all(|byte| byte.is_ascii_digit()) {
        port.parse().ok()
    } else {
        None
    };
    number.ok_or_else(|| EndpointError::BadPort {
        endpoint: text.into(),
        port: port.into(),
    })
}

fn parse_v6(text: &str, inner: &str) -> Result<TcpHost, EndpointError> {
    let (ip, scope) = match inner.split_once('%') {
        Some((ip, scope)) => (ip, Some(scope)),
        None => (inner, None),
    };
    let ip = ip.parse().map_err(|_| EndpointError::BadIpv6 {
        endpoint: text.into(),
        host: inner.into(),
    })?;
    if let Some(scope) = scope
        && (scope.is_empty() || scope.len() > SCOPE_BYTES_MAX || !scope.bytes().all(is_name_byte))
    {
        return Err(EndpointError::BadScope {
            endpoint: text.into(),
            scope: scope.into(),
        });
    }
    Ok(TcpHost::V6 {
        ip,
        scope: scope.map(Into::into),
    })
}

fn parse_host(text: &str, host: &str) -> Result<TcpHost, EndpointError> {
    if host.is_empty() {
        return Err(EndpointError::MissingHost {
            endpoint: text.into(),
        });
    }
    if host == "*" {
        return Ok(TcpHost::Any);
    }
    if host.contains(':') {
        return Err(EndpointError::TooManyColons {
            endpoint: text.into(),
        });
    }
    check_length(text, "host name", host, HOST_BYTES_MAX)?;
    // Only digits and dots is an address, whatever a resolver would make of `127.1`.
    if host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => Ok(TcpHost::V4(ip)),
            _ => Err(EndpointError::BadIpv4 {
                endpoint: text.into(),
                host: host.into(),
            }),
        };
    }
    if let Some(found) = host
        .chars()
        .find(|&c| !c.is_ascii() || !is_name_byte(c as u8))
    {
        return Err(EndpointError::BadHost {
            endpoint: text.into(),
            host: host.into(),
            found,
        });
    }
    Ok(TcpHost::Name(host.into()))
}

/// What host names, interface names and scopes are made of.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}
