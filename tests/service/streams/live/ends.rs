//! How streams end, and what is in them that should not be: of the fabric alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use brokerless::client::{Call, Next};
use brokerless::service::{Incoming, Items};
use brokerless::wire::Payload;
use brokerless::{Code, Ran, Status};
use crossbeam_channel::{Receiver, Sender, select, unbounded};

use super::{PATIENCE, serve};

#[brokerless::service(name = "ends.v1")]
trait Ends {
    /// Without an end; tells when it is dropped.
    fn endless(&self) -> Items<'_, u64>;
    fn mixed(&self) -> Items<'_, Option<u8>>;
    fn faults(&self, values: Incoming<u8>) -> Vec<String>;
    /// Long enough for a connection and the first item on a busy machine.
    #[rpc(item_timeout = "3s")]
    fn stuck(&self) -> Items<'_, u8>;
    fn fed(&self) -> Items<'_, u8>;
    /// Tells how its items ended.
    fn watched(&self, values: Incoming<u8>) -> u64;
}

/// What its callers believe it to be.
mod believed {
    use super::{Incoming, Items};

    #[brokerless::service(name = "ends.v1")]
    pub(super) trait Ends {
        fn mixed(&self) -> Items<'_, u8>;
        fn faults(&self, values: Incoming<Option<u8>>) -> Vec<String>;
    }
}

struct Handler {
    events: Sender<String>,
    fed: Mutex<Option<Receiver<u8>>>,
    over: Arc<AtomicBool>,
}

/// Tells when it is dropped.
struct Told(Sender<String>);

impl Drop for Told {
    fn drop(&mut self) {
        // The test may not listen any more.
        let _ = self.0.send("dropped".to_owned());
    }
}

impl Ends for Handler {
    fn endless(&self) -> Items<'_, u64> {
        let told = Told(self.events.clone());
        Items::new((0..).inspect(move |_| {
            let _ = &told;
        }))
    }

    fn mixed(&self) -> Items<'_, Option<u8>> {
        Items::new([Some(1), None, Some(3)])
    }

    fn faults(&self, values: Incoming<u8>) -> Vec<String> {
        let told = |value: Result<u8, Status>| match value {
            Ok(value) => value.to_string(),
            Err(status) => status.to_string(),
        };
        values.map(told).collect()
    }

    fn stuck(&self) -> Items<'_, u8> {
        let over = Arc::clone(&self.over);
        Items::new((0..2).inspect(move |number| {
            let began = Instant::now();
            while *number > 0 && !over.load(Ordering::SeqCst) && began.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        }))
    }

    fn fed(&self) -> Items<'_, u8> {
        let fed = self.fed.lock().expect("no panic").take();
        Items::new(fed.into_iter().flatten())
    }

    fn watched(&self, mut values: Incoming<u8>) -> u64 {
        let end = values.by_ref().find_map(Result::err);
        let end = end.map_or_else(|| "none".to_owned(), |status| status.code().to_string());
        let _ = self.events.send(end);
        values.index()
    }
}

fn handler() -> (Handler, Receiver<String>, Sender<u8>) {
    let ((events, told), (feed, fed)) = (unbounded(), unbounded());
    let handler = Handler {
        events,
        fed: Mutex::new(Some(fed)),
        over: Arc::default(),
    };
    (handler, told, feed)
}

#[test]
fn a_stream_that_is_dropped_ends_its_method() {
    let (handler, told, _) = handler();
    let (_server, client) = serve(EndsServer::new(handler));
    let ends = EndsClient::from(client);
    let stream = ends.endless().expect("begun");
    let first: Vec<_> = stream.take(3000).map(Result::ok).collect();
    assert_eq!(first.last(), Some(&Some(2999)));
    assert_eq!(told.recv_timeout(PATIENCE).as_deref(), Ok("dropped"));
}

#[test]
fn an_item_that_does_not_decode_is_named_and_the_rest_comes() {
    let (handler, ..) = handler();
    let (_server, client) = serve(EndsServer::new(handler));
    let ends = believed::EndsClient::from(client);
    let mixed: Vec<_> = ends.mixed().expect("begun").collect();
    let [Ok(1), Err(error), Ok(3)] = &mixed[..] else {
        panic!("{mixed:?}");
    };
    assert!(error.to_string().contains("item 1"), "{error}");
    let faults = ends.faults([Some(1), None, Some(3)]).expect("answered");
    assert_eq!((&*faults[0], &*faults[2], faults.len()), ("1", "3", 3));
    assert!(faults[1].contains("item 1 wants u8"), "{faults:?}");
}

#[test]
fn an_items_own_timeout_holds() {
    let (handler, ..) = handler();
    let over = Arc::clone(&handler.over);
    let (_server, client) = serve(EndsServer::new(handler));
    let ends = EndsClient::from(client);
    let mut stuck = ends.stuck().expect("begun");
    assert_eq!(stuck.next().and_then(Result::ok), Some(0));
    let error = stuck.next().expect("an end").expect_err("nothing comes");
    let said = (error.code(), error.ran());
    assert_eq!(said, (Code::DeadlineExceeded, Ran::Maybe));
    assert!(stuck.next().is_none());
    over.store(true, Ordering::SeqCst);
    // What the call says holds instead of what the method says.
    let patient = ends.with(Call::new().item_timeout(PATIENCE));
    let all = patient
        .stuck()
        .expect("begun")
        .collect::<Result<Vec<_>, _>>();
    assert_eq!(all.expect("in time"), [0, 1]);
}

#[test]
fn a_stream_can_be_selected_from() {
    let (handler, _, feed) = handler();
    let (_server, client) = serve(EndsServer::new(handler));
    let mut fed = EndsClient::from(client).fed().expect("begun");
    assert!(matches!(fed.try_next(), Next::NotYet));
    let items = fed.receiver();
    let mut taken = Vec::new();
    for value in [5, 6] {
        feed.send(value).expect("the method waits");
        select! {
            recv(items) -> item => taken.push(fed.decode(item.expect("an item"))),
            default(PATIENCE) => panic!("nothing came"),
        }
    }
    drop(feed);
    let end = items.recv_timeout(PATIENCE).expect("the end");
    assert!(fed.decode(end).is_none());
    let taken = taken.into_iter().map(|item| item.and_then(Result::ok));
    assert_eq!(taken.collect::<Vec<_>>(), [Some(5), Some(6)]);
}

#[test]
fn a_sink_that_is_dropped_unfinished_is_no_end_of_its_items() {
    let (handler, told, _) = handler();
    let (_server, client) = serve(EndsServer::new(handler));
    let ends = EndsClient::from(client);
    let mut sink = ends.begin().watched().expect("begun");
    sink.send(1).expect("sent");
    drop(sink);
    assert_eq!(told.recv_timeout(PATIENCE).as_deref(), Ok("CANCELLED"));
    assert_eq!(ends.watched([1, 2]).expect("answered"), 2);
    assert_eq!(told.recv_timeout(PATIENCE).as_deref(), Ok("none"));
}

#[test]
fn a_call_without_streams_to_a_method_with_them_is_refused() {
    let (handler, ..) = handler();
    let (_server, client) = serve(EndsServer::new(handler));
    for method in ["ends.v1.mixed", "ends.v1.faults"] {
        let asked = Payload::raw(&[0x90][..]);
        let error = client.call_raw(method, &Call::new(), asked);
        let error = error.expect_err("it streams");
        let said = (error.code(), error.ran());
        assert_eq!(said, (Code::Unimplemented, Ran::No), "{method}");
    }
}
