//! Peers that announce more than they may, or send byte by byte.

use std::collections::BTreeMap;

use crate::suite::support::kinds::Kind;
use crate::suite::support::ms;
use crate::suite::support::raw::{COMMAND, MORE, Raw, announce, greeting};
use crate::suite::support::scene::Scene;

/// At each side, of each sort.
const PEERS: usize = 32;
/// What bookkeeping for the peers of a test and their ends may cost, in KiB.
const BOOKS_KIB: u64 = 4 * 1024;

pub(super) fn announced_gigabytes_close_their_peers_before_anything_is_allocated(kind: &Kind) {
    let scene = Scene::set_with_workers(kind, &[]);
    let before = scene.memory();
    for side in kind.sides() {
        let address = scene.address(side);
        let mut expected = BTreeMap::<&str, u64>::new();
        for index in 0..PEERS {
            let length = [1 << 30, 100_000_000_000, u64::MAX >> 1][index % 3];
            let (flags, name) = match index % 4 {
                0 => (COMMAND, "command-too-large"),
                1 => (MORE, "frame-too-large"),
                _ => (0, "frame-too-large"),
            };
            let mut peer = Raw::of(side.peers.kind, &address, b"");
            peer.dribble(&announce(flags, length));
            peer.send(&[0; 1000]);
            peer.until_closed(ms(500));
            *expected.entry(name).or_default() += 1;
        }
        // Before they have said who they are.
        let mut peers: Vec<_> = (0..PEERS).map(|_| Raw::connect(&address)).collect();
        for (index, peer) in peers.iter_mut().enumerate() {
            let (flags, name) = match index % 2 {
                0 => (COMMAND, "command-too-large"),
                _ => (0, "message-before-ready"),
            };
            peer.send(&[greeting(), announce(flags, 100_000_000_000)].concat());
            *expected.entry(name).or_default() += 1;
        }
        for peer in &mut peers {
            peer.until_closed(ms(500));
        }
        scene.until_closed(side, &expected);
    }
    scene.assert_grown(before, BOOKS_KIB);
    scene.end();
}

pub(super) fn the_largest_messages_allowed_are_allocated_as_they_arrive(kind: &Kind) {
    // Where each worker has its turn, two of them are enough to keep the good client busy.
    const WORKERS: usize = 2;
    let scene = Scene::set_with_workers(kind, &[]);
    let before = scene.memory();
    let mut sent_kib = 0;
    for side in kind.sides() {
        let address = scene.address(side);
        let count = if side.shares { WORKERS } else { PEERS };
        let mut peers: Vec<_> = (0..count)
            .map(|_| Raw::of(side.peers.kind, &address, b""))
            .collect();
        // Of one that may only receive, nothing is large.
        let name = if side.only_receives {
            "frame-too-large"
        } else {
            "peer-closed"
        };
        for peer in &mut peers {
            // 64 MiB each: what the limit allows.
            peer.send(&announce(0, 64 << 20));
        }
        for _ in 0..20 {
            for peer in &mut peers {
                peer.send(&[0; 1000]);
            }
        }
        // The device has taken what they sent once it has closed each for what comes next.
        for peer in &mut peers {
            peer.finish();
        }
        for peer in &mut peers {
            peer.until_closed(ms(500));
        }
        sent_kib += 24 * count as u64;
        scene.until_closed(side, &BTreeMap::from([(name, count as u64)]));
    }
    scene.assert_grown(before, sent_kib + BOOKS_KIB);
    scene.end();
}
