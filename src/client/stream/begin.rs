//! How a call that streams is begun.

use std::sync::Arc;

use super::conduit::Conduit;
use super::line::Line;
use super::{Duplex, Feed, Finish, ReadItem, Sink, Stream, WriteItem};
use crate::client::wanted::Wanted;
use crate::client::{Call, Client, errors};
use crate::machine::Flow;
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
        let line = self.line(method, options, arguments, true, false)?;
        Ok(Stream::new(line, read, finish))
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
        let line = self.line(method, options, arguments, false, true)?;
        Ok(Sink::new(line, write, finish))
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
        let line = self.line(method, options, arguments, true, true)?;
        let feed = Feed::new(line.clone(), write, finish);
        Ok(Duplex::new(feed, Stream::new(line, read, finish)))
    }

    fn line(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        takes: bool,
        gives: bool,
    ) -> Result<Line, RpcError> {
        let payload = arguments.map_err(|error| errors::not_encoded(method.path, &error))?;
        let core = self.core();
        let settings = &core.settings;
        if settings.sessionless.is_some() {
            return Err(without_session(method.path));
        }
        let window = Flow::new(settings.stream_items.into(), settings.stream_bytes);
        let window = takes.then_some(window);
        let conduit = Arc::new(Conduit::new(window, gives, method.encoding, core));
        let mut wanted = Wanted::of(method, options);
        wanted.conduit = Some(conduit.clone());
        let begun = core.begin(wanted, options, payload)?;
        let item_timeout = options.item_timeout.or(method.item_timeout);
        let item_timeout = item_timeout.unwrap_or(settings.timeout);
        Ok(Line::new(self.clone(), begun, conduit, item_timeout))
    }
}

#[cold]
fn without_session(path: &str) -> RpcError {
    let message = format!(
        "{path} streams, which needs a session: leave out sessionless, and put bl-proxy where bl-queue stands"
    );
    RpcError::new(Status::failed_precondition(message), Ran::No)
}
