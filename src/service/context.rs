//! What a handler may ask about the call that it serves.
//!
//! A [`Context`] borrows from the server for the length of one call; it answers from what stands
//! there, so asking again shows what has changed, such as a cancellation.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Deferred, MethodInfo, RawIncoming, ServiceInfo};
use crate::Metadata;

/// The call that a handler serves: who asks, until when, and whether it is still wanted.
///
/// A method has one if its first argument asks for it; callers do not see that argument.
///
/// ```
/// use brokerless::service::Context;
///
/// #[brokerless::service(name = "search.v1")]
/// trait Search {
///     fn search(&self, ctx: &Context<'_>, text: &str) -> Vec<u64>;
/// }
///
/// struct Slow;
///
/// impl Search for Slow {
///     fn search(&self, ctx: &Context<'_>, text: &str) -> Vec<u64> {
///         let found = text.match_indices("needle").map(|(at, _)| at as u64);
///         found.take_while(|_| !ctx.is_cancelled()).collect()
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Context<'c>(&'c dyn Running);

impl<'c> Context<'c> {
    /// The context of what runs there.
    pub fn new(running: &'c dyn Running) -> Self {
        Context(running)
    }

    /// Who asks.
    pub fn caller(&self) -> &'c Caller {
        self.0.caller()
    }

    /// When the caller gives up.
    pub fn deadline(&self) -> Instant {
        self.0.deadline()
    }

    /// How long it is until then; zero once it has passed.
    pub fn time_left(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    /// Whether nobody waits for the answer any more: the caller has cancelled the call, or is gone.
    ///
    /// A handler that takes long asks now and then, and ends early. The deadline is not asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// What the caller has sent along.
    pub fn metadata(&self) -> &'c Metadata {
        self.0.metadata()
    }

    /// The service that is called.
    pub fn service(&self) -> &'static ServiceInfo {
        self.0.service()
    }

    /// The method that is called.
    pub fn method(&self) -> &'static MethodInfo {
        self.0.method()
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("method", &self.method().path)
            .field("caller", self.caller())
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A call that runs, as whoever runs it shows it to the handler: the server, or a test.
///
/// Handlers use it through [`Context`].
pub trait Running {
    /// Who asks.
    fn caller(&self) -> &Caller;
    /// When the caller gives up.
    fn deadline(&self) -> Instant;
    /// Whether nobody waits for the answer any more.
    fn is_cancelled(&self) -> bool;
    /// What the caller has sent along.
    fn metadata(&self) -> &Metadata;
    /// The service that is called.
    fn service(&self) -> &'static ServiceInfo;
    /// The method that is called.
    fn method(&self) -> &'static MethodInfo;
    /// Lets the call be answered after the handler has returned [`Outcome::Later`].
    ///
    /// Asked for at most once a call, and only where [`MethodInfo::later`] is set.
    ///
    /// [`Outcome::Later`]: super::Outcome::Later
    fn defer(&self) -> Deferred;
    /// The items that the caller sends: asked for at most once, when the arguments are known to be
    /// sound, since the caller may send from then on. Nothing where
    /// [`MethodInfo::items_in`] is not set. Default: nothing.
    fn incoming(&self) -> Option<RawIncoming> {
        None
    }
}

/// Who asks: one connection, and what it says of itself.
///
/// Names are claims: a connection is told from others by [`peer`](Caller::peer) only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    peer: u64,
    name: Arc<str>,
    address: Option<Arc<str>>,
}

impl Caller {
    /// The caller at the other end of this connection, of which nothing else is known.
    pub fn new(peer: u64) -> Self {
        Caller {
            peer,
            name: Arc::from(""),
            address: None,
        }
    }

    /// Sets the name that the caller announced. Default: none.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets where the connection comes from. Default: not known.
    #[must_use]
    pub fn at(mut self, address: impl Into<Arc<str>>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// The connection's number: never used again in this process.
    pub fn peer(&self) -> u64 {
        self.peer
    }

    /// The name that the caller announced, a claim; empty if it announced none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the connection comes from, as `host:port`; `None` over ipc and within the process.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}
