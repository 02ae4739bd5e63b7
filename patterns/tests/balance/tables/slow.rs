//! T2: sixteen servers, two of them sixteen times slower than the others, with half of what all can do.

use brokerless_patterns::balance::Policy;

use super::{Who, merged, quantiles};
use crate::kernel::{
    Arrivals, Cost, Log, MS, Order, Replicas, S, Server, Source, World, side_by_side,
};
use crate::results::{Bar, Line, Plot, Row, Size, Table};

const SERVERS: usize = 16;
const SLOW: usize = 2;
const SLOWNESS: f64 = 16.0;
/// The mean of service at a fast one.
const SERVICE: u64 = 10 * MS;
const CELL: &str = "half load";
/// As simulated by others: mean and p99.
const PUBLISHED: [(&str, [f64; 2]); 3] = [
    ("two choices", [2.22, 39.8]),
    ("oracle: shortest queue", [1.27, 8.96]),
    ("oracle: soonest done", [1.01, 4.69]),
];
/// Of the weight-aware one.
const P99: f64 = 4.69;

pub(crate) fn table(size: Size, threads: usize) -> Table {
    let weights: Vec<u32> = (0..SERVERS)
        .map(|at| if at < SLOW { 1 } else { 16 })
        .collect();
    let weighted = |policy| Who::Weighted(policy, weights.clone());
    let policies = vec![
        ("random", Who::Policy(Policy::random())),
        ("round-robin", Who::Policy(Policy::round_robin())),
        ("two choices", Who::Policy(Policy::least_in_flight())),
        (
            "least in flight, weights",
            weighted(Policy::least_in_flight()),
        ),
        ("round-robin, weights", weighted(Policy::weighted())),
        ("peak EWMA", Who::Policy(Policy::peak_ewma())),
        ("adaptive", Who::Policy(Policy::adaptive())),
        ("oracle: shortest queue", Who::Oracle { heeds_speed: false }),
        ("oracle: soonest done", Who::Oracle { heeds_speed: true }),
    ];
    let seeds = size.of(1, 8);
    let cells: Vec<(usize, u64)> = (0..policies.len())
        .flat_map(|policy| (1..=seeds).map(move |seed| (policy, seed)))
        .collect();
    let calls = size.of(40_000, 400_000);
    let logs = side_by_side(threads, &cells, |(policy, seed)| {
        run(&policies[*policy].1, *seed, calls)
    });
    let mut table = Table {
        id: "T2",
        title: "Two slow servers of sixteen",
        about: "16 servers with exponential service, two of them 16 times slower; offered half of what all can do. Whoever \
                gives each its equal share overloads the slow ones: their queues grow as long as it runs. Times in means of \
                service at a fast server. Policies are not told who is slow, unless it says weights.",
        ..Table::default()
    };
    let mut lines = Vec::new();
    for (index, (name, _)) in policies.iter().enumerate() {
        let of_row = cells
            .iter()
            .zip(&logs)
            .filter(|((policy, _), _)| *policy == index);
        let Some(log) = merged(of_row.map(|(_, log)| log)) else {
            continue;
        };
        table.rows.push(row(name, &log));
        let shares = [0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999];
        let at = |share: &f64| (nines(*share), log.all.quantile(*share) / SERVICE as f64);
        lines.push(Line::new(name, shares.iter().map(at).collect()));
    }
    table.plots.push(Plot {
        title: "Time in the system, by percentile",
        x: "nines: 1 is p90, 2 is p99, 3 is p99.9",
        y: "in means of service",
        is_y_log: true,
        lines,
    });
    bars(&mut table, size);
    table.never_worse("adaptive", "round-robin", &["mean", "p99"], 0.02);
    table
}

/// 0.9 is 1, 0.99 is 2.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

fn run(who: &Who, seed: u64, calls: u64) -> Log {
    let mut servers = vec![Server::new(Order::Fifo { slots: 1 }); SERVERS];
    for server in servers.iter_mut().take(SLOW) {
        server.slowness = SLOWNESS;
    }
    let mean = SERVICE as f64;
    let mut world = World::new(seed, servers, Cost::Exponential { mean });
    world.add_caller(who.brain(seed, SERVERS), vec![0; SERVERS]);
    let capacity = (SERVERS - SLOW) as f64 + SLOW as f64 / SLOWNESS;
    let per_s = capacity / 2.0 * S as f64 / mean;
    let until = (calls as f64 / per_s * S as f64) as u64;
    world.log.from = until / 20;
    world.add_source(Source {
        callers: 0..1,
        arrivals: Arrivals::Poisson { per_s },
        deadline: None,
        replicas: Replicas::All,
        until,
    });
    world.run(u64::MAX);
    world.log
}

fn row(policy: &str, log: &Log) -> Row {
    let mut figures = quantiles(&log.all, SERVICE);
    let slow: u64 = log.hits.iter().take(SLOW).sum();
    let share = slow as f64 / log.all.count() as f64;
    figures.push(("% to the slow", 100.0 * share));
    let mut published = PUBLISHED.iter().filter(|(name, _)| *name == policy);
    let published = published.next().map(|(_, figures)| *figures);
    let published = published.map(|[mean, p99]| vec![("mean", mean), ("p99", p99)]);
    Row {
        cell: CELL.to_owned(),
        policy: policy.to_owned(),
        figures,
        published: published.unwrap_or_default(),
        digest: log.digest,
    }
}

fn bars(table: &mut Table, size: Size) {
    let mut bars = Vec::new();
    if size == Size::Whole {
        for (policy, [mean, p99]) in PUBLISHED {
            for (name, target, share) in [("mean", mean, 0.03), ("p99", p99, 0.1)] {
                let what = format!("{name} of {policy}, beside the simulated one");
                let seen = table.figure(CELL, policy, name);
                bars.push(Bar::near(what, seen, target, share));
            }
        }
    }
    if let Some(seen) = table
        .row(CELL, "adaptive")
        .and_then(|row| row.figure("p99"))
    {
        let what = "p99 of adaptive, beside the weight-aware one";
        bars.push(Bar::at_most(what, seen, 1.2 * P99));
    }
    table.bars.extend(bars);
}
