//! A service of streams, and a replier by hand in the middle of one of its calls.

use std::time::{Duration, Instant};

use brokerless::client::{Client, ClientBuilder};
use brokerless::patterns::{Frame, Message, Peer};
use brokerless::service::{Incoming, Items};
use brokerless::wire::{
    self, Credit, Envelope, Flags, Flow, ItemsHead, Welcome, encode_items, encode_stop,
    encode_welcome, encode_window,
};
use brokerless::{Blob, Ran, Status};
use serde::{Deserialize, Serialize};

use crate::support::{ByHand, PATIENCE, inproc};

/// A taker that has been at it for longer may tell of room sooner than it would.
pub(crate) const SILENCE: Duration = Duration::from_millis(100);

/// A method's own error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tired(pub(crate) u32);

impl std::fmt::Display for Tired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tired after {}", self.0)
    }
}

/// A number; one below zero cannot be written, and -2 panics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Awkward {
    pub(crate) number: i64,
}

impl Serialize for Awkward {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeTuple};
        if self.number >= 0 {
            return serializer.serialize_i64(self.number);
        }
        // Not before something has been written.
        serializer
            .serialize_tuple(2)?
            .serialize_element("a beginning")?;
        assert_ne!(self.number, -2, "it panics");
        Err(S::Error::custom("below zero"))
    }
}

impl<'de> Deserialize<'de> for Awkward {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        Ok(Awkward { number })
    }
}

#[brokerless::service(name = "flows.v1")]
pub(crate) trait Flows {
    fn count(&self, to: i64) -> Items<'_, i64>;
    fn tire(&self, to: i64) -> Result<Items<'_, i64>, Tired>;
    fn parts(&self) -> Items<'_, Blob>;
    fn total(&self, values: Incoming<i64>) -> i64;
    fn strain(&self, values: Incoming<i64>) -> Result<i64, Tired>;
    fn awkward(&self, values: Incoming<Awkward>) -> i64;
    fn keep(&self, parts: Incoming<Blob>) -> u64;
    fn chat(&self, words: Incoming<String>) -> Items<'_, String>;
    #[rpc(raw)]
    fn raw(&self, body: &[u8], parts: Incoming<Vec<u8>>) -> Items<'_, Vec<u8>>;
    #[rpc(item_timeout = "40ms")]
    fn slow(&self) -> Items<'_, i64>;
    /// Long enough to have begun on a busy machine.
    #[rpc(timeout = "2s")]
    fn brief(&self) -> Items<'_, i64>;
}

/// A replier by hand, and a client of it.
pub(crate) struct Bench {
    pub(crate) by_hand: ByHand,
    pub(crate) flows: FlowsClient,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::of(|builder| builder)
    }

    pub(crate) fn of(build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Bench {
        Bench::at(&inproc(), build)
    }

    pub(crate) fn at(endpoint: &str, build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Bench {
        let by_hand = ByHand::new(endpoint);
        let client = build(Client::builder().timeout(PATIENCE)).connect(&by_hand.endpoint);
        let flows = FlowsClient::from(client.expect("an endpoint"));
        Bench { by_hand, flows }
    }

    pub(crate) fn client(&self) -> &Client {
        self.flows.client()
    }

    /// The next call that streams, which is begun.
    pub(crate) fn begun(&self) -> Half<'_> {
        self.begun_with_blobs_of(u64::MAX)
    }

    /// The same; what it takes in one part is limited.
    pub(crate) fn begun_with_blobs_of(&self, blob_bytes_max: u64) -> Half<'_> {
        loop {
            let (peer, message) = self.by_hand.router.recv_timeout(PATIENCE).expect("a call");
            match Envelope::decode(message.first()).expect("an envelope") {
                Envelope::Hello(hello) => {
                    let welcome = encode_welcome(&Welcome {
                        version: hello.version,
                        credit: Credit {
                            calls: 16,
                            bytes: 1 << 20,
                        },
                        blob_bytes_max,
                        call_bytes_max: u64::MAX,
                        pulls: false,
                        wants_keys: false,
                        name: "by hand",
                    });
                    self.by_hand
                        .router
                        .send(&peer, welcome)
                        .expect("it is there");
                }
                Envelope::Call(head) => {
                    return Half {
                        by_hand: &self.by_hand,
                        peer,
                        id: head.id,
                        left: Duration::from_micros(head.left_us),
                        flags: head.flags,
                        window: head.window,
                    };
                }
                // Of the call before.
                Envelope::Items(_) | Envelope::Window { .. } | Envelope::Cancel { .. } => {}
                other => panic!("before the call: {other:?}"),
            }
        }
    }
}

/// The replier's half of a call.
pub(crate) struct Half<'b> {
    pub(crate) by_hand: &'b ByHand,
    pub(crate) peer: Peer,
    pub(crate) id: u64,
    pub(crate) left: Duration,
    pub(crate) flags: Flags,
    /// What it may send at first.
    pub(crate) window: Option<Flow>,
}

/// What a caller says of its stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// The index of the first item, their values, whether they are the last, a window.
    Items(ItemsHead, Vec<Frame>),
    Window(Flow),
    Cancel,
}

impl Half<'_> {
    /// Sends these, the first of which has this index.
    pub(crate) fn items<T: Serialize>(&self, first: u64, values: &[T]) {
        let mut encoder = wire::Encoder::answer();
        values
            .iter()
            .for_each(|value| encoder.put(value).expect("a value"));
        let head = ItemsHead::new(self.id, first, values.len() as u32);
        self.message(&head, &[encoder.finish().body]);
    }

    /// Sends these bytes and blobs under this head.
    pub(crate) fn message(&self, head: &ItemsHead, parts: &[Frame]) {
        let parts = parts.iter().cloned();
        let message = Message::from_frames(std::iter::once(encode_items(head)).chain(parts));
        self.send(message);
    }

    pub(crate) fn head(&self, first: u64, count: u32) -> ItemsHead {
        ItemsHead::new(self.id, first, count)
    }

    /// Lets the caller send so much, since the stream began.
    pub(crate) fn window(&self, items: u64, bytes: u64) {
        self.send(Message::single(encode_window(
            self.id,
            Flow::new(items, bytes),
        )));
    }

    pub(crate) fn stop(&self) {
        self.send(Message::single(encode_stop(self.id)));
    }

    /// Ends the call with this value.
    pub(crate) fn reply<T: Serialize>(&self, value: &T) {
        let mut encoder = wire::Encoder::answer();
        encoder.put(value).expect("a value");
        self.by_hand
            .reply(&self.peer, self.id, &encoder.finish().body);
    }

    pub(crate) fn fail(&self, status: &Status, ran: Ran) {
        self.by_hand.refuse(&self.peer, self.id, status, ran);
    }

    pub(crate) fn send(&self, message: Message) {
        self.by_hand
            .router
            .send(&self.peer, message)
            .expect("it is there");
    }

    /// What the caller says next.
    #[track_caller]
    pub(crate) fn heard(&self) -> Heard {
        let (peer, message) = self
            .by_hand
            .router
            .recv_timeout(PATIENCE)
            .expect("a message");
        assert_eq!(peer, self.peer);
        match Envelope::decode(message.first()).expect("an envelope") {
            Envelope::Items(head) => {
                assert_eq!(head.id, self.id);
                Heard::Items(head, message.iter().skip(1).cloned().collect())
            }
            Envelope::Window { id, window } => {
                assert_eq!(id, self.id);
                Heard::Window(window)
            }
            Envelope::Cancel { id } => {
                assert_eq!(id, self.id);
                Heard::Cancel
            }
            other => panic!("in a stream: {other:?}"),
        }
    }

    /// Room up to this is told. A taker that was held up tells of less before.
    #[track_caller]
    pub(crate) fn heard_room_after(&self, room: Flow, began: Instant) {
        loop {
            match self.heard() {
                Heard::Window(window) if window == room => return,
                Heard::Window(window) => {
                    assert!(window.items < room.items, "{window:?}, not {room:?}");
                    assert!(began.elapsed() >= SILENCE, "{window:?}, not {room:?}");
                }
                other => panic!("no window: {other:?}"),
            }
        }
    }

    /// The items of the next message: the index of the first, the values, whether they are the last.
    #[track_caller]
    pub(crate) fn heard_items<T: serde::de::DeserializeOwned>(&self) -> (u64, Vec<T>, bool) {
        match self.heard() {
            Heard::Items(head, parts) => {
                let encoding = wire::Encoding::MessagePack;
                let mut cursor = wire::ItemCursor::new(&head, encoding);
                let body = parts.first().cloned().unwrap_or_default();
                let values = std::iter::from_fn(|| {
                    let item = cursor.next(&body)?.expect("an item");
                    Some(wire::decode_value(item).expect("of the type"))
                });
                (head.first, values.collect(), head.last)
            }
            other => panic!("no items: {other:?}"),
        }
    }

    /// Nothing more has been said so far, but for room by a taker that was held up since then.
    #[track_caller]
    pub(crate) fn heard_nothing_since(&self, began: Instant) {
        while let Ok((_, message)) = self.by_hand.router.try_recv() {
            let said = Envelope::decode(message.first()).expect("an envelope");
            let is_room = matches!(said, Envelope::Window { .. });
            assert!(is_room && began.elapsed() >= SILENCE, "{said:?}");
        }
    }

    /// Nothing more has been said so far.
    #[track_caller]
    pub(crate) fn heard_nothing(&self) {
        // What was sent is there: it goes through this process.
        let more = self.by_hand.router.try_recv();
        assert!(more.is_err(), "{more:?}");
    }
}
