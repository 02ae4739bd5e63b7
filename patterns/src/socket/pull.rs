//! PULL: takes work from its peers, fairly.

use std::sync::Arc;

use super::common::{Handle, common_methods, receiver_method, receives_messages};
use super::core::Core;
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
}

common_methods!(Pull, SocketType::Pull, "a PUSH");
receives_messages!(Pull);
receiver_method!(Pull);
