//! How a call that streams is begun.

use super::{Duplex, Feed, Finish, ReadItem, Sink, Stream, WriteItem};
use crate::client::{Call, Client};
use crate::service::MethodInfo;
use crate::wire::{EncodeError, Payload};
use crate::{CallError, Ran, RpcError, Status};

impl Client {
    /// Calls a method that gives items. `finish` reads what follows them: `nil`, or an error.
    #[doc(hidden)]
    pub fn open<T, E>(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        read: ReadItem<T>,
        finish: Finish<(), E>,
    ) -> Result<Stream<T, E>, CallError<E>> {
        let _ = (options, arguments);
        let _ = Stream::new(self.clone(), read, finish);
        Err(not_yet(method))
    }

    /// Calls a method that takes items, and gives a value in the end.
    #[doc(hidden)]
    pub fn feed<I, T, E>(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        write: WriteItem<I>,
        finish: Finish<T, E>,
    ) -> Result<Sink<I, T, E>, CallError<E>> {
        let _ = (options, arguments);
        let _ = Sink::new(Feed::new(self.clone(), write), finish);
        Err(not_yet(method))
    }

    /// Calls a method that takes items and gives items. `finish` reads what follows them: `nil`,
    /// or an error.
    #[doc(hidden)]
    pub fn duplex<I, O, E>(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        write: WriteItem<I>,
        read: ReadItem<O>,
        finish: Finish<(), E>,
    ) -> Result<Duplex<I, O, E>, CallError<E>> {
        let _ = (options, arguments);
        let feed = Feed::new(self.clone(), write);
        let _ = Duplex::new(feed, Stream::new(self.clone(), read, finish));
        Err(not_yet(method))
    }
}

fn not_yet<E>(method: &MethodInfo) -> CallError<E> {
    let message = format!("{} streams, and nothing streams yet", method.path);
    RpcError::new(Status::unimplemented(message), Ran::No).into()
}
