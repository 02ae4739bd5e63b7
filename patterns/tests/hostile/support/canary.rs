//! Sees the machine stall.
//!
//! A thread on each core sleeps a millisecond at a time. Where a sleep lasts [`STALL`] longer, the
//! core was taken away, by the hypervisor or by somebody else's load, and what happened meanwhile
//! took that much longer for no fault of the library. A busy thread of the library's own makes a
//! sleeper late now and then, not all the time: what it keeps waiting still shows in the worst of
//! many round trips.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};

use super::system::tasks;
use super::waiting::hold;

const NAP: Duration = Duration::from_millis(1);
/// Lateness from which on it is a stall.
const STALL: Duration = Duration::from_millis(2);
/// Stalls that are remembered: minutes of a badly loaded machine.
const STALLS_MAX: usize = 100_000;

type Stalls = Mutex<Vec<(Instant, Instant)>>;

static STALLS: OnceLock<Stalls> = OnceLock::new();

/// Begins to watch; once in a process.
pub(crate) fn begin() {
    STALLS.get_or_init(|| {
        let cores = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        for core in (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)) {
            thread::spawn(move || {
                let mut own = CpuSet::new();
                own.set(core);
                // One that could not be pinned still sees a stall of the whole machine.
                let _ = sched_setaffinity(None, &own);
                watch();
            });
        }
        Mutex::default()
    });
}

fn watch() {
    loop {
        let due = Instant::now() + NAP;
        thread::sleep(NAP);
        let now = Instant::now();
        if now.saturating_duration_since(due) < STALL {
            continue;
        }
        let Some(stalls) = STALLS.get() else { continue };
        let mut stalls = stalls.lock();
        if stalls.len() < STALLS_MAX {
            stalls.push((due, now));
        }
    }
}

/// The time from `begin` to `end` without what the machine stood still.
pub(crate) fn net(begin: Instant, end: Instant) -> Duration {
    let whole = end.saturating_duration_since(begin);
    let Some(stalls) = STALLS.get() else {
        return whole;
    };
    let mut within: Vec<_> = stalls
        .lock()
        .iter()
        .map(|(from, to)| ((*from).max(begin), (*to).min(end)))
        .filter(|(from, to)| from < to)
        .collect();
    within.sort_unstable();
    let mut stalled = Duration::ZERO;
    let mut covered = begin;
    for (from, to) in within {
        let from = from.max(covered);
        stalled += to.saturating_duration_since(from);
        covered = covered.max(to);
    }
    whole.saturating_sub(stalled)
}

/// Whether the machine stood still between the two.
pub(crate) fn stalled(begin: Instant, end: Instant) -> bool {
    net(begin, end) < end.saturating_duration_since(begin)
}

/// How long some threads have waited for a core, all together.
///
/// A round trip takes that much longer where others want the cores, too.
#[derive(Debug)]
pub(crate) struct Delays(Vec<File>);

impl Delays {
    /// Of the calling thread, and of all threads that `process` has now.
    pub(crate) fn of(process: u32) -> Self {
        let own = (std::process::id(), gettid().as_raw_nonzero().get());
        let theirs = tasks(process).into_iter().map(|task| (process, task));
        let files = std::iter::once(own)
            .chain(theirs)
            .filter_map(|(process, task)| {
                File::open(format!("/proc/{process}/task/{task}/schedstat")).ok()
            });
        Delays(files.collect())
    }

    pub(crate) fn total(&self) -> Duration {
        let mut text = [0; 64];
        let mut ns = 0;
        for file in &self.0 {
            // A thread that has ended waits for nothing.
            let count = file.read_at(&mut text, 0).unwrap_or(0);
            let text = std::str::from_utf8(&text[..count]).unwrap_or_default();
            let waited = text.split_whitespace().nth(1).map(str::parse::<u64>);
            ns += waited.and_then(Result::ok).unwrap_or(0);
        }
        Duration::from_nanos(ns)
    }
}

/// A bar on a time, with its slack: without optimisation, on cores that others want, too, all that
/// has to be done takes longer. What a bar tells apart, a timer of half a second from one of three,
/// is told apart still.
fn slackened(most: Duration) -> Duration {
    match cfg!(debug_assertions) {
        true => most * 3 / 2 + Duration::from_secs(2),
        false => most,
    }
}

/// How long something lasted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasted {
    whole: Duration,
    net: Duration,
}

impl Lasted {
    /// From `begin` until now.
    pub(crate) fn since(begin: Instant) -> Self {
        let end = Instant::now();
        Lasted {
            whole: end - begin,
            net: net(begin, end),
        }
    }

    /// It lasted for `least`, and, without the machine's stalls, no longer than `most`, with its
    /// slack.
    #[track_caller]
    pub(crate) fn assert_between(self, least: Duration, most: Duration, what: &str) {
        let most = slackened(most);
        let seen = || {
            format!(
                "{what} {:?} ({:?} with the machine's stalls), not {least:?} to {most:?}",
                self.net, self.whole
            )
        };
        // What is too early is no noise.
        assert!(self.whole >= least, "{}", seen());
        hold(self.net <= most, seen);
    }

    /// Without the machine's stalls it lasted no longer than `most`, with its slack.
    #[track_caller]
    pub(crate) fn assert_within(self, most: Duration, what: &str) {
        self.assert_between(Duration::ZERO, most, what);
    }
}
