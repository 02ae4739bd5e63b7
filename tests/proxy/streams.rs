//! Items through a proxy: either way and both, how streams end, and readers that stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless::client::{Call, Client, Next};
use brokerless::proxy::{Member, Proxy};
use brokerless::server::Server;
use brokerless::service::{Incoming, Items};
use brokerless::{Blob, Code, Ran, Status};

use crate::fleet::proxy;
use crate::support::{PATIENCE, inproc, until};

#[brokerless::service(name = "flows.v1")]
pub(crate) trait Flows {
    fn count(&self, to: u64) -> Items<'_, u64>;
    /// Numbers without end.
    fn forever(&self) -> Items<'_, Vec<u8>>;
    fn blobs(&self, sizes: Vec<usize>) -> Items<'_, Blob>;
    /// Numbers up to there, then this error.
    fn until(&self, to: u64, message: &str) -> Items<'_, u64>;
    /// Refuses before the first item.
    fn refuses(&self, message: &str) -> Result<Items<'_, u64>, String>;
    fn total(&self, values: Incoming<u64>) -> Result<u64, Status>;
    fn lengths(&self, parts: Incoming<Blob>) -> Result<u64, Status>;
    /// Takes as many, and no more.
    fn some(&self, most: usize, values: Incoming<u64>) -> Result<u64, Status>;
    /// Takes one each time that it is told.
    fn slowly(&self, values: Incoming<Vec<u8>>) -> Result<u64, Status>;
    fn twice(&self, values: Incoming<u64>) -> Items<'_, u64>;
    fn add(&self, x: i64, y: i64) -> i64;
}

#[derive(Default)]
pub(crate) struct Handler {
    made: AtomicU64,
    dropped: AtomicU64,
    took: AtomicU64,
    allowed: AtomicU64,
}

struct Forever<'h>(&'h Handler);

impl Iterator for Forever<'_> {
    type Item = Vec<u8>;
    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        Some(vec![7; 1000])
    }
}

impl Drop for Forever<'_> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Flows for Handler {
    fn count(&self, to: u64) -> Items<'_, u64> {
        Items::new(0..to)
    }

    fn forever(&self) -> Items<'_, Vec<u8>> {
        Items::new(Forever(self))
    }

    fn blobs(&self, sizes: Vec<usize>) -> Items<'_, Blob> {
        Items::new(sizes.into_iter().map(|size| Blob::from(vec![3; size])))
    }

    fn until(&self, to: u64, message: &str) -> Items<'_, u64> {
        let error = Err(Status::data_loss(message.to_owned()));
        Items::fallible((0..to).map(Ok).chain([error]))
    }

    fn refuses(&self, message: &str) -> Result<Items<'_, u64>, String> {
        Err(message.to_owned())
    }

    fn total(&self, values: Incoming<u64>) -> Result<u64, Status> {
        let mut total = 0;
        for value in values {
            total += value?;
        }
        Ok(total)
    }

    fn lengths(&self, parts: Incoming<Blob>) -> Result<u64, Status> {
        let mut total = 0;
        for part in parts {
            total += part?.len() as u64;
        }
        Ok(total)
    }

    fn some(&self, most: usize, values: Incoming<u64>) -> Result<u64, Status> {
        values.take(most).sum()
    }

    fn slowly(&self, values: Incoming<Vec<u8>>) -> Result<u64, Status> {
        let mut taken = 0;
        for value in values {
            value?;
            taken += 1;
            self.took.fetch_add(1, Ordering::SeqCst);
            let end = Instant::now() + PATIENCE;
            while self.allowed.load(Ordering::SeqCst) < taken && Instant::now() < end {
                std::thread::yield_now();
            }
        }
        Ok(taken)
    }

    fn twice(&self, values: Incoming<u64>) -> Items<'_, u64> {
        Items::fallible(values.map(|value| value.map(|value| 2 * value)))
    }

    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }
}

/// A node of flows behind a proxy.
struct Stage {
    client: FlowsClient,
    proxy: Proxy,
    server: Server,
    flows: Arc<Handler>,
}

impl Stage {
    fn new(front: &str, back: &str) -> Stage {
        let flows = Arc::new(Handler::default());
        let server = Server::builder()
            .service(FlowsServer::new(flows.clone()))
            .item_timeout(PATIENCE)
            .drain_timeout(Duration::from_secs(2))
            .bind(back)
            .expect("it binds");
        let member = Member::new(server.local_endpoints()[0].to_string());
        let proxy = proxy(front, [member], |builder| builder);
        let client = Client::builder().timeout(PATIENCE);
        let client = client.connect(&proxy.local_endpoints()[0]);
        Stage {
            client: FlowsClient::from(client.expect("an endpoint")),
            proxy,
            server,
            flows,
        }
    }

    fn tcp() -> Stage {
        Stage::new("tcp://127.0.0.1:*", "tcp://127.0.0.1:*")
    }

    /// Waits until nothing is left of any stream, anywhere.
    #[track_caller]
    fn quiet(&self) {
        until("no stream is left", || {
            let stats = self.proxy.stats();
            let server = self.server.stats();
            (stats.in_flight, stats.streams_open) == (0, 0)
                && stats.nodes.iter().all(|node| node.in_flight == 0)
                && (server.in_flight, server.streams.open) == (0, 0)
        });
    }
}

#[test]
fn items_pass_either_way_and_both_over_every_transport() {
    let tcp = "tcp://127.0.0.1:*";
    let both = (inproc(), inproc());
    for (front, back) in [
        (tcp, tcp),
        (&both.0, tcp),
        (tcp, &both.1),
        (&inproc(), &inproc()),
    ] {
        let stage = Stage::new(front, back);
        let client = &stage.client;
        let items: Result<Vec<u64>, _> = client.count(5000).expect("it begins").collect();
        assert_eq!(items, Ok((0..5000).collect()));
        let none: Result<Vec<u64>, _> = client.count(0).expect("it begins").collect();
        assert_eq!(none, Ok(vec![]));
        let sizes = vec![31_415, 9, 2_653, 2 << 20, 0, 58_979];
        let blobs = client.blobs(sizes.clone()).expect("it begins");
        let lengths: Result<Vec<usize>, _> = blobs.map(|blob| blob.map(|it| it.len())).collect();
        assert_eq!(lengths, Ok(sizes.clone()));

        let sink = client.begin().total().expect("it begins");
        assert_eq!(sink.finish_with(0..5000), Ok((0..5000).sum()));
        assert_eq!(client.begin().total().expect("it begins").finish(), Ok(0));
        let sink = client.begin().lengths().expect("it begins");
        let parts = sizes.iter().map(|size| Blob::from(vec![1; *size]));
        assert_eq!(
            sink.finish_with(parts),
            Ok(sizes.iter().sum::<usize>() as u64)
        );

        let mut both = client.twice().expect("it begins");
        for value in 0..300 {
            both.send(value).expect("it is sent");
            assert_eq!(both.next(), Some(Ok(2 * value)));
        }
        both.finish_sending();
        assert_eq!(both.next(), None);

        drop(both);
        stage.quiet();
        assert_eq!(client.add(2, 3), Ok(5));
    }
}

#[test]
fn errors_of_streams_pass_after_the_items_before_them() {
    let stage = Stage::tcp();
    let mut items = stage.client.until(3, "torn").expect("it begins");
    for value in 0..3 {
        assert_eq!(items.next(), Some(Ok(value)));
    }
    let error = items.next().expect("an error").expect_err("it is torn");
    assert_eq!((error.code(), error.ran()), (Code::DataLoss, Ran::Yes));
    assert_eq!(items.next(), None);
    let mut refused = stage.client.refuses("not now").expect("it begins");
    let error = refused.next().expect("an error").expect_err("it refuses");
    assert_eq!(error.to_string(), "not now", "the method's own");
    drop((items, refused));
    stage.quiet();
}

#[test]
fn a_method_that_wants_no_more_items_stops_its_caller() {
    let stage = Stage::tcp();
    let mut sink = stage.client.begin().some(10).expect("it begins");
    // As many as it takes, and it says when it has enough.
    let sent = sink
        .send_all(std::iter::repeat_n(1, 10_000_000))
        .expect("it stops");
    assert!((10..10_000_000).contains(&sent), "{sent}");
    assert_eq!(sink.finish(), Ok(10));
    stage.quiet();
}

#[test]
fn a_reader_that_stops_costs_the_proxy_at_most_its_window() {
    let stage = Stage::tcp();
    let client = Client::builder()
        .stream_items(50)
        .stream_bytes(40_000)
        .timeout(PATIENCE);
    let client = client.connect(&stage.proxy.local_endpoints()[0]);
    let client = FlowsClient::from(client.expect("an endpoint"));
    let mut forever = client.forever().expect("it begins");
    assert!(forever.next().is_some());
    // Others are served meanwhile; what is made comes to an end.
    let mut made = 0;
    until("nothing more is made", || {
        assert_eq!(stage.client.add(2, 3), Ok(5));
        let now = stage.flows.made.load(Ordering::SeqCst);
        std::mem::replace(&mut made, now) == now && now >= 40
    });
    for _ in 0..300 {
        assert_eq!(stage.client.add(2, 3), Ok(5));
    }
    let passed = stage.proxy.stats().items_out;
    assert!(passed <= 50 + 25, "{passed} items of at most 50 un-taken");
    let made = stage.flows.made.load(Ordering::SeqCst);
    assert!(made <= passed + 2, "{made} made, {passed} passed on");
    // And it goes on as it is read.
    for _ in 0..500 {
        assert!(forever.next().is_some());
    }
    drop(forever);
    until("it is dropped", || {
        stage.flows.dropped.load(Ordering::SeqCst) == 1
    });
    stage.quiet();
}

#[test]
fn a_method_that_does_not_take_items_holds_its_caller_back() {
    let flows = Arc::new(Handler::default());
    let server = Server::builder()
        .service(FlowsServer::new(flows.clone()))
        .item_timeout(PATIENCE)
        .stream_items(20)
        .stream_bytes(16 << 10)
        .bind("tcp://127.0.0.1:*")
        .expect("it binds");
    let member = Member::new(server.local_endpoints()[0].to_string());
    let proxy = proxy("tcp://127.0.0.1:*", [member], |builder| builder);
    let client = Client::builder().timeout(PATIENCE);
    let client = client
        .connect(&proxy.local_endpoints()[0])
        .expect("an endpoint");
    let client = FlowsClient::from(client);
    let mut sink = client.begin().slowly().expect("it begins");
    sink.send(vec![1; 1000]).expect("it is sent");
    until("it has begun", || flows.took.load(Ordering::SeqCst) == 1);
    let mut sent = 1;
    // Until there is no room, and none comes.
    until("it is held back", || {
        let before = sent;
        while sink.try_send(vec![1; 1000]).is_ok() {
            sent += 1;
        }
        for _ in 0..20 {
            assert_eq!(client.add(2, 3), Ok(5));
        }
        sent == before
    });
    assert!(sent <= 22, "{sent} sent, of at most 20 un-taken");
    assert!(proxy.stats().items_in <= 22);
    flows.allowed.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(sink.finish(), Ok(sent));
}

#[test]
fn a_cancelled_stream_is_cancelled_at_the_node() {
    let stage = Stage::tcp();
    let mut forever = stage.client.forever().expect("it begins");
    assert!(forever.next().is_some());
    forever.cancel();
    until("it is dropped", || {
        stage.flows.dropped.load(Ordering::SeqCst) == 1
    });
    let sink = stage.client.begin().total().expect("it begins");
    drop(sink);
    stage.quiet();
}

#[test]
fn a_stream_whose_node_is_lost_ends_maybe() {
    let Stage {
        client,
        proxy,
        server,
        flows,
    } = Stage::tcp();
    let mut forever = client.forever().expect("it begins");
    assert!(forever.next().is_some());
    server.stop_within(Duration::ZERO);
    let error = forever.find_map(Result::err).expect("an error");
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_ne!(error.ran(), Ran::No, "{error}");
    drop((server, flows));
    until("nothing is left", || {
        let stats = proxy.stats();
        (stats.in_flight, stats.streams_open) == (0, 0)
    });
}

#[test]
fn the_deadline_of_a_stream_holds() {
    let stage = Stage::tcp();
    let hurried = stage
        .client
        .with(Call::new().timeout(Duration::from_millis(300)));
    let mut forever = hurried.forever().expect("it begins");
    let mut items = 0u64;
    let error = loop {
        match forever.next_timeout(PATIENCE) {
            Next::Item(Ok(_)) => items += 1,
            Next::Item(Err(error)) => break error,
            other => panic!("{other:?} after {items}"),
        }
    };
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    drop(forever);
    until("it is dropped", || {
        stage.flows.dropped.load(Ordering::SeqCst) == 1
    });
    stage.quiet();
}

#[test]
fn many_streams_at_once_pass_whole() {
    let stage = Stage::tcp();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let client = stage.client.clone();
            scope.spawn(move || {
                for round in 0..10 {
                    let to = 500 + 37 * thread + round;
                    let items: Result<Vec<u64>, _> = client.count(to).expect("it begins").collect();
                    assert_eq!(items, Ok((0..to).collect()));
                    let sink = client.begin().total().expect("it begins");
                    assert_eq!(sink.finish_with(0..to), Ok((0..to).sum()));
                    let (feed, stream) = client.twice().expect("it begins").split();
                    let mut feed = feed.expect("it is not finished");
                    std::thread::scope(|scope| {
                        scope.spawn(move || {
                            feed.send_all(0..to).expect("it takes them");
                            feed.finish();
                        });
                        let items: Result<Vec<u64>, _> = stream.collect();
                        assert_eq!(items, Ok((0..to).map(|n| 2 * n).collect()));
                    });
                }
            });
        }
    });
    stage.quiet();
}
