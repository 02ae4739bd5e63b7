//! What the sockets promise against the hazards, one by one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use brokerless_patterns::{
    CloseReason, Dealer, Engine, Event, Message, Options, Rep, Req, Router, SendRefusal,
    WeightedDealer,
};

use crate::support::canary::Lasted;
use crate::support::figures::Figures;
use crate::support::good::patient;
use crate::support::process::RouterProcess;
use crate::support::raw::{COMMAND, Raw, announce, frame, greeting, opening, ping};
use crate::support::scene::Scene;
use crate::support::{eventually, hold, ms, pass};

/// How long a message that has to come is waited for.
const PATIENCE: Duration = ms(30_000);

/// Options of a socket with an engine of its own. A peer may be silent for long: one made of bytes
/// answers no PING.
fn apart() -> Options {
    patient(&Engine::new().expect("descriptors are free"))
}

fn router_with(options: Options) -> (Router, String) {
    let router = Router::with(options).expect("options within bounds");
    let endpoint = router
        .bind_to("tcp://127.0.0.1:*")
        .expect("a free port")
        .to_string();
    (router, endpoint)
}

fn dealer_with(options: Options, endpoint: &str) -> Dealer {
    let dealer = Dealer::with(options).expect("options within bounds");
    dealer
        .connect_to(endpoint)
        .expect("an endpoint to connect to");
    dealer
}

fn address(endpoint: &str) -> &str {
    endpoint.strip_prefix("tcp://").expect("it listens on tcp")
}

const fn shared_between_threads<T: Send + Sync + 'static>() {}
const _: () = {
    shared_between_threads::<Dealer>();
    shared_between_threads::<Router>();
    shared_between_threads::<Req>();
    shared_between_threads::<Rep>();
    shared_between_threads::<WeightedDealer>();
    shared_between_threads::<Engine>();
};

pub(crate) fn sockets_are_synchronous_and_shared_between_threads() {
    const THREADS: usize = 4;
    const EACH: usize = 250;
    let (router, endpoint) = router_with(apart());
    let dealer = dealer_with(apart(), &endpoint);
    let answered = parking_lot::Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        let (router, dealer, answered) = (&router, &dealer, &answered);
        for thread in 0..THREADS {
            // Each receives its share on either side, whoever sent it.
            scope.spawn(move || {
                for _ in 0..EACH {
                    let (peer, message) = router.recv_timeout(PATIENCE).expect("it is open");
                    router.send(&peer, message).expect("the dealer reads");
                }
            });
            scope.spawn(move || {
                for number in 0..EACH {
                    dealer
                        .send(format!("{thread}-{number}"))
                        .expect("it is open");
                }
            });
            scope.spawn(move || {
                for _ in 0..EACH {
                    let message = dealer.recv_timeout(PATIENCE).expect("it is open");
                    answered.lock().insert(message[0].to_vec());
                }
            });
        }
    });
    assert_eq!(answered.lock().len(), THREADS * EACH, "each once");
}

pub(crate) fn an_oversized_frame_before_login_closes_the_peer_before_anything_is_allocated() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let mut peer = Raw::connect(&address);
    let before = scene.router.process.memory();
    peer.send(&greeting());
    peer.send(&announce(COMMAND, 100_000_000_000));
    peer.until_closed(ms(500));
    scene.router.until_closed(1, "command-too-large", ms(100));
    let after = scene.router.process.memory();
    assert!(after.virtual_most_kib - before.virtual_most_kib <= 256);
    scene.end();
}

pub(crate) fn frames_and_messages_are_limited_before_they_are_read() {
    let options = apart()
        .frame_bytes_max(1000)
        .frames_max(3)
        .message_bytes_max(1500);
    let (router, endpoint) = router_with(options);
    // At the limit.
    let mut good = Raw::dealer(address(&endpoint), b"");
    let at_the_limit = [frame(1, &[1; 1000]), frame(1, &[2; 500]), frame(0, b"")].concat();
    good.send(&at_the_limit);
    assert_eq!(
        router.recv_timeout(PATIENCE).expect("a message").1.bytes(),
        1500
    );
    // Over it, each way; nothing but the length has come.
    for (bytes, name) in [
        (announce(0, 1001), "frame-too-large"),
        (
            [frame(1, &[1; 1000]), announce(0, 501)].concat(),
            "message-too-large",
        ),
        (
            [frame(1, b"").repeat(3), announce(0, 300)].concat(),
            "too-many-frames",
        ),
    ] {
        let mut peer = Raw::dealer(address(&endpoint), b"");
        peer.send(&bytes);
        peer.until_closed(ms(500));
        eventually(name, ms(500), || router.stats().closes.get(name).copied());
    }
    assert_eq!(router.stats().arrived_messages, 1);
}

pub(crate) fn what_waits_to_be_received_is_limited_in_messages_and_in_bytes() {
    // One read of 64 KiB may go over either.
    const READ: u64 = 64 * 1024;
    let cases = [
        (apart().recv_messages_max(10), 1000, 10 + READ / 1002),
        (
            apart().recv_bytes_max(100_000),
            1000,
            (100_000 + READ) / 1000 + 1,
        ),
    ];
    for (options, size, most) in cases {
        let (router, endpoint) = router_with(options);
        let mut peer = Raw::dealer(address(&endpoint), b"");
        let mut other = Raw::dealer(address(&endpoint), b"other");
        let message = frame(0, &vec![b'x'; size]);
        let count = 2000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..count {
                    peer.send(&message);
                }
            });
            let waits = || router.stats().arrived_messages;
            // It comes to rest: the same count for a while.
            let mut last = (0, Instant::now());
            eventually("it comes to rest", ms(3000), || {
                if waits() != last.0 {
                    last = (waits(), Instant::now());
                }
                (last.0 > 0 && last.1.elapsed() > ms(100)).then_some(())
            });
            assert!(waits() <= most, "{} wait, {most} may", waits());
            // Another peer has a limit of its own.
            other.send(&frame(0, b"other"));
            eventually("the other is heard", ms(500), || {
                let peers = router.stats().peers;
                let waits = |name: &str| {
                    let of_name = peers.iter().find(|peer| peer.identity == *name);
                    of_name.map_or(0, |peer| peer.recv_queue_messages as u64)
                };
                assert!(waits("") <= most, "{} wait, {most} may", waits(""));
                (waits("other") == 1).then_some(())
            });
            for _ in 0..count + 1 {
                router.recv_timeout(PATIENCE).expect("all of it in the end");
            }
        });
        Figures::of(&router.stats()).assert_balanced("the router");
    }
}

pub(crate) fn what_waits_to_be_sent_is_limited_in_messages_and_in_bytes() {
    let (router, endpoint) = router_with(apart().send_messages_max(10));
    // It reads nothing but its first answer.
    let mut peer = Raw::dealer(address(&endpoint), b"");
    peer.send(&frame(0, b"hello"));
    let (to, _) = router.recv_timeout(PATIENCE).expect("a message");
    let refusal = |router: &Router, to, size: usize| {
        (0..10_000)
            .find_map(|_| router.send(to, vec![b'x'; size]).err())
            .expect("a full queue")
    };
    let mut refusals = 0;
    // The system may take some more a moment later.
    eventually("the queue is full", ms(3000), || {
        let error = refusal(&router, &to, 100_000);
        refusals += 1;
        assert_eq!(error.reason(), SendRefusal::Full);
        assert_eq!(error.message().bytes(), 100_000, "the message comes back");
        let stats = router.stats();
        assert!(stats.send_queue_messages <= 10, "{stats:?}");
        assert_eq!(stats.refused["full"], refusals);
        (stats.send_queue_messages == 10).then_some(())
    });

    const BYTES: usize = 300_000;
    let (router, endpoint) = router_with(apart().send_bytes_max(BYTES));
    let mut peer = Raw::dealer(address(&endpoint), b"");
    peer.send(&frame(0, b"hello"));
    let (to, _) = router.recv_timeout(PATIENCE).expect("a message");
    let stats = eventually("the queue is full", ms(3000), || {
        let error = refusal(&router, &to, 50_000);
        assert_eq!(error.reason(), SendRefusal::Full);
        let stats = router.stats();
        assert!(stats.send_queue_bytes <= BYTES, "{stats:?}");
        (stats.send_queue_messages > 1).then_some(stats)
    });
    Figures::of(&stats).assert_balanced("the router");
}

pub(crate) fn heartbeats_are_on_by_default_answered_and_limited() {
    let engine = Engine::new().expect("descriptors are free");
    let (router, endpoint) = router_with(Options::new().engine(&engine));
    let mut peer = Raw::dealer(address(&endpoint), b"");
    // Answered, with what they carried.
    peer.send(&ping(0, b"context"));
    assert_eq!(
        peer.frame().expect("an answer"),
        (COMMAND, b"\x04PONGcontext".to_vec())
    );
    // Limited to a hundred a second, and counted beyond that.
    let begin = Instant::now();
    peer.send(&ping(0, b"").repeat(1000));
    peer.send(&frame(0, b"the last of them"));
    router.recv_timeout(PATIENCE).expect("a message");
    let over = router.stats().peers[0].pings_unanswered;
    let most = 100 * (begin.elapsed().as_secs() + 2);
    assert!(over + most >= 1000, "only {over} not answered, of 1000");
    // Sent, when nothing else is: by default after a second, with three to live.
    let begin = Instant::now();
    let (_, body) = loop {
        let (flags, body) = peer.frame().expect("a command");
        if body.starts_with(b"\x04PING") {
            break (flags, body);
        }
    };
    Lasted::since(begin).assert_within(ms(1600), "sent after");
    assert_eq!(body[5..7], 30u16.to_be_bytes(), "3 s, in tenths");
}

pub(crate) fn reconnects_are_spread_by_jitter() {
    const DEALERS: usize = 24;
    let mut router = RouterProcess::start(&[]);
    let engine = Engine::new().expect("descriptors are free");
    let options = || {
        let (first, most) = (ms(100), ms(400));
        let options = Options::new()
            .reconnect_interval(first)
            .reconnect_interval_max(most);
        options.engine(&engine)
    };
    let dealers: Vec<_> = (0..DEALERS)
        .map(|_| {
            let dealer = Dealer::with(options()).expect("options within bounds");
            let events = dealer.monitor();
            dealer
                .connect_to(&router.endpoint)
                .expect("an endpoint to connect to");
            (dealer, events)
        })
        .collect();
    router.until(ms(2000), |figures| figures.get("peers") == DEALERS as u64);
    router.process.kill();
    let mut delays = Vec::new();
    for (_, events) in &dealers {
        let mut attempts = 0;
        while attempts < 3 {
            let event = events.recv_timeout(PATIENCE).expect("it tries again");
            if let Event::Retried { attempt, delay, .. } = event {
                attempts = attempt;
                let plain = ms(100) * 2u32.pow(attempt - 1);
                let within = plain.mul_f64(0.5)..=plain.mul_f64(1.5);
                assert!(within.contains(&delay), "attempt {attempt} in {delay:?}");
                delays.push(delay.as_secs_f64() / plain.as_secs_f64());
            }
        }
    }
    // Spread over the whole range, not in one place.
    let quarter = |from: f64| {
        delays
            .iter()
            .filter(|d| (from..from + 0.25).contains(*d))
            .count()
    };
    let counts = [0.5, 0.75, 1.0, 1.25].map(quarter);
    assert!(
        counts.iter().all(|count| *count >= delays.len() / 16),
        "{counts:?} of {delays:.2?}"
    );

    // And all of them come back.
    let bind = format!("bind={}", router.endpoint);
    let mut next = RouterProcess::start(&[&bind]);
    next.until(ms(2500), |figures| figures.get("peers") == DEALERS as u64);
}

pub(crate) fn a_handshake_has_two_seconds_by_default() {
    let scene = Scene::set(&["handshake_timeout=default"]);
    let begin = Instant::now();
    let mut peer = Raw::connect(&scene.address());
    peer.send(&greeting());
    peer.until_closed(ms(2200));
    Lasted::since(begin).assert_between(ms(1900), ms(2200), "closed after");
    scene.end();
}

pub(crate) fn handshakes_under_way_are_256_by_default() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let peers: Vec<_> = (0..300).map(|_| Raw::connect(&address)).collect();
    let figures = scene.router.until_closed(300 - 256, "evicted", ms(1000));
    assert_eq!(
        (figures.get("handshakes"), figures.closes("evicted")),
        (256, 44)
    );
    drop(peers);
    scene.end();
}

pub(crate) fn an_identity_clash_is_refused_visibly_and_replies_go_by_connection() {
    let (router, endpoint) = router_with(apart());
    let first = dealer_with(apart().identity("name"), &endpoint);
    first.send("first").expect("it waits in the queue");
    let (peer, _) = router.recv_timeout(PATIENCE).expect("a message");

    let second = Dealer::with(apart().identity("name")).expect("options within bounds");
    let events = second.monitor();
    second
        .connect_to(&endpoint)
        .expect("an endpoint to connect to");
    eventually("the second is told", ms(1000), || {
        events.try_iter().find(|event| match event {
            Event::HandshakeFailed {
                reason: CloseReason::Violation(violation),
                ..
            } => violation.to_string().contains("identity-in-use"),
            _ => false,
        })
    });
    eventually("and gives up", ms(1000), || {
        events
            .try_iter()
            .find(|event| matches!(event, Event::GivenUp { .. }))
    });
    router.send(&peer, "yours").expect("the first is connected");
    assert_eq!(first.recv_timeout(PATIENCE).expect("a message")[0], "yours");

    // The first goes, a third takes the name: the reply to the first is nobody's.
    let _ = first.close();
    let third = dealer_with(apart().identity("name"), &endpoint);
    third.send("third").expect("it waits in the queue");
    let (newer, _) = router.recv_timeout(PATIENCE).expect("a message");
    assert_eq!(newer.identity(), peer.identity());
    let error = router.send(&peer, "not yours").expect_err("it has gone");
    assert_eq!(error.reason(), SendRefusal::Gone);
    router.send(&newer, "yours").expect("it is connected");
    assert_eq!(third.recv_timeout(PATIENCE).expect("a message")[0], "yours");
}

pub(crate) fn one_full_peer_only_waits_itself() {
    let mut scene = Scene::set(&["send_messages_max=10", "recv_messages_max=10"]);
    // It asks and never reads: its answers fill every buffer on the way.
    let mut full = Raw::dealer(&scene.address(), b"full");
    let mut asking = full.clone();
    let asker = std::thread::spawn(move || {
        let question = frame(0, &vec![b'x'; 1 << 20]);
        for _ in 0..40 {
            asking.send(&question);
        }
    });
    scene
        .router
        .until(ms(3000), |figures| figures.get("refused.full") > 0);
    scene.good.until_rounds(100);
    // What it would not take was refused, each counted; the rest is there once it reads.
    asker.join().expect("the router reads on");
    let figures = scene.router.until(ms(3000), |figures| {
        // Each that came has been answered, or its answer refused; and that has been noted.
        let ended = figures.get("sent") + figures.get("refused.full");
        figures.get("arrived_bytes") >= 40 << 20
            && figures.get("arrived") == ended
            && figures.get("refused.full") == figures.get("unanswered")
    });
    let refused = figures.get("refused.full");
    for _ in 0..40 - refused {
        assert_eq!(full.message().expect("an answer").len(), 1 << 20);
    }
    scene.end();
}

const MESSAGES: usize = 2000;

pub(crate) fn a_close_lets_two_thousand_messages_arrive() {
    let (router, endpoint) = router_with(apart());
    let dealer = dealer_with(apart().send_messages_max(MESSAGES), &endpoint);
    for number in 0..MESSAGES {
        dealer
            .send(number.to_be_bytes().as_slice())
            .expect("it waits in the queue");
    }
    let unsent = dealer.close();
    assert!(unsent.is_empty(), "{unsent:?}");
    for number in 0..MESSAGES {
        let (_, message) = router.recv_timeout(PATIENCE).expect("all of them arrive");
        assert_eq!(message[0], &number.to_be_bytes());
    }
}

pub(crate) fn a_close_loses_nothing_though_the_peer_goes_on_sending() {
    let (router, endpoint) = router_with(apart());
    for round in 0..10 {
        let options = apart().send_messages_max(MESSAGES).linger(Some(PATIENCE));
        let dealer = dealer_with(options, &endpoint);
        dealer.send("first").expect("it waits in the queue");
        let (peer, _) = router.recv_timeout(PATIENCE).expect("a message");
        std::thread::scope(|scope| {
            // Answers that nobody will read are on their way all the time.
            let sending = scope.spawn(|| while router.send(&peer, "unasked").is_ok() {});
            for number in 0..MESSAGES {
                dealer
                    .send(number.to_be_bytes().as_slice())
                    .expect("it waits in the queue");
            }
            let unsent = dealer.close();
            assert!(unsent.is_empty(), "{unsent:?}");
            for number in 0..MESSAGES {
                let (_, message) = router.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                    panic!(
                        "round {round}: message {number}: {error}; {:?}",
                        router.stats()
                    )
                });
                assert_eq!(message[0], &number.to_be_bytes());
            }
            sending.join().expect("it ends with the peer");
        });
    }
}

pub(crate) fn a_close_waits_no_longer_than_linger_and_reports_what_is_left() {
    const COUNT: u64 = 40;
    let mut arrived = 0;
    // It sends nothing, so that nothing can be unread when the dealer closes.
    let mut router = RouterProcess::start(&["recv_messages_max=1", "heartbeat_interval=none"]);
    for linger in [ms(0), ms(200)] {
        router.process.ask("pause");
        let options = apart().linger(Some(linger));
        let dealer = dealer_with(options, &router.endpoint);
        for _ in 0..COUNT {
            // `drop`: not to be answered.
            let message = Message::from_frames(["drop".into(), vec![b'x'; 1 << 20].into()]);
            dealer.send(message).expect("it waits in the queue");
        }
        eventually("the system takes no more", ms(3000), || {
            let before = dealer.stats().written_messages;
            pass(ms(50));
            let written = dealer.stats().written_messages;
            (before > 0 && written == before).then_some(())
        });
        let begin = Instant::now();
        let unsent = dealer.close();
        Lasted::since(begin).assert_between(linger, linger + ms(50), "closed after");
        assert!(unsent.messages > 0, "the router takes no more: {unsent:?}");
        assert!(unsent.bytes >= (unsent.messages - 1) << 20, "{unsent:?}");
        // To the message: what is not reported arrives.
        arrived += COUNT - unsent.messages as u64;
        router.process.ask("go");
        router.until(ms(3000), |figures| figures.get("received") == arrived);
    }
    router.figures().assert_balanced("the router");
    // Nobody there at all.
    let dealer = dealer_with(apart().linger(Some(ms(100))), "tcp://127.0.0.1:9");
    dealer.send("nobody").expect("it waits in the queue");
    assert_eq!(dealer.close().messages, 1);
}

pub(crate) fn a_listener_out_of_descriptors_rests_between_attempts() {
    const PEERS: u64 = 24;
    let mut scene = Scene::set_slow(&["descriptors=24"], ms(20));
    let address = scene.address();
    let mut peers: Vec<_> = (0..PEERS).map(|_| Raw::connect(&address)).collect();
    for peer in &mut peers {
        peer.send(&opening("DEALER", b""));
    }
    // Those who found a descriptor are in and stay; the others wait to be accepted.
    let figures = scene.router.until(ms(1000), |figures| {
        figures.get("peers") > 4 && figures.get("handshakes") == 0
    });
    let inside = figures.get("connections") - 1;
    assert!(inside < PEERS, "none wait: {figures}");
    let (begin, cpu) = (Instant::now(), scene.router.process.cpu_time());
    pass(ms(700));
    let used = scene.router.process.cpu_time() - cpu;
    let most = begin.elapsed() / if cfg!(debug_assertions) { 3 } else { 10 };
    hold(used <= most, || {
        format!("{used:?} of CPU, more than {most:?}")
    });

    // One goes, one comes, and is given the time to say who it is.
    for peer in peers {
        peer.finish();
        let mut peer = peer;
        peer.skip_greeting();
        // A machine that stands still for as long as the rest lasts leaves no time for it.
        let ready = peer.frame();
        hold(ready.is_ok(), || format!("turned out again: {ready:?}"));
        let (flags, body) = ready.expect("the router says READY");
        assert!(
            flags & COMMAND != 0 && body.starts_with(b"\x05READY"),
            "{body:?}"
        );
    }
    let figures = scene.router.until_closed(PEERS, "peer-closed", ms(1000));
    assert_eq!(
        figures.all_closes().values().sum::<u64>(),
        PEERS,
        "{figures}"
    );
    scene.end();
}
