//! Peers of a queue that claim another's name, or forge replies.

use std::collections::BTreeMap;
use std::time::Instant;

use brokerless_patterns::{Dealer, Engine, Message, Peer, Router};

use crate::suite::support::canary::Lasted;
use crate::suite::support::good::patient;
use crate::suite::support::kinds::Kind;
use crate::suite::support::raw::{COMMAND, MORE, Raw, frame};
use crate::suite::support::scene::{Scene, count};
use crate::suite::support::{hold, ms};

/// A peer of that name that answers PINGs and asks when it is told to.
fn holder(scene: &Scene, name: &str) -> Dealer {
    let engine = Engine::new().expect("descriptors are free");
    let options = patient(&engine).identity(name);
    let dealer = Dealer::with(options).expect("options within bounds");
    let endpoint = scene.device.endpoint("frontend");
    dealer.connect_to(endpoint).expect("an endpoint");
    dealer
}

/// Asks through the queue: the good client's worker answers.
fn ask(dealer: &Dealer, text: &str) {
    let question = Message::from(["", text]);
    dealer.send(question.clone()).expect("a peer is connected");
    let answer = dealer.recv_timeout(ms(30_000)).expect("an answer");
    assert_eq!(answer, question);
}

pub(super) fn claimants_of_a_name_in_use_are_told_so_and_the_holder_goes_on(kind: &Kind) {
    const CLAIMANTS: u64 = 20;
    let scene = Scene::set(kind, &[]);
    let address = scene.address(&kind.front);
    let holder = holder(&scene, "taken");
    ask(&holder, "before");
    for number in 0..CLAIMANTS {
        let mut claimant = Raw::connect(&address);
        claimant.send(&crate::suite::support::raw::opening("DEALER", b"taken"));
        // What it asks does not come through either.
        claimant.send(&[frame(MORE, b""), frame(0, b"mine")].concat());
        claimant.skip_greeting();
        let told = claimant.frame();
        // Who has the name had half a second to say that it lives.
        let superseded = count(&scene.statistics(), "frontend.closes.superseded");
        hold(superseded == 0, || "the holder was late".to_owned());
        let (flags, body) = told.expect("it is told");
        assert!(
            flags & COMMAND != 0 && body.starts_with(b"\x05ERROR"),
            "{body:?}"
        );
        claimant.until_closed(ms(700));
        ask(&holder, &number.to_string());
    }
    scene.until_closed(
        &kind.front,
        &BTreeMap::from([("identity-in-use", CLAIMANTS)]),
    );
    assert!(holder.try_recv().is_err(), "nothing but its own answers");
    assert!(holder.stats().closes.is_empty());
    scene.end();
}

/// A worker that keeps what it is asked by `hold` and answers all else.
fn keep(worker: &Router, hold: &str) -> (Peer, Message) {
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < ms(60_000), "nobody asks");
        let (peer, request) = worker.recv_timeout(ms(30_000)).expect("somebody asks");
        if request.iter().any(|frame| *frame == hold) {
            return (peer, request);
        }
        worker.send(&peer, request).expect("the queue is there");
    }
}

pub(super) fn a_reply_to_one_who_has_gone_does_not_reach_the_next_of_its_name(kind: &Kind) {
    let scene = Scene::set_with_workers(kind, &[]);
    let address = scene.address(&kind.front);
    let engine = Engine::new().expect("descriptors are free");
    let worker = Router::with(patient(&engine)).expect("options within bounds");
    let backend = scene.device.endpoint("backend");
    worker.connect_to(backend).expect("an endpoint");

    scene.until("both workers are there", ms(2000), |statistics| {
        statistics["backend"]["peers"] == 2
    });

    // It answers no PING: whoever claims its name is let in.
    let mut first = Raw::of("DEALER", &address, b"name");
    let question = [frame(MORE, b""), frame(0, b"hold")].concat();
    // Asked until this worker has its turn; the other one answers.
    first.send(&question.repeat(8));
    let (peer, kept) = keep(&worker, "hold");
    let begin = Instant::now();
    let mut next = Raw::of("DEALER", &address, b"name");
    Lasted::since(begin).assert_within(ms(600), "let in after");
    first.until_closed(ms(100));
    scene.until_closed(&kind.front, &BTreeMap::from([("superseded", 1)]));

    worker.send(&peer, kept).expect("the queue is there");
    scene.until("it is dropped", ms(1000), |statistics| {
        count(statistics, "from_backend.dropped.peer-gone") >= 1
    });
    assert!(worker.close().is_empty());
    // The first that comes to the next one is its own.
    let question = [frame(MORE, b""), frame(0, b"own")].concat();
    next.send(&question);
    assert_eq!(next.message().expect("an answer"), b"");
    assert_eq!(next.message().expect("an answer"), b"own");
    scene.end();
}

pub(super) fn forged_tokens_reach_nobody_and_are_counted(kind: &Kind) {
    let scene = Scene::set_with_workers(kind, &[]);
    let victim = holder(&scene, "victim");
    ask(&victim, "before");
    let mut forger = Raw::of("DEALER", &scene.address(&kind.back), b"");
    // It is given its turn, and so a token that is good: that of the good client.
    let token = forger.message().expect("a request");
    assert_eq!(token.len(), 16);

    let mut forged: Vec<Vec<u8>> = Vec::new();
    for bit in 0..token.len() * 8 {
        let mut changed = token.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        forged.push(changed);
    }
    for number in 0..100u64 {
        // Every connection that there is, with the seal of another.
        let own = number.to_be_bytes();
        if own != token[..8] {
            forged.push([&own[..], &token[8..]].concat());
        }
        forged.push([&own[..], &[0; 8]].concat());
    }
    forged.extend((0..token.len()).map(|length| token[..length].to_vec()));
    forged.push([&token[..], b"\0"].concat());
    forged.push(b"victim".to_vec());
    for token in &forged {
        let reply = [frame(MORE, token), frame(MORE, b""), frame(0, b"forged")];
        forger.send(&reply.concat());
    }
    // Nothing behind the token.
    forger.send(&frame(0, &token));
    let all = forged.len() as u64 + 1;
    let statistics = scene.until("they are counted", ms(2000), |statistics| {
        count(statistics, "from_backend.dropped.unknown-token") >= all
    });
    let dropped = &statistics["from_backend"]["dropped"];
    assert_eq!(*dropped, serde_json::json!({ "unknown-token": all }));

    // Answers that nobody waits for: the good client knows them by their numbers.
    for _ in 0..50 {
        let reply = [frame(MORE, &token), frame(MORE, b""), frame(0, b"replayed")];
        forger.send(&reply.concat());
    }
    scene.good.until_rounds(5);
    drop(forger);
    scene.until("it has gone", ms(1000), |statistics| {
        statistics["backend"]["peers"] == 1
    });
    assert!(victim.try_recv().is_err(), "nobody answered it");
    ask(&victim, "after");
    scene.end();
}
