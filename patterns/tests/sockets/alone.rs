//! A single busy connection, which is waited for in its own receive call: nothing else suffers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine, Options, RecvError, Router};

use crate::support::{Closing, LIMIT, Stopping, bound, until};

fn options() -> Options {
    Options::new().engine(&Engine::new().unwrap())
}

/// Answers all that comes until the router is closed.
fn answer(router: &Router) {
    while let Ok((peer, message)) = router.recv() {
        router.send(&peer, message).unwrap();
    }
}

/// A router that answers, a dealer that is its only peer, and this beside their exchange.
fn beside_a_busy_peer(router: &Router, then: impl FnOnce(&Dealer)) {
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::with(options()).unwrap();
    dealer.connect_to(&bound(router)).unwrap();
    let over = AtomicBool::new(false);
    let exchange = || {
        dealer.send("busy").unwrap();
        dealer.recv_timeout(LIMIT).unwrap();
    };
    std::thread::scope(|scope| {
        let _closing = Closing(router);
        scope.spawn(|| answer(router));
        for _ in 0..1_000 {
            exchange();
        }
        let busy = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                exchange();
            }
        });
        {
            let _stopping = Stopping(&over);
            then(&dealer);
        }
        busy.join().unwrap();
    });
}

#[test]
fn a_newcomer_is_let_in_beside_a_busy_peer() {
    let router = Router::with(options()).unwrap();
    beside_a_busy_peer(&router, |_| {
        for _ in 0..5 {
            let begin = Instant::now();
            let newcomer = Dealer::with(options()).unwrap();
            newcomer.connect_to(&bound(&router)).unwrap();
            newcomer.send("me too").unwrap();
            newcomer.recv_timeout(LIMIT).unwrap();
            let taken = begin.elapsed();
            // As long as the exchange goes on, if it were not let in beside it.
            assert!(taken < LIMIT / 2, "let in after {taken:?}");
            drop(newcomer);
            until("it is the only peer again", || router.peers().len() == 1);
        }
    });
}

/// How long 24 took that came one after another to a router that nobody had come to before.
fn one_after_another() -> Vec<Duration> {
    let router = Router::with(options()).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    let mut took = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| answer(&router));
        let mut last = None;
        for _ in 0..24 {
            let newcomer = Dealer::with(options()).unwrap();
            let begin = Instant::now();
            newcomer.connect_to(&bound(&router)).unwrap();
            newcomer.send("first").unwrap();
            newcomer.recv_timeout(LIMIT).unwrap();
            took.push(begin.elapsed());
            for _ in 0..20 {
                newcomer.send("busy").unwrap();
                newcomer.recv_timeout(LIMIT).unwrap();
            }
            // The one before leaves now: each comes while one other is there, and was just busy.
            drop(last.replace(newcomer));
            until("it is the only peer", || router.peers().len() == 1);
        }
        drop(last);
        let _ = router.close();
    });
    took.sort();
    took
}

#[test]
fn who_comes_after_another_is_let_in_at_once() {
    // A receive call that is not ended lasts 4 ms at least. Other things may last as long on a
    // machine that is busy, but not for three in four, and not all the time.
    let deadline = Instant::now() + LIMIT;
    loop {
        let took = one_after_another();
        if took[took.len() / 4] < Duration::from_millis(4) {
            return;
        }
        assert!(Instant::now() < deadline, "let in after {took:?}");
    }
}

#[test]
fn large_messages_come_through_between_small_ones() {
    let router = Router::with(options()).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::with(options()).unwrap();
    dealer.connect_to(&bound(&router)).unwrap();
    std::thread::scope(|scope| {
        let _closing = Closing(&router);
        scope.spawn(|| answer(&router));
        for round in 0..300 {
            let bytes = [1, 64, 5_000, 70_000, 3 << 20][round % 5];
            dealer.send(vec![round as u8; bytes]).unwrap();
            let answer = dealer.recv_timeout(LIMIT).unwrap();
            assert_eq!(answer[0], vec![round as u8; bytes][..]);
        }
    });
}

#[test]
fn a_wait_ends_by_its_deadline_or_with_the_socket() {
    let router = Router::with(options()).unwrap();
    let dealer = Dealer::with(options()).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    dealer.connect_to(&bound(&router)).unwrap();
    for timeout in [1, 20, 100].map(Duration::from_millis) {
        for _ in 0..20 {
            dealer.send("busy").unwrap();
            let (peer, message) = router.recv_timeout(LIMIT).unwrap();
            router.send(&peer, message).unwrap();
            dealer.recv_timeout(LIMIT).unwrap();
        }
        let begin = Instant::now();
        assert!(matches!(
            dealer.recv_timeout(timeout),
            Err(RecvError::Timeout)
        ));
        let taken = begin.elapsed();
        assert!(taken >= timeout && taken < timeout + LIMIT / 4, "{taken:?}");
    }
    std::thread::scope(|scope| {
        // It is woken by the end, not by its deadline.
        let waiting = scope.spawn(|| dealer.recv_timeout(LIMIT * 2));
        for _ in 0..20 {
            dealer.send("busy").unwrap();
            let (peer, message) = router.recv_timeout(LIMIT).unwrap();
            drop((peer, message));
        }
        let _ = dealer.close();
        assert!(matches!(waiting.join().unwrap(), Err(RecvError::Closed)));
    });
}

#[test]
fn a_peer_that_leaves_is_noticed_while_it_is_waited_for() {
    let router = Router::with(options()).unwrap();
    router.bind_to("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::with(options()).unwrap();
    dealer.connect_to(&bound(&router)).unwrap();
    std::thread::scope(|scope| {
        let _closing = Closing(&router);
        scope.spawn(|| answer(&router));
        for _ in 0..1_000 {
            dealer.send("busy").unwrap();
            dealer.recv_timeout(LIMIT).unwrap();
        }
        drop(dealer);
        until("it has gone", || router.peers().is_empty());
        assert_eq!(router.stats().closes.get("peer-closed"), Some(&1));
    });
}
