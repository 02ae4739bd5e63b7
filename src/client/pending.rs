//! A call in flight, in its caller's hands.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::Client;
use super::answer::Answer;
use super::core::Begun;
use super::group::Group;
use crate::{CallError, Ran, RpcError, Status};

/// A call in flight: wait for it, look at it, or drop it, which cancels it.
///
/// ```no_run
/// # use std::convert::Infallible;
/// # use brokerless::client::Pending;
/// # fn begin() -> Pending<i64> { unimplemented!() }
/// let (mut first, second) = (begin(), begin());
/// if let Some(sum) = first.try_wait() {
///     println!("already here: {}", sum?);
/// }
/// println!("and the other: {}", second.wait()?);
/// # Ok::<(), brokerless::CallError>(())
/// ```
#[must_use = "dropping it cancels the call"]
pub struct Pending<T, E = std::convert::Infallible> {
    client: Client,
    begun: Begun,
    finish: fn(&Answer) -> Result<T, CallError<E>>,
    done: bool,
    /// Its end goes over a channel.
    diverted: AtomicBool,
}

impl<T, E> Pending<T, E> {
    pub(super) fn new(
        client: Client,
        begun: Begun,
        finish: fn(&Answer) -> Result<T, CallError<E>>,
    ) -> Self {
        Pending {
            client,
            begun,
            finish,
            done: false,
            diverted: AtomicBool::new(false),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn begun(&self) -> &Begun {
        &self.begun
    }

    pub(crate) fn began(&self) -> Instant {
        self.begun.began()
    }

    /// Whether it is harmless to run it twice, by its method or its options.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.begun.is_idempotent()
    }

    /// Lets the call be waited for with others. False if its end has been given out.
    pub(super) fn join(&self, group: &Arc<Group>, at: u32) -> bool {
        !self.done && self.begun.join(group, at)
    }

    /// The end, if it was put into its slot while it was waited for with others.
    pub(super) fn take_put(&mut self) -> Option<Answer> {
        let answer = self.client.core().take_put(&self.begun)?;
        self.done = true;
        Some(answer)
    }

    /// The end at the deadline, which has passed; or what the call is where its end has been given
    /// out before.
    pub(super) fn give_out(&mut self) -> Answer {
        if self.done || !self.begun.part() {
            self.done = true;
            return Answer::ended(given_out_already());
        }
        self.done = true;
        self.client.core().finish(&self.begun)
    }

    /// Gives the call up: what it came to.
    pub(super) fn give_up(&mut self) -> Answer {
        if self.done {
            return Answer::ended(given_out_already());
        }
        self.done = true;
        self.client.core().give_up(&self.begun)
    }

    /// What an answer means.
    pub(super) fn read(&self, answer: &Answer) -> Result<T, CallError<E>> {
        (self.finish)(answer)
    }

    /// Waits until the call has ended.
    ///
    /// # Errors
    ///
    /// What kept the call from its answer, or the method's own error; also if its end has been
    /// given out already.
    ///
    /// # Blocking
    ///
    /// By the call's deadline at the latest.
    pub fn wait(mut self) -> Result<T, CallError<E>> {
        if self.done || self.diverted.load(Ordering::Relaxed) {
            return Err(given_out_already().into());
        }
        self.done = true;
        let answer = self.client.core().finish(&self.begun);
        (self.finish)(&answer)
    }

    /// Waits, but no longer than this; `None` if the call is still in flight then, or if its end
    /// has been given out already.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<T, CallError<E>>> {
        if self.done || self.diverted.load(Ordering::Relaxed) {
            return None;
        }
        let until = Instant::now().checked_add(timeout);
        if until.is_none_or(|until| until >= self.begun.deadline()) {
            self.done = true;
            let answer = self.client.core().finish(&self.begun);
            return Some((self.finish)(&answer));
        }
        let answer = self.client.core().look(&self.begun, until)?;
        self.done = true;
        self.client.core().ended(&self.begun, &answer);
        Some((self.finish)(&answer))
    }

    /// The call's end, if it is there.
    pub fn try_wait(&mut self) -> Option<Result<T, CallError<E>>> {
        self.wait_timeout(Duration::ZERO)
    }

    /// Gives the call up: it is recalled if it was not sent yet, and the node is told if it was.
    pub fn cancel(self) {
        drop(self);
    }

    /// A channel that gives the call's end, for `crossbeam_channel::select!`; what it gives is
    /// decoded with [`finish`](Self::finish). At the deadline it gives that error.
    ///
    /// Asked for a second time, the first channel gives nothing any more.
    ///
    /// ```
    /// # use brokerless::client::{Answer, Pending};
    /// # use crossbeam_channel::select;
    /// fn first(a: Pending<i64>, b: Pending<i64>) -> Result<i64, brokerless::CallError> {
    ///     select! {
    ///         recv(a.receiver()) -> answer => a.finish(answer.expect("it gives one end")),
    ///         recv(b.receiver()) -> answer => b.finish(answer.expect("it gives one end")),
    ///     }
    /// }
    /// ```
    pub fn receiver(&self) -> Receiver<Answer> {
        self.diverted.store(true, Ordering::Relaxed);
        self.client.core().receiver(&self.begun)
    }

    /// Decodes what [`receiver`](Self::receiver) gave.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn finish(mut self, answer: Answer) -> Result<T, CallError<E>> {
        self.done = true;
        self.client.core().ended(&self.begun, &answer);
        (self.finish)(&answer)
    }
}

fn given_out_already() -> RpcError {
    let status = Status::failed_precondition(
        "the call's end has been given out, or goes over its channel: finish what that gives",
    );
    RpcError::new(status, Ran::Maybe)
}

impl<T, E> Drop for Pending<T, E> {
    fn drop(&mut self) {
        if !self.done {
            self.client.core().cancel(&self.begun);
        }
    }
}

impl<T, E> fmt::Debug for Pending<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("path", &self.begun.path())
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
