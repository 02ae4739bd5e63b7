//! A replier that answers what it was not asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use brokerless::patterns::{Frame, Message, Peer, Router};
use brokerless::wire::{
    Credit, Encoder, Envelope, ErrorHead, ReplyHead, Version, Welcome, decode_value, encode_cancel,
    encode_error, encode_reply, encode_welcome,
};
use brokerless::{Ran, Status};

use crate::suite::support::load::{Load, client, patient};
use crate::suite::support::process::{ANY, ServerProcess};
use crate::suite::support::work::{Notes, Stamp, Work, Worker};
use crate::suite::support::{Ends, eventually, ms};

/// What a forger has sent beside what it was asked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Forged {
    /// Answers to what it was not asked, or answers given twice.
    answers: u64,
    /// What no replier says.
    misfits: u64,
}

fn reply(id: u64, stamp: Stamp) -> Message {
    let head = ReplyHead {
        id,
        load: None,
        credit: None,
    };
    let mut value = Encoder::answer();
    value.put(&stamp).expect("a stamp");
    let envelope = encode_reply(&head, Version::NEWEST);
    value.finish().into_message(envelope)
}

fn error(id: u64) -> Message {
    let status = Status::internal("forged");
    let head = ErrorHead::new(id, &status, Ran::No);
    Message::single(encode_error(&head, Version::NEWEST))
}

/// Answers each call once as it should, and all around it.
fn forge(router: &Router, worker: &Worker, over: &AtomicBool) -> Forged {
    let mut forged = Forged::default();
    let send = |peer: &Peer, message: Message| router.send(peer, message).expect("it is there");
    while !over.load(Ordering::Relaxed) {
        let Ok((peer, message)) = router.recv_timeout(ms(20)) else {
            continue;
        };
        let call = match Envelope::decode(&message[0]).expect("an envelope") {
            Envelope::Hello(_) => {
                let welcome = Welcome {
                    version: 2,
                    // One call at a time: every other one that is in flight is the other node's.
                    credit: Credit {
                        calls: 1,
                        bytes: u64::MAX,
                    },
                    blob_bytes_max: u64::MAX,
                    name: "forger",
                    call_bytes_max: u64::MAX,
                    pulls: false,
                    wants_keys: false,
                };
                send(&peer, Message::single(encode_welcome(&welcome)));
                continue;
            }
            Envelope::Call(call) => call,
            _ => continue,
        };
        let stamp: Stamp = decode_value(&message[1]).expect("a stamp");
        let id = call.id;
        let wrong = (u64::MAX, stamp.1);
        // Other attempts, other generations, the slots around: what others were asked.
        let near = (1..16).map(|other| id ^ other);
        let later = [24, 25, 31, 32, 33, 63].map(|bit| id ^ (1 << bit));
        let extreme = [1, u64::MAX, 0xFF_FFFF];
        for other in near
            .chain(later)
            .chain(extreme)
            .filter(|other| *other != id)
        {
            if forged.answers % 2 == 0 {
                send(&peer, reply(other, wrong));
            } else {
                send(&peer, error(other));
            }
            forged.answers += 1;
        }
        let misfits: [Message; 5] = [
            Message::single(encode_cancel(id)),
            message.clone(),
            Message::single(Frame::from(&b"\xc1"[..])),
            Message::single(vec![0x92, 12, 1]),
            Message::single(vec![0x91; 100]),
        ];
        for misfit in misfits {
            send(&peer, misfit);
            forged.misfits += 1;
        }
        let stamp = worker.stamp(stamp.0, stamp.1);
        send(&peer, reply(id, stamp));
        send(&peer, reply(id, wrong));
        send(&peer, error(id));
        forged.answers += 2;
    }
    forged
}

pub(super) fn answers_to_what_was_not_asked_are_counted_and_reach_nobody() {
    let notes = [Notes::new(), Notes::new()];
    let mut server = ServerProcess::start(ANY, &notes[0], &[]);
    let options = patient().send_messages_max(1_000_000);
    let router = Router::with(options).expect("options within bounds");
    router.bind_to(ANY).expect("a free port");
    let worker = Worker::noting(notes[1].path().to_str().expect("a path in UTF-8"));
    let endpoint = router.local_endpoints()[0].to_string();
    let over = AtomicBool::new(false);
    let client = client(&[&server.endpoint], patient(), |b| b);
    let load = Load::begin(&client, 0, 4, 1);
    load.until_answered(1000);
    let before = (load.begun, Instant::now());
    let deep = Load::begin(&client, 100, 1, 16);
    let (ledger, forged) = std::thread::scope(|scope| {
        let forger = scope.spawn(|| forge(&router, &worker, &over));
        let ends = Ends(&over);
        client.add(&endpoint).expect("another node");
        load.until_answered(2000);
        eventually("enough is forged", ms(30_000), || {
            (client.stats().calls.unknown > 1000).then_some(())
        });
        let mut ledger = load.finish();
        ledger.records.extend(deep.finish().records);
        drop(ends);
        (ledger, forger.join().expect("no panic"))
    });
    ledger.hold_busy(before.0, before.1);
    ledger.assert_true(&[&notes[0], &notes[1]]);
    ledger.assert_all_answered();
    assert!(forged.answers >= 1000, "{forged:?}");
    eventually("all is counted", ms(5000), || {
        let stats = client.stats();
        let misfits = stats.nodes.iter().map(|node| node.misfits).sum();
        let counted = Forged {
            answers: stats.calls.unknown + stats.calls.late,
            misfits,
        };
        (counted == forged).then_some(())
    });
    ledger.assert_counted(&client);
    let counts = server.balanced();
    let theirs = notes[1].ran().len() as u64;
    assert_eq!(counts["answered"] + theirs, ledger.records.len() as u64);
}
