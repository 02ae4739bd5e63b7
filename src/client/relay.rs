//! Calls that are passed on: whoever passes them on hears what comes of each, without a thread that
//! waits for it.
//!
//! ```text
//! whoever has the call              whoever leads the engine
//! Client::pass ── envelope ─────►   Tap::take ── table ── Relay::put     locks are held
//! Relay::give, allow, stop ─────►   Tap::settle ── Relay::run ── Returns: answer, items, windows
//! ```
//!
//! Items and windows go through as they came, with another number of their call: what lies here of a
//! stream is what was sent and not read on, which the taker's window bounds.
//!
//! # Invariants
//!
//! 1. What a node says of one call is heard in the order in which it came, its end as the last.
//!    (held by `Relay::run`, which one thread at a time does)
//! 2. A node is held to what the far taker has let it send. (test
//!    `a_node_behind_a_proxy_that_breaks_the_rules_of_streams_ends_its_stream_alone`)
//! 3. A window that comes while its call is on its way reaches the node that gets it. (held by
//!    `Relay::sending` and `Relay::sent`)
//! 4. A call of which a part finds no room ends: it does not stand still. (test
//!    `a_stream_whose_node_does_not_read_ends`)
//! 5. What has no items goes through once, or as one of its kind: no side fills a queue with it.
//!    (test `what_has_no_items_goes_through_once`)
//! 6. A caller that lets more be sent again and again, while its node sends nothing, fills no queue:
//!    what it said last is told once the node sends. (test
//!    `windows_that_follow_no_item_are_told_a_few_times_and_then_as_one`)
//! 7. An end of the caller's items that comes before the call is sent is said to each node that gets
//!    the call, after it. (test `an_end_without_items_is_said_to_each_node_that_its_call_is_sent_to`)
//!
//! # Not here
//!
//! Where the calls came from (`crate::server`); what passes them on (`crate::proxy`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use brokerless_patterns::balance::hash;
use brokerless_patterns::{Message, SendRefusal};
use parking_lot::Mutex;

use super::Client;
use super::answer::Answer;
use super::core::Core;
use super::errors;
use super::node::Link;
use super::slot::{Path, Request};
use crate::machine::{CallId, Flow, Meter, Violation};
use crate::service::Passing;
use crate::wire::{self, Flags, ItemsHead, Payload};
use crate::{RpcError, Status};

/// What the paths of services begin with that every server has.
const BUILT_IN: &str = "brokerless.";

/// Windows that are told to a node that sends nothing meanwhile. Who tells one for each item that it
/// has taken, or seldom, never comes to that; a node that does not read would have all of them queued.
const WINDOWS_AHEAD_MAX: u32 = 64;

/// Who hears what comes of a call that was passed on. Called without a lock held; it must not
/// block.
pub(crate) trait Returns: Send + Sync {
    /// The call has ended. Told once, after all else.
    fn answered(&self, answer: Answer);
    /// The node sends items.
    fn items(&self, head: &ItemsHead, items: Payload);
    /// The node lets items be sent.
    fn window(&self, window: Flow);
    /// The node wants no more items.
    fn stop(&self);
}

/// The connection that a call goes over, and its number there.
#[derive(Clone)]
pub(super) struct Way {
    link: Arc<Link>,
    id: u64,
}

impl Way {
    pub(super) fn new(link: &Arc<Link>, id: u64) -> Way {
        let link = link.clone();
        Way { link, id }
    }
}

/// What a node said of a call.
enum News {
    Items(ItemsHead, Payload),
    Window(Flow),
    Stop,
    End(Answer),
}

/// A call that was passed on.
pub(crate) struct Relay {
    core: Weak<Core>,
    /// Its number in the table, once it is there.
    id: OnceLock<CallId>,
    begun: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// None once it has heard the end.
    to: Option<Arc<dyn Returns>>,
    inbox: VecDeque<News>,
    /// A thread tells what is in the inbox, or is about to.
    running: bool,
    over: bool,
    way: Option<Way>,
    /// The call has been written on that way.
    sent: bool,
    /// The caller takes items.
    takes: bool,
    /// What the node may send.
    from_node: Meter,
    /// Of that, what the node was told; and how many times beyond one for each item.
    told: Flow,
    ahead: u32,
    /// What the caller may send.
    from_caller: Meter,
    /// The end of its items, if that came by itself; and that the node that has the call was told of
    /// it: one that turned the call away may have been, and the next one has to be.
    end: Option<ItemsHead>,
    end_told: bool,
    /// What has gone to the node, and what has come from it, that goes once.
    to_node: Once,
    to_caller: Once,
}

/// What one side of a stream says once.
#[derive(Default)]
struct Once {
    last: bool,
    stop: bool,
}

impl Once {
    fn ends(&mut self, head: &ItemsHead) -> Result<(), Violation> {
        match head.last && std::mem::replace(&mut self.last, true) {
            true => Err(Violation::AfterLast(head.first)),
            false => Ok(()),
        }
    }
}

impl Client {
    /// What a call goes by that is to be passed on, and who hears what comes of it.
    pub(crate) fn relay(&self, call: &Passing, to: Arc<dyn Returns>) -> Arc<Relay> {
        let mut from_node = Meter::default();
        if let Some(window) = call.window {
            from_node.granted(window);
        }
        Arc::new(Relay {
            core: Arc::downgrade(self.core()),
            id: OnceLock::new(),
            begun: AtomicBool::new(false),
            state: Mutex::new(State {
                to: Some(to),
                inbox: VecDeque::new(),
                running: false,
                over: false,
                way: None,
                sent: false,
                takes: call.flags.has(Flags::ITEMS_OUT),
                from_node,
                told: Flow::default(),
                ahead: 0,
                from_caller: Meter::default(),
                end: None,
                end_told: false,
                to_node: Once::default(),
                to_caller: Once::default(),
            }),
        })
    }

    /// Passes a call on: it is sent, or waits for credit, and ends by its deadline.
    ///
    /// # Errors
    ///
    /// Why it is not to be. Nobody hears of it then.
    pub(crate) fn pass(&self, mut call: Passing, relay: &Arc<Relay>) -> Result<(), RpcError> {
        let core = self.core();
        if let (Some(policy), None) = (&core.settings.keyed, call.key) {
            // What every node has needs no key: any node may answer, always the same one.
            if !call.path.starts_with(BUILT_IN) {
                relay.let_go();
                return Err(errors::passed_without_key(policy, &call.path));
            }
            call.key = Some(hash(call.path.as_bytes()));
        }
        let began = Instant::now();
        let request = Request {
            path: Path::Shared(call.path),
            payload: call.payload,
            flags: call.flags,
            encoding: call.encoding,
            metadata: (!call.metadata.is_empty()).then(|| Arc::new(call.metadata)),
            conduit: None,
            relay: Some(relay.clone()),
            hops: call.hops,
            only: None,
            key: call.key,
            began,
            deadline: call.deadline,
            left: call.deadline.saturating_duration_since(began),
        };
        let wait_for_ready = core.settings.wait_for_ready;
        match core.launch(request, wait_for_ready, false) {
            Ok(begun) => {
                // It is set once.
                let _ = relay.id.set(begun.id());
                Ok(())
            }
            Err(error) => {
                relay.let_go();
                Err(error)
            }
        }
    }
}

impl Relay {
    /// Whether anything has come from the node.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether the method has begun, as far as is known here.
    pub(crate) fn is_begun(&self) -> bool {
        self.has_begun()
    }

    /// Tells nobody of anything any more: who is told holds it, and may not be told of an end.
    pub(crate) fn let_go(&self) {
        let to = self.state.lock().to.take();
        drop(to);
    }

    // On the way to the node.

    /// The call is about to be written on this way: what the node may send at first, if it is to
    /// be told.
    pub(super) fn sending(&self, way: Way) -> Option<Flow> {
        let mut state = self.state.lock();
        state.way = Some(way);
        state.sent = false;
        state.end_told = false;
        state.ahead = 0;
        state.told = state.from_node.told();
        let told = state.told != Flow::default();
        (state.takes && told).then_some(state.told)
    }

    /// The call of this number has been written: what its caller has said meanwhile is told.
    pub(super) fn sent(&self, id: u64) {
        let due = {
            let mut state = self.state.lock();
            match &state.way {
                Some(way) if way.id == id => state.sent = true,
                _ => return,
            }
            state.due()
        };
        self.tell(due);
        self.tell_end();
    }

    /// Tells the node that no items come, if it is to be told.
    fn tell_end(&self) {
        let due = self.state.lock().end_due();
        if let Some((way, end)) = due {
            self.send(&way, Message::single(wire::encode_items(&end)));
        }
    }

    /// The caller lets items be sent.
    pub(crate) fn allow(&self, window: Flow) {
        let due = {
            let mut state = self.state.lock();
            state.from_node.granted(window);
            state.due()
        };
        self.tell(due);
    }

    /// Tells the node what it may send.
    fn tell(&self, due: Option<(Way, Flow)>) {
        if let Some((way, window)) = due {
            let frame = wire::encode_window(way.id, window);
            self.send(&way, Message::single(frame));
        }
    }

    /// Sends a part of a stream to the node. Where there is no room for it the call ends, since it
    /// would stand still without.
    fn send(&self, way: &Way, message: Message) {
        // A connection that has gone ends the call by itself.
        if way.link.try_send(message, false) != Err(SendRefusal::Full) {
            return;
        }
        let Some(core) = self.core.upgrade() else {
            return;
        };
        let (now, id) = (core.time(Instant::now()), CallId::from_wire(way.id));
        let ended = core.table.lock().caller.cancel(now, id);
        if let Some(ended) = ended {
            let why =
                "the node does not read what it is sent of the stream: there is no room for more";
            let error = RpcError::new(Status::unavailable(why), ended.ran);
            core.tell_of(&ended);
            core.act();
            if self.put_end(Answer::ended(error)) {
                self.run();
            }
        }
    }

    /// The caller sends items.
    ///
    /// # Errors
    ///
    /// Where it may not: the stream cannot go on.
    pub(crate) fn give(&self, head: &ItemsHead, items: Payload) -> Result<(), Violation> {
        if head.count == 0 {
            return self.give_none(head, items.bytes() as u64);
        }
        let way = {
            let mut state = self.state.lock();
            state.to_node.ends(head)?;
            if let Some(window) = head.window {
                state.from_node.granted(window);
                state.told = state.from_node.told();
            }
            state.from_caller.pass(head.count, items.bytes() as u64)?;
            match &state.way {
                Some(way) if !state.over => way.clone(),
                _ => return Ok(()),
            }
        };
        let head = ItemsHead {
            id: way.id,
            ..*head
        };
        self.send(&way, items.into_message(wire::encode_items(&head)));
        Ok(())
    }

    /// A message without items: the end of them, or nothing but the window that rides on it.
    fn give_none(&self, head: &ItemsHead, bytes: u64) -> Result<(), Violation> {
        if !head.last && head.window.is_none() {
            return Err(Violation::Empty);
        }
        if head.last {
            let mut state = self.state.lock();
            state.to_node.ends(head)?;
            state.from_caller.pass(0, bytes)?;
            let window = None;
            state.end = Some(ItemsHead { window, ..*head });
        }
        if let Some(window) = head.window {
            self.allow(window);
        }
        self.tell_end();
        Ok(())
    }

    /// The caller wants no more items.
    pub(crate) fn stop(&self) {
        let way = {
            let mut state = self.state.lock();
            let Some(way) = state.way.clone() else { return };
            (!std::mem::replace(&mut state.to_node.stop, true)).then_some(way)
        };
        if let Some(way) = way {
            self.send(&way, Message::single(wire::encode_stop(way.id)));
        }
    }

    /// Gives the call up, if it has not ended: its node is told, and the end is heard at once.
    pub(crate) fn cancel(self: &Arc<Self>) {
        let (Some(core), Some(id)) = (self.core.upgrade(), self.id.get()) else {
            return;
        };
        let now = core.time(Instant::now());
        let ended = core.table.lock().caller.cancel(now, *id);
        if let Some(ended) = ended {
            let answer = core.answer_of(&ended);
            core.tell_of(&ended);
            core.act();
            if self.put_end(answer) {
                self.run();
            }
        }
    }

    // On the way back. Locks of the engine are held, but for `run`.

    /// Something came by this way, for the first time perhaps.
    pub(super) fn begin(&self, way: Way) {
        if self.has_begun() {
            return;
        }
        let mut state = self.state.lock();
        state.way = Some(way);
        state.sent = true;
        self.begun.store(true, Ordering::Release);
    }

    /// The node sends items. Whether [`run`](Self::run) is to be called.
    pub(super) fn put_items(&self, head: &ItemsHead, items: Payload) -> Result<bool, Violation> {
        if head.count == 0 && !head.last {
            let window = head.window.ok_or(Violation::Empty)?;
            return Ok(self.put_window(window));
        }
        let mut state = self.state.lock();
        if let Some(window) = head.window {
            state.from_caller.granted(window);
        }
        state.to_caller.ends(head)?;
        state.from_node.pass(head.count, items.bytes() as u64)?;
        state.ahead = state.ahead.saturating_sub(head.count);
        Ok(state.put(News::Items(*head, items)))
    }

    /// The node lets items be sent.
    pub(super) fn put_window(&self, window: Flow) -> bool {
        let mut state = self.state.lock();
        state.from_caller.granted(window);
        let window = state.from_caller.told();
        if let Some(News::Window(last)) = state.inbox.back_mut() {
            // One that is waiting to be told says it all.
            *last = window;
            return false;
        }
        state.put(News::Window(window))
    }

    /// The node wants no more items.
    pub(super) fn put_stop(&self) -> bool {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.to_caller.stop, true) {
            return false;
        }
        state.put(News::Stop)
    }

    /// The call has ended. The first end holds.
    pub(super) fn put_end(&self, answer: Answer) -> bool {
        let mut state = self.state.lock();
        let puts = state.put(News::End(answer));
        state.over = true;
        puts
    }

    /// Tells what has come. No lock may be held.
    pub(super) fn run(&self) {
        loop {
            let (to, news, due) = {
                let mut state = self.state.lock();
                let Some(news) = state.inbox.pop_front() else {
                    state.running = false;
                    return;
                };
                let to = match news {
                    News::End(_) => state.to.take(),
                    _ => state.to.clone(),
                };
                // What was let be sent and not told: items have made room for that.
                (to, news, state.due())
            };
            self.tell(due);
            let Some(to) = to else { continue };
            match news {
                News::Items(head, items) => to.items(&head, items),
                News::Window(window) => to.window(window),
                News::Stop => to.stop(),
                News::End(answer) => to.answered(answer),
            }
        }
    }
}

impl State {
    /// Puts this into the inbox; whether somebody is to look there.
    fn put(&mut self, news: News) -> bool {
        if self.over {
            return false;
        }
        self.inbox.push_back(news);
        !std::mem::replace(&mut self.running, true)
    }

    /// The end of the caller's items, if the node is to be told of it.
    fn end_due(&mut self) -> Option<(Way, ItemsHead)> {
        // Before the call itself there is nothing to tell it of.
        if !self.sent || self.over || self.end_told {
            return None;
        }
        let (way, end) = (self.way.clone()?, self.end?);
        self.end_told = true;
        let id = way.id;
        Some((way, ItemsHead { id, ..end }))
    }

    /// What the node is to be told that it may send.
    fn due(&mut self) -> Option<(Way, Flow)> {
        let window = self.from_node.told();
        if !self.sent || self.over || window == self.told || self.ahead >= WINDOWS_AHEAD_MAX {
            return None;
        }
        self.ahead += 1;
        self.told = window;
        Some((self.way.clone()?, window))
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("id", &self.id.get())
            .field("begun", &self.has_begun())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use brokerless_patterns::balance::Facts;

    use super::super::node::Place;
    use super::super::testing::node;
    use crate::machine::Credit;
    use crate::metadata::Metadata;
    use crate::wire::Encoding;

    #[derive(Default)]
    struct Heard(Mutex<Vec<&'static str>>);

    impl Returns for Heard {
        fn answered(&self, _: Answer) {
            self.0.lock().push("end");
        }
        fn items(&self, _: &ItemsHead, _: Payload) {
            self.0.lock().push("items");
        }
        fn window(&self, _: Flow) {
            self.0.lock().push("window");
        }
        fn stop(&self) {
            self.0.lock().push("stop");
        }
    }

    fn call() -> Passing {
        Passing {
            path: "x.y".into(),
            payload: Payload::raw(Vec::new()),
            encoding: Encoding::MessagePack,
            metadata: Metadata::new(),
            flags: Flags::ITEMS_IN.with(Flags::ITEMS_OUT),
            hops: 0,
            window: None,
            key: None,
            deadline: Instant::now() + Duration::from_secs(60),
        }
    }

    /// A client whose only node is reached so.
    fn client_of(link: Arc<Link>) -> Client {
        let client = Client::connect("inproc://relay-nobody").expect("an endpoint");
        let core = client.core();
        let now = core.time(Instant::now());
        let mut table = core.table.lock();
        let window = Credit::new(8, u64::MAX);
        let caller = &mut table.caller;
        let id = caller.add_sessionless(now, Facts::default(), window);
        caller.connected(now, id);
        table.nodes.push(Some(Place {
            id,
            endpoint: "by hand".into(),
            dealer: None,
            link: Some(link),
            welcomed: true,
            draining: false,
            name: "".into(),
            last_error: None,
            misfits: 0,
            inproc: false,
            sessionless: false,
        }));
        drop(table);
        client
    }

    #[test]
    fn a_stream_whose_node_does_not_read_ends() {
        let (_router, link) = node("inproc://relay-silent-node", 1);
        let client = client_of(link);
        let (heard, call) = (Arc::new(Heard::default()), call());
        let relay = client.relay(&call, heard.clone());
        client.pass(call, &relay).expect("there is a node");
        relay.put_window(Flow::new(100, 1000));
        for first in 0..10 {
            let head = ItemsHead::new(1, first, 1);
            relay.give(&head, Payload::raw(vec![1])).expect("it is let");
        }
        relay.run();
        assert_eq!(*heard.0.lock(), ["window", "end"]);
    }

    #[test]
    fn windows_that_follow_no_item_are_told_a_few_times_and_then_as_one() {
        let (router, link) = node("inproc://relay-stopped-node", 100_000);
        let client = client_of(link);
        let (heard, call) = (Arc::new(Heard::default()), call());
        let relay = client.relay(&call, heard.clone());
        client.pass(call, &relay).expect("there is a node");
        for items in 1..=10_000 {
            relay.allow(Flow::new(items, 1000));
        }
        let windows = || {
            let came = std::iter::from_fn(|| router.try_recv().ok());
            let windows =
                came.filter_map(
                    |(_, message)| match wire::Envelope::decode(message.first()) {
                        Ok(wire::Envelope::Window { window, .. }) => Some(window.items),
                        _ => None,
                    },
                );
            windows.collect::<Vec<_>>()
        };
        let told: Vec<u64> = (1..=u64::from(WINDOWS_AHEAD_MAX)).collect();
        assert_eq!(windows(), told);
        // Once the node sends, it hears what was said last.
        let head = ItemsHead::new(1, 0, 1);
        let runs = relay.put_items(&head, Payload::raw(vec![1]));
        assert_eq!(runs, Ok(true));
        relay.run();
        assert_eq!(windows(), [10_000]);
        assert_eq!(*heard.0.lock(), ["items"]);
    }

    #[test]
    fn what_has_no_items_goes_through_once() {
        let client = Client::connect("inproc://relay-nobody").expect("an endpoint");
        let call = call();
        let heard = Arc::new(Heard::default());
        let relay = client.relay(&call, heard.clone());
        let mut head = ItemsHead::new(1, 0, 0);
        for items in 1..=100 {
            relay.put_stop();
            head.window = Some(Flow::new(items, items));
            relay
                .put_items(&head, Payload::default())
                .expect("a window");
        }
        head.last = true;
        relay.put_items(&head, Payload::default()).expect("the end");
        let again = relay.put_items(&head, Payload::default());
        assert_eq!(again, Err(Violation::AfterLast(0)));
        relay.run();
        assert_eq!(*heard.0.lock(), ["stop", "window", "items"]);
        // The other way, too.
        assert_eq!(relay.give(&head, Payload::default()), Ok(()));
        let again = relay.give(&head, Payload::default());
        assert_eq!(again, Err(Violation::AfterLast(0)));
    }
}
