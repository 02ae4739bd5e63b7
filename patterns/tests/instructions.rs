//! Instructions a message, counted by callgrind: held to what is recorded, plus 3 %.
//!
//! One thread, no kernel in the way, a fixed batch: so the count is the same each time for the
//! same compiler. The test runs itself under valgrind and asks for the instructions spent in one
//! function. Where valgrind is not installed, or another compiler made the program, it says so
//! and compares nothing.
//!
//! `RECORD=1` writes the figures found to `instructions.txt`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use brokerless_patterns::zmtp::Violation;
use brokerless_patterns::zmtp::buffer::ReadBuffer;
use brokerless_patterns::zmtp::decoder::{Decoder, Limits, Plan, Sink};
use brokerless_patterns::zmtp::encoder::Encoder;
use brokerless_patterns::{Dealer, Frame, Message, Router};

/// Messages of one batch: a chunk's worth.
const BATCH: usize = 64;
/// Batches measured.
const BATCHES: usize = 200;
/// How far a figure may go above the one recorded.
const TOLERANCE: f64 = 1.03;

/// What is measured: the name of a function below, and what it stands for.
const MEASURED: [(&str, &str); 2] = [
    ("measured_wire", "encoded, carried through memory, decoded"),
    (
        "measured_socket",
        "sent and received through sockets within the process",
    ),
];

struct Taken(Vec<Message>);

impl Sink for Taken {
    fn message(&mut self, message: Message) {
        self.0.push(message);
    }
    fn command(&mut self, _: &[u8]) -> Result<(), Violation> {
        Ok(())
    }
}

#[inline(never)]
fn measured_wire(
    encoder: &mut Encoder,
    decoder: &mut Decoder,
    buffer: &mut ReadBuffer,
    frame: &Frame,
    taken: &mut Taken,
) {
    for _ in 0..BATCH {
        encoder.push(Message::from(frame.clone()));
    }
    while !encoder.is_empty() {
        let Plan::Shared { offset, max } = decoder.plan(buffer) else {
            unreachable!("all small")
        };
        let n = {
            let slices = encoder.slices();
            let n = slices[0].len().min(max);
            buffer.space()[offset..offset + n].copy_from_slice(&slices[0][..n]);
            n
        };
        encoder.advance(n);
        decoder.feed(buffer, offset + n, taken).unwrap();
    }
    taken.0.clear();
}

#[inline(never)]
fn measured_socket(dealer: &Dealer, router: &Router, frame: &Frame) {
    for _ in 0..BATCH {
        dealer.send(frame.clone()).unwrap();
    }
    for _ in 0..BATCH {
        let (peer, message) = router.recv().unwrap();
        router.send(&peer, message).unwrap();
    }
    for _ in 0..BATCH {
        dealer.recv().unwrap();
    }
}

/// What runs under valgrind.
fn run(batches: usize) {
    let frame = Frame::from(vec![7; 64]);
    let limits = Limits {
        frame_bytes_max: 1 << 20,
        frames_max: 8,
        message_bytes_max: 1 << 20,
        command_bytes_max: 1024,
    };
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(limits));
    let (mut buffer, mut taken) = (ReadBuffer::new(), Taken(Vec::new()));
    let router = Router::bind("inproc://instructions").unwrap();
    let dealer = Dealer::connect("inproc://instructions").unwrap();
    for _ in 0..batches {
        measured_wire(&mut encoder, &mut decoder, &mut buffer, &frame, &mut taken);
        measured_socket(&dealer, &router, &frame);
    }
}

/// Instructions a message within `function`, found by running this program under callgrind.
fn count(function: &str) -> Option<f64> {
    let counted = |batches: usize| -> Option<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--toggle-collect=*{function}*"))
            .arg(std::env::current_exe().ok()?)
            .args([
                "--exact",
                "instructions_a_message_are_as_recorded",
                "--nocapture",
            ])
            .env("MEASURED_BATCHES", batches.to_string())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
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
fn instructions_a_message_are_as_recorded() {
    if let Ok(batches) = std::env::var("MEASURED_BATCHES") {
        run(batches.parse().unwrap());
        return;
    }
    if cfg!(debug_assertions) {
        println!("skipped: figures are those of a release build (cargo test --release)");
        return;
    }
    let mut found = Vec::new();
    for (function, what) in MEASURED {
        let Some(figure) = count(function) else {
            println!("SKIPPED: valgrind is not installed; nothing was counted");
            return;
        };
        println!("{function}: {figure:.1} instructions a message ({what})");
        found.push((function, figure));
    }
    let compiler = compiler();
    if std::env::var_os("RECORD").is_some() {
        let mut text = format!("compiler {compiler}\n");
        for (function, figure) in &found {
            writeln!(text, "{function} {figure:.1}").unwrap();
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
    for (function, figure) in found {
        let before: f64 = known(&format!("{function} ")).parse().unwrap();
        assert!(
            figure <= before * TOLERANCE,
            "{function} takes {figure:.1} instructions a message, recorded are {before}; \
             if that is worth it, record anew with RECORD=1"
        );
    }
}
