//! PAIR: two sockets, and nobody else.

use std::sync::Arc;
use std::time::Instant;

use super::common::{Handle, common_methods, receive_methods, receiver_method, send_methods};
use super::core::{Core, Sent};
use super::error::{RecvError, SendError};
use crate::message::Message;
use crate::zmtp::SocketType;

/// One end of a connection between exactly two sockets, both ways.
///
/// The first peer to come has the place until it goes. Others are refused, which the monitor shows
/// and the stats count as `pair-taken`; one that connects tries again, and gets in once the place
/// is free. A PAIR that is connected somewhere takes nobody else, even while its peer is away.
///
/// ```
/// use brokerless_patterns::Pair;
///
/// let here = Pair::bind("inproc://pair-example")?;
/// let there = Pair::connect("inproc://pair-example")?;
/// there.send("ready")?;
/// assert_eq!(here.recv()?[0], "ready");
/// here.send("go")?;
/// assert_eq!(there.recv()?[0], "go");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pair {
    core: Handle,
}

impl Pair {
    fn on(core: Arc<Core>) -> Self {
        Pair { core: Handle(core) }
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

common_methods!(Pair, SocketType::Pair, "a PAIR");
send_methods!(Pair);
receive_methods!(Pair, Message);
receiver_method!(Pair);
