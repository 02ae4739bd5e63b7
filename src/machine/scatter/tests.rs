//! Facts about what a scatter decides.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::machine::Again;

const NOW: Time = Time::ZERO;
const MS: Duration = Duration::from_millis(1);

fn limits(depth: u32) -> ScatterLimits {
    ScatterLimits {
        spread: Spread::Pull {
            depth,
            grows: false,
        },
        ..ScatterLimits::default()
    }
}

/// Over so many nodes that are up.
fn scatter(nodes: usize, limits: ScatterLimits) -> Scatter {
    let mut scatter = Scatter::new(limits);
    for node in 0..nodes {
        scatter.node(node, Standing::Up);
    }
    scatter
}

fn no(again: Again) -> TaskEnd {
    TaskEnd::Failed(TaskFailure {
        ran: Ran::No,
        again,
        timed_out: false,
        idempotent: false,
        retry_after: None,
    })
}

fn maybe(idempotent: bool) -> TaskEnd {
    TaskEnd::Failed(TaskFailure {
        ran: Ran::Maybe,
        again: Again::Later,
        timed_out: false,
        idempotent,
        retry_after: None,
    })
}

const DONE: TaskEnd = TaskEnd::Done {
    took: MS,
    utilisation: None,
};

/// Draws from so many tasks and calls, until there is nothing more to do now.
fn calls(scatter: &mut Scatter, now: Time, tasks: usize) -> Vec<(usize, Option<usize>)> {
    let mut calls = Vec::new();
    loop {
        match scatter.next(now) {
            Step::Call { task, node } => calls.push((task, node)),
            Step::Draw if scatter.counts().drawn < tasks => drop(scatter.drew()),
            Step::Draw => scatter.drew_all(),
            Step::Wait { .. } | Step::Over(_) => return calls,
        }
    }
}

fn over(scatter: &mut Scatter, now: Time) -> Option<Over> {
    match scatter.next(now) {
        Step::Over(over) => Some(over),
        _ => None,
    }
}

#[test]
fn each_free_node_takes_the_next_task() {
    let mut scatter = scatter(3, limits(2));
    let first = calls(&mut scatter, NOW, 100);
    assert_eq!(first.len(), 6, "two at each");
    for node in 0..3 {
        assert_eq!(scatter.in_flight_at(node), 2);
    }
    let at_one = first.iter().find(|(_, node)| *node == Some(1));
    let (task, _) = *at_one.expect("two of them");
    assert_eq!(scatter.ended(NOW, task, None, DONE), TaskThen::Done);
    assert_eq!(calls(&mut scatter, NOW, 100), [(6, Some(1))]);
}

#[test]
fn quick_tasks_are_given_ahead_and_slow_ones_are_not() {
    let mut scatter = scatter(2, ScatterLimits::default());
    let first = calls(&mut scatter, NOW, 1000);
    assert_eq!(first.len(), 4);
    let quick = TaskEnd::Done {
        took: Duration::from_micros(50),
        utilisation: None,
    };
    let slow = TaskEnd::Done {
        took: 20 * MS,
        utilisation: None,
    };
    for (task, node) in first {
        let end = if node == Some(0) { quick } else { slow };
        scatter.ended(NOW, task, None, end);
    }
    assert_eq!((scatter.depth_of(0), scatter.depth_of(1)), (2 + 64, 2));
}

#[test]
fn a_node_whose_workers_are_not_busy_is_given_more_in_time() {
    let end = |utilisation| TaskEnd::Done {
        took: 20 * MS,
        utilisation: Some(utilisation),
    };
    let mut scatter = scatter(2, ScatterLimits::default());
    let (mut now, mut flying) = (NOW.after(MS), calls(&mut scatter, NOW, 10_000));
    let mut depths = Vec::new();
    for _ in 0..30 {
        now = now.after(20 * MS);
        for (task, node) in std::mem::take(&mut flying) {
            let busy = if node == Some(0) { 250 } else { 950 };
            scatter.ended(now, task, None, end(busy));
        }
        flying = calls(&mut scatter, now, 10_000);
        depths.push(scatter.depth_of(0));
    }
    assert_eq!(depths[..6], [2; 6], "not before it can have told");
    assert!(depths.is_sorted() && depths[29] >= 7, "{depths:?}");
    assert_eq!(scatter.depth_of(1), 2, "it is busy");
}

#[test]
fn the_policy_is_given_as_many_as_may_be_in_flight() {
    let mut scatter = scatter(
        3,
        ScatterLimits {
            spread: Spread::Policy { in_flight: 5 },
            ..ScatterLimits::default()
        },
    );
    let first = calls(&mut scatter, NOW, 100);
    assert_eq!(first.len(), 5);
    assert!(first.iter().all(|(_, node)| node.is_none()));
    assert_eq!(scatter.ended(NOW, 0, Some(2), DONE), TaskThen::Done);
    assert_eq!((scatter.at(0), scatter.at(1)), (Some(2), None));
    assert_eq!(calls(&mut scatter, NOW, 100).len(), 1);
}

#[test]
fn what_did_not_run_goes_to_another_node_and_rests_once_all_have_refused() {
    let mut scatter = scatter(2, limits(1));
    scatter.drew();
    scatter.drew_all();
    let Step::Call { task, node } = scatter.next(NOW) else {
        panic!("it is called");
    };
    let then = scatter.ended(NOW, task, None, no(Again::Later));
    assert_eq!(then, TaskThen::Again);
    let Step::Call { node: other, .. } = scatter.next(NOW) else {
        panic!("it is called again");
    };
    assert_ne!(node, other);
    scatter.ended(NOW, task, None, no(Again::Later));
    let Step::Wait { until } = scatter.next(NOW) else {
        panic!("it rests");
    };
    assert_eq!(until, NOW.after(MS));
    assert!(matches!(scatter.next(until), Step::Call { .. }));
    assert_eq!((scatter.calls(0), scatter.ran(0)), (3, Ran::No));
}

#[test]
fn refusals_are_no_tries_and_have_an_end_of_their_own() {
    let mut scatter = scatter(1, limits(1));
    scatter.drew();
    scatter.drew_all();
    let (mut now, mut refused) = (NOW, 0);
    loop {
        match scatter.next(now) {
            Step::Call { task, .. } => {
                refused += 1;
                scatter.ended(now, task, None, no(Again::Later));
            }
            Step::Wait { until } => now = until,
            Step::Draw => panic!("all are drawn"),
            Step::Over(_) => break,
        }
    }
    assert_eq!((refused, scatter.task(0)), (64, TaskState::Failed));
}

#[test]
fn what_may_have_run_is_called_again_only_where_that_is_allowed() {
    for (idempotent, reissue, calls_in_all) in
        [(false, false, 1), (true, false, 3), (false, true, 3)]
    {
        let mut scatter = scatter(
            4,
            ScatterLimits {
                reissue_maybe: reissue,
                ..limits(1)
            },
        );
        scatter.drew();
        scatter.drew_all();
        let mut nodes = BTreeSet::new();
        while let Step::Call { task, node } = scatter.next(NOW) {
            assert!(nodes.insert(node), "on another node");
            scatter.ended(NOW, task, None, maybe(idempotent));
        }
        assert_eq!(scatter.calls(0), calls_in_all);
        assert_eq!(
            (scatter.task(0), scatter.ran(0)),
            (TaskState::Failed, Ran::Maybe)
        );
        assert_eq!(scatter.over(), Some(Over::Complete));
    }
}

#[test]
fn what_a_handler_said_is_not_asked_again() {
    for end in [
        TaskEnd::Failed(TaskFailure {
            ran: Ran::Yes,
            again: Again::Later,
            timed_out: false,
            idempotent: true,
            retry_after: None,
        }),
        no(Again::Never),
    ] {
        let mut scatter = scatter(2, limits(1));
        scatter.drew();
        scatter.drew_all();
        assert!(matches!(scatter.next(NOW), Step::Call { .. }));
        assert_eq!(scatter.ended(NOW, 0, None, end), TaskThen::Failed);
        assert_eq!(over(&mut scatter, NOW), Some(Over::Complete));
    }
}

#[test]
fn a_task_that_may_have_run_once_may_have_run() {
    let mut scatter = scatter(2, limits(1));
    scatter.drew();
    assert!(matches!(scatter.next(NOW), Step::Call { .. }));
    scatter.ended(NOW, 0, None, maybe(true));
    assert!(matches!(scatter.next(NOW), Step::Call { .. }));
    let then = scatter.ended(NOW, 0, None, no(Again::Never));
    assert_eq!((then, scatter.ran(0)), (TaskThen::Failed, Ran::Maybe));
}

#[test]
fn a_call_that_took_all_of_its_time_is_a_try() {
    let mut scatter = scatter(3, limits(1));
    scatter.drew();
    scatter.drew_all();
    let late = TaskEnd::Failed(TaskFailure {
        ran: Ran::No,
        again: Again::Later,
        timed_out: true,
        idempotent: false,
        retry_after: None,
    });
    while let Step::Call { task, .. } = scatter.next(NOW) {
        scatter.ended(NOW, task, None, late);
    }
    assert_eq!((scatter.calls(0), scatter.task(0)), (3, TaskState::Failed));
}

#[test]
fn it_is_over_at_its_limits() {
    let mut first = scatter(
        3,
        ScatterLimits {
            success_limit: Some(2),
            ..limits(1)
        },
    );
    assert_eq!(calls(&mut first, NOW, 10).len(), 3);
    first.ended(NOW, 0, None, DONE);
    first.ended(NOW, 1, None, DONE);
    assert_eq!(over(&mut first, NOW), Some(Over::SuccessLimit));
    first.given_up(2, Ran::Maybe);
    assert_eq!(
        (first.task(2), first.ran(2)),
        (TaskState::Cancelled, Ran::Maybe)
    );
    assert_eq!(first.task(3), TaskState::NotBegun);
    let mut second = scatter(
        3,
        ScatterLimits {
            fail_limit: Some(1),
            ..limits(1)
        },
    );
    assert_eq!(calls(&mut second, NOW, 10).len(), 3);
    second.ended(NOW, 1, None, maybe(false));
    assert_eq!(over(&mut second, NOW), Some(Over::FailLimit));
    assert_eq!(second.ended(NOW, 1, None, DONE), TaskThen::Late);
}

#[test]
fn the_deadline_and_a_cancel_leave_the_rest_not_begun() {
    let at = NOW.after(5 * MS);
    let mut timed = scatter(
        1,
        ScatterLimits {
            deadline: at,
            ..limits(1)
        },
    );
    assert_eq!(calls(&mut timed, NOW, 10).len(), 1);
    assert_eq!(timed.next(NOW), Step::Wait { until: at });
    assert_eq!(over(&mut timed, at), Some(Over::Deadline));
    timed.given_up(0, Ran::No);
    assert_eq!(
        (timed.task(0), timed.task(5)),
        (TaskState::Cancelled, TaskState::NotBegun)
    );
    let mut cancelled = scatter(1, limits(1));
    cancelled.cancel();
    assert_eq!(over(&mut cancelled, NOW), Some(Over::Cancelled));
}

#[test]
fn without_tasks_it_is_complete_and_without_nodes_it_says_so() {
    let mut nothing = scatter(1, limits(1));
    assert_eq!(nothing.next(NOW), Step::Draw);
    nothing.drew_all();
    assert_eq!(over(&mut nothing, NOW), Some(Over::Complete));
    let mut away = scatter(2, limits(1));
    away.node(0, Standing::Away);
    away.node(1, Standing::Hoped);
    assert!(matches!(away.next(NOW), Step::Wait { .. }), "there is hope");
    away.node(1, Standing::Away);
    assert_eq!(over(&mut away, NOW), Some(Over::NoNode));
    let mut patient = scatter(
        0,
        ScatterLimits {
            wait_for_ready: true,
            ..limits(1)
        },
    );
    assert!(matches!(patient.next(NOW), Step::Wait { .. }));
    patient.node(0, Standing::Up);
    assert_eq!(patient.next(NOW), Step::Draw);
}

#[test]
fn a_node_that_has_gone_is_not_waited_for_by_what_it_refused() {
    let mut scatter = scatter(2, limits(1));
    scatter.drew();
    scatter.drew_all();
    let Step::Call {
        node: Some(node), ..
    } = scatter.next(NOW)
    else {
        panic!("it is called");
    };
    scatter.node(1 - node, Standing::Away);
    scatter.ended(NOW, 0, None, no(Again::Later));
    let Step::Wait { until } = scatter.next(NOW) else {
        panic!("it rests: there is no other node");
    };
    let again = scatter.next(until);
    assert_eq!(
        again,
        Step::Call {
            task: 0,
            node: Some(node)
        }
    );
}

proptest! {
    #[test]
    fn every_task_ends_once_and_is_in_flight_once(
        depth in 1u32..4,
        tasks in 0usize..40,
        steps in proptest::collection::vec((0u8..8, any::<prop::sample::Index>()), 0..200),
        last in any::<prop::sample::Index>(),
    ) {
        let mut scatter = scatter(3, limits(depth));
        let (mut now, mut flying) = (NOW, BTreeSet::new());
        let mut ended = BTreeSet::new();
        let mut steps = steps.into_iter();
        for _ in 0..10_000 {
            match scatter.next(now) {
                Step::Call { task, node } => {
                    prop_assert!(flying.insert(task), "{task} is in flight");
                    prop_assert!(!ended.contains(&task));
                    let node = node.expect("it pulls");
                    prop_assert!(scatter.in_flight_at(node) <= depth);
                }
                Step::Draw if scatter.counts().drawn < tasks => { scatter.drew(); }
                Step::Draw => scatter.drew_all(),
                Step::Wait { until } => {
                    let (kind, which) = steps.next().unwrap_or((0, last));
                    if kind == 7 {
                        scatter.node(which.index(3), Standing::Hoped);
                        continue;
                    }
                    (0..3).for_each(|node| scatter.node(node, Standing::Up));
                    if flying.is_empty() {
                        now = until;
                        continue;
                    }
                    let task = *flying.iter().nth(which.index(flying.len())).expect("one");
                    flying.remove(&task);
                    let end = match kind {
                        0..3 => DONE,
                        3 => no(Again::Later),
                        4 => maybe(true),
                        _ => maybe(false),
                    };
                    match scatter.ended(now, task, None, end) {
                        TaskThen::Again => {}
                        TaskThen::Late => prop_assert!(false, "it was in flight"),
                        _ => prop_assert!(ended.insert(task), "{task} ends twice"),
                    }
                }
                Step::Over(over) => {
                    prop_assert_eq!(over, Over::Complete);
                    break;
                }
            }
        }
        prop_assert_eq!(ended.len(), tasks);
        let counts = scatter.counts();
        prop_assert_eq!((counts.done + counts.failed, counts.in_flight), (tasks, 0));
    }
}
