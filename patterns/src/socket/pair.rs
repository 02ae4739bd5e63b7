//! PAIR: two sockets, and nobody else.

use std::sync::Arc;

use super::common::{Handle, common_methods, receiver_method, receives_messages, sends_in_turn};
use super::core::Core;
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
}

common_methods!(Pair, SocketType::Pair, "a PAIR");
sends_in_turn!(Pair);
receives_messages!(Pair);
receiver_method!(Pair);
