//! Bytes that make no sense, in messages whose framing is sound.

use std::time::{Duration, Instant};

use brokerless::patterns::{Dealer, Frame, Message};
use brokerless::wire::{
    CallHead, CallMetadata, Encoder, Envelope, Hello, Version, decode_value, encode_call,
    encode_cancel, encode_hello, encode_plain_call,
};
use brokerless::{Code, Metadata, Ran};

use crate::suite::support::ledger::Record;
use crate::suite::support::load::{Load, client, patient};
use crate::suite::support::process::{ANY, Counts, ServerProcess};
use crate::suite::support::work::{Notes, Stamp};
use crate::suite::support::{bar, ms};

/// The worst that the good client may see.
const WORST: Duration = if cfg!(debug_assertions) {
    ms(1000)
} else {
    ms(100)
};
/// Whose calls the malformed ones are, if they come to anything.
const NOBODY: u64 = u64::MAX - 1;

fn arguments(nonce: u64) -> Frame {
    let mut encoder = Encoder::arguments(2);
    encoder.put(&NOBODY).expect("a number");
    encoder.put(&nonce).expect("a number");
    encoder.finish().body
}

/// Whole envelopes and bodies, to be broken.
fn models() -> Vec<(Frame, Frame)> {
    let body = arguments(u64::MAX);
    let mut along = Metadata::new();
    along.insert("tenant", "x").expect("short");
    let mut head = CallHead::new(u64::from(u32::MAX) + 7, "faults.v1.pooled", 5_000_000);
    let bare = encode_call(&head, Version::NEWEST).expect("a call");
    head.metadata = CallMetadata::from(&along);
    let full = encode_call(&head, Version::NEWEST).expect("a call");
    let plain = encode_plain_call("faults.v1.stamp", &body).expect("a call");
    vec![
        (bare, body.clone()),
        (full, body.clone()),
        (plain, Frame::new()),
        (encode_cancel(77), Frame::new()),
    ]
}

/// Whether it says something that is counted: a hello or a bye is not.
fn is_counted(envelope: &[u8]) -> bool {
    !matches!(
        Envelope::decode(envelope),
        Ok(Envelope::Hello(_) | Envelope::Bye { .. })
    )
}

/// Every envelope and every body cut at each byte and changed at each, and some of their own.
fn corpus() -> Vec<Vec<Frame>> {
    let mut messages: Vec<Vec<Frame>> = Vec::new();
    let changes = |bytes: &Frame| -> Vec<Frame> {
        let cuts = (0..bytes.len()).map(|at| Frame::from(&bytes[..at]));
        let values = [
            0x00, 0x7f, 0x81, 0x9f, 0xc0, 0xc1, 0xc6, 0xdb, 0xdd, 0xdf, 0xff,
        ];
        let changed = (0..bytes.len()).flat_map(|at| {
            values.map(|value| {
                let mut bytes = bytes.to_vec();
                bytes[at] = value;
                Frame::from(bytes)
            })
        });
        cuts.chain(changed).collect()
    };
    for (envelope, body) in models() {
        messages.extend(
            changes(&envelope)
                .into_iter()
                .map(|broken| vec![broken, body.clone()]),
        );
        messages.extend(
            changes(&body)
                .into_iter()
                .map(|broken| vec![envelope.clone(), broken]),
        );
        messages.push(vec![envelope.clone()]);
    }
    let deep = Frame::from([vec![0x91; 600], vec![1]].concat());
    let (call, _) = models().swap_remove(0);
    messages.push(vec![deep.clone()]);
    messages.push(vec![call.clone(), deep]);
    messages.push(vec![call; 900]);
    messages.push(vec![Frame::from(vec![0xff; 60_000])]);
    messages.push(vec![Frame::from(&b"\xdd\xff\xff\xff\xff\x01"[..])]);
    messages.retain(|message| is_counted(&message[0]));
    messages
}

/// Sends all of it, and then calls as one should until it is served. Says how many messages it
/// sent that are counted.
///
/// What came before may still hold the whole window when the call comes: it is then told that the
/// call has not run, and may send it again.
fn besiege(endpoint: &str, messages: &[Vec<Frame>], greeted: bool, nonce: u64) -> u64 {
    let dealer = Dealer::connect(endpoint).expect("an endpoint");
    let give = |message: Message| dealer.send_timeout(message, ms(30_000)).expect("room");
    if greeted {
        let hello = Hello {
            version: 2,
            oldest: 1,
            name: "malformed",
        };
        give(Message::single(encode_hello(&hello)));
        dealer.recv_timeout(ms(30_000)).expect("a welcome");
    }
    for message in messages {
        let mut message: Message = message.iter().cloned().collect();
        if !greeted {
            message.push_front("");
        }
        give(message);
        // What it is told is not of interest.
        while dealer.try_recv().is_ok() {}
    }
    let mut sent = messages.len() as u64;
    let mut id = u64::MAX - 100_000;
    let patience = Instant::now() + ms(30_000);
    while !serves(&dealer, greeted, id, nonce) {
        assert!(Instant::now() < patience, "its window is never free");
        id += 1;
        sent += 1;
    }
    assert!(
        dealer.stats().closes.is_empty(),
        "{:?}",
        dealer.stats().closes
    );
    sent + 1
}

/// Calls once. Whether that ran: not if it is said to be over the window.
fn serves(dealer: &Dealer, greeted: bool, id: u64, nonce: u64) -> bool {
    let head = CallHead::new(id, "faults.v1.stamp", 60_000_000);
    let envelope = encode_call(&head, Version::NEWEST).expect("a call");
    let mut message: Message = [envelope, arguments(nonce)].into_iter().collect();
    if !greeted {
        message.push_front("");
    }
    let sent = dealer.send_timeout(message, ms(30_000));
    sent.expect("room");
    loop {
        let mut answer = dealer.recv_timeout(ms(30_000)).expect("it is still served");
        if answer[0].is_empty() {
            answer.pop_front();
        }
        match Envelope::decode(&answer[0]) {
            Ok(Envelope::Reply(head)) if head.id == id => {
                let stamp: Stamp = decode_value(&answer[1]).expect("a stamp");
                assert_eq!(stamp, (NOBODY, nonce));
                return true;
            }
            Ok(Envelope::Error(head)) if head.id == id => {
                assert_eq!(
                    (head.code, head.ran),
                    (Code::ResourceExhausted, Ran::No),
                    "{}",
                    head.message
                );
                return false;
            }
            _ => {}
        }
    }
}

/// Messages that came to something, one way or the other.
fn counted(counts: &Counts) -> u64 {
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    // The last of one that has gone may be taken up after it has gone.
    let dropped = [
        "no-envelope",
        "unexpected-kind",
        "unknown-kind",
        "peer-gone",
    ];
    let dropped: u64 = dropped
        .iter()
        .map(|name| count(&format!("dropped.{name}")))
        .sum();
    count("calls") + count("cancels") + dropped
}

pub(super) fn malformed_envelopes_close_nothing_and_disturb_nobody() {
    let notes = Notes::new();
    let mut server = ServerProcess::start(ANY, &notes, &[]);
    let client = client(&[&server.endpoint], patient(), |b| b);
    let load = Load::begin(&client, 0, 4, 1);
    load.until_answered(1000);
    let before = (load.begun, Instant::now());
    let corpus = corpus();
    let endpoint = server.endpoint.clone();
    let besiegers = [(0, true), (1, false), (2, true)];
    let sent: u64 = std::thread::scope(|scope| {
        let (endpoint, corpus) = (&endpoint, &corpus);
        let besiegers = besiegers
            .map(|(nonce, greeted)| scope.spawn(move || besiege(endpoint, corpus, greeted, nonce)));
        besiegers
            .into_iter()
            .map(|besieger| besieger.join().expect("it was served"))
            .sum()
    });
    let during = (before.1, Instant::now());
    load.until_answered(100);
    let ledger = load.finish();
    ledger.hold_busy(before.0, before.1);
    ledger.assert_true(&[&notes]);
    ledger.assert_counted(&client);
    ledger.assert_all_answered();
    let beside = ledger
        .records
        .iter()
        .filter(|record| record.began >= during.0);
    let worst = beside.map(Record::took).max().expect("it was served");
    bar(worst <= WORST, || {
        format!("the good client waited for {worst:?}")
    });
    assert!(corpus.len() >= 1000);
    let sent = sent + ledger.records.len() as u64;
    server.until("every one is counted", ms(5000), |counts| {
        counted(counts) == sent
    });
    let counts = server.balanced();
    assert_eq!(counts["panicked"], 0);
    assert!(counts["dropped.no-envelope"] > 100, "{counts:?}");
    drop(client);
    let (report, complaints) = server.terminate();
    assert_eq!((report["clean"], complaints.as_str()), (1, ""));
}
