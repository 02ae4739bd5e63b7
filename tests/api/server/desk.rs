//! The service that the tests call: handlers that say when they run, and end when they are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use brokerless::patterns::Frame;
use brokerless::service::{
    ArgumentInfo, Context, Deferred, MethodInfo, Outcome, Request, Service, ServiceInfo,
};
use brokerless::wire::{Encoder, Payload};
use brokerless::{Blob, Code, Ran, Status, deadline};
use crossbeam_channel::{Receiver, Sender, unbounded};

use super::support::PATIENCE;

const fn argument(name: &'static str, type_name: &'static str) -> ArgumentInfo {
    ArgumentInfo {
        name,
        type_name,
        default: false,
    }
}

static NUMBER: [ArgumentInfo; 1] = [argument("number", "u64")];
static TEXT: [ArgumentInfo; 1] = [argument("text", "&str")];
static DATA: [ArgumentInfo; 1] = [argument("data", "Blob")];

static METHODS: [MethodInfo; 15] = [
    MethodInfo::new("echo", "desk.v1.echo")
        .arguments(&TEXT)
        .inline(),
    MethodInfo::new("block", "desk.v1.block").arguments(&NUMBER),
    MethodInfo::new("block_disk", "desk.v1.block_disk")
        .arguments(&NUMBER)
        .pool("disk"),
    MethodInfo::new("panic", "desk.v1.panic"),
    MethodInfo::new("later", "desk.v1.later")
        .arguments(&NUMBER)
        .later(),
    MethodInfo::new("until_cancelled", "desk.v1.until_cancelled").arguments(&NUMBER),
    MethodInfo::new("zeros", "desk.v1.zeros")
        .arguments(&NUMBER)
        .inline(),
    MethodInfo::new("left", "desk.v1.left").inline(),
    MethodInfo::new("note", "desk.v1.note")
        .arguments(&TEXT)
        .oneway()
        .inline(),
    MethodInfo::new("fail", "desk.v1.fail"),
    MethodInfo::new("whoami", "desk.v1.whoami").inline(),
    MethodInfo::new("quick", "desk.v1.quick").arguments(&NUMBER),
    MethodInfo::new("typed", "desk.v1.typed").error("String"),
    MethodInfo::new("measure", "desk.v1.measure")
        .arguments(&DATA)
        .inline(),
    MethodInfo::new("tenant", "desk.v1.tenant").inline(),
];
static ABOUT: ServiceInfo = ServiceInfo::new("desk.v1", &METHODS).docs("For tests.");

/// What a test holds of the service.
pub(crate) struct Desk {
    /// The numbers of handlers that have begun, in order.
    pub(crate) begun: Receiver<u64>,
    /// One handler of those that block ends for each.
    pub(crate) leave: Sender<()>,
    /// Calls of `later`.
    pub(crate) deferred: Receiver<Deferred>,
    /// Numbers of handlers that saw that they were cancelled.
    pub(crate) cancelled: Receiver<u64>,
    /// What `note` was given.
    pub(crate) notes: Receiver<String>,
}

impl Desk {
    /// Waits for the next handler that begins.
    #[track_caller]
    pub(crate) fn next_begun(&self) -> u64 {
        self.begun.recv_timeout(PATIENCE).expect("no handler began")
    }

    /// Lets one handler that blocks end.
    pub(crate) fn let_go(&self) {
        self.leave.send(()).expect("no handler is left");
    }
}

pub(crate) struct DeskServer {
    begun: Sender<u64>,
    leave: Receiver<()>,
    deferred: Sender<Deferred>,
    cancelled: Sender<u64>,
    notes: Sender<String>,
}

/// A service, and what it is watched by.
pub(crate) fn desk() -> (Arc<DeskServer>, Desk) {
    let (begun, begun_seen) = unbounded();
    let (leave_told, leave) = unbounded();
    let (deferred, deferred_seen) = unbounded();
    let (cancelled, cancelled_seen) = unbounded();
    let (notes, notes_seen) = unbounded();
    let service = DeskServer {
        begun,
        leave,
        deferred,
        cancelled,
        notes,
    };
    let desk = Desk {
        begun: begun_seen,
        leave: leave_told,
        deferred: deferred_seen,
        cancelled: cancelled_seen,
        notes: notes_seen,
    };
    (Arc::new(service), desk)
}

pub(crate) fn value<T: serde::Serialize>(value: &T) -> Payload {
    let mut encoder = Encoder::answer();
    encoder.put(value).expect("a value that can be encoded");
    encoder.finish()
}

impl DeskServer {
    fn run(&self, method: usize, request: Request<'_>) -> Result<Payload, Outcome> {
        let info = &METHODS[method];
        let context = Context::new(request.running);
        let mut arguments = request.arguments().map_err(Outcome::refused)?;
        let argument = info.arguments.first();
        let mut number = || -> Result<u64, Outcome> {
            let info = argument.expect("a method with a number");
            arguments.take(info).map_err(Outcome::refused)
        };
        Ok(match info.name {
            "echo" => {
                let text: &str = arguments.take(&TEXT[0]).map_err(Outcome::refused)?;
                value(&text)
            }
            "block" | "block_disk" => {
                let number = number()?;
                let _ = self.begun.send(number);
                let _ = self.leave.recv_timeout(PATIENCE);
                value(&number)
            }
            // As a panic, without the message and the backtrace.
            "panic" => std::panic::resume_unwind(Box::new("as handlers do")),
            "later" => {
                number()?;
                let _ = self.deferred.send(request.running.defer());
                return Err(Outcome::Later);
            }
            "until_cancelled" => {
                let number = number()?;
                let _ = self.begun.send(number);
                let end = Instant::now() + PATIENCE;
                while !context.is_cancelled() && Instant::now() < end {
                    std::thread::yield_now();
                }
                let _ = self.cancelled.send(number);
                value(&number)
            }
            "zeros" => {
                let mut encoder = Encoder::answer();
                encoder.put_blob(&Blob::from(vec![0; number()? as usize]));
                encoder.finish()
            }
            "left" => {
                let inherited = deadline::current().expect("handlers have a deadline");
                assert_eq!(inherited, context.deadline());
                let left = inherited.saturating_duration_since(Instant::now());
                value(&(left.as_millis() as u64))
            }
            "note" => {
                let text: String = arguments.take(&TEXT[0]).map_err(Outcome::refused)?;
                let _ = self.notes.send(text);
                value(&())
            }
            "fail" => {
                let status = Status::not_found("no such thing")
                    .with_details(Frame::from("details"))
                    .with_retry_after(Duration::from_millis(7));
                return Err(Outcome::failed(status));
            }
            "whoami" => value(&context.caller().name()),
            "quick" => value(&number()?),
            "typed" => {
                return Err(Outcome::Failed {
                    status: Status::new(Code::Unknown, "typed"),
                    typed: Some(Box::new(value(&"its own"))),
                    ran: Ran::Yes,
                });
            }
            "measure" => {
                let blob = arguments.take_blob(&DATA[0]).map_err(Outcome::refused)?;
                value(&(blob.len() as u64))
            }
            "tenant" => value(&context.metadata().get("tenant")),
            other => unreachable!("{other} has no handler"),
        })
    }
}

impl Service for DeskServer {
    fn info(&self) -> &'static ServiceInfo {
        &ABOUT
    }

    fn call(&self, method: usize, request: Request<'_>) -> Outcome {
        match self.run(method, request) {
            Ok(payload) => Outcome::Answer(payload),
            Err(outcome) => outcome,
        }
    }
}
