//! Measures, not facts: run them with `--release --ignored --nocapture`.

#![allow(clippy::print_stdout, reason = "figures are to be read")]

use std::time::{Duration, Instant};

use brokerless::client::Together;
use brokerless::scatter;

use crate::support::{Process, pool_of};
use crate::work::WorkClient;

const CALLS: u64 = 100;
const ROUNDS: usize = 2_000;

fn in_order(work: &WorkClient) {
    let begun: Vec<_> = (0..CALLS).map(|x| work.begin().plain(x)).collect();
    for begun in begun {
        assert!(begun.expect("it begins").wait().is_ok());
    }
}

fn any(work: &WorkClient) {
    let mut calls = Together::new();
    for x in 0..CALLS {
        calls.put(x, work.begin().plain(x).expect("it begins"));
    }
    while let Some((_, end)) = calls.wait_any() {
        assert!(end.is_ok());
    }
}

fn scattered(work: &WorkClient) {
    let running = scatter(0..CALLS)
        .over(work)
        .run(|work, x| work.begin().plain(*x));
    assert!(running.expect("it runs").gather().is_complete());
}

fn by_policy(work: &WorkClient) {
    let running = scatter(0..CALLS)
        .over(work)
        .policy(CALLS as usize)
        .run(|work, x| work.begin().plain(*x));
    assert!(running.expect("it runs").gather().is_complete());
}

/// A way of making a hundred calls.
type Way<'w> = (&'w str, fn(&WorkClient));

/// The median of what each takes, in turns; and the median of the ratios to the first.
fn compare(work: &WorkClient, ways: &[Way<'_>]) {
    let mut took = vec![Vec::new(); ways.len()];
    for round in 0..ROUNDS {
        for ((_, way), took) in ways.iter().zip(&mut took) {
            let began = Instant::now();
            way(work);
            if round >= ROUNDS / 10 {
                took.push(began.elapsed());
            }
        }
    }
    for (index, (name, _)) in ways.iter().enumerate() {
        let ratios = took[index].iter().zip(&took[0]);
        let mut ratios: Vec<f64> = ratios
            .map(|(it, first)| it.as_secs_f64() / first.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ratios.len() / 2];
        let mut sorted: Vec<Duration> = took[index].clone();
        sorted.sort();
        println!(
            "{name:<10} p50 {:>9.1?}  x {ratio:.2}",
            sorted[sorted.len() / 2]
        );
    }
}

#[test]
#[ignore = "a measure, not a fact"]
fn a_hundred_calls() {
    for nodes in [1, 3] {
        let workers: Vec<Process> = (0..nodes).map(|_| Process::start(0)).collect();
        let work = pool_of(workers.iter().map(|it| &*it.endpoint), |builder| builder);
        println!("{nodes} nodes, {CALLS} calls:");
        compare(
            &work,
            &[
                ("in order", in_order),
                ("any", any),
                ("scatter", scattered),
                ("policy", by_policy),
            ],
        );
    }
}
