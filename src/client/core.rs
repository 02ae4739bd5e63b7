//! The table of calls behind its lock, and what a calling thread does with it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use brokerless_patterns::balance::{Balancer, Policy};
use brokerless_patterns::tap::Drive;
use brokerless_patterns::{Engine, Options, Peer};
use parking_lot::Mutex;

use super::answer::Answer;
use super::clerk::Clerk;
use super::errors;
use super::group::Group;
use super::interceptor::{Interceptor, Outgoing};
use super::node::{Link, Place};
use super::options::Call;
use super::relay::{Relay, Way};
use super::slot::{Request, Slot};
use super::stream::{Conduit, Counts};
use super::wanted::Wanted;
use crate::deadline;
use crate::machine::{Ask, CallId, Caller, CallerLimits, NodeId, Sending, Submitted, Time};
use crate::service::is_health;
use crate::wire::{self, CallHead, CallMetadata, Flags, METHOD_BYTES_MAX, Payload};
use crate::{Metadata, Ran, RpcError, Status};

/// What a client is told to do.
pub(super) struct Settings {
    pub(super) name: Arc<str>,
    pub(super) timeout: Duration,
    pub(super) wait_for_ready: bool,
    pub(super) sessionless: Option<u32>,
    pub(super) stream_items: u32,
    pub(super) stream_bytes: u64,
    pub(super) options: Options,
    pub(super) interceptors: Vec<Arc<dyn Interceptor>>,
    /// The name of the policy, if it needs calls to have keys.
    pub(super) keyed: Option<Arc<str>>,
    /// The policy, if it has a home.
    pub(super) home: Option<Policy>,
}

/// A call that is in flight or waits.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) slot: Arc<Slot>,
    pub(super) id: CallId,
}

impl Begun {
    pub(super) fn deadline(&self) -> Instant {
        self.slot.request.deadline
    }

    pub(super) fn began(&self) -> Instant {
        self.slot.request.began
    }

    pub(super) fn path(&self) -> &str {
        &self.slot.request.path
    }

    pub(super) fn id(&self) -> CallId {
        self.id
    }

    pub(super) fn is_idempotent(&self) -> bool {
        self.slot.request.flags.has(Flags::IDEMPOTENT)
    }

    /// The end is waited for by itself again. False if it has been given out.
    pub(super) fn part(&self) -> bool {
        self.slot.part()
    }

    /// Lets the end be waited for with others. False if it has been given out.
    pub(super) fn join(&self, group: &Arc<Group>, at: u32) -> bool {
        self.slot.join(group, at)
    }
}

/// Something that a node is to be told, beside calls.
pub(super) enum Tell {
    Hello,
    Bye,
    Cancel(u64),
    /// So many calls wait for its credit.
    Wish(u32),
}

/// What the lock is around.
pub(super) struct Table {
    pub(super) caller: Caller<Arc<Slot>>,
    /// By the nodes' index.
    pub(super) nodes: Vec<Option<Place>>,
    pub(super) tells: VecDeque<(Arc<Link>, Tell)>,
    /// Nodes that leave once they have answered.
    pub(super) leaving: Vec<NodeId>,
    /// Nodes that drain, and are owed a bye once they have answered: what was booked before, and is
    /// sent by another thread, would otherwise come after it.
    pub(super) byes: Vec<NodeId>,
    /// Streams that have something to send, and nobody who is about to.
    pub(super) flows: VecDeque<Arc<Conduit>>,
    /// Calls that were passed on, and of which there is something to tell.
    pub(super) relays: VecDeque<Arc<Relay>>,
    pub(super) closed: bool,
    /// When what came in together did; until all of it is settled.
    pub(super) came_at: Option<Time>,
}

impl Table {
    /// Whether nothing is to be sent, told or ended.
    pub(super) fn is_settled(&self) -> bool {
        self.tells.is_empty()
            && self.leaving.is_empty()
            && self.byes.is_empty()
            && self.flows.is_empty()
            && self.relays.is_empty()
            && self.caller.is_settled()
    }

    /// A node that is owed a bye and has answered all its calls.
    pub(super) fn take_bye(&mut self) -> Option<NodeId> {
        let caller = &self.caller;
        let quiet = |node: &NodeId| {
            let stats = caller.node_stats(*node);
            stats.is_none_or(|stats| stats.in_flight.calls == 0)
        };
        let index = self.byes.iter().position(quiet)?;
        Some(self.byes.swap_remove(index))
    }

    /// The place of this node, and not of one that has its number since it left.
    pub(super) fn place(&mut self, node: NodeId) -> Option<&mut Place> {
        let place = self.nodes.get_mut(node.index())?.as_mut();
        place.filter(|place| place.id == node)
    }

    /// The place of a node that was taken out of the pool and has answered what it had; it has none
    /// any more.
    pub(super) fn take_left(&mut self) -> Option<Place> {
        loop {
            let caller = &self.caller;
            let gone = |node: &NodeId| caller.node_stats(*node).is_none();
            let index = self.leaving.iter().position(gone)?;
            let node = self.leaving.swap_remove(index);
            let place = self.nodes.get_mut(node.index());
            // Another may have its place, or it never had one: the next one has to go all the same.
            let place = place.and_then(|place| place.take_if(|place| place.id == node));
            if place.is_some() {
                return place;
            }
        }
    }

    /// The node of this endpoint, unless it is about to leave.
    pub(super) fn named(&self, endpoint: &str) -> Option<NodeId> {
        let mut places = self.nodes.iter().flatten();
        let stays = |place: &&Place| !self.leaving.contains(&place.id);
        let node = places.find(|place| *place.endpoint == *endpoint && stays(place))?;
        Some(node.id)
    }

    /// Whether this is the peer that the node is connected by now.
    pub(super) fn is_by(&self, node: NodeId, peer: &Peer) -> bool {
        let place = self.nodes.get(node.index()).and_then(Option::as_ref);
        let link = place.filter(|place| place.id == node);
        let link = link.and_then(|place| place.link.as_ref());
        link.is_some_and(|link| link.peer == *peer)
    }

    pub(super) fn link(&self, node: NodeId) -> Option<Arc<Link>> {
        self.nodes.get(node.index())?.as_ref()?.link.clone()
    }

    pub(super) fn tell(&mut self, node: NodeId, tell: Tell) {
        if let Some(link) = self.link(node) {
            self.tells.push_back((link, tell));
        }
    }
}

/// A client, as everything but its handles holds it.
pub(super) struct Core {
    pub(super) me: Weak<Core>,
    pub(super) engine: Engine,
    pub(super) settings: Settings,
    pub(super) table: Mutex<Table>,
    pub(super) clerk: Arc<Clerk>,
    pub(super) streams: Arc<Counts>,
    /// Groups that are told when nodes may stand otherwise than before.
    pub(super) watching: Mutex<Vec<Weak<Group>>>,
    /// Which client it is, of all in the process: nodes are of one.
    pub(super) number: u64,
    epoch: Instant,
    /// Ends that are in their slots, that no thread was woken for, and that nobody has taken.
    pub(super) ready: AtomicUsize,
    /// Threads that were woken for ends, and have not taken them yet.
    pub(super) woken: AtomicUsize,
    /// Something may be held back until they are taken.
    pub(super) held: AtomicBool,
    drive: AtomicU8,
}

/// How many clients there have been.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl Core {
    pub(super) fn new(
        engine: Engine,
        settings: Settings,
        limits: CallerLimits,
        balancer: Balancer,
    ) -> Arc<Core> {
        Arc::new_cyclic(|me| Core {
            me: me.clone(),
            engine,
            settings,
            table: Mutex::new(Table {
                caller: Caller::new(limits, balancer),
                nodes: Vec::new(),
                tells: VecDeque::new(),
                leaving: Vec::new(),
                byes: Vec::new(),
                flows: VecDeque::new(),
                relays: VecDeque::new(),
                closed: false,
                came_at: None,
            }),
            clerk: Arc::default(),
            streams: Arc::default(),
            watching: Mutex::default(),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            epoch: Instant::now(),
            ready: AtomicUsize::new(0),
            woken: AtomicUsize::new(0),
            held: AtomicBool::new(false),
            drive: AtomicU8::new(0),
        })
    }

    pub(super) fn time(&self, at: Instant) -> Time {
        Time::ZERO.after(at.saturating_duration_since(self.epoch))
    }

    /// Sees to it that the clerk looks at the table once this is due.
    pub(super) fn look_by(&self, due: Option<Time>) {
        let due = due.and_then(|due| self.epoch.checked_add(due.since(Time::ZERO)));
        self.clerk.until(&self.me, due);
    }

    pub(super) fn set_drive(&self, drive: Drive) {
        self.drive.store(drive as u8, Ordering::Relaxed);
    }

    pub(super) fn drive(&self) -> Drive {
        match self.drive.load(Ordering::Relaxed) {
            0 => Drive::Nothing,
            1 => Drive::Engine,
            _ => Drive::Connections,
        }
    }

    // Calls.

    /// Makes a call and waits for its end.
    pub(super) fn call(
        &self,
        wanted: Wanted,
        options: &Call,
        payload: Payload,
    ) -> Result<Answer, RpcError> {
        // Who was woken for an answer and has not taken it yet is about to run, and perhaps to call
        // again: the last of them writes for all.
        let held = self.woken.load(Ordering::Relaxed) > 0;
        let begun = self.start(wanted, options, payload, held)?;
        if held {
            self.held.store(true, Ordering::SeqCst);
            if self.woken.load(Ordering::SeqCst) == 0 {
                // The last of them may have looked before.
                self.engine.flush();
            }
        }
        Ok(self.end_of(&begun, held))
    }

    /// Begins a call: it is sent, or waits for credit.
    pub(super) fn begin(
        &self,
        wanted: Wanted,
        options: &Call,
        payload: Payload,
    ) -> Result<Begun, RpcError> {
        self.start(wanted, options, payload, false)
    }

    /// Makes a call that has no answer. For those who see every call it has ended.
    pub(super) fn send_off(
        &self,
        wanted: Wanted,
        options: &Call,
        payload: Payload,
    ) -> Result<(), RpcError> {
        let begun = self.start(wanted, options, payload, false)?;
        self.after(begun.path(), None);
        Ok(())
    }

    fn start(
        &self,
        wanted: Wanted,
        options: &Call,
        payload: Payload,
        held: bool,
    ) -> Result<Begun, RpcError> {
        let key = self.key(&wanted, options, &payload)?;
        let request = self.request(wanted, options, payload, key, Instant::now())?;
        let wait_for_ready = options
            .wait_for_ready
            .unwrap_or(self.settings.wait_for_ready);
        self.launch(request, wait_for_ready, held)
    }

    /// Sends a call, or lets it wait for credit.
    // Within its caller, so that what that has made is not moved.
    #[inline(always)]
    pub(super) fn launch(
        &self,
        request: Request,
        wait_for_ready: bool,
        held: bool,
    ) -> Result<Begun, RpcError> {
        let began = request.began;
        let oneway = request.flags.has(Flags::ONEWAY);
        let watched = request.relay.is_some();
        let lasts = request.flags.streams();
        let (now, left) = (self.time(began), request.left);
        let ask = Ask {
            deadline: now.after(left),
            bytes: request.payload.bytes() as u64,
            oneway,
            wait_for_ready,
            only: request.only,
            key: request.key,
            lasts,
            beside: is_health(&request.path),
        };
        let slot = Arc::new(Slot::new(request));
        // Something is to be done that nobody else may be about to do.
        let mut act = false;
        let (id, sending, due, wonders) = {
            let mut table = self.table.lock();
            let wonders = table.caller.wonders(now);
            let submitted = table.caller.submit(now, ask, slot.clone());
            if let (true, Submitted::Send(Sending { id, .. }) | Submitted::Waits(id)) =
                (watched, &submitted)
            {
                table.caller.watch(*id);
            }
            let due = (oneway || watched)
                .then(|| table.caller.next_due())
                .flatten();
            match submitted {
                Submitted::Send(sending) => {
                    let link = table.link(sending.node);
                    (sending.id, Some((sending, link)), due, wonders)
                }
                Submitted::Waits(id) => {
                    act = table.caller.some_pull();
                    (id, None, due, wonders)
                }
                Submitted::Refused(_, why) => {
                    let error = errors::ended(why, Ran::No, None, &slot, &table);
                    drop(table);
                    self.after(&slot.request.path, Some(&error));
                    return Err(error);
                }
            }
        };
        if let Some((sending, link)) = sending {
            act = !self.send(&sending, &slot, link.as_ref(), (began, left), held);
        }
        if act {
            self.act();
        }
        self.look_by(due);
        if let Some(node) = wonders {
            self.probe(node, began);
        }
        Ok(Begun { slot, id })
    }

    // Within its caller, so that what it makes is made where it stays.
    #[inline(always)]
    fn request(
        &self,
        wanted: Wanted,
        options: &Call,
        payload: Payload,
        key: Option<u64>,
        began: Instant,
    ) -> Result<Request, RpcError> {
        let refuse = |status| Err(RpcError::new(status, Ran::No));
        if let Some(error) = &options.refused {
            return refuse(error.clone());
        }
        if wanted.path.len() > METHOD_BYTES_MAX {
            return refuse(Status::invalid_argument(format!(
                "the path of a method has {} bytes: {METHOD_BYTES_MAX} at most",
                wanted.path.len()
            )));
        }
        let only = match &options.to {
            Some(node) if !node.is_of(self) => return refuse(node.is_strange()),
            Some(node) => Some(node.id()),
            None => None,
        };
        // A stream as a whole may take as long as it likes: its items have a deadline each.
        let default = match &wanted.conduit {
            Some(_) => FAR,
            None => self.settings.timeout,
        };
        let timeout = options.timeout.or(wanted.timeout).unwrap_or(default);
        let whole = timeout.min(FAR);
        let longest = began + whole;
        let mut ends = longest;
        if let Some(deadline) = options.deadline {
            ends = ends.min(deadline);
        }
        if let Some(inherited) = deadline::current() {
            ends = ends.min(inherited);
        }
        let mut metadata = options.metadata.clone();
        if !self.settings.interceptors.is_empty() {
            let mut call = Outgoing {
                path: &wanted.path,
                deadline: ends,
                metadata: metadata.as_deref().cloned().unwrap_or_default(),
            };
            for interceptor in &self.settings.interceptors {
                if let Err(status) = interceptor.before(&mut call) {
                    let error = RpcError::new(status, Ran::No);
                    self.after(&wanted.path, Some(&error));
                    return Err(error);
                }
            }
            ends = ends.min(call.deadline);
            let changed = Metadata::clone(&call.metadata);
            metadata = (!changed.is_empty()).then(|| Arc::new(changed));
        }
        let mut flags = Flags::empty();
        if wanted.oneway {
            flags = flags.with(Flags::ONEWAY);
        }
        if wanted.idempotent {
            flags = flags.with(Flags::IDEMPOTENT);
        }
        if let Some(conduit) = &wanted.conduit {
            flags = conduit.flags(flags);
        }
        Ok(Request {
            path: wanted.path,
            payload,
            flags,
            encoding: wanted.encoding,
            metadata,
            conduit: wanted.conduit,
            relay: None,
            hops: 0,
            only,
            key,
            began,
            deadline: ends,
            left: match ends == longest {
                true => whole,
                false => ends.saturating_duration_since(began),
            },
        })
    }

    /// Sends a call where it was booked, at this time and with so much left. If that cannot be, the
    /// table is told, and false is given: then there may be more to do.
    pub(super) fn send(
        &self,
        sending: &Sending,
        slot: &Slot,
        link: Option<&Arc<Link>>,
        (now, left): (Instant, Duration),
        held: bool,
    ) -> bool {
        let Some(link) = link else {
            return self.unsent(sending, now);
        };
        let request = &slot.request;
        if let Some(status) = link.refuses_call(request) {
            self.refuse(sending, now, status);
            return false;
        }
        let id = sending.id.wire();
        let window = match (&request.conduit, &request.relay) {
            (Some(conduit), _) => conduit.first_window,
            (None, Some(relay)) => relay.sending(Way::new(link, id)),
            (None, None) => None,
        };
        let head = CallHead {
            id,
            method: &request.path,
            left_us: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
            flags: match sending.used_up {
                true => request.flags.with(Flags::MORE),
                false => request.flags,
            },
            encoding: request.encoding,
            metadata: match &request.metadata {
                Some(metadata) => CallMetadata::from(&**metadata),
                None => CallMetadata::empty(),
            },
            hops: request.hops,
            window,
            key: request.key.filter(|_| link.wants_keys),
        };
        match wire::write_call(&head, link.version) {
            Ok(envelope) => {
                let sent =
                    link.send_call(envelope, &request.payload, held) || self.unsent(sending, now);
                if let (true, Some(relay)) = (sent, &request.relay) {
                    relay.sent(id);
                }
                sent
            }
            Err(error) => {
                self.refuse(sending, now, Status::from(error));
                false
            }
        }
    }

    fn unsent(&self, sending: &Sending, now: Instant) -> bool {
        let now = self.time(now);
        let then = self
            .table
            .lock()
            .caller
            .unsent(now, sending.node, sending.id);
        self.after_error(then, || {
            let status = Status::unavailable("no node takes the call");
            Answer::ended(RpcError::new(status, Ran::No))
        });
        false
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Every end has been taken, or let go: else threads hold back for nobody's sake.
        if !std::thread::panicking() {
            debug_assert_eq!(*self.ready.get_mut(), 0, "ends left");
            debug_assert_eq!(*self.woken.get_mut(), 0, "woken threads left");
        }
    }
}

/// As good as never, and small enough to be added to an instant.
pub(super) const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.lock();
        let nodes = table.nodes.iter().flatten();
        f.debug_struct("Client")
            .field(
                "nodes",
                &nodes.map(|node| &*node.endpoint).collect::<Vec<_>>(),
            )
            .field("closed", &table.closed)
            .finish_non_exhaustive()
    }
}
