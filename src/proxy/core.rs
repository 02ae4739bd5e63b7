//! What the threads of a proxy share, and which calls it takes up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::leg::Leg;
use super::pause::Pause;
use crate::builtin::{Condition, HealthCheckClient};
use crate::client::{Client, Member, NodeState};
use crate::server::{Back, Fallback, Unread};
use crate::service::{Outcome, Passing};
use crate::status::Status;
use crate::wire::{ArgumentInfo, Arguments, Encoder, Encoding};

/// When a call that found no room is worth to be tried again.
const REST: Duration = Duration::from_millis(20);
/// The method of health that the proxy answers itself, where it is asked of the whole.
const CHECK: &str = "check";

/// What is counted, beside what the server and the client count.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Calls taken up and not yet answered.
    pub(super) held: AtomicU64,
    /// Their bytes.
    pub(super) held_bytes: AtomicU64,
    pub(super) passed: AtomicU64,
    pub(super) hops: AtomicU64,
}

/// What the threads share.
pub(super) struct Core {
    pub(super) name: String,
    pub(super) hops_max: u8,
    pub(super) waiting_max: usize,
    pub(super) bytes_max: u64,
    pub(super) client: OnceLock<Client>,
    pub(super) nodes: Mutex<Vec<Member>>,
    pub(super) pause: Pause,
    pub(super) counts: Counts,
    unread: Arc<Unread>,
    pub(super) since: Instant,
    leaving: AtomicBool,
}

impl Core {
    pub(super) fn new(
        name: String,
        hops_max: u8,
        waiting_max: usize,
        bytes_max: u64,
        nodes: Vec<Member>,
    ) -> Self {
        Core {
            name,
            hops_max,
            waiting_max,
            bytes_max,
            client: OnceLock::new(),
            nodes: Mutex::new(nodes),
            pause: Pause::default(),
            counts: Counts::default(),
            unread: Unread::new(bytes_max),
            since: Instant::now(),
            leaving: AtomicBool::new(false),
        }
    }

    /// The proxy is about to leave.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        // What is kept is to end by the drain, too.
        self.resume();
    }

    /// Leaves the nodes.
    pub(super) fn close(&self) {
        if let Some(client) = self.client.get() {
            client.leave();
        }
    }

    pub(super) fn condition(&self) -> Condition {
        if self.leaving.load(Ordering::SeqCst) {
            return Condition::Draining;
        }
        let standings = self.client.get().map(Client::standings);
        let up = |(_, state): &(_, NodeState)| *state == NodeState::Up;
        match standings.is_some_and(|nodes| nodes.iter().any(up)) {
            true => Condition::Serving,
            false => Condition::NotServing,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Why there is no room for another call.
    pub(super) fn is_full(&self, what: &str) -> Status {
        Status::resource_exhausted(format!("{}: {what}", self.shown())).with_retry_after(REST)
    }

    /// What it is called in messages.
    pub(super) fn shown(&self) -> String {
        match &*self.name {
            "" => "the proxy".to_owned(),
            name => format!("the proxy {name}"),
        }
    }

    /// What health answers of the whole, if that is what is asked.
    fn answer_of_own(&self, call: &Passing) -> Option<Outcome> {
        let about = HealthCheckClient::SERVICE;
        let method = call.path.strip_prefix(about.name)?.strip_prefix('.')?;
        if method != CHECK || call.encoding != Encoding::MessagePack || call.flags.streams() {
            return None;
        }
        let mut arguments = Arguments::new(&call.payload.body, &call.payload.blobs).ok()?;
        let info = ArgumentInfo {
            name: "service",
            type_name: "&str",
            default: false,
        };
        let service: &str = arguments.take(&info).ok()?;
        if !service.is_empty() {
            return None;
        }
        let mut encoder = Encoder::answer();
        Some(match encoder.put(&self.condition()) {
            Ok(()) => Outcome::Answer(encoder.finish()),
            Err(error) => Outcome::failed(Status::internal(error.to_string())),
        })
    }

    /// Why a call goes no further.
    fn refusal(&self, call: &Passing) -> Option<Status> {
        if call.hops < self.hops_max {
            return None;
        }
        self.counts.hops.fetch_add(1, Ordering::Relaxed);
        let (name, hops, most) = (self.shown(), call.hops, self.hops_max);
        Some(Status::failed_precondition(format!(
            "{name}: {hops} programs have passed the call on already, and at most {most} may: \
             proxies that have each other for nodes pass it round in a loop; take those out of \
             their nodes, or raise hops_max for a longer chain"
        )))
    }
}

/// The fallback of the proxy's server.
pub(super) struct Passer(pub(super) Arc<Core>);

impl Fallback for Passer {
    fn pass(&self, mut call: Passing, back: Back) {
        let core = &self.0;
        if let Some(outcome) = core.answer_of_own(&call) {
            return back.end(outcome);
        }
        if let Some(status) = core.refusal(&call) {
            return back.end(Outcome::refused(status));
        }
        call.hops += 1;
        core.counts.passed.fetch_add(1, Ordering::Relaxed);
        Leg::begin(core, call, back);
    }

    fn unread(&self) -> &Arc<Unread> {
        &self.0.unread
    }
}
