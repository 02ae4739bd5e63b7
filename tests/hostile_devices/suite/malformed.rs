//! Peers that break the protocol, each in another way, or leave in the middle.

use std::collections::BTreeMap;

use crate::suite::support::breaches::{self, Breach};
use crate::suite::support::kinds::Kind;
use crate::suite::support::ms;
use crate::suite::support::raw::{LONG, MORE, Raw, frame, opening, ping};
use crate::suite::support::scene::Scene;

const LIMIT: [&str; 2] = ["--message-bytes", "1000"];

pub(super) fn each_breach_closes_its_peer_and_is_counted_under_its_name(kind: &Kind) {
    let scene = Scene::set_with_workers(kind, &LIMIT);
    for side in kind.sides() {
        let address = scene.address(side);
        let mut expected = BTreeMap::<&str, u64>::new();
        let list = breaches::all(&side.peers);
        // All of them at once, each in one piece; then one after the other, byte by byte.
        let mut peers: Vec<_> = list.iter().map(|_| Raw::connect(&address)).collect();
        for (peer, Breach { bytes, .. }) in peers.iter_mut().zip(&list) {
            peer.send(bytes);
        }
        for (peer, Breach { name, .. }) in peers.iter_mut().zip(&list) {
            peer.until_closed(ms(500));
            *expected.entry(name).or_default() += 1;
        }
        scene.until_closed(side, &expected);
        for Breach { what, bytes, name } in &list {
            let mut peer = Raw::connect(&address);
            peer.dribble(bytes);
            peer.until_closed(ms(500));
            *expected.entry(name).or_default() += 1;
            let place = format!("{}.closes.{name}", side.name);
            scene.until(what, ms(500), |statistics| {
                crate::suite::support::scene::count(statistics, &place) == expected[name]
            });
        }
        scene.until_closed(side, &expected);
        scene.until("nothing of them is left", ms(500), |statistics| {
            statistics[side.name]["connections"] == 1
        });
    }
    scene.end();
}

pub(super) fn a_dialogue_cut_at_any_byte_closes_one_peer_and_delivers_no_part(kind: &Kind) {
    let scene = Scene::set_with_workers(kind, &LIMIT);
    for side in kind.sides() {
        let address = scene.address(side);
        let mut dialogue = opening(side.peers.kind, b"cut");
        dialogue.extend(ping(0, b"context"));
        dialogue.extend(frame(MORE, b"part"));
        dialogue.extend(frame(LONG, b"")[..1].iter().chain(&8u64.to_be_bytes()));
        dialogue.extend(b"1234567");
        for length in 0..=dialogue.len() {
            let mut peer = Raw::connect(&address);
            peer.send(&dialogue[..length]);
            peer.finish();
            peer.until_closed(ms(500));
        }
        let count = dialogue.len() as u64 + 1;
        scene.until_closed(side, &BTreeMap::from([("peer-closed", count)]));
    }
    let (_, statistics) = scene.end();
    // Nothing came from a worker or a subscriber but what the good one sent.
    let (asked, answered) = (
        &statistics["from_frontend"]["messages"],
        &statistics["from_backend"]["messages"],
    );
    match kind.program {
        "bl-queue" => assert!(answered.as_u64() <= asked.as_u64(), "{statistics}"),
        // It subscribes, and at its end no more.
        "bl-forwarder" => assert!(answered.as_u64() <= Some(2), "{statistics}"),
        _ => assert_eq!(*answered, 0, "{statistics}"),
    }
}
