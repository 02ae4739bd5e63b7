//! Peers that break the protocol, each in another way, or leave in the middle.

use std::collections::BTreeMap;

use crate::support::breaches::{self, Breach, Peers};
use crate::support::ms;
use crate::support::raw::{LONG, MORE, Raw, frame, opening, ping};
use crate::support::scene::Scene;

const LIMITS: [&str; 3] = [
    "frame_bytes_max=1000",
    "frames_max=4",
    "message_bytes_max=2500",
];
const PEERS: Peers = Peers {
    kind: "DEALER",
    welcome: &["REQ", "DEALER", "ROUTER"],
    subscribe: false,
    frame_bytes_max: 1000,
    frames_max: 4,
    message_bytes_max: 2500,
};

pub(crate) fn each_breach_closes_its_peer_and_is_counted_under_its_name() {
    let mut scene = Scene::set(&LIMITS);
    let address = scene.address();
    let mut expected = BTreeMap::<&str, u64>::new();
    for Breach { what, bytes, name } in breaches::all(&PEERS) {
        // At once, and byte by byte.
        for whole in [true, false] {
            let mut peer = Raw::connect(&address);
            if whole {
                peer.send(&bytes);
            } else {
                peer.dribble(&bytes);
            }
            peer.until_closed(ms(500));
            *expected.entry(name).or_default() += 1;
            let figures = scene
                .router
                .until(ms(500), |figures| figures.closes(name) >= expected[name]);
            assert_eq!(figures.all_closes(), expected, "{what}");
        }
    }
    // Nothing of a bad peer is left.
    scene
        .router
        .until(ms(500), |figures| figures.get("connections") == 1);
    let (good, figures) = scene.end();
    assert_eq!(
        figures.get("arrived"),
        good.rounds,
        "nothing of a bad peer was delivered"
    );
}

pub(crate) fn a_dialogue_cut_at_any_byte_closes_one_peer_and_delivers_no_part() {
    let mut scene = Scene::set(&LIMITS);
    let address = scene.address();
    let mut dialogue = opening("DEALER", b"cut");
    let handshake = dialogue.len();
    dialogue.extend(ping(0, b"context"));
    dialogue.extend(frame(MORE, b"drop"));
    dialogue.extend(frame(LONG, b"")[..1].iter().chain(&8u64.to_be_bytes()));
    dialogue.extend(b"12345678");
    let lengths = 0..=dialogue.len();
    let count = lengths.clone().count() as u64;
    for length in lengths.clone() {
        let mut peer = Raw::connect(&address);
        peer.send(&dialogue[..length]);
        peer.finish();
        peer.until_closed(ms(500));
    }
    let figures = scene.router.until_closed(count, "peer-closed", ms(500));
    assert_eq!(
        figures.all_closes(),
        BTreeMap::from([("peer-closed", count)])
    );

    // The same, by a reset: what the system says of it depends on the moment.
    for length in lengths {
        let mut peer = Raw::connect(&address);
        peer.send(&dialogue[..length]);
        if length >= handshake {
            // Past the router's READY, so that the reset finds the peer in.
            peer.skip_greeting();
            peer.frame().expect("the router says READY");
        }
        peer.reset();
    }
    // One is counted as closed before it is not counted as open any more. Nothing of a bad peer is left.
    let figures = scene.router.until(ms(500), |figures| {
        figures.all_closes().values().sum::<u64>() >= 2 * count && figures.get("connections") == 1
    });
    let names: Vec<_> = figures.all_closes().into_keys().collect();
    assert!(
        names
            .iter()
            .all(|name| ["peer-closed", "io-error"].contains(name)),
        "{figures}"
    );

    let (good, figures) = scene.end();
    // A reset may overtake the message that went before it.
    let whole = figures.get("arrived") - good.rounds;
    assert!(
        (1..=2).contains(&whole),
        "{whole} messages of one that came whole twice"
    );
}
