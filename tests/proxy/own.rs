//! What a proxy answers itself, what it passes on of the built-in services, and how it is built.

use brokerless::builtin::{
    Condition, EchoClient, HealthCheckClient, ReflectionClient, StatsClient,
};
use brokerless::proxy::{Member, Proxy, ProxyBuilder};
use brokerless::{Blob, Code, Error};

use crate::desk::DeskClient;
use crate::fleet::{Fleet, proxy, up};
use crate::support::{ByHand, Served, until};

#[test]
fn a_proxy_serves_while_any_node_is_up() {
    let nowhere = ByHand::new("tcp://127.0.0.1:*").endpoint;
    let node = Served::new();
    let members = [Member::new(&*nowhere), Member::new(&*node.endpoint)];
    let proxy = proxy("tcp://127.0.0.1:*", members, |it| it);
    up(&proxy, 1);
    let health = HealthCheckClient::connect(&proxy.local_endpoints()[0]).expect("an endpoint");
    assert_eq!(health.check(""), Ok(Condition::Serving));
    assert_eq!(proxy.condition(), Condition::Serving);
    // Of a service its node is asked.
    node.server.health().set("desk.v1", Condition::NotServing);
    assert_eq!(health.check("desk.v1"), Ok(Condition::NotServing));
    let error = health.check("none.v1").expect_err("there is none");
    assert_eq!(error.code(), Code::NotFound);
    assert!(health.list().expect("a list").len() >= 5);
    drop(node);
    until("nobody is left", || {
        health.check("") == Ok(Condition::NotServing)
    });
}

#[test]
fn reflection_and_echo_are_the_nodes_and_statistics_the_proxys() {
    let fleet = Fleet::new(1);
    let endpoint = &fleet.endpoint;
    let reflection = ReflectionClient::connect(endpoint).expect("an endpoint");
    let services = reflection.services().expect("a list");
    assert!(services.contains(&"desk.v1".to_owned()), "{services:?}");
    let about = reflection.describe("desk.v1").expect("it is there");
    assert!(
        about
            .methods
            .iter()
            .any(|method| method.path == "desk.v1.add")
    );
    let echo = EchoClient::connect(endpoint).expect("an endpoint");
    assert_eq!(
        echo.blob(Blob::from(vec![1; 50_000])),
        Ok(Blob::from(vec![1; 50_000]))
    );
    let before = fleet.nodes[0].server.stats().calls;
    assert_eq!(before, 3);
    let stats = StatsClient::connect(endpoint).expect("an endpoint");
    let report = stats.snapshot().expect("a report");
    assert_eq!((report.calls, report.answered), (4, 3), "{report:?}");
    assert_eq!(stats.callers().expect("callers").len(), 3);
    assert_eq!(fleet.nodes[0].server.stats().calls, before);
}

#[test]
fn nodes_see_the_proxy_for_their_caller() {
    let fleet = Fleet::new(1);
    let desk: DeskClient = fleet.client(|builder| builder.name("shop")).into();
    assert_eq!(desk.caller(), Ok("edge".to_owned()));
    assert_eq!(fleet.proxy.stats().name, "edge");
}

#[test]
fn an_option_out_of_its_bounds_is_named() {
    type Bad = (&'static str, fn(ProxyBuilder) -> ProxyBuilder);
    let bad: [Bad; 10] = [
        ("hops_max", |b| b.hops_max(0)),
        ("hops_max", |b| b.hops_max(65)),
        ("queue", |b| b.queue(0)),
        ("queue", |b| b.queue(1_000_001)),
        ("bytes_max", |b| b.bytes_max(1023)),
        ("name", |b| b.name("n".repeat(256))),
        ("window", |b| b.window(0)),
        ("window_max", |b| b.window_max(65_537)),
        ("blob_bytes_max", |b| b.blob_bytes_max(0)),
        ("weight", |b| {
            b.nodes([Member::new("tcp://127.0.0.1:2").weight(-1)])
        }),
    ];
    for (name, build) in bad {
        let builder = Proxy::builder().nodes(["tcp://127.0.0.1:1"]);
        match build(builder).bind("tcp://127.0.0.1:*") {
            Err(Error::Option { option, .. }) => assert_eq!(option, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let none = Proxy::builder().bind("tcp://127.0.0.1:*");
    assert!(matches!(none, Err(Error::NoEndpoints)), "{none:?}");
}
