//! A call on its way in, and how it came out.

use std::fmt;
use std::sync::Arc;

use brokerless_patterns::Frame;

use super::{Produce, Running, ServiceInfo};
use crate::wire::{Arguments, Encoder, Encoding, Payload};
use crate::{Ran, Status};

/// Methods that a server can call by their index.
///
/// [`service`](macro@crate::service) implements it for the `…Server` of a trait.
pub trait Service: Send + Sync + 'static {
    /// What the service is; always the same.
    fn info(&self) -> &'static ServiceInfo;

    /// Runs the method at this index of [`ServiceInfo::methods`].
    ///
    /// It may block, and it may panic, which the server turns into an error. An index without a
    /// method is answered like any other method that is not there.
    fn call(&self, method: usize, request: Request<'_>) -> Outcome;

    /// Begins the method at this index, which sends items: [`MethodInfo::items_out`] is set. The
    /// server drives what it gives. It may block, and it may panic, as [`call`](Self::call).
    ///
    /// # Errors
    ///
    /// How the call ends where no item is to be sent. Default: it refuses.
    ///
    /// [`MethodInfo::items_out`]: super::MethodInfo::items_out
    fn open<'s>(
        &'s self,
        method: usize,
        request: Request<'_>,
    ) -> Result<Box<dyn Produce + 's>, Outcome> {
        let _ = method;
        let path = request.running.method().path;
        Err(Outcome::refused(Status::unimplemented(format!(
            "{path} sends no items"
        ))))
    }
}

impl<S: Service + ?Sized> Service for Arc<S> {
    fn info(&self) -> &'static ServiceInfo {
        (**self).info()
    }

    fn call(&self, method: usize, request: Request<'_>) -> Outcome {
        (**self).call(method, request)
    }

    fn open<'s>(
        &'s self,
        method: usize,
        request: Request<'_>,
    ) -> Result<Box<dyn Produce + 's>, Outcome> {
        (**self).open(method, request)
    }
}

impl<S: Service + ?Sized> Service for Box<S> {
    fn info(&self) -> &'static ServiceInfo {
        (**self).info()
    }

    fn call(&self, method: usize, request: Request<'_>) -> Outcome {
        (**self).call(method, request)
    }

    fn open<'s>(
        &'s self,
        method: usize,
        request: Request<'_>,
    ) -> Result<Box<dyn Produce + 's>, Outcome> {
        (**self).open(method, request)
    }
}

/// A call as it came: its arguments, not yet decoded, and what runs it.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    /// The arguments.
    pub body: &'r [u8],
    /// The blobs, which the arguments name by their index.
    pub blobs: &'r [Frame],
    /// How the arguments are encoded.
    pub encoding: Encoding,
    /// What runs the call.
    pub running: &'r dyn Running,
}

impl<'r> Request<'r> {
    /// The arguments, one after the other.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where they are not an array in MessagePack.
    pub fn arguments(&self) -> Result<Arguments<'r>, Status> {
        if self.encoding != Encoding::MessagePack {
            return Err(self.refused("arguments in MessagePack"));
        }
        Arguments::new(self.body, self.blobs)
    }

    /// The bytes of a method that has an encoding of its own.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where they are not raw.
    pub fn raw(&self) -> Result<&'r [u8], Status> {
        if self.encoding != Encoding::Raw {
            return Err(self.refused("raw bytes"));
        }
        Ok(self.body)
    }

    #[cold]
    fn refused(&self, wanted: &str) -> Status {
        let path = self.running.method().path;
        Status::invalid_argument(match self.encoding {
            Encoding::MessagePack => {
                format!("{path} takes {wanted}: arguments in MessagePack came")
            }
            Encoding::Raw => format!("{path} takes {wanted}: raw bytes came"),
            Encoding::Other(number) => {
                format!(
                    "{path} takes {wanted}: bytes in encoding {number}, which is not known, came"
                )
            }
        })
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.running.method().path)
            .field("body_bytes", &self.body.len())
            .field("blobs", &self.blobs.len())
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

/// How a call came out.
#[derive(Debug)]
pub enum Outcome {
    /// With this answer; what a method without an answer gives is the empty value.
    Answer(Payload),
    /// With an error.
    Failed {
        /// What went wrong.
        status: Status,
        /// The method's own error, encoded, if it gave one; boxed, as next to no outcome has one.
        typed: Option<Box<Payload>>,
        /// Whether the handler ran.
        ran: Ran,
    },
    /// Not yet: the handler has taken the [`Deferred`](super::Deferred) of the call.
    Later,
}

impl Outcome {
    /// The empty value.
    pub fn nothing() -> Self {
        let mut encoder = Encoder::answer();
        encoder.put_optional_bytes(None);
        Outcome::Answer(encoder.finish())
    }

    /// An error before the handler ran.
    pub fn refused(status: Status) -> Self {
        Outcome::Failed {
            status,
            typed: None,
            ran: Ran::No,
        }
    }

    /// An error that the handler gave, or that was found after it had run.
    pub fn failed(status: Status) -> Self {
        Outcome::Failed {
            status,
            typed: None,
            ran: Ran::Yes,
        }
    }
}
