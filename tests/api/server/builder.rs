//! What a server refuses to start with, and how it is spread over engines.

use std::time::Duration;

use brokerless::Error;
use brokerless::server::{Pool, Server, ServerBuilder};

use super::desk::desk;
use super::support::{Caller, serve};

type Bad = (&'static str, fn(ServerBuilder) -> ServerBuilder);

#[test]
fn an_option_out_of_its_bounds_is_named_with_its_value_and_rule() {
    let bad: [Bad; 17] = [
        ("name", |b| b.name("n".repeat(256))),
        ("workers", |b| b.workers(0)),
        ("workers", |b| b.workers(4097)),
        ("queue", |b| b.queue(0)),
        ("queue_bytes", |b| b.queue_bytes(1023)),
        ("threads", |b| b.pool("a", Pool::new().threads(0))),
        ("queue", |b| b.pool("a", Pool::new().queue(1_000_001))),
        ("pool", |b| b.pool("", Pool::new())),
        ("pool", |b| b.pool("a", Pool::new()).pool("a", Pool::new())),
        ("engines", |b| b.engines(65)),
        ("window", |b| b.window(0)),
        ("window_max", |b| b.window_max(65_537)),
        ("window_bytes_max", |b| b.window_bytes_max(65_535)),
        ("sessionless_max", |b| b.sessionless_max(0)),
        ("blob_bytes_max", |b| b.blob_bytes_max(0)),
        ("drain_timeout", |b| {
            b.drain_timeout(Duration::from_secs(86_401))
        }),
        ("plain_timeout", |b| b.plain_timeout(Duration::ZERO)),
    ];
    for (name, build) in bad {
        let built = build(Server::builder()).bind("inproc://server-bounds");
        match built {
            Err(Error::Option { option, bound, .. }) => {
                assert_eq!(option, name);
                assert!(
                    bound.starts_with("it ") || bound.starts_with("each "),
                    "{bound}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn services_pools_and_endpoints_that_do_not_fit_are_refused() {
    let pools = |builder: ServerBuilder| builder.pool("disk", Pool::new());
    let twice = pools(Server::builder()).service(desk().0).service(desk().0);
    let refused = twice.bind("inproc://server-twice");
    assert!(
        matches!(&refused, Err(Error::DuplicateService { service }) if service == "desk.v1"),
        "{refused:?}"
    );
    let refused = Server::builder()
        .service(desk().0)
        .bind("inproc://server-no-pool");
    assert!(
        matches!(&refused, Err(Error::UnknownPool { pool, method })
            if pool == "disk" && method == "desk.v1.block_disk"),
        "{refused:?}"
    );
    let none: [&str; 0] = [];
    let refused = Server::builder().bind_all(none);
    assert!(matches!(refused, Err(Error::NoEndpoints)), "{refused:?}");
    let refused = Server::builder().bind("tcp://nowhere");
    assert!(matches!(refused, Err(Error::Patterns(_))), "{refused:?}");
}

#[test]
fn a_server_whose_second_endpoint_is_refused_has_left_the_first() {
    let first = "inproc://server-first-of-two";
    let refused = Server::builder().bind_all([first, "tcp://nowhere"]);
    assert!(refused.is_err());
    assert!(Server::builder().bind(first).is_ok());
}

#[test]
fn endpoints_are_spread_over_the_engines_in_turn() {
    let endpoint = "tcp://127.0.0.1:*";
    let server = Server::builder()
        .service(desk().0)
        .pool("disk", Pool::new())
        .engines(2)
        .bind_all([endpoint; 3])
        .expect("a server");
    let endpoints = server.local_endpoints();
    assert_eq!(endpoints.len(), 3);
    let callers: Vec<Caller> = endpoints
        .iter()
        .map(|endpoint| {
            let mut caller = Caller::at(&endpoint.to_string());
            caller.hello(2, 1, "");
            caller.is_answered();
            caller
        })
        .collect();
    let sockets = server.stats().sockets;
    let connections: Vec<usize> = sockets.iter().map(|socket| socket.connections).collect();
    assert_eq!(connections, [2, 1]);
    drop(callers);
}

#[test]
fn a_server_answers_over_ipc_and_inproc_too() {
    let dir = std::env::temp_dir().join(format!("brokerless-server-{}", std::process::id()));
    let ipc = format!("ipc://{}", dir.display());
    for endpoint in [ipc.as_str(), "inproc://server-endpoints"] {
        let server = Server::builder()
            .service(desk().0)
            .pool("disk", Pool::new())
            .bind(endpoint)
            .expect("a server");
        let mut caller = Caller::greeted(&server);
        caller.is_answered();
        caller.bye();
        assert!(server.stop().is_clean());
    }
}

#[test]
fn a_server_says_what_it_is() {
    let (server, _desk) = serve(|builder| builder.name("teller"));
    let shown = format!("{server:?}");
    assert!(
        shown.contains("teller") && shown.contains("desk.v1"),
        "{shown}"
    );
}
