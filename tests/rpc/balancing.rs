//! Which node of a pool gets a call: shares, keys, and what nodes say of their load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brokerless::balance::{Ask, Pick, Place};
use brokerless::client::{Call, Client, ClientBuilder, Member, NodeState};
use brokerless::{Code, Policy, Ran, Server};

use crate::desk::DeskClient;
use crate::support::{PATIENCE, Served, all_up, in_rounds, inproc, node, take_time, until};

fn servers(count: usize) -> Vec<Served> {
    let serve = |_| Served::at(&inproc(), |builder| builder);
    (0..count).map(serve).collect()
}

fn members(served: &[Served], weights: &[u32]) -> Vec<Member> {
    let pairs = served.iter().zip(weights);
    let member = |(served, weight): (&Served, &u32)| Member::new(&served.endpoint).weight(*weight);
    pairs.map(member).collect()
}

fn pool(
    served: &[Served],
    weights: &[u32],
    build: impl FnOnce(ClientBuilder<DeskClient>) -> ClientBuilder<DeskClient>,
) -> DeskClient {
    let builder = DeskClient::builder().timeout(PATIENCE);
    let desk = build(builder.nodes(members(served, weights))).connect(());
    let desk = desk.expect("options within bounds");
    all_up(&desk);
    desk
}

fn calls_of(served: &[Served]) -> Vec<u64> {
    let calls = served.iter().map(|served| served.server.stats().calls);
    calls.collect()
}

/// How many calls each has got meanwhile.
fn shares(served: &[Served], meanwhile: impl FnOnce()) -> Vec<u64> {
    let before = calls_of(served);
    meanwhile();
    let after = calls_of(served).into_iter().zip(before);
    after.map(|(after, before)| after - before).collect()
}

/// So many calls, by four threads.
fn call(desk: &DeskClient, calls: u64) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..calls / 4 {
                    desk.empty().expect("an answer");
                }
            });
        }
    });
}

#[test]
fn shares_are_within_five_percent_of_the_weights_over_ten_thousand_calls() {
    let served = servers(3);
    let weights = [1, 2, 5];
    let desk = pool(&served, &weights, |builder| {
        builder.policy(Policy::weighted())
    });
    let shares = shares(&served, || call(&desk, 10_000));
    for ((share, weight), served) in shares.iter().zip(weights).zip(&served) {
        let wanted = 10_000.0 * f64::from(weight) / 8.0;
        let off = (*share as f64 / wanted - 1.0).abs();
        assert!(off <= 0.05, "{share} of {wanted}");
        let report = node(desk.client(), &served.endpoint);
        assert_eq!(report.weight, weight);
        assert!(
            (report.share - f64::from(weight) / 8.0).abs() < 0.01,
            "{report:?}"
        );
    }
}

#[test]
fn equal_nodes_are_all_used_by_default() {
    let served = servers(4);
    let desk = pool(&served, &[1; 4], |builder| builder);
    // How equal they are is a fact of the policy, by its own clock: here whoever was not run for a
    // moment was slower for a while, and has its share again in a later round.
    let got = |share: &u64| (500..=7_500).contains(share);
    in_rounds("equal nodes", || {
        let before = desk.client().stats().calls.probes;
        let shares = shares(&served, || call(&desk, 10_000));
        let all = shares.iter().sum::<u64>();
        let asked = desk.client().stats().calls.probes - before;
        // One that was on its way before may be counted now.
        assert!(
            (10_000..=10_000 + asked + 4).contains(&all),
            "{all}, {asked} questions"
        );
        if shares.iter().all(got) {
            Ok(())
        } else {
            Err(format!("{shares:?}"))
        }
    });
}

#[test]
fn weights_change_between_calls_and_no_call_fails() {
    let served = servers(2);
    let desk = pool(&served, &[1, 1], |builder| {
        builder.policy(Policy::weighted())
    });
    let (client, one) = (desk.client(), &served[0].endpoint);
    call(&desk, 100);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        desk.empty().expect("no call fails");
                    }
                })
            })
            .collect();
        for weight in [1_000u32, 0, 7, 1, 0, 3].repeat(50) {
            assert_eq!(client.set(Member::new(one).weight(weight)).ok(), Some(true));
            assert_eq!(node(client, one).weight, weight);
        }
        over.store(true, Ordering::Relaxed);
        callers
            .into_iter()
            .for_each(|it| it.join().expect("no panic"));
    });
    let shares = shares(&served, || call(&desk, 4_000));
    assert!((2_850..=3_150).contains(&shares[0]), "{shares:?}");
}

#[test]
fn a_node_of_weight_0_is_drained_without_leaving() {
    let served = servers(2);
    let desk = pool(&served, &[1, 1], |builder| {
        builder.policy(Policy::weighted())
    });
    let (client, one) = (desk.client(), &served[0].endpoint);
    client
        .set(Member::new(one).weight(0))
        .expect("within bounds");
    assert_eq!(shares(&served, || call(&desk, 100)), [0, 100]);
    let report = node(client, one);
    assert_eq!((report.state, report.weight), (NodeState::Up, 0));
    // It is there for those that name it.
    let named = client.node(one).expect("it is in the pool");
    assert_eq!(desk.with(Call::new().to(&named)).add(2, 3), Ok(5));
    // If all are drained, there is nobody to wait for.
    client
        .set(Member::new(&served[1].endpoint).weight(0))
        .expect("within bounds");
    let error = desk.empty().expect_err("nobody takes it");
    assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
    assert!(error.to_string().contains("weight 0"), "{error}");
    assert!(error.to_string().contains(one), "{error}");
    let patient = desk.with(Call::new().wait_for_ready(true));
    let waits = patient.begin().add(2, 3).expect("it waits");
    client
        .set(Member::new(one).weight(1))
        .expect("within bounds");
    assert_eq!(waits.wait(), Ok(5));
    let stranger = Member::new("inproc://balancing-stranger");
    assert_eq!(client.set(stranger.clone()).ok(), Some(false));
    let error = client.set(stranger.weight(-1)).expect_err("no weight");
    assert!(error.to_string().contains("weight"), "{error}");
}

#[test]
fn an_empty_pool_says_so_at_once_and_nothing_has_run() {
    let served = Served::new();
    let desk = served.client();
    assert_eq!(desk.add(2, 3), Ok(5));
    assert!(desk.client().remove(&served.endpoint));
    let error = desk.add(2, 3).expect_err("nobody is there");
    assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
    assert!(error.to_string().contains("the pool is empty"), "{error}");
}

#[test]
fn an_unreachable_pool_says_whom_it_tried_and_why() {
    let served = servers(5);
    let nodes: Vec<String> = served.iter().map(|it| it.endpoint.clone()).collect();
    drop(served);
    let desk = DeskClient::connect(&nodes).expect("endpoints");
    let error = desk.add(2, 3).expect_err("nobody is there");
    assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
    let text = error.to_string();
    for named in &nodes[..3] {
        assert!(
            text.contains(&format!("{named}: nobody is bound")),
            "{text}"
        );
    }
    assert!(text.contains("and 2 more"), "{text}");
}

#[test]
fn what_does_not_fit_is_named_when_the_client_is_built() {
    let refused = |builder: ClientBuilder, field: &str| {
        let error = builder
            .connect("inproc://balancing-nobody")
            .expect_err(field);
        assert!(error.to_string().contains(field), "{field}: {error}");
    };
    let at_home =
        || Client::builder().nodes([Member::new("inproc://balancing-home").zone("eu", "eu-1")]);
    let near = |zone| Policy::weighted().by_place(Place::new("eu", zone));
    refused(at_home().policy(near("eu-2")), "zone is eu-2");
    refused(at_home().policy(Policy::peak_ewma().choices(0)), "choices");
    refused(at_home().probe_every(Duration::ZERO), "probe_every");
    let nowhere = Policy::named("nearest").expect_err("no policy");
    assert!(
        nowhere.to_string().contains("policy is nearest"),
        "{nowhere}"
    );
    let known = at_home().policy(near("eu-1")).connect(());
    assert!(known.is_ok(), "{known:?}");
    let error = Policy::named("weigthed").expect_err("no policy");
    assert!(error.to_string().contains("one of weighted"), "{error}");
}

#[test]
fn calls_of_one_key_go_to_one_node_from_any_client_and_however_it_is_said() {
    let served = servers(4);
    let weights = [1; 4];
    let by_key = |builder: ClientBuilder<DeskClient>| builder.policy(Policy::consistent_hash());
    let (one, other) = (
        pool(&served, &weights, by_key),
        pool(&served, &weights, by_key),
    );
    let mut used = [false; 4];
    for user in 0..40 {
        let user = format!("user-{user}");
        let got = shares(&served, || {
            for at in 0..5 {
                assert_eq!(one.whose(at, &user), Ok(at));
                assert_eq!(other.whose(u64::MAX, &user), Ok(u64::MAX));
                let said = other.with(Call::new().key(&*user));
                assert_eq!(said.add(2, 3), Ok(5));
            }
        });
        let home = got.iter().position(|calls| *calls > 0).expect("some calls");
        assert_eq!(got[home], 15, "{user}: {got:?}");
        used[home] = true;
    }
    assert_eq!(used, [true; 4], "keys spread");
}

#[test]
fn a_policy_by_key_refuses_calls_that_have_none() {
    let served = servers(2);
    let desk = pool(&served, &[1, 1], |builder| {
        builder.policy(Policy::consistent_hash())
    });
    let error = desk.add(2, 3).expect_err("no key");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::FailedPrecondition, Ran::No)
    );
    for part in ["desk.v1.add", "consistent-hash", "Call::key"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // It is the call's, and no node's: none was asked, and none is thought worse of.
    let stats = desk.client().stats();
    assert_eq!((stats.calls.submitted, stats.calls.failed), (0, 0));
    assert!(stats.nodes.iter().all(|node| node.sent + node.errors == 0));
    assert_eq!(desk.with(Call::new().key(&7)).add(2, 3), Ok(5));
    let named = desk.client().nodes()[0].clone();
    assert_eq!(desk.with(Call::new().to(&named)).add(2, 3), Ok(5));
    let unfit = desk.with(Call::new().key(&Unfit)).add(2, 3);
    let error = unfit.expect_err("a key that cannot be encoded");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::InvalidArgument, Ran::No)
    );
}

#[test]
fn a_policy_by_key_is_refused_when_built_where_no_call_could_have_one() {
    #[brokerless::service(name = "keyless.v1")]
    trait Keyless {
        fn add(&self, x: u64) -> u64;
    }
    struct Adds;
    impl Keyless for Adds {
        fn add(&self, x: u64) -> u64 {
            x + 1
        }
    }
    let server = Server::builder().service(KeylessServer::new(Adds));
    let _server = server.bind("inproc://balancing-keyless").expect("a name");
    let hash = || Policy::consistent_hash().load_bound(2.0);
    let refused = |error: brokerless::Error, parts: &[&str]| {
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    };
    for policy in [hash(), hash().by_priority().within_subset(2)] {
        let parts = [
            &*format!("policy is {}: ", policy.name()),
            "keyless.v1",
            "rpc(key",
            "Policy::keyed_by_call",
        ];
        let built = KeylessClient::builder().policy(policy.clone());
        let error = built.connect("inproc://balancing-keyless");
        refused(error.expect_err("no method has a key"), &parts);
        // Of no service nothing is known.
        let built = Client::builder().policy(policy);
        let error = built.connect("inproc://balancing-keyless");
        let parts = [parts[0], "no service", parts[2], parts[3]];
        refused(error.expect_err("nothing is known of keys"), &parts);
    }
    // Where calls bring theirs it is built, and a call that does not is told so.
    let said = hash().keyed_by_call();
    let keyless = KeylessClient::builder().policy(said.clone());
    let keyless = keyless.connect("inproc://balancing-keyless").expect("said");
    assert_eq!(keyless.with(Call::new().key("ann")).add(1), Ok(2));
    let error = keyless.add(1).expect_err("it has none");
    for part in ["keyless.v1.add", "consistent-hash"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let client = Client::builder().policy(said.by_priority());
    let client = client.connect("inproc://balancing-keyless").expect("said");
    let of_client = KeylessClient::from(client);
    assert_eq!(of_client.with(Call::new().key("ann")).add(1), Ok(2));
    // Where one method has a key it is built, as is any other policy where none has.
    let built = DeskClient::builder()
        .policy(hash())
        .connect("inproc://balancing-keyless");
    assert!(built.is_ok());
    let built = KeylessClient::builder().policy(Policy::peak_ewma());
    assert!(built.connect("inproc://balancing-keyless").is_ok());
    let error = Client::builder().policy(Policy::random().keyed_by_call());
    let error = error.connect("inproc://balancing-keyless");
    refused(
        error.expect_err("it wants none"),
        &["keyed_by_call", "random"],
    );
}

/// What has no encoding.
struct Unfit;

impl serde::Serialize for Unfit {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("nothing stands for this"))
    }
}

#[test]
fn answers_tell_how_many_there_are_a_second_and_what_the_program_says_of_its_load() {
    let served = Served::new();
    let desk = served.client();
    let internal = Code::Internal.number();
    let load = || node(desk.client(), &served.endpoint).load;
    until("rates are told", || {
        for _ in 0..20 {
            desk.empty().expect("an answer");
        }
        desk.fail(internal, "broken", false).expect_err("it fails");
        load().is_some_and(|load| load.per_s > 20 && load.errors_per_s > 0)
    });
    let told = load().expect("a report");
    assert!(told.errors_per_s < told.per_s, "{told:?}");
    assert!(told.utilisation_permille <= 1_000, "{told:?}");
    served.server.set_utilisation(Some(1.5));
    let heard = || {
        desk.empty().expect("an answer");
        load().map_or(0, |load| load.utilisation_permille)
    };
    // A leap is believed by half at first.
    until("it is believed", || heard() == 1_500);
    served.server.utilisation().set(None);
    until("it is its workers' time again", || heard() <= 1_000);
}

/// Picks the first node, and wonders about the second.
struct Curious;

impl Pick for Curious {
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        ask.is_able(0).then_some(0)
    }

    fn wonders(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        ask.is_able(1).then_some(1)
    }
}

#[test]
fn a_node_without_calls_is_asked_for_its_load_now_and_then_while_there_are_calls() {
    let served = servers(2);
    let desk = pool(&served, &[1, 1], |builder| {
        let policy = Policy::custom("curious", || Box::new(Curious));
        builder
            .policy(policy)
            .probe_every(Duration::from_millis(100))
    });
    let other = || node(desk.client(), &served[1].endpoint);
    let began = Instant::now();
    until("it is asked, more than once", || {
        desk.empty().expect("an answer");
        let stats = desk.client().stats();
        stats.calls.probes >= 3 && other().load.is_some() && other().in_flight == 0
    });
    let stats = desk.client().stats();
    let most = 1 + began.elapsed().as_millis() as u64 / 90;
    assert!(
        stats.calls.probes <= most,
        "{} of {most}",
        stats.calls.probes
    );
    // How fast it answers that says nothing of calls.
    assert_eq!(other().latency, Duration::ZERO);
    // And it is no call.
    assert_eq!((other().sent, other().answered), (0, 0));
    let calls = stats.calls;
    assert_eq!((calls.submitted, calls.replied), (calls.sent, calls.sent));
    assert_eq!(calls.sent, node(desk.client(), &served[0].endpoint).sent);
    // It is asked beside the program's own calls, and never for its own sake.
    let quiet = desk.client().stats().calls.probes;
    take_time(Duration::from_millis(400));
    assert_eq!(desk.client().stats().calls.probes, quiet);
}

#[test]
fn a_new_node_has_its_share_within_a_second() {
    let served = servers(2);
    let desk = pool(&served[..1], &[1], |builder| {
        builder.policy(Policy::weighted())
    });
    let client = desk.client();
    call(&desk, 1_000);
    client.add(&served[1].endpoint).expect("another");
    until("it is up", || {
        node(client, &served[1].endpoint).state == NodeState::Up
    });
    let came = Instant::now();
    let first = shares(&served, || call(&desk, 200));
    assert!(first[1] > 0, "it gets some at once: {first:?}");
    while came.elapsed() < Duration::from_secs(1) {
        desk.empty().expect("an answer");
    }
    let report = node(client, &served[1].endpoint);
    assert_eq!(report.weight_now, 1.0);
    let then = shares(&served, || call(&desk, 1_000));
    assert!((450..=550).contains(&then[1]), "{then:?}");
}

/// What this process has: descriptors and threads. None where there is no `/proc`.
fn held() -> Option<(usize, usize)> {
    let entries = |of| Some(std::fs::read_dir(format!("/proc/self/{of}")).ok()?.count());
    Some((entries("fd")?, entries("task")?))
}

/// Nodes come, go, drain and change under calls, so many times a second for so long: no call fails,
/// and nothing grows.
fn churn(time: Duration, changes_per_s: u32) {
    let serve = |at| match at % 2 {
        0 => Served::new(),
        _ => Served::at(&inproc(), |builder| builder),
    };
    let served: Vec<Served> = (0..6).map(serve).collect();
    let desk = pool(&served[..1], &[1], |builder| builder);
    let client = desk.client();
    // What there is to be had once each has come and gone.
    let come_and_go = || {
        for served in &served[1..] {
            client.add(&served.endpoint).expect("it is not there");
        }
        all_up(&desk);
        for served in &served[1..] {
            assert!(client.remove(&served.endpoint));
        }
        until("they have gone", || {
            let callers = |served: &Served| served.server.stats().callers;
            client.stats().nodes.len() == 1 && served[1..].iter().all(|it| callers(it) == 0)
        });
    };
    let storm = |time: Duration| {
        let over = AtomicBool::new(false);
        let before = client.stats().calls.replied;
        let (calls, changes) = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut calls = 0u64;
                        while !over.load(Ordering::Relaxed) {
                            desk.add(2, 3).expect("no call fails");
                            calls += 1;
                        }
                        calls
                    })
                })
                .collect();
            let began = Instant::now();
            let mut changes = 0;
            // Until it was called often enough meanwhile, too, however busy the machine is.
            let called = || client.stats().calls.replied - before;
            while began.elapsed() < time
                || (called() <= u64::from(changes) && began.elapsed() < time + PATIENCE)
            {
                // The first stays; each of the others comes, changes twice, drains and goes.
                let at = 1 + changes as usize / 5 % 5;
                let member = || Member::new(&served[at].endpoint);
                match changes % 5 {
                    0 => client.add(member().weight(3)).expect("it has gone before"),
                    1 => drop(
                        client
                            .set(member().weight(100).priority(1))
                            .expect("bounds"),
                    ),
                    2 => drop(
                        client
                            .set(member().weight(1).zone("eu", "a"))
                            .expect("bounds"),
                    ),
                    3 => drop(client.set(member().weight(0)).expect("bounds")),
                    _ => drop(client.remove(&served[at].endpoint)),
                }
                changes += 1;
                let next = began + Duration::from_secs(1) * changes / changes_per_s;
                take_time(next.saturating_duration_since(Instant::now()));
            }
            over.store(true, Ordering::Relaxed);
            let calls = callers.into_iter().map(|it| it.join().expect("no panic"));
            (calls.sum::<u64>(), changes)
        });
        let stats = client.stats();
        assert!(
            calls > u64::from(changes),
            "{calls} calls, {changes} changes"
        );
        assert_eq!(
            (stats.calls.failed, stats.calls.lost, stats.calls.held),
            (0, 0, 0)
        );
        for served in &served[1..] {
            client.remove(&served.endpoint);
        }
        come_and_go();
    };
    come_and_go();
    // So that what begins with the first need is there: stewards, workers.
    storm(time / 10);
    let before = held();
    storm(time);
    let (mut now, began) = (held(), Instant::now());
    let grown = |now| match (now, before) {
        (Some((fds, tasks)), Some(before)) => fds > before.0 || tasks > before.1,
        _ => false,
    };
    while grown(now) && began.elapsed() < PATIENCE {
        take_time(Duration::from_millis(1));
        now = held();
    }
    assert!(
        !grown(now),
        "descriptors and threads: {before:?}, and then {now:?}"
    );
    assert_eq!(desk.add(2, 3), Ok(5));
}

/// How many seconds a process churns that is started for nothing else.
const CHURN: &str = "BROKERLESS_RPC_CHURN";

/// Not a test: what another process of this program does, in which nobody else has descriptors.
#[test]
#[ignore = "a part of other tests"]
fn a_churn() {
    if let Ok(seconds) = std::env::var(CHURN) {
        churn(Duration::from_secs(seconds.parse().expect("a number")), 100);
    }
}

#[track_caller]
fn churn_alone(seconds: u64) {
    let program = std::env::current_exe().expect("this program");
    let ended = std::process::Command::new(program)
        .args(["--exact", "balancing::a_churn", "--ignored", "--nocapture"])
        .env(CHURN, seconds.to_string())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
fn a_pool_changes_a_hundred_times_a_second_and_no_call_fails() {
    churn_alone(2);
}

#[test]
#[ignore = "a minute long: make balance-churn"]
fn a_pool_changes_a_hundred_times_a_second_for_a_minute_and_no_call_fails() {
    churn_alone(60);
}

#[test]
fn the_first_node_back_after_an_outage_gets_what_waits_in_steps_of_its_credit() {
    const WAITING: usize = 2_000;
    let (nowhere, other) = (inproc(), inproc());
    let desk = DeskClient::builder().wait_for_ready(true).timeout(PATIENCE);
    let desk = desk.connect([&nowhere, &other]).expect("endpoints");
    let begin = |_| desk.begin().hold().expect("it waits");
    let waiting: Vec<_> = (0..WAITING).map(begin).collect();
    assert_eq!(desk.client().stats().calls.waiting, WAITING);
    // One is back, slow, and with the room that every server has: less than what waits.
    let served = Served::at(&nowhere, |builder| builder.workers(2));
    until("it has a window of calls", || {
        node(desk.client(), &served.endpoint).in_flight == 16
    });
    let stats = desk.client().stats();
    assert_eq!(
        stats.calls.waiting,
        WAITING - 16,
        "the rest waits in its caller"
    );
    served.desk.open();
    for call in waiting {
        assert_eq!(call.wait(), Ok(false));
    }
    let stats = served.server.stats();
    assert_eq!(stats.calls, WAITING as u64);
    assert!(stats.refused.is_empty(), "{:?}", stats.refused);
    assert_eq!(desk.client().stats().calls.repicked, 0);
}
