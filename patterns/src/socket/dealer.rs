//! DEALER: sends to its peers in turn, receives from all fairly.

use std::sync::Arc;
use std::time::Instant;

use super::common::{Handle, common_methods, receive_methods, receiver_method, send_methods};
use super::core::{Core, Sent};
use super::error::{RecvError, SendError};
use crate::message::Message;
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

    fn attempt(&self, message: Message) -> Sent {
        self.core.try_send(message)
    }

    fn send_by(&self, deadline: Option<Instant>, message: Message) -> Result<(), SendError> {
        self.core
            .send_until(deadline, message, |message| self.attempt(message))
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        self.core.receive_message(deadline)
    }
}

common_methods!(Dealer, SocketType::Dealer, "a ROUTER, REP or DEALER");
send_methods!(Dealer);
receive_methods!(Dealer, Message);
receiver_method!(Dealer);
