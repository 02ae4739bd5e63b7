//! The tables: what is simulated, the figures beside it, and the bars.
//!
//! | file | what |
//! |---|---|
//! | `supermarket` | T1: a hundred equal servers, beside theory |
//! | `slow` | T2: two slow servers of sixteen |
//! | `flapping` | T3: a server that is slow for a while |
//! | `replicas` | T4: servers whose speeds change, three for each call |
//! | `ramp` | T5: more and more calls, on machines with neighbours |
//! | `published` | C3 and Prequal, as their papers have them |
//! | `geography` | places: three regions of three zones of four nodes |

mod flapping;
mod geography;
mod published;
mod ramp;
mod replicas;
mod slow;
mod supermarket;
pub(crate) mod theory;

use brokerless_patterns::balance::{Facts, Policy};

use crate::kernel::{Brain, Known, Latencies, Log, Production, View};
use crate::results::{Size, Table};

/// A table: its name, and how it comes to be with so many threads.
type Make = fn(Size, usize) -> Table;

/// All of them, in order.
pub(crate) const ALL: &[(&str, Make)] = &[
    ("T1", supermarket::table),
    ("T2", slow::table),
    ("T3", flapping::table),
    ("T4", replicas::table),
    ("T5", ramp::table),
    ("places", geography::table),
];

/// Who is beside whom.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// A production policy, that takes all nodes for equal.
    Policy(Policy),
    /// A production policy that is told the nodes' weights.
    Weighted(Policy, Vec<u32>),
    /// The least of calls sent and not answered, over the speed that each truly has.
    Oracle { heeds_speed: bool },
}

impl Who {
    pub(crate) fn brain(&self, seed: u64, servers: usize) -> Box<dyn Brain> {
        match self {
            Who::Policy(policy) => Box::new(Production::alike(policy, seed, servers)),
            Who::Weighted(policy, weights) => {
                let facts: Vec<Facts> = weights.iter().map(|it| Facts::weight(*it)).collect();
                Box::new(Production::new(policy, seed, &facts))
            }
            Who::Oracle { heeds_speed: false } => {
                Box::new(Known::new(seed, |view: &View<'_>, at| {
                    f64::from(view.on_the_way[at])
                }))
            }
            Who::Oracle { heeds_speed: true } => {
                Box::new(Known::new(seed, |view: &View<'_>, at| {
                    f64::from(view.on_the_way[at] + 1) * view.servers[at].slowness
                }))
            }
        }
    }
}

/// Mean and quantiles, in units of so many nanoseconds.
pub(crate) fn quantiles(all: &Latencies, unit: u64) -> Vec<(&'static str, f64)> {
    let unit = unit as f64;
    vec![
        ("mean", all.mean() / unit),
        ("p50", all.quantile(0.5) / unit),
        ("p99", all.quantile(0.99) / unit),
        ("p99.9", all.quantile(0.999) / unit),
    ]
}

/// As many seeds of one run, together: all latencies, and what tells one run from another.
pub(crate) fn merged<'a>(logs: impl Iterator<Item = &'a Log>) -> Option<Log> {
    let mut logs = logs.cloned();
    let mut first = logs.next()?;
    for log in logs {
        first.merge(&log);
    }
    Some(first)
}
