//! What the sockets promise, each promise over tcp, ipc and inproc where it makes sense.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::{
    CloseReason, Dealer, Endpoint, Engine, Error, Event, Message, Options, RecvError, Rep, Req,
    Router, SendRefusal, Waitable, WeightedDealer, wait_any, wait_any_timeout,
};

/// No test waits longer than this for what has to come.
const LIMIT: Duration = Duration::from_secs(10);

static NAMES: AtomicUsize = AtomicUsize::new(0);

/// A fresh endpoint to bind for each transport.
fn transports() -> [String; 3] {
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let id = std::process::id();
    let path = std::env::temp_dir().join(format!("brokerless-{id}-{number}.ipc"));
    [
        "tcp://127.0.0.1:*".to_string(),
        format!("ipc://{}", path.display()),
        format!("inproc://sockets-{number}"),
    ]
}

fn bound(router: &Router) -> String {
    router.local_endpoints()[0].to_string()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

fn event(events: &crossbeam_channel::Receiver<Event>, wanted: impl Fn(&Event) -> bool) -> Event {
    let deadline = Instant::now() + LIMIT;
    loop {
        let event = events.recv_deadline(deadline).expect("the event, in time");
        if wanted(&event) {
            return event;
        }
    }
}

#[test]
fn sockets_may_be_shared_and_sent_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Dealer>();
    shared::<Router>();
    shared::<Req>();
    shared::<Rep>();
    shared::<WeightedDealer>();
    shared::<Message>();
}

#[test]
fn messages_go_there_and_back_whole_and_in_order() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let dealer = Dealer::connect(&bound(&router)).unwrap();
        let messages: Vec<Message> = [0, 1, 255, 256, 4095, 4096, 70_000, 1 << 20]
            .iter()
            .map(|&n| {
                Message::from(
                    [vec![1; n], vec![2; 3], vec![3; n / 2]].map(brokerless_patterns::Frame::from),
                )
            })
            .collect();
        for message in &messages {
            dealer.send(message.clone()).unwrap();
        }
        for message in &messages {
            let (peer, received) = router.recv_timeout(LIMIT).unwrap();
            assert_eq!(received, *message, "{endpoint}");
            router.send(&peer, received).unwrap();
        }
        for message in &messages {
            assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), *message, "{endpoint}");
        }
    }
}

#[test]
fn many_threads_send_and_receive_and_nothing_is_lost() {
    const THREADS: usize = 8;
    const EACH: usize = 2_000;
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let dealer = Dealer::connect(&bound(&router)).unwrap();
        let seen = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while seen.fetch_add(1, Ordering::SeqCst) < THREADS * EACH {
                        let (peer, message) = router.recv_timeout(LIMIT).unwrap();
                        let mut answer = message;
                        while let Err(error) = router.send(&peer, answer) {
                            assert!(error.is_full());
                            answer = error.into_message();
                            std::thread::yield_now();
                        }
                    }
                });
            }
            for thread in 0..THREADS {
                let dealer = &dealer;
                scope.spawn(move || {
                    for n in 0..EACH {
                        dealer.send(format!("{thread} {n}")).unwrap();
                        dealer.recv_timeout(LIMIT).unwrap();
                    }
                });
            }
        });
        let stats = dealer.stats();
        assert_eq!(stats.sent_messages, (THREADS * EACH) as u64, "{endpoint}");
        assert_eq!(
            stats.received_messages,
            (THREADS * EACH) as u64,
            "{endpoint}"
        );
    }
}

#[test]
fn messages_of_one_thread_stay_in_order_among_others() {
    let router = Router::bind("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::connect(&bound(&router)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let dealer = &dealer;
            scope.spawn(move || {
                for n in 0..5_000u32 {
                    dealer.send([&[thread][..], &n.to_be_bytes()]).unwrap();
                }
            });
        }
        let mut next = [0u32; 4];
        for _ in 0..20_000 {
            let (_, message) = router.recv_timeout(LIMIT).unwrap();
            let thread = message[0][0] as usize;
            assert_eq!(message[1], &next[thread].to_be_bytes());
            next[thread] += 1;
        }
    });
}

#[test]
fn a_timeout_ends_a_wait_and_an_empty_socket_has_nothing() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let begin = Instant::now();
        let timeout = Duration::from_millis(30);
        assert_eq!(
            router.recv_timeout(timeout).unwrap_err(),
            RecvError::Timeout
        );
        assert!(begin.elapsed() >= timeout);
        assert_eq!(router.try_recv().unwrap_err(), RecvError::Timeout);
        let deadline = Instant::now() + timeout;
        assert_eq!(
            router.recv_deadline(deadline).unwrap_err(),
            RecvError::Timeout
        );
    }
}

#[test]
fn polling_with_try_recv_finds_what_came() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let dealer = Dealer::connect(&bound(&router)).unwrap();
        dealer.send("x").unwrap();
        until("the message", || router.try_recv().is_ok());
    }
}

#[test]
fn connecting_may_come_before_binding() {
    for endpoint in transports().into_iter().skip(1) {
        let dealer = Dealer::connect(&endpoint).unwrap();
        dealer.send("early").unwrap();
        let router = Router::bind(&endpoint).unwrap();
        assert_eq!(
            router.recv_timeout(LIMIT).unwrap().1[0],
            "early",
            "{endpoint}"
        );
    }
}

#[test]
fn a_dealer_finds_a_restarted_router_and_keeps_what_it_had_queued() {
    let router = Router::bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = bound(&router);
    let dealer = Dealer::connect(&endpoint).unwrap();
    let events = dealer.monitor();
    dealer.send("first").unwrap();
    router.recv_timeout(LIMIT).unwrap();
    drop(router);
    event(&events, |event| matches!(event, Event::Disconnected { .. }));
    dealer.send("while it was away").unwrap();
    let router = Router::bind(&endpoint).unwrap();
    assert_eq!(
        router.recv_timeout(LIMIT).unwrap().1[0],
        "while it was away"
    );
}

#[test]
fn a_dealer_spreads_over_its_peers_in_turn() {
    let routers: Vec<Router> = (0..3)
        .map(|_| Router::bind("tcp://127.0.0.1:*").unwrap())
        .collect();
    let dealer = Dealer::with(Options::new()).unwrap();
    for router in &routers {
        dealer.connect_to(&bound(router)).unwrap();
    }
    for n in 0..9 {
        dealer.send(n.to_string()).unwrap();
    }
    for router in &routers {
        for _ in 0..3 {
            router.recv_timeout(LIMIT).unwrap();
        }
    }
}

#[test]
fn one_dealer_may_bind_and_connect_to_many() {
    let [tcp, ipc, inproc] = transports();
    let dealer = Dealer::with(Options::new()).unwrap();
    let bound: Vec<Endpoint> = [&tcp, &ipc, &inproc]
        .iter()
        .map(|e| dealer.bind_to(e).unwrap())
        .collect();
    assert_eq!(dealer.local_endpoints(), bound);
    let others: Vec<Dealer> = bound
        .iter()
        .map(|e| Dealer::connect(&e.to_string()).unwrap())
        .collect();
    for (n, other) in others.iter().enumerate() {
        other.send(n.to_string()).unwrap();
    }
    let mut seen: Vec<String> = (0..3)
        .map(|_| {
            dealer.recv_timeout(LIMIT).unwrap()[0]
                .to_str()
                .unwrap()
                .to_string()
        })
        .collect();
    seen.sort();
    assert_eq!(seen, ["0", "1", "2"]);
    for endpoint in &bound {
        dealer.unbind(endpoint).unwrap();
    }
    assert!(dealer.local_endpoints().is_empty());
    assert!(matches!(
        dealer.unbind(&bound[0]),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn unbinding_frees_the_endpoint_and_keeps_the_peers() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let dealer = Dealer::connect(&bound(&router)).unwrap();
        dealer.send("a").unwrap();
        router.recv_timeout(LIMIT).unwrap();
        let name = router.local_endpoints().remove(0);
        router.unbind(&name).unwrap();
        let other = Router::bind(&name.to_string()).unwrap();
        dealer.send("b").unwrap();
        assert_eq!(router.recv_timeout(LIMIT).unwrap().1[0], "b", "{endpoint}");
        drop(other);
    }
}

#[test]
fn disconnecting_ends_the_connection_for_good() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let dealer = Dealer::with(Options::new()).unwrap();
        let name = dealer.connect_to(&bound(&router)).unwrap();
        dealer.send("a").unwrap();
        let (peer, _) = router.recv_timeout(LIMIT).unwrap();
        dealer.disconnect(&name).unwrap();
        until("the peer to be gone", || !peer.is_connected());
        assert_eq!(
            router.send(&peer, "late").unwrap_err().reason(),
            SendRefusal::Gone
        );
        assert_eq!(
            dealer.try_send("b").unwrap_err().reason(),
            SendRefusal::NoPeer
        );
        assert!(matches!(
            dealer.disconnect(&name),
            Err(Error::NotFound { .. })
        ));
    }
}

#[test]
fn bad_endpoints_and_options_are_named() {
    let error = Router::bind("tcp://localhost").unwrap_err().to_string();
    assert!(
        error.contains("tcp://localhost") && error.contains("port"),
        "{error}"
    );
    let error = Dealer::connect("tcp://*:5555").unwrap_err().to_string();
    assert!(error.contains("tcp://*:5555"), "{error}");
    let error = Router::with(Options::new().send_messages_max(0))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("send_messages_max is 0") && error.contains("1 to"),
        "{error}"
    );
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let error = Router::bind(&bound(&router)).unwrap_err().to_string();
        assert!(error.contains(&bound(&router)), "{error}");
    }
}

#[test]
fn a_full_queue_refuses_and_gives_the_message_back() {
    for endpoint in transports() {
        let limits = Options::new().send_messages_max(10).recv_messages_max(10);
        let router = Router::with(limits.clone()).unwrap();
        router.bind_to(&endpoint).unwrap();
        let dealer = Dealer::with(limits).unwrap();
        dealer.connect_to(&bound(&router)).unwrap();
        // The kernel's buffers take some: large messages fill them soon.
        let large = Message::from(vec![7; 1 << 20]);
        let mut sent = 0;
        let refused = loop {
            match dealer.send_timeout(large.clone(), Duration::from_millis(300)) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 1000, "{endpoint}: no limit");
        };
        assert_eq!(refused.reason(), SendRefusal::Timeout);
        assert_eq!(refused.message(), &large);
        assert_eq!(
            dealer.try_send(large.clone()).unwrap_err().reason(),
            SendRefusal::Full
        );
        for _ in 0..sent {
            router.recv_timeout(LIMIT).unwrap();
        }
        dealer.send_timeout("room again", LIMIT).unwrap();
        assert_eq!(
            router.recv_timeout(LIMIT).unwrap().1[0],
            "room again",
            "{endpoint}"
        );
    }
}

#[test]
fn a_blocked_sender_goes_on_when_there_is_room() {
    for endpoint in transports() {
        let limits = Options::new().send_messages_max(5).recv_messages_max(5);
        let router = Router::with(limits.clone()).unwrap();
        router.bind_to(&endpoint).unwrap();
        let dealer = Dealer::with(limits).unwrap();
        dealer.connect_to(&bound(&router)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..100 {
                    dealer.send(vec![1; 1 << 20]).unwrap();
                }
            });
            for _ in 0..100 {
                router.recv_timeout(LIMIT).unwrap();
            }
        });
    }
}

#[test]
fn one_full_peer_does_not_keep_the_others_waiting() {
    let limits = Options::new().send_messages_max(10);
    let router = Router::with(limits).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    let full = Dealer::with(
        Options::new()
            .recv_messages_max(1)
            .engine(&Engine::new().unwrap()),
    )
    .unwrap();
    full.connect_to(&bound(&router)).unwrap();
    full.send("I never read").unwrap();
    let (full_peer, _) = router.recv_timeout(LIMIT).unwrap();
    let good = Dealer::connect(&bound(&router)).unwrap();
    let mut refused = 0;
    for _ in 0..200 {
        if let Err(error) = router.send(&full_peer, vec![0; 1 << 20]) {
            assert!(error.is_full());
            refused += 1;
        }
        good.send("ping").unwrap();
        let (peer, message) = router.recv_timeout(LIMIT).unwrap();
        router.send(&peer, message).unwrap();
        good.recv_timeout(LIMIT).unwrap();
    }
    assert!(refused > 0);
    assert_eq!(router.stats().refused["full"], refused);
}

#[test]
fn what_a_peer_sent_before_it_left_is_received_behind_a_full_inbox_too() {
    for endpoint in transports() {
        let router = Router::with(Options::new().recv_messages_max(10)).unwrap();
        router.bind_to(&endpoint).unwrap();
        let dealer = Dealer::connect(&bound(&router)).unwrap();
        // More than one read takes, and little enough for the kernel's buffers.
        let count = 40;
        for n in 0..count {
            dealer.send([n.to_string(), "x".repeat(4000)]).unwrap();
        }
        assert!(dealer.close().is_empty());
        for n in 0..count {
            let (_, message) = router.recv_timeout(LIMIT).expect("one more");
            assert_eq!(message[0], n.to_string().as_str(), "{endpoint}");
        }
    }
}

#[test]
fn closing_wakes_everybody_who_waits() {
    for endpoint in transports() {
        let router = std::sync::Arc::new(Router::bind(&endpoint).unwrap());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let router = router.clone();
                std::thread::spawn(move || router.recv().map(|_| ()))
            })
            .collect();
        let _ = router.close();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Err(RecvError::Closed), "{endpoint}");
        }
        assert!(matches!(
            router.bind_to("tcp://127.0.0.1:*"),
            Err(Error::Closed)
        ));
    }
}

#[test]
fn closing_flushes_what_is_queued() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let dealer = Dealer::connect(&bound(&router)).unwrap();
        let count = 900;
        for n in 0..count {
            dealer.send([n.to_string(), "x".repeat(1000)]).unwrap();
        }
        let unsent = dealer.close();
        assert!(unsent.is_empty(), "{endpoint}: {unsent:?}");
        for n in 0..count {
            assert_eq!(
                router.recv_timeout(LIMIT).unwrap().1[0],
                n.to_string().as_str()
            );
        }
    }
}

#[test]
fn closing_reports_what_could_not_go_out() {
    let dealer = Dealer::with(Options::new().linger(Some(Duration::from_millis(20)))).unwrap();
    dealer.connect_to("tcp://127.0.0.1:1").unwrap();
    for _ in 0..7 {
        dealer.send("nobody is there").unwrap();
    }
    assert_eq!(dealer.close().messages, 7);
}

#[test]
fn immediate_queues_only_for_peers_that_are_connected() {
    let dealer = Dealer::with(Options::new().immediate(true)).unwrap();
    dealer.connect_to("tcp://127.0.0.1:1").unwrap();
    assert_eq!(
        dealer.try_send("x").unwrap_err().reason(),
        SendRefusal::NoPeer
    );
    let router = Router::bind("tcp://127.0.0.1:*").unwrap();
    dealer.connect_to(&bound(&router)).unwrap();
    for _ in 0..4 {
        dealer.send_timeout("x", LIMIT).unwrap();
        router.recv_timeout(LIMIT).unwrap();
    }
}

#[test]
fn a_router_finds_a_peer_by_the_identity_it_announced() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let dealer = Dealer::with(Options::new().identity("alice")).unwrap();
        dealer.connect_to(&bound(&router)).unwrap();
        until("alice", || router.peer(b"alice").is_some());
        router.send_to(b"alice", "hello").unwrap();
        assert_eq!(
            dealer.recv_timeout(LIMIT).unwrap()[0],
            "hello",
            "{endpoint}"
        );
        let refused = router.send_to(b"bob", "hello").unwrap_err();
        assert_eq!(refused.reason(), SendRefusal::Gone);
        assert_eq!(refused.into_message()[0], "hello");
    }
}

#[test]
fn a_refused_identity_is_not_announced_again() {
    let router = Router::bind("tcp://127.0.0.1:*").unwrap();
    let alice = || {
        Dealer::with(
            Options::new()
                .identity("alice")
                .reconnect_interval(Duration::from_millis(1)),
        )
        .unwrap()
    };
    let (first, second) = (alice(), alice());
    first.connect_to(&bound(&router)).unwrap();
    until("the first", || router.peer(b"alice").is_some());
    let at_router = router.monitor();
    let at_second = second.monitor();
    second.connect_to(&bound(&router)).unwrap();
    event(&at_router, |event| {
        matches!(
            event,
            Event::HandshakeFailed {
                reason: CloseReason::IdentityInUse,
                ..
            }
        )
    });
    event(&at_second, |event| matches!(event, Event::GivenUp { .. }));
    router.send_to(b"alice", "for the first").unwrap();
    assert_eq!(first.recv_timeout(LIMIT).unwrap()[0], "for the first");
    assert_eq!(second.try_recv().unwrap_err(), RecvError::Timeout);
}

#[test]
fn a_name_is_free_again_when_its_holder_has_gone() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        for round in 0..3 {
            let dealer = Dealer::with(Options::new().identity("alice")).unwrap();
            dealer.connect_to(&bound(&router)).unwrap();
            dealer.send(round.to_string()).unwrap();
            let (peer, message) = router.recv_timeout(LIMIT).unwrap();
            assert_eq!(message[0], round.to_string().as_str());
            drop(dealer);
            until("it to be gone", || !peer.is_connected());
        }
    }
}

#[test]
fn an_answer_never_goes_to_a_later_peer_of_the_same_name() {
    let router = Router::bind("tcp://127.0.0.1:*").unwrap();
    let alice = || {
        let dealer = Dealer::with(Options::new().identity("alice")).unwrap();
        dealer.connect_to(&bound(&router)).unwrap();
        dealer.send("hello").unwrap();
        dealer
    };
    let first = alice();
    let (peer, _) = router.recv_timeout(LIMIT).unwrap();
    drop(first);
    until("the first to be gone", || !peer.is_connected());
    let second = alice();
    let (later, _) = router.recv_timeout(LIMIT).unwrap();
    assert_eq!(
        router.send(&peer, "secret").unwrap_err().reason(),
        SendRefusal::Gone
    );
    router.send(&later, "yours").unwrap();
    assert_eq!(second.recv_timeout(LIMIT).unwrap()[0], "yours");
}

#[test]
fn requests_and_answers_take_turns() {
    for endpoint in transports() {
        let rep = Rep::bind(&endpoint).unwrap();
        let req = Req::connect(&rep.local_endpoints()[0].to_string()).unwrap();
        assert_eq!(req.try_recv().unwrap_err(), RecvError::OutOfTurn);
        assert_eq!(rep.send("x").unwrap_err().reason(), SendRefusal::OutOfTurn);
        for n in 0..10 {
            req.send([format!("question {n}"), "more".into()]).unwrap();
            let again = req.try_send("again").unwrap_err();
            assert_eq!(again.reason(), SendRefusal::OutOfTurn);
            assert_eq!(again.into_message(), Message::from("again"));
            let question = rep.recv_timeout(LIMIT).unwrap();
            assert_eq!(question.len(), 2);
            rep.send(question).unwrap();
            assert_eq!(
                req.recv_timeout(LIMIT).unwrap()[0],
                format!("question {n}").as_str()
            );
        }
    }
}

#[test]
fn a_late_answer_is_not_taken_for_the_next_one() {
    let router = Router::bind("inproc://late-answers").unwrap();
    let req = Req::connect("inproc://late-answers").unwrap();
    req.send("first").unwrap();
    let (peer, first) = router.recv_timeout(LIMIT).unwrap();
    assert_eq!(
        req.recv_timeout(Duration::from_millis(5)).unwrap_err(),
        RecvError::Timeout
    );
    assert!(req.give_up());
    req.send("second").unwrap();
    let (_, second) = router.recv_timeout(LIMIT).unwrap();
    router.send(&peer, first).unwrap();
    router.send(&peer, second).unwrap();
    assert_eq!(req.recv_timeout(LIMIT).unwrap()[0], "second");
    assert_eq!(req.stats().dropped["misfit"], 1);
}

#[test]
fn incompatible_sockets_refuse_each_other_visibly() {
    let rep = Rep::bind("tcp://127.0.0.1:*").unwrap();
    let events = rep.monitor();
    let router = Rep::connect(&rep.local_endpoints()[0].to_string()).unwrap();
    let failed = event(&events, |event| {
        matches!(event, Event::HandshakeFailed { .. })
    });
    let Event::HandshakeFailed { reason, .. } = failed else {
        panic!("{failed:?}")
    };
    assert!(reason.to_string().contains("REP"), "{reason}");
    drop(router);
}

#[test]
fn waiting_for_any_names_the_socket_that_has_something() {
    let sockets: Vec<Router> = transports()
        .iter()
        .map(|e| Router::bind(e).unwrap())
        .collect();
    let list: Vec<&dyn Waitable> = sockets
        .iter()
        .map(|socket| socket as &dyn Waitable)
        .collect();
    assert_eq!(wait_any_timeout(&list, Duration::from_millis(5)), None);
    for (index, socket) in sockets.iter().enumerate() {
        let dealer = Dealer::connect(&bound(socket)).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_any(&list));
            dealer.send("x").unwrap();
            assert_eq!(waiting.join().unwrap(), index);
        });
        assert_eq!(wait_any_timeout(&list, LIMIT), Some(index));
        socket.try_recv().unwrap();
        assert_eq!(wait_any_timeout(&list, Duration::ZERO), None);
    }
}

#[test]
fn a_receiver_takes_part_in_select() {
    for endpoint in transports() {
        let router = Router::bind(&endpoint).unwrap();
        let dealer = Dealer::connect(&bound(&router)).unwrap();
        let receiver = router.receiver();
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let count = 2_000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..count {
                    dealer.send(n.to_string()).unwrap();
                }
            });
            for n in 0..count {
                crossbeam_channel::select! {
                    recv(receiver) -> message => {
                        assert_eq!(message.unwrap().1[0], n.to_string().as_str(), "{endpoint}");
                    }
                    recv(stopped) -> _ => panic!("nobody stops it"),
                    default(LIMIT) => panic!("{endpoint}: {n} of {count} came"),
                }
            }
        });
        drop(stop);
        assert_eq!(router.try_recv().unwrap_err(), RecvError::Closed);
        assert!(
            router.receiver().recv().is_err(),
            "the second one is closed"
        );
    }
}

#[test]
fn saturated_peers_share_by_weight() {
    let router = Router::with(Options::new().recv_messages_max(200)).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    let weights = HashMap::from([("a", 1u32), ("b", 2), ("c", 4)]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for name in weights.keys() {
            let (endpoint, stop) = (bound(&router), &stop);
            scope.spawn(move || {
                let options = Options::new().identity(*name).linger(Some(Duration::ZERO));
                let dealer = Dealer::with(options).unwrap();
                dealer.connect_to(&endpoint).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let _ = dealer.send_timeout(vec![0; 10_000], Duration::from_millis(50));
                }
            });
        }
        for (name, weight) in &weights {
            until("the peer", || router.peer(name.as_bytes()).is_some());
            router.set_weight(&router.peer(name.as_bytes()).unwrap(), *weight);
        }
        // Saturated: every peer has something waiting whenever one is chosen.
        let saturated = || {
            let peers = router.stats().peers;
            peers.len() == 3 && peers.iter().all(|peer| peer.recv_queue_messages > 50)
        };
        let mut taken: HashMap<String, u32> = HashMap::new();
        let mut total = 0;
        while total < 2_000 {
            until("saturation", saturated);
            for _ in 0..50 {
                let (peer, _) = router.recv_timeout(LIMIT).unwrap();
                *taken
                    .entry(peer.identity().to_str().unwrap().into())
                    .or_default() += 1;
                total += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        for (name, weight) in &weights {
            let share = f64::from(taken[*name]) / f64::from(total) * 7.0 / f64::from(*weight);
            assert!(
                (share - 1.0).abs() < 0.1,
                "{name} has {share} of its share: {taken:?}"
            );
        }
    });
}

#[test]
fn a_weighted_dealer_gives_each_its_share_and_passes_over_those_that_are_down() {
    let routers: Vec<Router> = (0..3)
        .map(|_| Router::bind("tcp://127.0.0.1:*").unwrap())
        .collect();
    let pool = WeightedDealer::new().unwrap();
    let servers: Vec<_> = routers
        .iter()
        .zip([3, 2, 1])
        .map(|(router, weight)| pool.add(&bound(router), weight).unwrap())
        .collect();
    until("all servers", || {
        pool.servers().iter().all(|server| server.connected)
    });
    let name = |picked: &_| {
        "ABC"
            .chars()
            .nth(servers.iter().position(|s| s == picked).unwrap())
            .unwrap()
    };
    let picks: String = (0..6).map(|_| name(&pool.send("task").unwrap())).collect();
    assert_eq!(picks, "ABACBA");

    let mut routers = routers.into_iter();
    drop(routers.next());
    until("A to be gone", || !pool.servers()[0].connected);
    let picks: String = (0..6).map(|_| name(&pool.send("task").unwrap())).collect();
    assert_eq!(
        (picks.matches('B').count(), picks.matches('C').count()),
        (4, 2),
        "{picks}"
    );

    pool.set_weight(&servers[2], 0);
    let picks: String = (0..3).map(|_| name(&pool.send("task").unwrap())).collect();
    assert_eq!(picks, "BBB");
    pool.remove(&servers[1]).unwrap();
    let refused = pool
        .send_timeout("task", Duration::from_millis(5))
        .unwrap_err();
    assert_eq!(refused.reason(), SendRefusal::Timeout);
}

#[test]
fn a_server_without_credit_is_passed_over_until_it_answers() {
    let (a, b) = (
        Router::bind("inproc://credit-a").unwrap(),
        Router::bind("inproc://credit-b").unwrap(),
    );
    let pool = WeightedDealer::new().unwrap();
    let (to_a, to_b) = (
        pool.add("inproc://credit-a", 1).unwrap(),
        pool.add("inproc://credit-b", 1).unwrap(),
    );
    pool.set_credit(&to_a, Some(2));
    pool.set_credit(&to_b, Some(1));
    for _ in 0..3 {
        pool.try_send("task").unwrap();
    }
    assert_eq!(
        pool.try_send("task").unwrap_err().reason(),
        SendRefusal::Full
    );
    let (peer, task) = b.recv_timeout(LIMIT).unwrap();
    b.send(&peer, task).unwrap();
    assert_eq!(pool.recv_timeout(LIMIT).unwrap().0, to_b);
    assert_eq!(pool.try_send("task").unwrap(), to_b);
    assert!(pool.forgive(&to_a), "what A had is given to others");
    assert_eq!(pool.try_send("task").unwrap(), to_a);
    drop(a);
}

#[test]
fn engines_of_ones_own_work_side_by_side() {
    let (one, two) = (Engine::new().unwrap(), Engine::new().unwrap());
    let router = Router::with(Options::new().engine(&one)).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::with(Options::new().engine(&two)).unwrap();
    dealer.connect_to(&bound(&router)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1000 {
                let (peer, message) = router.recv_timeout(LIMIT).unwrap();
                router.send(&peer, message).unwrap();
            }
        });
        for n in 0..1000 {
            dealer.send(n.to_string()).unwrap();
            assert_eq!(
                dealer.recv_timeout(LIMIT).unwrap()[0],
                n.to_string().as_str()
            );
        }
    });
}

#[test]
fn the_monitor_tells_a_connections_story() {
    let router = Router::with(Options::new()).unwrap();
    let at_router = router.monitor();
    let endpoint = router.bind_to("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::with(Options::new()).unwrap();
    let at_dealer = dealer.monitor();
    dealer.connect_to(&endpoint.to_string()).unwrap();
    dealer.send("x").unwrap();
    let (peer, _) = router.recv_timeout(LIMIT).unwrap();
    let next = || at_router.recv_timeout(LIMIT).unwrap();
    assert_eq!(
        next(),
        Event::Listening {
            endpoint: endpoint.clone()
        }
    );
    assert!(matches!(next(), Event::Accepted { .. }));
    assert!(matches!(next(), Event::Connected { peer: id, .. } if id == peer.id()));
    event(&at_dealer, |event| matches!(event, Event::Connected { .. }));
    drop(dealer);
    assert!(matches!(
        next(),
        Event::Disconnected {
            reason: CloseReason::PeerClosed,
            ..
        }
    ));
    router.unbind(&endpoint).unwrap();
    assert_eq!(next(), Event::Unbound { endpoint });
    assert_eq!(router.stats().closes["peer-closed"], 1);
}

#[test]
fn attempts_to_connect_are_reported_and_repeated() {
    let dealer = Dealer::with(
        Options::new()
            .reconnect_interval(Duration::from_millis(1))
            .linger(None),
    )
    .unwrap();
    let events = dealer.monitor();
    dealer.connect_to("tcp://127.0.0.1:1").unwrap();
    for wanted in 1..4 {
        event(
            &events,
            |event| matches!(event, Event::Retried { attempt, .. } if *attempt == wanted),
        );
    }
}
