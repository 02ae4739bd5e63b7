//! A topic: a name and the type of its values.

use std::fmt;
use std::marker::PhantomData;

use super::error::{BusError, NameFault};
use super::publisher::PublisherBuilder;
use super::subscriber::SubscriberBuilder;
use super::wire::TERMINATOR;
use crate::message::Frame;

/// Bytes of the longest name.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// A name, and the type of what is published under it.
///
/// Both ends have to agree on the type; what is no value of it is an error for the subscriber, with
/// the update's number, and the next one comes. Fields may be added: a struct is a map by the
/// names of its fields, and those that a subscriber does not know are passed over.
pub struct Topic<T> {
    /// With its terminator, as it stands in frame 0.
    frame: Frame,
    name: String,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Topic<T> {
    /// A topic of this name: 1 to 255 bytes of UTF-8, none of them zero. Nothing else in it has a
    /// meaning: `prices.eur` is not part of `prices`.
    ///
    /// # Errors
    ///
    /// If it is no such name.
    pub fn new(name: &str) -> Result<Self, BusError> {
        let fault = match (name.len(), name.bytes().position(|b| b == TERMINATOR)) {
            (0, _) => NameFault::Empty,
            (bytes, _) if bytes > NAME_BYTES_MAX => NameFault::Long(bytes),
            (_, Some(at)) => NameFault::Zero(at),
            _ => {
                let mut frame = name.as_bytes().to_vec();
                frame.push(TERMINATOR);
                return Ok(Topic {
                    frame: Frame::from(frame),
                    name: name.to_owned(),
                    value: PhantomData,
                });
            }
        };
        Err(BusError::Name(fault))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Frame 0 of each update, and what is subscribed to: the name and a zero byte.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Begins to make a publisher.
    pub fn publisher(&self) -> PublisherBuilder<T> {
        PublisherBuilder::new(self.clone())
    }

    /// Begins to make a subscriber.
    pub fn subscriber(&self) -> SubscriberBuilder<T> {
        SubscriberBuilder::new(self.clone())
    }
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Topic {
            frame: self.frame.clone(),
            name: self.name.clone(),
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_1_to_255_bytes_without_a_zero() {
        let fault = |name: &str| match Topic::<()>::new(name) {
            Ok(topic) => {
                assert_eq!(topic.frame().len(), name.len() + 1);
                None
            }
            Err(BusError::Name(fault)) => Some(fault),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(fault("ä"), None);
        assert_eq!(fault(&"a".repeat(255)), None);
        assert_eq!(fault(&"a".repeat(256)), Some(NameFault::Long(256)));
        assert_eq!(fault(""), Some(NameFault::Empty));
        assert_eq!(fault("a\0b"), Some(NameFault::Zero(1)));
    }
}
