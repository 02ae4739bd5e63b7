//! What other programs used of the machine during a run.
//!
//! The canary sees cores that were taken away for long; a compiler next door takes them in small pieces.

use std::fs;
use std::time::Instant;

/// Others' share of all cores above which a run says so.
const SHARE_MAX: f64 = 0.05;
/// Linux counts in hundredths of a second here, whatever the kernel's own clock.
const TICKS_PER_S: f64 = 100.0;

/// The books since the start of a run.
#[derive(Debug)]
pub(crate) struct Neighbours {
    started: Instant,
    all_before: f64,
    own_before: f64,
    cores: f64,
}

impl Neighbours {
    /// `None` where the system keeps no such books.
    pub(crate) fn watch() -> Option<Self> {
        Some(Self {
            started: Instant::now(),
            all_before: all_busy_s()?,
            own_before: own_busy_s()?,
            cores: std::thread::available_parallelism().ok()?.get() as f64,
        })
    }

    /// Their share of all cores so far. Children of ours count as ours once they have ended.
    pub(crate) fn share(&self) -> Option<f64> {
        let all = all_busy_s()? - self.all_before;
        let own = own_busy_s()? - self.own_before;
        Some((all - own).max(0.0) / (self.started.elapsed().as_secs_f64() * self.cores))
    }
}

/// What a report should say about them, if anything.
pub(crate) fn remark(neighbours: &Neighbours) -> Option<String> {
    let share = neighbours.share().filter(|share| *share > SHARE_MAX)?;
    Some(format!(
        "other programs used {:.0} % of all cores during the run: its figures are theirs too",
        share * 100.0
    ))
}

/// user, nice, system, (not idle, not iowait,) irq, softirq, steal
fn all_busy_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields = numbers(stat.lines().next()?.strip_prefix("cpu")?);
    let busy: f64 = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|place| fields.get(*place))
        .sum();
    Some(busy / TICKS_PER_S)
}

/// utime, stime, cutime, cstime: fields 14 to 17, of which the first two hold the name.
fn own_busy_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields = numbers(stat.rsplit_once(')')?.1.trim_start().split_once(' ')?.1);
    Some(fields.get(10..14)?.iter().sum::<f64>() / TICKS_PER_S)
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_of_this_process_is_its_own() {
        let before = own_busy_s().expect("books");
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            std::hint::black_box(0);
        }
        let used = own_busy_s().expect("books") - before;
        assert!(used > 0.02, "{used} s");
    }

    #[test]
    fn what_others_use_is_a_share() {
        let neighbours = Neighbours::watch().expect("books");
        std::thread::sleep(Duration::from_millis(50));
        let share = neighbours.share().expect("books");
        assert!((0.0..=1.5).contains(&share), "{share}");
    }
}
