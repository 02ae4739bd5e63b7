//! DEALER: sends to its peers in turn, receives from all fairly.

use std::sync::Arc;

use super::common::{
    Handle, common_methods, receiver_method, receives_messages, sends_in_turn, tapped_method,
};
use super::core::Core;
use super::error::{SendError, SendRefusal};
use super::peer::Peer;
use crate::message::{Headed, Message};
use crate::zmtp::SocketType;

/// A socket that spreads what it sends over its peers, in turn, and receives from all of them
/// fairly. It passes over peers that are full, and never drops a message.
///
/// Any thread may send and receive; several may at once.
///
/// ```
/// use brokerless_patterns::{Dealer, Router};
///
/// let router = Router::bind("inproc://dealer-example")?;
/// let dealer = Dealer::connect("inproc://dealer-example")?;
/// dealer.send(["hello", "world"])?;
///
/// let (peer, message) = router.recv()?;
/// router.send(&peer, message)?;
/// assert_eq!(dealer.recv()?[1], "world");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Dealer {
    core: Handle,
}

impl Dealer {
    fn on(core: Arc<Core>) -> Self {
        Dealer { core: Handle(core) }
    }

    /// Sends to this peer; never blocks.
    ///
    /// # Errors
    ///
    /// With the message, if the peer is full or has gone, or the socket is closed.
    pub fn send_to(&self, peer: &Peer, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.try_send_to(peer.pipe(), message.into())
    }

    /// As [`send_to`](Self::send_to), but the message may be held back until the engine is
    /// [flushed](crate::Engine::flush), some thread of it waits and leads, or for a millisecond or
    /// two: for a thread that knows of others that are about to send.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn hold_for(&self, peer: &Peer, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.hold_for(peer.pipe(), message.into())
    }

    /// Sends to this peer a message whose first frame is lent; never blocks. `held` as
    /// [`hold_for`](Self::hold_for) has it.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to), but for the message: that is still with the caller.
    #[inline]
    pub fn send_headed(
        &self,
        peer: &Peer,
        message: Headed<'_>,
        held: bool,
    ) -> Result<(), SendRefusal> {
        self.core.try_send_headed(peer.pipe(), message, held)
    }
}

tapped_method!(Dealer, SocketType::Dealer);
common_methods!(Dealer, SocketType::Dealer, "a ROUTER, REP or DEALER");
sends_in_turn!(Dealer);
receives_messages!(Dealer);
receiver_method!(Dealer);
