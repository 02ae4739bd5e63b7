//! Small items that a worker has made, until they are gathered: it puts them there without a lock,
//! and whoever holds the stream's lock takes them.
//!
//! ```text
//! worker: put, put, put ...──► bytes, and how far they are made ──► take: the worker, once its run
//!                                                                   is over; or who hears a window
//! ```
//!
//! So an item costs its worker two stores and a fence beside its bytes, and does not wait where its
//! iterator takes long over the next one.
//!
//! # Invariants
//!
//! 1. An item is taken whole and once, whichever thread takes it. (test
//!    `items_are_taken_whole_and_once_while_others_are_put`)
//! 2. What was put goes with the next window, though the iterator has not come back. (test
//!    `items_gather_while_the_caller_is_slow_and_go_when_a_window_comes`)
//! 3. Of a window and an item that cross, one finds the other. (test
//!    `a_window_and_an_item_that_cross_find_each_other`)
//!
//! # Not here
//!
//! How many may be put (`crate::machine`), and what is made of them (`outgoing.rs`).

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

/// Bytes that are made before the lock is taken: some hundred of the smallest items.
const STRIP_BYTES: usize = 2 * 1024;
/// An item of more bytes is worth the lock.
pub(super) const ITEM_BYTES_MAX: usize = 128;

/// Items that one thread puts, and others take.
pub(super) struct Strip {
    bytes: Box<[AtomicU8]>,
    /// Items that are put, and where they end: in one, so that they are seen together.
    put: AtomicU64,
    /// A window has come since the worker looked.
    news: AtomicBool,
}

/// Items that were taken from a strip since it was begun anew, and where they end. It belongs to
/// the stream's lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    items: u32,
    end: u32,
}

impl Strip {
    pub(super) fn new() -> Self {
        Strip {
            bytes: (0..STRIP_BYTES).map(|_| AtomicU8::new(0)).collect(),
            put: AtomicU64::new(0),
            news: AtomicBool::new(false),
        }
    }

    /// Begins anew: all that was put has been taken. By the thread that puts, with the lock.
    pub(super) fn begin(&self, taken: &mut Taken) {
        *taken = Taken::default();
        self.put.store(0, Ordering::Relaxed);
        self.news.store(false, Ordering::Relaxed);
    }

    /// A window has come: the worker asks anew what it may do.
    pub(super) fn tell(&self) {
        self.news.store(true, Ordering::Relaxed);
        // Before what was put is taken: see `goes_on`.
        fence(Ordering::SeqCst);
    }

    /// Moves what was put since into `to`: how many items. With the lock.
    pub(super) fn take(&self, taken: &mut Taken, to: &mut Vec<u8>) -> u32 {
        let put = self.put.load(Ordering::Acquire);
        let now = Taken {
            items: (put >> 32) as u32,
            end: put as u32,
        };
        let items = now.items.saturating_sub(taken.items);
        if items > 0 {
            let bytes = self.bytes.get(taken.end as usize..now.end as usize);
            let bytes = bytes.unwrap_or_default().iter();
            to.extend(bytes.map(|byte| byte.load(Ordering::Relaxed)));
            *taken = now;
        }
        items
    }
}

/// What a worker may put: until the lock is taken again.
pub(super) struct Run<'s> {
    strip: &'s Strip,
    items: u32,
    end: usize,
    items_max: u32,
    bytes_max: usize,
}

impl<'s> Run<'s> {
    /// One that has just been [begun](Strip::begin), for at most so many items and bytes.
    pub(super) fn new(strip: &'s Strip, items_max: u64, bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Run {
            strip,
            items: 0,
            end: 0,
            items_max: u32::try_from(items_max).unwrap_or(u32::MAX),
            bytes_max: bytes_max.min(strip.bytes.len()),
        }
    }

    /// Puts an item; false if there is no room for it here.
    #[inline]
    pub(super) fn put(&mut self, item: &[u8]) -> bool {
        let end = self.end + item.len();
        if item.len() > ITEM_BYTES_MAX || end > self.bytes_max || self.items >= self.items_max {
            return false;
        }
        let Some(room) = self.strip.bytes.get(self.end..end) else {
            return false;
        };
        for (to, byte) in room.iter().zip(item) {
            to.store(*byte, Ordering::Relaxed);
        }
        self.end = end;
        self.items += 1;
        let put = u64::from(self.items) << 32 | end as u64;
        self.strip.put.store(put, Ordering::Release);
        true
    }

    /// Whether another item may be made before the lock is taken.
    #[inline]
    pub(super) fn goes_on(&self) -> bool {
        let room = self.strip.bytes.len() - self.end >= ITEM_BYTES_MAX;
        // What was put is seen by whoever brings a window, or the window here: the iterator may be
        // about to wait for what its caller does with the item.
        fence(Ordering::SeqCst);
        room && self.items < self.items_max && !self.strip.news.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_taken_whole_and_once_while_others_are_put() {
        let strip = Strip::new();
        let (mut got, mut taken) = (Vec::new(), Taken::default());
        std::thread::scope(|scope| {
            let putting = scope.spawn(|| {
                let mut run = Run::new(&strip, 200, u64::MAX);
                let mut put = 0u8;
                // Each is as many bytes as its number says, of that number.
                while run.goes_on() && run.put(&vec![put % 16; usize::from(put % 16)]) {
                    put += 1;
                }
                put
            });
            let mut items = 0;
            while !putting.is_finished() {
                let before = got.len();
                items += strip.take(&mut taken, &mut got);
                assert!(items > 0 || got.len() == before);
            }
            items += strip.take(&mut taken, &mut got);
            let put = putting.join().unwrap();
            assert_eq!((items, put), (200, 200));
        });
        let expected = (0..200u8).flat_map(|put| vec![put % 16; usize::from(put % 16)]);
        assert!(expected.eq(got));
        assert_eq!(strip.take(&mut taken, &mut Vec::new()), 0);
    }

    #[test]
    fn what_does_not_fit_is_not_put() {
        let strip = Strip::new();
        let mut run = Run::new(&strip, 3, 100);
        assert!(!run.put(&[1; 101]), "of so many bytes there is no room");
        assert!(run.put(&[1; 60]) && !run.put(&[2; 41]) && run.put(&[3; 40]));
        assert!(run.put(&[]) && !run.goes_on() && !run.put(&[]));
        let mut run = Run::new(&strip, u64::MAX, u64::MAX);
        assert!(!run.put(&[1; ITEM_BYTES_MAX + 1]) && run.put(&[1; ITEM_BYTES_MAX]));
        assert!(run.goes_on());
        strip.tell();
        assert!(!run.goes_on());
        strip.begin(&mut Taken::default());
        assert!(run.goes_on());
    }

    #[test]
    fn a_window_and_an_item_that_cross_find_each_other() {
        const STRIPS: usize = 512;
        let strips: Vec<Strip> = (0..STRIPS).map(|_| Strip::new()).collect();
        for _ in 0..3000 {
            let anew = |strip: &Strip| strip.begin(&mut Taken::default());
            strips.iter().for_each(anew);
            let begins = std::sync::Barrier::new(2);
            let missed = std::thread::scope(|scope| {
                let puts = scope.spawn(|| {
                    begins.wait();
                    let put = strips.iter().map(|strip| {
                        let mut run = Run::new(strip, 10, 100);
                        run.put(&[1]) && run.goes_on()
                    });
                    put.collect::<Vec<_>>()
                });
                begins.wait();
                let took = strips.iter().map(|strip| {
                    strip.tell();
                    strip.take(&mut Taken::default(), &mut Vec::new()) == 0
                });
                let took: Vec<_> = took.collect();
                let unseen = puts.join().unwrap();
                unseen
                    .into_iter()
                    .zip(took)
                    .filter(|it| *it == (true, true))
                    .count()
            });
            assert_eq!(missed, 0);
        }
    }
}
