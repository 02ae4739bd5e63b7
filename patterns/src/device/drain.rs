//! The end of a device: what has come is passed on while there is time, then everything closes.
//!
//! # Invariants
//!
//! 1. The end takes no longer than the linger time, and a moment for each socket in which
//!    connections end. (test `an_end_waits_no_longer_than_it_may`)
//! 2. Requests that were taken are answered before the end, if the workers answer in time. (test
//!    `an_end_waits_for_the_replies_to_what_was_asked`)
//! 3. Who takes what is passed on may pause within that time. (test
//!    `an_end_waits_for_who_takes_the_work`)

use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use super::counts::Way;
use super::place::Side;
use super::run::{BUDGET, Run};
use super::state::State;
use super::statistics::{Left, Report};
use super::traffic::Rest;

/// The silence after which no more is expected.
const QUIET: Duration = Duration::from_millis(100);
/// What onlookers and controllers are given to read the last of theirs.
const LAST_WORD: Duration = Duration::from_millis(250);

/// Passes on what is left, and closes everything.
pub(super) fn drain(mut run: Run<'_>, copier: ScopedJoinHandle<'_, ()>) -> Report {
    let inner = run.inner;
    inner.steering.becomes(State::Draining);
    let begin = Instant::now();
    let linger = *inner.linger.lock();
    let deadline = begin.checked_add(linger);
    let rest = || deadline.map_or(linger, |at| at.saturating_duration_since(Instant::now()));

    inner.ends.unlisten(Side::Frontend);
    pass_the_rest(&mut run, deadline);
    // No more copies: their thread sends what it has, and ends.
    run.copies = None;

    let unanswered = run.traffic.awaited();
    let held = run.holds();
    let mut left = Left {
        unread: held as u64,
        unsent: 0,
        unanswered,
    };
    for side in [Side::Frontend, Side::Backend] {
        left.unsent += inner.ends.close(side, rest()).messages as u64;
        left.unread += inner.ends.stats(side).dropped.get("closed").unwrap_or(&0);
    }
    if copier.join().is_err() {
        log::error!("the thread of the capture ended in a panic");
    }
    // What is lost of either is in their counts.
    for side in [Side::Capture, Side::Control] {
        let _ = inner.ends.close(side, LAST_WORD.min(linger));
    }
    inner.steering.becomes(State::Ended);
    Report {
        statistics: inner.statistics(),
        left,
        took: begin.elapsed(),
    }
}

fn pass_the_rest(run: &mut Run<'_>, deadline: Option<Instant>) {
    let rest = run.traffic.rest();
    let mut to_read = match rest {
        Rest::Arrived => run.inner.ends.stats(Side::Frontend).recv_queue_messages,
        Rest::UntilQuiet => usize::MAX,
    };
    loop {
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return;
        }
        // One that is held has been read.
        let budget = to_read.max(run.holds()).min(BUDGET);
        let held = run.holds();
        let requests = run.pass(Way::FromFrontend, budget);
        to_read = to_read.saturating_sub(requests.saturating_sub(held));
        if requests + run.pass(Way::FromBackend, BUDGET) > 0 {
            continue;
        }
        let reads = to_read > 0 || run.holds() > 0;
        if !reads && run.traffic.awaited() == 0 {
            return;
        }
        // While one is held there is no silence: it is we who do not read.
        let listens = rest == Rest::UntilQuiet && !run.holds_of(Way::FromFrontend);
        let quiet = Instant::now() + QUIET;
        let until = match listens {
            true => Some(deadline.map_or(quiet, |deadline| deadline.min(quiet))),
            false => deadline,
        };
        if !run.wait(State::Draining, [reads, true], until) && listens {
            to_read = 0;
        }
    }
}
