//! XSUB: subscribes by messages.

use std::sync::Arc;

use super::common::{
    Handle, common_methods, receiver_method, receives_messages, subscribe_methods,
};
use super::core::Core;
use super::error::SendError;
use crate::message::Message;
use crate::zmtp::SocketType;

/// A socket that subscribes by messages, and receives all that its publishers send it.
///
/// With an [`XPub`](crate::XPub) it makes a device: what the one receives, the other sends.
///
/// ```
/// use brokerless_patterns::{Pub, Sub, XPub, XSub};
///
/// let publisher = Pub::bind("inproc://xsub-publisher")?;
/// let (front, back) = (
///     XSub::connect("inproc://xsub-publisher")?,
///     XPub::bind("inproc://xsub-example")?,
/// );
/// let subscriber = Sub::connect("inproc://xsub-example")?;
/// subscriber.subscribe("news")?;
///
/// front.send(back.recv()?)?; // the subscription goes up
/// publisher.send(["news", "of today"])?;
/// back.send(front.recv()?)?; // what was published comes down
/// assert_eq!(subscriber.recv()?[1], "of today");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct XSub {
    core: Handle,
}

impl XSub {
    fn on(core: Arc<Core>) -> Self {
        XSub { core: Handle(core) }
    }

    /// Sends a message up. One of a single frame whose first byte is 1 begins a subscription to
    /// the topic that follows it, one whose first byte is 0 ends it, as
    /// [`subscribe`](Self::subscribe) and [`unsubscribe`](Self::unsubscribe) do. Any other goes to
    /// every XPUB that is connected; a PUB takes none.
    ///
    /// # Errors
    ///
    /// If the socket has been closed. The message comes back in the error.
    ///
    /// # Blocking
    ///
    /// Never: what a peer with a full queue misses is counted as `slow-publisher`.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.send_up(message.into())
    }

    /// The same as [`send`](Self::send), which never waits.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.send_up(message.into())
    }
}

common_methods!(XSub, SocketType::XSub, "a PUB or XPUB");
subscribe_methods!(XSub);
receives_messages!(XSub);
receiver_method!(XSub);
