//! T5: more and more calls, on machines with neighbours that come and go: Prequal's ramp.

use brokerless_patterns::balance::{Policy, Random};

use super::published::{Knowing, Prequal};
use crate::kernel::{
    Arrivals, Brain, Cost, MS, Order, Production, Replicas, S, Server, Source, World, side_by_side,
};
use crate::results::{Bar, Line, Plot, Row, Size, Table};

const CALLERS: usize = 100;
const SERVERS: usize = 100;
/// Cores that are a server's own, whatever its neighbours do.
const CORES: f64 = 4.0;
/// The mean of a normal distribution and its sigma, cut off at nothing.
const COST: f64 = (80 * MS) as f64;
/// Its mean, so cut.
const COST_CUT: f64 = COST * 1.0833;
const NETWORK: u64 = MS / 4;
const DEADLINE: u64 = 5 * S;
/// From one change of a machine's neighbours to the next.
const NEIGHBOURS: u64 = 10 * S;
/// From the first load to that of the step.
const RAMP: u64 = 5 * S;
/// Before anything is written down: weights from reports begin after 10 s.
const BEFORE: u64 = 15 * S;
const LOADS: [f64; 9] = [0.75, 0.83, 0.93, 1.03, 1.14, 1.27, 1.41, 1.57, 1.74];
const POLICIES: [&str; 8] = [
    ADAPTIVE,
    PREQUAL,
    TUNED,
    "hot-cold",
    DYNAMIC,
    "two choices",
    "round-robin",
    "oracle: soonest done",
];
const ADAPTIVE: &str = "adaptive";
const PREQUAL: &str = "Prequal, 3 questions a call";
/// Tuned for this table: half of the reports are hot, not a sixth.
const TUNED: &str = "Prequal, hot above the median";
const DYNAMIC: &str = "dynamic weights";

#[derive(Debug, Clone, Copy)]
struct Cell {
    load: f64,
    policy: &'static str,
    until: u64,
}

pub(crate) fn table(size: Size, threads: usize) -> Table {
    let loads: &[f64] = size.of(&[0.75], &LOADS);
    let policies: &[&str] = size.of(&[ADAPTIVE, PREQUAL, TUNED], &POLICIES);
    let until = BEFORE + size.of(3, 30) * S;
    let mut cells = Vec::new();
    for &load in loads {
        let policies = policies.iter();
        cells.extend(policies.map(|&policy| Cell {
            load,
            policy,
            until,
        }));
    }
    let rows = side_by_side(threads, &cells, run);
    let mut table = Table {
        id: "T5",
        title: "More than its share",
        about: "100 callers, 100 servers with 4 cores of their own each on machines with more; every 10 s a machine's neighbours \
                are others: with two of five all but at most 0.3 of the server's own cores are taken, else it may have 1.5 to 4 times \
                as many. Calls cost a normal distribution of 80 ms, sigma 80 ms, cut at nothing, on one core each. A call that takes 5 s \
                has failed. Load: of the cores that are the servers' own; each run begins with 0.75. In ms; what failed counts with 5 s. Prequal's \
                servers report the median of the 65 of the last 256 calls that met as many in flight.",
        rows,
        ..Table::default()
    };
    for &load in loads {
        let cell = load.to_string();
        let p99 = |policy: &str| table.figure(&cell, policy, "p99");
        let (seen, bound) = (p99(ADAPTIVE), p99(PREQUAL).min(p99(TUNED)));
        let what = format!("{cell}: p99 of adaptive, beside the better of the two Prequals");
        table.bars.push(Bar::at_most(what, seen, bound));
        if load == 1.74 {
            let failed = |policy: &str| table.figure(&cell, policy, "% failed");
            let (ours, theirs) = (failed(ADAPTIVE), failed(DYNAMIC));
            let what = "1.74: % failed of adaptive";
            table.bars.push(Bar::at_most(what, ours, 0.0));
            let what = "1.74: % failed of dynamic weights, published as more than 25";
            table.bars.push(Bar::at_least(what, theirs, 25.0));
        }
    }
    table.never_worse(ADAPTIVE, "round-robin", &["mean", "p99"], 0.02);
    let line = |policy: &str| {
        let at = |load: &f64| (*load, table.figure(&load.to_string(), policy, "p99"));
        Line::new(policy, loads.iter().map(at).collect())
    };
    let lines = policies.iter().map(|policy| line(policy)).collect();
    table.plots.push(Plot {
        title: "99th percentile",
        x: "load, of the servers' own cores",
        y: "p99, ms",
        is_y_log: true,
        lines,
    });
    table
}

fn brains(policy: &str) -> Vec<Box<dyn Brain>> {
    if policy.starts_with("oracle") {
        return Knowing::all(CALLERS, SERVERS);
    }
    let brain = |caller: usize| -> Box<dyn Brain> {
        let seed = 1000 + caller as u64;
        let production = |policy: Policy| Box::new(Production::alike(&policy, seed, SERVERS));
        match policy {
            PREQUAL => Box::new(Prequal::new(seed, SERVERS)),
            TUNED => Box::new(Prequal::hot_above_share(seed, SERVERS, 0.5)),
            "hot-cold" => production(Policy::hot_cold()),
            DYNAMIC => production(Policy::dynamic()),
            "two choices" => production(Policy::least_in_flight()),
            "round-robin" => production(Policy::round_robin()),
            _ => production(Policy::adaptive()),
        }
    };
    (0..CALLERS).map(brain).collect()
}

fn run(cell: &Cell) -> Row {
    let mut servers = vec![Server::new(Order::Shared { cores: CORES }); SERVERS];
    if [PREQUAL, TUNED].contains(&cell.policy) {
        let like_this = |server: &mut Server| server.latency_like_this = Some((65, 256));
        servers.iter_mut().for_each(like_this);
    }
    let cost = Cost::Normal {
        mean: COST,
        sigma: COST,
    };
    let mut world = World::new(11, servers, cost);
    for brain in brains(cell.policy) {
        world.add_caller(brain, vec![NETWORK; SERVERS]);
    }
    world.log.from = BEFORE;
    let per_s = |load: f64| load * CORES * SERVERS as f64 * S as f64 / COST_CUT;
    let (first, then) = (per_s(LOADS[0]), per_s(cell.load));
    world.at(RAMP, move |world| world.set_rate(0, then));
    world.add_source(Source {
        callers: 0..CALLERS,
        arrivals: Arrivals::Poisson { per_s: first },
        deadline: Some(DEADLINE),
        replicas: Replicas::All,
        until: cell.until,
    });
    let mut random = Random::new(5);
    for server in 0..SERVERS {
        let first = (random.unit() * NEIGHBOURS as f64) as u64;
        let random = Random::new(random.next_u64());
        change(&mut world, server, random, first, cell.until);
    }
    world.run(u64::MAX);
    let log = &world.log;
    let ms = |share: f64| log.all.quantile(share) / MS as f64;
    let sent: u64 = world.servers.iter().map(|server| server.hits).sum();
    Row {
        cell: cell.load.to_string(),
        policy: cell.policy.to_owned(),
        figures: vec![
            ("mean", log.all.mean() / MS as f64),
            ("p50", ms(0.5)),
            ("p90", ms(0.9)),
            ("p99", ms(0.99)),
            ("% failed", log.errors() * 100.0),
            ("questions a call", world.probes as f64 / sent.max(1) as f64),
        ],
        published: Vec::new(),
        digest: log.digest,
    }
}

/// Other neighbours on this server's machine, now and later.
fn change(world: &mut World, server: usize, mut random: Random, wait: u64, until: u64) {
    let times = match random.unit() {
        crowded if crowded < 0.4 => 1.0 + 0.3 * random.unit(),
        _ => 1.5 + 2.5 * random.unit(),
    };
    world.set_cores(server, CORES * times);
    let next = world.now + wait;
    if next < until {
        world.at(next, move |world| {
            change(world, server, random, NEIGHBOURS, until)
        });
    }
}
