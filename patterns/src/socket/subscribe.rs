//! SUB: hears what it has subscribed to.

use std::sync::Arc;

use super::common::{
    Handle, common_methods, receiver_method, receives_messages, subscribe_methods,
};
use super::core::Core;
use crate::zmtp::SocketType;

/// A socket that receives what it has subscribed to, from all of its publishers, fairly by bytes.
///
/// A new one has subscribed to nothing. Subscriptions are told to every publisher, and told again
/// when a connection was lost and comes back. What a publisher sends that nobody has subscribed to
/// is dropped and counted as `filtered`: so nothing is received of a topic that was given up a
/// moment ago.
///
/// ```
/// use brokerless_patterns::{Pub, Sub};
///
/// let subscriber = Sub::bind("inproc://sub-example")?;
/// subscriber.subscribe("a")?;
/// let publisher = Pub::connect("inproc://sub-example")?;
/// publisher.send(["abc", "1"])?;
/// assert_eq!(subscriber.recv()?[1], "1");
///
/// publisher.send(["abc", "2"])?;
/// subscriber.unsubscribe("a")?;
/// assert!(subscriber.try_recv().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sub {
    core: Handle,
}

impl Sub {
    fn on(core: Arc<Core>) -> Self {
        Sub { core: Handle(core) }
    }
}

common_methods!(Sub, SocketType::Sub, "a PUB or XPUB");
subscribe_methods!(Sub);
receives_messages!(Sub);
receiver_method!(Sub);
