//! Facts about calls that may go to one node and no other.

use super::tests::{NO, NOW, ask, pool, sent};
use super::*;

fn only(node: NodeId) -> Ask {
    Ask {
        only: Some(node),
        ..ask()
    }
}

fn patient(node: NodeId) -> Ask {
    Ask {
        wait_for_ready: true,
        ..only(node)
    }
}

fn ends(caller: &mut Caller<u64>) -> Vec<(u64, Why, Ran)> {
    std::iter::from_fn(|| caller.next_ended())
        .map(|it| (it.payload, it.why, it.ran))
        .collect()
}

#[test]
fn a_call_for_one_node_goes_there_or_ends() {
    let (mut caller, nodes) = pool(3, 2);
    for payload in 0..2 {
        let Submitted::Send(it) = caller.submit(NOW, only(nodes[1]), payload) else {
            panic!("it has credit");
        };
        assert_eq!(it.node, nodes[1]);
    }
    let waits = caller.submit(NOW, only(nodes[1]), 2);
    assert!(matches!(waits, Submitted::Waits(_)), "for its credit");
    assert_eq!(caller.next_send(NOW), None, "though others have some");
    caller.lost(NOW, nodes[1]);
    let mut ended = ends(&mut caller);
    ended.sort_by_key(|it| it.0);
    assert_eq!(
        ended,
        [
            (0, Why::Lost, Ran::Maybe),
            (1, Why::Lost, Ran::Maybe),
            (2, Why::Unavailable, Ran::No)
        ]
    );
    assert_eq!(caller.stats().held, 0);
}

#[test]
fn it_waits_for_its_nodes_credit_behind_others_of_its_kind_and_no_others() {
    let (mut caller, nodes) = pool(2, 1);
    let first = sent(&mut caller, 0);
    let second = sent(&mut caller, 1);
    for payload in [2, 3] {
        let waits = caller.submit(NOW, only(first.node), payload);
        assert!(matches!(waits, Submitted::Waits(_)));
    }
    assert!(matches!(caller.submit(NOW, ask(), 4), Submitted::Waits(_)));
    assert!(nodes.contains(&second.node));
    // The other node's credit is for whoever goes anywhere.
    let answered = Answered::default();
    caller.reply(NOW, second.node, second.id, answered);
    let next = caller.next_send(NOW).expect("there is credit");
    assert_eq!(
        (next.node, caller.payload(next.id)),
        (second.node, Some(&mut 4))
    );
    assert_eq!(caller.next_send(NOW), None);
    for payload in [2, 3] {
        let here: Vec<CallId> = caller.slots.ids().collect();
        let sent = |id: &CallId| {
            let slot = caller.slots.get(*id);
            slot.is_some_and(|it| it.state == State::Sent && it.node == first.node.index)
        };
        let id = here.into_iter().find(sent).expect("one is in flight there");
        caller.reply(NOW, first.node, id, answered);
        let next = caller.next_send(NOW).expect("there is credit");
        assert_eq!(next.node, first.node);
        assert_eq!(caller.payload(next.id), Some(&mut { payload }));
    }
}

#[test]
fn those_for_one_node_and_those_for_any_take_turns() {
    let (mut caller, nodes) = pool(1, 1);
    let mut flying = sent(&mut caller, 0);
    for payload in 1..=4 {
        let ask = if payload % 2 == 0 {
            ask()
        } else {
            only(nodes[0])
        };
        // First all of the one kind, then all of the other, would be 1, 3, 2, 4.
        assert!(matches!(
            caller.submit(NOW, ask, payload),
            Submitted::Waits(_)
        ));
    }
    let mut order = Vec::new();
    while let Some(payload) = caller.reply(NOW, flying.node, flying.id, Answered::default()) {
        order.push(payload);
        match caller.next_send(NOW) {
            Some(next) => flying = next,
            None => break,
        }
    }
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[test]
fn one_that_is_to_wait_outlasts_everything_but_the_nodes_leaving() {
    let (mut caller, nodes) = pool(2, 1);
    assert!(caller.bye(NOW, nodes[0]));
    let refused = caller.submit(NOW, only(nodes[0]), 0);
    assert_eq!(refused, Submitted::Refused(0, Why::Unavailable));
    let waits = caller.submit(NOW, patient(nodes[0]), 1);
    assert!(matches!(waits, Submitted::Waits(_)));
    caller.lost(NOW, nodes[0]);
    caller.failed_to_connect(NOW, nodes[0]);
    assert_eq!(ends(&mut caller), []);
    caller.connected(NOW, nodes[0]);
    caller.welcome(NOW, nodes[0], Credit::new(1, 1000));
    let it = caller.next_send(NOW).expect("it is back");
    assert_eq!(it.node, nodes[0]);
    // It is turned away: it rests, and comes back to the same node.
    let then = caller.error(NOW, it.node, it.id, NO, Answered::default());
    assert_eq!(then, ErrorThen::Again);
    assert_eq!(caller.next_send(NOW), None);
    let due = caller.next_due().expect("it rests");
    caller.due(due);
    let again = caller.next_send(due).expect("it has rested");
    assert_eq!(again.node, nodes[0]);
    let then = caller.error(due, again.node, again.id, NO, Answered::default());
    assert_eq!(then, ErrorThen::Again);
    caller.remove_node(NOW, nodes[0]);
    assert_eq!(ends(&mut caller), [(1, Why::Unavailable, Ran::No)]);
    assert_eq!((caller.stats().held, caller.stats().waiting), (0, 0));
    let gone = caller.submit(NOW, patient(nodes[0]), 2);
    assert_eq!(gone, Submitted::Refused(2, Why::Unavailable));
}

#[test]
fn a_no_ends_it_where_it_does_not_wait_for_its_node() {
    let (mut caller, nodes) = pool(2, 10);
    let Submitted::Send(it) = caller.submit(NOW, only(nodes[0]), 1) else {
        panic!("it has credit");
    };
    let then = caller.error(NOW, it.node, it.id, NO, Answered::default());
    assert_eq!(then, ErrorThen::Finished(1));
    let Submitted::Send(it) = caller.submit(NOW, only(nodes[0]), 2) else {
        panic!("it has credit");
    };
    assert_eq!(caller.unsent(NOW, it.node, it.id), ErrorThen::Finished(2));
    assert_eq!(caller.next_send(NOW), None);
}

#[test]
fn its_deadline_ends_it_while_it_waits() {
    let (mut caller, nodes) = pool(1, 0);
    let Submitted::Waits(id) = caller.submit(NOW, only(nodes[0]), 1) else {
        panic!("there is no credit");
    };
    caller.watch(id);
    caller.due(ask().deadline);
    assert_eq!(ends(&mut caller), [(1, Why::Expired, Ran::No)]);
    caller.welcome(NOW, nodes[0], Credit::new(1, 1000));
    caller.credit(nodes[0], Credit::new(1, 1000));
    assert_eq!(caller.next_send(ask().deadline), None);
}

#[test]
fn a_node_that_takes_anothers_number_gets_none_of_its_calls() {
    let (mut caller, nodes) = pool(1, 0);
    assert!(matches!(
        caller.submit(NOW, patient(nodes[0]), 1),
        Submitted::Waits(_)
    ));
    caller.remove_node(NOW, nodes[0]);
    assert_eq!(ends(&mut caller), [(1, Why::Unavailable, Ran::No)]);
    let next = caller.add_node(NOW, Facts::default());
    assert_eq!(next.index(), nodes[0].index());
    caller.welcome(NOW, next, Credit::new(1, 1000));
    assert_eq!(caller.next_send(NOW), None);
    let refused = caller.submit(NOW, patient(nodes[0]), 2);
    assert_eq!(refused, Submitted::Refused(2, Why::Unavailable));
}
