//! Peers that ask for answers all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine};

use crate::support::good::patient;
use crate::support::raw::{COMMAND, Raw, ping};
use crate::support::scene::Scene;
use crate::support::{canary, eventually, hold, ms, pass};

/// PINGs in one write, one write each [`BEAT`]: 10,000 a second.
const BURST: usize = 100;
const BEAT: Duration = ms(10);
/// PINGs that are answered in a second.
const RATE: u64 = 100;
/// Calls a second without the flood for which the test proves something, and the share of them
/// that a flood has to leave. Without optimisation those who flood, in the caller's process, want
/// the same cores.
const ENOUGH: f64 = if cfg!(debug_assertions) {
    100.0
} else {
    1000.0
};
const LEFT: f64 = if cfg!(debug_assertions) { 0.5 } else { 0.9 };

/// Floods while `on`, until `over`; gives the number of PINGs sent.
fn flood(mut peer: Raw, on: &AtomicBool, over: &AtomicBool) -> u64 {
    let burst = ping(0, b"flood").repeat(BURST);
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        if on.load(Ordering::Relaxed) {
            peer.send(&burst);
            sent += BURST as u64;
        }
        pass(BEAT);
    }
    sent
}

/// Counts the PONGs that come, until the connection ends.
fn count_pongs(mut peer: Raw, pongs: &AtomicU64) {
    while let Ok((flags, body)) = peer.frame() {
        if flags & COMMAND != 0 && body == b"\x04PONGflood" {
            pongs.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) fn ten_thousand_pings_a_second_are_answered_at_a_hundred_and_all_are_counted() {
    let mut scene = Scene::set(&[]);
    let peer = Raw::dealer(&scene.address(), b"");
    let (on, over, pongs) = (
        AtomicBool::new(true),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    std::thread::scope(|scope| {
        let begin = Instant::now();
        let flooding = scope.spawn(|| flood(peer.clone(), &on, &over));
        scope.spawn(|| count_pongs(peer.clone(), &pongs));
        pass(ms(1500));
        over.store(true, Ordering::Relaxed);
        let sent = flooding.join().expect("it floods");
        let lasted = begin.elapsed();
        // Each was answered, or counted as not answered.
        let figures = scene.router.until(ms(1000), |figures| {
            figures.get("pings_unanswered") + pongs.load(Ordering::Relaxed) == sent
        });
        let answered = pongs.load(Ordering::Relaxed);
        let most = RATE * (lasted.as_secs() + 2);
        assert!(
            (RATE..=most).contains(&answered),
            "{answered} answered, {figures}"
        );
        peer.finish();
        // As many in a second as the machine is fast enough for, and far more than are answered.
        let rate = sent as f64 / lasted.as_secs_f64();
        hold(rate >= 20.0 * RATE as f64, || {
            format!("only {rate:.0} a second: no flood")
        });
    });
    scene.end();
}

pub(crate) fn a_flood_of_pings_costs_the_others_at_most_a_tenth() {
    const PAIRS: usize = 7;
    const SLICE: Duration = ms(50);
    let mut scene = Scene::set_slow(&[], ms(20));
    let peer = Raw::dealer(&scene.address(), b"");
    let (on, over, pongs) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    let calls = AtomicU64::new(0);
    // Pairs of slices: those in which the machine did not stall, and the others.
    let (mut calm, mut stalled) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| flood(peer.clone(), &on, &over));
        scope.spawn(|| count_pongs(peer.clone(), &pongs));
        // As many calls as one client can make.
        scope.spawn(|| {
            let engine = Engine::new().expect("descriptors are free");
            let dealer = Dealer::with(patient(&engine)).expect("options within bounds");
            dealer
                .connect_to(&scene.router.endpoint)
                .expect("an endpoint to connect to");
            while !over.load(Ordering::Relaxed) {
                dealer.send("call").expect("a peer is connected");
                dealer.recv_timeout(ms(30_000)).expect("an answer");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        eventually("calls are made", ms(1000), || {
            (calls.load(Ordering::Relaxed) > 100).then_some(())
        });
        let slice = |flooded: bool| {
            on.store(flooded, Ordering::Relaxed);
            // What the other slice left behind is not this one's.
            pass(2 * BEAT);
            let (begin, before) = (Instant::now(), calls.load(Ordering::Relaxed));
            pass(SLICE);
            let (end, after) = (Instant::now(), calls.load(Ordering::Relaxed));
            let rate = (after - before) as f64 / (end - begin).as_secs_f64();
            (rate, canary::stalled(begin, end))
        };
        // Rounds in which the machine stalled are taken again; not for ever.
        for pair in 0..3 * PAIRS {
            let flooded_first = pair % 2 == 0;
            let (first, second) = (slice(flooded_first), slice(!flooded_first));
            let (flooded, quiet) = match flooded_first {
                true => (first, second),
                false => (second, first),
            };
            let pairs = match flooded.1 || quiet.1 {
                true => &mut stalled,
                false => &mut calm,
            };
            pairs.push((flooded.0 / quiet.0.max(1.0), quiet.0));
            if calm.len() == PAIRS {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        peer.finish();
    });
    // A machine that stalls in every slice does so with and without the flood.
    let pairs = if calm.is_empty() { stalled } else { calm };
    let (mut ratios, mut rates): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    ratios.sort_by(f64::total_cmp);
    rates.sort_by(f64::total_cmp);
    let (median, rate) = (ratios[ratios.len() / 2], rates[rates.len() / 2]);
    hold(rate >= ENOUGH, || {
        format!("only {rate:.0} calls a second without the flood")
    });
    hold(median >= LEFT, || {
        format!("{median:.2} of {rate:.0} calls a second are left; {ratios:.2?}")
    });
    let figures = scene.router.figures();
    assert!(
        pongs.load(Ordering::Relaxed) > 0,
        "there was a flood: {figures}"
    );
    scene.end();
}
