//! Peers that ask for answers all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::suite::support::kinds::Kind;
use crate::suite::support::raw::{COMMAND, Raw, ping};
use crate::suite::support::scene::Scene;
use crate::suite::support::{hold, ms, pass};

/// PINGs in one write, one write each [`BEAT`]: 10,000 a second.
const BURST: usize = 100;
const BEAT: Duration = ms(10);
/// PINGs that are answered in a second.
const RATE: u64 = 100;
/// How long it goes on.
const SIEGE: Duration = ms(1000);
const BOOKS_KIB: u64 = 4 * 1024;

pub(super) fn ten_thousand_pings_a_second_at_either_side_are_answered_at_a_hundred(kind: &Kind) {
    let scene = Scene::set_with_workers(kind, &[]);
    let before = scene.memory();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut floods = Vec::new();
        for side in kind.sides() {
            let address = scene.address(side);
            let peer = Raw::of(side.peers.kind, &address, b"");
            // One that never reads an answer, too.
            let mut deaf = Raw::of(side.peers.kind, &address, b"");
            let over = &over;
            let pongs = AtomicU64::new(0);
            floods.push(scope.spawn(move || {
                let begin = Instant::now();
                let sent = std::thread::scope(|scope| {
                    let mut reader = peer.clone();
                    let pongs = &pongs;
                    scope.spawn(move || {
                        while let Ok((flags, body)) = reader.frame() {
                            let pong = flags & COMMAND != 0 && body == b"\x04PONGflood";
                            pongs.fetch_add(u64::from(pong), Ordering::Relaxed);
                        }
                    });
                    let mut writer = peer.clone();
                    let burst = ping(0, b"flood").repeat(BURST);
                    let mut sent = 0;
                    while !over.load(Ordering::Relaxed) {
                        writer.send(&burst);
                        deaf.send(&burst);
                        sent += BURST as u64;
                        pass(BEAT);
                    }
                    // The reader sees the end of it.
                    writer.finish();
                    sent
                });
                (sent, pongs.into_inner(), begin.elapsed())
            }));
        }
        pass(SIEGE);
        over.store(true, Ordering::Relaxed);
        for flood in floods {
            let (sent, answered, lasted) = flood.join().expect("it floods");
            // As many as the machine is fast enough for, and far more than are answered.
            let rate = sent as f64 / lasted.as_secs_f64();
            let most = RATE * (lasted.as_secs() + 2);
            let seen = || format!("{answered} of {sent} answered in {lasted:?}");
            assert!(answered <= most, "{}", seen());
            hold(answered >= RATE, seen);
            hold(rate >= 20.0 * RATE as f64, || {
                format!("only {rate:.0} a second: no flood")
            });
        }
    });
    scene.assert_grown(before, BOOKS_KIB);
    scene.end();
}
