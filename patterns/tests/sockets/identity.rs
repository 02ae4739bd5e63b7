//! Who is who: names, clashes, answers to the right one.

use std::time::Duration;

use brokerless_patterns::{CloseReason, Dealer, Event, Options, RecvError, Router, SendRefusal};

use crate::raw::{Raw, patient};
use crate::support::{LIMIT, bound, event, transports, until};

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
fn who_leaves_as_it_is_let_in_leaves_nothing_behind() {
    let router = Router::with(patient()).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    for round in 1..=100 {
        Raw::leaves_at_the_door(&bound(&router), b"alice");
        until("its end", || {
            router.stats().closes.values().sum::<u64>() == round
        });
        let peers = router.peers();
        assert!(peers.is_empty(), "round {round}: {peers:?}");
    }
    let dealer = Dealer::with(Options::new().identity("alice")).unwrap();
    dealer.connect_to(&bound(&router)).unwrap();
    dealer.send("it is my name now").unwrap();
    router.recv_timeout(LIMIT).unwrap();
}
