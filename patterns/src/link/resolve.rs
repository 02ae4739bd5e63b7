//! From an endpoint to socket addresses, and from those to a connecting stream.
//!
//! [`resolve`] is the one call in this folder that may wait for the network, and only where
//! [`needs_resolver`] says so: call it on a thread that may block. [`start_connect`] never waits.
//!
//! # Not here
//!
//! When to try the next target, how long a connect may take, reconnecting.

use std::fmt;
use std::io;
use std::net::{SocketAddr, SocketAddrV6, ToSocketAddrs};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, bind, connect, sockopt};

use super::endpoint::{Endpoint, IpcPlace, TcpAddress, TcpHost};
use super::endpoint_error::Shown;
use super::iface;
use super::socket::{self, LinkOptions};
use super::stream::{LinkKind, RemoteAddr, Stream};

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A TCP address, and the address to connect from where one was given.
    Tcp {
        to: SocketAddr,
        from: Option<SocketAddr>,
    },
    /// A socket path or an abstract name.
    Unix(SocketAddrUnix),
}

impl From<&Target> for RemoteAddr {
    fn from(target: &Target) -> Self {
        match target {
            Target::Tcp { to, .. } => RemoteAddr::Tcp(*to),
            Target::Unix(_) => RemoteAddr::Unix {
                pid: None,
                uid: None,
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp { to, from: None } => write!(f, "tcp://{to}"),
            Target::Tcp {
                to,
                from: Some(from),
            } => write!(f, "tcp://{from};{to}"),
            Target::Unix(addr) => match (addr.path_bytes(), abstract_name(addr)) {
                (Some(path), _) => write!(f, "ipc://{}", String::from_utf8_lossy(path)),
                (_, Some(name)) => write!(f, "ipc://@{}", String::from_utf8_lossy(name)),
                _ => f.write_str("ipc://"),
            },
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_name(addr: &SocketAddrUnix) -> Option<&[u8]> {
    addr.abstract_name()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_name(_: &SocketAddrUnix) -> Option<&[u8]> {
    None
}

/// How far a connect has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectState {
    /// The stream is connected.
    Done,
    /// Wait until the stream is writable, then ask [`Stream::take_error`].
    InProgress,
}

/// Whether resolving this endpoint may ask the network.
pub(crate) fn needs_resolver(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp(tcp) => matches!(tcp.address.host, TcpHost::Name(_)),
        Endpoint::Ipc(_) | Endpoint::Inproc(_) => false,
    }
}

/// The addresses to try, in order; never empty.
///
/// Without [`LinkOptions::ipv6`] a name gives its IPv4 addresses, and IPv6 ones only where it has
/// no other. Given a source address, only targets of its family are left.
///
/// # Errors
///
/// `InvalidInput` for an endpoint that cannot be connected to; else what the resolver says. All
/// name the endpoint.
///
/// # Blocking
///
/// In `getaddrinfo`, for as long as the system's resolver takes, where [`needs_resolver`].
pub(crate) fn resolve(endpoint: &Endpoint, options: &LinkOptions) -> io::Result<Vec<Target>> {
    endpoint
        .check_connect()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let tcp = match endpoint {
        Endpoint::Tcp(tcp) => tcp,
        Endpoint::Ipc(ipc) => {
            let addr = unix_address(&ipc.place).map_err(|error| about(endpoint, &error))?;
            return Ok(vec![Target::Unix(addr)]);
        }
        Endpoint::Inproc(_) => {
            let error = io::Error::new(
                io::ErrorKind::InvalidInput,
                "inproc is not a byte link; it has no address to resolve",
            );
            return Err(about(endpoint, &error));
        }
    };

    let hosts = hosts(&tcp.address, options).map_err(|error| about(endpoint, &error))?;
    let Some(source) = &tcp.source else {
        let target = |to| Target::Tcp { to, from: None };
        return Ok(hosts.into_iter().map(target).collect());
    };
    let sources = local_addresses(source).map_err(|error| about(endpoint, &error))?;
    let pair = |to: SocketAddr| {
        let from = sources
            .iter()
            .copied()
            .find(|from| from.is_ipv4() == to.is_ipv4())?;
        Some(Target::Tcp {
            to,
            from: Some(from),
        })
    };
    let targets: Vec<Target> = hosts.into_iter().filter_map(pair).collect();
    if targets.is_empty() {
        let error = io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "source and host have no address family in common; use ipv4 or ipv6 for both",
        );
        return Err(about(endpoint, &error));
    }
    Ok(targets)
}

fn about(endpoint: &Endpoint, error: &io::Error) -> io::Error {
    let text = endpoint.to_string();
    io::Error::new(
        error.kind(),
        format!("endpoint `{}`: {error}", Shown(&text)),
    )
}

fn hosts(address: &TcpAddress, options: &LinkOptions) -> io::Result<Vec<SocketAddr>> {
    let TcpHost::Name(name) = &address.host else {
        return local_addresses(address);
    };
    let mut found: Vec<SocketAddr> = (&**name, address.port).to_socket_addrs()?.collect();
    if !options.ipv6 && found.iter().any(SocketAddr::is_ipv4) {
        found.retain(SocketAddr::is_ipv4);
    }
    if found.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("the host `{name}` has no address"),
        ));
    }
    Ok(found)
}

/// The addresses of a literal, of `*`, or of the interface that a name means here.
pub(super) fn local_addresses(address: &TcpAddress) -> io::Result<Vec<SocketAddr>> {
    let port = address.port;
    Ok(match &address.host {
        TcpHost::Any => vec![
            (std::net::Ipv4Addr::UNSPECIFIED, port).into(),
            (std::net::Ipv6Addr::UNSPECIFIED, port).into(),
        ],
        TcpHost::V4(ip) => vec![(*ip, port).into()],
        TcpHost::V6 { ip, scope } => {
            let scope = match scope {
                None => 0,
                Some(scope) => iface::scope_index(scope).map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("the scope `{scope}` is not an interface here: {error}"),
                    )
                })?,
            };
            vec![SocketAddrV6::new(*ip, port, 0, scope).into()]
        }
        TcpHost::Name(name) => {
            let mut found = iface::addresses(name)?;
            if found.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!(
                        "no interface `{name}` with an address; write an address or an interface of this machine"
                    ),
                ));
            }
            for addr in &mut found {
                addr.set_port(port);
            }
            found
        }
    })
}

/// The socket address of a path or an abstract name.
pub(super) fn unix_address(place: &IpcPlace) -> io::Result<SocketAddrUnix> {
    match place {
        IpcPlace::Path(path) => Ok(SocketAddrUnix::new(&**path)?),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        IpcPlace::Abstract(name) => Ok(SocketAddrUnix::new_abstract_name(name.as_bytes())?),
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        IpcPlace::Abstract(_) => Err(io::ErrorKind::Unsupported.into()),
        IpcPlace::Temporary => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Opens a stream and starts to connect it.
///
/// A TCP stream that reports success may be [connected to itself](Stream::is_self_connected).
///
/// # Errors
///
/// What the system says at once; on a failure nothing stays open. A Unix listener whose backlog is
/// full is `ResourceBusy`, since there is nothing to wait for: try again later.
pub(crate) fn start_connect(
    target: &Target,
    options: &LinkOptions,
) -> io::Result<(Stream, ConnectState)> {
    match target {
        Target::Tcp { to, from } => {
            let family = if to.is_ipv4() {
                AddressFamily::INET
            } else {
                AddressFamily::INET6
            };
            let fd = socket::open(family)?;
            socket::set_tcp_options(&fd, options)?;
            socket::spare_pacing(&fd, to.ip());
            socket::set_buffers(&fd, options)?;
            if let Some(from) = from {
                // A fixed source port would otherwise be refused while its last connection is in
                // TIME_WAIT.
                sockopt::set_socket_reuseaddr(&fd, true)?;
                bind(&fd, from)?;
            }
            let state = match connect(&fd, to) {
                Ok(()) => ConnectState::Done,
                // Interrupted, a connect goes on by itself.
                Err(Errno::INPROGRESS | Errno::INTR) => ConnectState::InProgress,
                Err(error) => return Err(error.into()),
            };
            Ok((Stream::new(fd, LinkKind::Tcp), state))
        }
        Target::Unix(addr) => {
            let fd = socket::open(AddressFamily::UNIX)?;
            socket::set_buffers(&fd, options)?;
            let state = match connect(&fd, addr) {
                Ok(()) => ConnectState::Done,
                Err(Errno::INPROGRESS | Errno::INTR) => ConnectState::InProgress,
                Err(Errno::AGAIN) => {
                    return Err(io::Error::new(
                        io::ErrorKind::ResourceBusy,
                        "the listener's backlog is full; try again later",
                    ));
                }
                Err(error) => return Err(error.into()),
            };
            Ok((Stream::new(fd, LinkKind::Unix), state))
        }
    }
}
