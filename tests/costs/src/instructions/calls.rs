//! Instructions a call, counted by callgrind: held to what is recorded, plus 3 %.
//!
//! A fixed batch over links within the process, each side by itself with the other one made by
//! hand: so the count is the same each time for the same compiler, nearly so where a pick goes by what
//! time it is. The client's side runs on one thread; of the server's, what is counted is a call from
//! its envelope to its answer, on whichever thread receives it.
//!
//! | figure | with |
//! |---|---|
//! | `client` | one node, which reports nothing: no pick, no load |
//! | `client_of_two` | two nodes by the default policy, and seven numbers of load on each answer |
//! | `server` | a handler that runs inline |
//!
//! `RECORD=1` writes the figures found to `calls.txt`.

use std::time::Duration;

use brokerless::patterns::{Dealer, Message, Router};
use brokerless::wire::{
    CallHead, CallMetadata, Credit, Encoder, Encoding, Envelope, Flags, Hello, Load, ReplyHead,
    Version, Welcome, encode_call, encode_hello, encode_reply, encode_welcome,
};
use brokerless::{Client, Pending, Server};

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;

use super::{Measured, asked, hold};

/// Calls of one batch.
const BATCH: usize = 64;
/// Batches before those that are counted.
const WARM: usize = 20;

/// What is measured: what it is recorded as, the function, and what it stands for.
const MEASURED: [(&str, &str, &str); 3] = [
    (
        "client",
        "brokerless_costs::instructions::calls::measured_client",
        "a call begun, sent, answered by hand, waited for",
    ),
    (
        "client_of_two",
        "brokerless_costs::instructions::calls::measured_client",
        "the same, to one of two nodes that report their load",
    ),
    (
        "server",
        "brokerless::server::receive::Receiver::receive",
        "a call received, run inline, answered; of 64 that are there",
    ),
];

/// What a node reports with each answer.
const LOAD: Load = Load {
    in_flight: 3,
    latency_us: 900,
    utilisation_permille: 400,
    per_s: 1000,
    errors_per_s: 1,
    run_us: 600,
    workers: 4,
};

#[brokerless::service(name = "instructions.v1")]
trait Adder {
    #[rpc(inline)]
    fn add(&self, x: i64, y: i64) -> i64;
    /// Comes back when it may.
    #[rpc(inline)]
    fn hold(&self, x: i64, y: i64) -> i64;
    /// Says that it is there.
    #[rpc(inline)]
    fn end(&self, x: i64, y: i64) -> i64;
}

struct Handler {
    may_go: Mutex<Receiver<()>>,
    is_there: Sender<()>,
}

impl Adder for Handler {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }
    fn hold(&self, x: i64, _: i64) -> i64 {
        self.may_go.lock().recv().unwrap();
        x
    }
    fn end(&self, x: i64, _: i64) -> i64 {
        self.is_there.send(()).unwrap();
        x
    }
}

/// A replier that knows the answer, and its load or not. Whether it has answered a call.
fn answer(router: &Router, load: Option<Load>) -> bool {
    let Ok((peer, question)) = router.try_recv() else {
        return false;
    };
    let envelope = match Envelope::decode(question.first()).unwrap() {
        Envelope::Hello(_) => encode_welcome(&Welcome {
            version: Version::NEWEST.number(),
            credit: Credit {
                calls: 1024,
                bytes: 1 << 30,
            },
            blob_bytes_max: u64::MAX,
            name: "by hand",
            call_bytes_max: u64::MAX,
            pulls: false,
            wants_keys: false,
        }),
        Envelope::Call(call) => {
            let head = ReplyHead {
                id: call.id,
                load,
                credit: None,
            };
            let mut body = Encoder::answer();
            body.put(&5i64).unwrap();
            let message = body
                .finish()
                .into_message(encode_reply(&head, Version::NEWEST));
            router.send(&peer, message).unwrap();
            return true;
        }
        other => unreachable!("a client at rest sends neither: {other:?}"),
    };
    router.send(&peer, Message::single(envelope)).unwrap();
    false
}

#[inline(never)]
fn measured_client(
    client: &AdderClient,
    routers: &[Router],
    load: Option<Load>,
    calls: &mut Vec<Pending<i64>>,
) {
    for _ in 0..BATCH {
        calls.push(client.begin().add(2, 3).unwrap());
    }
    let mut answered = 0;
    while answered < BATCH {
        for router in routers {
            while answer(router, load) {
                answered += 1;
            }
        }
    }
    for call in calls.drain(..) {
        assert_eq!(call.wait(), Ok(5));
    }
}

/// A caller that reads no answer but counts them. All calls are there before the second one is looked
/// at, and the last one's is there before an answer is: so neither side keeps the other from anything.
fn feed(dealer: &Dealer, go: &Sender<()>, is_there: &Receiver<()>) {
    for id in 1..=BATCH as u64 {
        let head = CallHead {
            id,
            method: match id {
                1 => "instructions.v1.hold",
                _ if id == BATCH as u64 => "instructions.v1.end",
                _ => "instructions.v1.add",
            },
            left_us: 3_600_000_000,
            flags: Flags::empty(),
            encoding: Encoding::MessagePack,
            metadata: CallMetadata::empty(),
            hops: 0,
            window: None,
            key: None,
        };
        let mut body = Encoder::arguments(2);
        body.put(&2i64).unwrap();
        body.put(&3i64).unwrap();
        let envelope = encode_call(&head, Version::NEWEST).unwrap();
        dealer.send(body.finish().into_message(envelope)).unwrap();
    }
    go.send(()).unwrap();
    is_there.recv().unwrap();
    for _ in 0..BATCH {
        // It never sleeps: to be woken would be the server's work, or not, as it comes.
        let answer = loop {
            match dealer.try_recv() {
                Ok(answer) => break answer,
                Err(_) => std::thread::yield_now(),
            }
        };
        let decoded = Envelope::decode(answer.first()).unwrap();
        assert!(matches!(decoded, Envelope::Reply(_)), "{decoded:?}");
    }
}

/// A client of so many nodes made by hand, and so many batches of calls.
fn client(nodes: usize, load: Option<Load>, batches: usize) {
    let endpoints = (0..nodes).map(|node| format!("inproc://instructions-by-hand-{node}"));
    let endpoints: Vec<String> = endpoints.collect();
    let routers = endpoints.iter().map(|at| Router::bind(at).unwrap());
    let routers: Vec<Router> = routers.collect();
    // No question goes out beside the calls.
    let builder = Client::builder().probe_every(Duration::from_secs(3600));
    let client: AdderClient = builder.connect(endpoints).unwrap().into();
    let mut calls = Vec::with_capacity(BATCH);
    // Before that both are let in, and have their shares.
    for _ in 0..WARM {
        measured_client(&client, &routers, load, &mut calls);
    }
    for _ in 0..batches {
        measured_client(&client, &routers, load, &mut calls);
    }
}

/// What runs under valgrind: so many batches of this figure.
fn run(figure: &str, batches: usize) {
    match figure {
        "client" => client(1, None, batches),
        "client_of_two" => client(2, Some(LOAD), batches),
        _ => server(batches),
    }
}

fn server(batches: usize) {
    let ((go, may_go), (is_there, there)) = (unbounded(), unbounded());
    let may_go = Mutex::new(may_go);
    let handler = Handler { may_go, is_there };
    let server = Server::builder()
        .service(AdderServer::new(handler))
        .window(BATCH as u32)
        .window_max(BATCH as u32)
        .bind("inproc://instructions")
        .unwrap();
    let dealer = Dealer::connect("inproc://instructions").unwrap();
    let hello = encode_hello(&Hello {
        version: Version::NEWEST.number(),
        oldest: Version::OLDEST.number(),
        name: "",
    });
    dealer.send(Message::single(hello)).unwrap();
    dealer.recv().unwrap(); // the welcome
    for _ in 0..batches {
        feed(&dealer, &go, &there);
    }
    server.stop_within(Duration::ZERO);
}

#[test]
fn instructions_a_call_are_as_recorded() {
    let _alone = crate::alone();
    if let Some((figure, batches)) = asked() {
        run(&figure, batches);
        return;
    }
    let measured = MEASURED.map(|(name, function, what)| Measured {
        name,
        function: function.to_owned(),
        what,
    });
    let test = "instructions::calls::instructions_a_call_are_as_recorded";
    hold(test, "calls.txt", BATCH, measured);
}
