//! Peers that leave while somebody waits for them.

use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine, SendRefusal};

use crate::support::canary::Lasted;
use crate::support::figures::Figures;
use crate::support::good::patient;
use crate::support::process::RouterProcess;
use crate::support::raw::{Raw, opening};
use crate::support::{eventually, ms, pass};

/// What a deadline may be overrun by.
const LATE: Duration = ms(50);

fn dealer() -> Dealer {
    let engine = Engine::new().expect("descriptors are free");
    let options = patient(&engine)
        .send_messages_max(4)
        // One that does not grow: what has been full for a while stays full.
        .send_buffer_bytes(Some(64 * 1024))
        .reconnect_interval(ms(20))
        .reconnect_interval_max(ms(50))
        .linger(Some(Duration::ZERO));
    Dealer::with(options).expect("options within bounds")
}

fn large() -> Vec<u8> {
    // `drop`: not to be answered.
    [b"drop".to_vec(), vec![b'x'; 1 << 20]].concat()
}

/// Sends until nobody takes more, for half a second: a peer that gets no processor for a while reads
/// on once it does.
#[track_caller]
fn fill(dealer: &Dealer) {
    let mut refused = 0;
    eventually("every queue is full", ms(20_000), || {
        match dealer.send_timeout(large(), ms(50)) {
            Ok(()) => refused = 0,
            Err(full) => {
                assert_eq!(full.reason(), SendRefusal::Timeout);
                refused += 1;
            }
        }
        (refused == 10).then_some(())
    });
}

pub(crate) fn senders_blocked_on_a_full_peer_return_by_their_deadlines_though_it_leaves() {
    let mut router = RouterProcess::start(&["recv_messages_max=2"]);
    router.process.ask("pause");
    let dealer = dealer();
    dealer
        .connect_to(&router.endpoint)
        .expect("an endpoint to connect to");
    fill(&dealer);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|index| {
                let (dealer, timeout) = (&dealer, ms(200 + 30 * index));
                scope.spawn(move || {
                    let begin = Instant::now();
                    let outcome = dealer.send_timeout(large(), timeout);
                    (timeout, Lasted::since(begin), outcome)
                })
            })
            .collect();
        pass(ms(100));
        router.process.kill();
        for sender in senders {
            let (timeout, taken, outcome) = sender.join().expect("it returns");
            let error = outcome.expect_err("there is nobody to take it");
            assert_eq!(error.reason(), SendRefusal::Timeout);
            assert_eq!(
                error.message().bytes(),
                large().len(),
                "the message comes back"
            );
            taken.assert_between(timeout, timeout + LATE, "returned after");
        }
    });
    Figures::of(&dealer.stats()).assert_balanced("the dealer");
}

pub(crate) fn a_sender_without_deadline_goes_on_when_the_peer_is_back() {
    let mut router = RouterProcess::start(&["recv_messages_max=2"]);
    router.process.ask("pause");
    let dealer = dealer();
    dealer
        .connect_to(&router.endpoint)
        .expect("an endpoint to connect to");
    fill(&dealer);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| dealer.send(large()));
        pass(ms(50));
        router.process.kill();
        pass(ms(50));
        assert!(!sender.is_finished(), "it waits for the peer to come back");
        let bind = format!("bind={}", router.endpoint);
        let mut next = RouterProcess::start(&[&bind]);
        eventually("the sender returns", ms(2000), || {
            sender.is_finished().then_some(())
        });
        sender
            .join()
            .expect("it returns")
            .expect("the message is taken");
        // What waited for the connection arrives, and the last message behind it.
        assert!(dealer.stats().closes.values().sum::<u64>() >= 1);
        next.until(ms(2000), |figures| figures.get("received") > 4);
        next.figures().assert_balanced("the router");
    });
    eventually("all is written", ms(2000), || {
        (dealer.stats().send_queue_messages == 0).then_some(())
    });
    Figures::of(&dealer.stats()).assert_balanced("the dealer");
}

pub(crate) fn a_sender_without_deadline_goes_on_when_another_peer_comes() {
    let dealer = dealer();
    let endpoint = dealer
        .bind_to("tcp://127.0.0.1:*")
        .expect("a free port")
        .to_string();
    let address = endpoint.strip_prefix("tcp://").expect("it listens on tcp");
    let connect = || {
        let mut raw = Raw::connect(address);
        raw.send(&opening("ROUTER", b""));
        raw
    };
    let first = connect();
    fill(&dealer);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| dealer.send("to whoever comes"));
        pass(ms(50));
        drop(first);
        eventually("the first has gone", ms(1000), || {
            dealer.stats().peers.is_empty().then_some(())
        });
        assert!(!sender.is_finished(), "there is nobody to send to");
        let mut second = connect();
        eventually("the sender returns", ms(1000), || {
            sender.is_finished().then_some(())
        });
        sender
            .join()
            .expect("it returns")
            .expect("the message is taken");
        second.skip_greeting();
        assert_eq!(second.message().expect("a message"), b"to whoever comes");
    });
    let stats = dealer.stats();
    assert!(
        stats.dropped["peer-gone"] > 0,
        "what the first had not read is counted: {stats:?}"
    );
    Figures::of(&stats).assert_balanced("the dealer");
}

pub(crate) fn a_sender_without_deadline_goes_on_when_the_peer_reads() {
    let mut router = RouterProcess::start(&["recv_messages_max=2"]);
    router.process.ask("pause");
    let dealer = dealer();
    dealer
        .connect_to(&router.endpoint)
        .expect("an endpoint to connect to");
    fill(&dealer);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| dealer.send(large())))
            .collect();
        pass(ms(50));
        assert!(
            senders.iter().all(|sender| !sender.is_finished()),
            "all queues are full"
        );
        router.process.ask("go");
        for sender in senders {
            eventually("the sender returns", ms(3000), || {
                sender.is_finished().then_some(())
            });
            sender
                .join()
                .expect("it returns")
                .expect("the message is taken");
        }
    });
    let sent = dealer.stats().sent_messages;
    let figures = router.until(ms(3000), |figures| figures.get("received") == sent);
    figures.assert_balanced("the router");
    Figures::of(&dealer.stats()).assert_balanced("the dealer");
}
