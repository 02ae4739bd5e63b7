//! What differs between the kinds of device: how a message is taken, and how it is given on.

use super::counts::{Drop, Way};
use crate::message::Message;
use crate::socket::SendRefusal;
use crate::socket::core::Core;

/// What became of a message that was to be passed on.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is on its way, or queued for its peer: so many payload bytes.
    Passed(usize),
    /// It is gone.
    Dropped(Drop),
    /// Nobody can take it now: it has to wait, and what is behind it too.
    Held(Message),
}

/// How long a device that ends goes on reading its frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// What has arrived is passed on, no more: each request would bring another.
    Arrived,
    /// Until nothing more comes for a while: what is on its way when the end is asked for comes, too.
    UntilQuiet,
}

/// The traffic through one kind of device. Nothing here waits.
pub(super) trait Traffic: Send {
    /// Takes the next message that goes this way, made ready to be given on; or why it is dropped.
    fn take(&mut self, way: Way) -> Option<Result<Message, Drop>>;

    /// Gives a message on that was taken.
    fn give(&mut self, way: Way, message: Message) -> Fate;

    /// What is passed on at the end.
    fn rest(&self) -> Rest;

    /// Answers that are still to come, as far as it can be known.
    fn awaited(&self) -> u64;
}

/// Sends a message of so many payload bytes to the next peer that takes it.
pub(super) fn pass_on(target: &Core, message: Message, bytes: usize) -> Fate {
    match target.try_send_any(message) {
        Ok(_) => Fate::Passed(bytes),
        // Only once the device has ended.
        Err((SendRefusal::Closed, _)) => Fate::Dropped(Drop::PeerGone),
        Err((_, message)) => Fate::Held(message),
    }
}
