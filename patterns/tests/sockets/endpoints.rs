//! Binding and connecting, in either order, again and again.

use brokerless_patterns::{Dealer, Endpoint, Error, Event, Options, Router, SendRefusal};

use crate::support::{LIMIT, bound, event, own_tcp, transports, until};

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
fn who_leaves_while_it_is_introduced_is_no_peer() {
    let both = std::sync::Barrier::new(2);
    let name = |round| format!("inproc://introduced-{round}");
    const ROUNDS: usize = 4_000;
    std::thread::scope(|scope| {
        let binds = scope.spawn(|| {
            let mut routers = Vec::new();
            for round in 0..ROUNDS {
                both.wait();
                routers.push(Router::bind(&name(round)).unwrap());
                both.wait();
            }
            routers
        });
        for round in 0..ROUNDS {
            let dealer = Dealer::connect(&name(round)).unwrap();
            both.wait();
            // Now and then a little later, so that it meets each step of the other.
            (0..round % 64).for_each(|_| std::hint::spin_loop());
            drop(dealer);
            both.wait();
        }
        for (round, router) in binds.join().unwrap().iter().enumerate() {
            assert_eq!(router.peers().len(), 0, "round {round}");
        }
    });
}

#[test]
fn a_dealer_finds_a_restarted_router_and_keeps_what_it_had_queued() {
    let router = Router::bind(&own_tcp()).unwrap();
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
