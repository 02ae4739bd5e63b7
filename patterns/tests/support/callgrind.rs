//! Instructions counted by callgrind: held to what is recorded, plus 3 %.
//!
//! A test runs itself under valgrind with a number of batches, and again with twice as many: the
//! difference leaves out what is done once. Where valgrind is not installed, or another compiler
//! made the program, it says so and compares nothing.

#![allow(clippy::print_stdout, reason = "the figures are to be read")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Batches measured.
const BATCHES: usize = 200;
/// How far a figure may go above the one recorded.
const TOLERANCE: f64 = 1.03;
/// Says how many batches to run, under valgrind.
const ROLE: &str = "MEASURED_BATCHES";

/// A figure.
pub(crate) struct Measured {
    /// What it is recorded as.
    pub(crate) name: &'static str,
    /// The function in which instructions count, as callgrind names it, perhaps with `*`.
    pub(crate) function: String,
    /// How often it is counted to take the least: with threads, what they make each other wait
    /// comes on top.
    pub(crate) times: usize,
    /// What it stands for.
    pub(crate) what: &'static str,
}

/// How many batches this program is to run, if it is the one under valgrind.
pub(crate) fn batches() -> Option<usize> {
    let batches = std::env::var(ROLE).ok()?;
    Some(batches.parse().unwrap())
}

/// Holds each figure to what `tests/instructions.txt` says of it, or records it there. `test` is the
/// test that calls this and runs batches of so many.
pub(crate) fn hold(test: &str, batch: usize, measured: impl IntoIterator<Item = Measured>) {
    if cfg!(debug_assertions) {
        println!("skipped: figures are those of a release build (cargo test --release)");
        return;
    }
    let mut found = Vec::new();
    for figure in measured {
        let function = &figure.function;
        let counts = (0..figure.times).map_while(|_| count(test, batch, function));
        let Some(count) = counts.min_by(f64::total_cmp) else {
            println!("SKIPPED: valgrind is not installed; nothing was counted");
            return;
        };
        let Measured { name, what, .. } = figure;
        println!("{name}: {count:.1} instructions ({what})");
        assert!(count > 10.0, "{function} is not what was counted");
        found.push((name, count));
    }
    let compiler = compiler();
    if std::env::var_os("RECORD").is_some() {
        let mut text = format!("compiler {compiler}\n");
        for (name, count) in &found {
            writeln!(text, "{name} {count:.1}").unwrap();
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
    for (name, count) in found {
        let before: f64 = known(&format!("{name} ")).parse().unwrap();
        assert!(
            count <= before * TOLERANCE,
            "{name} takes {count:.1} instructions, recorded are {before}; if that is worth it, \
             record anew with RECORD=1"
        );
    }
}

/// Instructions each within `function`, found by running this program under callgrind.
fn count(test: &str, batch: usize, function: &str) -> Option<f64> {
    let counted = |batches: usize| -> Option<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--toggle-collect={function}"))
            .arg(std::env::current_exe().ok()?)
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, batches.to_string())
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
    let (few, many) = (counted(BATCHES)?, counted(2 * BATCHES)?);
    Some((many - few) as f64 / (BATCHES * batch) as f64)
}

fn compiler() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    output.map_or_else(
        |_| "unknown".into(),
        |o| String::from_utf8_lossy(&o.stdout).trim().into(),
    )
}

/// Of the package whose test it is.
fn recorded_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions.txt")
}
