//! PAIR: one peer at a time.

use brokerless_patterns::{Error, Event, Message, Options, Pair};

use crate::support::{LIMIT, event, transports, until};

#[test]
fn a_pair_talks_both_ways() {
    for endpoint in transports() {
        let here = Pair::with(Options::new()).unwrap();
        let there = Pair::with(Options::new()).unwrap();
        let endpoint = here.bind_to(&endpoint).unwrap().to_string();
        there.connect_to(&endpoint).unwrap();
        for n in 0..1000 {
            there.send([n.to_string(), "x".repeat(n)]).unwrap();
            let message: Message = here.recv_timeout(LIMIT).unwrap();
            here.send(message).unwrap();
            assert_eq!(
                there.recv_timeout(LIMIT).unwrap().bytes(),
                n + n.to_string().len()
            );
        }
    }
}

#[test]
fn a_second_peer_is_refused_counted_and_let_in_once_the_first_has_gone() {
    for endpoint in transports()
        .into_iter()
        .filter(|e| !e.starts_with("inproc"))
    {
        let pair = Pair::with(Options::new()).unwrap();
        let events = pair.monitor();
        let endpoint = pair.bind_to(&endpoint).unwrap().to_string();
        let first = Pair::connect(&endpoint).unwrap();
        first.send("I am here").unwrap();
        pair.recv_timeout(LIMIT).unwrap();
        let second = Pair::connect(&endpoint).unwrap();
        second.send("let me in").unwrap();
        event(
            &events,
            |event| matches!(event, Event::HandshakeFailed { reason, .. } if reason.name() == "pair-taken"),
        );
        assert!(pair.stats().closes["pair-taken"] > 0);
        pair.send("still yours").unwrap();
        assert_eq!(first.recv_timeout(LIMIT).unwrap()[0], "still yours");
        assert!(second.try_recv().is_err());
        assert!(first.close().is_empty());
        assert_eq!(
            pair.recv_timeout(LIMIT).unwrap()[0],
            "let me in",
            "{endpoint}"
        );
    }
}

#[test]
fn a_second_peer_within_the_process_is_refused_on_both_sides() {
    let pair = Pair::bind("inproc://pair-taken").unwrap();
    let first = Pair::connect("inproc://pair-taken").unwrap();
    let second = Pair::connect("inproc://pair-taken").unwrap();
    assert_eq!(pair.stats().closes["pair-taken"], 1);
    assert_eq!(second.stats().closes["pair-taken"], 1);
    assert!(second.try_send("nobody").is_err());
    first.send("mine").unwrap();
    assert_eq!(pair.recv_timeout(LIMIT).unwrap()[0], "mine");
    assert!(first.close().is_empty());
    until("the place to be free", || pair.stats().peers.is_empty());
    let third = Pair::connect("inproc://pair-taken").unwrap();
    third.send("next").unwrap();
    assert_eq!(pair.recv_timeout(LIMIT).unwrap()[0], "next");
}

#[test]
fn a_pair_that_is_connected_takes_no_other_peer() {
    let pair = Pair::connect("tcp://127.0.0.1:1").unwrap();
    for endpoint in ["tcp://127.0.0.1:2", "inproc://pair-elsewhere"] {
        assert!(matches!(
            pair.connect_to(endpoint),
            Err(Error::PairTaken { .. })
        ));
    }
    let endpoint = pair.bind_to("inproc://pair-connected").unwrap();
    let other = Pair::connect(&endpoint.to_string()).unwrap();
    assert_eq!(other.stats().closes["pair-taken"], 1);
    pair.disconnect(&"tcp://127.0.0.1:1".parse().unwrap())
        .unwrap();
    let other = Pair::connect(&endpoint.to_string()).unwrap();
    other.send("free").unwrap();
    assert_eq!(pair.recv_timeout(LIMIT).unwrap()[0], "free");
}
