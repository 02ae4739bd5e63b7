//! Code that runs around every call: checks, logs, measures, answers in its place.

use std::sync::Arc;

use crate::service::{Outcome, Request, Service};

/// Runs around every call of a server, on the thread that runs its handler.
///
/// The one added first is outermost. It may look at the request, answer in the handler's place, or
/// look at what came out. A panic in it counts as one of the handler's.
///
/// Of a method that sends items it surrounds the opening: [`Outcome::Later`] stands for items that
/// follow, and any other outcome in its place ends the call without them.
///
/// Functions are interceptors:
///
/// ```
/// use brokerless::Status;
/// use brokerless::server::{Next, Server};
/// use brokerless::service::{Outcome, Request};
///
/// let server = Server::builder().interceptor(|request: Request<'_>, next: Next<'_>| {
///     match request.running.metadata().get("tenant") {
///         Some(_) => next.run(request),
///         None => Outcome::refused(Status::unauthenticated("metadata tenant is missing")),
///     }
/// });
/// # let _ = server;
/// ```
pub trait Interceptor: Send + Sync + 'static {
    /// Runs the call, or ends it otherwise. [`Outcome::Later`] is passed on as it is.
    fn intercept(&self, request: Request<'_>, next: Next<'_>) -> Outcome;
}

impl<F> Interceptor for F
where
    F: Fn(Request<'_>, Next<'_>) -> Outcome + Send + Sync + 'static,
{
    fn intercept(&self, request: Request<'_>, next: Next<'_>) -> Outcome {
        self(request, next)
    }
}

/// What comes after an interceptor: the next one, and at last the handler.
#[must_use = "the call runs only if this does"]
pub struct Next<'n> {
    rest: &'n [Arc<dyn Interceptor>],
    handler: &'n dyn Handler,
}

/// What is innermost.
pub(super) trait Handler {
    fn run(&self, request: Request<'_>) -> Outcome;
}

/// A method that is called.
pub(super) struct Calling<'s> {
    pub(super) service: &'s dyn Service,
    /// Its index in the service.
    pub(super) index: usize,
}

impl Handler for Calling<'_> {
    fn run(&self, request: Request<'_>) -> Outcome {
        self.service.call(self.index, request)
    }
}

impl<'n> Next<'n> {
    pub(super) fn new(rest: &'n [Arc<dyn Interceptor>], handler: &'n dyn Handler) -> Self {
        Next { rest, handler }
    }

    /// Goes on with the call.
    pub fn run(self, request: Request<'_>) -> Outcome {
        match self.rest {
            [] => self.handler.run(request),
            [first, rest @ ..] => first.intercept(request, Next { rest, ..self }),
        }
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next")
            .field("interceptors", &self.rest.len())
            .finish_non_exhaustive()
    }
}
