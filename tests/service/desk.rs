//! What runs a call here: it shows the handler its context, and waits for a late answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brokerless::Metadata;
use brokerless::patterns::Frame;
use brokerless::service::{
    Answerer, Caller, Deferred, MethodInfo, Outcome, RawIncoming, Request, Running, Service,
    ServiceInfo,
};
use brokerless::wire::{Encoding, Payload};
use crossbeam_channel::{Receiver, Sender, unbounded};

/// How long an answer from another thread may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one call.
pub(crate) struct Desk {
    pub(crate) caller: Caller,
    pub(crate) metadata: Metadata,
    pub(crate) cancelled: AtomicBool,
    pub(crate) incoming: Mutex<Option<RawIncoming>>,
    service: &'static ServiceInfo,
    method: &'static MethodInfo,
    late: (Sender<Outcome>, Receiver<Outcome>),
}

impl Desk {
    pub(crate) fn new(service: &'static ServiceInfo, index: usize) -> Self {
        const NONE: &MethodInfo = &MethodInfo::new("none", "none");
        Desk {
            caller: Caller::new(7).named("ann").at("tcp://127.0.0.1:1"),
            metadata: Metadata::new(),
            cancelled: AtomicBool::new(false),
            incoming: Mutex::new(None),
            service,
            method: service.methods.get(index).unwrap_or(NONE),
            late: unbounded(),
        }
    }

    /// How the method at this index answers these bytes, now or later.
    pub(crate) fn run(&self, service: &dyn Service, index: usize, asked: &Payload) -> Outcome {
        let mut request = self.request(&asked.body, &asked.blobs);
        request.encoding = self.method.encoding;
        let outcome = service.call(index, request);
        match outcome {
            Outcome::Later => self.late(),
            outcome => outcome,
        }
    }

    /// A request of these bytes.
    pub(crate) fn request<'r>(&'r self, body: &'r [u8], blobs: &'r [Frame]) -> Request<'r> {
        Request {
            body,
            blobs,
            encoding: Encoding::MessagePack,
            running: self,
        }
    }

    /// The answer that is given later.
    pub(crate) fn late(&self) -> Outcome {
        let late = self.late.1.recv_timeout(PATIENCE);
        late.expect("a late answer")
    }

    /// Whether a late answer is there that nobody has taken.
    pub(crate) fn has_late(&self) -> bool {
        !self.late.1.is_empty()
    }
}

impl Running for Desk {
    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn deadline(&self) -> Instant {
        Instant::now() + PATIENCE
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn service(&self) -> &'static ServiceInfo {
        self.service
    }

    fn method(&self) -> &'static MethodInfo {
        self.method
    }

    fn defer(&self) -> Deferred {
        Deferred::new(Later(self.late.0.clone()))
    }

    fn incoming(&self) -> Option<RawIncoming> {
        self.incoming.lock().expect("no panic").take()
    }
}

struct Later(Sender<Outcome>);

impl Answerer for Later {
    fn finish(self: Box<Self>, outcome: Outcome) {
        self.0.send(outcome).expect("the desk is there");
    }

    fn is_cancelled(&self) -> bool {
        false
    }

    fn deadline(&self) -> Instant {
        Instant::now() + PATIENCE
    }
}
