//! Request and reply, weights, credit, fairness.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brokerless_patterns::{
    CloseReason, Dealer, Event, Message, Options, RecvError, Rep, Req, Router, SendRefusal,
    WeightedDealer,
};

use crate::raw::Raw;
use crate::support::{LIMIT, bound, event, own_tcp, transports, until};

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
    let routers: Vec<Router> = (0..3).map(|_| Router::bind(&own_tcp()).unwrap()).collect();
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
fn answers_of_busy_servers_are_received_by_their_weights() {
    const EACH: usize = 40;
    let routers = ["inproc://answers-3", "inproc://answers-1"].map(|at| Router::bind(at).unwrap());
    let pool = WeightedDealer::new().unwrap();
    let servers = [
        pool.add("inproc://answers-3", 2).unwrap(),
        pool.add("inproc://answers-1", 1).unwrap(),
    ];
    pool.set_weight(&servers[0], 3);
    for _ in 0..4 {
        pool.send("a lot, please").unwrap();
    }
    for router in &routers {
        let (peer, _) = router.recv_timeout(LIMIT).unwrap();
        for _ in 0..EACH {
            router.send(&peer, vec![0; 16 << 10]).unwrap();
        }
    }
    assert_eq!(pool.stats().recv_queue_messages, 2 * EACH);
    let first = (0..EACH).filter(|_| pool.recv_timeout(LIMIT).unwrap().0 == servers[0]);
    let share = first.count();
    assert!((28..=32).contains(&share), "{share} of {EACH}");
}

#[test]
fn a_server_that_hangs_is_given_its_credit_at_most_and_nothing_once_heartbeats_have_closed_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp://{}", listener.local_addr().unwrap());
    let lively = Router::bind("inproc://beside-one-that-hangs").unwrap();
    let options = Options::new()
        .heartbeat_interval(Some(Duration::from_millis(100)))
        .heartbeat_timeout(Duration::from_secs(1));
    let pool = WeightedDealer::with(options).unwrap();
    let events = pool.monitor();
    let servers = [
        pool.add(&place, 1).unwrap(),
        pool.add("inproc://beside-one-that-hangs", 1).unwrap(),
    ];
    // It comes in, and from then on says nothing, not even to a PING.
    let (stream, _) = listener.accept().unwrap();
    let mut hangs = Raw::over(stream, "ROUTER", 1);
    until("both are there", || {
        pool.servers().iter().all(|server| server.connected)
    });
    pool.set_credit(&servers[0], Some(2));
    let picked = || {
        pool.servers()
            .iter()
            .map(|it| it.picked)
            .collect::<Vec<_>>()
    };
    for _ in 0..10 {
        pool.try_send("task").unwrap();
    }
    assert_eq!(picked(), [2, 8]);
    assert_eq!([hangs.message(), hangs.message()], [b"task", b"task"]);

    let ended = event(&events, |event| matches!(event, Event::Disconnected { .. }));
    let Event::Disconnected { reason, .. } = ended else {
        unreachable!("it is one");
    };
    assert_eq!(reason, CloseReason::HeartbeatTimeout);
    pool.set_credit(&servers[0], None);
    for _ in 0..4 {
        assert_eq!(pool.try_send("task").unwrap(), servers[1]);
    }
    // What it had is its own until the program says that it is not.
    assert_eq!(pool.servers()[0].outstanding, 2);
    pool.forgive(&servers[0]);
    assert_eq!(pool.servers()[0].outstanding, 0);
    drop(lively);
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
