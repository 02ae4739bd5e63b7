//! What nodes tell, and what follows from it: on whichever thread leads the engine.
//!
//! `hear`, `came`, `gone` and `failed` are called with locks of the engine held: they change the
//! table and fill slots. What has to be sent is sent by [`Core::act`], without any lock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec::Drain;

use brokerless_patterns::balance::{Facts, hash};
use brokerless_patterns::tap::Drive;
use brokerless_patterns::{CloseReason, Dealer, Endpoint, Message, Peer};

use super::answer::Answer;
use super::clerk::Job;
use super::core::{Core, Table, Tell};
use super::member::Member;
use super::node::{Link, NodeTap, Place};
use super::relay::Relay;
use super::slot::Slot;
use super::stats::{ClientStats, NodeReport};
use super::stream::Conduit;
use crate::machine::{
    Again, Answered, CallId, Credit, Ended, ErrorThen, Failure, NodeId, Sending, Time, Verdict,
};
use crate::wire::{self, Envelope, Hello, ReplyHead, Version};
use crate::{Code, Error, Ran, RpcError, Status};

/// The pause before a connection within the process is made again.
const REDIAL: Duration = Duration::from_millis(20);
/// Replies that share one look at the table, which nobody else can change meanwhile.
const TOGETHER: u32 = 16;
/// What queues of the sockets may hold: credit is what bounds them.
const QUEUED_MESSAGES_MAX: usize = 1_000_000;
const QUEUED_BYTES_MAX: usize = 1 << 40;

/// One thing to do outside of the lock.
enum Deed {
    Tell(Arc<Link>, Tell),
    Send(Sending, Arc<Slot>, Option<Arc<Link>>),
    End(Ended<Arc<Slot>>),
    Flush(Arc<Conduit>),
    Relay(Arc<Relay>),
    /// The socket, unless it was not there yet, and its connection.
    Part(Option<Arc<Dealer>>, Option<Arc<Link>>),
}

impl Core {
    // The pool.

    pub(super) fn add(&self, member: &Member) -> Result<(), Error> {
        let mut facts = member.facts(&Facts::default())?;
        let endpoint = member.endpoint();
        let parsed: Endpoint = endpoint.parse().map_err(brokerless_patterns::Error::from)?;
        let name: Arc<str> = Arc::from(parsed.to_string());
        // By this all callers know it alike.
        facts.id = hash(name.as_bytes());
        let now = self.time(Instant::now());
        let (node, before) = {
            let mut table = self.table.lock();
            if table.closed {
                // Nobody would close its socket.
                return Err(Error::Closed);
            }
            // One that is about to leave answers what it has, beside a new one of its endpoint.
            if table.named(&name).is_some() {
                return Err(Error::option("endpoint", name, "each endpoint once"));
            }
            let node = match self.settings.sessionless {
                Some(calls) => {
                    let window = Credit::new(calls, u64::MAX);
                    table.caller.add_sessionless(now, facts, window)
                }
                None => table.caller.add_node(now, facts),
            };
            let place = Place {
                id: node,
                endpoint: name.clone(),
                dealer: None,
                link: None,
                welcomed: self.settings.sessionless.is_some(),
                draining: false,
                name: Arc::from(""),
                last_error: None,
                misfits: 0,
                inproc: name.starts_with("inproc://"),
                sessionless: self.settings.sessionless.is_some(),
            };
            if table.nodes.len() <= node.index() {
                table.nodes.resize_with(node.index() + 1, || None);
            }
            let before = table.nodes[node.index()].replace(place);
            self.set_drive(drive(&table));
            (node, before)
        };
        // A node that has left, and whose place was taken before anybody had come to part from it.
        // Its socket is not closed here: that may take a moment.
        if let Some(Place { dealer, link, .. }) = before {
            self.part(dealer, link);
        }
        let connected = self.connect(node, &name, endpoint);
        self.tell_watching();
        if connected.is_err() {
            let place = {
                let mut table = self.table.lock();
                table.caller.remove_node(now, node);
                let place = table.nodes[node.index()].take_if(|place| place.id == node);
                self.set_drive(drive(&table));
                place
            };
            // No lock is held: the socket may tell of its end.
            drop(place);
            // Calls that had waited for this node alone end.
            self.act();
        }
        connected
    }

    fn connect(&self, node: NodeId, name: &Arc<str>, endpoint: &str) -> Result<(), Error> {
        let tap = NodeTap {
            core: self.me.clone(),
            node,
            endpoint: name.clone(),
        };
        let options = self.settings.options.clone();
        let options = options
            .engine(&self.engine)
            .keep_unsent(false)
            .send_messages_max(QUEUED_MESSAGES_MAX)
            .send_bytes_max(QUEUED_BYTES_MAX);
        let dealer = Arc::new(Dealer::with_tap(options, Arc::new(tap))?);
        let stays = {
            let mut table = self.table.lock();
            let place = table.place(node);
            place.map(|place| place.dealer = Some(dealer.clone()))
        };
        if stays.is_none() {
            // Another thread has taken it out of the pool again.
            return Ok(());
        }
        dealer.connect_to(endpoint)?;
        self.look_for(node);
        Ok(())
    }

    /// Within the process it is known at once whether anybody has the name. Whoever takes it later
    /// is connected to then.
    fn look_for(&self, node: NodeId) {
        let now = self.time(Instant::now());
        {
            let mut table = self.table.lock();
            let Some(place) = table.place(node) else {
                return;
            };
            if !place.inproc || place.link.is_some() {
                return;
            }
            place.last_error = Some("nobody is bound to it".to_owned());
            table.caller.failed_to_connect(now, node);
        }
        // Calls end that were not to wait for a node.
        self.act();
    }

    /// A node within the process has gone: whoever takes its name next is connected to.
    pub(super) fn redial(&self, node: NodeId) {
        let (dealer, endpoint) = {
            let mut table = self.table.lock();
            let Some(place) = table.place(node) else {
                return;
            };
            if place.link.is_some() {
                return;
            }
            let Some(dealer) = place.dealer.clone() else {
                return;
            };
            (dealer, place.endpoint.clone())
        };
        if let Ok(old) = endpoint.parse() {
            // It may have left by itself.
            let _ = dealer.disconnect(&old);
        }
        match dealer.connect_to(&endpoint) {
            Ok(_) => self.look_for(node),
            Err(error) => self.failed(node, &error),
        }
    }

    /// `by_itself`: not as one of a set that was looked at as a whole.
    pub(super) fn set(&self, member: &Member, by_itself: bool) -> Result<bool, Error> {
        let endpoint: Endpoint = member
            .endpoint()
            .parse()
            .map_err(brokerless_patterns::Error::from)?;
        let endpoint = endpoint.to_string();
        let now = self.time(Instant::now());
        let known = {
            let mut table = self.table.lock();
            let node = table.named(&endpoint);
            let facts = node.and_then(|node| table.caller.facts(node));
            // Of a node that is not there, too, what is said has to be right.
            let facts = member.facts(facts.unwrap_or(&Facts::default()))?;
            if let Some(node) = node {
                if by_itself {
                    self.may_become(&table, node, &facts)?;
                }
                table.caller.set_node(now, node, facts);
            }
            node.is_some()
        };
        self.act();
        Ok(known)
    }

    pub(super) fn remove(&self, endpoint: &str) -> bool {
        // However it is spelled, as in `add`.
        let endpoint = match endpoint.parse::<Endpoint>() {
            Ok(endpoint) => endpoint.to_string(),
            Err(_) => return false,
        };
        let now = self.time(Instant::now());
        let known = {
            let mut table = self.table.lock();
            let node = table.named(&endpoint);
            if let Some(node) = node {
                table.caller.remove_node(now, node);
                table.leaving.push(node);
            }
            node.is_some()
        };
        self.tell_watching();
        self.act();
        known
    }

    pub(super) fn close(&self) {
        let parting: Vec<Place> = {
            let mut table = self.table.lock();
            table.closed = true;
            table.caller.close();
            table.nodes.iter_mut().filter_map(Option::take).collect()
        };
        self.tell_watching();
        self.act();
        for place in parting {
            if let Some(link) = &place.link {
                link.send(Message::single(wire::encode_bye(0)), false);
            }
            // Here, since it may take a moment: a thread that leads may be the last to let go of it.
            if let Some(dealer) = place.dealer {
                let _ = dealer.close();
            }
        }
        self.clerk.stop();
    }

    // What nodes tell. Locks of the engine are held.

    pub(super) fn came(&self, node: NodeId, peer: &Peer) {
        let now = self.time(Instant::now());
        let mut table = self.table.lock();
        table.caller.measured(node, peer.round_trip());
        table.caller.connected(now, node);
        let Some(place) = table.place(node) else {
            return;
        };
        let Some(dealer) = place.dealer.clone() else {
            return;
        };
        let link = Arc::new(Link {
            dealer,
            peer: peer.clone(),
            version: Version::NEWEST,
            blob_bytes_max: u64::MAX,
            call_bytes_max: u64::MAX,
            sessionless: place.sessionless,
            lends: !place.sessionless && !place.inproc,
            wants_keys: place.sessionless,
        });
        place.link = Some(link.clone());
        if !place.sessionless {
            table.tells.push_back((link, Tell::Hello));
        }
        drop(table);
        self.tell_watching();
    }

    pub(super) fn gone(&self, node: NodeId, peer: &Peer, reason: &CloseReason) {
        let now = self.time(Instant::now());
        let mut table = self.table.lock();
        let Some(place) = table.place(node) else {
            return;
        };
        if place.link.as_ref().is_none_or(|link| link.peer != *peer) {
            return;
        }
        place.link = None;
        place.welcomed = place.sessionless;
        place.draining = false;
        place.last_error = Some(reason.to_string());
        let inproc = place.inproc;
        table.caller.lost(now, node);
        let closed = table.closed;
        drop(table);
        self.tell_watching();
        if inproc && !closed {
            self.clerk.redial(&self.me, node, Instant::now() + REDIAL);
        }
    }

    /// Nothing was heard of a node, and it was asked for a sign of life.
    pub(super) fn asked(&self, node: NodeId, peer: &Peer, within: Duration) {
        let now = self.time(Instant::now());
        let mut table = self.table.lock();
        if table.is_by(node, peer) {
            table.caller.asked(now, node, within);
        }
    }

    /// It has given one.
    pub(super) fn heard(&self, node: NodeId, peer: &Peer) {
        let mut table = self.table.lock();
        if table.is_by(node, peer) {
            table.caller.heard(node);
        }
    }

    /// Heartbeats have found that the way there is another one.
    pub(super) fn measured(&self, node: NodeId, peer: &Peer, round_trip: Duration) {
        let mut table = self.table.lock();
        if table.is_by(node, peer) {
            table.caller.measured(node, Some(round_trip));
        }
    }

    pub(super) fn failed(&self, node: NodeId, why: &dyn fmt::Display) {
        let now = self.time(Instant::now());
        let again = {
            let mut table = self.table.lock();
            let Some(place) = table.place(node) else {
                return;
            };
            place.last_error = Some(why.to_string());
            // Nobody else tries again within the process: who was turned away has no connection
            // whose end would tell.
            let again = place.inproc && place.link.is_none();
            table.caller.failed_to_connect(now, node);
            again && !table.closed
        };
        if again {
            self.clerk.redial(&self.me, node, Instant::now() + REDIAL);
        }
        self.tell_watching();
        // Nothing is sent for this, so it can be done at once.
        loop {
            let ended = self.table.lock().caller.next_ended();
            let Some(ended) = ended else { break };
            self.end(&ended);
        }
        // Nobody may be about to settle; those who pass calls on are told by the clerk then.
        let told = self.table.lock().relays.is_empty();
        if !told {
            self.look_by(Some(self.time(Instant::now())));
        }
    }

    /// Messages that came together: of replies, [`TOGETHER`] share one look at the table. Who waits
    /// for them is woken later.
    pub(super) fn hear_all(
        &self,
        node: NodeId,
        endpoint: &Arc<str>,
        messages: Drain<'_, Message>,
        came: Instant,
    ) {
        let (mut locked, mut left) = (None, TOGETHER);
        for message in messages {
            if left == 0 {
                // Others may begin calls.
                (locked, left) = (None, TOGETHER);
            }
            left -= 1;
            let Ok(Envelope::Reply(head)) = Envelope::decode(message.first()) else {
                locked = None;
                self.hear(node, endpoint, message);
                continue;
            };
            let table = locked.get_or_insert_with(|| self.table.lock());
            table.came_at.get_or_insert_with(|| self.time(came));
            let Some(slot) = self.replied(table, node, &head) else {
                continue;
            };
            let answer = Answer::replied(message, endpoint.clone());
            if let Some(answer) = self.complete_waiting(&slot, answer) {
                locked = None;
                self.complete(&slot, answer);
            }
        }
    }

    /// Takes note of a reply: the call that it ends, if any.
    #[inline]
    fn replied(&self, table: &mut Table, node: NodeId, head: &ReplyHead) -> Option<Arc<Slot>> {
        let now = self.came_at(table);
        let told = Answered {
            load: head.load,
            credit: head.credit,
        };
        table
            .caller
            .reply(now, node, CallId::from_wire(head.id), told)
    }

    pub(super) fn hear(&self, node: NodeId, endpoint: &Arc<str>, mut message: Message) {
        if message.first().is_empty() && message.len() > 1 {
            message.pop_front();
        }
        match Envelope::decode(message.first()) {
            Ok(Envelope::Reply(head)) => {
                let slot = self.replied(&mut self.table.lock(), node, &head);
                if let Some(slot) = slot {
                    self.complete(&slot, Answer::replied(message, endpoint.clone()));
                }
            }
            Ok(Envelope::Error(head)) if head.id == 0 => {
                let why = head.status().to_string();
                self.failed(node, &why);
            }
            Ok(Envelope::Error(head)) => {
                let mut failure = Failure {
                    ran: head.ran,
                    again: Again::of_code(head.code.number(), head.retry_after.is_some()),
                    retry_after: head.retry_after,
                    verdict: Verdict::of_code(head.code.number(), head.retry_after.is_some()),
                };
                let told = Answered {
                    load: head.load,
                    credit: head.credit,
                };
                let id = CallId::from_wire(head.id);
                let then = {
                    let mut table = self.table.lock();
                    let now = self.came_at(&mut table);
                    let slot = table.caller.payload(id).map(|slot| &**slot);
                    let streaming = slot.and_then(|slot| slot.request.conduit.as_ref());
                    let relayed = slot.and_then(|slot| slot.request.relay.as_ref());
                    if streaming.is_some_and(|conduit| conduit.has_begun())
                        || relayed.is_some_and(|relay| relay.has_begun())
                    {
                        // Whatever it says: items have travelled.
                        failure.again = Again::Never;
                    }
                    let then = table.caller.error(now, node, id, failure, told);
                    if matches!(then, ErrorThen::Again)
                        && let Some(slot) = table.caller.payload(id)
                    {
                        // If it never comes to an answer, that is why.
                        slot.refused(endpoint.clone(), head.status());
                    }
                    then
                };
                self.after_error(then, || Answer::failed(message, endpoint.clone()));
            }
            Ok(Envelope::Items(head)) => self.hear_items(node, &head, message),
            Ok(Envelope::Window { id, window }) => self.hear_window(node, id, window),
            Ok(Envelope::Stop { id }) => self.hear_stop(node, id),
            Ok(Envelope::Credit(told)) => self.table.lock().caller.credit(node, told),
            Ok(Envelope::Welcome(welcome)) => self.welcomed(node, &welcome),
            Ok(Envelope::Bye { .. }) => {
                let mut table = self.table.lock();
                let now = self.came_at(&mut table);
                if table.caller.bye(now, node) {
                    if let Some(place) = table.place(node) {
                        place.draining = true;
                        place.last_error = Some("draining".to_owned());
                    }
                    // One that says it again and again is owed it once.
                    if !table.byes.contains(&node) {
                        table.byes.push(node);
                    }
                }
                drop(table);
                self.tell_watching();
            }
            other => {
                if let Some(place) = self.table.lock().place(node) {
                    place.misfits += 1;
                }
                if let Err(error) = other
                    && let Some(id) = error.stream_id()
                {
                    self.hear_garbled(node, id, &error);
                }
            }
        }
    }

    /// The time, read once for all that came in together.
    fn came_at(&self, table: &mut Table) -> Time {
        *table
            .came_at
            .get_or_insert_with(|| self.time(Instant::now()))
    }

    fn welcomed(&self, node: NodeId, welcome: &wire::Welcome<'_>) {
        let mut table = self.table.lock();
        let Some(place) = table.place(node) else {
            return;
        };
        let Some(link) = place.link.clone() else {
            return;
        };
        let Some(version) = Version::from_number(welcome.version) else {
            place.misfits += 1;
            return;
        };
        place.link = Some(Arc::new(Link {
            dealer: link.dealer.clone(),
            peer: link.peer.clone(),
            version,
            blob_bytes_max: welcome.blob_bytes_max,
            call_bytes_max: welcome.call_bytes_max,
            sessionless: link.sessionless,
            lends: link.lends,
            wants_keys: welcome.wants_keys,
        }));
        place.welcomed = true;
        place.last_error = None;
        place.name = Arc::from(welcome.name);
        let now = self.came_at(&mut table);
        table.caller.welcome(now, node, welcome.credit);
        table.caller.pulls(node, welcome.pulls);
        drop(table);
        self.tell_watching();
    }

    // What follows.

    pub(super) fn after_error(&self, then: ErrorThen<Arc<Slot>>, answer: impl FnOnce() -> Answer) {
        if !matches!(then, ErrorThen::Late) {
            // The call may rest before it is sent again, and the node may be left alone for a while.
            let due = self.table.lock().caller.next_due();
            self.look_by(due);
        }
        match then {
            ErrorThen::Finished(slot) => self.complete(&slot, answer()),
            ErrorThen::Again | ErrorThen::Late => {}
        }
    }

    /// A call that no node can be sent: it ends.
    pub(super) fn refuse(&self, sending: &Sending, now: Instant, status: Status) {
        let failure = Failure {
            ran: Ran::No,
            again: match status.code() {
                // Another node may speak a newer version.
                Code::Unimplemented => Again::Elsewhere,
                _ => Again::Never,
            },
            retry_after: None,
            verdict: Verdict::None,
        };
        let (node, id) = (sending.node, sending.id);
        let then =
            self.table
                .lock()
                .caller
                .error(self.time(now), node, id, failure, Answered::default());
        self.after_error(then, || Answer::ended(RpcError::new(status, Ran::No)));
    }

    /// Does what is due.
    pub(super) fn due(&self) {
        let due = {
            let mut table = self.table.lock();
            table.caller.due(self.time(Instant::now()));
            table.caller.next_due()
        };
        self.look_by(due);
        self.act();
    }

    /// Sends, tells and ends what the table has for it, until there is nothing more. No lock may
    /// be held.
    pub(super) fn act(&self) {
        loop {
            let Some((deed, now)) = self.next_deed() else {
                return;
            };
            match deed {
                Deed::Tell(link, tell) => {
                    self.tell(&link, &tell);
                    if let Tell::Wish(_) = tell {
                        // It is told again after a while.
                        let due = self.table.lock().caller.next_due();
                        self.look_by(due);
                    }
                }
                Deed::Send(sending, slot, link) => {
                    let left = slot.request.deadline.saturating_duration_since(now);
                    self.send(&sending, &slot, link.as_ref(), (now, left), false);
                }
                Deed::End(ended) => {
                    self.tell_of(&ended);
                    self.end(&ended);
                }
                Deed::Flush(conduit) => self.flush_items(&conduit),
                Deed::Relay(relay) => relay.run(),
                Deed::Part(dealer, link) => self.part(dealer, link),
            }
        }
    }

    /// Leaves a node: its socket is closed by another thread, since that may take a moment.
    fn part(&self, dealer: Option<Arc<Dealer>>, link: Option<Arc<Link>>) {
        if let Some(link) = link {
            self.tell(&link, &Tell::Bye);
        }
        if let Some(dealer) = dealer {
            self.clerk.give(Job::Part(dealer));
        }
    }

    /// The next thing to do, and the time.
    fn next_deed(&self) -> Option<(Deed, Instant)> {
        let mut table = self.table.lock();
        table.came_at = None;
        if table.is_settled() {
            return None;
        }
        let now = Instant::now();
        let deed = self.deed(&mut table, now);
        // One that all who are left have turned away rests, and nobody else may be about to look.
        let rested = table.caller.take_rested();
        let due = rested.then(|| table.caller.next_due()).flatten();
        drop(table);
        self.look_by(due);
        Some((deed?, now))
    }

    fn deed(&self, table: &mut Table, now: Instant) -> Option<Deed> {
        if let Some((link, tell)) = table.tells.pop_front() {
            return Some(Deed::Tell(link, tell));
        }
        while let Some(node) = table.take_bye() {
            if let Some(link) = table.link(node) {
                return Some(Deed::Tell(link, Tell::Bye));
            }
        }
        if let Some(ended) = table.caller.next_ended() {
            return Some(Deed::End(ended));
        }
        if let Some(relay) = table.relays.pop_front() {
            return Some(Deed::Relay(relay));
        }
        if let Some(sending) = table.caller.next_send(self.time(now)) {
            let link = table.link(sending.node);
            let slot = table.caller.payload(sending.id).cloned()?;
            return Some(Deed::Send(sending, slot, link));
        }
        if let Some((node, calls)) = table.caller.next_wish(self.time(now))
            && let Some(link) = table.link(node)
        {
            return Some(Deed::Tell(link, Tell::Wish(calls)));
        }
        if let Some(conduit) = table.flows.pop_front() {
            return Some(Deed::Flush(conduit));
        }
        let place = table.take_left()?;
        self.set_drive(drive(table));
        Some(Deed::Part(place.dealer, place.link))
    }

    fn tell(&self, link: &Link, tell: &Tell) {
        let frame = match tell {
            Tell::Hello => wire::encode_hello(&Hello {
                version: Version::NEWEST.number(),
                oldest: Version::OLDEST.number(),
                name: &self.settings.name,
            }),
            Tell::Bye => wire::encode_bye(0),
            Tell::Cancel(id) => wire::encode_cancel(*id),
            Tell::Wish(calls) => {
                wire::encode_credit(Credit::new(*calls, u64::MAX), Version::NEWEST)
            }
        };
        // A connection that has gone needs not be told.
        link.send(Message::single(frame), false);
    }

    fn end(&self, ended: &Ended<Arc<Slot>>) {
        let answer = self.answer_of(ended);
        self.complete(&ended.payload, answer);
    }

    // Watching.

    pub(super) fn report(&self) -> ClientStats {
        let table = self.table.lock();
        let sent: u64 = table.caller.nodes().map(|node| node.sent).sum();
        let nodes = table.nodes.iter().flatten().filter_map(|place| {
            let known = table.caller.node_stats(place.id)?;
            Some(NodeReport {
                endpoint: place.endpoint.to_string(),
                name: place.name.to_string(),
                state: known.state,
                weight: known.weight,
                weight_now: f64::from(known.weight_now) / 1000.0,
                priority: known.priority,
                place: known.place,
                paused: known.paused,
                silent: known.silent,
                round_trip: known.round_trip,
                share: known.sent as f64 / sent.max(1) as f64,
                credit_calls: known.credit.calls,
                credit_bytes: known.credit.bytes,
                in_flight: known.in_flight.calls,
                in_flight_bytes: known.in_flight.bytes,
                sent: known.sent,
                answered: known.answered,
                errors: known.errors,
                lost: known.lost,
                load: known.load,
                latency: known.latency,
                doubted: known.doubted,
                misfits: place.misfits,
                last_error: place.last_error.clone().unwrap_or_default(),
            })
        });
        ClientStats {
            calls: table.caller.stats(),
            streams: self.streams.report(),
            nodes: nodes.collect(),
        }
    }
}

/// What a thread that waits for an answer does meanwhile.
fn drive(table: &Table) -> Drive {
    let (mut inproc, mut links) = (false, false);
    for place in table.nodes.iter().flatten() {
        inproc |= place.inproc;
        links |= !place.inproc;
    }
    match (inproc, links) {
        (_, false) => Drive::Nothing,
        (true, true) => Drive::Engine,
        (false, true) => Drive::Connections,
    }
}
