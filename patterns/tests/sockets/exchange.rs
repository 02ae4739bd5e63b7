//! Messages there and back: whole, in order, from many threads, in time.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use brokerless_patterns::{
    Dealer, Engine, Message, Options, Pull, Push, RecvError, Rep, Req, Router, WeightedDealer,
};

use crate::support::{LIMIT, bound, transports, until};

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
fn a_receivers_channel_and_full_queues_within_the_process_get_along() {
    let limits = Options::new().send_messages_max(3).recv_messages_max(3);
    let router = Router::with(limits.clone()).unwrap();
    router.bind_to("inproc://channel-and-limits").unwrap();
    let channel = router.receiver();
    let (count, senders) = (20_000, 2);
    let (done, finished) = crossbeam_channel::bounded(senders);
    // Not scoped: threads that wait for each other would keep the test from failing.
    for _ in 0..senders {
        let dealer = Dealer::with(limits.clone()).unwrap();
        dealer.connect_to("inproc://channel-and-limits").unwrap();
        let done = done.clone();
        std::thread::spawn(move || {
            for n in 0..count {
                dealer.send(n.to_string()).unwrap();
            }
            done.send(dealer).unwrap();
        });
    }
    for _ in 0..senders * count {
        channel.recv_timeout(LIMIT).expect("one more");
    }
    for _ in 0..senders {
        finished.recv_timeout(LIMIT).expect("a sender");
    }
}

#[test]
fn the_last_messages_of_a_flood_go_out_though_nobody_waits() {
    let own = || {
        Options::new()
            .heartbeat_interval(None)
            .engine(&Engine::new().unwrap())
    };
    let pull = Pull::with(own()).unwrap();
    let endpoint = pull.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let push = Push::with(own().send_messages_max(10_000)).unwrap();
    push.connect_to(&endpoint).unwrap();
    for round in 0..30 {
        // What is held back at the end of a round is written by nobody but the steward, which has
        // come to lead meanwhile: this thread waits for nothing of its engine.
        let count = 1000 + round;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..count {
                    let message = pull.recv_timeout(LIMIT).expect("one more");
                    assert_eq!(message[0], n.to_string().as_str());
                }
            });
            for n in 0..count {
                push.try_send(n.to_string()).unwrap();
            }
        });
    }
}
