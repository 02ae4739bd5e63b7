//! XPUB: publishes, and sees who wants what.

use std::sync::Arc;
use std::time::Instant;

use super::common::{Handle, common_methods, publish_methods, receive_methods};
use super::core::Core;
use super::error::RecvError;
use crate::message::Message;
use crate::zmtp::SocketType;

/// A [`Pub`](crate::Pub) that shows its program the subscriptions, as messages: of one frame, the
/// byte 1 and the topic where one begins, the byte 0 and the topic where one ends.
///
/// Without further ado it shows the first subscription to a topic and the end of the last, also
/// where a peer has gone: what it has shown, taken together, is what there is. Topics that come
/// and go before they are received are not shown; so however slow the program is, what waits for
/// it is never more than the topics that there are. [`Options::verbose`](crate::Options::verbose)
/// asks for every single one.
///
/// What peers send beside subscriptions is received as it is. Subscriptions come first.
///
/// [`Options::welcome`](crate::Options::welcome) and
/// [`Options::last_values`](crate::Options::last_values) say what a new subscriber is sent.
///
/// ```
/// use brokerless_patterns::{Options, Sub, XPub};
///
/// let publisher = XPub::with(Options::new().last_values(1000))?;
/// publisher.bind_to("inproc://xpub-example")?;
/// publisher.send(["temperature", "21"])?;
///
/// let subscriber = Sub::connect("inproc://xpub-example")?;
/// subscriber.subscribe("temp")?;
/// assert_eq!(publisher.recv()?[0], b"\x01temp");
/// assert_eq!(subscriber.recv()?[1], "21");
/// assert_eq!(publisher.subscriptions(), [("temp".into(), 1)]);
///
/// drop(subscriber);
/// assert_eq!(publisher.recv()?[0], b"\x00temp");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct XPub {
    core: Handle,
}

impl XPub {
    fn on(core: Arc<Core>) -> Self {
        XPub { core: Handle(core) }
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        self.core.receive_with(deadline, || {
            let news = self.core.next_news();
            news.or_else(|| self.core.try_receive().map(|(_, message)| message))
        })
    }
}

common_methods!(XPub, SocketType::XPub, "a SUB or XSUB");
publish_methods!(XPub, publish);
receive_methods!(XPub, Message);
