//! What a message costs, counted: copies, allocations, system calls.
//!
//! Both sides are in this process, each with an engine and a thread of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use brokerless_patterns::counters::payload_bytes_copied;
use brokerless_patterns::{Dealer, Engine, Frame, Message, Options, Pub, Router};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::at_work::{NOW, all};
use crate::counted::{Cost, own_allocations};
use crate::rounds::in_rounds;

const LIMIT: Duration = Duration::from_secs(60);

/// Keeps `window` messages in flight until `count` have come back.
fn echo(dealer: &Dealer, frame: &Frame, count: usize, window: usize) {
    let (mut sent, mut received) = (0, 0);
    while received < count {
        while sent < count && sent - received < window {
            dealer.send(frame.clone()).unwrap();
            sent += 1;
        }
        let message = dealer.recv_timeout(LIMIT).unwrap();
        assert_eq!(message.bytes(), frame.len());
        received += 1;
    }
}

/// What one message there and back cost, both sides together.
fn measure(endpoint: &str, bytes: usize, count: usize, window: usize) -> Cost {
    // Heartbeats go by the clock: the beginning of a frame that is read with one is copied to its rest.
    let ours = || {
        let options = Options::new().engine(&Engine::new().unwrap());
        options.heartbeat_interval(None)
    };
    let router = Router::with(ours()).unwrap();
    let endpoint = router.bind_to(endpoint).unwrap().to_string();
    let dealer = Dealer::with(ours()).unwrap();
    dealer.connect_to(&endpoint).unwrap();
    let frame = Frame::from(vec![1; bytes]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok((peer, message)) = router.recv() {
                router.send(&peer, message).unwrap();
            }
        });
        // Warm: buffers have their sizes, and the threads have learned their pace.
        echo(&dealer, &frame, 20 * window, window);
        let cost = Cost::of_each(count, || echo(&dealer, &frame, count, window));
        assert!(router.close().is_empty());
        cost
    })
}

/// Holds a cost to its bounds. How often threads find each other asleep is the machine's as well: the
/// best of several rounds counts.
fn within(what: &str, measure: impl Fn() -> Cost, bounds: impl Fn(&Cost) -> bool) {
    let cost = in_rounds(what, || {
        let cost = measure();
        if bounds(&cost) {
            Ok(cost)
        } else {
            Err(format!("{cost:?}"))
        }
    });
    println!("{what}: {cost:?}");
}

/// By any policy, from few or many nodes, not even the first one.
fn a_pick_takes_no_memory() {
    for work in all() {
        for (nodes, mut balancer) in [
            (10, work.pool(10)),
            (1000, work.pool(1000)),
            (10, work.at_work(10)),
            (1000, work.at_work(1000)),
        ] {
            let mut taken = 0;
            for call in 0..2000 {
                let now = NOW + call * 100_000;
                let before = own_allocations();
                let picked = balancer.pick(now, Some(call * 7919), &|_| true);
                taken += own_allocations() - before;
                let node = picked.expect("all are up");
                balancer.sent(now, node);
                let took = Duration::from_millis(1);
                balancer.replied(now, node, took, Some(&work.report(node)));
            }
            let name = work.name;
            assert_eq!(taken, 0, "allocations of 2000 picks of {nodes}: {name}");
        }
    }
    let before = own_allocations();
    drop(std::hint::black_box(vec![0u8; 100]));
    assert_eq!(own_allocations() - before, 1, "they are counted");
}

#[test]
fn a_message_costs_no_more_than_is_promised() {
    let _alone = crate::alone();
    the_counters_count();
    let ipc = std::env::temp_dir().join(format!("brokerless-costs-{}", std::process::id()));
    let ipc = format!("ipc://{}", ipc.display());

    for endpoint in ["tcp://127.0.0.1:*", &ipc] {
        let large = measure(endpoint, 1 << 20, 200, 4);
        println!("{endpoint} 1 MiB: {large:?}");
        assert_eq!(large.bytes_copied, 0.0, "of a 1 MiB frame, each way");

        // Two sides; a wake-up of the steward now and then is on top.
        within(
            &format!("{endpoint} 64 B, one at a time"),
            || measure(endpoint, 64, 20_000, 1),
            |alone| alone.system_calls <= 2.0 * 3.0 + 0.3,
        );
        within(
            &format!("{endpoint} 64 B, 256 in flight"),
            || measure(endpoint, 64, 200_000, 256),
            |pipelined| pipelined.system_calls < 2.0 * 0.2 && pipelined.allocations <= 2.0,
        );
    }

    let publish = a_publish_costs_each_peer_a_copy_and_those_that_do_not_read_nothing;
    println!("{}", in_rounds("publish", publish));
    a_pick_takes_no_memory();

    for bytes in [1, 64, 4096, 1 << 20] {
        let inproc = measure("inproc://costs", bytes, 1_000, 8);
        println!("inproc {bytes} B: {inproc:?}");
        assert_eq!(inproc.bytes_copied, 0.0, "of {bytes} bytes");
    }
}

/// A publisher with subscribers made of bytes, of which the last few never read.
struct Crowd {
    publisher: Pub,
    good: Vec<TcpStream>,
    _slow: Vec<TcpStream>,
}

/// Messages published in a round: few enough for each to be written at once.
const ROUND: usize = 8;

/// What a round of publishing cost.
#[derive(Debug, Clone, Copy)]
struct RoundCost {
    allocations: f64,
    system_calls: f64,
    seconds: f64,
}

impl Crowd {
    fn new(good: usize, slow: usize) -> Self {
        let options = Options::new()
            .engine(&Engine::new().unwrap())
            .heartbeat_interval(None)
            .send_bytes_max(512 * 1024)
            .send_buffer_bytes(Some(16 * 1024));
        let publisher = Pub::with(options).unwrap();
        let endpoint = publisher.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
        let mut streams: Vec<_> = (0..good + slow).map(|_| subscribed(&endpoint)).collect();
        let deadline = Instant::now() + LIMIT;
        while publisher.subscriptions() != [(Frame::new(), good + slow)] {
            assert!(Instant::now() < deadline, "not all have subscribed");
            std::thread::yield_now();
        }
        let slow = streams.split_off(good);
        Crowd {
            publisher,
            good: streams,
            _slow: slow,
        }
    }

    /// Publishes so many messages, while each good subscriber reads all of them.
    fn round(&self, frame: &Frame, count: usize) -> RoundCost {
        let header = if frame.len() < 256 { 2 } else { 9 };
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut space = vec![0; count * (header + frame.len())];
                for mut stream in &self.good {
                    stream.read_exact(&mut space).unwrap();
                }
                Instant::now()
            });
            // A thread of its own, that has no pace yet.
            let writer = scope.spawn(|| {
                let begin = Instant::now();
                let cost = Cost::of_each(1, || {
                    for _ in 0..count {
                        self.publisher.send(frame.clone()).unwrap();
                    }
                });
                (cost, begin)
            });
            let (cost, begin) = writer.join().unwrap();
            let end = reader.join().unwrap();
            RoundCost {
                allocations: cost.allocations,
                system_calls: cost.system_calls,
                seconds: (end - begin).as_secs_f64(),
            }
        })
    }
}

/// A subscriber to everything, through its handshake.
fn subscribed(endpoint: &str) -> TcpStream {
    let mut stream = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut hello = [0; 64];
    (hello[0], hello[9], hello[10]) = (0xFF, 0x7F, 3);
    hello[12..16].copy_from_slice(b"NULL");
    let ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB";
    stream
        .write_all(&[&hello[..], ready, &[0, 1, 1]].concat())
        .unwrap();
    // The publisher's greeting and READY: its type is as long, and it has no identity to tell.
    let mut theirs = [0; 64 + 2];
    stream.read_exact(&mut theirs).unwrap();
    let mut ready = vec![0; usize::from(theirs[65])];
    stream.read_exact(&mut ready).unwrap();
    stream
}

/// Says what it saw; as an error if that is over what is promised.
fn a_publish_costs_each_peer_a_copy_and_those_that_do_not_read_nothing() -> Result<String, String> {
    const GOOD: usize = 900;
    const SLOW: usize = 100;
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum.map(|most| most.min(8192));
    setrlimit(Resource::Nofile, files).unwrap();

    let (frame, large) = (Frame::from(vec![7; 64]), Frame::from(vec![7; 16 * 1024]));
    let crowds = [Crowd::new(GOOD, 0), Crowd::new(GOOD, SLOW)];
    let dropped = || {
        let counts = crowds[1].publisher.stats().dropped;
        counts.get("slow-subscriber").copied().unwrap_or(0)
    };
    // Large messages fill the queues soon, small ones the rest.
    for (message, count) in [(&large, 20), (&frame, ROUND)] {
        let mut rounds = 0;
        loop {
            let before = dropped();
            crowds[1].round(message, count);
            if dropped() - before == (count * SLOW) as u64 {
                break;
            }
            rounds += 1;
            assert!(rounds < 1000, "those that do not read are never full");
        }
    }
    for crowd in &crowds {
        crowd.round(&frame, ROUND);
    }
    let before = dropped();
    let rounds: Vec<_> = (0..15)
        .map(|_| crowds.each_ref().map(|crowd| crowd.round(&frame, ROUND)))
        .collect();
    assert_eq!(
        dropped() - before,
        (15 * ROUND * SLOW) as u64,
        "all that while they took nothing"
    );
    let median = |of: &dyn Fn(&[RoundCost; 2]) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let copies = (ROUND * GOOD) as f64;
    let (mut seen, mut holds) = (String::new(), true);
    for (crowd, name) in ["all read", "a tenth does not"].into_iter().enumerate() {
        let allocations = median(&|round| round[crowd].allocations) / copies;
        let calls = median(&|round| round[crowd].system_calls) / copies;
        seen += &format!(
            "publish, {name}: {allocations:.4} allocations, {calls:.4} system calls a copy\n"
        );
        holds &= allocations < 0.01;
    }
    let calls = median(&|round| round[1].system_calls / round[0].system_calls);
    let rate = median(&|round| round[0].seconds / round[1].seconds);
    seen += &format!("publish: {calls:.3} x the system calls, {rate:.2} x the rate");
    // The system calls tell; the rate is held to what no busy machine takes away.
    holds &= rate >= 0.7 && calls <= 1.05;
    if holds { Ok(seen) } else { Err(seen) }
}

/// A small frame is gathered into the write buffer, and copied out of the read buffer: so the
/// counter is alive.
fn the_counters_count() {
    let before = payload_bytes_copied();
    let router = Router::bind("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::connect(&router.local_endpoints()[0].to_string()).unwrap();
    dealer.send(Message::from(vec![1; 100])).unwrap();
    router.recv_timeout(LIMIT).unwrap();
    assert!(payload_bytes_copied() >= before + 200);
}
