//! What came back, not yet decoded.

use std::fmt;
use std::sync::Arc;

use brokerless_patterns::{Frame, Message};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::errors;
use crate::wire::{self, DecodeError, Envelope, Payload};
use crate::{CallError, Ran, RpcError, Status};

/// The end of a call, undecoded: so that no user's code runs on the thread that reads.
#[derive(Debug, Clone)]
pub struct Answer {
    end: End,
    node: Arc<str>,
}

#[derive(Debug, Clone)]
enum End {
    Replied(Payload),
    /// The envelope, and the method's own error if it has one.
    Failed(Frame, Payload),
    /// Ended on this side.
    Ended(RpcError),
}

impl Answer {
    pub(super) fn replied(message: Message, node: Arc<str>) -> Self {
        Answer {
            end: End::Replied(Payload::of_message(message)),
            node,
        }
    }

    pub(super) fn failed(message: Message, node: Arc<str>) -> Self {
        Answer {
            end: End::Failed(message.first().clone(), Payload::of_message(message)),
            node,
        }
    }

    pub(super) fn ended(error: RpcError) -> Self {
        let node = Arc::from(error.node().unwrap_or_default());
        Answer {
            end: End::Ended(error),
            node,
        }
    }

    /// What stands in place of a reply to a stream that broke the rules.
    pub(super) fn broken(self, why: &dyn fmt::Display) -> Self {
        let status = Status::internal(format!("the node broke the rules of streams: {why}"));
        Answer::ended(RpcError::new(status, Ran::Yes).with_node(self.node))
    }

    /// An error that is not the method's own is the call's.
    pub(super) fn or_error(self) -> Result<Self, RpcError> {
        match (self.payload(), self.method_error()) {
            (Err(error), None) => Err(error),
            _ => Ok(self),
        }
    }

    /// The node that answered; empty if none did.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Whether the call has failed, by an error of the fabric or of the method.
    pub fn is_error(&self) -> bool {
        !matches!(self.end, End::Replied(_))
    }

    /// What the method gave.
    ///
    /// # Errors
    ///
    /// The error that the call ended with; the method's own among them, as a status.
    pub fn payload(&self) -> Result<&Payload, RpcError> {
        match &self.end {
            End::Replied(payload) => Ok(payload),
            End::Failed(envelope, _) => Err(errors::told(envelope, &self.node)),
            End::Ended(error) => Err(error.clone()),
        }
    }

    /// The value that the method gave, borrowed from the answer.
    ///
    /// # Errors
    ///
    /// As [`payload`](Self::payload); and if the value is not of this type.
    pub fn value<'a, T: Deserialize<'a>>(&'a self) -> Result<T, RpcError> {
        let payload = self.payload()?;
        wire::decode_value(&payload.body).map_err(|error| errors::not_decoded(&self.node, &error))
    }

    /// The method's own error, encoded, if that is what the call ended with.
    pub fn method_error(&self) -> Option<&Payload> {
        let End::Failed(envelope, payload) = &self.end else {
            return None;
        };
        match Envelope::decode(envelope) {
            Ok(Envelope::Error(head)) if head.typed => Some(payload),
            _ => None,
        }
    }
}

/// The value of a method without errors of its own.
#[doc(hidden)]
pub fn finish<T>(
    answer: &Answer,
    read: fn(&Payload) -> Result<T, DecodeError>,
) -> Result<T, CallError> {
    let payload = answer.payload()?;
    read(payload).map_err(|error| errors::not_decoded(&answer.node, &error).into())
}

/// The value of a method, or its own error.
#[doc(hidden)]
pub fn finish_typed<T, E: DeserializeOwned>(
    answer: &Answer,
    read: fn(&Payload) -> Result<T, DecodeError>,
) -> Result<T, CallError<E>> {
    if let Some(payload) = answer.method_error() {
        return Err(match wire::decode_value(&payload.body) {
            Ok(error) => CallError::Method(error),
            Err(error) => errors::not_decoded(&answer.node, &error).into(),
        });
    }
    let payload = answer.payload()?;
    read(payload).map_err(|error| errors::not_decoded(&answer.node, &error).into())
}
