//! PUSH and PULL: work in turn, never dropped, one way.

use std::collections::HashSet;
use std::time::Duration;

use brokerless_patterns::{Dealer, Message, Options, Pull, Push, SendRefusal};

use crate::raw::{Raw, patient};
use crate::support::{LIMIT, own_tcp, transports, until};

#[test]
fn work_goes_to_the_pullers_in_turn() {
    for endpoint in transports() {
        let push = Push::with(Options::new()).unwrap();
        let endpoint = push.bind_to(&endpoint).unwrap().to_string();
        let pulls = [(); 3].map(|()| Pull::connect(&endpoint).unwrap());
        until("three pullers", || push.stats().peers.len() == 3);
        for n in 0..300 {
            push.send(n.to_string()).unwrap();
        }
        let mut all = HashSet::new();
        for pull in &pulls {
            for _ in 0..100 {
                let message = pull.recv_timeout(LIMIT).expect("a third for each");
                all.insert(message[0].to_str().unwrap().to_owned());
            }
            assert!(pull.try_recv().is_err(), "{endpoint}");
        }
        assert_eq!(all.len(), 300, "each message once");
    }
}

#[test]
fn work_waits_for_a_puller_that_is_not_there_yet() {
    for endpoint in ["inproc://pipeline-early".into(), own_tcp()] {
        // A port that is free, and bound later.
        let probe = Pull::with(Options::new()).unwrap();
        let endpoint = probe.bind_to(&endpoint).unwrap().to_string();
        let _ = probe.close();
        let push = Push::connect(&endpoint).unwrap();
        for n in 0..10 {
            push.send(n.to_string()).unwrap();
        }
        let pull = Pull::with(Options::new()).unwrap();
        until("the port again", || pull.bind_to(&endpoint).is_ok());
        for n in 0..10 {
            assert_eq!(pull.recv_timeout(LIMIT).unwrap()[0], n.to_string().as_str());
        }
    }
}

/// Sends until nobody takes more for a while; gives the number of messages sent.
fn fill(push: &Push) -> u64 {
    let large = Message::from(vec![1; 1 << 20]);
    let mut queued = 0;
    loop {
        match push.send_timeout(large.clone(), Duration::from_millis(500)) {
            Ok(()) => queued += 1,
            Err(error) => {
                assert_eq!(error.reason(), SendRefusal::Timeout);
                return queued;
            }
        }
    }
}

/// All that is sent now goes to the one that reads.
fn goes_to(push: &Push, good: &Pull) {
    for n in 0..50 {
        push.send_timeout(n.to_string(), LIMIT).unwrap();
        let message = good.recv_timeout(LIMIT).unwrap();
        assert_eq!(message[0], n.to_string().as_str());
    }
}

#[test]
fn a_push_passes_over_a_full_puller_and_waits_only_if_all_are_full() {
    // A buffer that does not grow: what has been full for a while stays full.
    let options = patient()
        .send_messages_max(4)
        .send_buffer_bytes(Some(64 * 1024));
    let push = Push::with(options).unwrap();
    let endpoint = push.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let mut full = Raw::connect(&endpoint, "PULL", 1);
    let queued = fill(&push);
    let good = Pull::connect(&endpoint).unwrap();
    goes_to(&push, &good);
    for _ in 0..queued {
        assert_eq!(full.message().len(), 1 << 20);
    }
    until("the count of what was written", || {
        push.stats().written_messages == queued + 50
    });
    assert!(push.stats().dropped.is_empty());
}

#[test]
fn a_full_puller_of_this_process_is_passed_over_too() {
    let small = Options::new().send_messages_max(4).recv_messages_max(4);
    let push = Push::with(small.clone()).unwrap();
    push.bind_to("inproc://pipeline-full").unwrap();
    let [full, good] = [(); 2].map(|()| Pull::with(small.clone()).unwrap());
    full.connect_to("inproc://pipeline-full").unwrap();
    let queued = fill(&push);
    assert_eq!(queued, 8);
    good.connect_to("inproc://pipeline-full").unwrap();
    goes_to(&push, &good);
    for _ in 0..queued {
        assert_eq!(full.recv_timeout(LIMIT).unwrap().bytes(), 1 << 20);
    }
    assert_eq!(push.stats().written_messages, queued + 50);
}

#[test]
fn a_peer_that_sends_to_a_push_is_closed_and_counted() {
    let push = Push::with(patient()).unwrap();
    let endpoint = push.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let mut rude = Raw::connect(&endpoint, "PULL", 1);
    let polite = Pull::connect(&endpoint).unwrap();
    until("both peers", || push.stats().peers.len() == 2);
    rude.send(&[b"a message"]);
    assert!(rude.is_closed());
    until("the count", || {
        push.stats().closes.contains_key("unexpected-message")
    });
    until("one peer left", || push.stats().peers.len() == 1);
    push.send_timeout("on", LIMIT).unwrap();
    assert_eq!(polite.recv_timeout(LIMIT).unwrap()[0], "on");
    let stats = push.stats();
    assert_eq!(
        (stats.arrived_messages, stats.dropped["unexpected"]),
        (1, 1)
    );
}

#[test]
fn what_a_killed_puller_had_queued_is_counted_and_the_rest_arrives_once() {
    let push = Push::with(patient().send_messages_max(100)).unwrap();
    let endpoint = push.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let pulls = [(); 2].map(|()| Pull::connect(&endpoint).unwrap());
    let mut doomed = Some(Raw::connect(&endpoint, "PULL", 1));
    until("three pullers", || push.stats().peers.len() == 3);
    let count = 10_000;
    let received = std::thread::scope(|scope| {
        let readers = pulls.each_ref().map(|pull| {
            scope.spawn(move || {
                let mut seen = Vec::new();
                while let Ok(message) = pull.recv_timeout(LIMIT) {
                    if message[0] == "end" {
                        break;
                    }
                    seen.push(message[0].to_str().unwrap().parse::<usize>().unwrap());
                }
                seen
            })
        });
        for n in 0..count {
            if n == count / 2 {
                drop(doomed.take());
            }
            push.send([n.to_string(), "x".repeat(3000)]).unwrap();
        }
        until("the dead peer's end", || push.stats().peers.len() == 2);
        push.send("end").unwrap();
        push.send("end").unwrap();
        readers.map(|reader| reader.join().unwrap())
    });
    // What has arrived is counted as written a moment later, where the writer has to wait for a core.
    until("the count", || push.stats().send_queue_messages == 0);
    let stats = push.stats();
    let dropped = stats.dropped.get("peer-gone").copied().unwrap_or(0);
    assert_eq!(stats.sent_messages, count as u64 + 2);
    assert_eq!(
        stats.sent_messages,
        stats.written_messages + stats.send_queue_messages as u64 + dropped
    );
    let all: HashSet<_> = received.iter().flatten().collect();
    let arrived = received.iter().map(Vec::len).sum::<usize>();
    assert_eq!(all.len(), arrived, "nothing twice");
    let written_to_dead = stats.written_messages as usize - 2 - arrived;
    assert_eq!(arrived + written_to_dead + dropped as usize, count);
    assert!(dropped > 0, "the fault happened");
}

#[test]
fn sockets_that_do_not_pair_are_refused_with_the_reason() {
    for endpoint in transports() {
        let push = Push::with(Options::new()).unwrap();
        let endpoint = push.bind_to(&endpoint).unwrap().to_string();
        let dealer = Dealer::connect(&endpoint).unwrap();
        until("the refusal, and its reason", || {
            push.stats().closes.contains_key("incompatible-sockets")
        });
        until("the other side's account of it", || {
            !dealer.stats().closes.is_empty()
        });
        assert!(push.stats().peers.is_empty(), "{endpoint}");
    }
}
