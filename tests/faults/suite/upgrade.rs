//! Versions that are mixed, and servers that are replaced one by one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use brokerless::Policy;
use brokerless::machine::NodeState;
use brokerless::patterns::{Dealer, Message, Router};
use brokerless::wire::{Encoder, Envelope, Payload, decode_value};

use crate::suite::support::load::{Load, client, patient};
use crate::suite::support::process::{ANY, ServerProcess};
use crate::suite::support::work::{Notes, Stamp, Work, Worker};
use crate::suite::support::{Ends, eventually, ms, pass};

fn arguments((caller, nonce): Stamp) -> Payload {
    let mut encoder = Encoder::arguments(2);
    encoder.put(&caller).expect("a number");
    encoder.put(&nonce).expect("a number");
    encoder.finish()
}

/// A caller that has never heard of version 2, byte by byte: it calls until it is told to end.
fn old_caller(endpoint: &str, caller: u64, over: &AtomicBool) -> u64 {
    let dealer = Dealer::connect(endpoint).expect("an endpoint");
    let next = || dealer.recv_timeout(ms(30_000)).expect("an answer");
    // [6, 1, 1]: hello. [7, 1, 16]: welcome, without bytes, limits or names.
    dealer
        .send(Message::single(vec![0x93, 6, 1, 1]))
        .expect("room");
    assert_eq!(next()[0][..], [0x93, 7, 1, 16]);
    let mut nonce = 0u64;
    while !over.load(Ordering::Relaxed) {
        let id = (nonce % 100) as u8 + 1;
        // [1, id, "faults.v1.pooled", 60000000].
        let mut call = vec![0x94, 1, id, 0xb0];
        call.extend_from_slice(b"faults.v1.pooled");
        call.extend_from_slice(&[0xce, 0x03, 0x93, 0x87, 0x00]);
        let body = arguments((caller, nonce)).body;
        let message: Message = [call.into(), body].into_iter().collect();
        dealer.send(message).expect("room");
        let answer = loop {
            let answer = next();
            // [5, calls]: credit.
            if answer[0][..2] != [0x92, 5] {
                break answer;
            }
        };
        let envelope = &answer[0];
        // [2, id] or [2, id, nil, calls]: an answer, without what version 1 does not have.
        assert_eq!(envelope[1..3], [2, id], "{envelope:?}");
        let stamp: Stamp = decode_value(&answer[1]).expect("a stamp");
        assert_eq!(stamp, (caller, nonce), "somebody else's answer");
        nonce += 1;
    }
    nonce
}

/// A replier that has never heard of version 2.
fn old_replier(router: &Router, worker: &Worker, over: &AtomicBool) -> u64 {
    let mut answered = 0;
    while !over.load(Ordering::Relaxed) {
        let Ok((peer, message)) = router.recv_timeout(ms(20)) else {
            continue;
        };
        let answer = match Envelope::decode(&message[0]).expect("an envelope") {
            Envelope::Hello(hello) => {
                assert!(hello.oldest <= 1, "it speaks no version 1");
                // [7, 1, 16].
                Message::single(vec![0x93, 7, 1, 16])
            }
            Envelope::Call(call) => {
                let fields = message[0][0] & 0x0f;
                assert!(
                    (4..=5).contains(&fields),
                    "version 1 has no {fields} fields"
                );
                let (caller, nonce): Stamp = decode_value(&message[1]).expect("a stamp");
                let stamp = worker.stamp(caller, nonce);
                let mut value = Encoder::answer();
                value.put(&stamp).expect("a stamp");
                answered += 1;
                // [2, id].
                let mut envelope = vec![0x92, 2, 0xcf];
                envelope.extend_from_slice(&call.id.to_be_bytes());
                [envelope.into(), value.finish().body].into_iter().collect()
            }
            Envelope::Cancel { .. } | Envelope::Bye { .. } => continue,
            other => panic!("a caller of version 1 sends no {other:?}"),
        };
        // It may have gone.
        let _ = router.send(&peer, answer);
    }
    answered
}

pub(super) fn callers_and_repliers_of_the_version_before_are_served_beside_new_ones() {
    const OLD: u64 = 900;
    let notes = [Notes::new(), Notes::new()];
    let mut server = ServerProcess::start(ANY, &notes[0], &[]);
    let router = Router::with(patient()).expect("options within bounds");
    router.bind_to(ANY).expect("a free port");
    let old = router.local_endpoints()[0].to_string();
    let worker = Worker::noting(notes[1].path().to_str().expect("a path in UTF-8"));
    let over = AtomicBool::new(false);
    let (called, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    let endpoint = server.endpoint.clone();
    let ledger = std::thread::scope(|scope| {
        scope.spawn(|| answered.store(old_replier(&router, &worker, &over), Ordering::Relaxed));
        let ends = Ends(&over);
        scope.spawn(|| called.store(old_caller(&endpoint, OLD, &over), Ordering::Relaxed));
        // As much for the old one as for the new: it tells nothing of its load.
        let policy = Policy::weighted();
        let client = client(&[&endpoint, &old], patient(), |b| b.policy(policy));
        let load = Load::begin(&client, 0, 4, 1);
        load.until_answered(4000);
        let until = Instant::now();
        let begun = load.begun;
        let ledger = load.finish();
        drop(ends);
        ledger.hold_busy(begun, until);
        ledger.assert_counted(&client);
        ledger
    });
    ledger.assert_true(&[&notes[0], &notes[1]]);
    ledger.assert_all_answered();
    let [called, answered] = [called, answered].map(AtomicU64::into_inner);
    assert!(called >= 100 && answered >= 1000, "{called} {answered}");
    let ran = notes[0].ran();
    assert!((0..called).all(|nonce| ran.get(&(OLD, nonce)) == Some(&1)));
    assert_eq!(notes[1].ran().len() as u64, answered);
    let counts = server.balanced();
    let all = ledger.records.len() as u64 + called;
    assert_eq!(counts["answered"] + answered, all, "{counts:?}");
}

pub(super) fn a_rolling_restart_of_three_servers_under_load_fails_no_call() {
    let notes = [0; 3].map(|_| Notes::new());
    let mut servers: Vec<_> = notes
        .iter()
        .map(|notes| ServerProcess::start(ANY, notes, &[]))
        .collect();
    let endpoints: Vec<String> = servers
        .iter()
        .map(|server| server.endpoint.clone())
        .collect();
    let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    let client = client(&endpoints, patient(), |b| b);
    let quick = Load::begin(&client, 0, 4, 1);
    let deep = Load::begin(&client, 100, 1, 64);
    let all_up = || {
        let stats = client.stats();
        let up = stats.nodes.iter().all(|node| node.state == NodeState::Up);
        up.then_some(())
    };
    eventually("all are up", ms(5000), all_up);
    quick.until_answered(1000);
    let before = (quick.begun, Instant::now());
    let mut drained = Vec::new();
    for at in 0..servers.len() {
        let old = servers.remove(at);
        drained.push(old.terminate());
        servers.insert(at, ServerProcess::start(endpoints[at], &notes[at], &[]));
        eventually("it is up again", ms(5000), all_up);
        quick.until_answered(500);
    }
    let during = (before.1, Instant::now());
    pass(ms(100));
    let mut ledger = quick.finish();
    ledger.hold_busy(before.0, before.1);
    ledger.hold_healed(before, during);
    ledger.records.extend(deep.finish().records);
    ledger.assert_true(&[&notes[0], &notes[1], &notes[2]]);
    ledger.assert_counted(&client);
    ledger.assert_all_answered();
    for (report, complaints) in drained {
        assert_eq!((report["clean"], report["unheard"]), (1, 0), "{report:?}");
        assert_eq!(complaints, "");
    }
}
