//! Worker-pull: the credit of free workers, and which callers hold it.
//!
//! A replier in this mode grants no more calls, to all of its callers together, than it has workers: a
//! free worker's credit is its request for work (the idle queue of Lu and others, 2011, turned round:
//! here the dispatchers are the callers). A caller that has calls and no credit says so by a wish, and
//! waits in line; a worker that is freed goes to the first of the line, and stays with its caller
//! where there is none.
//!
//! ```text
//!             wish                      free, or taken back from one that does not use it
//!  nobody's ──────► in line ──────────────────► granted ──take──► in use
//!                                                  ▲                │ give_back
//!                                                  └── no line ─────┤
//!                       granted to the first in line ◄── a line ────┘
//! ```
//!
//! Credit that is taken back may cross with a call: that call is refused, as it would have to wait for a
//! worker. It has not run, and is picked again elsewhere.
//!
//! # Invariants
//!
//! 1. What is granted and what is nobody's is as many as there are workers, and no more is in use.
//!    (test `whatever_happens_no_more_is_granted_than_there_are_workers`)
//! 2. Nobody waits in line while credit is nobody's, or with one that has used it and does not; what was
//!    wished for stays where it is for a while. (tests
//!    `whatever_happens_no_more_is_granted_than_there_are_workers`,
//!    `credit_that_was_wished_for_and_is_not_used_is_taken_back_after_a_while`)
//! 3. One that takes its share for another than it is hears of it as soon as that shows. (test
//!    `one_that_missed_what_it_was_told_is_told_again`)
//! 4. One that cannot wish is not turned away while a worker is idle. (test
//!    `one_that_cannot_wish_gets_a_worker_that_is_not_used`)
//! 5. Those in line take turns, also with one that has a worker already, or that lets it lie. (tests
//!    `those_in_line_take_turns`, `one_that_is_the_first_in_line_and_has_a_worker_passes_it_on`,
//!    `one_that_wishes_for_more_than_it_uses_holds_up_nobody`)
//!
//! # Not here
//!
//! Bytes: a call's are held to the session's own window.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::time::Time;

/// How long credit stays with a caller that has wished for it and does not use it, while others wait.
const PATIENCE: Duration = Duration::from_millis(100);

/// Callers by numbers, and the calls that each may have in flight.
#[derive(Debug, Clone)]
pub struct IdleQueue {
    workers: u32,
    free: u32,
    callers: BTreeMap<u64, Share>,
    /// Those that wish for more, in turn.
    line: VecDeque<u64>,
    /// Those whose share is another than they were told.
    news: VecDeque<u64>,
    /// Those that may hold credit which they have used before and do not use now, the longest first.
    holders: VecDeque<u64>,
    /// Those that were granted what they wished for.
    promised: VecDeque<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    granted: u32,
    in_use: u32,
    wishes: u32,
    /// None: it is to be told again.
    told: Option<u32>,
    is_news: bool,
    is_holder: bool,
    /// When it was last granted something that it had wished for.
    granted_at: Time,
    is_promised: bool,
}

impl Share {
    fn idle(&self) -> u32 {
        self.granted.saturating_sub(self.in_use)
    }
}

impl IdleQueue {
    /// Of so many workers.
    pub fn new(workers: u32) -> IdleQueue {
        IdleQueue {
            workers,
            free: workers,
            callers: BTreeMap::new(),
            line: VecDeque::new(),
            news: VecDeque::new(),
            holders: VecDeque::new(),
            promised: VecDeque::new(),
        }
    }

    /// The workers.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// A caller more: what it is granted to begin with. The same again for one that is known.
    pub fn join(&mut self, caller: u64) -> u32 {
        if !self.callers.contains_key(&caller) {
            let granted = self.free.min(1);
            self.free -= granted;
            let share = Share {
                granted,
                ..Share::default()
            };
            self.callers.insert(caller, share);
            self.holds(caller);
        }
        self.tell(caller)
    }

    /// A caller is gone, and with it what it held.
    pub fn leave(&mut self, now: Time, caller: u64) {
        if let Some(share) = self.callers.remove(&caller) {
            // What it has in use is given back as it ends.
            if !planted!(GoneKeepsWorkers) {
                self.free += share.idle();
            }
            for list in [
                &mut self.line,
                &mut self.news,
                &mut self.holders,
                &mut self.promised,
            ] {
                list.retain(|other| *other != caller);
            }
            self.serve(now);
        }
    }

    /// A caller has so many calls that wait for credit.
    pub fn wish(&mut self, now: Time, caller: u64, calls: u32) {
        let most = self.workers;
        let Some(share) = self.callers.get_mut(&caller) else {
            return;
        };
        let lies = share.idle() > 0;
        let stands = share.wishes > 0;
        share.wishes = calls.min(most);
        match (stands, share.wishes > 0) {
            (false, true) => self.line.push_back(caller),
            (true, false) => self.line.retain(|other| *other != caller),
            _ => {}
        }
        if calls == 0 {
            self.holds(caller);
        } else if lies {
            // What it has may not have come there: it asks only where it has none left.
            self.tell_again(caller);
        }
        self.serve(now);
    }

    /// A call has come: whether there is a worker for it. One of a caller that has not joined takes
    /// what is nobody's.
    pub fn take(&mut self, caller: u64) -> bool {
        match self.callers.get_mut(&caller) {
            Some(share) if share.in_use < share.granted || planted!(CrossedIsTaken) => {
                share.in_use += 1;
                true
            }
            Some(_) => false,
            None if self.free > 0 => {
                self.free -= 1;
                true
            }
            None => false,
        }
    }

    /// As [`take`](Self::take), for a caller that cannot wish: its call is its wish, and gets a worker
    /// that another was granted and does not use.
    pub fn take_or_wish(&mut self, now: Time, caller: u64) -> bool {
        if self.take(caller) {
            return true;
        }
        if let Some(share) = self.callers.get(&caller) {
            let calls = share.wishes.max(1);
            self.wish(now, caller, calls);
            return self.take(caller);
        }
        // It cannot stand in line, so it passes by nobody who does.
        let found = self.line.is_empty() && self.take_back(now, caller);
        self.free -= u32::from(found);
        found
    }

    /// A call that was taken has ended: its worker is free.
    pub fn give_back(&mut self, now: Time, caller: u64) {
        let first = self.line.front().copied();
        let waits = first.is_some_and(|first| first != caller);
        match self.callers.get_mut(&caller) {
            Some(share) if share.in_use > 0 => {
                share.in_use -= 1;
                if waits {
                    if !planted!(FreedGoesToTwo) {
                        share.granted -= 1;
                    }
                    self.free += 1;
                    self.changed(caller);
                } else if first.is_some() && self.line.len() > 1 {
                    // Its turn: the worker stays with it, and the next one is another's.
                    self.line.rotate_left(1);
                    self.promise(now, caller);
                } else {
                    self.holds(caller);
                }
            }
            // It came before its caller had joined, or ends after that has gone.
            _ => self.free += 1,
        }
        self.serve(now);
    }

    /// What a caller is to be told now that it may have in flight.
    pub fn tell(&mut self, caller: u64) -> u32 {
        let Some(share) = self.callers.get_mut(&caller) else {
            return 0;
        };
        share.told = Some(share.granted);
        share.granted
    }

    /// A caller seems to take its share for another than it is: it is told again.
    pub fn tell_again(&mut self, caller: u64) {
        if let Some(share) = self.callers.get_mut(&caller) {
            share.told = None;
            self.changed(caller);
        }
    }

    /// The next caller whose share is another than it was told, and that share.
    pub fn next_news(&mut self) -> Option<(u64, u32)> {
        while let Some(caller) = self.news.pop_front() {
            let Some(share) = self.callers.get_mut(&caller) else {
                continue;
            };
            share.is_news = false;
            if share.told.replace(share.granted) != Some(share.granted) {
                return Some((caller, share.granted));
            }
        }
        None
    }

    /// It may hold credit that it does not use.
    fn holds(&mut self, caller: u64) {
        if let Some(share) = self.callers.get_mut(&caller)
            && share.idle() > 0
            && !std::mem::replace(&mut share.is_holder, true)
        {
            self.holders.push_back(caller);
        }
    }

    /// Whether [`next_news`](Self::next_news) may have something.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    fn changed(&mut self, caller: u64) {
        if let Some(share) = self.callers.get_mut(&caller)
            && !std::mem::replace(&mut share.is_news, true)
        {
            self.news.push_back(caller);
        }
    }

    /// Grants what there is to those in line, one call each in turn.
    fn serve(&mut self, now: Time) {
        while let Some(first) = self.line.front().copied() {
            if !self.callers.contains_key(&first) {
                self.line.pop_front();
                continue;
            }
            let place = if self.free > 0 || self.take_back(now, first) {
                0
            } else if self.takes_from_first(now, first) {
                1
            } else {
                return;
            };
            let Some(caller) = self.line.remove(place) else {
                return;
            };
            self.free -= 1;
            if let Some(share) = self.callers.get_mut(&caller) {
                share.granted += 1;
                share.wishes -= 1;
                if share.wishes > 0 {
                    self.line.push_back(caller);
                }
            }
            self.promise(now, caller);
            self.changed(caller);
        }
    }

    /// Whether the second in line can have what the first has and lets lie: who wishes for more than
    /// it uses holds up nobody.
    fn takes_from_first(&mut self, now: Time, first: u64) -> bool {
        let lies = |share: &Share| share.idle() > 0;
        let second = self.line.get(1).copied();
        let second = second.filter(|_| self.callers.get(&first).is_some_and(lies));
        second.is_some_and(|second| self.take_back(now, second))
    }

    /// What it has and does not use is to stay with it for a while.
    fn promise(&mut self, now: Time, caller: u64) {
        if let Some(share) = self.callers.get_mut(&caller) {
            share.granted_at = now;
            if !std::mem::replace(&mut share.is_promised, true) {
                self.promised.push_back(caller);
            }
        }
    }

    /// Takes credit back for another: from the caller that has not used it for the longest time.
    fn take_back(&mut self, now: Time, wanting: u64) -> bool {
        let found = self
            .idle_holder(wanting)
            .or_else(|| self.broken_promise(now, wanting));
        let Some(caller) = found else {
            return false;
        };
        if let Some(share) = self.callers.get_mut(&caller) {
            share.granted -= 1;
        }
        self.free += 1;
        self.holds(caller);
        self.changed(caller);
        true
    }

    fn idle_holder(&mut self, wanting: u64) -> Option<u64> {
        let mut spared = None;
        let found = loop {
            let Some(caller) = self.holders.pop_front() else {
                break None;
            };
            let Some(share) = self.callers.get_mut(&caller) else {
                continue;
            };
            share.is_holder = false;
            match share.idle() {
                0 => {}
                _ if caller == wanting => spared = Some(caller),
                _ => break Some(caller),
            }
        };
        spared.into_iter().for_each(|caller| self.holds(caller));
        found
    }

    /// One that has let its credit lie although it wished for it.
    fn broken_promise(&mut self, now: Time, wanting: u64) -> Option<u64> {
        for _ in 0..self.promised.len() {
            let caller = self.promised.pop_front()?;
            let Some(share) = self.callers.get_mut(&caller) else {
                continue;
            };
            share.is_promised = false;
            if share.idle() == 0 {
                continue;
            }
            if now.since(share.granted_at) >= PATIENCE && caller != wanting {
                return Some(caller);
            }
            share.is_promised = true;
            self.promised.push_back(caller);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Time = Time::ZERO;

    fn told(queue: &mut IdleQueue) -> Vec<(u64, u32)> {
        std::iter::from_fn(|| queue.next_news()).collect()
    }

    #[test]
    fn a_free_worker_goes_to_who_wishes_and_stays_with_it() {
        let mut queue = IdleQueue::new(2);
        assert_eq!((queue.join(1), queue.join(2), queue.join(3)), (1, 1, 0));
        assert!(queue.take(1) && !queue.take(1) && !queue.take(3));
        queue.wish(NOW, 3, 1);
        assert_eq!(
            told(&mut queue),
            [(2, 0), (3, 1)],
            "from who does not use it"
        );
        assert!(!queue.take(2), "it crossed");
        assert!(queue.take(3));
        queue.give_back(NOW, 3);
        assert!(queue.take(3), "nobody waits: it stays");
        queue.wish(NOW, 2, 1);
        assert_eq!(told(&mut queue), []);
        queue.give_back(NOW, 1);
        assert_eq!(told(&mut queue), [(1, 0), (2, 1)]);
    }

    #[test]
    fn those_in_line_take_turns() {
        let mut queue = IdleQueue::new(1);
        (1..=3).for_each(|caller| assert!(queue.join(caller) <= 1));
        assert!(queue.take(1));
        queue.wish(NOW, 2, 1);
        queue.wish(NOW, 3, 1);
        queue.wish(NOW, 1, 1);
        let mut order = Vec::new();
        let mut last = 1;
        for _ in 0..6 {
            queue.give_back(NOW, last);
            let news = told(&mut queue);
            last = news
                .into_iter()
                .find(|(_, calls)| *calls > 0)
                .map_or(0, |(caller, _)| caller);
            assert!(queue.take(last));
            queue.wish(NOW, last, 1);
            order.push(last);
        }
        assert_eq!(order, [2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn one_that_is_the_first_in_line_and_has_a_worker_passes_it_on() {
        let mut queue = IdleQueue::new(1);
        assert_eq!((queue.join(1), queue.join(2)), (1, 0));
        assert!(queue.take(1));
        // It has more calls than workers, and was there before the other.
        queue.wish(NOW, 1, 1);
        queue.wish(NOW, 2, 1);
        queue.give_back(NOW, 1);
        assert_eq!(told(&mut queue), [], "its own turn");
        assert!(queue.take(1));
        queue.give_back(NOW, 1);
        assert_eq!(told(&mut queue), [(1, 0), (2, 1)]);
        assert!(queue.take(2));
        queue.wish(NOW, 2, 1);
        queue.give_back(NOW, 2);
        assert_eq!(told(&mut queue), [(2, 0), (1, 1)]);
    }

    #[test]
    fn one_that_wishes_for_more_than_it_uses_holds_up_nobody() {
        let mut queue = IdleQueue::new(1);
        assert_eq!((queue.join(1), queue.join(2)), (1, 0));
        queue.wish(NOW, 1, 1);
        queue.wish(NOW, 2, 1);
        let news = told(&mut queue);
        assert_eq!(news, [(1, 0), (2, 1)]);
        assert!(queue.take(2));
        queue.give_back(NOW, 2);
        assert_eq!(told(&mut queue), [(2, 0), (1, 1)]);
        // What it wished for, it has for a while, and no longer.
        queue.wish(NOW, 1, 1);
        queue.wish(NOW, 2, 1);
        assert!(queue.take(1) && !queue.take(2));
        queue.give_back(NOW, 1);
        queue.wish(NOW.after(PATIENCE), 2, 1);
        assert!(queue.take(2));
    }

    #[test]
    fn one_that_missed_what_it_was_told_is_told_again() {
        let mut queue = IdleQueue::new(1);
        assert_eq!((queue.join(1), queue.join(2)), (1, 0));
        queue.wish(NOW, 2, 1);
        assert_eq!(told(&mut queue), [(1, 0), (2, 1)]);
        assert!(!queue.take(1), "it has not heard it");
        queue.tell_again(1);
        assert_eq!(told(&mut queue), [(1, 0)]);
        queue.wish(NOW, 2, 1);
        assert_eq!(told(&mut queue), [(2, 1)], "nor has this one");
        assert_eq!(told(&mut queue), []);
    }

    #[test]
    fn one_that_cannot_wish_gets_a_worker_that_is_not_used() {
        let mut queue = IdleQueue::new(1);
        assert_eq!((queue.join(1), queue.join(2)), (1, 0));
        assert!(queue.take_or_wish(NOW, 2));
        assert_eq!(told(&mut queue), [(1, 0), (2, 1)]);
        assert!(!queue.take_or_wish(NOW, 1) && !queue.take_or_wish(NOW, 9));
        queue.give_back(NOW, 2);
        assert_eq!(told(&mut queue), [(2, 0), (1, 1)], "it stood in line");
        assert!(queue.take_or_wish(NOW, 1));
        queue.give_back(NOW, 1);
        assert!(queue.take_or_wish(NOW, 9), "of one that has not joined");
        assert_eq!(told(&mut queue), [(1, 0)]);
        queue.give_back(NOW, 9);
        assert!(queue.take_or_wish(NOW, 1));
    }

    #[test]
    fn a_wish_that_is_taken_back_is_not_granted() {
        let mut queue = IdleQueue::new(1);
        queue.join(1);
        queue.join(2);
        assert!(queue.take(1));
        queue.wish(NOW, 2, 1);
        queue.wish(NOW, 2, 0);
        queue.give_back(NOW, 1);
        assert!(told(&mut queue).is_empty() && queue.take(1));
    }

    #[test]
    fn what_a_caller_that_has_gone_had_in_use_comes_back_as_it_ends() {
        let mut queue = IdleQueue::new(1);
        queue.join(1);
        queue.join(2);
        assert!(queue.take(1));
        queue.leave(NOW, 1);
        queue.wish(NOW, 2, 1);
        assert!(told(&mut queue).is_empty(), "its worker is busy still");
        queue.give_back(NOW, 1);
        assert_eq!(told(&mut queue), [(2, 1)]);
    }

    #[test]
    fn credit_that_was_wished_for_and_is_not_used_is_taken_back_after_a_while() {
        let mut queue = IdleQueue::new(1);
        (1..=3).for_each(|caller| assert!(queue.join(caller) <= 1));
        queue.wish(NOW, 2, 1);
        assert_eq!(told(&mut queue), [(1, 0), (2, 1)]);
        queue.wish(NOW, 3, 1);
        assert_eq!(told(&mut queue), [], "it is on its way");
        queue.wish(NOW.after(PATIENCE), 3, 1);
        assert_eq!(told(&mut queue), [(2, 0), (3, 1)]);
        queue.wish(NOW.after(PATIENCE), 1, 1);
        queue.wish(NOW.after(PATIENCE), 3, 0);
        queue.wish(NOW.after(PATIENCE), 1, 1);
        assert_eq!(
            told(&mut queue),
            [(3, 0), (1, 1)],
            "it is not wanted any more"
        );
    }

    proptest! {
        #[test]
        fn whatever_happens_no_more_is_granted_than_there_are_workers(
            workers in 1u32..6,
            steps in proptest::collection::vec((0u8..6, 0u64..6, 0u32..4), 0..200),
        ) {
            let mut queue = IdleQueue::new(workers);
            let mut running: Vec<u64> = Vec::new();
            // A number is not used again.
            let mut lives = [0u64; 6];
            for (step, place, calls) in steps {
                let caller = place + 6 * lives[place as usize];
                match step {
                    0 => assert!(queue.join(caller) <= workers),
                    1 => {
                        queue.leave(NOW, caller);
                        lives[place as usize] += 1;
                    }
                    2 => queue.wish(NOW, caller, calls),
                    3 => if queue.take(caller) {
                        running.push(caller);
                    },
                    4 => if queue.take_or_wish(NOW, caller) {
                        running.push(caller);
                    },
                    _ => if !running.is_empty() {
                        let ended = running.swap_remove(calls as usize % running.len());
                        queue.give_back(NOW, ended);
                    },
                }
                prop_assert!(running.len() as u32 <= workers);
                let granted: u32 = queue.callers.values().map(|share| share.granted).sum();
                let known: u32 = queue.callers.values().map(|share| share.in_use).sum();
                let strange = running.len() as u32 - known.min(running.len() as u32);
                prop_assert_eq!(granted + queue.free + strange, workers);
                if let Some(first) = queue.line.front() {
                    prop_assert_eq!(queue.free, 0);
                    let others = queue.holders.iter().filter(|holder| *holder != first);
                    let mut spare = others.filter_map(|holder| queue.callers.get(holder));
                    prop_assert!(spare.all(|share| share.idle() == 0));
                }
                for (caller, share) in &queue.callers {
                    prop_assert!(share.in_use <= share.granted, "{caller}: {share:?}");
                    prop_assert_eq!(share.wishes > 0, queue.line.contains(caller));
                }
                for list in [&queue.line, &queue.news, &queue.holders, &queue.promised] {
                    prop_assert!(list.len() <= queue.callers.len());
                }
            }
        }
    }
}
