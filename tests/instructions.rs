//! Instructions a call, counted by callgrind: held to what is recorded, plus 3 %.
//!
//! A fixed batch over links within the process, each side by itself with the other one made by
//! hand: so the count is the same each time for the same compiler. The client's side runs on one
//! thread; of the server's, what is counted is a call from its envelope to its answer, on
//! whichever thread receives it. The test runs itself under valgrind and asks for the instructions
//! spent in one function. Where valgrind is not installed, or another compiler made the program,
//! it says so and compares nothing.
//!
//! `RECORD=1` writes the figures found to `instructions.txt`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use brokerless::patterns::{Dealer, Message, Router};
use brokerless::wire::{
    CallHead, CallMetadata, Credit, Encoder, Encoding, Envelope, Flags, Hello, ReplyHead, Version,
    Welcome, encode_call, encode_hello, encode_reply, encode_welcome,
};
use brokerless::{Pending, Server};

/// Calls of one batch.
const BATCH: usize = 64;
/// Batches measured.
const BATCHES: usize = 200;
/// How far a figure may go above the one recorded.
const TOLERANCE: f64 = 1.03;

/// What is measured: what it is recorded as, how often it is counted to take the least, the
/// function, and what it stands for. With threads, what they make each other wait comes on top.
const MEASURED: [(&str, usize, &str, &str); 2] = [
    (
        "client",
        1,
        "instructions::measured_client",
        "begun, sent, answered by hand, waited for",
    ),
    (
        "server",
        3,
        "brokerless::server::receive::Receiver::receive",
        "received, run inline, answered",
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

/// Instructions a call within `function`, found by running this program under callgrind.
fn count(function: &str) -> Option<f64> {
    let counted = |batches: usize| -> Option<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--toggle-collect={function}"))
            .arg(std::env::current_exe().ok()?)
            .args([
                "--exact",
                "instructions_a_call_are_as_recorded",
                "--nocapture",
            ])
            .env("MEASURED_BATCHES", batches.to_string())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        let line = text.lines().find(|line| line.contains("Collected :"));
        let Some(line) = line else {
            panic!("no count in valgrind's output:\n{text}")
        };
        line.split(':').nth(1)?.trim().parse().ok()
    };
    // The difference of two runs leaves what is done once out.
    let (few, many) = (counted(BATCHES)?, counted(2 * BATCHES)?);
    Some((many - few) as f64 / (BATCHES * BATCH) as f64)
}

fn compiler() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    output.map_or_else(
        |_| "unknown".into(),
        |o| String::from_utf8_lossy(&o.stdout).trim().into(),
    )
}

fn recorded_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions.txt")
}

#[test]
fn instructions_a_call_are_as_recorded() {
    if let Ok(batches) = std::env::var("MEASURED_BATCHES") {
        run(batches.parse().unwrap());
        return;
    }
    if cfg!(debug_assertions) {
        println!("skipped: figures are those of a release build (cargo test --release)");
        return;
    }
    let mut found = Vec::new();
    for (name, times, function, what) in MEASURED {
        let counts = (0..times).map_while(|_| count(function));
        let Some(figure) = counts.min_by(f64::total_cmp) else {
            println!("SKIPPED: valgrind is not installed; nothing was counted");
            return;
        };
        println!("{name}: {figure:.1} instructions a call ({what})");
        assert!(figure > 100.0, "{function} is not what was counted");
        found.push((name, figure));
    }
    let compiler = compiler();
    if std::env::var_os("RECORD").is_some() {
        let mut text = format!("compiler {compiler}\n");
        for (name, figure) in &found {
            writeln!(text, "{name} {figure:.1}").unwrap();
        }
        std::fs::write(recorded_file(), text).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(recorded_file()).unwrap();
    let known = |key: &str| {
        let line = recorded.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("{key} is not recorded; run with RECORD=1"))
            .trim()
    };
    if known("compiler ") != compiler {
        println!(
            "SKIPPED: recorded with {}, this is {compiler}",
            known("compiler ")
        );
        return;
    }
    for (name, figure) in found {
        let before: f64 = known(&format!("{name} ")).parse().unwrap();
        assert!(
            figure <= before * TOLERANCE,
            "{name}: {figure:.1} instructions a call, recorded are {before}; if that is worth \
             it, record anew with RECORD=1"
        );
    }
}
