//! PULL: takes work from its peers, fairly.

use std::sync::Arc;
use std::time::Instant;

use super::common::{Handle, common_methods, receive_methods, receiver_method};
use super::core::Core;
use super::error::RecvError;
use crate::message::Message;
use crate::zmtp::SocketType;

/// The lower end of a pipeline: receives from its PUSH peers, fairly by bytes.
///
/// ```
/// use brokerless_patterns::{Pull, Push};
///
/// let pull = Pull::bind("inproc://pull-example")?;
/// let (north, south) = (
///     Push::connect("inproc://pull-example")?,
///     Push::connect("inproc://pull-example")?,
/// );
/// north.send("from the north")?;
/// south.send("from the south")?;
/// let both = [pull.recv()?, pull.recv()?];
/// assert!(both.iter().any(|message| message[0] == "from the south"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pull {
    core: Handle,
}

impl Pull {
    fn on(core: Arc<Core>) -> Self {
        Pull { core: Handle(core) }
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        self.core.receive_message(deadline)
    }
}

common_methods!(Pull, SocketType::Pull, "a PUSH");
receive_methods!(Pull, Message);
receiver_method!(Pull);
