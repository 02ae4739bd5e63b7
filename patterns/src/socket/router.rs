//! ROUTER: knows from whom a message came, and sends to whom it is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::common::{Handle, common_methods, receive_methods, tapped_method};
use super::core::Core;
use super::error::{RecvError, SendError, SendRefusal};
use super::peer::Peer;
use super::tap::Drive;
use crate::message::{Headed, Message};
use crate::zmtp::SocketType;

/// What [`Router::recv_or`] gives.
#[derive(Debug)]
pub enum Received<T> {
    /// A message, and whose it is.
    Message(Peer, Message),
    /// Something else.
    Other(T),
}

/// A socket that receives from its peers fairly, and sends to the one that it is told.
///
/// # Who is who
///
/// [`recv`](Self::recv) gives the [`Peer`], which is the connection: an answer goes there or
/// nowhere. The identity that a peer announces is a claim; [`peer`](Self::peer) finds who made
/// it. When a second peer announces one that is in use, the first is tested with a PING: if it
/// answers within 500 ms the second is refused, and told so; else the first, being dead, is
/// closed and the second let in.
///
/// # Fairness
///
/// Peers that send all the time share the socket by bytes, in proportion to the weights given
/// with [`set_weight`](Self::set_weight).
///
/// # Never blocking, never silent
///
/// Sending does not wait for a peer. A message that the peer cannot take comes back.
///
/// ```
/// use brokerless_patterns::{Dealer, Router};
///
/// let router = Router::bind("inproc://router-example")?;
/// let dealer = Dealer::connect("inproc://router-example")?;
/// dealer.send("ping")?;
///
/// let (peer, message) = router.recv()?;
/// assert_eq!(message[0], "ping");
/// router.send(&peer, "pong")?;
/// assert_eq!(dealer.recv()?[0], "pong");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Router {
    core: Handle,
}

impl Router {
    fn on(core: Arc<Core>) -> Self {
        Router { core: Handle(core) }
    }

    /// Sends a message to this peer.
    ///
    /// # Errors
    ///
    /// If the peer has as much queued as it may, or has gone; the message comes back. Nothing is
    /// ever dropped silently.
    ///
    /// # Blocking
    ///
    /// Never.
    pub fn send(&self, peer: &Peer, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.try_send_to(peer.pipe(), message.into())
    }

    /// As [`send`](Self::send), but the message may be held back until the engine is
    /// [flushed](crate::Engine::flush), some thread of it waits and leads, or for a millisecond or
    /// two; what is sent to the peer next takes it along.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn hold_for(&self, peer: &Peer, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.hold_for(peer.pipe(), message.into())
    }

    /// Sends to this peer a message whose first frame is lent.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), but for the message: that is still with the caller.
    ///
    /// # Blocking
    ///
    /// Never.
    #[inline]
    pub fn send_headed(&self, peer: &Peer, message: Headed<'_>) -> Result<(), SendRefusal> {
        self.core.try_send_headed(peer.pipe(), message, false)
    }

    /// Sends a message to the peer that announced this identity.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and if nobody has announced it.
    pub fn send_to(&self, identity: &[u8], message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        match self.core.peer_named(identity) {
            Some(pipe) => self.core.try_send_to(&pipe, message),
            None => Err(self.core.refuse((SendRefusal::Gone, message))),
        }
    }

    /// Takes a message that is at hand. Unlike [`try_recv`](Self::try_recv) it never looks whether
    /// the system has more.
    pub fn take(&self) -> Option<(Peer, Message)> {
        let (pipe, message) = self.core.try_receive()?;
        Some((Peer::new(pipe), message))
    }

    /// Receives the next message, or takes what `other` gives, whichever is there first: for
    /// threads that have other work, too. Whoever brings that calls [`nudge`](Self::nudge).
    ///
    /// `other` is asked at once, and whenever the thread is woken; it must not block, nor receive.
    ///
    /// # Errors
    ///
    /// If the socket has been closed.
    ///
    /// # Blocking
    ///
    /// Until then.
    pub fn recv_or<T>(
        &self,
        mut other: impl FnMut() -> Option<T>,
    ) -> Result<Received<T>, RecvError> {
        self.core.receive_with(None, || match other() {
            Some(other) => Some(Received::Other(other)),
            None => self
                .take()
                .map(|(peer, message)| Received::Message(peer, message)),
        })
    }

    /// Wakes one of the threads that wait in [`recv_or`](Self::recv_or), or else the next one that
    /// is about to wait looks for itself.
    pub fn nudge(&self) {
        self.core.readers().wake(1);
    }

    /// What a thread does that waits at a [`Gate`](crate::tap::Gate) for what a tap of this socket
    /// picks.
    pub fn drive(&self) -> Drive {
        self.core.reading_drives().into()
    }

    /// Has the threads that receive here drive the engine even while this socket has no connection
    /// that needs it: for the sake of other sockets of the engine, whose taps do the rest.
    pub fn drive_others(&self) {
        self.core.drives_others.store(true, Ordering::Relaxed);
    }

    /// Wakes another thread that receives, if there is something to receive: for a thread that is
    /// going to be busy, where a tap [wakes one](crate::tap::Tap::wakes_one).
    pub fn share(&self) {
        self.core.share();
    }

    /// The peer that announced this identity, if it is connected.
    pub fn peer(&self, identity: &[u8]) -> Option<Peer> {
        self.core.peer_named(identity).map(Peer::new)
    }

    /// The peers that are connected.
    pub fn peers(&self) -> Vec<Peer> {
        self.core.pipes().into_iter().map(Peer::new).collect()
    }

    /// Gives a peer's messages this weight of 1 to 1,000,000 in the fair queue. Default 1; values
    /// out of bounds are held to them.
    pub fn set_weight(&self, peer: &Peer, weight: u32) {
        self.core
            .set_weight(peer.pipe(), weight.clamp(1, 1_000_000));
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<(Peer, Message), RecvError> {
        self.core
            .receive(deadline)
            .map(|(pipe, message)| (Peer::new(pipe), message))
    }

    /// A channel of the messages that come in, for `crossbeam_channel::select!`. It takes the
    /// place of receiving from the socket, for good; a second one is closed from the start.
    ///
    /// The steward's thread fills it while nobody waits on the engine, so a message costs a
    /// thread switch more than by [`recv`](Self::recv). It holds 256 messages; what comes beyond
    /// that waits in the socket, within its limits.
    pub fn receiver(&self) -> crossbeam_channel::Receiver<(Peer, Message)> {
        self.core.receiver()
    }
}

tapped_method!(Router, SocketType::Router);
common_methods!(Router, SocketType::Router, "a DEALER, REQ or ROUTER");
receive_methods!(Router, (Peer, Message));
