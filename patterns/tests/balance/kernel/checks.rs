//! The kernel itself, beside queues whose figures are exact.

use brokerless_patterns::balance::Policy;

use super::{Arrivals, Cost, MS, Order, Production, Replicas, S, Server, Source, World};

/// Fails if the kernel is wrong.
pub(crate) fn check() {
    super::latencies::check();
    four_at_a_time_wait_as_erlang_says();
    a_shared_server_is_insensitive();
    a_closed_loop_has_the_rate_that_its_times_say();
    what_runs_goes_on_at_the_new_speed();
    credit_keeps_the_rest_with_the_caller();
    a_lost_server_answers_nothing_and_deadlines_end_its_calls();
}

/// One caller, so far from each server.
fn world(server: Server, servers: usize, cost: Cost, way: u64) -> World {
    let mut world = World::new(7, vec![server; servers], cost);
    let brain = Production::alike(&Policy::round_robin(), 7, servers);
    world.add_caller(Box::new(brain), vec![way; servers]);
    world
}

fn source(arrivals: Arrivals, until: u64) -> Source {
    Source {
        callers: 0..1,
        arrivals,
        deadline: None,
        replicas: Replicas::All,
        until,
    }
}

#[track_caller]
fn near(seen: f64, exact: f64, share: f64) {
    assert!((seen / exact - 1.0).abs() < share, "{seen} beside {exact}");
}

fn four_at_a_time_wait_as_erlang_says() {
    let mean = MS as f64;
    let server = Server::new(Order::Fifo { slots: 4 });
    let mut world = world(server, 1, Cost::Exponential { mean }, 0);
    world.add_source(source(Arrivals::Poisson { per_s: 2800.0 }, 20 * S));
    world.run(u64::MAX);
    // Erlang C of 4 servers at 2.8: 0.4287 wait, each for 1 / (4 - 2.8).
    near(world.log.all.mean(), mean * (1.0 + 0.4287 / 1.2), 0.03);
}

fn a_shared_server_is_insensitive() {
    let cost = Cost::Normal {
        mean: MS as f64,
        sigma: MS as f64 / 100.0,
    };
    let mut world = world(Server::new(Order::Shared { cores: 1.0 }), 1, cost, 0);
    world.add_source(source(Arrivals::Poisson { per_s: 500.0 }, 100 * S));
    world.run(u64::MAX);
    near(world.log.all.mean(), 2.0 * MS as f64, 0.03);
}

fn a_closed_loop_has_the_rate_that_its_times_say() {
    let cost = Cost::Normal {
        mean: 2e6,
        sigma: 0.0,
    };
    let server = Server::new(Order::Fifo { slots: 8 });
    let mut world = world(server, 1, cost, MS);
    let (threads, rest) = (3, MS);
    world.add_source(source(Arrivals::Closed { threads, rest }, S));
    world.run(u64::MAX);
    // 1 ms there, 2 ms of work, 1 ms back, 1 ms of rest: 200 a second each.
    near(world.log.all.count() as f64, 600.0, 0.01);
    near(world.log.all.mean(), 4e6, 0.001);
}

fn what_runs_goes_on_at_the_new_speed() {
    let cost = Cost::Normal {
        mean: 10e6,
        sigma: 0.0,
    };
    let server = Server::new(Order::Fifo { slots: 1 });
    let mut world = world(server, 1, cost, 0);
    world.log.calls = Some(Vec::new());
    let arrivals = Arrivals::Closed {
        threads: 1,
        rest: S,
    };
    world.add_source(source(arrivals, MS));
    world.at(4 * MS, |world| world.set_speed(0, 0.5));
    world.run(u64::MAX);
    let took = world.log.calls.iter().flatten().map(|call| call.took);
    assert_eq!(took.collect::<Vec<u64>>(), [16 * MS]);
}

fn credit_keeps_the_rest_with_the_caller() {
    let cost = Cost::Normal {
        mean: 1e6,
        sigma: 0.0,
    };
    let mut world = world(Server::new(Order::Fifo { slots: 1 }), 2, cost, 0);
    world.credit = Some(2);
    let arrivals = Arrivals::Closed {
        threads: 10,
        rest: S,
    };
    world.add_source(source(arrivals, MS));
    world.at(MS / 2, |world| {
        let there = world.servers.iter().map(Server::in_flight);
        assert_eq!(there.collect::<Vec<usize>>(), [2, 2]);
    });
    world.run(u64::MAX);
    assert_eq!(world.log.hits, [5, 5]);
    near(world.log.all.quantile(1.0), 5e6, 0.001);
}

fn a_lost_server_answers_nothing_and_deadlines_end_its_calls() {
    let cost = Cost::Normal {
        mean: 1e6,
        sigma: 0.0,
    };
    let mut world = world(Server::new(Order::Fifo { slots: 1 }), 2, cost, MS);
    let mut source = source(Arrivals::Poisson { per_s: 100.0 }, 2 * S);
    source.deadline = Some(100 * MS);
    world.add_source(source);
    world.at(S / 2, |world| world.lose(0));
    world.at(S, |world| world.set_up(0, 0, false));
    world.run(u64::MAX);
    let failed = world.log.failed as f64 / world.log.all.count() as f64;
    near(failed, 0.125, 0.2);
    assert_eq!(
        world.log.all.count(),
        world.log.failed + world.log.latencies.count()
    );
}
