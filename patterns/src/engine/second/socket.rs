//! The crate's sockets of six types as one, and messages there and back.

use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use bytes::Bytes;
use zeromq::util::PeerIdentity;
use zeromq::{
    DealerSocket, PubSocket, PullSocket, PushSocket, RouterSocket, Socket as _, SocketOptions,
    SocketRecv, SocketSend, SubSocket, ZmqError, ZmqMessage, ZmqResult,
};

use crate::link::{Endpoint, Listener};
use crate::message::{Frame, Message};
use crate::zmtp::SocketType;

/// Frames below this are copied out of what the crate has read: a slice would pin all of that.
const COPIED: usize = 4096;

/// A socket of the crate.
pub(super) enum Socket {
    Dealer(DealerSocket),
    Router(RouterSocket),
    Pub(PubSocket),
    Sub(SubSocket),
    Push(PushSocket),
    Pull(PullSocket),
}

/// The same on a socket of any type.
macro_rules! on {
    ($socket:expr, $each:ident => $call:expr) => {
        match $socket {
            Socket::Dealer($each) => $call,
            Socket::Router($each) => $call,
            Socket::Pub($each) => $call,
            Socket::Sub($each) => $call,
            Socket::Push($each) => $call,
            Socket::Pull($each) => $call,
        }
    };
}
pub(super) use on;

impl Socket {
    /// A socket of this type, if the crate's are taken for it.
    pub(super) fn new(kind: SocketType, identity: &Bytes) -> io::Result<Socket> {
        let mut options = SocketOptions::default();
        options.no_connect_timeout();
        if !identity.is_empty() {
            options.peer_identity(PeerIdentity::try_from(identity.clone()).map_err(as_io)?);
        }
        Ok(match kind {
            SocketType::Dealer => Socket::Dealer(DealerSocket::with_options(options)),
            SocketType::Router => Socket::Router(RouterSocket::with_options(options)),
            SocketType::Pub => Socket::Pub(PubSocket::with_options(options)),
            SocketType::Sub => Socket::Sub(SubSocket::with_options(options)),
            SocketType::Push => Socket::Push(PushSocket::with_options(options)),
            SocketType::Pull => Socket::Pull(PullSocket::with_options(options)),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    pub(super) async fn connect(&mut self, endpoint: &str) -> ZmqResult<()> {
        on!(self, socket => socket.connect(endpoint).await)
    }

    /// Accepts from a listener that stays ours, and gives what the crate calls it.
    pub(super) async fn listen(&mut self, listener: &Listener) -> ZmqResult<zeromq::Endpoint> {
        let fd = listener.as_fd().try_clone_to_owned()?;
        let listener = match listener.endpoint() {
            Endpoint::Tcp(_) => zeromq::Listener::Tcp(fd.into()),
            Endpoint::Ipc(_) | Endpoint::Inproc(_) => zeromq::Listener::Ipc(UnixListener::from(fd)),
        };
        on!(self, socket => socket.bind_listener(listener).await)
    }

    pub(super) async fn unbind(&mut self, endpoint: zeromq::Endpoint) -> ZmqResult<()> {
        on!(self, socket => socket.unbind(endpoint).await)
    }

    /// The next message; never any from a socket that only sends.
    pub(super) async fn recv(&mut self) -> ZmqResult<ZmqMessage> {
        match self {
            Socket::Dealer(socket) => socket.recv().await,
            Socket::Router(socket) => socket.recv().await,
            Socket::Sub(socket) => socket.recv().await,
            Socket::Pull(socket) => socket.recv().await,
            Socket::Pub(_) | Socket::Push(_) => pending().await,
        }
    }

    pub(super) async fn send(&mut self, message: ZmqMessage) -> ZmqResult<()> {
        match self {
            Socket::Dealer(socket) => socket.send(message).await,
            Socket::Router(socket) => socket.send(message).await,
            Socket::Pub(socket) => socket.send(message).await,
            Socket::Push(socket) => socket.send(message).await,
            Socket::Sub(_) | Socket::Pull(_) => Err(ZmqError::Other("it does not send")),
        }
    }

    /// Begins or ends a subscription.
    pub(super) async fn subscribe(&mut self, begins: bool, topic: &str) -> ZmqResult<()> {
        match self {
            Socket::Sub(socket) if begins => socket.subscribe(topic).await,
            Socket::Sub(socket) => socket.unsubscribe(topic).await,
            _ => Ok(()),
        }
    }

    /// Ends every connection, once what was sent on it is written.
    pub(super) fn shut(&self) {
        on!(self, socket => socket.backend().shutdown());
    }

    /// Ends the connection to a peer.
    pub(super) fn part_from(&self, peer: &PeerIdentity) {
        on!(self, socket => socket.backend().peer_disconnected(peer));
    }
}

/// What went wrong, as the system would say it.
pub(super) fn as_io(error: ZmqError) -> io::Error {
    match error {
        ZmqError::Network(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

/// What the crate makes an endpoint of; nothing if it cannot.
pub(super) fn written(endpoint: &Endpoint) -> Option<String> {
    match endpoint {
        Endpoint::Tcp(tcp) if tcp.source().is_none() => Some(endpoint.to_string()),
        // Its own way of writing an abstract name is that of the system.
        Endpoint::Ipc(ipc) => match ipc.abstract_name() {
            Some(name) => Some(format!("ipc://\0{name}")),
            None => ipc.path().map(|path| format!("ipc://{path}")),
        },
        Endpoint::Tcp(_) | Endpoint::Inproc(_) => None,
    }
}

/// A message of ours.
pub(super) fn received(frames: impl IntoIterator<Item = Bytes>) -> Message {
    Message::from_frames(frames.into_iter().map(|frame| {
        if frame.len() < COPIED {
            Frame::copy_from_slice(&frame)
        } else {
            Frame::from(frame)
        }
    }))
}
