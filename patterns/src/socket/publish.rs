//! PUB: tells everybody who wants to know.

use std::sync::Arc;

use super::common::{Handle, common_methods, publish_methods};
use super::core::Core;
use crate::zmtp::SocketType;

/// A socket that publishes: each message goes to every peer that has subscribed to it.
///
/// # Never waiting
///
/// A subscriber that does not read costs the others nothing: what its full queue has no room for
/// is dropped for it alone and counted, or it is disconnected, as
/// [`Options::slow_subscriber`](crate::Options::slow_subscriber) has it.
///
/// # What is counted
///
/// [`SocketStats::published_messages`](crate::SocketStats::published_messages) are those given to
/// [`send`](Self::send), `sent_messages` those that peers should have had, of which the rest of
/// the stats says what became.
///
/// Peers send nothing but subscriptions: one that sends anything else is closed, and counted as
/// `unexpected-message`.
///
/// ```
/// use brokerless_patterns::{Pub, Sub};
///
/// let publisher = Pub::bind("inproc://pub-example")?;
/// let subscriber = Sub::connect("inproc://pub-example")?;
/// subscriber.subscribe("weather.")?;
///
/// publisher.send(["sport.chess", "1:0"])?; // nobody wants it
/// publisher.send(["weather.north", "rain"])?;
/// assert_eq!(subscriber.recv()?[1], "rain");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pub {
    core: Handle,
}

impl Pub {
    fn on(core: Arc<Core>) -> Self {
        Pub { core: Handle(core) }
    }
}

common_methods!(Pub, SocketType::Pub, "a SUB or XSUB");
publish_methods!(Pub, publish);
