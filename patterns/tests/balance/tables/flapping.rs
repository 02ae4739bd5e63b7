//! T3: one of eleven servers is slow for half of a minute.

use brokerless_patterns::balance::Policy;

use super::{Who, merged};
use crate::kernel::{
    Arrivals, Cost, Ended, Log, MS, Order, Replicas, S, Server, Source, World, side_by_side,
};
use crate::results::{Bar, Line, Plot, Row, Size, Table};

const SERVERS: usize = 11;
const PER_S: f64 = 1000.0;
const LASTS: u64 = 60 * S;
const SLOW_FROM: u64 = 15 * S;
const SLOW_UNTIL: u64 = 45 * S;
/// What each call takes there meanwhile.
const SLOW: u64 = 2 * S;
const CELL: &str = "a minute";
/// What counts as answered.
const SOON: u64 = S;
/// The share answered soon, as published and simulated by others.
const PUBLISHED: [(&str, f64); 3] = [
    ("round-robin", 95.45),
    ("two choices", 99.48),
    ("peak EWMA", 99.93),
];

pub(crate) fn table(size: Size, threads: usize) -> Table {
    let policies = [
        ("random", Who::Policy(Policy::random())),
        ("round-robin", Who::Policy(Policy::round_robin())),
        ("two choices", Who::Policy(Policy::least_in_flight())),
        ("peak EWMA", Who::Policy(Policy::peak_ewma())),
        ("adaptive", Who::Policy(Policy::adaptive())),
        ("oracle: shortest queue", Who::Oracle { heeds_speed: false }),
        ("oracle: soonest done", Who::Oracle { heeds_speed: true }),
    ];
    let seeds = size.of(1, 16);
    let cells: Vec<(usize, u64)> = (0..policies.len())
        .flat_map(|policy| (1..=seeds).map(move |seed| (policy, seed)))
        .collect();
    let logs = side_by_side(threads, &cells, |(policy, seed)| {
        run(&policies[*policy].1, *seed)
    });
    let mut table = Table {
        id: "T3",
        title: "A slow server comes and goes",
        about: "11 servers, service normal (167 ms, sigma 5 ms) however many at a time, 1,000 calls a second for 60 s; from \
                15 s to 45 s each call at server 0 takes 2 s. The share answered within 1 s, in percent; p99.9 in seconds.",
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
        lines.push(Line::new(name, over_time(&log)));
    }
    table.plots.push(Plot {
        title: "Calls not answered within 1 s",
        x: "seconds",
        y: "percent of those due in that second",
        is_y_log: false,
        lines,
    });
    for (policy, published) in PUBLISHED {
        let seen = table.figure(CELL, policy, "% within 1 s");
        let what = format!("% within 1 s of {policy}");
        table.bars.push(Bar::about(what, seen, published, 0.3));
    }
    let seen = table.figure(CELL, "adaptive", "% within 1 s");
    let what = "% within 1 s of adaptive";
    table.bars.push(Bar::at_least(what, seen, 99.9));
    table.never_worse("adaptive", "round-robin", &["mean s", "p99 s"], 0.02);
    table
}

fn run(who: &Who, seed: u64) -> Log {
    let servers = vec![Server::new(Order::Fifo { slots: usize::MAX }); SERVERS];
    let cost = Cost::Normal {
        mean: (167 * MS) as f64,
        sigma: (5 * MS) as f64,
    };
    let mut world = World::new(seed, servers, cost);
    world.add_caller(who.brain(seed, SERVERS), vec![0; SERVERS]);
    world.log.calls = Some(Vec::new());
    world.at(SLOW_FROM, |world| {
        world.servers[0].fixed = Some(SLOW as f64);
        world.servers[0].slowness = SLOW as f64 / (167 * MS) as f64;
    });
    world.at(SLOW_UNTIL, |world| {
        world.servers[0].fixed = None;
        world.servers[0].slowness = 1.0;
    });
    world.add_source(Source {
        callers: 0..1,
        arrivals: Arrivals::Poisson { per_s: PER_S },
        deadline: None,
        replicas: Replicas::All,
        until: LASTS,
    });
    world.run(u64::MAX);
    world.log
}

fn row(policy: &str, log: &Log) -> Row {
    let slow = log.all.count() - log.latencies.up_to(SOON);
    let mut published = PUBLISHED.iter().filter(|(name, _)| *name == policy);
    let published = published.next().map(|(_, share)| ("% within 1 s", *share));
    Row {
        cell: CELL.to_owned(),
        policy: policy.to_owned(),
        figures: vec![
            ("% within 1 s", 100.0 * log.within(SOON)),
            ("mean s", log.all.mean() / S as f64),
            ("p99 s", log.all.quantile(0.99) / S as f64),
            ("p99.9 s", log.all.quantile(0.999) / S as f64),
            ("slow a minute", slow as f64 / log.runs as f64),
        ],
        published: published.into_iter().collect(),
        digest: log.digest,
    }
}

/// By second, the percentage that was not answered soon.
fn over_time(log: &Log) -> Vec<(f64, f64)> {
    let mut seconds = vec![(0u32, 0u32); (LASTS / S) as usize];
    for Ended { born, took, .. } in log.calls.iter().flatten() {
        if let Some((all, slow)) = seconds.get_mut((born / S) as usize) {
            *all += 1;
            *slow += u32::from(*took > SOON);
        }
    }
    let share = |(all, slow): &(u32, u32)| 100.0 * f64::from(*slow) / f64::from((*all).max(1));
    let points = seconds.iter().enumerate();
    points
        .map(|(at, counts)| (at as f64 + 0.5, share(counts)))
        .collect()
}
