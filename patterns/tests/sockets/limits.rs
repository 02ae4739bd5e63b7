//! Full queues, closing, and what is left.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brokerless_patterns::tap::Tap;
use brokerless_patterns::{
    Dealer, Engine, Error, Frame, Headed, Message, Options, Peer, RecvError, Router, SendRefusal,
};

use crate::support::{LIMIT, bound, transports, until};

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
        loop {
            match dealer.send_timeout(large.clone(), Duration::from_millis(300)) {
                Ok(()) => sent += 1,
                Err(refused) => {
                    assert_eq!(refused.reason(), SendRefusal::Timeout);
                    assert_eq!(refused.message(), &large);
                    // The kernel may have taken its time, and take more after all.
                    match dealer.try_send(large.clone()) {
                        Ok(()) => sent += 1,
                        Err(refused) => {
                            assert_eq!(refused.reason(), SendRefusal::Full);
                            break;
                        }
                    }
                }
            }
            assert!(sent < 1000, "{endpoint}: no limit");
        }
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

/// Keeps who came.
#[derive(Default)]
struct Came(OnceLock<Peer>);

impl Tap for Came {
    fn takes_messages(&self) -> bool {
        false
    }
    fn take(&self, _: &Peer, _: Message) {}
    fn came(&self, peer: &Peer) {
        self.0.get_or_init(|| peer.clone());
    }
}

#[test]
fn what_is_sent_with_a_lent_frame_arrives_whole_or_stays_with_its_sender() {
    for endpoint in transports() {
        let limits = Options::new().send_messages_max(10).recv_messages_max(10);
        let router = Router::with(limits.clone()).unwrap();
        router.bind_to(&endpoint).unwrap();
        let tap = Arc::new(Came::default());
        let dealer = Dealer::with_tap(limits, tap.clone()).unwrap();
        dealer.connect_to(&bound(&router)).unwrap();
        dealer.send("here").unwrap();
        let (caller, _) = router.recv_timeout(LIMIT).unwrap();
        let large = Frame::from(vec![7; 1 << 20]);
        let rest = [Frame::from("rest"), Frame::new()];
        let lent = Headed::new(b"first", &large, &rest);
        let mut sent = 0;
        let refusal = loop {
            match router.send_headed(&caller, lent) {
                Ok(()) => sent += 1,
                Err(refusal) => break refusal,
            }
            assert!(sent < 1000, "{endpoint}: no limit");
        };
        assert_eq!(refusal, SendRefusal::Full, "{endpoint}");
        assert_eq!(router.stats().refused["full"], 1, "{endpoint}");
        for _ in 0..sent {
            assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), lent.to_message());
        }
        // And the other way, held back or not.
        let node = tap.0.get().expect("it came");
        for held in [false, true] {
            dealer.send_headed(node, lent, held).unwrap();
        }
        for _ in 0..2 {
            let (_, message) = router.recv_timeout(LIMIT).unwrap();
            assert_eq!(message, lent.to_message(), "{endpoint}");
        }
        drop(dealer);
        until("the peer has gone", || !caller.is_connected());
        assert_eq!(router.send_headed(&caller, lent), Err(SendRefusal::Gone));
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
            let received = router.recv_timeout(LIMIT);
            let (_, message) = received.unwrap_or_else(|error| {
                panic!("{endpoint}: message {n}: {error}; {:?}", router.stats())
            });
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
