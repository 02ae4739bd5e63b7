//! Streams between a client and a server, over every transport: the streaming cases of gRPC's interop
//! list with its sizes, and what holds with many of them at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless::client::{Client, Next};
use brokerless::server::{Server, ServerBuilder};
use brokerless::service::{Incoming, Items};
use brokerless::{Blob, Call, Code, Ran, Status};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::support::{PATIENCE, in_rounds, take_time, transports, until};

/// The sizes of what methods give, and of what they are given.
const GIVEN: [usize; 4] = [31415, 9, 2653, 58979];
const TAKEN: [usize; 4] = [27182, 8, 1828, 45904];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ask {
    wanted: usize,
    data: Vec<u8>,
}

#[brokerless::service(name = "live.v1")]
pub(crate) trait Live {
    fn give(&self, sizes: Vec<usize>) -> Items<'_, Vec<u8>>;
    fn give_blobs(&self, sizes: Vec<usize>) -> Items<'_, Blob>;
    fn measure(&self, parts: Incoming<Vec<u8>>) -> Result<u64, Status>;
    fn measure_blobs(&self, parts: Incoming<Blob>) -> Result<u64, Status>;
    fn play(&self, asks: Incoming<Ask>) -> Items<'_, Vec<u8>>;
    /// Numbers without end; how many were made, and whether it was dropped, is known to the test.
    fn forever(&self) -> Items<'_, u64>;
    fn count(&self, to: u64) -> Items<'_, u64>;
    /// Takes as many, and no more.
    fn some(&self, most: usize, values: Incoming<u64>) -> Result<u64, Status>;
    /// Takes one each time that it is told.
    fn slowly(&self, values: Incoming<u64>) -> Result<u64, Status>;
    /// So many, as quickly as can be; the one after them once it is told.
    fn pause(&self, quick: u64, size: usize) -> Items<'_, Blob>;
    fn add(&self, x: i64, y: i64) -> i64;
}

#[derive(Default)]
pub(crate) struct Handler {
    made: AtomicU64,
    dropped: AtomicU64,
    took: AtomicU64,
    allowed: AtomicU64,
}

/// Counts what is made, and that it is dropped.
struct Forever<'h>(&'h Handler, u64);

impl Iterator for Forever<'_> {
    type Item = u64;
    fn next(&mut self) -> Option<u64> {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        self.1 += 1;
        Some(self.1 - 1)
    }
}

impl Drop for Forever<'_> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Live for Handler {
    fn give(&self, sizes: Vec<usize>) -> Items<'_, Vec<u8>> {
        Items::new(sizes.into_iter().map(|size| vec![7; size]))
    }
    fn give_blobs(&self, sizes: Vec<usize>) -> Items<'_, Blob> {
        Items::new(sizes.into_iter().map(|size| Blob::from(vec![7; size])))
    }
    fn measure(&self, parts: Incoming<Vec<u8>>) -> Result<u64, Status> {
        parts.map(|part| part.map(|part| part.len() as u64)).sum()
    }
    fn measure_blobs(&self, parts: Incoming<Blob>) -> Result<u64, Status> {
        parts.map(|part| part.map(|part| part.len() as u64)).sum()
    }
    fn play(&self, asks: Incoming<Ask>) -> Items<'_, Vec<u8>> {
        Items::fallible(asks.map(|ask| ask.map(|ask| vec![1; ask.wanted])))
    }
    fn forever(&self) -> Items<'_, u64> {
        Items::new(Forever(self, 0))
    }
    fn count(&self, to: u64) -> Items<'_, u64> {
        Items::new(0..to)
    }
    fn some(&self, most: usize, values: Incoming<u64>) -> Result<u64, Status> {
        values.take(most).sum()
    }
    fn slowly(&self, mut values: Incoming<u64>) -> Result<u64, Status> {
        let mut sum = 0;
        loop {
            let end = Instant::now() + PATIENCE;
            while self.took.load(Ordering::SeqCst) >= self.allowed.load(Ordering::SeqCst) {
                if Instant::now() > end {
                    return Err(Status::internal("nobody allows more"));
                }
                take_time(Duration::from_millis(1));
            }
            match values.next() {
                Some(value) => sum += value?,
                None => return Ok(sum),
            }
            self.took.fetch_add(1, Ordering::SeqCst);
        }
    }
    fn pause(&self, quick: u64, size: usize) -> Items<'_, Blob> {
        let item = Blob::from(vec![7; size]);
        Items::new((0..=quick).map(move |index| {
            let end = Instant::now() + PATIENCE;
            while index == quick && self.allowed.load(Ordering::SeqCst) == 0 {
                assert!(Instant::now() < end, "nobody allows more");
                take_time(Duration::from_millis(1));
            }
            item.clone()
        }))
    }
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }
}

struct Hall {
    server: Server,
    handler: Arc<Handler>,
    live: LiveClient,
}

impl Hall {
    fn at(endpoint: &str, build: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Hall {
        let handler = Arc::new(Handler::default());
        let builder = Server::builder().service(LiveServer::new(handler.clone()));
        let builder = builder.drain_timeout(Duration::from_secs(2));
        let server = build(builder).bind(endpoint).expect("it binds");
        let client = Client::builder().timeout(PATIENCE);
        let client = client.connect(server.local_endpoints()[0].to_string());
        Hall {
            server,
            handler,
            live: LiveClient::from(client.expect("an endpoint")),
        }
    }

    fn new() -> Hall {
        Hall::at("tcp://127.0.0.1:*", patient)
    }
}

/// What stands still in a test does so for as long as that takes.
fn patient(builder: ServerBuilder) -> ServerBuilder {
    builder.item_timeout(10 * PATIENCE)
}

fn everywhere(test: impl Fn(&Hall)) {
    for endpoint in transports() {
        test(&Hall::at(&endpoint, |builder| builder));
    }
}

#[test]
fn server_stream() {
    everywhere(|hall| {
        let items = hall.live.give(GIVEN.to_vec()).expect("it begins");
        let sizes: Result<Vec<usize>, _> = items.map(|item| item.map(|item| item.len())).collect();
        assert_eq!(sizes.expect("no error"), GIVEN);
        let items = hall.live.give_blobs(GIVEN.to_vec()).expect("it begins");
        let sizes: Result<Vec<usize>, _> = items.map(|item| item.map(|item| item.len())).collect();
        assert_eq!(sizes.expect("no error"), GIVEN);
    });
}

#[test]
fn items_that_were_made_quickly_come_while_the_next_one_takes_its_time() {
    everywhere(|hall| {
        for quick in [1, 5, 40] {
            hall.handler.allowed.store(0, Ordering::SeqCst);
            let mut items = hall.live.pause(quick, 64 * 1024).expect("it begins");
            for index in 0..quick {
                let item = items.next().expect("more").expect("no error");
                assert_eq!(item.len(), 64 * 1024, "item {index} of {quick}");
            }
            hall.handler.allowed.store(1, Ordering::SeqCst);
            assert_eq!(items.count(), 1);
        }
    });
}

#[test]
fn items_of_nearly_the_window_find_room_behind_smaller_ones() {
    everywhere(|hall| {
        let sizes = [20_000, 1_040_000, 300_000, 1_040_000, 500_000, 900_000, 9];
        let sizes = sizes.repeat(3);
        let items = hall.live.give_blobs(sizes.clone()).expect("it begins");
        let came: Result<Vec<usize>, _> = items.map(|item| item.map(|item| item.len())).collect();
        assert_eq!(came.expect("no error"), sizes);
        // Whoever only looks, and never waits, tells the node of room, too.
        let mut items = hall.live.give_blobs(sizes.clone()).expect("it begins");
        let mut came = Vec::new();
        let end = Instant::now() + PATIENCE;
        loop {
            match items.try_next() {
                Next::Item(item) => came.push(item.expect("no error").len()),
                Next::NotYet => assert!(Instant::now() < end, "{came:?}"),
                Next::End => break,
            }
        }
        assert_eq!(came, sizes);
    });
}

#[test]
fn client_stream() {
    everywhere(|hall| {
        let parts = TAKEN.map(|size| vec![1; size]);
        assert_eq!(hall.live.measure(parts), Ok(74922));
        let parts = TAKEN.map(|size| Blob::from(vec![1; size]));
        assert_eq!(hall.live.measure_blobs(parts), Ok(74922));
        assert_eq!(hall.live.measure([]), Ok(0), "none at all");
    });
}

#[test]
fn ping_pong() {
    everywhere(|hall| {
        let mut play = hall.live.play().expect("it begins");
        for (taken, wanted) in TAKEN.into_iter().zip(GIVEN) {
            let data = vec![1; taken];
            play.send(Ask { wanted, data }).expect("it is taken");
            let item = play.next().expect("an item").expect("an item");
            assert_eq!(item.len(), wanted);
        }
        play.finish_sending();
        assert_eq!(play.next(), None);
    });
}

#[test]
fn empty_stream() {
    everywhere(|hall| {
        let mut play = hall.live.play().expect("it begins");
        play.finish_sending();
        assert_eq!(play.next(), None);
        assert_eq!(hall.live.count(0).expect("it begins").next(), None);
    });
}

#[test]
fn cancel_after_begin() {
    everywhere(|hall| {
        let sink = hall.live.begin().measure().expect("it begins");
        sink.cancel();
        let stream = hall.live.forever().expect("it begins");
        stream.cancel();
        is_over(hall);
    });
}

#[test]
fn cancel_after_first_item() {
    everywhere(|hall| {
        let mut play = hall.live.play().expect("it begins");
        let data = vec![1; TAKEN[0]];
        play.send(Ask {
            wanted: GIVEN[0],
            data,
        })
        .expect("it is taken");
        assert_eq!(
            play.next().expect("an item").expect("an item").len(),
            GIVEN[0]
        );
        play.cancel();
        let mut items = hall.live.forever().expect("it begins");
        assert_eq!(items.next(), Some(Ok(0)));
        drop(items);
        until("the method is told", || {
            hall.handler.dropped.load(Ordering::SeqCst) == 1
        });
        is_over(hall);
    });
}

/// Neither side has anything left of any stream.
#[track_caller]
fn is_over(hall: &Hall) {
    until("the server has ended it", || {
        hall.server.stats().streams.open == 0
    });
    until("it is answered", || {
        hall.live.client().stats().calls.held == 0
    });
    let streams = hall.live.client().stats().streams;
    assert_eq!((streams.open, streams.violations), (0, 0), "{streams:?}");
    assert_eq!(hall.live.add(2, 3), Ok(5));
}

#[test]
fn a_method_that_has_enough_ends_the_sending() {
    everywhere(|hall| {
        assert_eq!(hall.live.some(10, 1..), Ok(55));
        is_over(hall);
    });
}

#[test]
fn many_items_travel_in_few_messages() {
    everywhere(|hall| {
        let count = 100_000;
        let items = hall.live.count(count).expect("it begins");
        let mut expected = 0..count;
        for item in items {
            assert_eq!(item.ok(), expected.next());
        }
        assert_eq!(expected.next(), None);
        assert_eq!(hall.live.some(usize::MAX, 0..count), Ok((0..count).sum()));
        is_over(hall);
    });
}

#[test]
fn ten_thousand_short_streams_leave_nothing() {
    const EACH: u64 = 5_000;
    for endpoint in ["tcp://127.0.0.1:*", "inproc://rpc-short-streams"] {
        let hall = Hall::at(endpoint, |builder| builder);
        for round in 0..EACH {
            match round % 4 {
                0 => assert_eq!(hall.live.count(3).expect("it begins").count(), 3),
                1 => assert_eq!(hall.live.some(9, [1, 2]), Ok(3)),
                2 => {
                    let mut items = hall.live.forever().expect("it begins");
                    assert_eq!(items.next(), Some(Ok(0)));
                }
                _ => drop(hall.live.begin().slowly().expect("it begins")),
            }
            // The methods of the last kind end when they are told so.
            hall.handler.allowed.store(u64::MAX, Ordering::SeqCst);
        }
        is_over(&hall);
        let stats = hall.live.client().stats();
        assert_eq!((stats.streams.opened, stats.streams.unsent), (EACH, 0));
        assert_eq!((stats.calls.given_up, stats.calls.waiting), (0, 0));
    }
}

#[test]
fn a_stopped_reader_costs_its_producer_its_credit_and_nobody_else_anything() {
    let hall = Hall::new();
    let mut stopped = hall.live.forever().expect("it begins");
    assert_eq!(stopped.next(), Some(Ok(0)));
    let made = || hall.handler.made.load(Ordering::SeqCst);
    until("it has filled its window", || made() >= 32 * 1024);
    let full = made();
    // Its window, and what it had taken.
    assert!(full <= 32 * 1024 + 64, "{full} were made");
    // Others, over the same connection, go on.
    for n in 0..1000 {
        assert_eq!(hall.live.add(n, 1), Ok(n + 1));
    }
    let items = hall.live.count(50_000).expect("it begins");
    assert_eq!(items.filter(Result::is_ok).count(), 50_000);
    assert_eq!(hall.live.some(usize::MAX, 0..50_000), Ok((0..50_000).sum()));
    assert_eq!(made(), full, "and it makes no more meanwhile");
    // It goes on where it was.
    for expected in 1..5000 {
        assert_eq!(stopped.next(), Some(Ok(expected)));
    }
}

#[test]
fn a_stopped_method_costs_its_caller_its_credit_and_nobody_else_anything() {
    let hall = Hall::new();
    let short = Duration::from_millis(1500);
    let ours = hall.live.with(Call::new().item_timeout(short));
    let mut sink = ours.begin().slowly().expect("it begins");
    // The method takes nothing: so many go, and no more.
    let mut sent = 0;
    let error = loop {
        match sink.send(sent) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent <= 32 * 1024, "{sent} were sent");
        if sent % 100 == 0 {
            assert_eq!(hall.live.add(2, 3), Ok(5));
        }
    };
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::Maybe)
    );
    assert!(sent >= 8 * 1024, "{sent}");
    hall.handler.allowed.store(u64::MAX, Ordering::SeqCst);
    drop(sink);
    is_over(&hall);
}

#[test]
fn a_thousand_streams_at_once_are_served_fairly() {
    const STREAMS: usize = 1000;
    // In each round.
    const ITEMS: u64 = 600_000;
    let hall = Hall::at("tcp://127.0.0.1:*", |builder| patient(builder).window(1024));
    // What is on its way when it ends is little beside what came.
    let client = Client::builder().timeout(PATIENCE).stream_items(8);
    let client = client.connect(hall.server.local_endpoints()[0].to_string());
    let live = LiveClient::from(client.expect("an endpoint"));
    let streams = (0..STREAMS).map(|_| live.forever().expect("it begins"));
    let mut streams: Vec<_> = streams.map(|stream| (stream, 0)).collect();
    // All have begun.
    for (stream, taken) in &mut streams {
        assert_eq!(stream.next(), Some(Ok(0)));
        *taken = 1;
    }
    // Over growing time: what is not fair gets no fairer, and a moment in which one thread was not run
    // is soon little beside the rest.
    let (mut all, mut until) = (0, 0);
    let (mut order, mut dice): (Vec<usize>, _) = ((0..STREAMS).collect(), Dice::new(1));
    in_rounds("a thousand streams", || {
        until += ITEMS;
        let end = Instant::now() + 5 * PATIENCE;
        while all < until {
            assert!(Instant::now() < end, "{all} items so far");
            // In another order each time: those whose items come just before they are looked at in one
            // would be ahead for good.
            for left in (1..STREAMS as u64).rev() {
                order.swap(left as usize, dice.roll(left + 1) as usize);
            }
            for at in &order {
                let (stream, taken) = &mut streams[*at];
                // As much as has come: who is served better gets more. But the reader does not stay
                // with one that it empties as fast as it is filled.
                for _ in 0..8 {
                    let Next::Item(item) = stream.try_next() else {
                        break;
                    };
                    item.expect("no error");
                    *taken += 1;
                    all += 1;
                }
            }
        }
        let taken = || streams.iter().map(|(_, taken)| *taken);
        let (least, most) = (taken().min().unwrap(), taken().max().unwrap());
        let mean = all as f64 / STREAMS as f64;
        let fair = 0.9 * mean..=1.1 * mean;
        let is_fair = fair.contains(&(least as f64)) && fair.contains(&(most as f64));
        let seen = format!("{least} to {most} items of {mean:.0}");
        if is_fair { Ok(()) } else { Err(seen) }
    });
    drop(streams);
    let hall = Hall { live, ..hall };
    is_over(&hall);
}

#[test]
fn a_server_that_drains_lets_streams_end_and_cuts_off_those_that_do_not() {
    in_rounds("a stream that ends", || drained(Duration::from_secs(3)));
}

/// What fails for want of time only: the one that ends has to do so within that.
fn drained(time: Duration) -> Result<(), String> {
    let hall = Hall::at("tcp://127.0.0.1:*", |builder| builder.drain_timeout(time));
    let mut ends = hall.live.count(3000).expect("it begins");
    assert_eq!(ends.next(), Some(Ok(0)));
    let mut forever = hall.live.forever().expect("it begins");
    assert_eq!(forever.next(), Some(Ok(0)));
    let Hall { server, live, .. } = hall;
    let (report, whole) = std::thread::scope(|scope| {
        let stop = scope.spawn(|| server.stop());
        let began = Instant::now();
        let whole = ends.filter(Result::is_ok).count() == 2999;
        assert!(whole || began.elapsed() >= time / 2, "it runs to its end");
        let error = forever.find_map(Result::err).expect("it is cut off");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::Unavailable, Ran::Yes),
            "{error}"
        );
        (stop.join().expect("it does not panic"), whole)
    });
    assert_eq!(live.client().stats().streams.open, 0);
    if !whole {
        return Err(format!("{report:?}"));
    }
    assert_eq!(report.streams, 1, "{report:?}");
    Ok(())
}

#[test]
fn streams_with_numbers_of_threads_arrive_whole() {
    let hall = Hall::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let items = hall.live.count(2000).expect("it begins");
                    assert_eq!(items.filter(Result::is_ok).count(), 2000);
                    assert_eq!(hall.live.some(usize::MAX, 0..2000), Ok((0..2000).sum()));
                    let mut play = hall.live.play().expect("it begins");
                    for wanted in 0..50 {
                        let data = Vec::new();
                        play.send(Ask { wanted, data }).expect("it is taken");
                        assert_eq!(
                            play.next().map(|it| it.map(|it| it.len())),
                            Some(Ok(wanted))
                        );
                    }
                }
            });
        }
    });
    is_over(&hall);
}

/// How many items a second, and how long there and back: run it with `--release --ignored`.
#[test]
#[ignore = "a measure, not a fact"]
fn the_pace_of_items() {
    for endpoint in transports() {
        let hall = Hall::at(&endpoint, |builder| builder);
        let count = 2_000_000;
        for _ in 0..3 {
            let began = Instant::now();
            let items = hall.live.count(count).expect("it begins");
            assert_eq!(items.filter(Result::is_ok).count() as u64, count);
            let down = count as f64 / began.elapsed().as_secs_f64() / 1e6;
            let began = Instant::now();
            assert!(hall.live.some(usize::MAX, 0..count).is_ok());
            let up = count as f64 / began.elapsed().as_secs_f64() / 1e6;
            let sizes = vec![64 * 1024; 20_000];
            let began = Instant::now();
            let blobs = hall.live.give_blobs(sizes).expect("it begins");
            assert_eq!(blobs.filter(Result::is_ok).count(), 20_000);
            let large = 20_000.0 * 65.536e-3 / began.elapsed().as_secs_f64();
            let mut play = hall.live.play().expect("it begins");
            let turns = 50_000;
            let began = Instant::now();
            for _ in 0..turns {
                let (wanted, data) = (8, Vec::new());
                play.send(Ask { wanted, data }).expect("it is taken");
                assert!(play.next().is_some_and(|item| item.is_ok()));
            }
            let turn = began.elapsed().as_micros() as f64 / f64::from(turns);
            let began = Instant::now();
            for n in 0..turns {
                assert!(hall.live.add(n.into(), 1).is_ok());
            }
            let call = began.elapsed().as_micros() as f64 / f64::from(turns);
            println!(
                "{endpoint}: {down:.2} M/s down, {up:.2} M/s up, {large:.0} MB/s, {turn:.1} us a turn, {call:.1} us a call"
            );
        }
    }
}
