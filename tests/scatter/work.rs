//! The service that the tests call.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use brokerless::service::Context;
use brokerless::{Status, scatter};
use parking_lot::{Condvar, Mutex};

use crate::support::PATIENCE;

#[brokerless::service(name = "work.v1")]
pub(crate) trait Work {
    /// Its square.
    #[rpc(idempotent)]
    fn square(&self, x: u64) -> u64;
    /// The same, and it is not harmless to run it twice.
    fn once(&self, x: u64) -> u64;
    /// The same, for even numbers; an error of its own for others.
    fn even(&self, x: u64) -> Result<u64, String>;
    /// The same, for even numbers; a status for others.
    fn picky(&self, x: u64) -> Result<u64, Status>;
    /// Begins, and ends once the worker is open or the call is cancelled.
    #[rpc(idempotent)]
    fn hold(&self, ctx: &Context<'_>, x: u64) -> u64;
    /// The length of the text.
    #[rpc(idempotent)]
    fn length(&self, text: &str) -> u64;
    /// The sum of the squares below, by scattering over the pool there; microseconds left.
    fn nested(&self, ctx: &Context<'_>, below: u64) -> Result<(u64, u64), Status>;
    /// Microseconds left.
    #[rpc(idempotent)]
    fn left(&self, ctx: &Context<'_>, x: u64) -> u64;
    /// Which process it is.
    #[rpc(idempotent)]
    fn pid(&self) -> u32;
}

#[derive(Default)]
struct State {
    is_open: bool,
    begun: u64,
    cancelled: u64,
    runs: BTreeMap<u64, u32>,
}

/// A worker.
#[derive(Default)]
pub(crate) struct Worker {
    state: Mutex<State>,
    news: Condvar,
    /// How long a square takes it.
    pause: Duration,
    pub(crate) there: Mutex<Option<WorkClient>>,
}

impl Worker {
    /// One that a square takes so long.
    pub(crate) fn slow(pause: Duration) -> Worker {
        Worker {
            pause,
            ..Worker::default()
        }
    }

    /// Lets what is held end, and all that comes.
    pub(crate) fn open(&self) {
        self.state.lock().is_open = true;
        self.news.notify_all();
    }

    #[track_caller]
    pub(crate) fn has_begun(&self, calls: u64) {
        self.wait("calls that have begun", |state| state.begun >= calls);
    }

    #[track_caller]
    pub(crate) fn has_cancelled(&self, calls: u64) {
        self.wait("calls that are cancelled", |state| state.cancelled >= calls);
    }

    /// How often each task has run.
    pub(crate) fn runs(&self) -> BTreeMap<u64, u32> {
        self.state.lock().runs.clone()
    }

    #[track_caller]
    fn wait(&self, what: &str, so: impl Fn(&State) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        while !so(&state) {
            let timed_out = self.news.wait_until(&mut state, end).timed_out();
            assert!(!timed_out, "not in time: {what}, {} begun", state.begun);
        }
    }

    fn ran(&self, x: u64) {
        let mut state = self.state.lock();
        *state.runs.entry(x).or_default() += 1;
        // Nobody rings: it is the time that is waited for.
        let end = Instant::now() + self.pause;
        while !self.pause.is_zero() && !self.news.wait_until(&mut state, end).timed_out() {}
    }
}

impl Work for Worker {
    fn square(&self, x: u64) -> u64 {
        self.ran(x);
        x * x
    }

    fn once(&self, x: u64) -> u64 {
        self.ran(x);
        x * x
    }

    fn even(&self, x: u64) -> Result<u64, String> {
        self.ran(x);
        match x % 2 {
            0 => Ok(x * x),
            _ => Err(format!("{x} is odd")),
        }
    }

    fn picky(&self, x: u64) -> Result<u64, Status> {
        self.even(x).map_err(Status::invalid_argument)
    }

    fn hold(&self, ctx: &Context<'_>, x: u64) -> u64 {
        let mut state = self.state.lock();
        state.begun += 1;
        self.news.notify_all();
        let end = Instant::now() + PATIENCE;
        while !state.is_open && !ctx.is_cancelled() && Instant::now() < end {
            self.news.wait_for(&mut state, Duration::from_millis(1));
        }
        state.cancelled += u64::from(ctx.is_cancelled());
        self.news.notify_all();
        x
    }

    fn length(&self, text: &str) -> u64 {
        text.len() as u64
    }

    fn nested(&self, ctx: &Context<'_>, below: u64) -> Result<(u64, u64), Status> {
        let there = self.there.lock().clone();
        let there = there.ok_or_else(|| Status::failed_precondition("there is no pool"))?;
        let running = scatter(0..below)
            .over(&there)
            .run(|work, x| work.begin().square(*x));
        let running = running.map_err(|error| Status::internal(error.to_string()))?;
        let sum = running.gather().into_values()?.into_iter().sum();
        Ok((sum, ctx.time_left().as_micros() as u64))
    }

    fn left(&self, ctx: &Context<'_>, _x: u64) -> u64 {
        ctx.time_left().as_micros() as u64
    }

    fn pid(&self) -> u32 {
        std::process::id()
    }
}
