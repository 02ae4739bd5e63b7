//! Instructions a call, counted by callgrind: held to what is recorded, plus 3 %.
//!
//! A fixed batch over links within the process, each side by itself with the other one made by
//! hand: so the count is the same each time for the same compiler. The client's side runs on one
//! thread; of the server's, what is counted is a call from its envelope to its answer, on
//! whichever thread receives it.
//!
//! `RECORD=1` writes the figures found to `instructions.txt`.

#[path = "../patterns/tests/support/callgrind.rs"]
mod callgrind;

use brokerless::patterns::{Dealer, Message, Router};
use brokerless::wire::{
    CallHead, CallMetadata, Credit, Encoder, Encoding, Envelope, Flags, Hello, ReplyHead, Version,
    Welcome, encode_call, encode_hello, encode_reply, encode_welcome,
};
use brokerless::{Pending, Server};

use callgrind::Measured;

/// Calls of one batch.
const BATCH: usize = 64;

/// What is measured: what it is recorded as, how often it is counted to take the least, the
/// function, and what it stands for. With threads, what they make each other wait comes on top.
const MEASURED: [(&str, usize, &str, &str); 2] = [
    (
        "client",
        1,
        "instructions::measured_client",
        "a call begun, sent, answered by hand, waited for",
    ),
    (
        "server",
        3,
        "brokerless::server::receive::Receiver::receive",
        "a call received, run inline, answered",
    ),
];

#[brokerless::service(name = "instructions.v1")]
trait Adder {
    #[rpc(inline)]
    fn add(&self, x: i64, y: i64) -> i64;
}

struct Handler;

impl Adder for Handler {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }
}

/// A replier that knows the answer.
fn answer(router: &Router) {
    let (peer, question) = router.recv().unwrap();
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
                load: None,
                credit: None,
            };
            let mut body = Encoder::answer();
            body.put(&5i64).unwrap();
            let message = body
                .finish()
                .into_message(encode_reply(&head, Version::NEWEST));
            router.send(&peer, message).unwrap();
            return;
        }
        other => unreachable!("a client at rest sends neither: {other:?}"),
    };
    router.send(&peer, Message::single(envelope)).unwrap();
}

#[inline(never)]
fn measured_client(client: &AdderClient, router: &Router, calls: &mut Vec<Pending<i64>>) {
    for _ in 0..BATCH {
        calls.push(client.begin().add(2, 3).unwrap());
    }
    for _ in 0..BATCH {
        answer(router);
    }
    for call in calls.drain(..) {
        assert_eq!(call.wait(), Ok(5));
    }
}

/// A caller that reads no answer but counts them.
fn feed(dealer: &Dealer) {
    for id in 1..=BATCH as u64 {
        let head = CallHead {
            id,
            method: "instructions.v1.add",
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

/// What runs under valgrind.
fn run(batches: usize) {
    let router = Router::bind("inproc://instructions-by-hand").unwrap();
    let client = AdderClient::connect("inproc://instructions-by-hand").unwrap();
    answer(&router); // the hello
    let mut calls = Vec::with_capacity(BATCH);
    for _ in 0..batches {
        measured_client(&client, &router, &mut calls);
    }

    let server = Server::builder()
        .service(AdderServer::new(Handler))
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
        feed(&dealer);
    }
    server.stop_within(std::time::Duration::ZERO);
}

#[test]
fn instructions_a_call_are_as_recorded() {
    if let Some(batches) = callgrind::batches() {
        run(batches);
        return;
    }
    let measured = MEASURED.map(|(name, times, function, what)| Measured {
        name,
        function: function.to_owned(),
        times,
        what,
    });
    callgrind::hold("instructions_a_call_are_as_recorded", BATCH, measured);
}
