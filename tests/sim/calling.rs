//! The calling processes: a shell around [`Caller`], with programs that submit, wait and give up.

mod looks;

use std::collections::BTreeMap;
use std::time::Duration;

use brokerless::balance::{Facts, Policy};
use brokerless::machine::{
    Again, Answered, Ask, CallId, Caller, CallerLimits, Credit, ErrorThen, Failure, NodeId,
    NodeState, Ran, Sending, Submitted, Time, Verdict, Why,
};

use crate::doses::{Kind, MS, SECOND};
use crate::ledger::{Key, Outcome};
use crate::network::{Call, Connection, End, Message, Packet};
use crate::policies;
use crate::random::{Random, mix};
use crate::world::{Event, World, trace};

/// The largest window that a caller believes, whatever it is told.
const WINDOW_MAX: Credit = Credit::new(512, 1 << 30);
/// The window towards a device.
const DEVICE_WINDOW: Credit = Credit::new(32, 16 << 20);

/// Where one of a caller's nodes leads.
struct Place {
    id: NodeId,
    /// None: through the device, to any.
    replier: Option<usize>,
    connection: Option<usize>,
}

pub(crate) struct Host {
    pub(crate) alive: bool,
    pub(crate) incarnation: u32,
    pub(crate) stopped_until: u64,
    /// The replier whose process this is, if it is one's.
    pub(crate) lives_in: Option<usize>,
    repliers: Vec<usize>,
    machine: Caller<Key>,
    places: Vec<Place>,
    open: BTreeMap<Key, CallId>,
    /// Calls that a handler makes, and which job that is.
    nested: BTreeMap<Key, u64>,
    timers_at: u64,
}

impl Host {
    pub(crate) fn dead(lives_in: Option<usize>, repliers: Vec<usize>) -> Host {
        Host {
            alive: false,
            incarnation: 0,
            stopped_until: 0,
            lives_in,
            repliers,
            machine: Caller::new(
                CallerLimits::default(),
                policies::at_work(&Policy::weighted(), &mut Random::new(0)),
            ),
            places: Vec::new(),
            open: BTreeMap::new(),
            nested: BTreeMap::new(),
            timers_at: u64::MAX,
        }
    }

    /// All of its nodes take calls.
    pub(crate) fn is_ready(&self) -> bool {
        self.alive && self.machine.nodes().all(|node| node.state == NodeState::Up)
    }

    /// Whether a call has not ended yet.
    pub(crate) fn is_open(&self, key: Key) -> bool {
        self.open.contains_key(&key)
    }

    fn place_of(&self, node: NodeId) -> Option<usize> {
        self.places.iter().position(|place| place.id == node)
    }
}

impl World {
    /// A caller's nodes, and how they stand.
    pub(crate) fn nodes_of(&self, caller: usize) -> Vec<(NodeId, NodeState)> {
        self.callers[caller].machine.states().collect()
    }

    fn at(&self) -> Time {
        Time::from_nanos(self.now)
    }

    pub(crate) fn start_caller(&mut self, caller: usize) {
        trace!(self, "caller {caller} starts");
        let limits = CallerLimits {
            waiting_max: self.doses.waiting_max,
            window_max: WINDOW_MAX,
            ..CallerLimits::default()
        };
        let now = self.at();
        let before = &self.callers[caller];
        let (lives_in, repliers) = (before.lives_in, before.repliers.clone());
        let mut host = Host::dead(lives_in, repliers);
        let balancer = policies::at_work(&self.doses.policy, &mut self.random);
        host.machine = Caller::new(limits, balancer);
        host.alive = true;
        host.incarnation = before.incarnation + 1;
        for index in 0..host.repliers.len() {
            let facts = policies::facts(&mut self.random);
            host.places.push(Place {
                id: host.machine.add_node(now, facts),
                replier: Some(host.repliers[index]),
                connection: None,
            });
        }
        if self.doses.through_device && lives_in.is_none() {
            let id = host
                .machine
                .add_sessionless(now, Facts::default(), DEVICE_WINDOW);
            host.places.push(Place {
                id,
                replier: None,
                connection: None,
            });
        }
        let incarnation = host.incarnation;
        let places = host.places.len();
        self.callers[caller] = host;
        for place in 0..places {
            let wait = self.random.between(0, 5 * MS);
            self.push_in(wait, Event::Dial(caller, incarnation, place));
        }
        if lives_in.is_none() {
            self.push_in(MS, Event::Burst(caller, incarnation));
        }
    }

    pub(crate) fn crash_caller(&mut self, caller: usize) {
        trace!(self, "caller {caller} dies");
        self.check_caller(caller);
        let host = &mut self.callers[caller];
        host.alive = false;
        for key in std::mem::take(&mut host.open).into_keys() {
            self.ledger.record(key).died = true;
        }
        for key in self.streams.gone(End::Caller, caller) {
            // Of a call that was answered, the items that it had yet to take.
            self.ledger.record(key).died = true;
        }
        for connection in 0..self.connections.len() {
            if self.connections[connection].caller == caller
                && !self.connections[connection].is_over()
            {
                self.close_end(connection, End::Caller);
                self.break_connection(connection, None);
            }
        }
    }

    // ---- connections -------------------------------------------------------------------------

    pub(crate) fn dial(&mut self, caller: usize, place: usize) {
        let now = self.at();
        let host = &mut self.callers[caller];
        let node = host.places[place].id;
        let Some(replier) = host.places[place].replier else {
            host.machine.connected(now, node);
            self.pump(caller);
            return;
        };
        let there = self.repliers[replier].alive
            && self.repliers[replier].stopped_until <= now.as_nanos()
            && !self.partitions.contains(&(caller, replier));
        if there {
            let connection = self.connections.len();
            let link = Connection::new(caller, node, place, replier);
            self.connections.push(link);
            trace!(
                self,
                "connection {connection}: caller {caller} to replier {replier}"
            );
            let host = &mut self.callers[caller];
            host.places[place].connection = Some(connection);
            host.machine.connected(now, node);
            self.send(connection, End::Replier, Message::Hello);
        } else {
            self.callers[caller].machine.failed_to_connect(now, node);
            self.dial_later(caller, place);
        }
        self.pump(caller);
    }

    fn dial_later(&mut self, caller: usize, place: usize) {
        let incarnation = self.callers[caller].incarnation;
        let wait = self.random.between(5 * MS, 60 * MS);
        self.push_in(wait, Event::Dial(caller, incarnation, place));
    }

    pub(crate) fn caller_loses(&mut self, connection: usize) {
        let now = self.at();
        let link = &self.connections[connection];
        let (caller, place, node) = (link.caller, link.place, link.node);
        let host = &mut self.callers[caller];
        host.places[place].connection = None;
        host.machine.lost(now, node);
        self.pump(caller);
        self.dial_later(caller, place);
    }

    pub(crate) fn device_breaks(&mut self, caller: usize) {
        let now = self.at();
        let host = &mut self.callers[caller];
        let through = host.places.iter().position(|place| place.replier.is_none());
        if let Some(place) = through
            && host.alive
        {
            trace!(self, "caller {caller} loses its device");
            let host = &mut self.callers[caller];
            let node = host.places[place].id;
            host.machine.lost(now, node);
            self.pump(caller);
            self.dial_later(caller, place);
        }
    }

    // ---- programs ----------------------------------------------------------------------------

    pub(crate) fn burst(&mut self, caller: usize) {
        if self.now >= self.doses.calls_until {
            return;
        }
        let settled = self.now >= self.doses.settled_at;
        let most = if settled { 2 } else { self.doses.burst_max };
        for _ in 0..self.random.between(0, most) + 1 {
            let must_succeed =
                settled && self.doses.waiting_max > 100 || self.doses.kind != Kind::Chaos;
            let (low, high) = match settled {
                true if self.doses.kind == Kind::Chaos => (5 * SECOND, 5 * SECOND + 1),
                _ => self.doses.deadline,
            };
            let deadline = self.now + self.random.between(low, high);
            let ready = settled || self.random.chance(self.doses.wait_for_ready);
            let oneway = self.random.chance(self.doses.oneway);
            self.call(caller, deadline, must_succeed, oneway, ready);
        }
        self.may_scatter(caller);
        let incarnation = self.callers[caller].incarnation;
        let wait = if settled && self.doses.pull > 0 {
            // What is granted waits for its call as long as that is on its way.
            100 * MS
        } else if settled {
            20 * MS
        } else {
            self.doses.pause_between
        };
        let wait = self.random.between(wait / 2, wait * 3 / 2 + 1);
        self.push_in(wait, Event::Burst(caller, incarnation));
    }

    /// A handler makes a call of its own, within what is left of its own deadline.
    pub(crate) fn nest(&mut self, replier: usize, job: u64, deadline: u64, key: Key) -> bool {
        let lives_here = |host: &Host| host.lives_in == Some(replier) && host.alive;
        let Some(caller) = self.callers.iter().position(lives_here) else {
            return false;
        };
        if deadline <= self.now || self.doses.kind != Kind::Chaos && mix(key).is_multiple_of(2) {
            return false;
        }
        let nested = self.ledger.records.len() as Key;
        self.callers[caller].nested.insert(nested, job);
        self.call(caller, deadline, false, false, true);
        true
    }

    pub(crate) fn call(
        &mut self,
        caller: usize,
        deadline: u64,
        must_succeed: bool,
        oneway: bool,
        wait_for_ready: bool,
    ) {
        let now = self.at();
        let key = self.ledger.submitted(caller, deadline, must_succeed);
        let mut ask = Ask {
            deadline: Time::from_nanos(deadline),
            bytes: bytes_of(key),
            oneway,
            wait_for_ready,
            only: self.only(key),
            key: Some(mix(key)),
            lasts: false,
            beside: false,
        };
        trace!(self, "caller {caller} submits call {key}");
        let host = &self.callers[caller];
        let in_session = host.places.iter().all(|place| place.replier.is_some());
        // A handler keeps its worker while a call of its own goes on: not for many round trips.
        let nested = host.nested.contains_key(&key);
        let brief = nested && self.doses.kind == Kind::Chaos;
        if !nested && !self.is_scattered(key) && self.random.chance(self.doses.beside) {
            ask.beside = true;
            self.ledger.record(key).beside = true;
        }
        // A taker may cancel the call of its stream: a task is called without items.
        if !oneway && in_session && !brief && !ask.beside && !self.is_scattered(key) {
            self.make_stream(key);
            ask.lasts = self.ledger.stream(key).is_some();
        }
        let host = &mut self.callers[caller];
        let incarnation = host.incarnation;
        match host.machine.submit(now, ask, key) {
            Submitted::Refused(key, why) => {
                self.ended(caller, key, Outcome::Ended(name(why), Ran::No));
                return;
            }
            Submitted::Waits(id) => {
                host.open.insert(key, id);
                if ask.beside {
                    self.check_beside(caller, key);
                }
            }
            Submitted::Send(sending) => {
                host.open.insert(key, sending.id);
                self.transmit(caller, sending);
            }
        }
        let nested = self.callers[caller].nested.contains_key(&key);
        if !must_succeed
            && !nested
            && !self.is_scattered(key)
            && self.random.chance(self.doses.cancel)
        {
            let wait = self.random.between(0, 20 * MS);
            self.push_in(wait, Event::Cancel(caller, incarnation, key));
        }
        if oneway || self.random.chance(self.doses.watched) {
            let host = &mut self.callers[caller];
            if let Some(id) = host.open.get(&key) {
                host.machine.watch(*id);
            }
        } else {
            self.push(deadline, Event::Expire(caller, incarnation, key));
        }
        self.pump(caller);
    }

    /// A program gives a call up: because its deadline is over, or for a reason of its own.
    pub(crate) fn give_up(&mut self, caller: usize, key: Key, expired: bool) {
        let now = self.at();
        let host = &mut self.callers[caller];
        let Some(&id) = host.open.get(&key) else {
            return;
        };
        let ended = match expired {
            true => host.machine.expire(now, id),
            false => host.machine.cancel(now, id),
        };
        match ended {
            Some(ended) => {
                self.check_payload(key, ended.payload);
                self.tell(caller, ended.node.filter(|_| ended.tell), ended.id);
                self.ended(caller, key, Outcome::Ended(name(ended.why), ended.ran));
            }
            None => {
                let what = format!("call {key} is not known to its caller before it has ended");
                self.ledger.violated(self.now, what);
            }
        }
        self.pump(caller);
    }

    pub(crate) fn timers(&mut self, caller: usize) {
        let now = self.at();
        let host = &mut self.callers[caller];
        host.timers_at = u64::MAX;
        host.machine.due(now);
        self.pump(caller);
    }

    // ---- the shell ---------------------------------------------------------------------------

    /// Does all that the machine has to say.
    fn pump(&mut self, caller: usize) {
        loop {
            let now = self.at();
            let machine = &mut self.callers[caller].machine;
            if let Some(sending) = machine.next_send(now) {
                self.transmit(caller, sending);
            } else if let Some(ended) = machine.next_ended() {
                self.tell(caller, ended.node.filter(|_| ended.tell), ended.id);
                let outcome = Outcome::Ended(name(ended.why), ended.ran);
                self.ended(caller, ended.payload, outcome);
            } else if let Some((node, calls)) = machine.next_wish(now) {
                self.wish(caller, node, calls);
            } else {
                break;
            }
        }
        self.check_bounds(caller);
        self.drive_scatters(caller);
        let host = &mut self.callers[caller];
        if let Some(due) = host.machine.next_due()
            && due.as_nanos() < host.timers_at
        {
            host.timers_at = due.as_nanos();
            let incarnation = host.incarnation;
            let at = host.timers_at;
            self.push(at, Event::Timers(caller, incarnation));
        }
    }

    fn wish(&mut self, caller: usize, node: NodeId, calls: u32) {
        let host = &self.callers[caller];
        let place = host.place_of(node);
        let Some(connection) = place.and_then(|place| host.places[place].connection) else {
            let what = format!("caller {caller} wishes for calls of {node:?}, which is not there");
            self.ledger.violated(self.now, what);
            return;
        };
        if self.connections[connection].caller_said_bye {
            let what = format!("caller {caller} wishes for calls after its bye");
            self.ledger.violated(self.now, what);
        }
        self.send(connection, End::Replier, Message::Wish(calls));
    }

    fn transmit(&mut self, caller: usize, sending: Sending) {
        let now = self.at();
        let host = &mut self.callers[caller];
        let Some(&mut key) = host.machine.payload(sending.id) else {
            let what = format!("caller {caller} is to send a call that has ended: {sending:?}");
            self.ledger.violated(self.now, what);
            return;
        };
        let Some(place) = host.place_of(sending.node) else {
            let what = format!("call {key} is to be sent to nobody: {sending:?}");
            self.ledger.violated(self.now, what);
            return;
        };
        let (replier, connection) = (host.places[place].replier, host.places[place].connection);
        self.check_only(key, sending.node);
        self.ledger.sent(self.now, key);
        if !self.healed && self.random.chance(self.doses.unsent) {
            self.ledger.record(key).denied.insert(sending.id);
            let then = self.callers[caller]
                .machine
                .unsent(now, sending.node, sending.id);
            if let ErrorThen::Finished(key) = then {
                self.ended(caller, key, Outcome::Failed(Ran::No));
            }
            return;
        }
        let record = self.ledger.record(key);
        let call = Call {
            id: sending.id,
            key,
            left: record.deadline.saturating_sub(self.now),
            bytes: bytes_of(key),
            used_up: sending.used_up,
            beside: record.beside,
            stream: record.stream.map(|stream| stream.form),
        };
        match (replier, connection) {
            (Some(_), Some(connection)) => self.send_call(connection, call),
            (Some(_), None) => {
                let what = format!("call {key} is sent without a connection: {sending:?}");
                self.ledger.violated(self.now, what);
            }
            (None, _) => {
                let incarnation = self.callers[caller].incarnation;
                let replier = self.random.between(0, self.repliers.len() as u64) as usize;
                self.send_through_device(Packet {
                    caller,
                    incarnation,
                    replier,
                    to: End::Replier,
                    message: Message::Call(call),
                });
            }
        }
    }

    fn send_call(&mut self, connection: usize, call: Call) {
        let now = self.now;
        let link = &mut self.connections[connection];
        let (told, flight) = (link.told, link.flight());
        let after_bye = link.caller_said_bye;
        link.outstanding.insert(call.id, call.bytes);
        // What takes no worker passes by what was granted.
        let window = match link.pulls && call.beside {
            true => Credit::new(u32::MAX, told.bytes),
            false => told,
        };
        self.ledger.within(now, window, flight, call.bytes);
        if after_bye {
            let what = format!("call {} follows a bye", call.key);
            self.ledger.violated(now, what);
        }
        self.send(connection, End::Replier, Message::Call(call));
        self.stream_begins_here(connection, call);
    }

    fn tell(&mut self, caller: usize, node: Option<NodeId>, id: CallId) {
        let host = &self.callers[caller];
        let Some(place) = node.and_then(|node| host.place_of(node)) else {
            return;
        };
        let message = Message::Cancel(id);
        match (host.places[place].replier, host.places[place].connection) {
            (Some(_), Some(connection)) => self.send(connection, End::Replier, message),
            (Some(_), None) => {}
            (None, _) => {
                let incarnation = host.incarnation;
                let replier = self.random.between(0, self.repliers.len() as u64) as usize;
                self.send_through_device(Packet {
                    caller,
                    incarnation,
                    replier,
                    to: End::Replier,
                    message,
                });
            }
        }
    }

    pub(crate) fn caller_hears(&mut self, connection: usize, message: Message) {
        let now = self.at();
        let link = &mut self.connections[connection];
        let (caller, node) = (link.caller, link.node);
        let machine = &mut self.callers[caller].machine;
        match message {
            Message::Welcome(credit, pulls) => {
                link.told = credit.at_most(WINDOW_MAX);
                machine.measured(node, policies::round_trip(caller, node.index(), connection));
                link.pulls = pulls;
                machine.welcome(now, node, credit);
                machine.pulls(node, pulls);
            }
            Message::Credit(credit) => {
                link.told = credit.at_most(WINDOW_MAX);
                machine.credit(node, credit);
            }
            Message::NotWelcome => {
                // Hung up, and tried again later.
                self.close_end(connection, End::Caller);
                self.break_connection(connection, Some(End::Caller));
                let place = self.connections[connection].place;
                let host = &mut self.callers[caller];
                host.places[place].connection = None;
                host.machine.failed_to_connect(now, node);
                self.dial_later(caller, place);
            }
            Message::Bye => {
                if machine.bye(now, node) {
                    link.caller_said_bye = true;
                    self.send(connection, End::Replier, Message::Bye);
                }
            }
            Message::Reply { id, credit, .. } | Message::Error { id, credit, .. } => {
                if let Some(credit) = credit {
                    link.told = credit.at_most(WINDOW_MAX);
                }
                if link.outstanding.remove(&id).is_none() {
                    let what = format!("{id:?} is answered twice over connection {connection}");
                    self.ledger.violated(self.now, what);
                }
                self.answered(caller, node, message);
            }
            Message::Items(..) | Message::Window(..) | Message::Stop(..) => {
                self.stream_hears(End::Caller, connection, message);
            }
            Message::Hello | Message::Call(_) | Message::Cancel(_) | Message::Wish(_) => {}
        }
        self.pump(caller);
    }

    pub(crate) fn caller_hears_device(&mut self, packet: Packet) {
        let host = &self.callers[packet.caller];
        let through = host.places.iter().find(|place| place.replier.is_none());
        if let Some(node) = through.map(|place| place.id) {
            self.answered(packet.caller, node, packet.message);
        }
        self.pump(packet.caller);
    }

    fn answered(&mut self, caller: usize, node: NodeId, message: Message) {
        let now = self.at();
        let machine = &mut self.callers[caller].machine;
        match message {
            Message::Reply {
                id,
                key,
                load,
                credit,
            } => {
                let load = Some(load);
                if let Some(payload) = machine.reply(now, node, id, Answered { load, credit }) {
                    self.check_payload(key, payload);
                    self.ended(caller, payload, Outcome::Replied);
                }
            }
            Message::Error {
                id,
                key,
                ran,
                again,
                retry_after,
                credit,
            } => {
                let failure = Failure {
                    ran,
                    again,
                    retry_after: retry_after.map(Duration::from_nanos),
                    verdict: match again {
                        Again::Never => Verdict::Well,
                        Again::Elsewhere | Again::Later => Verdict::Unwell,
                    },
                };
                let load = None;
                if ran == Ran::No {
                    self.ledger.record(key).denied.insert(id);
                }
                let machine = &mut self.callers[caller].machine;
                match machine.error(now, node, id, failure, Answered { load, credit }) {
                    ErrorThen::Finished(payload) => {
                        self.check_payload(key, payload);
                        self.ended(caller, payload, Outcome::Failed(ran));
                    }
                    ErrorThen::Again => {
                        self.stream_is_elsewhere(key);
                        if ran != Ran::No || again == Again::Never {
                            let what = format!("call {key} is picked again after {ran:?}");
                            self.ledger.violated(self.now, what);
                        }
                    }
                    ErrorThen::Late => {}
                }
            }
            _ => {}
        }
    }

    fn ended(&mut self, caller: usize, key: Key, outcome: Outcome) {
        trace!(self, "call {key} ends: {outcome:?}");
        self.note(key << 8 | outcome.ran() as u64);
        let stopped_until = self.caller_stopped_until(caller);
        self.ledger.record(key).stopped_until = stopped_until;
        self.ledger.ended(self.now, key, outcome);
        self.stream_is_answered(key, outcome);
        self.scatter_hears(key, outcome);
        let host = &mut self.callers[caller];
        host.open.remove(&key);
        if let Some(job) = host.nested.remove(&key)
            && let Some(replier) = host.lives_in
        {
            let incarnation = self.repliers[replier].incarnation;
            self.push_in(0, Event::Done(replier, incarnation, job));
        }
    }
}

fn bytes_of(key: Key) -> u64 {
    match mix(key) % 50 {
        0 => 5 << 20,
        1..5 => 300_000,
        small => small * 20,
    }
}

fn name(why: Why) -> &'static str {
    match why {
        Why::Expired => "expired",
        Why::Cancelled => "cancelled",
        Why::Unavailable => "unavailable",
        Why::QueueFull => "queue full",
        Why::Lost => "lost",
        Why::Closed => "closed",
        _ => "other",
    }
}
