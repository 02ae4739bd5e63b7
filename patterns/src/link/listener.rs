//! A bound socket that accepts byte streams, and the life of an ipc socket's file.
//!
//! The [`Listener`] owns its descriptor and, for ipc, the file: made by `bind`, removed by `Drop`.
//!
//! ```text
//! bind path -- in use? --> connect to it
//!                            refused  -> nobody listens: remove, bind again
//!                            accepted -> in use
//!                            not a socket -> refused, never removed
//! ```
//!
//! Between `bind` and `listen` a live socket looks stale, and between looking and removing a stale
//! one can be replaced. So the directory is locked (`flock`) from the one to the other: processes
//! that bind through this module do not race each other. The lock is a courtesy: where it cannot
//! be had within a second, binding goes on without it.
//!
//! # Invariants
//!
//! 1. Only a socket file that nobody listens on is replaced.
//!    (`the_socket_file_of_a_live_listener_is_refused`, `a_regular_file_is_never_removed`)
//! 2. Drop removes the file only while it is the one that bind made.
//!    (`drop_leaves_a_file_that_took_its_place`)
//! 3. `accept` says `None` only when the queue is empty, so that an edge-triggered poller misses
//!    nothing. (`accept_on_an_empty_queue_is_none`)
//!
//! # Not here
//!
//! Limits on connections, what to do when descriptors run out (`accept` returns that error).

use std::error::Error;
use std::fmt;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, bind, connect, getsockname, listen, sockopt};

use super::endpoint::{Endpoint, IpcEndpoint, IpcPlace, PATH_BYTES_MAX, TcpEndpoint, TcpHost};
use super::endpoint_error::{EndpointError, Shown};
use super::resolve::{local_addresses, unix_address};
use super::socket::{self, LinkOptions};
use super::stream::{LinkKind, RemoteAddr, Stream};

/// Connections that were gone before they were accepted, passed over in one call.
const ABORTED_MAX: u32 = 1024;
/// How long to wait for another process that is binding in the same directory.
const LOCK_WITHIN: Duration = Duration::from_secs(1);
/// Random names to try for a temporary directory.
const TEMPORARY_TRIES: u32 = 16;

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
fn refusal(endpoint: &Endpoint, error: io::Error) -> BindError {
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
            let (fd, mut file) = bind_path(endpoint, &path, &addr, options)?;
            file._directory = Some(directory);
            (fd, Some(file), place)
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

/// Keeps other processes from binding in this directory while the value lives.
fn lock_directory(directory: &Path) -> Option<File> {
    let file = File::open(directory).ok()?;
    let deadline = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::Error(_)) => return None,
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Removes the socket file at `path` if nobody listens on it.
fn remove_stale(endpoint: &Endpoint, path: &Path, addr: &SocketAddrUnix) -> Result<(), BindError> {
    let in_use = || BindError::InUse {
        endpoint: endpoint.clone(),
    };
    let failed = |error: io::Error| refusal(endpoint, error);
    let Some(before) = FileId::of(path).map_err(failed)? else {
        return Ok(());
    };
    if !before.is_socket {
        return Err(BindError::NotASocket {
            endpoint: endpoint.clone(),
        });
    }
    let probe = socket::open(AddressFamily::UNIX).map_err(failed)?;
    match connect(&probe, addr) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => return Err(failed(error.into())),
        // Connected, or a full backlog, or a socket of another type: somebody holds it.
        Ok(()) | Err(_) => return Err(in_use()),
    }
    if FileId::of(path).map_err(failed)? != Some(before) {
        return Err(in_use());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Which file a path leads to, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    is_socket: bool,
}

impl FileId {
    /// `None` where there is no file.
    fn of(path: &Path) -> io::Result<Option<FileId>> {
        match fs::symlink_metadata(path) {
            Ok(meta) => Ok(Some(FileId {
                device: meta.dev(),
                inode: meta.ino(),
                is_socket: meta.file_type().is_socket(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The file of a bound ipc socket; removed on drop if it is still that file.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: FileId,
    // Dropped after the file in it is gone.
    _directory: Option<TemporaryDirectory>,
}

impl SocketFile {
    fn made(path: PathBuf) -> io::Result<SocketFile> {
        let id = FileId::of(&path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(SocketFile {
            path,
            id,
            _directory: None,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if matches!(FileId::of(&self.path), Ok(Some(id)) if id == self.id)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::debug!("socket file {} stays: {error}", self.path.display());
        }
    }
}

/// The directory of an `ipc://*` socket, which only this user may enter.
#[derive(Debug)]
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn create() -> io::Result<TemporaryDirectory> {
        let parent = std::env::temp_dir();
        let mut tries = 1;
        loop {
            // Unguessable is not needed, since an existing name is refused; unlikely to be taken is.
            let random = RandomState::new().hash_one(std::process::id()) as u32;
            let path = parent.join(format!("zmq-{}-{random:08x}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(TemporaryDirectory(path)),
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && tries < TEMPORARY_TRIES =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn socket_path(&self, endpoint: &Endpoint) -> Result<Box<str>, BindError> {
        let path = self.0.join("socket");
        let Some(text) = path.to_str() else {
            let error = io::Error::new(
                io::ErrorKind::InvalidInput,
                "the temporary directory's path is not utf-8; set TMPDIR to one that is",
            );
            return Err(refusal(endpoint, error));
        };
        if text.len() > PATH_BYTES_MAX {
            return Err(BindError::Endpoint(EndpointError::TooLong {
                endpoint: endpoint.to_string().into(),
                part: "ipc path",
                bytes: text.len(),
                bytes_max: PATH_BYTES_MAX,
            }));
        }
        Ok(text.into())
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            log::debug!("temporary directory {} stays: {error}", self.0.display());
        }
    }
}
