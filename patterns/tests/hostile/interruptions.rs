//! Peers that are good, but signals, short writes and resets get in between.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine, Event};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::canary::Lasted;
use crate::support::figures::Figures;
use crate::support::good::patient;
use crate::support::raw::{Raw, frame};
use crate::support::router::count_signals;
use crate::support::scene::Scene;
use crate::support::system::tasks;
use crate::support::{eventually, hold, ms, pass};

/// Signals that this process has handled.
static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Interrupts every thread of these processes a thousand times a second, until `over`.
fn storm(processes: &[u32], over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        for task in processes.iter().flat_map(|process| tasks(*process)) {
            // Aimed at a thread's own number the signal is that thread's. It may have ended.
            if let Some(thread) = Pid::from_raw(task) {
                let _ = kill_process(thread, Signal::USR1);
            }
        }
        pass(ms(1));
    }
}

/// Bytes that are nobody else's.
fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index.wrapping_mul(31) ^ seed.wrapping_mul(131)) as u8)
        .collect()
}

/// Sends messages of all sizes, a few at a time, and checks that each comes back as it was.
#[track_caller]
fn exchange(dealer: &Dealer, for_at_least: Duration) -> usize {
    const SIZES: [usize; 8] = [0, 1, 255, 256, 5_000, 20_000, 70_000, 300_000];
    const IN_FLIGHT: usize = 4;
    const ENOUGH: usize = 64;
    let begin = Instant::now();
    let goes_on = |sent| sent < ENOUGH || begin.elapsed() < for_at_least;
    let (mut sent, mut received) = (0, 0);
    while goes_on(sent) || received < sent {
        if sent - received < IN_FLIGHT && goes_on(sent) {
            let body = pattern(sent, SIZES[sent % SIZES.len()]);
            dealer
                .send(
                    ["", "two"]
                        .map(str::as_bytes)
                        .into_iter()
                        .chain([&body[..]])
                        .map(Into::into)
                        .collect::<brokerless_patterns::Message>(),
                )
                .expect("a peer is connected");
            sent += 1;
            continue;
        }
        let answer = dealer.recv_timeout(ms(30_000)).expect("an answer");
        let body = pattern(received, SIZES[received % SIZES.len()]);
        assert_eq!(answer.len(), 3);
        assert!(answer[0].is_empty() && answer[1] == "two");
        assert!(
            answer[2] == body[..],
            "message {received} was changed on its way"
        );
        received += 1;
    }
    received
}

pub(crate) fn a_storm_of_signals_and_short_writes_change_nothing_for_the_caller() {
    // The system makes the least of it that it allows: 4 KiB or so.
    let mut scene = Scene::set(&[
        "signals=1",
        "send_buffer_bytes=2048",
        "recv_buffer_bytes=2048",
    ]);
    count_signals(&SIGNALS);
    let engine = Engine::new().expect("descriptors are free");
    let options = patient(&engine).send_buffer_bytes(Some(2048));
    let dealer = Dealer::with(options).expect("options within bounds");
    dealer
        .connect_to(&scene.router.endpoint)
        .expect("an endpoint to connect to");
    let over = AtomicBool::new(false);
    let before = scene.router.figures().get("signals");
    let processes = [scene.router.process.pid(), std::process::id()];
    let messages = std::thread::scope(|scope| {
        scope.spawn(|| storm(&processes, &over));
        let messages = exchange(&dealer, ms(1500));
        over.store(true, Ordering::Relaxed);
        messages
    });
    hold(messages >= 50, || {
        format!("only {messages} messages in the storm")
    });
    let theirs = scene.router.figures().get("signals") - before;
    let ours = SIGNALS.load(Ordering::Relaxed);
    hold(ours >= 500 && theirs >= 500, || {
        format!("{ours} and {theirs} signals: no storm")
    });
    let figures = Figures::of(&dealer.stats());
    figures.assert_balanced("the dealer");
    assert_eq!(figures.all_closes(), BTreeMap::new());
    let closes = scene.router.figures();
    assert_eq!(closes.all_closes(), BTreeMap::new());
    let (good, figures) = scene.end();
    assert_eq!(figures.get("arrived"), good.rounds + messages as u64);
}

/// Stands between a client and a router, and resets what goes through it.
struct Relay {
    endpoint: String,
    /// Connections are of a generation; a reset begins the next one.
    generation: Arc<AtomicUsize>,
    /// Threads that have begun to copy, and those that have ceased.
    begun: Arc<AtomicUsize>,
    ceased: Arc<AtomicUsize>,
}

impl Relay {
    fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("tcp://{}", listener.local_addr().expect("it is bound"));
        let generation = Arc::<AtomicUsize>::default();
        let (begun, ceased) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let relay = Relay {
            endpoint,
            generation: generation.clone(),
            begun: begun.clone(),
            ceased: ceased.clone(),
        };
        let address = address.to_owned();
        std::thread::spawn(move || {
            // Lives as long as the tests: nobody waits for it.
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&address) else {
                    continue;
                };
                let born = generation.load(Ordering::SeqCst);
                let pair = Arc::new((client, server));
                for back in [false, true] {
                    let (pair, generation, ceased) =
                        (pair.clone(), generation.clone(), ceased.clone());
                    begun.fetch_add(1, Ordering::SeqCst);
                    std::thread::spawn(move || {
                        let (from, to) = if back {
                            (&pair.1, &pair.0)
                        } else {
                            (&pair.0, &pair.1)
                        };
                        copy(from, to, || generation.load(Ordering::SeqCst) == born);
                        drop(pair);
                        ceased.fetch_add(1, Ordering::SeqCst);
                    });
                }
            }
        });
        relay
    }

    /// Resets every connection, and waits until it is done.
    fn reset(&self) {
        // In this order: what begins from now on need not cease.
        let begun = self.begun.load(Ordering::SeqCst);
        self.generation.fetch_add(1, Ordering::SeqCst);
        eventually("what was open is reset", ms(1000), || {
            (self.ceased.load(Ordering::SeqCst) >= begun).then_some(())
        });
    }
}

/// Copies until an end or `goes_on` says no; then both sides see a reset.
fn copy(mut from: &TcpStream, mut to: &TcpStream, goes_on: impl Fn() -> bool) {
    let mut buffer = [0; 16 * 1024];
    for stream in [from, to] {
        stream.set_nodelay(true).expect("an option of every stream");
        stream
            .set_read_timeout(Some(ms(5)))
            .expect("an option of every stream");
        set_socket_linger(stream, Some(Duration::ZERO)).expect("an option of every stream");
    }
    while goes_on() {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) if to.write_all(&buffer[..count]).is_err() => return,
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => return,
        }
    }
}

pub(crate) fn resets_cost_a_counted_reconnect_each_and_nothing_else() {
    const RESETS: usize = 15;
    let mut scene = Scene::set(&[]);
    let relay = Relay::to(&scene.address());
    let engine = Engine::new().expect("descriptors are free");
    let options = patient(&engine)
        .reconnect_interval(ms(10))
        .reconnect_interval_max(ms(50));
    let dealer = Dealer::with(options).expect("options within bounds");
    let events = dealer.monitor();
    dealer
        .connect_to(&relay.endpoint)
        .expect("an endpoint to connect to");
    for call in 0..RESETS * 10 {
        let body = pattern(call, 2000);
        let begin = Instant::now();
        // In the middle of a call, and behind it.
        let reset_in_call = call % 20 == 9;
        dealer.send(&body[..]).expect("it waits in the queue");
        if reset_in_call {
            relay.reset();
        }
        // What a reset has taken with it is asked again; late answers are known by their bytes.
        loop {
            match dealer.recv_timeout(ms(200)) {
                Ok(answer) if answer[0] == body[..] => break,
                Ok(_late) => {}
                Err(_) => dealer.send(&body[..]).expect("it waits in the queue"),
            }
            Lasted::since(begin).assert_within(ms(1500), "unanswered for");
        }
        if call % 20 == 19 {
            relay.reset();
        }
    }
    let made = RESETS as u64;
    let figures = scene.router.until(ms(1000), |figures| {
        figures.all_closes().values().sum::<u64>() == made
    });
    let of_kind = |figures: &Figures| figures.closes("io-error") + figures.closes("peer-closed");
    assert_eq!(of_kind(&figures), made, "{figures}");
    let dealt = eventually("each is counted here, too", ms(1000), || {
        let figures = Figures::of(&dealer.stats());
        (of_kind(&figures) == made).then_some(figures)
    });
    assert_eq!(dealt.all_closes().values().sum::<u64>(), made, "{dealt}");
    eventually("the last reconnect", ms(1000), || {
        dealer.stats().peers[0].connected.then_some(())
    });
    let connected = events
        .try_iter()
        .filter(|event| matches!(event, Event::Connected { .. }));
    assert_eq!(connected.count(), RESETS + 1);
    dealt.assert_balanced("the dealer");
    scene.end();
}

pub(crate) fn resets_while_the_router_writes_are_counted_and_so_is_what_they_took() {
    const PEERS: u64 = 50;
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let large = frame(0, &[b'x'; 1 << 20]);
    for peers in 1..=PEERS {
        let mut peer = Raw::dealer(&address, b"");
        // Two answers of 1 MiB, of which it reads a few bytes.
        peer.send(&large);
        peer.send(&large);
        let mut few = [0; 1000];
        peer.stream().read_exact(&mut few).expect("an answer");
        // A reset takes along what the peer's own system has not sent yet.
        scene.router.until(ms(2000), |figures| {
            figures.get("arrived_bytes") >= (2 * peers) << 20
        });
        peer.reset();
    }
    let figures = scene
        .router
        .until(ms(2000), |figures| figures.get("connections") == 1);
    assert_eq!(
        figures.closes("io-error") + figures.closes("peer-closed"),
        PEERS,
        "{figures}"
    );
    let (good, figures) = scene.end();
    assert_eq!(figures.get("arrived"), good.rounds + 2 * PEERS);
}
