//! What surrounds calls: interceptors, built-in services, raw bytes, other versions, options.

use std::sync::Arc;
use std::time::Duration;

use brokerless::builtin::{Condition, EchoClient, HealthCheckClient, ReflectionClient};
use brokerless::client::{Call, Client, Interceptor, Member, Outgoing};
use brokerless::server::Next;
use brokerless::service::{Outcome, Request};
use brokerless::wire::Payload;
use brokerless::{Blob, Code, Ran, RpcError, Status};
use parking_lot::Mutex;

use crate::desk::DeskClient;
use crate::support::{PATIENCE, Served, transports, until};

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Interceptor for Seen {
    fn before(&self, call: &mut Outgoing<'_>) -> Result<(), Status> {
        self.0.lock().push(format!("before {}", call.path));
        if call.path.ends_with("panic") {
            return Err(Status::permission_denied("not this one"));
        }
        let added = call.metadata.insert("tenant", "added");
        added.map_err(Status::from)
    }

    fn after(&self, path: &str, error: Option<&RpcError>) {
        let how = error.map_or("well".to_owned(), |error| error.code().name().to_owned());
        self.0.lock().push(format!("after {path} {how}"));
    }
}

impl Seen {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[test]
fn a_handler_sees_the_address_of_a_caller_over_tcp() {
    for endpoint in transports() {
        let served = Served::at(&endpoint, |builder| builder);
        let seen = served.client().address().expect("an answer");
        match endpoint.starts_with("tcp") {
            true => {
                let seen: std::net::SocketAddr = seen.expect("one").parse().expect("host:port");
                assert!(seen.ip().is_loopback() && seen.port() != 0, "{seen}");
            }
            false => assert_eq!(seen, None),
        }
    }
}

/// How often a call was refused for its size, and that its connection was kept.
fn refused_for_size(desk: &DeskClient, served: &Served, blobs: Vec<Blob>, option: &str) {
    let error = desk.turn(blobs).expect_err("too much");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::ResourceExhausted, Ran::No)
    );
    assert!(error.to_string().contains(option), "{error}");
    assert_eq!(desk.client().stats().calls.repicked, 0);
    assert_eq!(served.server.stats().callers, 1);
    assert_eq!(desk.add(2, 3), Ok(5));
}

#[test]
fn a_call_of_many_blobs_that_are_too_much_together_is_refused_and_keeps_its_connection() {
    for endpoint in transports() {
        let served = Served::at(&endpoint, |builder| {
            builder.blob_bytes_max(1 << 20).call_bytes_max(2 << 20)
        });
        let blob = Blob::from(vec![7; 1 << 20]);
        let large = Blob::from(vec![7; (1 << 20) + 1]);
        for desk in [
            served.client(),
            served.client_of(|builder| builder.sessionless(4)),
        ] {
            assert_eq!(desk.add(2, 3), Ok(5));
            refused_for_size(&desk, &served, vec![blob.clone(); 3], "call_bytes_max");
            refused_for_size(&desk, &served, vec![large.clone()], "blob_bytes_max");
            drop(desk);
            until("it has gone", || served.server.stats().callers == 0);
        }
    }
}

#[test]
fn the_largest_call_that_is_taken_by_default_is_taken() {
    let served = Served::new();
    let desk = served.client();
    let blob = Blob::from(vec![7; (16 << 20) - 16]);
    let back = desk
        .turn(vec![blob.clone(), blob.clone()])
        .expect("it fits");
    assert_eq!(back.len(), 2);
    refused_for_size(&desk, &served, vec![blob.clone(); 5], "call_bytes_max");
}

#[test]
fn a_clients_interceptor_sees_each_call_once_on_either_side() {
    let served = Served::new();
    let seen = Seen::default();
    let desk = served.client_of(|builder| builder.interceptor(seen.clone()));
    let got = desk.metadata("tenant", "none");
    assert_eq!(got, Ok((Some("added".to_owned()), Vec::new())));
    let path = "desk.v1.metadata";
    assert_eq!(
        seen.taken(),
        [format!("before {path}"), format!("after {path} well")]
    );

    let error = desk.panic().expect_err("refused");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::PermissionDenied, Ran::No)
    );
    let path = "desk.v1.panic";
    let refused = [
        format!("before {path}"),
        format!("after {path} PERMISSION_DENIED"),
    ];
    assert_eq!(seen.taken(), refused);
    assert_eq!(served.server.stats().calls, 1, "it was not sent");

    desk.fail(5, "", false).expect_err("a status");
    assert_eq!(seen.taken()[1], "after desk.v1.fail NOT_FOUND");
    let sum = desk.begin().add(2, 3).expect("it begins");
    let answer = sum.receiver().recv_timeout(PATIENCE).expect("one end");
    assert_eq!(sum.finish(answer), Ok(5));
    assert_eq!(
        seen.taken(),
        ["before desk.v1.add", "after desk.v1.add well"]
    );
    desk.begin().hold().expect("it begins").cancel();
    assert_eq!(
        seen.taken(),
        ["before desk.v1.hold", "after desk.v1.hold CANCELLED"]
    );
}

#[test]
fn a_servers_interceptor_refuses_changes_and_looks() {
    let seen = Seen::default();
    let told = seen.clone();
    let served = Served::at("tcp://127.0.0.1:*", |builder| {
        builder.interceptor(move |request: Request<'_>, next: Next<'_>| {
            if request.running.metadata().get("tenant").is_none() {
                return Outcome::refused(Status::unauthenticated("tenant is missing"));
            }
            let outcome = next.run(request);
            told.0.lock().push(request.running.method().path.to_owned());
            outcome
        })
    });
    let desk = served.client();
    let error = desk.add(2, 3).expect_err("no tenant");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::Unauthenticated, Ran::No)
    );
    assert!(seen.taken().is_empty());
    let desk = desk.with(Call::new().metadata("tenant", "x"));
    assert_eq!(desk.add(2, 3), Ok(5));
    assert_eq!(seen.taken(), ["desk.v1.add"]);
}

#[test]
fn built_in_services_are_called_by_their_clients() {
    let served = Served::new();
    let client = Client::connect(&served.endpoint).expect("an endpoint");
    let echo = EchoClient::from(client.clone());
    assert_eq!(echo.text("there"), Ok("there".to_owned()));
    assert_eq!(
        echo.blob(Blob::from_static(b"x")),
        Ok(Blob::from_static(b"x"))
    );
    assert_eq!(echo.ping(), Ok(()));
    let health = HealthCheckClient::from(client.clone());
    assert_eq!(health.check("desk.v1"), Ok(Condition::Serving));
    served.server.health().set("desk.v1", Condition::NotServing);
    assert_eq!(health.check("desk.v1"), Ok(Condition::NotServing));
    assert_eq!(
        health.check("none").expect_err("none").code(),
        Code::NotFound
    );
    let reflection = ReflectionClient::from(client);
    let services = reflection.services().expect("names");
    assert!(services.contains(&"desk.v1".to_owned()), "{services:?}");
    let about = reflection.describe("desk.v1").expect("a description");
    let add = about.methods.iter().find(|method| method.name == "add");
    let names: Vec<_> = add
        .expect("add")
        .arguments
        .iter()
        .map(|a| &*a.name)
        .collect();
    assert_eq!(names, ["x", "y"]);
}

#[test]
fn raw_bytes_go_as_they_are() {
    let served = Served::new();
    let desk = served.client();
    assert_eq!(desk.raw(&[1, 2, 0xc1]), Ok(vec![0xc1, 2, 1]));
    let bytes = |path| {
        let payload = Payload::raw(vec![1, 2]);
        desk.client().call_bytes(path, &Call::new(), payload)
    };
    let answer = bytes("desk.v1.raw").expect("an answer");
    assert_eq!(answer.payload().expect("bytes").body[..], [2, 1]);
    let error = bytes("desk.v1.add").expect_err("it takes MessagePack");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::InvalidArgument, Ran::No)
    );
    assert_eq!(desk.raw(&[]), Ok(Vec::new()));
}

#[test]
fn answers_come_later_or_not_at_all_and_panics_are_errors() {
    let served = Served::new();
    let desk = served.client();
    assert_eq!(desk.later(21), Ok(42));
    let error = desk.never().expect_err("it is dropped");
    assert_eq!((error.code(), error.ran()), (Code::Internal, Ran::Yes));
    let error = desk.panic().expect_err("a panic");
    assert_eq!((error.code(), error.ran()), (Code::Internal, Ran::Yes));
    desk.note("one way").expect("sent");
    until("the line", || *served.desk.lines.lock() == ["one way"]);
}

/// The desk as it was before it grew, and as it will be.
mod other {
    pub(super) mod before {
        #[brokerless::service(name = "desk.v1")]
        pub(in super::super) trait Before {
            fn add(&self, x: i64) -> i64;
        }
    }
    pub(super) mod after {
        #[brokerless::service(name = "desk.v1")]
        pub(in super::super) trait After {
            fn add(&self, x: i64, y: i64, #[rpc(default)] z: Option<i64>) -> i64;
        }
    }
}

#[test]
fn a_newer_client_calls_an_older_server() {
    let served = Served::new();
    let client = served.client().client().clone();
    let after = other::after::AfterClient::from(client.clone());
    assert_eq!(after.add(2, 3, Some(4)), Ok(5), "surplus is ignored");
    let before = other::before::BeforeClient::from(client);
    let error = before.add(2).expect_err("y has no default");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::InvalidArgument, Ran::No)
    );
    assert!(error.to_string().contains('y'), "{error}");
}

#[test]
fn options_out_of_bounds_are_named() {
    let refused = |builder: brokerless::client::ClientBuilder, option: &str| {
        let error = builder.connect("tcp://127.0.0.1:1").expect_err(option);
        assert!(error.to_string().contains(option), "{option}: {error}");
    };
    let new = Client::builder;
    refused(new().name(&"x".repeat(256)), "name");
    refused(new().timeout(Duration::ZERO), "timeout");
    refused(new().sessionless(0), "sessionless");
    refused(new().waiting_max(0), "waiting_max");
    refused(new().window_max(0, 1 << 20), "window_max");
    let node = Member::new("tcp://127.0.0.1:2");
    refused(new().nodes([node.clone().weight(-1)]), "weight");
    refused(new().nodes([node.clone().weight(1_001)]), "weight");
    refused(
        new().nodes([node.clone().zone("eu", &"z".repeat(65))]),
        "zone",
    );
    refused(new().nodes([node.at(f64::NAN, 0.0)]), "latitude");
    refused(new().nodes(["tcp://127.0.0.1:1"]), "endpoint");
    let none = new().connect(Vec::<String>::new()).expect_err("none");
    assert!(none.to_string().contains("no endpoint"), "{none}");
    let error = DeskClient::connect("tcp//x").expect_err("no endpoint");
    assert!(error.to_string().contains("tcp//x"), "{error}");
    let key = Call::new().metadata(&"k".repeat(200), "v");
    let served = Served::new();
    let error = served.client().with(key).empty().expect_err("a long key");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::InvalidArgument, Ran::No)
    );
}
