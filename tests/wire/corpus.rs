//! Replays what the fuzzer has found about envelopes, and the golden files as its seeds.
//!
//! The corpus is a sample of what `patterns/fuzz/run.sh minimise envelope` keeps, which is some
//! hundred inputs of a few bytes: the shapes of values are many.
//!
//! # Invariants
//!
//! 1. No input panics, and to read an envelope allocates nothing. (test `the_corpus_passes`)

use std::fs;
use std::path::PathBuf;

use crate::{envelope, golden};

fn folder(kind: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "patterns/fuzz",
        kind,
        "envelope",
    ]
    .iter()
    .collect()
}

fn inputs(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder(kind);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.display().to_string(), fs::read(&path).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn the_corpus_passes() {
    let (mut taken, mut refused) = (0, 0);
    for kind in ["seeds", "corpus"] {
        let inputs = inputs(kind);
        assert!(inputs.len() >= 10, "{kind}: {} files", inputs.len());
        for (which, bytes) in inputs {
            let found = std::panic::catch_unwind(|| envelope::check(&bytes));
            let found = found.unwrap_or_else(|_| panic!("the input is {which}"));
            taken += found.taken;
            refused += found.refused.len();
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} and {refused}");
}

#[test]
fn the_seeds_are_the_frames_of_the_golden_files() {
    let folder = folder("seeds");
    let update = std::env::var_os("UPDATE_SEEDS").is_some();
    if update {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
    }
    let mut expected = Vec::new();
    for (name, message) in golden::files() {
        for (at, frame) in message
            .iter()
            .enumerate()
            .filter(|(_, frame)| frame.len() > 1)
        {
            let path = folder.join(format!("{name}-{at}"));
            if update {
                fs::write(&path, frame).unwrap();
            }
            expected.push((path.display().to_string(), frame.to_vec()));
        }
    }
    expected.sort();
    assert!(inputs("seeds") == expected, "seeds are old: UPDATE_SEEDS=1");
}
