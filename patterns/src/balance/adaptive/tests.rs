//! The default policy beside nodes that are equal, slow, silent, failing, or that report nonsense.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::testing::{MS, Pool, SECOND};
use super::super::{Balancer, Facts, Load, Nanos, Policy, Random};
use super::TRIES;

/// A pool whose nodes answer after a time of their own, at so many calls a second.
struct Fleet {
    pool: Pool,
    /// When whose answers are due, in order.
    due: VecDeque<(Nanos, usize, Nanos)>,
    counts: Vec<usize>,
}

impl Fleet {
    fn of(weights: &[usize]) -> Fleet {
        Fleet {
            pool: Pool::of(&Policy::adaptive(), weights.iter().copied()),
            due: VecDeque::new(),
            counts: vec![0; weights.len()],
        }
    }

    /// So many calls, one each `gap`, of which each takes as long as its node takes.
    fn calls(&mut self, calls: usize, gap: Nanos, mut takes: impl FnMut(usize, Nanos) -> Takes) {
        self.counts.fill(0);
        for _ in 0..calls {
            self.pool.now += gap;
            let now = self.pool.now;
            while let Some((at, node, took)) = self.due.front().copied()
                && at <= now
            {
                self.due.pop_front();
                self.answer(at, node, took, &takes(node, at));
            }
            let node = self.pool.pick().unwrap();
            self.pool.send(node);
            self.counts[node] += 1;
            let took = takes(node, now).took;
            let due = (now.saturating_add(took), node, took);
            let place = self.due.partition_point(|(at, ..)| *at <= due.0);
            self.due.insert(place, due);
        }
    }

    fn answer(&mut self, at: Nanos, node: usize, took: Nanos, takes: &Takes) {
        let took = Duration::from_nanos(took);
        let load = takes.load;
        let balancer = &mut self.pool.balancer;
        if takes.fails {
            balancer.failed(at, node, took, load.as_ref());
        } else {
            balancer.replied(at, node, took, load.as_ref());
        }
    }

    fn share(&self, node: usize) -> f64 {
        self.counts[node] as f64 / self.counts.iter().sum::<usize>() as f64
    }
}

struct Takes {
    took: Nanos,
    fails: bool,
    load: Option<Load>,
}

/// An answer after so long, with a report of that.
fn run(took: Nanos) -> Takes {
    let load = Load {
        latency_us: (took / 1000) as u32,
        run_us: (took / 1000) as u32,
        workers: 8,
        ..Load::default()
    };
    Takes {
        took,
        fails: false,
        load: Some(load),
    }
}

/// An answer after so long that reports nothing.
fn silent(took: Nanos) -> Takes {
    Takes {
        load: None,
        ..run(took)
    }
}

#[test]
fn equal_nodes_get_equal_shares() {
    for (nodes, reports) in [(2, true), (5, true), (12, false), (40, true)] {
        let mut fleet = Fleet::of(&vec![1; nodes]);
        let mut random = Random::new(3);
        fleet.calls(nodes * 2000, MS / 2, |_, _| {
            // Not quite equal each time.
            let took = MS + random.below(10) as Nanos * MS / 50;
            if reports { run(took) } else { silent(took) }
        });
        // Of many, some are drawn at a time.
        let off = if nodes > 12 { 0.1 } else { 0.05 };
        for node in 0..nodes {
            let share = fleet.share(node) * nodes as f64;
            assert!((share - 1.0).abs() < off, "{node} of {nodes}: {share}");
        }
    }
}

#[test]
fn weights_are_kept_where_reports_say_nothing() {
    let mut fleet = Fleet::of(&[1, 2, 5]);
    fleet.calls(8000, 10 * MS, |_, _| silent(MS));
    for (node, share) in [0.125, 0.25, 0.625].into_iter().enumerate() {
        let got = fleet.share(node);
        assert!((got / share - 1.0).abs() < 0.05, "{node}: {got}");
    }
}

#[test]
fn a_slow_node_is_tried_now_and_then_and_no_more() {
    let mut fleet = Fleet::of(&[1; 4]);
    let takes = |node, _| run(if node == 0 { 100 * MS } else { MS });
    fleet.calls(1000, MS, takes);
    fleet.calls(20_000, MS, takes);
    let share = fleet.share(0);
    assert!(fleet.counts[0] > 0, "never tried again");
    assert!(share <= 1.0 / TRIES, "{share}");
}

#[test]
fn a_node_that_was_slow_has_its_share_again() {
    let mut fleet = Fleet::of(&[1; 4]);
    fleet.calls(5000, MS, |node, _| {
        run(if node == 0 { 100 * MS } else { MS })
    });
    fleet.calls(3000, MS, |_, _| run(MS));
    fleet.calls(4000, MS, |_, _| run(MS));
    let share = fleet.share(0);
    assert!((0.22..0.28).contains(&share), "{share}");
}

#[test]
fn a_node_that_stops_is_left_before_any_answer_tells() {
    let mut fleet = Fleet::of(&[1; 4]);
    fleet.calls(1000, MS, |_, _| run(4 * MS));
    // Node 0 answers nothing any more.
    fleet.calls(4000, MS, |node, _| {
        run(if node == 0 { 3600 * SECOND } else { 4 * MS })
    });
    assert!(
        fleet.counts[0] <= 8,
        "{} calls into the dark",
        fleet.counts[0]
    );
}

#[test]
fn a_stream_that_goes_on_keeps_no_node_out() {
    for streams in [&[0][..], &[0, 1]] {
        let mut fleet = Fleet::of(&[1; 2]);
        fleet.calls(100, 2 * MS, |_, _| run(MS));
        for &node in streams {
            fleet.pool.send(node);
            fleet.pool.balancer.lasts(node);
        }
        fleet.calls(2000, 2 * MS, |_, _| run(MS));
        assert!((0.3..=0.7).contains(&fleet.share(0)), "{:?}", fleet.counts);

        // It ends after an hour: that says nothing of calls.
        let node = streams[0];
        fleet.pool.balancer.lasted(node);
        fleet.pool.balancer.lapsed(fleet.pool.now, node);
        assert_eq!(fleet.pool.balancer.nodes().lasting(node), 0);
        fleet.calls(2000, 2 * MS, |_, _| run(MS));
        assert!((0.3..=0.7).contains(&fleet.share(0)), "{:?}", fleet.counts);
    }
}

#[test]
fn a_call_that_takes_long_keeps_its_node_out_until_it_is_asked() {
    for long in [&[0][..], &[0, 1]] {
        let mut fleet = Fleet::of(&[1; 2]);
        fleet.calls(100, 2 * MS, |_, _| run(MS));
        for &node in long {
            fleet.pool.send(node);
        }
        for second in 0..10 {
            let mut counts = [0; 2];
            for _ in 0..500 {
                fleet.calls(1, 2 * MS, |_, _| run(MS));
                (0..2).for_each(|node| counts[node] += fleet.counts[node]);
                let now = fleet.pool.now;
                if let Some(node) = fleet.pool.balancer.wonders(now, &|_| true) {
                    fleet.pool.send(node);
                    fleet.pool.balancer.lapsed(now, node);
                    let load = run(MS).load.unwrap();
                    fleet.pool.balancer.reported(now, node, load);
                }
            }
            assert!(
                second < 3 || (150..=350).contains(&counts[0]),
                "second {second}: {counts:?}"
            );
        }
    }
}

#[test]
fn a_node_that_answers_nothing_stays_out_though_it_is_asked() {
    let mut fleet = Fleet::of(&[1; 2]);
    fleet.calls(100, 2 * MS, |_, _| run(MS));
    let (mut asked, mut calls) = (0, 0);
    for _ in 0..10_000 {
        fleet.calls(1, 2 * MS, |node, _| match node {
            0 => run(3600 * SECOND),
            _ => run(MS),
        });
        calls += fleet.counts[0];
        let now = fleet.pool.now;
        if let Some(node) = fleet.pool.balancer.wonders(now, &|_| true) {
            assert_eq!(node, 0, "the other one reports with each answer");
            fleet.pool.send(node);
            asked += 1;
        }
    }
    assert!(calls <= 4, "{calls} calls into the dark");
    assert!((10..=20).contains(&asked), "asked {asked} times in 20 s");
}

#[test]
fn failing_fast_is_not_being_fast() {
    let mut fleet = Fleet::of(&[1; 4]);
    fleet.calls(4000, MS, |node, _| match node {
        0 => Takes {
            fails: true,
            ..run(MS / 100)
        },
        _ => run(10 * MS),
    });
    assert!(fleet.counts[0] < 40, "{} of 4000 failed", fleet.counts[0]);
    // And well again it is forgiven.
    fleet.calls(20_000, MS, |_, _| run(10 * MS));
    fleet.calls(4000, MS, |_, _| run(10 * MS));
    let share = fleet.share(0);
    assert!((0.2..0.3).contains(&share), "{share}");
}

#[test]
fn where_all_fail_all_are_called() {
    let mut fleet = Fleet::of(&[1; 4]);
    fleet.calls(4000, MS, |_, _| Takes {
        fails: true,
        ..run(MS)
    });
    for node in 0..4 {
        let share = fleet.share(node);
        assert!((0.15..0.35).contains(&share), "{node}: {share}");
    }
}

#[test]
fn the_line_of_others_counts() {
    let mut fleet = Fleet::of(&[1; 2]);
    let busy = |in_flight| {
        let mut takes = run(MS);
        takes.took += MS * Nanos::from(in_flight);
        let load = takes.load.as_mut().unwrap();
        (load.in_flight, load.workers) = (in_flight, 1);
        takes
    };
    fleet.calls(2000, 2 * MS, |node, _| busy(if node == 0 { 9 } else { 0 }));
    assert!(fleet.share(0) < 0.05, "{}", fleet.share(0));
}

#[test]
fn nonsense_in_reports_breaks_nothing() {
    let mut fleet = Fleet::of(&[1; 4]);
    let mut round = 0u32;
    fleet.calls(20_000, MS, |node, _| {
        round = round.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Those that report nonsense are slow.
        let mut takes = run(if node < 2 { 100 * MS } else { MS });
        if node < 2 {
            let value = [0, 1, u32::MAX, 1000][(round >> 20) as usize % 4];
            let other = [u32::MAX, 0, 7, 1][(round >> 24) as usize % 4];
            takes.load = Some(Load {
                in_flight: value,
                latency_us: other,
                utilisation_permille: value as u16,
                per_s: other,
                errors_per_s: value,
                run_us: if node == 0 { value } else { other },
                workers: value as u16,
            });
        }
        takes
    });
    // Those that report sense are called as ever.
    for node in 2..4 {
        assert!(fleet.share(node) > 0.4, "{node}: {}", fleet.share(node));
    }
}

#[test]
fn questions_are_bounded_by_what_calls_cost() {
    for (runs_us, most) in [(50, 0.06), (5000, 0.91)] {
        let mut fleet = Fleet::of(&[1; 4]);
        let mut asked = 0;
        for _ in 0..1000 {
            let took = runs_us * 1000;
            fleet.calls(1, took * 2, |_, _| {
                let mut takes = run(took);
                takes.load.as_mut().unwrap().in_flight = 4;
                takes
            });
            let now = fleet.pool.now;
            asked += usize::from(fleet.pool.balancer.wonders(now, &|_| true).is_some());
        }
        let share = asked as f64 / 1000.0;
        assert!(
            share > most / 10.0 && share <= most,
            "{runs_us} us: {share}"
        );
    }
}

#[test]
fn nobody_is_asked_while_nobody_else_calls() {
    let mut fleet = Fleet::of(&[1; 4]);
    let mut asked = 0;
    for _ in 0..1000 {
        fleet.calls(1, 2 * MS, |_, _| run(MS));
        let now = fleet.pool.now;
        asked += usize::from(fleet.pool.balancer.wonders(now, &|_| true).is_some());
    }
    assert_eq!(asked, 0);
}

#[test]
fn a_node_that_warms_up_gets_less() {
    let policy = Policy::adaptive().slow_start(Duration::from_secs(1));
    let mut pool = Pool::of(&Policy::adaptive(), [1; 3]);
    pool.balancer = super::super::Balancer::new(&policy, 1).unwrap();
    for node in 0..3 {
        pool.join(node, Facts::default());
    }
    let mut fleet = Fleet {
        pool,
        due: VecDeque::new(),
        counts: vec![0; 4],
    };
    fleet.calls(2000, MS, |_, _| run(MS));
    fleet.pool.join(3, Facts::default());
    fleet.calls(300, MS, |_, _| run(MS));
    let share = fleet.share(3);
    assert!(share > 0.0 && share < 0.15, "{share}");
}

#[test]
fn nodes_that_come_and_go_leave_nothing_behind() {
    let mut fleet = Fleet::of(&[1; 3]);
    for round in 0..100 {
        fleet.calls(20, MS, |_, _| run(MS));
        let node = round % 3;
        fleet.due.retain(|(_, other, _)| *other != node);
        fleet.pool.balancer.remove(node);
        assert_ne!(fleet.pool.pick(), Some(node));
        fleet.pool.join(node, Facts::default());
    }
    for node in 0..3 {
        fleet.pool.up(node, false);
    }
    assert_eq!(fleet.pool.pick(), None);
}

#[test]
fn one_that_comes_later_gets_its_share_of_quick_calls_one_after_the_other() {
    let took = MS / 10;
    for (before, slow_start) in [(1, false), (5, true), (200, false), (1, true)] {
        let mut fleet = Fleet::of(&[1]);
        if slow_start {
            let balancer = Balancer::new(&Policy::adaptive(), 1);
            fleet.pool.balancer = balancer.unwrap();
            fleet.pool.join(0, Facts::default());
        }
        let quick = |_, _| {
            let mut takes = run(took);
            let load = takes.load.as_mut().unwrap();
            (load.run_us, load.latency_us) = (2, 5);
            takes
        };
        fleet.calls(before, took + took / 10, quick);
        fleet.pool.join(1, Facts::default());
        fleet.counts.push(0);
        fleet.calls(3000, took + took / 10, quick);
        assert!(
            fleet.share(1) > 0.05,
            "{before}, {slow_start}: {:?}",
            fleet.counts
        );
    }
}
