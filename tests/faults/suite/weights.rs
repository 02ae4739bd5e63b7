//! Weights and load reports that make no sense.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use brokerless::Policy;
use brokerless::client::{Client, Member};
use brokerless::patterns::{Message, Router};
use brokerless::wire::{Credit, Encoder, Envelope, Version, Welcome, decode_value, encode_welcome};

use crate::suite::support::ledger::Ledger;
use crate::suite::support::load::{Load, client, patient};
use crate::suite::support::process::{ANY, ServerProcess};
use crate::suite::support::work::{Notes, Stamp, Work, Worker};
use crate::suite::support::{Ends, eventually, ms};

/// Reports that no honest node makes: below zero, infinite, no numbers at all, more than fits, and
/// from nothing to everything by turns.
const ABSURD: [&[u8]; 6] = [
    b"\x97\xff\xff\xff\xff\xff\xff\xff",
    b"\x93\xca\x7f\x80\0\0\xca\xff\x80\0\0\xca\x7f\xc0\0\0",
    b"\x94\xc0\xa1x\x80\x90",
    b"\x93\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xce\xff\xff\xff\xff\xcd\xff\xff",
    b"\x93\0\0\0",
    b"\x95\0\0\0\0\xce\xff\xff\xff\xff",
];

/// Answers each call as it should, with a report that makes no sense.
fn lie(router: &Router, worker: &Worker, over: &AtomicBool, lies: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        let Ok((peer, message)) = router.recv_timeout(ms(20)) else {
            continue;
        };
        let answer = match Envelope::decode(&message[0]).expect("an envelope") {
            Envelope::Hello(_) => Message::single(encode_welcome(&Welcome {
                version: Version::NEWEST.number(),
                credit: Credit {
                    calls: 64,
                    bytes: u64::MAX,
                },
                blob_bytes_max: u64::MAX,
                name: "liar",
                call_bytes_max: u64::MAX,
                pulls: false,
                wants_keys: false,
            })),
            Envelope::Call(call) => {
                let lie = lies.fetch_add(1, Ordering::Relaxed) as usize;
                let mut envelope = vec![0x93, 0x02, 0xcf];
                envelope.extend(call.id.to_be_bytes());
                envelope.extend(ABSURD[lie % ABSURD.len()]);
                // A question for its load has no stamp.
                match message
                    .iter()
                    .nth(1)
                    .map(|body| decode_value::<Stamp>(body))
                {
                    Some(Ok(stamp)) => {
                        let mut value = Encoder::answer();
                        value.put(&worker.stamp(stamp.0, stamp.1)).expect("a stamp");
                        value.finish().into_message(envelope.into())
                    }
                    _ => Message::single(envelope),
                }
            }
            _ => continue,
        };
        router.send(&peer, answer).expect("it is there");
    }
}

#[track_caller]
fn set(client: &Client, endpoint: &str, weight: i64) {
    let known = client.set(Member::new(endpoint).weight(weight));
    assert_eq!(known.ok(), Some(true));
}

/// Absurd weights are refused, extreme ones hold; whichever the policy.
fn reweigh(client: &Client, endpoints: &[&str]) {
    for endpoint in endpoints {
        for weight in [i64::MIN, -1, 1_001, i64::MAX] {
            let error = client.set(Member::new(*endpoint).weight(weight));
            let error = error.expect_err("no weight").to_string();
            assert!(
                error.contains("weight") && error.contains(&weight.to_string()),
                "{error}"
            );
        }
        for weight in [1_000, 0, 1] {
            set(client, endpoint, weight);
        }
    }
}

pub(super) fn absurd_weights_and_load_reports_fail_no_call_and_are_counted() {
    let notes = [Notes::new(), Notes::new()];
    let server = ServerProcess::start(ANY, &notes[0], &[]);
    let router = Router::with(patient().send_messages_max(1_000_000)).expect("options");
    router.bind_to(ANY).expect("a free port");
    let liar = router.local_endpoints()[0].to_string();
    let worker = Worker::noting(notes[1].path().to_str().expect("a path in UTF-8"));
    let (over, lies) = (AtomicBool::new(false), AtomicU64::new(0));
    let records = std::thread::scope(|scope| {
        let lying = scope.spawn(|| lie(&router, &worker, &over, &lies));
        let ends = Ends(&over);
        let mut records = Vec::new();
        let policies = Policy::names().filter(|name| *name != "consistent-hash");
        for (number, name) in policies.enumerate() {
            let policy = Policy::named(name).expect("a name of its own");
            let endpoints = [&*server.endpoint, &*liar];
            let client = client(&endpoints, patient(), |builder| builder.policy(policy));
            let load = Load::begin(&client, number as u64 * 100, 2, 4);
            load.until_answered(500);
            let before = (load.begun, Instant::now());
            let lied = lies.load(Ordering::Relaxed);
            eventually(
                "it lies, and weights change under calls",
                ms(30_000),
                || {
                    reweigh(&client, &endpoints);
                    // Whatever the policy makes of its reports: it is the only one for a moment.
                    set(&client, &server.endpoint, 0);
                    (lies.load(Ordering::Relaxed) > lied + 100).then_some(())
                },
            );
            set(&client, &server.endpoint, 1);
            let ledger = load.finish();
            ledger.hold_busy(before.0, before.1);
            assert_eq!(ledger.failures().count(), 0, "{name}");
            let stats = client.stats();
            let doubted = |endpoint: &str| {
                let mut nodes = stats.nodes.iter();
                nodes
                    .find(|node| node.endpoint == endpoint)
                    .map(|node| node.doubted)
            };
            assert!(
                doubted(&liar).is_some_and(|count| count > 50),
                "{name}: {stats:?}"
            );
            assert_eq!(doubted(&server.endpoint), Some(0), "{name}: an honest node");
            records.extend(ledger.records);
        }
        drop(ends);
        lying.join().expect("no panic");
        records
    });
    Ledger { records }.assert_true(&[&notes[0], &notes[1]]);
}
