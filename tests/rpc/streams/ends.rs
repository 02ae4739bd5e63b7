//! How streams end, and what they leave behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brokerless::client::{Client, Interceptor, Outgoing};
use brokerless::{Call, Code, Ran, RpcError, Status};
use parking_lot::Mutex;

use super::wire::{Bench, FlowsClient, Heard};
use crate::support::{KeptPort, transports, until};

#[test]
fn a_node_that_is_lost_ends_its_streams_with_what_had_come() {
    for endpoint in transports() {
        let Bench { by_hand, flows } = Bench::at(&endpoint, |builder| builder);
        let bench = Bench { by_hand, flows };
        let mut items = bench.flows.count(0).expect("it begins");
        let half = bench.begun();
        half.items(0, &[1, 2]);
        assert_eq!(items.next(), Some(Ok(1)));
        let mut sink = bench.flows.begin().total().expect("it begins");
        let other = bench.begun();
        other.window(10, 1 << 20);
        sink.send(1).expect("there is room");
        assert!(matches!(other.heard(), Heard::Items(..)));
        let Bench { by_hand, flows } = bench;
        drop(by_hand);
        assert_eq!(items.next(), Some(Ok(2)), "{endpoint}");
        let error = items.next().expect("an error").expect_err("it is lost");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::Unavailable, Ran::Maybe),
            "{error}"
        );
        assert_eq!(items.next(), None);
        let error = sink.finish().expect_err("it is lost");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::Unavailable, Ran::Maybe),
            "{error}"
        );
        assert_eq!(flows.client().stats().streams.open, 0);
        assert_eq!(flows.client().stats().calls.held, 0);
    }
}

#[test]
fn a_stream_that_is_never_sent_ends_as_a_call_does() {
    let kept = KeptPort::new();
    let nobody = kept.endpoint();
    let client = Client::connect(&nobody).expect("an endpoint");
    let flows = FlowsClient::from(client);
    until("nobody is there", || {
        flows.count(0).is_err_and(|error| {
            assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
            true
        })
    });
    // Or it waits, no longer than for any item.
    let patient = Call::new()
        .wait_for_ready(true)
        .item_timeout(Duration::from_millis(20));
    let patient = flows.with(patient);
    let mut items = patient.count(0).expect("it waits");
    let error = items.next().expect("an error").expect_err("nobody comes");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::No),
        "{error}"
    );
    let mut sink = patient.begin().total().expect("it waits");
    let error = sink.send(1).expect_err("nobody comes");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::No),
        "{error}"
    );
    drop(sink);
    // Dropped while it waits, it is recalled.
    let items = patient.count(0).expect("it waits");
    drop(items);
    let stats = flows.client().stats();
    assert_eq!((stats.streams.open, stats.calls.held), (0, 0));
}

#[test]
fn arguments_that_cannot_be_sent_are_refused_before_the_stream() {
    let bench = Bench::new();
    let ours = bench.flows.with(Call::new().metadata("", "x"));
    let error = ours.count(0).expect_err("a key that is not allowed");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::InvalidArgument, Ran::No)
    );
    assert_eq!(bench.client().stats().streams.open, 0);
}

/// Sees how calls end.
#[derive(Clone, Default)]
struct Watcher {
    began: Arc<AtomicUsize>,
    ended: Arc<Mutex<Vec<Option<Code>>>>,
}

impl Interceptor for Watcher {
    fn before(&self, _: &mut Outgoing<'_>) -> Result<(), Status> {
        self.began.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn after(&self, _: &str, error: Option<&RpcError>) {
        self.ended.lock().push(error.map(RpcError::code));
    }
}

#[test]
fn those_who_see_every_call_are_told_of_each_end_once() {
    let watcher = Watcher::default();
    let bench = Bench::of(|builder| builder.interceptor(watcher.clone()));
    let ended = |expected: Option<Code>| {
        assert_eq!(watcher.ended.lock().pop(), Some(expected));
        assert!(watcher.ended.lock().is_empty());
    };
    // By a reply that is taken.
    let mut items = bench.flows.count(0).expect("it begins");
    let half = bench.begun();
    half.reply(&());
    assert!(items.next().is_none() && items.next().is_none());
    drop(items);
    ended(None);
    // By a reply that is not.
    let items = bench.flows.count(0).expect("it begins");
    bench.begun().fail(&Status::data_loss("gone"), Ran::Yes);
    until("it has ended", || bench.client().stats().streams.open == 0);
    drop(items);
    ended(Some(Code::DataLoss));
    // By dropping it.
    drop(bench.flows.count(0).expect("it begins"));
    bench.begun().reply(&());
    ended(Some(Code::Cancelled));
    // By a deadline, with both halves there.
    let ours = Call::new().item_timeout(Duration::from_millis(10));
    let mut chat = bench.flows.with(ours).chat().expect("it begins");
    let error = chat.next().expect("an error").expect_err("nothing comes");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    drop(chat);
    ended(Some(Code::DeadlineExceeded));
    // By an answer to what was sent.
    let sink = bench.flows.begin().total().expect("it begins");
    until("it has begun", || {
        let (_, message) = bench.by_hand.router.recv().expect("a message");
        let envelope = brokerless::wire::Envelope::decode(message.first()).expect("an envelope");
        matches!(envelope, brokerless::wire::Envelope::Call(head) if head.method.ends_with("chat"))
    });
    bench_answers(&bench, &1);
    assert_eq!(sink.finish(), Ok(1));
    ended(None);
    assert_eq!(watcher.began.load(Ordering::SeqCst), 5);
}

/// Ends the next call with this.
fn bench_answers(bench: &Bench, value: &i64) {
    let (peer, message) = loop {
        let (peer, message) = bench.by_hand.router.recv().expect("a message");
        let envelope = brokerless::wire::Envelope::decode(message.first()).expect("an envelope");
        if let brokerless::wire::Envelope::Call(head) = envelope {
            break (peer, head.id);
        }
    };
    let mut encoder = brokerless::wire::Encoder::answer();
    encoder.put(value).expect("a value");
    bench.by_hand.reply(&peer, message, &encoder.finish().body);
}
