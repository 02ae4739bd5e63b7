//! Three regions of three zones of four nodes: calls stay near while there is room, spill to the region
//! before the world, and live through the loss of a zone: where nodes say what zone they are in, and
//! where nobody says anything and heartbeats measure how far they are.

use std::sync::Arc;

use brokerless_patterns::balance::{Facts, Place, Policy};

use super::{merged, quantiles};
use crate::kernel::{
    Arrivals, Brain, Cost, Ended, Known, Log, MS, Order, Production, Replicas, S, Server, Source,
    View, World, side_by_side,
};
use crate::results::{Bar, Line, Plot, Row, Size, Table};

const REGIONS: usize = 3;
const ZONES: usize = 9;
const NODES_A_ZONE: usize = 4;
const NODES: usize = ZONES * NODES_A_ZONE;
const CALLERS_A_ZONE: usize = 3;
/// A node runs so many calls at once, each for so long.
const SLOTS: usize = 4;
const SERVICE: u64 = 10 * MS;
/// The way to a node and back: within the zone, within the region, elsewhere.
const ROUND_TRIPS: [u64; 3] = [3 * MS / 10, 2 * MS, 80 * MS];
const NEAR: [&str; 3] = ["% in the zone", "% in the region", "% elsewhere"];
/// Calls a second that a zone's nodes can do.
const ZONE_PER_S: f64 = (NODES_A_ZONE * SLOTS) as f64 * S as f64 / SERVICE as f64;

/// Who is held to the bars.
const BEST: [&str; 2] = ["adaptive by place", "adaptive by round trip"];
/// The zone that has too many calls, or whose nodes are lost.
const ZONE: usize = 4;
const LOST_FROM: u64 = 10 * S;
const LOST_UNTIL: u64 = 25 * S;
/// A connection that says nothing is given up after a heartbeat's interval and timeout.
const HEARTBEAT: u64 = 4 * S;
/// A closed one is made again after this.
const RECONNECT: u64 = S / 10;
const DEADLINE: u64 = S;
/// Calls that one caller may have at one node: the first window that a server grants. Later ones
/// follow how long calls wait there; this one does not.
const CREDIT: u32 = 16;
/// Stretches in which errors are counted, to see when they are over.
const STRETCH: u64 = S / 10;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scene {
    /// Each zone offers this share of what its nodes can do.
    Even(f64),
    /// One offers one and a half of it, the others little.
    Crowded,
    /// All nodes of one are gone for a while, and their connections with them.
    Killed,
    /// Nothing comes from there for a while: callers learn of it by heartbeats only.
    Silent,
}

const SCENES: [(&str, Scene); 6] = [
    ("30 % everywhere", Scene::Even(0.3)),
    ("60 % everywhere", Scene::Even(0.6)),
    ("80 % everywhere", Scene::Even(0.8)),
    ("150 % at one zone", Scene::Crowded),
    ("a zone killed", Scene::Killed),
    ("a zone silent", Scene::Silent),
];

#[derive(Debug, Clone)]
enum Who {
    ByPlace(Policy),
    ByRoundTrip(Policy),
    Everywhere(Policy),
    Oracle,
}

struct Cell {
    scene: usize,
    who: usize,
    seed: u64,
}

pub(crate) fn table(size: Size, threads: usize) -> Table {
    let mut policies = vec![
        ("round-robin", Who::Everywhere(Policy::round_robin())),
        ("round-robin by place", Who::ByPlace(Policy::round_robin())),
        (
            "least in flight by place",
            Who::ByPlace(Policy::least_in_flight()),
        ),
        ("adaptive", Who::Everywhere(Policy::adaptive())),
        ("adaptive by place", Who::ByPlace(Policy::adaptive())),
        (
            "adaptive by round trip",
            Who::ByRoundTrip(Policy::adaptive()),
        ),
        ("oracle: soonest done", Who::Oracle),
    ];
    if size == Size::Small {
        policies.retain(|(name, _)| BEST.contains(name));
    }
    let scenes: Vec<usize> = size.of(vec![1, 3, 5], (0..SCENES.len()).collect());
    let mut cells = Vec::new();
    for scene in &scenes {
        for who in 0..policies.len() {
            let cell = |seed| Cell {
                scene: *scene,
                who,
                seed,
            };
            cells.extend((1..=size.of(1, 2)).map(cell));
        }
    }
    let share = size.of(0.25, 1.0);
    let logs = side_by_side(threads, &cells, |cell| {
        run(
            SCENES[cell.scene].1,
            &policies[cell.who].1,
            cell.seed,
            share,
        )
    });
    let mut table = Table {
        id: "places",
        title: "Three regions of three zones of four nodes",
        about: "36 nodes, each runs 4 calls of 10 ms (exponential) at once; 3 callers in each zone; round trips of 0.3 ms in \
                the zone, 2 ms in the region, 80 ms elsewhere. Deadline 1 s, credit of 16 calls a caller and node. At 150 % one zone offers one and a half of what \
                its nodes can do, the others 30 %. A zone is lost for 15 s of 40: killed, so that its connections close, or \
                silent, so that only heartbeats tell (4 s). Times in milliseconds.",
        ..Table::default()
    };
    let mut lines = Vec::new();
    for scene in &scenes {
        let (cell, kind) = SCENES[*scene];
        for (who, (policy, _)) in policies.iter().enumerate() {
            let mine = cells.iter().zip(&logs);
            let mine = mine.filter(|(cell, _)| (cell.scene, cell.who) == (*scene, who));
            let Some(log) = merged(mine.map(|(_, log)| log)) else {
                continue;
            };
            table.rows.push(row(cell, kind, policy, &log));
            if kind == Scene::Silent {
                lines.push(Line::new(policy, failing(&log)));
            }
        }
    }
    table.plots.push(Plot {
        title: "A silent zone: calls of its callers that fail",
        x: "seconds",
        y: "percent of those due in that tenth of a second",
        is_y_log: false,
        lines,
    });
    for scene in &scenes {
        for policy in BEST {
            bars(&mut table, SCENES[*scene], policy, size);
        }
    }
    for name in [BEST[0], BEST[1], "adaptive"] {
        table.never_worse(name, "round-robin", &["mean", "p99", "% failed"], 0.02);
    }
    table
}

fn place(zone: usize) -> Place {
    let region = zone / (ZONES / REGIONS);
    Place::new(&format!("region-{region}"), &format!("zone-{zone}"))
}

/// How far apart two zones are: the same, of one region, or not.
fn distance(one: usize, other: usize) -> usize {
    let region = |zone: usize| zone / (ZONES / REGIONS);
    match (one == other, region(one) == region(other)) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}

fn run(scene: Scene, who: &Who, seed: u64, share: f64) -> Log {
    let servers = vec![Server::new(Order::Fifo { slots: SLOTS }); NODES];
    let mean = SERVICE as f64;
    let mut world = World::new(seed, servers, Cost::Exponential { mean });
    let places: Vec<Arc<Place>> = (0..ZONES).map(|zone| Arc::new(place(zone))).collect();
    let facts = |node: usize| Facts {
        place: Some(places[node / NODES_A_ZONE].clone()),
        ..Facts::default()
    };
    let facts: Vec<Facts> = (0..NODES).map(facts).collect();
    for caller in 0..ZONES * CALLERS_A_ZONE {
        let home = caller / CALLERS_A_ZONE;
        let one_way = |node: usize| ROUND_TRIPS[distance(home, node / NODES_A_ZONE)] / 2;
        let seed = seed * 1000 + caller as u64;
        let brain: Box<dyn Brain> = match who {
            Who::ByPlace(policy) => {
                let policy = policy.clone().by_place(place(home));
                Box::new(Production::new(&policy, seed, &facts))
            }
            Who::ByRoundTrip(policy) => {
                let mut brain = Production::new(&policy.clone().by_round_trip(), seed, &facts);
                // No two measure quite the same: up to a tenth more.
                let measured = |node| 2 * one_way(node) * (100 + (caller + node) as u64 % 11) / 100;
                brain.measure((0..NODES).map(measured));
                Box::new(brain)
            }
            Who::Everywhere(policy) => Box::new(Production::new(policy, seed, &facts)),
            Who::Oracle => Box::new(Known::new(seed, soonest)),
        };
        world.add_caller(brain, (0..NODES).map(one_way).collect());
    }
    let is_lost = matches!(scene, Scene::Killed | Scene::Silent);
    // A loss is seen within seconds; that it heals takes longer to see.
    let lasts = match is_lost {
        true if share < 1.0 => LOST_FROM + 6 * S,
        true => 40 * S,
        false => (30.0 * share * S as f64) as u64,
    };
    for zone in 0..ZONES {
        let load = match scene {
            Scene::Even(load) => load,
            Scene::Crowded if zone == ZONE => 1.5,
            Scene::Crowded => 0.3,
            Scene::Killed | Scene::Silent => 0.5,
        };
        world.add_source(Source {
            callers: zone * CALLERS_A_ZONE..(zone + 1) * CALLERS_A_ZONE,
            arrivals: Arrivals::Poisson {
                per_s: load * ZONE_PER_S,
            },
            deadline: Some(DEADLINE),
            replicas: Replicas::All,
            until: lasts,
        });
    }
    world.log.from = 2 * S;
    world.credit = Some(CREDIT);
    world.log.calls = Some(Vec::new());
    if is_lost {
        plan_loss(&mut world, scene == Scene::Silent);
    }
    world.run(u64::MAX);
    world.log
}

fn soonest(view: &View<'_>, node: usize) -> f64 {
    if view.servers[node].lost {
        return f64::INFINITY;
    }
    let ahead = (f64::from(view.on_the_way[node]) + 1.0 - SLOTS as f64).max(0.0);
    let waits = ahead / SLOTS as f64 * SERVICE as f64;
    (2 * view.delays[node]) as f64 + waits + SERVICE as f64
}

fn plan_loss(world: &mut World, is_silent: bool) {
    let nodes = || ZONE * NODES_A_ZONE..(ZONE + 1) * NODES_A_ZONE;
    world.at(LOST_FROM, move |world| {
        nodes().for_each(|node| world.lose(node))
    });
    world.at(LOST_UNTIL, move |world| {
        nodes().for_each(|node| world.find(node))
    });
    for caller in 0..world.callers() {
        for node in nodes() {
            let way = ROUND_TRIPS[distance(caller / CALLERS_A_ZONE, ZONE)] / 2;
            let noticed = LOST_FROM + if is_silent { HEARTBEAT } else { way };
            world.at(noticed, move |world| world.set_up(caller, node, false));
            world.at(LOST_UNTIL + RECONNECT, move |world| {
                world.set_up(caller, node, true);
            });
        }
    }
}

fn home(call: &Ended) -> usize {
    call.caller / CALLERS_A_ZONE
}

fn row(cell: &str, scene: Scene, policy: &str, log: &Log) -> Row {
    let mut figures = quantiles(&log.all, MS);
    figures.push(("% failed", 100.0 * log.errors()));
    let calls = || log.calls.iter().flatten();
    // Whose calls are looked at for where they went.
    let looked_at = |call: &&Ended| match scene {
        Scene::Crowded | Scene::Killed | Scene::Silent => home(call) == ZONE,
        Scene::Even(_) => true,
    };
    let mut near = [0u64; 3];
    let mut nodes = [0u64; NODES];
    for call in calls().filter(looked_at) {
        if let Some(server) = call.server {
            near[distance(home(call), server / NODES_A_ZONE)] += 1;
        }
    }
    for server in calls().filter_map(|call| call.server) {
        nodes[server] += 1;
    }
    let all = near.iter().sum::<u64>().max(1) as f64;
    let percent = |count: u64| 100.0 * count as f64 / all;
    figures.extend(NEAR.into_iter().zip(near.map(percent)));
    match scene {
        Scene::Even(_) => {}
        Scene::Crowded => {
            let spilt = (near[1] + near[2]).max(1) as f64;
            figures.push((
                "% of the spill in the region",
                100.0 * near[1] as f64 / spilt,
            ));
            figures.push(("busiest, of its zone's mean", busiest(&nodes)));
            let most = nodes.iter().max().copied().unwrap_or(0) as f64;
            let first = calls().map(|call| call.born).min().unwrap_or(0);
            let last = calls().map(|call| call.born).max().unwrap_or(0);
            let could = ZONE_PER_S / NODES_A_ZONE as f64 * (last - first) as f64 / S as f64;
            figures.push(("busiest, of what it can do", most / could / log.runs as f64));
        }
        Scene::Killed | Scene::Silent => {
            figures.push(("taken over s", taken_over(log)));
        }
    }
    Row {
        cell: cell.to_owned(),
        policy: policy.to_owned(),
        figures,
        published: Vec::new(),
        digest: log.digest,
    }
}

/// The most that any node gets beside the others of its zone.
fn busiest(nodes: &[u64; NODES]) -> f64 {
    let zones = nodes.chunks(NODES_A_ZONE);
    let most = zones.map(|zone| {
        let mean = zone.iter().sum::<u64>() as f64 / zone.len() as f64;
        let most = zone.iter().max().copied().unwrap_or(0) as f64;
        most / mean.max(1.0)
    });
    most.fold(0.0, f64::max)
}

/// By stretch, the percentage that failed of the calls of those whose zone was lost.
fn failing(log: &Log) -> Vec<(f64, f64)> {
    let mut stretches: Vec<(u32, u32)> = Vec::new();
    for call in log.calls.iter().flatten().filter(|call| home(call) == ZONE) {
        let at = (call.born / STRETCH) as usize;
        if stretches.len() <= at {
            stretches.resize(at + 1, (0, 0));
        }
        stretches[at].0 += 1;
        stretches[at].1 += u32::from(!call.fine);
    }
    let share = |(all, failed): &(u32, u32)| 100.0 * f64::from(*failed) / f64::from((*all).max(1));
    let seconds = |at: usize| at as f64 * STRETCH as f64 / S as f64;
    let points = stretches.iter().enumerate();
    points
        .map(|(at, counts)| (seconds(at), share(counts)))
        .collect()
}

/// Seconds from the loss until no stretch has more than one in a hundred that fails, while it is lost.
fn taken_over(log: &Log) -> f64 {
    let (from, until) = (LOST_FROM as f64 / S as f64, LOST_UNTIL as f64 / S as f64);
    let stretches = failing(log).into_iter();
    let bad = stretches.filter(|(at, share)| (from..until).contains(at) && *share > 1.0);
    let last = bad.map(|(at, _)| at + STRETCH as f64 / S as f64 - from);
    last.fold(0.0, f64::max)
}

fn bars(table: &mut Table, (cell, scene): (&str, Scene), policy: &str, size: Size) {
    let seen = |name: &str| table.figure(cell, policy, name);
    let what = |name: &str| format!("{cell}: {name}, {policy}");
    let bars = match scene {
        Scene::Even(_) => vec![Bar::at_least(what(NEAR[0]), seen(NEAR[0]), 99.0)],
        Scene::Crowded => vec![
            Bar::at_least(
                what("% of the spill in the region"),
                seen("% of the spill in the region"),
                99.0,
            ),
            Bar::at_most(
                what("busiest, of its zone's mean"),
                seen("busiest, of its zone's mean"),
                // Chance alone is a tenth in so few calls.
                size.of(1.2, 1.1),
            ),
            Bar::at_most(
                what("busiest, of what it can do"),
                seen("busiest, of what it can do"),
                1.1,
            ),
            Bar::at_most(what("% failed"), seen("% failed"), 1.0),
        ],
        Scene::Killed | Scene::Silent => vec![
            Bar::at_most(what("% failed"), seen("% failed"), 1.0),
            Bar::at_most(what("taken over s"), seen("taken over s"), 1.0),
        ],
    };
    table.bars.extend(bars);
}
