//! What follows an envelope: a body, and the blobs that it names.
//!
//! # Invariants
//!
//! 1. A payload without blobs or with one takes no memory beyond its frames. (test
//!    `a_payload_of_one_blob_allocates_no_list`)

use brokerless_patterns::{Frame, Message};
use smallvec::SmallVec;

/// The blobs of a message, in order.
pub type Blobs = SmallVec<[Frame; 1]>;

/// A body and its blobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// The arguments or the value.
    pub body: Frame,
    /// What they name by number.
    pub blobs: Blobs,
}

impl Payload {
    /// Bytes that the caller and the method agree on.
    pub fn raw(body: impl Into<Frame>) -> Self {
        Payload {
            body: body.into(),
            blobs: Blobs::new(),
        }
    }

    /// Bytes of the body and the blobs: what credit counts.
    pub fn bytes(&self) -> usize {
        let blobs = self.blobs.iter().map(|blob| blob.len());
        self.body.len() + blobs.sum::<usize>()
    }

    /// The message that begins with this envelope.
    pub fn into_message(self, envelope: Frame) -> Message {
        let mut message = Message::pair(envelope, self.body);
        for blob in self.blobs {
            message.push(blob);
        }
        message
    }

    /// The payload of a message that begins with an envelope; a body that is absent is empty.
    pub fn of_message(message: Message) -> Self {
        let mut frames = message.into_iter();
        drop(frames.next());
        let body = frames.next().unwrap_or_default();
        let blobs = match frames.len() {
            0 => Blobs::new(),
            _ => frames.collect(),
        };
        Payload { body, blobs }
    }
}

/// The parts of a message that has no return path, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'m> {
    /// The envelope.
    pub envelope: &'m [u8],
    /// The arguments or the value; empty if absent.
    pub body: &'m [u8],
    /// What they name by number.
    pub blobs: &'m [Frame],
}

impl<'m> Parts<'m> {
    /// The parts of these frames.
    pub fn of(frames: &'m [Frame]) -> Self {
        match frames {
            [] => Parts {
                envelope: &[],
                body: &[],
                blobs: &[],
            },
            [envelope] => Parts {
                envelope,
                body: &[],
                blobs: &[],
            },
            [envelope, body, blobs @ ..] => Parts {
                envelope,
                body,
                blobs,
            },
        }
    }
}
