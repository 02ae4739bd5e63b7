//! The service that most tests call: handlers that say when they run, and end when they are told.

use std::time::{Duration, Instant};

use brokerless::client::Call;
use brokerless::service::{Context, Responder};
use brokerless::{Blob, CallError, Code, Status};
use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};

use crate::support::PATIENCE;

#[brokerless::service(name = "desk.v1")]
pub(crate) trait Desk {
    /// Nothing, for nothing.
    #[rpc(inline, idempotent)]
    fn empty(&self);
    /// A blob of that many bytes.
    fn large(&self, data: Blob, wanted: u64) -> Blob;
    /// The bytes, in the body.
    fn bytes(&self, data: &[u8]) -> Vec<u8>;
    /// The blobs, in reverse order.
    fn turn(&self, data: Vec<Blob>) -> Vec<Blob>;
    /// What came under these keys: text, and bytes.
    fn metadata(&self, ctx: &Context<'_>, text: &str, bytes: &str) -> (Option<String>, Vec<u8>);
    /// Who calls.
    fn caller(&self, ctx: &Context<'_>) -> String;
    /// From where.
    fn address(&self, ctx: &Context<'_>) -> Option<String>;
    /// This status, with details and a time to wait if asked for.
    fn fail(&self, code: u8, message: &str, full: bool) -> Result<(), Status>;
    fn add(&self, x: i64, y: i64) -> i64;
    /// The same number, from where calls of this user go.
    #[rpc(inline, idempotent, key = "user")]
    fn whose(&self, number: u64, user: &str) -> u64;
    /// Begins, and ends once the desk is open or the call is cancelled: whether it was.
    fn hold(&self, ctx: &Context<'_>) -> bool;
    /// The same, with a timeout of its own.
    #[rpc(timeout = "1s")]
    fn hold_short(&self, ctx: &Context<'_>) -> bool;
    /// Microseconds that are left of the call.
    fn left(&self, ctx: &Context<'_>) -> u64;
    /// What `left` of the desk there says, asked for with this timeout.
    fn left_there(&self, timeout_ms: u64) -> Result<u64, Status>;
    /// How `hold` of the desk there ended.
    fn hold_there(&self) -> Result<bool, Status>;
    /// Twice as much, from another thread.
    fn later(&self, x: i64, answer: Responder<i64>);
    /// Drops its responder.
    fn never(&self, answer: Responder<i64>);
    #[rpc(oneway)]
    fn note(&self, line: &str);
    /// The bytes in reverse order.
    #[rpc(raw)]
    fn raw(&self, data: &[u8]) -> Vec<u8>;
    /// Panics.
    fn panic(&self);
}

#[derive(Default)]
struct State {
    is_open: bool,
    begun: u64,
    cancelled: u64,
    ended: u64,
}

/// The desk's handlers.
#[derive(Default)]
pub(crate) struct Handler {
    state: Mutex<State>,
    news: Condvar,
    pub(crate) lines: Mutex<Vec<String>>,
    /// Another desk, which handlers of this one call.
    pub(crate) there: Mutex<Option<DeskClient>>,
    /// Told how a call of a handler's own ended.
    pub(crate) told: Mutex<Option<Sender<CallError>>>,
}

impl Handler {
    /// Lets what is held end, and all that comes.
    pub(crate) fn open(&self) {
        self.state.lock().is_open = true;
        self.news.notify_all();
    }

    /// Waits until so many have begun to be held.
    #[track_caller]
    pub(crate) fn has_begun(&self, calls: u64) {
        self.wait("calls that have begun", |state| state.begun >= calls);
    }

    /// Waits until so many have seen that they are cancelled.
    #[track_caller]
    pub(crate) fn has_cancelled(&self, calls: u64) {
        self.wait("calls that are cancelled", |state| state.cancelled >= calls);
    }

    pub(crate) fn begun(&self) -> u64 {
        self.state.lock().begun
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

    fn held(&self, is_cancelled: impl Fn() -> bool) -> bool {
        let mut state = self.state.lock();
        state.begun += 1;
        self.news.notify_all();
        let end = Instant::now() + PATIENCE;
        let cancelled = loop {
            if is_cancelled() {
                break true;
            }
            if state.is_open || Instant::now() > end {
                break false;
            }
            self.news.wait_for(&mut state, Duration::from_millis(1));
        };
        state.cancelled += u64::from(cancelled);
        state.ended += 1;
        self.news.notify_all();
        cancelled
    }

    fn there(&self) -> Result<DeskClient, Status> {
        let there = self.there.lock().clone();
        there.ok_or_else(|| Status::failed_precondition("there is no other desk"))
    }
}

impl Desk for Handler {
    fn empty(&self) {}

    fn large(&self, _data: Blob, wanted: u64) -> Blob {
        Blob::from(vec![7; wanted as usize])
    }

    fn bytes(&self, data: &[u8]) -> Vec<u8> {
        data.to_vec()
    }

    fn turn(&self, mut data: Vec<Blob>) -> Vec<Blob> {
        data.reverse();
        data
    }

    fn metadata(&self, ctx: &Context<'_>, text: &str, bytes: &str) -> (Option<String>, Vec<u8>) {
        let metadata = ctx.metadata();
        let bytes = metadata.get_bytes(bytes).unwrap_or_default();
        (metadata.get(text).map(str::to_owned), bytes.to_vec())
    }

    fn caller(&self, ctx: &Context<'_>) -> String {
        ctx.caller().name().to_owned()
    }

    fn address(&self, ctx: &Context<'_>) -> Option<String> {
        ctx.caller().address().map(str::to_owned)
    }

    fn fail(&self, code: u8, message: &str, full: bool) -> Result<(), Status> {
        let code = Code::from_number(code).ok_or_else(|| Status::internal("no such code"))?;
        let status = Status::new(code, message.to_owned());
        Err(if full {
            status
                .with_details(b"details".to_vec())
                .with_retry_after(Duration::from_millis(250))
        } else {
            status
        })
    }

    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn whose(&self, number: u64, user: &str) -> u64 {
        let _ = user;
        number
    }

    fn hold(&self, ctx: &Context<'_>) -> bool {
        self.held(|| ctx.is_cancelled())
    }

    fn hold_short(&self, ctx: &Context<'_>) -> bool {
        self.held(|| ctx.is_cancelled())
    }

    fn left(&self, ctx: &Context<'_>) -> u64 {
        ctx.time_left().as_micros() as u64
    }

    fn left_there(&self, timeout_ms: u64) -> Result<u64, Status> {
        let options = Call::new().timeout(Duration::from_millis(timeout_ms));
        Ok(self.there()?.with(options).left()?)
    }

    fn hold_there(&self) -> Result<bool, Status> {
        let ended = self.there()?.hold();
        if let (Err(error), Some(told)) = (&ended, &*self.told.lock()) {
            // The test may have seen enough.
            let _ = told.send(error.clone());
        }
        Ok(ended?)
    }

    fn later(&self, x: i64, answer: Responder<i64>) {
        std::thread::spawn(move || answer.send(2 * x));
    }

    fn never(&self, answer: Responder<i64>) {
        drop(answer);
    }

    fn note(&self, line: &str) {
        self.lines.lock().push(line.to_owned());
    }

    fn raw(&self, data: &[u8]) -> Vec<u8> {
        data.iter().rev().copied().collect()
    }

    fn panic(&self) {
        panic!("as a handler may");
    }
}
