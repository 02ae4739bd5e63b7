//! T4: servers whose speeds change, three for each call: the set-up of C3's simulation.

use brokerless_patterns::balance::{Policy, Random};

use super::published::{C3, Knowing, Prequal};
use super::quantiles;
use crate::kernel::{
    Arrivals, Brain, Cost, MS, Order, Production, Replicas, S, Server, Source, World, side_by_side,
};
use crate::results::{Bar, Line, Plot, Row, Size, Table};

const CALLERS: usize = 150;
const SERVERS: usize = 50;
const SLOTS: usize = 4;
/// The mean of service at the lower speed.
const SERVICE: u64 = 4 * MS;
/// The higher speed.
const FAST: f64 = 6.0;
const LOAD: f64 = 0.7;
/// Each way.
const NETWORK: u64 = 2 * MS;
/// From one change of speeds to the next, in milliseconds.
const INTERVALS: [u64; 6] = [10, 50, 100, 200, 300, 500];
const POLICIES: [&str; 6] = [
    ADAPTIVE,
    C3_NAME,
    PREQUAL,
    "peak EWMA",
    "round-robin",
    ORACLE,
];
const ADAPTIVE: &str = "adaptive";
const C3_NAME: &str = "C3";
const PREQUAL: &str = "Prequal, 3 questions a call";
const ORACLE: &str = "oracle: soonest done";

#[derive(Debug, Clone, Copy)]
struct Cell {
    interval: u64,
    policy: &'static str,
    replicas: Replicas,
    calls: u64,
}

impl Cell {
    fn name(interval: u64, replicas: Replicas) -> String {
        match replicas {
            Replicas::InARow(_) => format!("{interval} ms, three in a row"),
            _ => format!("{interval} ms"),
        }
    }
}

pub(crate) fn table(size: Size, threads: usize) -> Table {
    let intervals: &[u64] = size.of(&[50, 500], &INTERVALS);
    let calls = size.of(60_000, 600_000);
    let ways: &[Replicas] = size.of(
        &[Replicas::AnyThree],
        &[Replicas::AnyThree, Replicas::InARow(3)],
    );
    let mut cells = Vec::new();
    for &replicas in ways {
        for &interval in intervals {
            cells.extend(POLICIES.map(|policy| Cell {
                interval,
                policy,
                replicas,
                calls,
            }));
        }
    }
    let rows = side_by_side(threads, &cells, run);
    let mut table = Table {
        id: "T4",
        title: "Speeds that change",
        about: "150 callers, 50 servers of 4 workers, exponential service of 4 ms at a speed that is 1 or 6, by chance, anew at \
                each interval; 2 ms each way; 70 % of the mean capacity; each call may go to any three of the servers (in a row: to \
                three that follow one another, where slow ones side by side are more than anyone can help). In ms. \
                Prequal has the reports of all 50 in its pool; its servers report the median of the 9 of the last 64 calls \
                that met as many in flight. C3 has its scores, without rate control.",
        rows,
        ..Table::default()
    };
    for &replicas in ways {
        for &interval in intervals {
            let cell = Cell::name(interval, replicas);
            let p99 = |policy: &str| table.figure(&cell, policy, "p99");
            let (seen, oracle) = (p99(ADAPTIVE), p99(ORACLE));
            let bound = p99(C3_NAME).min(p99(PREQUAL));
            let what = format!("{cell}: p99 of adaptive, beside the better of C3 and Prequal");
            let bar = Bar::at_most(what, seen, bound);
            // So few calls see few changes.
            if size == Size::Whole || interval < 100 {
                table.bars.push(bar);
            }
            let mut rows = table.rows.iter_mut();
            let row = rows.find(|row| row.cell == cell && row.policy == ADAPTIVE);
            if let Some(row) = row {
                row.figures.push(("p99, oracle's", seen / oracle));
            }
        }
    }
    table.never_worse(ADAPTIVE, "round-robin", &["mean", "p99"], 0.02);
    let line = |policy: &str| {
        let at = |interval: &u64| {
            let cell = Cell::name(*interval, Replicas::AnyThree);
            (*interval as f64, table.figure(&cell, policy, "p99"))
        };
        Line::new(policy, intervals.iter().map(at).collect())
    };
    let lines = POLICIES.iter().map(|policy| line(policy)).collect();
    table.plots.push(Plot {
        title: "99th percentile, any three",
        x: "ms from one change of speeds to the next",
        y: "p99, ms",
        is_y_log: true,
        lines,
    });
    table
}

fn brains(policy: &str) -> Vec<Box<dyn Brain>> {
    if policy == ORACLE {
        return Knowing::all(CALLERS, SERVERS);
    }
    let brain = |caller: usize| -> Box<dyn Brain> {
        let seed = 1000 + caller as u64;
        let production = |policy: Policy| Box::new(Production::alike(&policy, seed, SERVERS));
        match policy {
            C3_NAME => Box::new(C3::new(seed, SERVERS, CALLERS)),
            PREQUAL => Box::new(Prequal::of_few(seed, SERVERS)),
            "peak EWMA" => production(Policy::peak_ewma()),
            "round-robin" => production(Policy::round_robin()),
            _ => production(Policy::adaptive()),
        }
    };
    (0..CALLERS).map(brain).collect()
}

fn run(cell: &Cell) -> Row {
    let mut servers = vec![Server::new(Order::Fifo { slots: SLOTS }); SERVERS];
    if cell.policy == PREQUAL {
        let like_this = |server: &mut Server| server.latency_like_this = Some((9, 64));
        servers.iter_mut().for_each(like_this);
    }
    let mean = SERVICE as f64;
    let mut world = World::new(7 + cell.interval, servers, Cost::Exponential { mean });
    for brain in brains(cell.policy) {
        world.add_caller(brain, vec![NETWORK; SERVERS]);
    }
    let per_s = LOAD * (SERVERS * SLOTS) as f64 * S as f64 / mean * (1.0 + FAST) / 2.0;
    let until = (cell.calls as f64 / per_s * S as f64) as u64;
    world.add_source(Source {
        callers: 0..CALLERS,
        arrivals: Arrivals::Poisson { per_s },
        deadline: None,
        replicas: cell.replicas,
        until,
    });
    change(
        &mut world,
        Random::new(cell.interval),
        cell.interval * MS,
        until,
    );
    world.run(u64::MAX);
    let mut figures = quantiles(&world.log.all, MS);
    let asked = world.probes as f64 / world.log.all.count().max(1) as f64;
    figures.push(("questions a call", asked));
    Row {
        cell: Cell::name(cell.interval, cell.replicas),
        policy: cell.policy.to_owned(),
        figures,
        published: Vec::new(),
        digest: world.log.digest,
    }
}

/// All speeds anew, now and after each interval.
fn change(world: &mut World, mut random: Random, interval: u64, until: u64) {
    for server in 0..SERVERS {
        let speed = if random.below(2) == 0 { 1.0 } else { FAST };
        world.set_speed(server, speed);
    }
    let next = world.now + interval;
    if next < until {
        world.at(next, move |world| change(world, random, interval, until));
    }
}
