//! Answers given later, from any thread.
//!
//! A handler that takes a [`Responder`] returns at once, and its worker serves other calls.
//!
//! # Invariants
//!
//! 1. A [`Deferred`] finishes its call exactly once: by [`finish`](Deferred::finish), which takes
//!    it, or by being dropped. (test `a_responder_that_is_dropped_answers_that_it_was`)

use std::fmt;
use std::time::{Duration, Instant};

use super::{MethodInfo, Outcome};
use crate::Status;

/// Finishes one call, for whoever runs it: the server, or a test.
pub trait Answerer: Send {
    /// Ends the call.
    fn finish(self: Box<Self>, outcome: Outcome);
    /// Whether nobody waits for the answer any more.
    fn is_cancelled(&self) -> bool;
    /// When the caller gives up.
    fn deadline(&self) -> Instant;
}

/// A call that is to be finished later.
///
/// Dropped unfinished, it ends the call with `INTERNAL`: the caller learns at once what it would
/// otherwise learn at its deadline.
#[must_use = "dropping it ends the call with an error"]
pub struct Deferred(Option<Box<dyn Answerer>>);

impl Deferred {
    /// A call that this one finishes.
    pub fn new(answerer: impl Answerer + 'static) -> Self {
        Deferred(Some(Box::new(answerer)))
    }

    /// Ends the call. [`Outcome::Later`] stands for nothing here, and ends it with `INTERNAL`.
    pub fn finish(mut self, outcome: Outcome) {
        let Some(answerer) = self.0.take() else {
            return;
        };
        answerer.finish(match outcome {
            Outcome::Later => Outcome::failed(Status::internal("the handler gave no answer")),
            outcome => outcome,
        });
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_none_or(|call| call.is_cancelled())
    }

    /// When the caller gives up.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.as_ref().map(|call| call.deadline())
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        if let Some(answerer) = self.0.take() {
            let why = if std::thread::panicking() {
                "the handler panicked before it answered"
            } else {
                "the handler dropped its responder"
            };
            answerer.finish(Outcome::failed(Status::internal(why)));
        }
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").finish_non_exhaustive()
    }
}

/// The last argument of a method that is answered later, perhaps from another thread.
///
/// ```
/// use std::thread;
///
/// use brokerless::service::Responder;
///
/// #[brokerless::service(name = "later.v1")]
/// trait Later {
///     fn slow(&self, x: i64, answer: Responder<i64>);
///     fn risky(&self, x: i64, answer: Responder<Result<i64, String>>);
/// }
///
/// struct Elsewhere;
///
/// impl Later for Elsewhere {
///     fn slow(&self, x: i64, answer: Responder<i64>) {
///         thread::spawn(move || answer.send(x * 2));
///     }
///     fn risky(&self, x: i64, answer: Responder<Result<i64, String>>) {
///         answer.send(x.checked_mul(2).ok_or_else(|| "too large".to_owned()));
///     }
/// }
/// ```
///
/// The caller sees a method that returns `i64`. Dropped without an answer, it ends the call with
/// `INTERNAL`.
#[must_use = "dropping it ends the call with an error"]
pub struct Responder<T> {
    deferred: Deferred,
    method: &'static MethodInfo,
    encode: fn(&'static MethodInfo, T) -> Outcome,
}

impl<T> Responder<T> {
    #[doc(hidden)]
    pub fn new(
        deferred: Deferred,
        method: &'static MethodInfo,
        encode: fn(&'static MethodInfo, T) -> Outcome,
    ) -> Self {
        Responder {
            deferred,
            method,
            encode,
        }
    }

    /// Answers the call.
    ///
    /// Nothing tells whether the caller still waits; see [`is_cancelled`](Responder::is_cancelled).
    pub fn send(self, value: T) {
        self.deferred.finish((self.encode)(self.method, value));
    }

    /// Ends the call with this error, whatever the method's own is.
    pub fn fail(self, status: Status) {
        self.deferred.finish(Outcome::failed(status));
    }

    /// Whether nobody waits for the answer any more: the caller has cancelled the call, or is gone.
    pub fn is_cancelled(&self) -> bool {
        self.deferred.is_cancelled()
    }

    /// How long it is until the caller gives up; zero once it has.
    pub fn time_left(&self) -> Duration {
        let deadline = self.deferred.deadline();
        deadline.map_or(Duration::ZERO, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        })
    }
}

impl<T> fmt::Debug for Responder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("method", &self.method.path)
            .finish_non_exhaustive()
    }
}
