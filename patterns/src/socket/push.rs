//! PUSH: hands work to its peers in turn.

use std::sync::Arc;

use super::common::{Handle, common_methods, sends_in_turn};
use super::core::Core;
use crate::zmtp::SocketType;

/// The upper end of a pipeline: what it sends goes to its PULL peers in turn, each message to one.
///
/// It passes over peers that are full, waits only if all are, and never drops a message: what is
/// queued for a peer that goes away is counted ([`SocketStats::dropped`](crate::SocketStats)). A
/// peer that is there first has all of the work until the next one comes; where that matters, let
/// the workers ask for it.
///
/// Nothing comes back. A peer that sends to a PUSH is closed, and counted as
/// `unexpected-message`.
///
/// ```
/// use brokerless_patterns::{Pull, Push};
///
/// let push = Push::bind("inproc://push-example")?;
/// let pull = Pull::connect("inproc://push-example")?;
/// push.send(["task", "1"])?;
/// assert_eq!(pull.recv()?[1], "1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Push {
    core: Handle,
}

impl Push {
    fn on(core: Arc<Core>) -> Self {
        Push { core: Handle(core) }
    }
}

common_methods!(Push, SocketType::Push, "a PULL");
sends_in_turn!(Push);
