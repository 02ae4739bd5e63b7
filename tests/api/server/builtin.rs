//! The services that every server offers, called by their own clients.

use brokerless::builtin::{
    Condition, EchoClient, HealthCheckClient, ReflectionClient, StatsClient,
};
use brokerless::{Blob, Code};

use super::support::{Caller, one, serve, until};

fn at(server: &brokerless::server::Server) -> String {
    server.local_endpoints()[0].to_string()
}

#[test]
fn health_tells_what_the_program_said() {
    let (server, _desk) = serve(|builder| builder);
    let client = HealthCheckClient::connect(&*at(&server)).expect("a client");
    assert_eq!(
        client.check("desk.v1").expect("an answer"),
        Condition::Serving
    );
    server.health().set("desk.v1", Condition::NotServing);
    assert_eq!(
        client.check("desk.v1").expect("an answer"),
        Condition::NotServing
    );
    assert_eq!(client.check("").expect("an answer"), Condition::Serving);
    let unknown = client.check("weather.v1").expect_err("no such service");
    assert_eq!(unknown.code(), Code::NotFound);
    let listed = client.list().expect("an answer");
    assert!(
        listed.contains(&("desk.v1".to_owned(), Condition::NotServing)),
        "{listed:?}"
    );
    assert_eq!(listed.len(), 5);
}

#[test]
fn reflection_describes_what_is_offered() {
    let (server, _desk) = serve(|builder| builder);
    let client = ReflectionClient::connect(&*at(&server)).expect("a client");
    let services = client.services().expect("an answer");
    assert!(services.contains(&"desk.v1".to_owned()), "{services:?}");
    let desk = client.describe("desk.v1").expect("an answer");
    assert_eq!(desk.docs, "For tests.");
    let method = |path: &str| desk.methods.iter().find(|method| method.path == path);
    let disk = method("desk.v1.block_disk").expect("it is offered");
    assert_eq!(disk.pool.as_deref(), Some("disk"));
    assert_eq!(
        (
            disk.arguments[0].name.as_str(),
            disk.arguments[0].type_name.as_str()
        ),
        ("number", "u64")
    );
    assert!(method("desk.v1.note").expect("it is offered").oneway);
    // It describes itself.
    let own = client
        .describe("brokerless.reflection.v1")
        .expect("an answer");
    assert!(own.methods.iter().any(|method| method.name == "describe"));
}

#[test]
fn echo_gives_back_what_it_was_given() {
    let (server, _desk) = serve(|builder| builder);
    let client = EchoClient::connect(&*at(&server)).expect("a client");
    client.ping().expect("an answer");
    assert_eq!(client.text("gr\u{fc}n").expect("an answer"), "gr\u{fc}n");
    let data = Blob::from(vec![7; 100_000]);
    assert_eq!(client.blob(data.clone()).expect("an answer"), data);
}

#[test]
fn they_answer_while_every_worker_is_busy() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let client = HealthCheckClient::connect(&*at(&server)).expect("a client");
    assert_eq!(client.check("").expect("an answer"), Condition::Serving);
    desk.let_go();
    until(&server, "the end", |stats| stats.in_flight == 0);
}

#[test]
fn a_server_can_do_without_them() {
    let (server, _desk) = serve(|builder| builder.builtin(false));
    let mut caller = Caller::greeted(&server);
    let id = caller.begin("brokerless.echo.v1.ping", super::support::none());
    assert_eq!(caller.next().error(id).0, Code::Unimplemented);
}

#[test]
fn statistics_tell_what_was_called_and_by_whom() {
    let (server, desk) = serve(|builder| builder.workers(1).name("desks"));
    let mut caller = Caller::greeted(&server);
    caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    caller.begin("desk.v1.blok", one(&1u64));
    until(&server, "the refusal", |stats| {
        stats.refused.contains_key("unknown-method")
    });
    let client = StatsClient::connect(&*at(&server)).expect("a client");
    // While the only worker is busy.
    let told = client.snapshot().expect("an answer");
    assert_eq!((&*told.name, told.draining), ("desks", false));
    assert_eq!((told.calls, told.callers), (3, 2), "this one is counted");
    assert_eq!(told.in_flight, 2);
    assert_eq!(told.refused.get("unknown-method"), Some(&1));
    let block = told.methods.iter().find(|of| of.path == "desk.v1.block");
    assert_eq!(block.map(|of| of.calls), Some(1));
    assert_eq!((told.pools[0].running, told.pools[0].threads), (1, 1));
    desk.let_go();
    let callers = client.callers().expect("an answer");
    assert_eq!(callers.len(), 2);
    assert!(callers.iter().any(|of| of.calls == 2), "{callers:?}");
    let sockets = client.sockets().expect("an answer");
    assert_eq!(sockets.len(), 1);
    assert_eq!(sockets[0].connections, 2);
}
