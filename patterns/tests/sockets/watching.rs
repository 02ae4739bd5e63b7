//! Monitor, wait_any, receivers, engines.

use std::time::Duration;

use brokerless_patterns::{
    CloseReason, Dealer, Engine, Event, Options, RecvError, Router, Waitable, wait_any,
    wait_any_timeout,
};

use crate::support::{LIMIT, bound, event, transports};

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
            router.receiver().recv_timeout(LIMIT).is_err(),
            "the second one is closed"
        );
    }
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
