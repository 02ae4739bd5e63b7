//! Callers and nodes by hand: what a proxy does with those that break the rules.

use brokerless::patterns::{Dealer, Frame, Message, Options};
use brokerless::proxy::Member;
use brokerless::wire::{
    CallHead, Envelope, Flags, Flow, Hello, ItemsHead, Version, encode_call, encode_cancel,
    encode_hello, encode_items, encode_window,
};
use brokerless::{Code, Ran, Status};
use std::time::Duration;

use crate::fleet::proxy;
use crate::support::{ByHand, PATIENCE, until};

/// A caller made of a DEALER and the wire's functions.
pub(crate) struct Caller {
    pub(crate) dealer: Dealer,
    /// Calls that it may have in flight.
    pub(crate) window: u32,
}

impl Caller {
    /// One that has been welcomed.
    #[track_caller]
    pub(crate) fn new(endpoint: &str) -> Caller {
        Caller::with(endpoint, Options::new())
    }

    /// The same, whose socket has these options.
    #[track_caller]
    pub(crate) fn with(endpoint: &str, options: Options) -> Caller {
        let dealer = Dealer::with(options).expect("a socket");
        dealer.connect_to(endpoint).expect("an endpoint");
        let hello = encode_hello(&Hello {
            version: 2,
            oldest: 1,
            name: "by hand",
        });
        dealer.send(Message::single(hello)).expect("it is sent");
        let welcome = dealer.recv_timeout(PATIENCE).expect("a welcome");
        let Ok(Envelope::Welcome(welcome)) = Envelope::decode(welcome.first()) else {
            panic!("no welcome: {welcome:?}");
        };
        let window = welcome.credit.calls;
        Caller { dealer, window }
    }

    pub(crate) fn send(&self, frames: impl IntoIterator<Item = Frame>) {
        let message = Message::from_frames(frames);
        self.dealer.send(message).expect("it is sent");
    }

    pub(crate) fn call(&self, id: u64, method: &str, body: &[u8]) {
        self.call_as(id, method, body, Flags::empty(), None);
    }

    pub(crate) fn call_as(
        &self,
        id: u64,
        method: &str,
        body: &[u8],
        flags: Flags,
        window: Option<Flow>,
    ) {
        let mut head = CallHead::new(id, method, PATIENCE.as_micros() as u64);
        head.flags = flags;
        head.window = window;
        let envelope = encode_call(&head, Version::NEWEST).expect("it fits");
        self.send([envelope, Frame::copy_from_slice(body)]);
    }

    pub(crate) fn cancel(&self, id: u64) {
        self.send([encode_cancel(id)]);
    }

    pub(crate) fn window(&self, id: u64, window: Flow) {
        self.send([encode_window(id, window)]);
    }

    pub(crate) fn items(&self, head: &ItemsHead, body: &[u8]) {
        self.send([encode_items(head), Frame::copy_from_slice(body)]);
    }

    /// The next message, if it comes within this time.
    pub(crate) fn next(&self, within: Duration) -> Option<Message> {
        self.dealer.recv_timeout(within).ok()
    }

    /// The error that this call ends with: code, whether it ran, message, when to come again. What
    /// comes before it is passed over, unless it is of this call's end.
    #[track_caller]
    pub(crate) fn error(&self, id: u64) -> (Code, Ran, String, Option<Duration>) {
        loop {
            let message = self.next(PATIENCE).expect("an answer");
            match Envelope::decode(message.first()) {
                Ok(Envelope::Error(head)) if head.id == id => {
                    let message = head.message.to_owned();
                    return (head.code, head.ran, message, head.retry_after);
                }
                Ok(Envelope::Reply(head)) if head.id == id => panic!("it was answered"),
                _ => {}
            }
        }
    }

    /// The value of this call.
    #[track_caller]
    pub(crate) fn reply(&self, id: u64) -> Vec<u8> {
        loop {
            let message = self.next(PATIENCE).expect("an answer");
            match Envelope::decode(message.first()) {
                Ok(Envelope::Reply(head)) if head.id == id => {
                    return message
                        .frames()
                        .get(1)
                        .map(|it| it.to_vec())
                        .unwrap_or_default();
                }
                Ok(Envelope::Error(head)) if head.id == id => panic!("{head:?}"),
                _ => {}
            }
        }
    }
}

/// A node by hand behind a proxy, and a caller in front of it.
fn by_hand() -> (ByHand, brokerless::proxy::Proxy, Caller) {
    let node = ByHand::new("tcp://127.0.0.1:*");
    let member = Member::new(&*node.endpoint);
    let proxy = proxy("tcp://127.0.0.1:*", [member], |builder| builder);
    let caller = Caller::new(&proxy.local_endpoints()[0].to_string());
    (node, proxy, caller)
}

const ITEMS_OUT: Flags = Flags::ITEMS_OUT;
const ITEMS_IN: Flags = Flags::ITEMS_IN;

#[test]
fn a_node_behind_a_proxy_that_breaks_the_rules_of_streams_ends_its_stream_alone() {
    let (node, proxy, caller) = by_hand();
    caller.call_as(1, "x.y", &[0x90], ITEMS_OUT, Some(Flow::new(2, 100)));
    let (peer, id, _) = node.call(16, |_| {});
    // Three, where two may be sent.
    let items = encode_items(&ItemsHead::new(id, 0, 3));
    let sent = Message::from_frames([items, Frame::copy_from_slice(&[1, 2, 3])]);
    node.router.send(&peer, sent).expect("it is there");
    let (code, ran, message, _) = caller.error(1);
    assert_eq!((code, ran), (Code::Internal, Ran::Yes), "{message}");
    assert!(message.contains("broke the rules of streams"), "{message}");
    // All else goes on, and the node has been told.
    caller.call(2, "x.y", &[0x90]);
    let mut cancelled = false;
    let (peer, id, _) = node.call(16, |message| {
        cancelled |= matches!(
            Envelope::decode(message.first()),
            Ok(Envelope::Cancel { .. })
        );
    });
    assert!(cancelled);
    node.reply(&peer, id, &[7]);
    assert_eq!(caller.reply(2), [7]);
    assert_eq!(proxy.stats().in_flight, 0);
}

#[test]
fn a_caller_that_breaks_the_rules_of_streams_loses_its_stream_alone() {
    let (node, _proxy, caller) = by_hand();
    caller.call_as(1, "x.y", &[0x90], ITEMS_IN, None);
    let (peer, id, _) = node.call(16, |_| {});
    let window = encode_window(id, Flow::new(2, 100));
    node.router.send(&peer, window).expect("it is there");
    let told = caller.next(PATIENCE).expect("a window");
    let told = Envelope::decode(told.first());
    let window = Flow::new(2, 100);
    assert_eq!(told, Ok(Envelope::Window { id: 1, window }));
    caller.items(&ItemsHead::new(1, 0, 3), &[1, 2, 3]);
    let (code, ran, message, _) = caller.error(1);
    assert_eq!((code, ran), (Code::InvalidArgument, Ran::Yes), "{message}");
    caller.call(2, "x.y", &[0x90]);
    let mut cancelled = false;
    let (peer, id, _) = node.call(16, |message| {
        cancelled |= matches!(
            Envelope::decode(message.first()),
            Ok(Envelope::Cancel { .. })
        );
    });
    assert!(cancelled);
    node.reply(&peer, id, &[7]);
    assert_eq!(caller.reply(2), [7]);
}

#[test]
fn a_caller_that_sends_items_before_it_may_loses_its_stream() {
    let (node, _proxy, caller) = by_hand();
    caller.call_as(1, "x.y", &[0x90], ITEMS_IN, None);
    node.call(16, |_| {});
    caller.items(&ItemsHead::new(1, 0, 1), &[1]);
    let (code, ran, message, _) = caller.error(1);
    assert_eq!(
        (code, ran),
        (Code::InvalidArgument, Ran::Maybe),
        "{message}"
    );
}

#[test]
fn a_caller_that_lets_all_be_sent_and_reads_nothing_loses_its_stream() {
    let node = ByHand::new("tcp://127.0.0.1:*");
    let member = Member::new(&*node.endpoint);
    let proxy = proxy("tcp://127.0.0.1:*", [member], |builder| {
        let options = Options::new().send_bytes_max(64 << 10);
        builder.bytes_max(1 << 20).options(options)
    });
    let one = Options::new().recv_messages_max(1);
    let caller = Caller::with(&proxy.local_endpoints()[0].to_string(), one);
    let all = Flow::new(1 << 40, 1 << 50);
    caller.call_as(1, "x.y", &[0x90], ITEMS_OUT, Some(all));
    let (peer, id, _) = node.call(16, |_| {});
    let body = Frame::copy_from_slice(&[0; 64 << 10]);
    let cancelled = |within| {
        let got = node.router.recv_timeout(within);
        got.is_ok_and(|(_, message)| {
            Envelope::decode(message.first()) == Ok(Envelope::Cancel { id })
        })
    };
    // More than the sockets and the system may have of it.
    let (mut sent, mut given_up) = (0, false);
    while sent < 2000 && !given_up {
        let items = encode_items(&ItemsHead::new(id, sent, 1));
        let message = Message::from_frames([items, body.clone()]);
        sent += u64::from(node.router.send(&peer, message).is_ok());
        given_up = cancelled(Duration::from_micros(100));
    }
    assert!(given_up || cancelled(PATIENCE), "{sent} items are kept");
    let (code, ran, message, _) = caller.error(1);
    assert_eq!(
        (code, ran),
        (Code::ResourceExhausted, Ran::Yes),
        "{message}"
    );
    assert_eq!(proxy.stats().in_flight, 0);
}

#[test]
fn a_window_that_comes_after_the_call_reaches_the_node() {
    let (node, _proxy, caller) = by_hand();
    // No window in the call: the node waits for one.
    caller.call_as(1, "x.y", &[0x90], ITEMS_OUT, None);
    let (_, id, _) = node.call(16, |_| {});
    caller.window(1, Flow::new(5, 500));
    let (_, message) = node.router.recv_timeout(PATIENCE).expect("a window");
    let window = Flow::new(5, 500);
    assert_eq!(
        Envelope::decode(message.first()),
        Ok(Envelope::Window { id, window })
    );
}

#[test]
fn an_answer_that_makes_no_sense_ends_no_call() {
    let (node, _proxy, caller) = by_hand();
    caller.call(1, "x.y1", &[0x90]);
    caller.call(2, "x.y2", &[0x90]);
    // Threads that receive may overtake each other.
    let called = [node.call(16, |_| {}), node.call(16, |_| {})];
    let nonsense = Message::single(vec![0xc1, 0xff]);
    node.router
        .send(&called[0].0, nonsense)
        .expect("it is there");
    for (peer, id, method) in called.iter().rev() {
        node.reply(peer, *id, &method.as_bytes()[3..]);
    }
    for _ in 0..2 {
        let message = caller.next(PATIENCE).expect("an answer");
        let Ok(Envelope::Reply(head)) = Envelope::decode(message.first()) else {
            panic!("no answer: {message:?}");
        };
        let value = message.frames().get(1).map(|it| it.to_vec());
        assert_eq!(value, Some(head.id.to_string().into_bytes()));
    }
}

/// The end of a caller's items, of which there was none.
fn ends_at_once(caller: &Caller, id: u64) {
    let mut head = ItemsHead::new(id, 0, 0);
    head.last = true;
    caller.send([encode_items(&head)]);
}

/// The next message to the node is the end of this call's items.
#[track_caller]
fn hears_the_end(node: &ByHand, id: u64) {
    let (_, message) = node.router.recv_timeout(PATIENCE).expect("the end");
    let Ok(Envelope::Items(head)) = Envelope::decode(message.first()) else {
        panic!("no end: {message:?}");
    };
    assert_eq!((head.id, head.first, head.count), (id, 0, 0));
    assert!(head.last);
}

#[test]
fn an_end_without_items_waits_for_credit_with_its_call() {
    let (node, proxy, caller) = by_hand();
    caller.call(1, "x.y", &[0x90]);
    let (peer, first, _) = node.call(1, |_| {});
    caller.call_as(2, "x.z", &[0x90], ITEMS_IN, None);
    until("it waits", || proxy.stats().waiting == 1);
    ends_at_once(&caller, 2);
    // What comes after it has come, so it has.
    caller.call(3, "x.y", &[0x90]);
    until("the next one waits", || proxy.stats().waiting == 2);
    node.reply(&peer, first, &[7]);
    let (peer, id, method) = node.call(1, |_| {});
    assert_eq!(method, "x.z");
    hears_the_end(&node, id);
    node.reply(&peer, id, &[8]);
    assert_eq!(caller.reply(2), [8]);
}

#[test]
fn an_end_without_items_is_said_to_each_node_that_its_call_is_sent_to() {
    let (node, _proxy, caller) = by_hand();
    caller.call_as(1, "x.z", &[0x90], ITEMS_IN, None);
    let (peer, id, _) = node.call(16, |_| {});
    ends_at_once(&caller, 1);
    hears_the_end(&node, id);
    let full = Status::resource_exhausted("no room").with_retry_after(Duration::from_millis(1));
    node.refuse(&peer, id, &full, Ran::No);
    let (peer, id, _) = node.call(16, |_| {});
    hears_the_end(&node, id);
    node.reply(&peer, id, &[8]);
    assert_eq!(caller.reply(1), [8]);
}

#[test]
fn an_end_without_items_is_kept_by_a_paused_proxy() {
    let (node, proxy, caller) = by_hand();
    proxy.pause();
    caller.call_as(1, "x.z", &[0x90], ITEMS_IN, None);
    until("it is kept", || proxy.stats().kept == 1);
    ends_at_once(&caller, 1);
    caller.call(2, "x.y", &[0x90]);
    until("the next one is kept", || proxy.stats().kept == 2);
    proxy.resume();
    let mut ended = None;
    let mut called = Vec::new();
    while called.len() < 2 {
        called.push(node.call(16, |message| {
            if let Ok(Envelope::Items(head)) = Envelope::decode(message.first()) {
                ended = Some((head.id, head.count, head.last));
            }
        }));
    }
    let (peer, id, _) = &called[0];
    assert_eq!(ended, Some((*id, 0, true)));
    node.reply(peer, *id, &[8]);
    assert_eq!(caller.reply(1), [8]);
}

#[test]
fn a_window_is_kept_by_a_paused_proxy() {
    let (node, proxy, caller) = by_hand();
    proxy.pause();
    caller.call_as(1, "x.z", &[0x90], Flags::ITEMS_OUT, None);
    until("it is kept", || proxy.stats().kept == 1);
    caller.window(1, Flow::new(7, 70));
    caller.call(2, "x.y", &[0x90]);
    until("the next one is kept", || proxy.stats().kept == 2);
    proxy.resume();
    let window = loop {
        let (peer, message) = node.router.recv_timeout(PATIENCE).expect("the call");
        match Envelope::decode(message.first()) {
            Ok(Envelope::Call(head)) if head.method == "x.z" => break head.window,
            Ok(Envelope::Hello(hello)) => node.welcome(&peer, hello.version, 16),
            _ => {}
        }
    };
    assert_eq!(window, Some(Flow::new(7, 70)));
}
