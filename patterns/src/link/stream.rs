//! A connected byte stream over tcp or a Unix socket.
//!
//! Every call but one returns at once: what would block is [`io::ErrorKind::WouldBlock`], an interrupted
//! call is made again, a closed peer is an error and never a signal. Whoever holds the [`Stream`]
//! may read and write it from two threads; the kernel keeps the two directions apart.
//!
//! # Invariants
//!
//! 1. `recv_spare` never reallocates and never takes more than `max`.
//!    (`recv_spare_takes_at_most_max_and_never_reallocates`)
//! 2. Writing to a closed peer is an error, not a SIGPIPE. (`writing_to_a_closed_peer_is_an_error`)
//!
//! # Not here
//!
//! Waiting for readiness, buffers, frames.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, getpeername, getsockname, recv, send,
    sendmsg, shutdown, sockopt, sockopt::Timeout,
};

use crate::counters;

/// Slices that one `sendmsg` takes (`IOV_MAX` on Linux and macOS); the rest wait for the next.
pub(crate) const SLICES_MAX: usize = 1024;

/// Bytes that `recv_spare` reads by way of the stack when it has to stop short of the capacity.
const STAGE_BYTES: usize = 16 * 1024;

#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
/// macOS has `SO_NOSIGPIPE` on the socket instead.
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT;

/// What carries a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// TCP.
    Tcp,
    /// A Unix stream socket.
    Unix,
}

/// A connected or connecting stream socket.
#[derive(Debug)]
pub(crate) struct Stream {
    fd: OwnedFd,
    kind: LinkKind,
    /// Whether a call may wait on it, once that has been asked for.
    waits: OnceLock<bool>,
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Stream {
    /// The descriptor must be non-blocking: `socket` makes no other.
    pub(super) fn new(fd: OwnedFd, kind: LinkKind) -> Stream {
        Stream {
            fd,
            kind,
            waits: OnceLock::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn kind(&self) -> LinkKind {
        self.kind
    }

    /// Reads into `buffer`; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where there is nothing yet; `InvalidInput` for an empty buffer, whose 0 would
    /// look like the end.
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Err(no_room());
        }
        counters::system_call();
        let (count, _) = retry_on_intr(|| recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT))?;
        Ok(count)
    }

    /// The longest that [`recv_waiting`](Self::recv_waiting) waits, but for what the system rounds
    /// up.
    pub(crate) const WAIT_MAX: Duration = Duration::from_millis(4);

    /// Makes the stream one that a call may wait on; all calls but
    /// [`recv_waiting`](Self::recv_waiting) return at once as before. False if the system refuses.
    pub(crate) fn lets_wait(&self) -> bool {
        *self.waits.get_or_init(|| {
            sockopt::set_socket_timeout(&self.fd, Timeout::Recv, Some(Self::WAIT_MAX))
                .and_then(|()| ioctl_fionbio(&self.fd, false))
                .is_ok()
        })
    }

    /// As [`recv`](Self::recv), but waits for the first byte, for [`WAIT_MAX`](Self::WAIT_MAX) at
    /// most.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where nothing came in time; `Interrupted` after a signal. Where
    /// [`lets_wait`](Self::lets_wait) has not been asked it does not wait.
    pub(crate) fn recv_waiting(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Err(no_room());
        }
        counters::system_call();
        let (count, _) = recv(&self.fd, &mut *buffer, RecvFlags::empty())?;
        Ok(count)
    }

    /// Appends up to `max_bytes` to the spare capacity of `buffer`; 0 is the end of the stream.
    ///
    /// Where the spare capacity is no more than `max_bytes` the kernel writes straight into it,
    /// without zeroing it first. Only where there is more, so that reading has to stop short of
    /// it, at most 16 KiB a call go by way of the stack.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where there is nothing yet; `InvalidInput` where there is no spare capacity or
    /// `max_bytes` is 0. `buffer` is unchanged.
    ///
    /// # Allocation
    ///
    /// None.
    pub(crate) fn recv_spare(&self, buffer: &mut Vec<u8>, max_bytes: usize) -> io::Result<usize> {
        counters::system_call();
        let spare = buffer.capacity() - buffer.len();
        if spare.min(max_bytes) == 0 {
            return Err(no_room());
        }
        if spare <= max_bytes {
            let (count, _) =
                retry_on_intr(|| recv(&self.fd, spare_capacity(buffer), RecvFlags::DONTWAIT))?;
            return Ok(count);
        }
        let mut stage = [MaybeUninit::<u8>::uninit(); STAGE_BYTES];
        let stage = &mut stage[..max_bytes.min(STAGE_BYTES)];
        loop {
            match recv(&self.fd, &mut *stage, RecvFlags::DONTWAIT) {
                Ok(((read, _), _)) => {
                    buffer.extend_from_slice(read);
                    return Ok(read.len());
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes from `bytes`, as many as the kernel takes now.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where it takes none.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        counters::system_call();
        Ok(retry_on_intr(|| send(&self.fd, bytes, SEND_FLAGS))?)
    }

    /// Writes from the slices in order, as many bytes as the kernel takes now.
    ///
    /// Takes the first [`SLICES_MAX`] slices; the count returned says how far it came.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where it takes none.
    pub(crate) fn send_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        counters::system_call();
        let slices = &slices[..slices.len().min(SLICES_MAX)];
        Ok(retry_on_intr(|| {
            sendmsg(
                &self.fd,
                slices,
                &mut SendAncillaryBuffer::default(),
                SEND_FLAGS,
            )
        })?)
    }

    /// Tells the peer that no more will be written; a stream already gone needs no telling.
    pub(crate) fn finish_writing(&self) {
        let _ = shutdown(&self.fd, Shutdown::Write);
    }

    /// Ends the stream both ways, whoever else still holds it; one already gone needs no ending.
    pub(crate) fn shutdown(&self) {
        let _ = shutdown(&self.fd, Shutdown::Both);
    }

    /// Takes the pending error (`SO_ERROR`): once a connecting stream is writable, how it ended.
    pub(crate) fn take_error(&self) -> io::Result<()> {
        Ok(sockopt::socket_error(&self.fd)??)
    }

    /// Whether this TCP stream is connected to itself.
    ///
    /// Connecting to a free port of the ephemeral range on one's own address can pick that very
    /// port as the source, and then succeeds without a listener.
    pub(crate) fn is_self_connected(&self) -> bool {
        self.kind == LinkKind::Tcp
            && match (getsockname(&self.fd), getpeername(&self.fd)) {
                (Ok(local), Ok(Some(peer))) => local == peer,
                _ => false,
            }
    }
}

fn no_room() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "receiving needs room for at least 1 byte",
    )
}

/// Who is at the other end of an accepted stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteAddr {
    /// The peer's address; IPv4 also where it came by a dual-stack listener.
    Tcp(SocketAddr),
    /// A process on this machine, as far as the system says which.
    Unix { pid: Option<u32>, uid: Option<u32> },
}

impl RemoteAddr {
    /// What connections are counted by: the peer's address, or `None` for all ipc peers together.
    pub(crate) fn limit_key(&self) -> Option<IpAddr> {
        match self {
            RemoteAddr::Tcp(addr) => Some(addr.ip().to_canonical()),
            RemoteAddr::Unix { .. } => None,
        }
    }
}

impl fmt::Display for RemoteAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteAddr::Tcp(addr) => write!(f, "tcp://{addr}"),
            RemoteAddr::Unix { pid, uid } => {
                f.write_str("ipc peer")?;
                if let Some(pid) = pid {
                    write!(f, " pid {pid}")?;
                }
                if let Some(uid) = uid {
                    write!(f, " uid {uid}")?;
                }
                Ok(())
            }
        }
    }
}
