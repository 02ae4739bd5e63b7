//! Time limits of streams that nobody runs: an iterator that waits for room has no thread that
//! would notice the time.
//!
//! One thread watches them all, from the first that has to be watched until none is left. A stream
//! that is parked and goes on thousands of times a second is entered once: the watch finds it
//! waiting since later, and looks again then.
//!
//! # Invariants
//!
//! 1. A stream whose caller gives no room ends by the item timeout, or by its deadline. (tests
//!    `a_caller_that_gives_no_room_is_told_at_the_item_timeout`,
//!    `a_stream_that_waits_for_room_ends_by_its_deadline`)
//! 2. What has ended is watched no longer. (test `what_has_ended_is_watched_no_longer`)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Stream;
use crate::server::serve::{Phase, Shared};

/// When a stream is looked at, and what tells it from others of the same moment.
pub(super) type Key = (Instant, u64);

/// The thread is kept for so long with nothing to watch.
const REST: Duration = Duration::from_secs(1);

/// Streams and when to look at them.
pub(in crate::server) struct Watch<T> {
    state: Mutex<Watched<T>>,
    news: Condvar,
}

struct Watched<T> {
    due: BTreeMap<Key, T>,
    number: u64,
    /// A thread watches.
    watching: bool,
    closed: bool,
}

impl<T> Watch<T> {
    pub(in crate::server) fn new() -> Self {
        Watch {
            state: Mutex::new(Watched {
                due: BTreeMap::new(),
                number: 0,
                watching: false,
                closed: false,
            }),
            news: Condvar::new(),
        }
    }

    pub(super) fn forget(&self, key: Key) {
        let forgotten = self.state.lock().due.remove(&key);
        drop(forgotten);
    }

    /// Watches nothing any more.
    pub(in crate::server) fn close(&self) {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.due)
        };
        self.news.notify_all();
        drop(left);
    }

    /// Enters a stream; also says whether a thread is to be started.
    fn enter(&self, at: Instant, stream: T) -> (Option<Key>, bool) {
        let mut state = self.state.lock();
        if state.closed {
            return (None, false);
        }
        state.number += 1;
        let key = (at, state.number);
        let sooner = state
            .due
            .first_key_value()
            .is_none_or(|(first, _)| key < *first);
        state.due.insert(key, stream);
        let starts = !std::mem::replace(&mut state.watching, true);
        drop(state);
        if sooner && !starts {
            self.news.notify_one();
        }
        (Some(key), starts)
    }

    /// Waits for the next stream that is due; nothing once there is nothing to watch.
    fn next(&self) -> Option<T> {
        let mut state = self.state.lock();
        let rest = Instant::now() + REST;
        loop {
            let now = Instant::now();
            let first = state.due.first_key_value().map(|(key, _)| *key);
            let until = match first {
                Some(key) if key.0 <= now => return state.due.remove(&key),
                Some(key) => key.0,
                None if state.closed || now >= rest => {
                    state.watching = false;
                    return None;
                }
                None => rest,
            };
            self.news.wait_until(&mut state, until);
        }
    }
}

impl Shared {
    /// A stream has been parked: sees to it that somebody notices its time.
    pub(super) fn watch_parked(self: &Arc<Self>, stream: &Arc<Stream>) {
        {
            let state = stream.lock();
            if state.watched.is_some() || state.ended {
                return;
            }
        }
        self.enter_watch(stream);
    }

    fn enter_watch(self: &Arc<Self>, stream: &Arc<Stream>) {
        let (stale, starts) = {
            let mut state = stream.lock();
            let Some((at, _)) = stream.times_out(&state) else {
                state.watched = None;
                return;
            };
            if state.ended {
                return;
            }
            let (key, starts) = self.watch.enter(at, stream.clone());
            (std::mem::replace(&mut state.watched, key), starts)
        };
        if let Some(key) = stale {
            self.watch.forget(key);
        }
        if starts {
            self.start_watch();
        }
    }

    fn start_watch(self: &Arc<Self>) {
        let shared = self.clone();
        let watch = move || {
            while shared.phase() < Phase::Stopped
                && let Some(stream) = shared.watch.next()
            {
                shared.look_at(&stream);
            }
        };
        let thread = std::thread::Builder::new().name("bl-streams".to_owned());
        if thread.spawn(watch).is_err() {
            // Deadlines of streams that wait are noticed when their callers cancel.
            self.watch.state.lock().watching = false;
        }
    }

    /// Its time may be over.
    fn look_at(self: &Arc<Self>, stream: &Arc<Stream>) {
        let over = {
            let mut state = stream.lock();
            state.watched = None;
            stream
                .times_out(&state)
                .filter(|(at, _)| *at <= Instant::now())
        };
        match over {
            Some((_, why)) => {
                self.cut(stream, why);
            }
            None => self.enter_watch(stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_the_order_of_its_time() {
        let watch = Watch::new();
        let now = Instant::now();
        let (_, starts) = watch.enter(now, "second");
        assert!(starts, "nobody watches yet");
        let (_, starts) = watch.enter(now - Duration::from_millis(1), "first");
        assert!(!starts);
        watch.enter(now + Duration::from_millis(5), "later");
        let seen: Vec<_> = (0..3).filter_map(|_| watch.next()).collect();
        assert_eq!(seen, ["first", "second", "later"]);
        assert!(now.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    fn what_has_ended_is_watched_no_longer() {
        let watch = Watch::new();
        let due = Instant::now() - Duration::from_secs(1);
        let (Some(key), _) = watch.enter(due, "ended") else {
            panic!("it is open");
        };
        watch.enter(due, "goes on");
        watch.forget(key);
        assert_eq!(watch.next(), Some("goes on"));
        watch.close();
        assert_eq!(watch.next(), None);
        assert_eq!(watch.enter(due, "late"), (None, false));
    }
}
