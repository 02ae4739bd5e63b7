//! Peers that announce more than they may, or send byte by byte.

use std::time::Instant;

use crate::support::canary::Lasted;
use crate::support::ms;
use crate::support::raw::{COMMAND, MORE, Raw, announce, frame, greeting, opening};
use crate::support::scene::Scene;
use crate::support::system::Memory;

const PEERS: usize = 64;
/// What bookkeeping for 64 peers and their ends may cost, in KiB.
const BOOKS_KIB: u64 = 2 * 1024;

#[track_caller]
fn assert_grown(before: Memory, after: Memory, resident_kib: u64, virtual_kib: u64) {
    let resident = after.resident_most_kib - before.resident_most_kib;
    let address_space = after.virtual_most_kib - before.virtual_most_kib;
    assert!(
        resident <= resident_kib && address_space <= virtual_kib,
        "{resident} KiB more resident of {resident_kib}, {address_space} KiB more address space \
         of {virtual_kib}"
    );
}

pub(crate) fn sixty_four_peers_that_announce_a_gigabyte_are_closed_before_anything_is_allocated() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let mut peers: Vec<_> = (0..PEERS).map(|_| Raw::dealer(&address, b"")).collect();
    let before = scene.router.process.memory();
    for peer in &mut peers {
        peer.send(&announce(0, 1 << 30));
        peer.send(&[0; 1000]);
    }
    for peer in &mut peers {
        peer.until_closed(ms(500));
    }
    scene
        .router
        .until_closed(PEERS as u64, "frame-too-large", ms(500));
    assert_grown(before, scene.router.process.memory(), BOOKS_KIB, BOOKS_KIB);
    scene.end();
}

pub(crate) fn a_hundred_gigabytes_before_ready_are_refused_from_their_length() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let mut peers: Vec<_> = (0..PEERS).map(|_| Raw::connect(&address)).collect();
    let before = scene.router.process.memory();
    for (index, peer) in peers.iter_mut().enumerate() {
        let flags = if index % 2 == 0 { COMMAND } else { 0 };
        peer.send(&[greeting(), announce(flags, 100_000_000_000)].concat());
    }
    for peer in &mut peers {
        peer.until_closed(ms(500));
    }
    let half = PEERS as u64 / 2;
    scene
        .router
        .until_closed(half, "command-too-large", ms(500));
    scene
        .router
        .until_closed(half, "message-before-ready", ms(500));
    assert_grown(before, scene.router.process.memory(), BOOKS_KIB, BOOKS_KIB);
    scene.end();
}

pub(crate) fn the_largest_frames_allowed_are_allocated_as_they_arrive() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let mut peers: Vec<_> = (0..PEERS).map(|_| Raw::dealer(&address, b"")).collect();
    let before = scene.router.process.memory();
    for peer in &mut peers {
        // 64 MiB each, 4 GiB together: what the limit allows.
        peer.send(&announce(0, 64 << 20));
        peer.send(&[0; 20_000]);
    }
    // The router has taken what they sent once it has closed each for what comes next.
    for peer in &peers {
        peer.finish();
    }
    scene
        .router
        .until_closed(PEERS as u64, "peer-closed", ms(1000));
    // A first step of 1 MiB of address space each; resident is what came.
    let (came_kib, steps_kib) = (PEERS as u64 * 24, PEERS as u64 * 1028);
    let after = scene.router.process.memory();
    assert_grown(before, after, came_kib + BOOKS_KIB, steps_kib + BOOKS_KIB);
    scene.end();
}

pub(crate) fn frames_that_come_byte_by_byte_are_whole_in_the_end() {
    let scene = Scene::set(&[]);
    let address = scene.address();
    let text: Vec<u8> = (0..600).map(|n| n as u8).collect();
    let wire = [frame(MORE, b"first"), frame(0, &text)].concat();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut peers: Vec<_> = (0..5).map(|_| Raw::dealer(&address, b"")).collect();
                for byte in &wire {
                    peers.iter_mut().for_each(|peer| peer.send(&[*byte]));
                }
                for peer in &mut peers {
                    assert_eq!(peer.message().expect("an answer"), b"first");
                    assert_eq!(peer.message().expect("an answer"), text);
                }
            });
        }
    });
    let (good, figures) = scene.end();
    assert_eq!(figures.get("arrived"), good.rounds + 20);
}

pub(crate) fn a_handshake_that_comes_byte_by_byte_has_no_more_time_than_others() {
    let mut scene = Scene::set(&["handshake_timeout=300"]);
    let address = scene.address();
    let begin = Instant::now();
    let mut peers: Vec<_> = (0..20).map(|_| Raw::connect(&address)).collect();
    // A byte each 10 ms: the whole would take a second.
    for byte in opening("DEALER", b"slow") {
        let gone = scene.router.figures().closes("handshake-timeout");
        if gone == 20 {
            break;
        }
        peers.iter_mut().for_each(|peer| peer.send(&[byte]));
        crate::support::pass(ms(10));
    }
    Lasted::since(begin).assert_between(ms(300), ms(500), "closed after");
    let figures = scene.router.figures();
    assert_eq!(figures.closes("handshake-timeout"), 20, "{figures}");
    scene.end();
}
