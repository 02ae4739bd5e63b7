//! The same over a server and a client: what is generated fits the fabric as it is.

use std::thread;
use std::time::Duration;

use brokerless::client::Call;
use brokerless::server::Server;
use brokerless::service::{Context, Responder};
use brokerless::{Blob, CallError, Code, Ran, Status};

#[brokerless::service(name = "live.v1")]
trait Live {
    fn add(&self, x: i64, y: i64) -> i64;
    #[rpc(inline)]
    fn check(&self, text: &str) -> Result<usize, String>;
    fn who(&self, ctx: &Context<'_>) -> Result<String, Status>;
    fn join(&self, blobs: Vec<Blob>) -> Option<Blob>;
    fn later(&self, x: i64, answer: Responder<Result<i64, String>>);
    #[rpc(raw)]
    fn turn(&self, body: &[u8]) -> Blob;
    fn grown(&self, x: u8, #[rpc(default)] y: Option<u8>) -> u8;
    #[rpc(oneway)]
    fn note(&self, line: &str);
    fn noted(&self) -> Vec<String>;
    #[rpc(timeout = "1s")]
    fn stuck(&self, answer: Responder<()>);
}

#[derive(Default)]
struct Handler {
    lines: std::sync::Mutex<Vec<String>>,
    stuck: std::sync::Mutex<Vec<Responder<()>>>,
}

impl Live for Handler {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }
    fn check(&self, text: &str) -> Result<usize, String> {
        if text.is_empty() {
            Err("nothing to check".to_owned())
        } else {
            Ok(text.len())
        }
    }
    fn who(&self, ctx: &Context<'_>) -> Result<String, Status> {
        let tenant = ctx.metadata().get("tenant");
        let tenant = tenant.ok_or_else(|| Status::unauthenticated("no tenant"))?;
        Ok(format!("{tenant} calls {}", ctx.method().path))
    }
    fn join(&self, blobs: Vec<Blob>) -> Option<Blob> {
        (!blobs.is_empty())
            .then(|| Blob::from(blobs.iter().map(|b| &b[..]).collect::<Vec<_>>().concat()))
    }
    fn later(&self, x: i64, answer: Responder<Result<i64, String>>) {
        thread::spawn(move || {
            answer.send(if x == 0 {
                Err("zero".to_owned())
            } else {
                Ok(-x)
            })
        });
    }
    fn turn(&self, body: &[u8]) -> Blob {
        Blob::from(body.iter().rev().copied().collect::<Vec<u8>>())
    }
    fn grown(&self, x: u8, y: Option<u8>) -> u8 {
        x + y.unwrap_or(1)
    }
    fn note(&self, line: &str) {
        self.lines.lock().expect("no panic").push(line.to_owned());
    }
    fn noted(&self) -> Vec<String> {
        self.lines.lock().expect("no panic").clone()
    }
    fn stuck(&self, answer: Responder<()>) {
        self.stuck.lock().expect("no panic").push(answer);
    }
}

/// As the service was before it grew.
mod before {
    #[brokerless::service(name = "live.v1")]
    pub(super) trait Live {
        fn grown(&self, x: u8) -> u8;
        fn gone(&self) -> u8;
    }
}

fn serve(name: &str) -> (Server, LiveClient) {
    let endpoint = format!("inproc://service-live-{name}");
    let server = Server::builder().service(LiveServer::new(Handler::default()));
    let server = server.bind(&endpoint).expect("a free endpoint");
    let client = LiveClient::connect(&endpoint).expect("an endpoint");
    (server, client)
}

#[test]
fn a_generated_client_calls_a_generated_server() {
    let (_server, live) = serve("calls");
    assert_eq!(live.add(2, 3).expect("a sum"), 5);
    assert_eq!(live.check("text").expect("checked"), 4);
    assert_eq!(live.turn(&[0xc1, 2, 3]).expect("turned")[..], [3, 2, 0xc1]);
    assert_eq!(live.join(Vec::new()).expect("joined"), None);
    let blobs = vec![Blob::from_static(b"a"), Blob::from_static(b"bc")];
    let joined = live.join(blobs).expect("joined").expect("a blob");
    assert_eq!(joined[..], *b"abc");
    let pending = [1, 2, 3].map(|x| live.begin().later(x).expect("sent"));
    let later = pending.map(|pending| pending.wait().expect("answered"));
    assert_eq!(later, [-1, -2, -3]);
}

#[test]
fn errors_come_back_as_what_they_are() {
    let (_server, live) = serve("errors");
    let error = live.check("").expect_err("nothing");
    assert!(
        matches!(&error, CallError::Method(why) if why == "nothing to check"),
        "{error:?}"
    );
    let error = live.later(0).expect_err("zero");
    assert!(
        matches!(&error, CallError::Method(why) if why == "zero"),
        "{error:?}"
    );
    let error = live.who().expect_err("nobody");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::Unauthenticated, Ran::Yes)
    );
    let tenant = live.with(Call::new().metadata("tenant", "x"));
    assert_eq!(tenant.who().expect("somebody"), "x calls live.v1.who");
}

#[test]
fn what_is_sent_one_way_arrives() {
    let (_server, live) = serve("oneway");
    live.note("a line").expect("sent");
    live.begin().note("another").expect("sent");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while live.noted().expect("answered").len() < 2 {
        assert!(
            std::time::Instant::now() < deadline,
            "the lines did not come"
        );
    }
}

#[test]
fn a_methods_own_timeout_holds() {
    let (server, live) = serve("timeout");
    assert_eq!(live.add(2, 3).expect("there is a session"), 5);
    let error = live.stuck().expect_err("nobody answers");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::Maybe)
    );
    // The handler keeps its responder for ever: there is nothing to wait for.
    server.stop_within(Duration::ZERO);
}

#[test]
fn a_client_from_before_is_served() {
    use before::LiveClient as Before;
    let (_server, live) = serve("before");
    let old = Before::from(live.client().clone());
    assert_eq!(old.grown(1).expect("answered"), 2);
    assert_eq!(live.grown(1, Some(2)).expect("answered"), 3);
    let error = old.gone().expect_err("no such method");
    assert_eq!((error.code(), error.ran()), (Code::Unimplemented, Ran::No));
}
