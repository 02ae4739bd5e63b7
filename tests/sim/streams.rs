//! Calls with items: shells around [`Outflow`] and [`Inflow`], with programs that send and take.
//!
//! A handler sends so many items, takes those that come, or answers each that it takes by one of
//! its own. A caller's program sends all it has, or in groups, each of which it sends when those
//! before are answered; it takes at once, slowly, or wants no more after some. What they do is a
//! function of the call's number.

use std::collections::BTreeMap;

use brokerless::machine::{Batch, CallId, Flow, Inflow, Outflow};

use crate::doses::{Doses, Kind, MS};
use crate::ledger::{Key, Outcome, Stream};
use crate::network::{Call, End, Items, Message};
use crate::random::mix;
use crate::world::{Event, World, trace};

/// Items of most groups that are answered before the next is sent.
const GROUP: u64 = 8;

/// Items that a sender may have in a batch.
const GATHERED_MAX: u64 = 256;

/// Which way a call's items go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    In,
    Out,
    Both,
}

/// The sides of all streams, by call.
#[derive(Default)]
pub(crate) struct Streams {
    at_caller: BTreeMap<Key, Half>,
    at_replier: BTreeMap<Key, Half>,
    turns: u64,
}

/// One side of a stream.
struct Half {
    process: usize,
    incarnation: u32,
    connection: usize,
    id: CallId,
    /// The handler's job, at a replier.
    job: u64,
    /// Tells it from an earlier attempt's.
    turn: u64,
    stepping: bool,
    sender: Option<Sender>,
    taker: Option<Taker>,
    /// How the call was answered, while items from before that are still to be taken.
    answer: Option<Outcome>,
}

/// Who sends, and what it was let send, by the messages alone.
struct Sender {
    flow: Outflow,
    /// How many items there are; none: one for each that is taken.
    total: Option<u64>,
    /// Items after which it waits until as many have come back.
    group: u64,
    made: u64,
    /// Items that have left, and their bytes.
    left: Flow,
    size: Flow,
    told: Flow,
    stopped: bool,
    over: bool,
}

/// Who takes, and what it has, by the messages alone.
struct Taker {
    flow: Inflow<Items>,
    window: Flow,
    came: Flow,
    taken: Flow,
    pause: u64,
    stop_after: u64,
    over: bool,
}

/// A draw for a call: the same whenever it is asked for.
fn drawn(key: Key, of: u64, below: u64) -> u64 {
    mix(key ^ mix(of)) % below.max(1)
}

/// The bytes of an item, of those that go to this end.
fn item_bytes(doses: &Doses, key: Key, to: End, index: u64) -> u64 {
    let draw = mix(key ^ mix(index ^ (to as u64) << 32));
    match draw % 40 {
        // Larger than the window.
        0 if doses.stream_window.1 < 1 << 20 => doses.stream_window.1 * 2,
        _ => draw >> 32 & 0x3f,
    }
}

fn bytes_of(doses: &Doses, key: Key, to: End, from: u64, items: u64) -> u64 {
    (from..from + items)
        .map(|index| item_bytes(doses, key, to, index))
        .sum()
}

/// How many items a program sends: some windows full.
fn total(doses: &Doses, key: Key, to: End, settled: bool) -> u64 {
    let (items, bytes) = doses.stream_window;
    let full = items.min(bytes / 50 + 1);
    let draw = 0x200 + to as u64;
    match drawn(key, draw, 20) {
        0 => 0,
        1 if full >= 1024 => 900,
        _ if settled => drawn(key, draw + 8, full.min(40) + 2),
        _ => drawn(key, draw + 8, 3 * full.min(40) + 2),
    }
}

impl Streams {
    fn of(&mut self, side: End) -> &mut BTreeMap<Key, Half> {
        match side {
            End::Caller => &mut self.at_caller,
            End::Replier => &mut self.at_replier,
        }
    }

    /// The process of a side of a stream, if that is still the same.
    pub(crate) fn process(&mut self, side: End, key: Key, turn: u64) -> Option<(usize, u32)> {
        let half = self.of(side).get(&key).filter(|half| half.turn == turn)?;
        Some((half.process, half.incarnation))
    }

    /// A process is gone, and its sides with it: those of these calls.
    pub(crate) fn gone(&mut self, side: End, process: usize) -> Vec<Key> {
        let gone = self
            .of(side)
            .extract_if(.., |_, half| half.process == process);
        gone.map(|(key, _)| key).collect()
    }
}

impl Sender {
    fn new(first: Flow, total: Option<u64>, group: u64) -> Sender {
        Sender {
            flow: Outflow::new(first),
            total,
            group,
            made: 0,
            left: Flow::default(),
            size: first,
            told: first,
            stopped: false,
            over: false,
        }
    }

    /// How many items may be made by now, where so many were taken.
    fn limit(&self, taken: Option<u64>) -> u64 {
        let Some(taken) = taken else {
            return self.total.unwrap_or(0);
        };
        let Some(total) = self.total else {
            return taken;
        };
        total.min((taken / self.group + 1).saturating_mul(self.group))
    }
}

impl Taker {
    fn new(window: Flow, pause: u64, stop_after: u64) -> Taker {
        Taker {
            flow: Inflow::new(window),
            window,
            came: Flow::default(),
            taken: Flow::default(),
            pause,
            stop_after,
            over: false,
        }
    }
}

impl World {
    /// Whether a call has items is drawn when it is made.
    pub(crate) fn make_stream(&mut self, key: Key) {
        if drawn(key, 1, 1_000_000) >= self.doses.streams {
            return;
        }
        let form = [Form::In, Form::Out, Form::Both][drawn(key, 2, 3) as usize];
        self.ledger.record(key).stream = Some(Stream {
            form,
            sent_out: 0,
            taken_out: 0,
            sent_in: 0,
            taken_in: 0,
            stopped: false,
            ends: 0,
        });
    }

    fn window(&self) -> Flow {
        let (items, bytes) = self.doses.stream_window;
        Flow::new(items, bytes)
    }

    fn taker(&self, key: Key, side: End) -> Taker {
        let draw = 0x100 + side as u64;
        let pause = match drawn(key, draw, 4) {
            0 => MS / 20,
            1 if self.ledger.records[key as usize].must_succeed => MS / 50,
            1 => MS,
            _ => 0,
        };
        let stop_after = match drawn(key, draw + 8, 8) {
            0 => drawn(key, draw + 16, 40),
            _ => u64::MAX,
        };
        Taker::new(self.window(), pause, stop_after)
    }

    fn half(&mut self, connection: usize, side: End, id: CallId) -> Half {
        let link = &self.connections[connection];
        let (process, incarnation) = match side {
            End::Caller => (link.caller, self.callers[link.caller].incarnation),
            End::Replier => (link.replier, self.repliers[link.replier].incarnation),
        };
        self.streams.turns += 1;
        Half {
            process,
            incarnation,
            connection,
            id,
            job: 0,
            turn: self.streams.turns,
            stepping: false,
            sender: None,
            taker: None,
            answer: None,
        }
    }

    // ---- how they begin and end --------------------------------------------------------------

    /// A caller has sent a call.
    pub(crate) fn stream_begins_here(&mut self, connection: usize, call: Call) {
        let Some(form) = call.stream else {
            return;
        };
        let key = call.key;
        let mut half = self.half(connection, End::Caller, call.id);
        if form != Form::Out {
            let record = &self.ledger.records[key as usize];
            let settled = record.must_succeed && self.doses.kind == Kind::Chaos;
            let total = total(&self.doses, key, End::Replier, settled);
            let group = match drawn(key, 3, 2) {
                0 if form == Form::Both => GROUP.max(total / 3),
                _ => u64::MAX,
            };
            half.sender = Some(Sender::new(Flow::default(), Some(total), group));
        }
        if form != Form::In {
            let mut taker = self.taker(key, End::Caller);
            // The call says it.
            taker.flow.first_window();
            half.taker = Some(taker);
        }
        self.streams.at_caller.insert(key, half);
    }

    /// A handler begins.
    pub(crate) fn stream_begins_there(
        &mut self,
        connection: usize,
        job: u64,
        call: Call,
        form: Form,
    ) {
        let key = call.key;
        let mut half = self.half(connection, End::Replier, call.id);
        half.job = job;
        if form != Form::In {
            let record = &self.ledger.records[key as usize];
            let settled = record.must_succeed && self.doses.kind == Kind::Chaos;
            let total = total(&self.doses, key, End::Caller, settled);
            let total = (form == Form::Out).then_some(total);
            half.sender = Some(Sender::new(self.window(), total, u64::MAX));
        }
        if form != Form::Out {
            let mut taker = self.taker(key, End::Replier);
            let first = taker.flow.first_window();
            half.taker = Some(taker);
            self.send(
                connection,
                End::Caller,
                Message::Window(call.id, key, first),
            );
        }
        self.streams.at_replier.insert(key, half);
        self.step_later(End::Replier, key, 0);
    }

    /// A call has not run where it was sent, and goes elsewhere.
    pub(crate) fn stream_is_elsewhere(&mut self, key: Key) {
        let half = self.streams.at_caller.remove(&key);
        if half.is_some_and(|half| half.sender.is_some_and(|it| it.left != Flow::default())) {
            let what = format!("items of call {key} were sent where it has not run");
            self.ledger.violated(self.now, what);
        }
    }

    /// A call has ended for its caller: by an answer, after which it takes what came before, or
    /// without one.
    pub(crate) fn stream_is_answered(&mut self, key: Key, outcome: Outcome) {
        if self.ledger.stream(key).is_none() {
            return;
        }
        let answered = !matches!(outcome, Outcome::Ended(..));
        let half = self.streams.at_caller.get_mut(&key);
        let (Some(half), true) = (half, answered) else {
            self.streams.at_caller.remove(&key);
            self.ledger.stream_ended(self.now, key, None);
            return;
        };
        half.answer = Some(outcome);
        half.sender = None;
        if let Some(taker) = &mut half.taker
            && !taker.over
            && let Err(violation) = taker.flow.close()
        {
            let what = format!("the stream of call {key} cannot end: {violation}");
            self.ledger.violated(self.now, what);
        }
        self.step_later(End::Caller, key, 0);
    }

    /// A handler is told that nobody waits for its call, or that its time is up.
    pub(crate) fn stream_is_cut_short(&mut self, key: Key) {
        if let Some(mut half) = self.streams.at_replier.remove(&key)
            && let Some(sender) = &mut half.sender
        {
            // What has gathered goes before the error.
            let batch = sender.flow.flush();
            self.leave_behind(End::Replier, key, &mut half, batch, false);
        }
    }

    pub(crate) fn settle_streams(&mut self) {
        let mut faults = Vec::new();
        for (key, half) in &self.streams.at_caller {
            faults.push(format!(
                "call {key}: {:?} and its items are not all taken",
                half.answer
            ));
        }
        for key in self.streams.at_replier.keys() {
            faults.push(format!("the handler of call {key} never ends"));
        }
        for (key, record) in self.ledger.records.iter().enumerate() {
            let ends = record.stream.map_or(1, |stream| stream.ends);
            if record.outcome.is_some() && !record.died && ends == 0 {
                faults.push(format!("the stream of call {key} never ends"));
            }
        }
        for fault in faults {
            self.ledger.violated(self.now, fault);
        }
    }

    // ---- what comes --------------------------------------------------------------------------

    /// An end hears a message of a stream. One for a stream that is no more is passed over.
    pub(crate) fn stream_hears(&mut self, side: End, connection: usize, message: Message) {
        let (id, key, items, window) = match message {
            Message::Items(id, key, items) => (id, key, Some(items), items.window),
            Message::Window(id, key, window) => (id, key, None, Some(window)),
            Message::Stop(id, key) => (id, key, None, None),
            _ => return,
        };
        let Some(mut half) = self.streams.of(side).remove(&key) else {
            return;
        };
        if half.id != id || half.connection != connection {
            self.streams.of(side).insert(key, half);
            return;
        }
        if let Some(items) = items {
            self.items_came(side, key, &mut half, items);
        }
        if let Some(sender) = &mut half.sender {
            if let Some(window) = window {
                let told = &mut sender.told;
                *told = Flow::new(told.items.max(window.items), told.bytes.max(window.bytes));
                if sender.left == Flow::default() {
                    sender.size = *told;
                }
                if sender.flow.granted(window) {
                    let batch = sender.flow.flush();
                    self.leave_behind(side, key, &mut half, batch, false);
                }
            } else if items.is_none() {
                sender.stopped = true;
                sender.flow.stop();
            }
        }
        let pause = half.taker.as_ref().map_or(0, |taker| taker.pause);
        let waits = items.is_some() && pause > 0;
        self.streams.of(side).insert(key, half);
        match waits {
            true => self.step_later(side, key, pause),
            false => self.stream_step(side, key),
        }
    }

    fn items_came(&mut self, side: End, key: Key, half: &mut Half, items: Items) {
        let Some(taker) = half.taker.as_mut().filter(|taker| !taker.over) else {
            return;
        };
        let (first, count) = (items.first, items.count);
        let arrived = taker
            .flow
            .arrive(first, count, items.bytes, items.last, items);
        taker.came.items += u64::from(count);
        taker.came.bytes += items.bytes;
        let kept = Flow {
            items: taker.came.items - taker.taken.items.min(taker.came.items),
            bytes: taker.came.bytes - taker.taken.bytes.min(taker.came.bytes),
        };
        let over =
            kept.items > taker.window.items || kept.bytes > taker.window.bytes && kept.items > 1;
        if let Err(violation) = arrived {
            let what = format!("call {key}, to {side:?}: {violation}, of an honest peer");
            self.ledger.violated(self.now, what);
        }
        if over {
            let what = format!("call {key}: {side:?} keeps {kept:?} of {:?}", taker.window);
            self.ledger.violated(self.now, what);
        }
    }

    // ---- programs ----------------------------------------------------------------------------

    fn step_later(&mut self, side: End, key: Key, wait: u64) {
        if let Some(half) = self.streams.of(side).get_mut(&key)
            && !half.stepping
        {
            half.stepping = true;
            let turn = half.turn;
            self.push_in(wait, Event::Step(side, key, turn));
        }
    }

    /// A program takes, sends, and ends, as far as it can now.
    pub(crate) fn stream_step(&mut self, side: End, key: Key) {
        let Some(mut half) = self.streams.of(side).remove(&key) else {
            return;
        };
        half.stepping = false;
        let again = self.take(side, key, &mut half);
        let more = self.make(side, key, &mut half);
        let over = match side {
            End::Caller => {
                let taken = half.taker.as_ref().is_none_or(|taker| taker.over);
                half.answer.is_some() && taken
            }
            End::Replier => {
                let taken = half.taker.as_ref().is_none_or(|taker| taker.over);
                let made = half.sender.as_ref().is_none_or(|sender| sender.over);
                taken && made
            }
        };
        if over {
            match side {
                End::Caller => self.ledger.stream_ended(self.now, key, half.answer),
                End::Replier => {
                    trace!(self, "the handler of call {key} has ended its items");
                    self.done(half.process, half.job);
                }
            }
            return;
        }
        self.streams.of(side).insert(key, half);
        if let Some(wait) = again.or(more) {
            self.step_later(side, key, wait);
        }
    }

    /// Takes what is there. When to take more, if there is more and it is slow.
    fn take(&mut self, side: End, key: Key, half: &mut Half) -> Option<u64> {
        let (connection, id) = (half.connection, half.id);
        let taker = half.taker.as_mut().filter(|taker| !taker.over)?;
        let mut slow = None;
        while let Some(items) = taker.flow.next() {
            if items.holds != taker.taken.items {
                let due = taker.taken.items;
                let what = format!("call {key}: {side:?} takes item {}, not {due}", items.holds);
                self.ledger.violated(self.now, what);
            }
            taker.taken.items += u64::from(items.count);
            taker.taken.bytes += items.bytes;
            taker.flow.took(items.count, items.bytes);
            if taker.taken.items >= taker.stop_after {
                break;
            }
            if taker.pause > 0 {
                slow = Some(taker.pause);
                break;
            }
        }
        let taken = taker.taken.items;
        let wants_more = taken < taker.stop_after;
        let ended = taker.flow.is_ended();
        taker.over = ended || !wants_more;
        let window = match taker.over {
            true => None,
            false => taker.flow.due_window(slow.is_none()),
        };
        if let Some(stream) = self.ledger.stream(key) {
            match side {
                End::Caller => stream.taken_out = taken,
                End::Replier => stream.taken_in = taken,
            }
            stream.stopped |= !wants_more && !ended;
        }
        if let Some(window) = window {
            self.send(connection, side.other(), Message::Window(id, key, window));
        }
        if !wants_more && !ended && half.answer.is_none() {
            self.want_no_more(side, key, half);
        }
        slow.filter(|_| wants_more)
    }

    fn want_no_more(&mut self, side: End, key: Key, half: &mut Half) {
        let record = &self.ledger.records[key as usize];
        let sends_on = half.sender.is_some();
        if side == End::Caller && !sends_on && !record.must_succeed {
            // Whoever drops its stream cancels the call.
            self.push_in(0, Event::Cancel(half.process, half.incarnation, key));
            return;
        }
        if let Some(sender) = &mut half.sender {
            sender.group = u64::MAX;
        }
        let stop = Message::Stop(half.id, key);
        self.send(half.connection, side.other(), stop);
    }

    /// Makes items as far as there is room. When to make more, if there is.
    fn make(&mut self, side: End, key: Key, half: &mut Half) -> Option<u64> {
        let taken = half.taker.as_ref().map(|taker| taker.taken.items);
        let takes_more = half.taker.as_ref().is_some_and(|taker| !taker.over);
        let to = side.other();
        let turn = [1, 16, 64][drawn(key, 4, 3) as usize];
        for _ in 0..turn {
            let sender = half.sender.as_mut().filter(|sender| !sender.over)?;
            let bytes = item_bytes(&self.doses, key, to, sender.made);
            if sender.made >= sender.limit(taken) || !sender.flow.may_send(bytes) {
                break;
            }
            sender.made += 1;
            let gathered = sender.made - sender.left.items;
            if gathered > GATHERED_MAX {
                let what = format!("call {key}: {side:?} keeps {gathered} items back");
                self.ledger.violated(self.now, what);
            }
            if sender.flow.gather(bytes) {
                let batch = sender.flow.flush();
                self.leave_behind(side, key, half, batch, false);
            }
        }
        let sender = half.sender.as_mut()?;
        let all = match sender.total {
            Some(total) => sender.made >= total,
            None => sender.made >= taken.unwrap_or(0) && !takes_more,
        };
        // A caller whose items are not wanted has not to say that they end.
        let begun = side == End::Replier || sender.told != Flow::default();
        if sender.flow.is_stopped() || all && begun {
            sender.over = true;
            let batch = sender.flow.flush();
            let says_so = side == End::Caller && !sender.flow.is_stopped();
            self.leave_behind(side, key, half, batch, says_so);
            return None;
        }
        let bytes = item_bytes(&self.doses, key, to, sender.made);
        let goes_on = sender.made < sender.limit(taken) && sender.flow.may_send(bytes);
        let pause = [0, MS / 100, MS / 5][drawn(key, 5, 3) as usize];
        goes_on.then_some(pause)
    }

    /// Sends a batch, or that there is no more.
    fn leave_behind(
        &mut self,
        side: End,
        key: Key,
        half: &mut Half,
        batch: Option<Batch>,
        last: bool,
    ) {
        let Some(sender) = &mut half.sender else {
            return;
        };
        if batch.is_none() && !last {
            return;
        }
        let (made, to) = (sender.made, side.other());
        let (first, count) = match batch {
            Some(batch) => (batch.first, batch.count),
            None => (sender.flow.items(), 0),
        };
        let holds = sender.left.items;
        let bytes = bytes_of(&self.doses, key, to, holds, count.into());
        let before = sender.left;
        sender.left.bytes += bytes_of(&self.doses, key, to, holds, made - holds);
        sender.left.items = made;
        let within = sender.left.items <= sender.told.items
            && (sender.left.bytes <= sender.told.bytes
                || count == 1 && before.items <= sender.told.items - sender.size.items);
        if !within && count > 0 {
            let what = format!(
                "call {key}: {side:?} has sent {:?} in a window of {:?}",
                sender.left, sender.told
            );
            self.ledger.violated(self.now, what);
        }
        if sender.stopped && count > 0 {
            let what = format!("call {key}: {side:?} sends items that are not wanted");
            self.ledger.violated(self.now, what);
        }
        if let Some(stream) = self.ledger.stream(key) {
            match side {
                End::Caller => stream.sent_in = made,
                End::Replier => stream.sent_out = made,
            }
        }
        let taker = half.taker.as_mut().filter(|taker| !taker.over);
        let window = taker.and_then(|taker| taker.flow.due_window(true));
        let items = Items {
            first,
            count,
            bytes,
            last,
            window,
            holds,
        };
        self.send(half.connection, to, Message::Items(half.id, key, items));
    }
}
