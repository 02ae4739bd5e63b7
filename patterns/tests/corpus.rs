//! Replays what the fuzzer has found, and seeds made by hand, with the checks of the fuzz targets.
//!
//! ```text
//! tests/support/seeds/    seeds, with how they must end   -- UPDATE_SEEDS=1 --> fuzz/seeds/TARGET/name
//! fuzz/corpus/TARGET/     what `fuzz/run.sh minimise` has kept
//! fuzz/src/checks/        what is checked, of either
//! ```
//!
//! # Invariants
//!
//! 1. No input of the corpora panics, breaks the comparison or allocates beyond the limits in force.
//!    (`the_corpora_pass`)
//! 2. Each rule has a seed, which is refused by its name. (`every_violation_has_a_seed`)
//! 3. Splitting a short input at any place changes nothing. (`every_split_of_a_short_input_ends_the_same`)

#[path = "../fuzz/src/checks/mod.rs"]
mod checks;
#[path = "support/seeds/mod.rs"]
mod seeds;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use checks::{Pieces, Seen, Target, alloc, frames, greeting, session};

const TARGETS: [(Target, &str); 5] = [
    (Target::Greeting, "greeting"),
    (Target::Frames, "frames"),
    (Target::Command, "command"),
    (Target::Endpoint, "endpoint"),
    (Target::Session, "session"),
];

/// Streams up to this many bytes are split at every place.
const SPLIT_BYTES_MAX: usize = 600;

fn name(target: Target) -> &'static str {
    TARGETS
        .iter()
        .find(|(other, _)| *other == target)
        .expect("every target is listed")
        .1
}

fn folder(kind: &str, target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz", kind, target]
        .iter()
        .collect()
}

/// The files of the corpus, in order, with their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder("corpus", target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.display().to_string(), fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn seeds_of(target: Target) -> Vec<(String, Vec<u8>)> {
    let all = seeds::all().into_iter();
    all.filter(|seed| seed.target == target)
        .map(|seed| (format!("seed {}/{}", name(target), seed.name), seed.bytes))
        .collect()
}

/// Checks an input, and says which it was if that panics.
fn checked(which: &str, check: impl FnOnce() -> Seen) -> Seen {
    struct Which<'a>(&'a str);
    impl Drop for Which<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input is {}", self.0);
            }
        }
    }
    let _which = Which(which);
    check()
}

#[test]
fn the_corpora_pass() {
    for (target, name) in TARGETS {
        let files = corpus(name);
        assert!(files.len() >= 10, "{name}: {} files", files.len());
        let (mut taken, mut refused) = (0, 0);
        for (which, bytes) in &files {
            let seen = checked(which, || checks::check(target, bytes));
            taken += seen.taken;
            refused += seen.refused.len();
        }
        assert!(taken > 0 && refused > 0, "{name}: {taken} and {refused}");
    }
}

#[test]
fn every_seed_ends_as_it_must() {
    let mut wrong = Vec::new();
    for seed in seeds::all() {
        let which = format!("{}/{}", name(seed.target), seed.name);
        let seen = checked(&which, || checks::check(seed.target, &seed.bytes));
        let as_refused = match seed.refused {
            None => seen.refused.is_empty(),
            Some(why) => seen.refused.iter().any(|found| found.contains(why)),
        };
        if seen.taken != seed.taken || !as_refused {
            wrong.push(format!(
                "{which}: {seen:?}, not {} and {:?}",
                seed.taken, seed.refused
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_result_depends_on_the_input_alone() {
    let all = seeds::all();
    let check = |seed: &seeds::Seed| checks::check(seed.target, &seed.bytes);
    let forwards: Vec<Seen> = all.iter().map(check).collect();
    let backwards: Vec<Seen> = all.iter().rev().map(check).collect();
    assert!(forwards.iter().eq(backwards.iter().rev()));
}

#[test]
fn every_violation_has_a_seed() {
    let seen: BTreeSet<String> = seeds::all()
        .iter()
        .filter(|seed| seed.target != Target::Endpoint)
        .flat_map(|seed| checks::check(seed.target, &seed.bytes).refused)
        .collect();
    // All names but `surplus-bytes`, which is a fault of the driver, and `metadata-too-large`, which no peer can
    // reach: the limit of commands stands before it.
    let expected = [
        "bad-as-server",
        "bad-signature",
        "command-too-large",
        "command-with-more",
        "frame-too-large",
        "identity-reserved",
        "identity-too-long",
        "incompatible-sockets",
        "length-out-of-range",
        "malformed-command",
        "malformed-mechanism",
        "malformed-metadata",
        "mechanism-mismatch",
        "message-before-ready",
        "message-too-large",
        "missing-socket-type",
        "peer-error",
        "ping-context-too-long",
        "reserved-flags",
        "too-many-frames",
        "too-many-properties",
        "unexpected-command",
        "unknown-socket-type",
        "unsupported-version",
    ];
    assert_eq!(seen, expected.map(String::from).into());
}

#[test]
fn the_seed_files_are_what_the_code_says() {
    let update = std::env::var_os("UPDATE_SEEDS").is_some();
    for (target, name) in TARGETS {
        let folder = folder("seeds", name);
        let mut listed = BTreeSet::new();
        if update {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
        }
        for seed in seeds::all().iter().filter(|seed| seed.target == target) {
            assert!(listed.insert(seed.name), "{name}/{} twice", seed.name);
            let path = folder.join(seed.name);
            if update {
                fs::write(&path, &seed.bytes).unwrap();
            }
            let file =
                fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(
                file == seed.bytes,
                "{} is old: UPDATE_SEEDS=1",
                path.display()
            );
        }
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            listed.len(),
            "{name}"
        );
    }
}

#[test]
fn every_split_of_a_short_input_ends_the_same() {
    for (which, bytes) in seeds_of(Target::Greeting)
        .into_iter()
        .chain(corpus("greeting"))
    {
        split(
            &which,
            greeting::Opening::parse(&bytes).bytes.len(),
            |pieces| {
                let mut opening = greeting::Opening::parse(&bytes);
                opening.pieces = pieces;
                greeting::run(opening)
            },
        );
    }
    for (which, bytes) in seeds_of(Target::Frames).into_iter().chain(corpus("frames")) {
        split(&which, frames::Stream::parse(&bytes).wire.len(), |pieces| {
            let mut stream = frames::Stream::parse(&bytes);
            stream.pieces = pieces;
            frames::run(stream)
        });
    }
}

/// In one piece, in single bytes, and cut at each place.
fn split(which: &str, len: usize, run: impl Fn(Pieces) -> Seen) {
    if len > SPLIT_BYTES_MAX {
        return;
    }
    let end = |seen: Seen| (seen.refused, seen.taken);
    let whole = end(checked(which, || run(Pieces::of(&[]))));
    let bytes = end(checked(which, || run(Pieces::of(&[1]))));
    assert_eq!(bytes, whole, "{which} byte by byte");
    for cut in 1..len {
        let halves = Pieces::of(&[cut as u16, u16::MAX]);
        assert_eq!(
            end(checked(which, || run(halves))),
            whole,
            "{which} cut at {cut}"
        );
    }
}

#[test]
fn small_reads_and_writes_change_nothing_in_a_session() {
    for (which, bytes) in seeds_of(Target::Session) {
        for most in [1, 3, 64] {
            checked(&which, || session::run(&bytes, most));
        }
    }
}

#[test]
fn memory_over_the_limit_is_noticed() {
    alloc::start();
    let held = alloc::counted(|| {
        drop(vec![0u8; 1000]);
        let kept = vec![0u8; 10];
        let uncounted = alloc::uncounted(|| vec![0u8; 5000]);
        (kept, uncounted)
    });
    assert_eq!(alloc::peak_bytes(), 1000);
    drop(held);
    let result = std::panic::catch_unwind(|| Seen::default().measured(999));
    assert!(result.is_err(), "1,000 bytes within 999");
}
