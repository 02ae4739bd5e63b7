//! Peers that come in numbers, or say nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::suite::support::canary::Lasted;
use crate::suite::support::kinds::Kind;
use crate::suite::support::ms;
use crate::suite::support::raw::{Raw, opening};
use crate::suite::support::scene::{Scene, closes, count};

/// What is kept of connections that have ended and of those under way, in KiB.
const BOOKS_KIB: u64 = 8 * 1024;

pub(super) fn connections_over_the_limit_are_refused_and_places_given_free_are_taken(kind: &Kind) {
    const FLOOD: u64 = 100;
    let scene = Scene::set_with_workers(kind, &["--connections", "20"]);
    let before = scene.memory();
    for side in kind.sides() {
        let address = scene.address(side);
        let begin = Instant::now();
        let mut peers: Vec<_> = (0..FLOOD).map(|_| Raw::connect(&address)).collect();
        // The good client has a place.
        let refused = peers.split_off(19);
        for mut peer in refused {
            peer.until_closed(ms(500));
        }
        let over = FLOOD - 19;
        scene.until_closed(side, &BTreeMap::from([("connection-limit", over)]));
        // The others had none taken away, unless the flood lasted longer than a handshake may.
        if begin.elapsed() < ms(1900) {
            let open = peers.iter().filter(|peer| !peer.is_closed()).count();
            assert_eq!(open, 19);
        }
        drop(peers);
        scene.until("they have gone", ms(500), |statistics| {
            statistics[side.name]["connections"] == 1
        });
        Raw::of(side.peers.kind, &address, b"newcomer");
    }
    scene.assert_grown(before, BOOKS_KIB);
    scene.end();
}

pub(super) fn mute_peers_are_closed_when_their_time_is_up_or_others_need_the_place(kind: &Kind) {
    // By default 256 handshakes may be under way, for 2 s, and who is through may be silent for 3.
    const MUTE: usize = 300;
    // One of these: where each worker has its turn, it keeps the good client busy.
    let scene = Scene::set_with_workers(kind, &[]);
    let before = scene.memory();
    let mut peers = Vec::new();
    let mut in_time = Vec::new();
    for side in kind.sides() {
        let address = scene.address(side);
        let begin = Instant::now();
        let peer = Raw::of(side.peers.kind, &address, b"");
        peers.push((begin, peer, 3000, 3800));
        // Mute from the start, or after a part of what they had to say.
        let opening = opening(side.peers.kind, b"");
        for index in 0..MUTE {
            let begin = Instant::now();
            let mut peer = Raw::connect(&address);
            peer.send(&opening[..index % opening.len()]);
            let soonest = if index < MUTE - 256 { 0 } else { 1900 };
            peers.push((begin, peer, soonest, 2600));
        }
        in_time.push(begin.elapsed() < ms(1900));
    }
    peers.sort_by_key(|(begin, _, _, latest)| *begin + ms(*latest));
    for (begin, peer, soonest, latest) in &mut peers {
        peer.until_closed(ms(*latest));
        Lasted::since(*begin).assert_between(ms(*soonest), ms(*latest), "closed after");
    }
    for (side, in_time) in kind.sides().into_iter().zip(in_time) {
        let statistics = scene.until("all are closed", ms(2000), |statistics| {
            closes(statistics, side).values().sum::<u64>() > MUTE as u64
        });
        let found = closes(&statistics, side);
        let of = |name: &str| found.get(name).copied().unwrap_or(0);
        let (evicted, late) = (of("evicted"), of("handshake-timeout"));
        assert_eq!(evicted + late, MUTE as u64, "{found:?}");
        assert_eq!(of("heartbeat-timeout"), 1, "{found:?}");
        assert!(found.len() == 3 || (!in_time && evicted == 0), "{found:?}");
        // Those whose time was up before the last one came made place for others.
        assert!(evicted == MUTE as u64 - 256 || !in_time, "{found:?}");
        let connections = count(&statistics, &format!("{}.connections", side.name));
        assert_eq!(connections, 1, "{statistics}");
    }
    scene.assert_grown(before, BOOKS_KIB);
    scene.end();
}
