//! A server: so many calls at a time, the others in order of arrival, at a speed that may change; and
//! what it reports of its load, by the rules of a real one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use brokerless_patterns::balance::{Load, Nanos};

use super::S;

/// How a server divides itself among its calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    /// So many at a time, each at full speed; the others wait in order of arrival.
    Fifo { slots: usize },
    /// All at a time: each has a core, or its share of so many.
    Shared { cores: f64 },
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) order: Order,
    /// A call's cost is multiplied by this when it starts.
    pub(crate) slowness: f64,
    /// Each call that starts costs this instead, in nanoseconds.
    pub(crate) fixed: Option<f64>,
    /// The share of calls that fail, and how long that takes, in nanoseconds.
    pub(crate) failing: (f64, f64),
    /// It is there, but nothing reaches it.
    pub(crate) lost: bool,
    /// Calls that have reached it.
    pub(crate) hits: u64,
    /// The speed of what runs.
    speed: f64,
    running: BinaryHeap<Reverse<Running>>,
    queue: VecDeque<u32>,
    /// How far each call that has always run has come, in nanoseconds of cost.
    progress: f64,
    progressed_at: Nanos,
    turn: u32,
    meter: Meter,
    /// The latency that it reports is the median of so many calls of the last so many: of those that
    /// met a number of calls in flight nearest to what there is now.
    pub(crate) latency_like_this: Option<(usize, usize)>,
    /// What calls met, and how long they took.
    lately: VecDeque<(u32, Nanos)>,
}

/// How long a call waited and ran, what it cost, and how many it met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) queued: Nanos,
    pub(super) ran: Nanos,
    pub(super) cost: f64,
    pub(super) met: u32,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    /// It is done at this progress.
    until: f64,
    job: u32,
}

impl Ord for Running {
    fn cmp(&self, other: &Running) -> std::cmp::Ordering {
        let by_end = self.until.total_cmp(&other.until);
        by_end.then(self.job.cmp(&other.job))
    }
}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Running) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Running) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Running {}

impl Server {
    pub(crate) fn new(order: Order) -> Server {
        let (workers, slots) = match order {
            Order::Fifo { slots } => (slots as f64, u16::try_from(slots).unwrap_or(0)),
            Order::Shared { cores } => (cores, 0),
        };
        Server {
            order,
            slowness: 1.0,
            fixed: None,
            failing: (0.0, 0.0),
            lost: false,
            hits: 0,
            speed: 1.0,
            running: BinaryHeap::new(),
            queue: VecDeque::new(),
            progress: 0.0,
            progressed_at: 0,
            turn: 0,
            meter: Meter::new(workers, slots),
            latency_like_this: None,
            lately: VecDeque::new(),
        }
    }

    /// Calls that wait or run here, as nobody else knows it.
    pub(crate) fn in_flight(&self) -> usize {
        self.queue.len() + self.running.len()
    }

    /// The speed of what runs: 1 is one nanosecond of cost in one nanosecond, on a core of one's own.
    pub(crate) fn speed(&self) -> f64 {
        self.speed
    }

    /// As it would report of now.
    pub(crate) fn report(&self) -> Load {
        let mut load = self.meter.report(self.in_flight());
        if let Some((nearest, _)) = self.latency_like_this {
            let distance = |met: u32| u64::from(met.abs_diff(load.in_flight));
            // Of those as near, the latest.
            let ages = self.lately.iter().rev().zip(0u64..);
            let mut near: Vec<(u64, u64)> = ages
                .map(|((met, took), age)| ((distance(*met) << 16) + age, *took))
                .collect();
            if near.len() > nearest {
                near.select_nth_unstable(nearest);
                near.truncate(nearest);
            }
            let middle = near.len() / 2;
            if !near.is_empty() {
                let (_, (_, took), _) = near.select_nth_unstable_by_key(middle, |(_, took)| *took);
                load.latency_us = u32::try_from(*took / 1000).unwrap_or(u32::MAX);
            }
        }
        load
    }

    pub(super) fn set_speed(&mut self, now: Nanos, speed: f64) {
        self.advance(now);
        self.speed = speed;
        self.turn += 1;
    }

    /// Everything that is here is gone, as when a process ends.
    pub(super) fn clear(&mut self) -> Vec<u32> {
        self.turn += 1;
        let mut gone: Vec<u32> = self.queue.drain(..).collect();
        gone.extend(self.running.drain().map(|Reverse(running)| running.job));
        gone.sort_unstable();
        gone
    }

    /// Whether a call may start now, rather than wait.
    pub(super) fn has_room(&self) -> bool {
        match self.order {
            Order::Fifo { slots } => self.running.len() < slots,
            Order::Shared { .. } => true,
        }
    }

    pub(super) fn enqueue(&mut self, job: u32) {
        self.queue.push_back(job);
    }

    pub(super) fn dequeue(&mut self) -> Option<u32> {
        if self.has_room() {
            self.queue.pop_front()
        } else {
            None
        }
    }

    pub(super) fn start(&mut self, now: Nanos, job: u32, cost: f64) {
        self.advance(now);
        let until = self.progress + cost;
        self.running.push(Reverse(Running { until, job }));
        self.turn += 1;
    }

    /// When the next call is done, if nothing changes until then, and under which number.
    pub(super) fn next_done(&self) -> Option<(Nanos, u32)> {
        let Reverse(first) = self.running.peek()?;
        let rate = self.rate();
        if rate <= 0.0 {
            return None;
        }
        let wait = ((first.until - self.progress) / rate).max(0.0).ceil();
        Some((self.progressed_at + wait as Nanos, self.turn))
    }

    /// The call that is done, if nothing has changed since that was planned.
    pub(super) fn finish(&mut self, now: Nanos, turn: u32) -> Option<u32> {
        if turn != self.turn {
            return None;
        }
        self.advance(now);
        self.turn += 1;
        self.running.pop().map(|Reverse(running)| running.job)
    }

    pub(super) fn answered(&mut self, now: Nanos, times: Times, failed: bool) {
        let Times {
            queued,
            ran,
            cost,
            met,
        } = times;
        let used = match self.order {
            Order::Fifo { .. } => ran,
            Order::Shared { .. } => cost as Nanos,
        };
        self.meter.finished(now, queued, ran, used, failed);
        if let Some((_, of)) = self.latency_like_this {
            if self.lately.len() >= of {
                self.lately.pop_front();
            }
            self.lately.push_back((met, queued + ran));
        }
    }

    /// So many cores from now on.
    pub(super) fn set_cores(&mut self, now: Nanos, cores: f64) {
        self.advance(now);
        self.order = Order::Shared { cores };
        self.turn += 1;
    }

    fn rate(&self) -> f64 {
        match self.order {
            Order::Fifo { .. } => self.speed,
            Order::Shared { cores } => {
                let each = cores / (self.running.len().max(1) as f64);
                self.speed * each.min(1.0)
            }
        }
    }

    fn advance(&mut self, now: Nanos) {
        self.progress += (now - self.progressed_at) as f64 * self.rate();
        self.progressed_at = now;
    }
}

/// A mean over about so many values; the first one counts in full.
fn smoothed(mean: u64, value: u64, over: i64) -> u64 {
    if mean == 0 {
        return value;
    }
    let change = (value as i64 - mean as i64) / over;
    (mean as i64 + change) as u64
}

/// What a server knows of its own load: latency as a mean over about 16 calls, runs over 8, utilisation over a
/// tenth of a second, rates over a second.
#[derive(Debug, Clone)]
struct Meter {
    workers: f64,
    /// As it says: 0 if it has no bound.
    slots: u16,
    latency: u64,
    run: u64,
    busy: u64,
    stretch_from: Nanos,
    utilisation: u16,
    count: (u32, u32),
    count_from: Nanos,
    rates: (u32, u32),
}

impl Meter {
    fn new(workers: f64, slots: u16) -> Meter {
        Meter {
            workers,
            slots,
            latency: 0,
            run: 0,
            busy: 0,
            stretch_from: 0,
            utilisation: 0,
            count: (0, 0),
            count_from: 0,
            rates: (0, 0),
        }
    }

    fn finished(&mut self, now: Nanos, queued: Nanos, ran: Nanos, used: Nanos, failed: bool) {
        self.latency = smoothed(self.latency, queued + ran, 16);
        self.run = smoothed(self.run, ran, 8);
        self.busy += used;
        let stretch = now - self.stretch_from;
        if stretch >= S / 10 {
            let share = self.busy as f64 * 1000.0 / (stretch as f64 * self.workers);
            // Who shares cores may have more of them than its own.
            let most = if self.slots == 0 { 60_000.0 } else { 1000.0 };
            self.utilisation = share.min(most) as u16;
            self.busy = 0;
            self.stretch_from = now;
        }
        self.count.0 += 1;
        self.count.1 += u32::from(failed);
        let stretch = now - self.count_from;
        if stretch >= S {
            let a_second = |count: u32| (f64::from(count) * S as f64 / stretch as f64) as u32;
            self.rates = (a_second(self.count.0), a_second(self.count.1));
            self.count = (0, 0);
            self.count_from = now;
        }
    }

    fn report(&self, in_flight: usize) -> Load {
        Load {
            in_flight: in_flight as u32,
            latency_us: u32::try_from(self.latency / 1000).unwrap_or(u32::MAX),
            utilisation_permille: self.utilisation,
            per_s: self.rates.0,
            errors_per_s: self.rates.1,
            run_us: u32::try_from(self.run / 1000).unwrap_or(u32::MAX),
            workers: self.slots,
        }
    }
}
