//! A service whose calls carry items, and a caller that speaks the wire and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brokerless::patterns::Message;
use brokerless::server::{Server, ServerBuilder};
use brokerless::service::{
    ArgumentInfo, Incoming, Items, MethodInfo, Outcome, Produce, Request, Service, ServiceInfo,
    support,
};
use brokerless::wire::{
    Encoder, Flags, Flow, ItemCursor, ItemsHead, Payload, decode_value, encode_items, encode_window,
};
use brokerless::{Blob, Status};
use crossbeam_channel::{Receiver, Sender, select, unbounded};
use serde::Serialize;

use super::support::{Caller, Got, PATIENCE, one};

static NUMBER: [ArgumentInfo; 1] = [ArgumentInfo {
    name: "number",
    type_name: "u64",
    default: false,
}];
/// The item timeout of methods that have one of their own.
pub(crate) const SHORT: Duration = Duration::from_millis(100);

static METHODS: [MethodInfo; 19] = [
    MethodInfo::new("count", "flow.v1.count")
        .arguments(&NUMBER)
        .items_out("u64"),
    MethodInfo::new("stepped", "flow.v1.stepped")
        .arguments(&NUMBER)
        .items_out("u64"),
    MethodInfo::new("fails_at", "flow.v1.fails_at")
        .arguments(&NUMBER)
        .items_out("u64"),
    MethodInfo::new("panics_at", "flow.v1.panics_at")
        .arguments(&NUMBER)
        .items_out("u64"),
    MethodInfo::new("refuses", "flow.v1.refuses")
        .items_out("u64")
        .error("String"),
    MethodInfo::new("blobs", "flow.v1.blobs")
        .arguments(&NUMBER)
        .items_out("Blob"),
    MethodInfo::new("raw", "flow.v1.raw")
        .raw()
        .items_out("Blob"),
    MethodInfo::new("impatient", "flow.v1.impatient")
        .arguments(&NUMBER)
        .items_out("u64")
        .item_timeout(SHORT),
    MethodInfo::new("on_disk", "flow.v1.on_disk")
        .arguments(&NUMBER)
        .items_out("u64")
        .pool("disk"),
    MethodInfo::new("total", "flow.v1.total")
        .items_in("i64")
        .returns("i64"),
    MethodInfo::new("seen", "flow.v1.seen")
        .items_in("u64")
        .returns("Vec<String>"),
    MethodInfo::new("first", "flow.v1.first")
        .items_in("u64")
        .returns("u64"),
    MethodInfo::new("held", "flow.v1.held")
        .items_in("u64")
        .returns("u64"),
    MethodInfo::new("waits_briefly", "flow.v1.waits_briefly")
        .items_in("u64")
        .item_timeout(SHORT),
    MethodInfo::new("selects", "flow.v1.selects")
        .items_in("u64")
        .returns("u64"),
    MethodInfo::new("hands_on", "flow.v1.hands_on")
        .items_in("u64")
        .returns("u64"),
    MethodInfo::new("drops", "flow.v1.drops")
        .items_in("u64")
        .returns("u64"),
    MethodInfo::new("chat", "flow.v1.chat")
        .items_in("u64")
        .items_out("u64"),
    MethodInfo::new("plain", "flow.v1.plain").arguments(&NUMBER),
];
static ABOUT: ServiceInfo = ServiceInfo::new("flow.v1", &METHODS);

/// What a test knows of the methods that run.
pub(crate) struct Watched {
    /// Items that iterators have made.
    pub(crate) made: Arc<AtomicU64>,
    /// Names of the threads that dropped iterators.
    pub(crate) dropped: Receiver<String>,
    /// Each lets one item of `stepped` be made, or one handler of `held` go on.
    pub(crate) step: Sender<()>,
    /// What handlers have said.
    pub(crate) said: Receiver<String>,
}

pub(crate) struct FlowServer {
    made: Arc<AtomicU64>,
    dropped: Sender<String>,
    step: Receiver<()>,
    said: Sender<String>,
}

/// An iterator that counts what it makes, and says where it is dropped.
struct Made<I> {
    items: I,
    made: Arc<AtomicU64>,
    dropped: Sender<String>,
}

impl<I: Iterator> Iterator for Made<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        let item = self.items.next();
        self.made
            .fetch_add(u64::from(item.is_some()), Ordering::SeqCst);
        item
    }
}

impl<I> Drop for Made<I> {
    fn drop(&mut self) {
        let name = thread::current().name().unwrap_or_default().to_owned();
        let _ = self.dropped.send(name);
    }
}

/// Serves them, with two threads in the pool `disk`.
pub(crate) fn serve(build: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Watched) {
    let made = Arc::new(AtomicU64::new(0));
    let (dropped, seen_dropped) = unbounded();
    let (step, steps) = unbounded();
    let (said, heard) = unbounded();
    let service = FlowServer {
        made: made.clone(),
        dropped,
        step: steps,
        said,
    };
    let builder = Server::builder()
        .service(service)
        .pool("disk", brokerless::server::Pool::new().threads(2));
    let server = build(builder).bind("tcp://127.0.0.1:*").expect("a server");
    let watched = Watched {
        made,
        dropped: seen_dropped,
        step,
        said: heard,
    };
    (server, watched)
}

impl FlowServer {
    fn made<I>(&self, items: I) -> Made<I> {
        Made {
            items,
            made: self.made.clone(),
            dropped: self.dropped.clone(),
        }
    }

    fn say(&self, words: impl Into<String>) {
        let _ = self.said.send(words.into());
    }

    fn incoming(&self, request: &Request<'_>) -> Result<Incoming<u64>, Status> {
        let incoming = support::incoming(request, support::take_value)?;
        self.say("begun");
        Ok(incoming)
    }

    fn answer(&self, method: &'static MethodInfo, request: Request<'_>) -> Result<Outcome, Status> {
        Ok(match method.name {
            "total" => {
                let values: Incoming<i64> = support::incoming(&request, support::take_value)?;
                let total: i64 = values.map_while(Result::ok).sum();
                support::give_value(method, total)
            }
            "seen" => {
                let mut values = self.incoming(&request)?;
                let mut seen = Vec::new();
                for value in values.by_ref() {
                    seen.push(match value {
                        Ok(value) => value.to_string(),
                        Err(status) => status.message().to_owned(),
                    });
                }
                let last = seen.last().cloned().unwrap_or_default();
                self.say(format!("{} items, the last {last}", values.index()));
                support::give_value(method, seen)
            }
            "first" => {
                let first = self.incoming(&request)?.next();
                let first = first.unwrap_or(Ok(0))?;
                support::give_value(method, first)
            }
            "held" => {
                let values = self.incoming(&request)?;
                let _ = self.step.recv_timeout(PATIENCE);
                let total: u64 = values.map_while(Result::ok).sum();
                support::give_value(method, total)
            }
            "waits_briefly" => {
                let status = match self.incoming(&request)?.next() {
                    Some(Err(status)) => status.code().to_string(),
                    other => format!("{other:?}"),
                };
                self.say(status);
                Outcome::nothing()
            }
            "selects" => {
                let mut values = self.incoming(&request)?;
                let channel = values.receiver();
                let mut total = 0;
                let status = loop {
                    select! {
                        recv(channel) -> item => match item {
                            Ok(item) => total += values.decode(item)?,
                            Err(_) => break values.next(),
                        },
                        recv(self.step) -> _ => self.say(total.to_string()),
                    }
                };
                if let Some(Err(status)) = status {
                    return Err(status);
                }
                support::give_value(method, total)
            }
            "hands_on" => {
                let mut values = self.incoming(&request)?;
                let said = self.said.clone();
                thread::spawn(move || {
                    let _ = said.send("waits".to_owned());
                    let end = match values.next() {
                        Some(Err(status)) => status.code().to_string(),
                        other => format!("{other:?}"),
                    };
                    let _ = said.send(end);
                });
                support::give_value(method, 0u64)
            }
            "drops" => {
                let channel = self.incoming(&request)?.receiver();
                support::give_value(method, channel.iter().count() as u64)
            }
            "plain" => support::give_value(method, 7u64),
            other => unreachable!("{other} gives no answer"),
        })
    }

    fn items<'s>(
        &'s self,
        method: &'static MethodInfo,
        request: Request<'_>,
    ) -> Result<Box<dyn Produce + 's>, Outcome> {
        if method.name == "raw" {
            let blob = Blob::copy_from_slice(request.raw().map_err(Outcome::refused)?);
            let items = Items::new([blob.clone(), Blob::new(), blob]);
            return support::send_items(method, items, support::put_raw_blob);
        }
        let mut arguments = request.arguments().map_err(Outcome::refused)?;
        let number = match method.arguments.first() {
            Some(info) => arguments.take::<u64>(info).map_err(Outcome::refused)?,
            None => 0,
        };
        let items = match method.name {
            "count" | "impatient" | "on_disk" => Items::new(self.made(0..number)),
            "stepped" => {
                let step = move |_: &u64| self.step.recv_timeout(PATIENCE).is_ok();
                Items::new(self.made((0..number).take_while(step)))
            }
            "fails_at" => {
                let failure = Err(Status::not_found("no more of these"));
                Items::fallible(self.made((0..number).map(Ok).chain([failure])))
            }
            "panics_at" => Items::new(self.made((0..=number).inspect(move |at| {
                if *at == number {
                    // As a panic, without the message and the backtrace.
                    std::panic::resume_unwind(Box::new("as iterators do"));
                }
            }))),
            "refuses" => {
                let refused: Result<Items<'_, u64>, String> = Err("its own".to_owned());
                return support::send_items_or_error(method, refused, support::put_value);
            }
            "blobs" => {
                let blob = Blob::from(vec![7; number as usize]);
                let items = Items::new(self.made(vec![blob; 3].into_iter()));
                return support::send_items(method, items, support::put_blob);
            }
            "chat" => {
                let values = self.incoming(&request).map_err(Outcome::refused)?;
                Items::fallible(self.made(values.map(|value| value.map(|value| value * 2))))
            }
            other => unreachable!("{other} sends no items"),
        };
        support::send_items(method, items, support::put_value)
    }
}

impl Service for FlowServer {
    fn info(&self) -> &'static ServiceInfo {
        &ABOUT
    }

    fn call(&self, method: usize, request: Request<'_>) -> Outcome {
        self.answer(&METHODS[method], request)
            .unwrap_or_else(Outcome::failed)
    }

    fn open<'s>(
        &'s self,
        method: usize,
        request: Request<'_>,
    ) -> Result<Box<dyn Produce + 's>, Outcome> {
        self.items(&METHODS[method], request)
    }
}

/// More than a test sends.
pub(crate) const PLENTY: Flow = Flow::new(1 << 20, 1 << 30);

/// The items of a message, which are numbers.
pub(crate) fn numbers(head: &ItemsHead, payload: &Payload) -> Vec<u64> {
    let mut cursor = ItemCursor::new(head, brokerless::wire::Encoding::MessagePack);
    let mut numbers = Vec::new();
    while let Some(item) = cursor.next(&payload.body) {
        let item = item.expect("as many values as it says");
        numbers.push(decode_value(item).expect("a number"));
    }
    numbers
}

/// Items, one after the other.
pub(crate) fn items<T: Serialize>(items: &[T]) -> Payload {
    let mut encoder = Encoder::answer();
    for item in items {
        encoder.put(item).expect("an item");
    }
    encoder.finish()
}

impl Caller {
    /// Begins a call that takes items.
    pub(crate) fn takes(&mut self, path: &str, number: u64, window: Flow) -> u64 {
        self.takes_with(path, one(&number), window, super::support::LEFT)
    }

    pub(crate) fn takes_with(
        &mut self,
        path: &str,
        arguments: Payload,
        window: Flow,
        left: Duration,
    ) -> u64 {
        self.begin_with(path, arguments, left, |head| {
            head.flags = Flags::ITEMS_OUT;
            head.window = Some(window);
        })
    }

    /// Begins a call that sends items.
    pub(crate) fn sends(&mut self, path: &str) -> u64 {
        let arguments = super::support::none();
        self.begin_with(path, arguments, super::support::LEFT, |head| {
            head.flags = Flags::ITEMS_IN;
        })
    }

    /// Begins a call with items both ways.
    pub(crate) fn both(&mut self, path: &str, window: Flow) -> u64 {
        let arguments = super::support::none();
        self.begin_with(path, arguments, super::support::LEFT, |head| {
            head.flags = Flags::ITEMS_IN.with(Flags::ITEMS_OUT);
            head.window = Some(window);
        })
    }

    pub(crate) fn grant(&self, id: u64, items: u64, bytes: u64) {
        let window = encode_window(id, Flow::new(items, bytes));
        self.send(Message::single(window));
    }

    /// Sends items, which are as many as the slice.
    pub(crate) fn put<T: Serialize>(&self, id: u64, first: u64, values: &[T], last: bool) {
        let mut head = ItemsHead::new(id, first, values.len() as u32);
        head.last = last;
        self.put_as(head, items(values));
    }

    pub(crate) fn put_as(&self, head: ItemsHead, payload: Payload) {
        self.send(payload.into_message(encode_items(&head)));
    }

    /// The window that opens a stream.
    #[track_caller]
    pub(crate) fn window(&self, id: u64) -> Flow {
        match self.next() {
            Got::Window(of, window) if of == id => window,
            other => panic!("no window of call {id}: {other:?}"),
        }
    }

    /// The next items of this call, which are numbers.
    #[track_caller]
    pub(crate) fn items(&self, id: u64) -> Vec<u64> {
        match self.next() {
            Got::Items(head, payload) if head.id == id => numbers(&head, &payload),
            other => panic!("no items of call {id}: {other:?}"),
        }
    }

    /// All items of this call, in order, and what ended it. Windows are told as they are due.
    #[track_caller]
    pub(crate) fn drain(&self, id: u64, size: Flow) -> (Vec<u64>, Got) {
        let mut taken: Vec<u64> = Vec::new();
        let mut bytes = 0;
        loop {
            match self.next() {
                Got::Items(head, payload) if head.id == id => {
                    assert_eq!(head.first, taken.len() as u64, "in order");
                    assert!(!head.last, "that is what the answer says");
                    taken.extend(numbers(&head, &payload));
                    bytes += payload.bytes() as u64;
                    self.grant(id, taken.len() as u64 + size.items, bytes + size.bytes);
                }
                end @ (Got::Reply { id: of, .. } | Got::Error { id: of, .. }) if of == id => {
                    return (taken, end);
                }
                other => panic!("not of call {id}: {other:?}"),
            }
        }
    }
}

/// Waits until this holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}
