//! T1: a hundred equal servers, exponential service, Poisson arrivals, one caller that knows what it has
//! sent; beside theory of infinitely many servers, and of a hundred.

use brokerless_patterns::balance::Policy;

use super::theory::{Choice, limit, of_servers};
use super::{Who, merged, quantiles};
use crate::kernel::{
    Arrivals, Cost, Log, MS, Order, Replicas, S, Server, Source, World, side_by_side,
};
use crate::results::{Bar, Line, Plot, Row, Size, Table};

const SERVERS: usize = 100;
/// The mean of service, which all figures are multiples of.
const SERVICE: u64 = 10 * MS;
const LOADS: [f64; 6] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99];

/// As simulated by others at 0.9: mean, p50, p99, p99.9.
const PUBLISHED: [(&str, [f64; 4]); 5] = [
    ("random", [10.05, 6.81, 46.5, 113.8]),
    ("round-robin", [5.24, 3.65, 24.6, 43.0]),
    ("two choices", [2.62, 2.20, 8.80, 12.1]),
    ("three choices", [2.04, 1.65, 7.39, 10.3]),
    ("oracle: shortest queue", [1.07, 0.74, 4.92, 7.37]),
];

/// Of a hundred servers, for the policies that theory knows: how many choices they have.
fn choices(policy: &str) -> Option<u32> {
    match policy {
        "random" => Some(1),
        "two choices" => Some(2),
        "three choices" => Some(3),
        _ => None,
    }
}

/// Where theory for infinitely many servers is too far from a hundred.
const MANY: usize = 1000;

#[derive(Debug, Clone)]
struct Cell {
    load: f64,
    servers: usize,
    policy: &'static str,
    who: Who,
    seed: u64,
    /// Calls that are counted, and those before them.
    calls: u64,
    before: u64,
}

/// How much of each is run: seeds, calls that count and calls before them, in thousands. Long queues
/// take long to come to what they stay at.
fn amount(size: Size, load: f64, policy: &str) -> (u64, u64, u64) {
    if size == Size::Small {
        return (1, 100, 30);
    }
    match (policy, (load * 100.0).round() as u32) {
        ("oracle: shortest queue", _) => (2, 500, 50),
        ("random", 99) => (4, 16_000, 4_000),
        ("round-robin", 99) => (4, 4_000, 2_000),
        ("random", 95) => (4, 6_000, 400),
        ("random", 90) => (4, 2_000, 200),
        (_, 99) => (4, 1_500, 400),
        _ => (4, 500, 100),
    }
}

pub(crate) fn table(size: Size, threads: usize) -> Table {
    let loads: &[f64] = size.of(&[0.5, 0.9], &LOADS);
    let policies = vec![
        ("random", Who::Policy(Policy::random())),
        ("round-robin", Who::Policy(Policy::round_robin())),
        ("two choices", Who::Policy(Policy::least_in_flight())),
        (
            "three choices",
            Who::Policy(Policy::least_in_flight().choices(3)),
        ),
        ("peak EWMA", Who::Policy(Policy::peak_ewma())),
        ("adaptive", Who::Policy(Policy::adaptive())),
        ("oracle: shortest queue", Who::Oracle { heeds_speed: false }),
    ];
    let mut cells = Vec::new();
    for load in loads {
        for (policy, who) in &policies {
            let (seeds, calls, before) = amount(size, *load, policy);
            cells.extend((1..=seeds).map(|seed| Cell {
                load: *load,
                servers: SERVERS,
                policy,
                who: who.clone(),
                seed,
                calls: calls * 1000,
                before: before * 1000,
            }));
        }
    }
    if size == Size::Whole {
        for (policy, who) in policies
            .iter()
            .filter(|(name, _)| name.ends_with("choices"))
        {
            cells.extend((1..=4).map(|seed| Cell {
                load: 0.99,
                servers: MANY,
                policy,
                who: who.clone(),
                seed,
                calls: 2_000_000,
                before: 2_000_000,
            }));
        }
    }
    let logs = side_by_side(threads, &cells, run);
    let mut table = Table {
        id: "T1",
        title: "A hundred equal servers",
        about: "100 servers, exponential service, Poisson arrivals, one caller that knows what it has sent. Times in means \
                of service. Published: theory for infinitely many servers, and at 0.9 a simulation.",
        ..Table::default()
    };
    for load in loads {
        for (policy, _) in &policies {
            for servers in [SERVERS, MANY] {
                let mine = cells.iter().zip(&logs);
                let mine = mine.filter(|(cell, _)| cell.is(*load, servers, policy));
                let log = merged(mine.map(|(_, log)| log));
                let row = log.map(|log| row(*load, servers, policy, &log));
                table.rows.extend(row);
            }
        }
    }
    for load in loads {
        bars(&mut table, *load, size);
    }
    table.never_worse("adaptive", "round-robin", &["mean", "p99"], 0.02);
    plots(&mut table, loads, &policies);
    table
}

impl Cell {
    fn is(&self, load: f64, servers: usize, policy: &str) -> bool {
        (self.load, self.servers, self.policy) == (load, servers, policy)
    }
}

fn run(cell: &Cell) -> Log {
    let servers = vec![Server::new(Order::Fifo { slots: 1 }); cell.servers];
    let cost = Cost::Exponential {
        mean: SERVICE as f64,
    };
    let mut world = World::new(cell.seed, servers, cost);
    world.add_caller(
        cell.who.brain(cell.seed, cell.servers),
        vec![0; cell.servers],
    );
    let per_s = cell.load * cell.servers as f64 * S as f64 / SERVICE as f64;
    let lasts = |calls: u64| (calls as f64 / per_s * S as f64) as u64;
    world.log.from = lasts(cell.before);
    world.add_source(Source {
        callers: 0..1,
        arrivals: Arrivals::Poisson { per_s },
        deadline: None,
        replicas: Replicas::All,
        until: lasts(cell.before + cell.calls),
    });
    world.run(u64::MAX);
    world.log
}

fn row(load: f64, servers: usize, policy: &str, log: &Log) -> Row {
    let mut published = Vec::new();
    if let Some(choices) = choices(policy) {
        published.push(("mean", limit(load, choices)));
    }
    let mut simulated = PUBLISHED
        .iter()
        .filter(|(name, _)| load == 0.9 && *name == policy);
    if let Some((_, figures)) = simulated.next() {
        let names = ["mean", "p50", "p99", "p99.9"];
        let skip = published.len();
        published.extend(names.into_iter().zip(*figures).skip(skip));
    }
    Row {
        cell: name(load, servers),
        policy: policy.to_owned(),
        figures: quantiles(&log.all, SERVICE),
        published,
        digest: log.digest,
    }
}

/// What a cell is called.
fn name(load: f64, servers: usize) -> String {
    match servers {
        SERVERS => load.to_string(),
        _ => format!("{load}, {servers} servers"),
    }
}

fn bars(table: &mut Table, load: f64, size: Size) {
    let cell = load.to_string();
    let mut bars = Vec::new();
    for policy in ["random", "two choices", "three choices"] {
        // So few calls say too little of long queues.
        if size == Size::Small && policy == "random" && load > 0.5 {
            continue;
        }
        let count = choices(policy).unwrap_or(1);
        let share = if load < 0.99 { 0.03 } else { 0.1 };
        let seen = table.figure(&cell, policy, "mean");
        let bound = of_servers(load, count, SERVERS, Choice::Without);
        let what = format!("{cell}: mean of {policy}, beside theory of {SERVERS} servers");
        bars.push(Bar::near(what, seen, bound, share));
        // By theory, too, a hundred servers differ from infinitely many by 12 % here.
        let cell = match policy {
            "three choices" if load == 0.99 => name(load, MANY),
            _ => cell.clone(),
        };
        let seen = table.figure(&cell, policy, "mean");
        let what = format!("{cell}: mean of {policy}, beside theory");
        bars.push(Bar::near(what, seen, limit(load, count), share));
    }
    if load == 0.9 && size == Size::Whole {
        for (policy, [mean, _, p99, _]) in PUBLISHED {
            for (name, target, share) in [("mean", mean, 0.03), ("p99", p99, 0.1)] {
                let seen = table.figure(&cell, policy, name);
                let what = format!("{cell}: {name} of {policy}, beside the simulated one");
                bars.push(Bar::near(what, seen, target, share));
            }
        }
    }
    table.bars.extend(bars);
}

fn plots(table: &mut Table, loads: &[f64], policies: &[(&'static str, Who)]) {
    for (name, title, y) in [
        (
            "mean",
            "Mean time in the system",
            "mean, in means of service",
        ),
        ("p99", "99th percentile", "p99, in means of service"),
    ] {
        let mut lines = Vec::new();
        for (policy, _) in policies {
            let at = |load: &f64| (*load, table.figure(&load.to_string(), policy, name));
            lines.push(Line::new(policy, loads.iter().map(at).collect()));
        }
        if name == "mean" {
            for (d, what) in [(1, "theory, 1"), (2, "theory, 2"), (3, "theory, 3")] {
                let points = loads.iter().map(|load| (*load, limit(*load, d))).collect();
                lines.push(Line::new(what, points));
            }
        }
        table.plots.push(Plot {
            title,
            x: "load",
            y,
            is_y_log: true,
            lines,
        });
    }
}
