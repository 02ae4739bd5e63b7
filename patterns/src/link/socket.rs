//! Sockets made and options set, the same on Linux and macOS.
//!
//! Every descriptor that leaves here is non-blocking, closed on exec, and raises no SIGPIPE:
//! by flags at creation where the system has them, by `fcntl` and `SO_NOSIGPIPE` on macOS.
//!
//! # Not here
//!
//! What the sockets are for (`listener`, `resolve`, `stream`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrAny, SocketType, sockopt};

/// Keepalive probes of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// Seconds of silence before the first probe.
    pub(crate) idle_s: u32,
    /// Seconds from one probe to the next.
    pub(crate) interval_s: u32,
    /// Unanswered probes after which the connection is dead.
    pub(crate) count: u32,
}

/// What a link is set to before it carries a byte. `TCP_NODELAY` is always on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkOptions {
    /// TCP keepalive; the system's choice (off) where `None`.
    pub(crate) keepalive: Option<Keepalive>,
    /// `SO_SNDBUF`; the system's choice where `None`.
    pub(crate) send_buffer_bytes: Option<usize>,
    /// `SO_RCVBUF`; the system's choice where `None`.
    pub(crate) recv_buffer_bytes: Option<usize>,
    /// Connections that the kernel holds until they are accepted.
    pub(crate) backlog: u32,
    /// Whether `*` binds IPv6 too, and names resolve to IPv6 addresses.
    pub(crate) ipv6: bool,
}

impl Default for LinkOptions {
    fn default() -> LinkOptions {
        LinkOptions {
            keepalive: None,
            send_buffer_bytes: None,
            recv_buffer_bytes: None,
            backlog: 1024,
            ipv6: false,
        }
    }
}

/// A stream socket, non-blocking and closed on exec.
pub(super) fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    #[cfg(not(target_vendor = "apple"))]
    {
        use rustix::net::{SocketFlags, socket_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        Ok(socket_with(family, SocketType::STREAM, flags, None)?)
    }
    #[cfg(target_vendor = "apple")]
    {
        let fd = rustix::net::socket(family, SocketType::STREAM, None)?;
        prepare(&fd)?;
        Ok(fd)
    }
}

/// One accepted connection, non-blocking and closed on exec, with its address where it has one.
pub(super) fn accept(listener: impl AsFd) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    #[cfg(not(target_vendor = "apple"))]
    {
        use rustix::net::{SocketFlags, acceptfrom_with};
        acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
    }
    #[cfg(target_vendor = "apple")]
    {
        let (fd, addr) = rustix::net::acceptfrom(listener)?;
        prepare(&fd)?;
        Ok((fd, addr))
    }
}

#[cfg(target_vendor = "apple")]
fn prepare(fd: &OwnedFd) -> rustix::io::Result<()> {
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(fd, true)?;
    sockopt::set_socket_nosigpipe(fd, true)
}

/// The options of a TCP connection: before it connects, or once it is accepted.
pub(super) fn set_tcp_options(fd: impl AsFd, options: &LinkOptions) -> rustix::io::Result<()> {
    let fd = fd.as_fd();
    sockopt::set_tcp_nodelay(fd, true)?;
    if let Some(keepalive) = options.keepalive {
        sockopt::set_socket_keepalive(fd, true)?;
        sockopt::set_tcp_keepidle(fd, Duration::from_secs(keepalive.idle_s.into()))?;
        sockopt::set_tcp_keepintvl(fd, Duration::from_secs(keepalive.interval_s.into()))?;
        sockopt::set_tcp_keepcnt(fd, keepalive.count)?;
    }
    Ok(())
}

/// Chooses the plainest congestion control for a connection that stays on this machine: the loop
/// has no bottleneck to find and nothing to share fairly, and one that paces what is sent (BBR, the
/// default of many servers) costs large messages a quarter of their throughput.
///
/// `reno` is there on every Linux and allowed to every user; where it is not, all is as before.
#[cfg(target_os = "linux")]
pub(super) fn spare_pacing(fd: impl AsFd, remote: std::net::IpAddr) {
    if remote.to_canonical().is_loopback() {
        // The connection works as well without.
        let _ = sockopt::set_tcp_congestion(fd, "reno");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn spare_pacing(_fd: impl AsFd, _remote: std::net::IpAddr) {}

/// Kernel buffer sizes: before `listen` or `connect`, since TCP settles its window scale there.
pub(super) fn set_buffers(fd: impl AsFd, options: &LinkOptions) -> rustix::io::Result<()> {
    let fd = fd.as_fd();
    if let Some(bytes) = options.send_buffer_bytes {
        sockopt::set_socket_send_buffer_size(fd, bytes)?;
    }
    if let Some(bytes) = options.recv_buffer_bytes {
        sockopt::set_socket_recv_buffer_size(fd, bytes)?;
    }
    Ok(())
}
