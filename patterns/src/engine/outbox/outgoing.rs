//! What may be pushed: a message, or one whose first frame is lent.

use crate::message::{Headed, Message};
use crate::zmtp::encoder::Encoder;

/// What is sent as a whole, and encoded or kept.
pub(crate) trait Outgoing: Sized {
    /// Payload bytes over all frames.
    fn bytes(&self) -> usize;
    /// Encodes it at the end.
    fn encode(self, to: &mut Encoder);
    /// As one that waits.
    fn into_message(self) -> Message;
    /// Gives it on as a message; what is refused comes back.
    fn give<E>(self, to: impl FnOnce(Message) -> Result<(), (E, Message)>)
    -> Result<(), (E, Self)>;
}

impl Outgoing for Message {
    fn bytes(&self) -> usize {
        Message::bytes(self)
    }
    fn encode(self, to: &mut Encoder) {
        to.push(self);
    }
    fn into_message(self) -> Message {
        self
    }
    fn give<E>(
        self,
        to: impl FnOnce(Message) -> Result<(), (E, Message)>,
    ) -> Result<(), (E, Self)> {
        to(self)
    }
}

impl Outgoing for Headed<'_> {
    fn bytes(&self) -> usize {
        Headed::bytes(self)
    }
    fn encode(self, to: &mut Encoder) {
        to.push_headed(&self);
    }
    fn into_message(self) -> Message {
        self.to_message()
    }
    fn give<E>(
        self,
        to: impl FnOnce(Message) -> Result<(), (E, Message)>,
    ) -> Result<(), (E, Self)> {
        to(self.to_message()).map_err(|(why, _)| (why, self))
    }
}
