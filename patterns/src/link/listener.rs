//! A bound socket that accepts byte streams.
//!
//! The [`Listener`] owns its descriptor and, for ipc, the [`SocketFile`] that `bind` made.
//!
//! # Invariants
//!
//! 1. `accept` says `None` only when the queue is empty, so that an edge-triggered poller misses
//!    nothing. (`accept_on_an_empty_queue_is_none`)
//!
//! # Not here
//!
//! Limits on connections, what to do when descriptors run out (`accept` returns that error); the
//! life of an ipc socket's file (`socket_file.rs`).

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, bind, getsockname, listen, sockopt};

use super::bind_error::{BindError, refusal};
use super::endpoint::{Endpoint, IpcEndpoint, IpcPlace, TcpEndpoint, TcpHost};
use super::resolve::{local_addresses, unix_address};
use super::socket::{self, LinkOptions};
use super::socket_file::{SocketFile, TemporaryDirectory, lock_directory, remove_stale};
use super::stream::{LinkKind, RemoteAddr, Stream};

/// Connections that were gone before they were accepted, passed over in one call.
const ABORTED_MAX: u32 = 1024;

/// A socket that listens on one endpoint.
#[derive(Debug)]
pub(crate) struct Listener {
    // Dropped first: the file goes while the socket still holds its inode, whose number therefore
    // cannot have been given to another file.
    _file: Option<SocketFile>,
    fd: OwnedFd,
    endpoint: Endpoint,
    kind: LinkKind,
    options: LinkOptions,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Blocking
    ///
    /// For tcp not at all. For an ipc path up to a second, while another process binds in the same
    /// directory.
    pub(crate) fn bind(endpoint: &Endpoint, options: &LinkOptions) -> Result<Listener, BindError> {
        endpoint.check_bind()?;
        match endpoint {
            Endpoint::Tcp(tcp) => bind_tcp(endpoint, tcp, options),
            Endpoint::Ipc(ipc) => bind_ipc(endpoint, ipc, options),
            Endpoint::Inproc(_) => Err(BindError::NotALink {
                endpoint: endpoint.clone(),
            }),
        }
    }

    /// Where it listens: the address and port, or the path, that the system settled on.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Takes one connection off the queue; `None` where there is none.
    ///
    /// Connections that ended while they were queued are passed over.
    ///
    /// # Errors
    ///
    /// Chiefly `EMFILE` and `ENFILE`: out of descriptors, with the connection still queued.
    pub(crate) fn accept(&self) -> io::Result<Option<(Stream, RemoteAddr)>> {
        for _ in 0..ABORTED_MAX {
            let (fd, addr) = match socket::accept(&self.fd) {
                Ok(accepted) => accepted,
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) if is_aborted(error) => continue,
                Err(error) => return Err(error.into()),
            };
            if self.kind == LinkKind::Unix {
                // The system's call for peer credentials reports process 0 for a peer in another
                // pid namespace, which the safe wrapper's type has no value for. So: not asked.
                let remote = RemoteAddr::Unix {
                    pid: None,
                    uid: None,
                };
                return Ok(Some((Stream::new(fd, LinkKind::Unix), remote)));
            }
            let Some(addr) = addr.and_then(|addr| SocketAddr::try_from(addr).ok()) else {
                continue;
            };
            // On a connection that was reset while queued, some systems refuse options.
            if socket::set_tcp_options(&fd, &self.options).is_err() {
                continue;
            }
            socket::spare_pacing(&fd, addr.ip());
            let remote = RemoteAddr::Tcp(canonical(addr));
            return Ok(Some((Stream::new(fd, LinkKind::Tcp), remote)));
        }
        Err(Errno::CONNABORTED.into())
    }
}

/// An IPv4 peer of a dual-stack listener as IPv4; anything else as it is, scope and all.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), v6.port()),
            None => addr,
        },
        SocketAddr::V4(_) => addr,
    }
}

/// Errors of `accept` that are about the one connection: it is gone, the next may be well.
fn is_aborted(error: Errno) -> bool {
    matches!(
        error,
        Errno::INTR
            | Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NOPROTOOPT
            | Errno::TIMEDOUT
    )
}

fn backlog(options: &LinkOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

fn bind_tcp(
    endpoint: &Endpoint,
    tcp: &TcpEndpoint,
    options: &LinkOptions,
) -> Result<Listener, BindError> {
    let mut candidates = match local_addresses(&tcp.address) {
        Ok(candidates) => candidates,
        Err(error) => {
            return Err(match &tcp.address.host {
                TcpHost::Name(name) if error.kind() == io::ErrorKind::NotFound => {
                    BindError::NoInterface {
                        endpoint: endpoint.clone(),
                        name: name.clone(),
                    }
                }
                _ => BindError::Io {
                    endpoint: endpoint.clone(),
                    error,
                },
            });
        }
    };
    if tcp.address.host == TcpHost::Any {
        // One dual-stack socket where asked for; IPv4 alone where not, or where there is no IPv6.
        candidates.sort_by_key(|addr| addr.is_ipv6() != options.ipv6);
        candidates.truncate(if options.ipv6 { 2 } else { 1 });
    } else {
        candidates.truncate(1);
    }

    let mut last = None;
    for addr in candidates {
        match listen_tcp(addr, options) {
            Ok((fd, bound)) => {
                return Ok(Listener {
                    _file: None,
                    fd,
                    endpoint: Endpoint::from(bound),
                    kind: LinkKind::Tcp,
                    options: options.clone(),
                });
            }
            Err(error) => {
                let no_ipv6 = error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
                    || error.kind() == io::ErrorKind::AddrNotAvailable;
                last = Some(error);
                if !no_ipv6 {
                    break;
                }
            }
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
    Err(refusal(endpoint, error))
}

fn listen_tcp(addr: SocketAddr, options: &LinkOptions) -> io::Result<(OwnedFd, SocketAddr)> {
    let family = if addr.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let fd = socket::open(family)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if let SocketAddr::V6(v6) = addr {
        // Said either way, since the system's default is a matter of configuration.
        let dual_stack = options.ipv6 && *v6.ip() == Ipv6Addr::UNSPECIFIED;
        sockopt::set_ipv6_v6only(&fd, !dual_stack)?;
    }
    socket::set_tcp_options(&fd, options)?;
    socket::set_buffers(&fd, options)?;
    bind(&fd, &addr)?;
    listen(&fd, backlog(options))?;
    let bound = SocketAddr::try_from(getsockname(&fd)?)?;
    Ok((fd, bound))
}

fn bind_ipc(
    endpoint: &Endpoint,
    ipc: &IpcEndpoint,
    options: &LinkOptions,
) -> Result<Listener, BindError> {
    let failed = |error: io::Error| refusal(endpoint, error);
    let (fd, file, place) = match &ipc.place {
        IpcPlace::Abstract(_) => {
            let addr = unix_address(&ipc.place).map_err(failed)?;
            let fd = open_unix(options).map_err(failed)?;
            bind(&fd, &addr).map_err(|error| failed(error.into()))?;
            listen(&fd, backlog(options)).map_err(|error| failed(error.into()))?;
            (fd, None, ipc.place.clone())
        }
        IpcPlace::Path(path) => {
            let addr = unix_address(&ipc.place).map_err(failed)?;
            let (fd, file) = bind_path(endpoint, path, &addr, options)?;
            (fd, Some(file), ipc.place.clone())
        }
        IpcPlace::Temporary => {
            let directory = TemporaryDirectory::create().map_err(failed)?;
            let path = directory.socket_path(endpoint)?;
            let place = IpcPlace::Path(path.clone());
            let addr = unix_address(&place).map_err(failed)?;
            let (fd, file) = bind_path(endpoint, &path, &addr, options)?;
            (fd, Some(file.within(directory)), place)
        }
    };
    Ok(Listener {
        _file: file,
        fd,
        endpoint: Endpoint::Ipc(IpcEndpoint { place }),
        kind: LinkKind::Unix,
        options: options.clone(),
    })
}

fn open_unix(options: &LinkOptions) -> io::Result<OwnedFd> {
    let fd = socket::open(AddressFamily::UNIX)?;
    socket::set_buffers(&fd, options)?;
    Ok(fd)
}

fn bind_path(
    endpoint: &Endpoint,
    path: &str,
    addr: &SocketAddrUnix,
    options: &LinkOptions,
) -> Result<(OwnedFd, SocketFile), BindError> {
    let failed = |error: io::Error| refusal(endpoint, error);
    // Absolute, so that Drop finds it wherever the process has moved to.
    let path = std::path::absolute(path).map_err(failed)?;
    let _lock = path.parent().and_then(lock_directory);
    let fd = open_unix(options).map_err(failed)?;
    match bind(&fd, addr) {
        Ok(()) => {}
        Err(Errno::ADDRINUSE) => {
            remove_stale(endpoint, &path, addr)?;
            bind(&fd, addr).map_err(|error| failed(error.into()))?;
        }
        Err(error) => return Err(failed(error.into())),
    }
    let file = SocketFile::made(path).map_err(failed)?;
    listen(&fd, backlog(options)).map_err(|error| failed(error.into()))?;
    Ok((fd, file))
}
