//! Facts about the calling end.

use std::collections::BTreeSet;
use std::time::Duration;

use brokerless_patterns::balance::{Ask as PolicyAsk, Load, Pick, Policy};
use proptest::prelude::*;

use super::*;

pub(super) const NOW: Time = Time::ZERO;
pub(super) const NO: Failure = Failure {
    ran: Ran::No,
    again: Again::Later,
    retry_after: None,
    verdict: Verdict::Unwell,
};

fn balancer() -> Balancer {
    Balancer::new(&Policy::weighted(), 1).expect("a policy without options")
}

pub(super) fn ask() -> Ask {
    Ask {
        deadline: Time::from_nanos(1_000_000_000),
        bytes: 10,
        oneway: false,
        wait_for_ready: false,
        only: None,
        key: None,
        lasts: false,
        beside: false,
    }
}

pub(super) fn pool(nodes: usize, calls: u32) -> (Caller<u64>, Vec<NodeId>) {
    let mut caller = Caller::new(CallerLimits::default(), balancer());
    let nodes: Vec<NodeId> = (0..nodes)
        .map(|_| caller.add_node(NOW, Facts::default()))
        .collect();
    for node in &nodes {
        caller.connected(NOW, *node);
        caller.welcome(NOW, *node, Credit::new(calls, 1 << 20));
    }
    (caller, nodes)
}

pub(super) fn sent(caller: &mut Caller<u64>, payload: u64) -> Sending {
    match caller.submit(NOW, ask(), payload) {
        Submitted::Send(sending) => sending,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_credit_a_call_waits_and_goes_with_the_first_answer() {
    let (mut caller, _) = pool(1, 1);
    let first = sent(&mut caller, 1);
    assert!(matches!(caller.submit(NOW, ask(), 2), Submitted::Waits(_)));
    assert_eq!(caller.next_send(NOW), None);
    let answered = Answered::default();
    assert_eq!(caller.reply(NOW, first.node, first.id, answered), Some(1));
    assert_eq!(caller.next_send(NOW).map(|it| it.node), Some(first.node));
}

#[test]
fn a_call_fails_fast_without_hope_of_a_node_unless_it_waits_for_one() {
    let (mut caller, nodes) = pool(1, 0);
    assert!(matches!(caller.submit(NOW, ask(), 1), Submitted::Waits(_)));
    let patient = Ask {
        wait_for_ready: true,
        ..ask()
    };
    assert!(matches!(
        caller.submit(NOW, patient, 2),
        Submitted::Waits(_)
    ));
    caller.lost(NOW, nodes[0]);
    assert_eq!(caller.next_ended(), None, "it is connecting again");
    caller.failed_to_connect(NOW, nodes[0]);
    let ended = caller.next_ended().unwrap();
    assert_eq!(
        (ended.payload, ended.why, ended.ran),
        (1, Why::Unavailable, Ran::No)
    );
    assert_eq!(caller.next_ended(), None);
    let refused = caller.submit(NOW, ask(), 3);
    assert_eq!(refused, Submitted::Refused(3, Why::Unavailable));
    caller.connected(NOW, nodes[0]);
    caller.welcome(NOW, nodes[0], Credit::new(1, 1000));
    assert!(caller.next_send(NOW).is_some());
}

#[test]
fn a_no_goes_to_another_node_first_and_rests_once_all_have_said_so() {
    let (mut caller, _) = pool(2, 10);
    let first = sent(&mut caller, 1);
    let answered = Answered::default();
    assert_eq!(
        caller.error(NOW, first.node, first.id, NO, answered),
        ErrorThen::Again
    );
    let second = caller.next_send(NOW).unwrap();
    assert_ne!(second.node, first.node);
    assert!(second.id.is_same_call(first.id) && second.id != first.id);
    assert_eq!(
        caller.error(NOW, second.node, second.id, NO, answered),
        ErrorThen::Again
    );
    assert_eq!(caller.next_send(NOW), None);
    let due = caller.next_due().unwrap();
    caller.due(due);
    assert!(caller.next_send(due).is_some());
}

#[test]
fn a_call_is_not_picked_again_for_ever() {
    let (mut caller, _) = pool(1, 10);
    let patient = Ask {
        deadline: Time::NEVER,
        ..ask()
    };
    let Submitted::Send(mut sending) = caller.submit(NOW, patient, 1) else {
        panic!()
    };
    let mut times = 0;
    loop {
        match caller.error(NOW, sending.node, sending.id, NO, Answered::default()) {
            ErrorThen::Again => times += 1,
            ErrorThen::Finished(1) => break,
            other => panic!("{other:?}"),
        }
        let due = caller.next_due().unwrap();
        caller.due(due);
        sending = caller.next_send(due).unwrap();
    }
    assert_eq!(times, CallerLimits::default().repicks_max);
}

#[test]
fn only_a_no_is_picked_again() {
    for (ran, again) in [
        (Ran::Maybe, Again::Later),
        (Ran::Yes, Again::Later),
        (Ran::No, Again::Never),
    ] {
        let (mut caller, _) = pool(2, 10);
        let sending = sent(&mut caller, 1);
        let failure = Failure {
            ran,
            again,
            retry_after: None,
            verdict: Verdict::Unwell,
        };
        let then = caller.error(NOW, sending.node, sending.id, failure, Answered::default());
        assert_eq!(then, ErrorThen::Finished(1));
    }
    let (mut caller, _) = pool(2, 10);
    let sending = sent(&mut caller, 1);
    caller.lost(NOW, sending.node);
    let ended = caller.next_ended().unwrap();
    assert_eq!(
        (ended.payload, ended.why, ended.ran),
        (1, Why::Lost, Ran::Maybe)
    );
    assert_eq!(caller.next_send(NOW), None);
}

#[test]
fn a_node_that_says_when_to_come_again_is_left_alone_until_then() {
    let ms = |ms| NOW.after(Duration::from_millis(ms));
    let (mut caller, _) = pool(2, 10);
    let first = sent(&mut caller, 1);
    let in_20_ms = Failure {
        retry_after: Some(Duration::from_millis(20)),
        ..NO
    };
    let answered = Answered::default();
    let then = caller.error(NOW, first.node, first.id, in_20_ms, answered);
    assert_eq!(then, ErrorThen::Again);
    assert_ne!(caller.next_send(NOW).unwrap().node, first.node);
    for payload in 2..6 {
        assert_ne!(sent(&mut caller, payload).node, first.node);
    }
    assert!(caller.node_stats(first.node).unwrap().paused);
    assert_eq!(caller.next_due(), Some(ms(20)));
    caller.due(ms(20));
    let node = |submitted| match submitted {
        Submitted::Send(sending) => sending.node,
        other => panic!("{other:?}"),
    };
    let (one, other) = (
        node(caller.submit(ms(20), ask(), 6)),
        node(caller.submit(ms(20), ask(), 7)),
    );
    assert!(one == first.node || other == first.node);
}

#[test]
fn what_waits_for_a_node_that_is_left_alone_goes_when_that_is_over() {
    let (mut caller, nodes) = pool(1, 10);
    let (first, second) = (sent(&mut caller, 1), sent(&mut caller, 2));
    let answered = Answered::default();
    let in_an_hour = Failure {
        retry_after: Some(Duration::from_secs(3600)),
        ..NO
    };
    let pause_max = CallerLimits::default().pause_max;
    let patient = Ask {
        deadline: Time::NEVER,
        ..ask()
    };
    for sending in [first, second] {
        // It did not run, and its deadline is before the node wants it: it rests as it is told.
        let then = caller.error(NOW, sending.node, sending.id, in_an_hour, answered);
        assert_eq!(then, ErrorThen::Again);
    }
    let Submitted::Waits(third) = caller.submit(NOW, patient, 3) else {
        panic!("it was sent")
    };
    assert_eq!(caller.next_send(NOW), None);
    // However long the node wishes to be left alone.
    let over = NOW.after(pause_max);
    assert_eq!(caller.next_due(), Some(over));
    caller.due(over);
    assert!(caller.next_send(over).unwrap().id.is_same_call(third));
    assert!(!caller.node_stats(nodes[0]).unwrap().paused);
}

#[test]
fn what_a_lone_node_wishes_holds_no_call_once_another_is_up() {
    let patient = Ask {
        deadline: Time::NEVER,
        ..ask()
    };
    let in_an_hour = Failure {
        retry_after: Some(Duration::from_secs(3600)),
        ..NO
    };
    // One is welcomed, is given its weight back, or comes back after it was lost.
    for how in 0..3 {
        let (mut caller, nodes) = pool(1, 10);
        let idle = Facts::weight(0);
        let other = (how == 1).then(|| caller.add_node(NOW, idle));
        other.inspect(|other| caller.welcome(NOW, *other, Credit::new(10, 1000)));
        let Submitted::Send(first) = caller.submit(NOW, patient, 1) else {
            panic!("it waits")
        };
        let answered = Answered::default();
        let then = caller.error(NOW, first.node, first.id, in_an_hour, answered);
        assert_eq!(then, ErrorThen::Again);
        let later = NOW.after(Duration::from_secs(1));
        caller.due(later);
        assert_eq!(caller.next_send(later), None, "{how}: it rests");
        let takes = match (how, other) {
            (1, Some(other)) => {
                assert!(caller.set_node(later, other, Facts::default()));
                other
            }
            (0, _) => {
                let other = caller.add_node(later, Facts::default());
                assert_eq!(caller.next_send(later), None, "it is not there yet");
                caller.welcome(later, other, Credit::new(10, 1000));
                other
            }
            _ => {
                caller.lost(later, nodes[0]);
                caller.welcome(later, nodes[0], Credit::new(10, 1000));
                // What it asked for as another connection's end is over, too.
                nodes[0]
            }
        };
        let second = caller.next_send(later).expect("it is woken");
        assert!(second.id.is_same_call(first.id), "{how}");
        assert_eq!(second.node, takes, "{how}");
        assert_eq!(
            caller.reply(later, second.node, second.id, answered),
            Some(1)
        );
        // The timer that it rested by wakes nobody.
        let over = NOW.after(Duration::from_secs(4000));
        caller.due(over);
        assert_eq!(caller.next_send(over), None);
        assert_eq!((caller.stats().held, caller.stats().waiting), (0, 0));
    }
}

#[test]
fn what_one_node_of_many_wishes_does_not_keep_a_call_from_the_others() {
    let (mut caller, _) = pool(2, 10);
    let patient = Ask {
        deadline: Time::NEVER,
        ..ask()
    };
    let Submitted::Send(first) = caller.submit(NOW, patient, 1) else {
        panic!("it waits")
    };
    let again_in = |wish| Failure {
        retry_after: Some(wish),
        ..NO
    };
    let answered = Answered::default();
    let soon = again_in(Duration::from_millis(1));
    caller.error(NOW, first.node, first.id, soon, answered);
    let second = caller.next_send(NOW).unwrap();
    let late = again_in(Duration::from_secs(3600));
    let then = caller.error(NOW, second.node, second.id, late, answered);
    assert_eq!(then, ErrorThen::Again);
    // Whoever wished for an hour, the other has room again.
    let over = NOW.after(CallerLimits::default().pause_max);
    caller.due(over);
    let third = caller.next_send(over).expect("it rests no longer");
    assert!(third.id.is_same_call(first.id));
}

#[test]
fn what_is_exhausted_for_good_is_not_picked_again() {
    assert_eq!(Again::of_code(8, true), Again::Later);
    assert_eq!(Again::of_code(8, false), Again::Never);
    assert_eq!(Again::of_code(14, false), Again::Later);
    assert_eq!(Again::of_code(12, false), Again::Elsewhere);
}

#[test]
fn a_doubled_answer_ends_nothing() {
    let (mut caller, _) = pool(1, 10);
    let first = sent(&mut caller, 1);
    let answered = Answered::default();
    assert_eq!(
        caller.error(NOW, first.node, first.id, NO, answered),
        ErrorThen::Again
    );
    let due = caller.next_due().unwrap();
    caller.due(due);
    let second = caller.next_send(due).unwrap();
    assert_eq!(
        caller.error(due, first.node, first.id, NO, answered),
        ErrorThen::Late
    );
    assert_eq!(caller.reply(due, first.node, first.id, answered), None);
    assert_eq!(caller.reply(due, second.node, second.id, answered), Some(1));
    assert_eq!(caller.stats().unknown, 2);
}

#[test]
fn a_call_given_up_keeps_its_credit_until_its_node_answers() {
    let (mut caller, _) = pool(1, 1);
    let sending = sent(&mut caller, 1);
    let ended = caller.cancel(NOW, sending.id).unwrap();
    assert_eq!((ended.ran, ended.tell), (Ran::Maybe, true));
    assert_eq!(caller.cancel(NOW, sending.id), None);
    assert!(matches!(caller.submit(NOW, ask(), 2), Submitted::Waits(_)));
    assert_eq!(caller.next_send(NOW), None);
    assert_eq!(
        caller.reply(NOW, sending.node, sending.id, Answered::default()),
        None
    );
    assert!(caller.next_send(NOW).is_some());
    assert_eq!((caller.stats().late, caller.stats().given_up), (1, 0));
}

#[test]
fn a_draining_node_answers_and_takes_no_more() {
    let (mut caller, nodes) = pool(2, 10);
    let first = sent(&mut caller, 1);
    assert!(caller.bye(NOW, first.node) && !caller.bye(NOW, first.node));
    for payload in 2..6 {
        assert_ne!(sent(&mut caller, payload).node, first.node);
    }
    assert_eq!(
        caller.reply(NOW, first.node, first.id, Answered::default()),
        Some(1)
    );
    assert_eq!(nodes.len(), 2);
}

proptest! {
    #[test]
    fn every_payload_comes_out_exactly_once(
        steps in proptest::collection::vec((0u8..12, any::<prop::sample::Index>()), 1..400),
    ) {
        let (mut caller, nodes) = pool(3, 4);
        let (mut now, mut next, mut out) = (NOW, 0, BTreeSet::new());
        let (mut flying, mut known): (Vec<Sending>, Vec<CallId>) = (Vec::new(), Vec::new());
        for (kind, which) in steps {
            now = now.after(Duration::from_millis(3));
            let node = nodes[which.index(nodes.len())];
            let mut ends = Vec::new();
            match kind {
                0..4 => {
                    let deadline = now.after(Duration::from_millis(20));
                    let ask = Ask { deadline, ..ask() };
                    match caller.submit(now, ask, next) {
                        Submitted::Send(it) => { known.push(it.id); flying.push(it) }
                        Submitted::Waits(id) => known.push(id),
                        Submitted::Refused(payload, _) => ends.push(payload),
                    }
                    next += 1;
                }
                4 | 5 if !flying.is_empty() => {
                    let it = flying.swap_remove(which.index(flying.len()));
                    ends.extend(caller.reply(now, it.node, it.id, Answered::default()));
                }
                6 if !flying.is_empty() => {
                    let it = flying.swap_remove(which.index(flying.len()));
                    if let ErrorThen::Finished(payload) =
                        caller.error(now, it.node, it.id, NO, Answered::default())
                    {
                        ends.push(payload);
                    }
                }
                7 if !known.is_empty() => {
                    let id = known[which.index(known.len())];
                    ends.extend(caller.cancel(NOW, id).map(|it| it.payload));
                }
                8 if !known.is_empty() => caller.watch(known[which.index(known.len())]),
                9 => { caller.lost(NOW, node); flying.retain(|it| it.node != node) }
                10 => caller.welcome(NOW, node, Credit::new(4, 100)),
                _ => caller.due(now),
            }
            while let Some(it) = caller.next_send(now) { flying.push(it) }
            while let Some(it) = caller.next_ended() { ends.push(it.payload) }
            for payload in ends {
                prop_assert!(out.insert(payload), "{payload} comes out twice");
            }
            let stats = caller.stats();
            prop_assert_eq!((stats.held - stats.given_up) as u64 + out.len() as u64, next);
        }
        caller.close();
        nodes.iter().for_each(|node| caller.lost(NOW, *node));
        while let Some(it) = caller.next_ended() { out.insert(it.payload); }
        prop_assert_eq!(out.len() as u64, next);
        prop_assert_eq!(caller.stats().held, 0);
    }

    #[test]
    fn a_node_never_has_more_than_its_credit(
        steps in proptest::collection::vec((any::<bool>(), 0u64..400), 1..300),
    ) {
        let (mut caller, _) = pool(2, 3);
        let mut flying: Vec<Sending> = Vec::new();
        for (submit, bytes) in steps {
            if submit {
                if let Submitted::Send(it) = caller.submit(NOW, Ask { bytes, ..ask() }, 0) {
                    flying.push(it);
                }
            } else if !flying.is_empty() {
                let it = flying.remove(0);
                caller.reply(NOW, it.node, it.id, Answered::default());
            }
            while let Some(it) = caller.next_send(NOW) { flying.push(it) }
            for node in caller.nodes() {
                let here = flying.iter().filter(|it| it.node == node.node).count();
                prop_assert_eq!(here as u32, node.in_flight.calls);
                prop_assert!(node.in_flight.calls <= 3);
            }
        }
    }
}

#[test]
fn an_error_counts_against_its_node_where_that_is_not_well_and_nowhere_else() {
    let codes = |verdict, says_when| {
        let codes = (1..=16).filter(move |code| Verdict::of_code(*code, says_when) == verdict);
        codes.collect::<Vec<u8>>()
    };
    // CANCELLED and DEADLINE_EXCEEDED say nothing.
    assert_eq!(codes(Verdict::None, true), [1, 4]);
    // UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS; and what is exhausted or clashes for now.
    assert_eq!(codes(Verdict::Unwell, false), [12, 13, 14, 15]);
    assert_eq!(codes(Verdict::Unwell, true), [8, 10, 12, 13, 14, 15]);
    assert_eq!(codes(Verdict::Well, true), [2, 3, 5, 6, 7, 9, 11, 16]);
}

#[test]
fn a_call_that_its_subset_turns_away_goes_elsewhere() {
    let policy = Policy::weighted().within_subset(1);
    let balancer = Balancer::new(&policy, 1).expect("options within bounds");
    let mut caller = Caller::new(CallerLimits::default(), balancer);
    for _ in 0..3 {
        let node = caller.add_node(NOW, Facts::default());
        caller.welcome(NOW, node, Credit::new(10, 1 << 20));
    }
    let first = sent(&mut caller, 1);
    let answered = Answered::default();
    let then = caller.error(NOW, first.node, first.id, NO, answered);
    assert_eq!(then, ErrorThen::Again);
    // Two others are up and free, and not of its subset.
    let second = caller.next_send(NOW).expect("it goes elsewhere");
    assert_ne!(second.node, first.node);
}

#[test]
fn a_pool_that_changes_for_long_has_no_more_places_than_nodes_at_once() {
    let (mut caller, _) = pool(2, 10);
    for index in 0..10_000 {
        let node = caller.add_node(NOW, Facts::weight(1 + index % 7));
        caller.welcome(NOW, node, Credit::new(1, 1000));
        assert!(caller.set_node(NOW, node, Facts::weight(index % 3)));
        assert_eq!(node.index(), 2);
        let sending = sent(&mut caller, 1);
        let answered = Answered::default();
        assert_eq!(
            caller.reply(NOW, sending.node, sending.id, answered),
            Some(1)
        );
        assert!(caller.remove_node(NOW, node));
    }
    assert_eq!(caller.nodes().count(), 2);
    assert_eq!(caller.balancer.nodes().bound(), 3);
}

#[test]
fn a_node_of_weight_0_is_no_hope_and_gets_nothing_but_what_names_it() {
    let (mut caller, nodes) = pool(2, 10);
    assert!(caller.set_node(NOW, nodes[0], Facts::weight(0)));
    for payload in 0..5 {
        assert_eq!(sent(&mut caller, payload).node, nodes[1]);
    }
    let named = Ask {
        only: Some(nodes[0]),
        ..ask()
    };
    let then = caller.submit(NOW, named, 5);
    assert!(
        matches!(then, Submitted::Send(it) if it.node == nodes[0]),
        "{then:?}"
    );
    caller.set_node(NOW, nodes[1], Facts::weight(0));
    let then = caller.submit(NOW, ask(), 6);
    assert_eq!(then, Submitted::Refused(6, Why::Unavailable));
    // However it stands meanwhile, the count of hopes is right.
    caller.lost(NOW, nodes[0]);
    caller.failed_to_connect(NOW, nodes[0]);
    caller.set_node(NOW, nodes[0], Facts::weight(1));
    let then = caller.submit(NOW, ask(), 7);
    assert_eq!(then, Submitted::Refused(7, Why::Unavailable));
    caller.connected(NOW, nodes[0]);
    caller.welcome(NOW, nodes[0], Credit::new(1, 1000));
    assert_eq!(sent(&mut caller, 8).node, nodes[0]);
}

#[test]
fn what_an_answer_says_of_its_node_is_told_to_the_policy_once() {
    let (mut caller, _) = pool(2, 10);
    let load = |in_flight| {
        let load = Load {
            in_flight,
            ..Load::default()
        };
        Answered {
            load: Some(load),
            credit: None,
        }
    };
    let in_flight = |caller: &Caller<u64>| {
        let nodes = caller.balancer.nodes();
        nodes.in_flight(0) + nodes.in_flight(1)
    };
    let mut payload = 0;
    let mut answer = |caller: &mut Caller<u64>, verdict, given_up: bool| {
        payload += 1;
        let it = sent(caller, payload);
        assert_eq!(in_flight(caller), 1);
        if given_up {
            assert!(caller.cancel(NOW, it.id).is_some());
            assert_eq!(in_flight(caller), 1, "its node has it still");
        }
        match verdict {
            None => drop(caller.reply(NOW, it.node, it.id, load(3))),
            Some(verdict) => {
                let failure = Failure {
                    ran: Ran::Yes,
                    verdict,
                    ..NO
                };
                let then = caller.error(NOW, it.node, it.id, failure, load(3));
                let ended = matches!(then, ErrorThen::Finished(_));
                assert_eq!(ended, !given_up, "{then:?}");
            }
        }
        assert_eq!(in_flight(caller), 0);
        let report = caller.balancer.nodes().report(it.node.index());
        assert_eq!(report.map(|report| report.load.in_flight), Some(3));
    };
    for given_up in [false, true] {
        for verdict in [
            None,
            Some(Verdict::Well),
            Some(Verdict::Unwell),
            Some(Verdict::None),
        ] {
            answer(&mut caller, verdict, given_up);
        }
    }
    let it = sent(&mut caller, 100);
    caller.lost(NOW, it.node);
    assert_eq!(in_flight(&caller), 0);
    let it = sent(&mut caller, 101);
    assert!(matches!(
        caller.unsent(NOW, it.node, it.id),
        ErrorThen::Again | ErrorThen::Finished(_)
    ));
    assert_eq!(in_flight(&caller), 0);
}

/// What a call costs here, apart from everything else: run it with `--release --ignored`.
#[test]
#[ignore = "a measure, not a fact"]
fn the_cost_of_a_call() {
    for nodes in [1, 4] {
        let (mut caller, _) = pool(nodes, 1024);
        let calls = 5_000_000_u64;
        let mut flying: VecDeque<Sending> = (0..256).map(|it| sent(&mut caller, it)).collect();
        let began = std::time::Instant::now();
        for payload in 0..calls {
            let it = flying.pop_front().unwrap();
            let now = Time::from_nanos(payload);
            caller
                .reply(now, it.node, it.id, Answered::default())
                .unwrap();
            flying.push_back(sent(&mut caller, payload));
        }
        let each = began.elapsed().as_nanos() as f64 / calls as f64;
        println!("{nodes} nodes: {each:.1} ns for a call and its reply");
    }
}

#[test]
fn a_node_that_grants_free_workers_is_told_of_calls_that_wait_and_that_they_do_no_more() {
    let (mut caller, nodes) = pool(2, 0);
    caller.pulls(nodes[0], true);
    assert_eq!(caller.next_wish(NOW), None);
    let waits: Vec<CallId> = (0..3)
        .map(|payload| match caller.submit(NOW, ask(), payload) {
            Submitted::Waits(id) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(caller.next_wish(NOW), Some((nodes[0], 3)));
    assert_eq!(caller.next_wish(NOW), None, "once");
    let due = caller.next_due().unwrap();
    caller.due(due);
    assert_eq!(
        caller.next_wish(due),
        Some((nodes[0], 3)),
        "and again after a while"
    );
    caller.credit(nodes[0], Credit::new(1, 1000));
    assert!(caller.next_send(NOW).is_some());
    for id in waits {
        caller.cancel(NOW, id);
    }
    assert!(!caller.is_settled());
    assert_eq!(caller.next_wish(NOW), Some((nodes[0], 0)));
    assert!(caller.is_settled());
}

/// A policy that always picks the same, there or not.
struct Stubborn(usize);

impl Pick for Stubborn {
    fn pick(&mut self, _: &mut PolicyAsk<'_>) -> Option<usize> {
        Some(self.0)
    }
}

#[test]
fn a_node_that_a_policy_picks_although_it_takes_nothing_is_sent_nothing() {
    for picked in [0, 7] {
        let policy = Policy::custom("stubborn", move || Box::new(Stubborn(picked)));
        let balancer = Balancer::new(&policy, 1).expect("a policy without options");
        let mut caller = Caller::new(CallerLimits::default(), balancer);
        let full = caller.add_node(NOW, Facts::default());
        let free = caller.add_node(NOW, Facts::default());
        caller.welcome(NOW, full, Credit::new(0, 0));
        caller.welcome(NOW, free, Credit::new(1, 1 << 20));
        let waits = match caller.submit(NOW, ask(), 1) {
            Submitted::Waits(id) => id,
            other => panic!("{other:?}"),
        };
        assert_eq!(caller.next_send(NOW), None);
        let ended = caller.expire(NOW, waits).map(|ended| ended.payload);
        assert_eq!(ended, Some(1));
        assert_eq!(caller.stats().waiting, 0);
    }
}

#[test]
fn a_node_behind_a_device_that_leaves_is_gone_once_its_last_call_is_given_up() {
    let mut caller = Caller::new(CallerLimits::default(), balancer());
    let node = caller.add_sessionless(NOW, Facts::default(), Credit::new(4, 1 << 20));
    caller.connected(NOW, node);
    let (one, other) = (sent(&mut caller, 1), sent(&mut caller, 2));
    assert!(!caller.remove_node(NOW, node), "it has calls");
    assert!(caller.expire(NOW, one.id).is_some());
    assert!(caller.node_stats(node).is_some());
    let ended = caller.expire(NOW, other.id).expect("it had not ended");
    assert_eq!((ended.payload, ended.node), (2, Some(node)));
    assert_eq!(caller.node_stats(node), None, "no answer is awaited");
    assert_eq!(caller.add_node(NOW, Facts::default()).index(), node.index());
}

#[test]
fn a_node_is_told_of_calls_that_may_go_there_and_of_no_others() {
    let (mut caller, nodes) = pool(2, 0);
    for node in &nodes {
        caller.pulls(*node, true);
    }
    let only = Ask {
        only: Some(nodes[1]),
        ..ask()
    };
    assert!(matches!(caller.submit(NOW, only, 1), Submitted::Waits(_)));
    assert_eq!(caller.next_wish(NOW), Some((nodes[1], 1)));
    assert_eq!(caller.next_wish(NOW), None, "the other is not to take it");
    caller.set_node(NOW, nodes[1], Facts::weight(0));
    assert!(matches!(caller.submit(NOW, ask(), 2), Submitted::Waits(_)));
    assert_eq!(caller.next_wish(NOW), Some((nodes[0], 1)));
    assert_eq!(caller.next_wish(NOW), None, "one is out of use");
}
