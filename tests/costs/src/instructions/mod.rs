//! Instructions counted by callgrind: held to what is recorded, plus 3 %.
//!
//! A test runs itself under valgrind with a number of batches, and again with twice as many: the
//! difference leaves out what is done once. Where valgrind is not installed, or another compiler
//! made the program, it says so and compares nothing. What threads make each other wait comes on top,
//! and nothing comes off: so the least of several counts is recorded, and a count over what is recorded
//! is made again.
//!
//! | file | what |
//! |---|---|
//! | `calls` | instructions a call, on the client's side and the server's |
//! | `sockets` | instructions a message and a pick |
//! | `*.txt` | what was recorded |

mod calls;
mod sockets;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::rounds::{ROUNDS, in_rounds};

/// Batches measured.
const BATCHES: usize = 100;
/// How far a figure may go above the one recorded.
const TOLERANCE: f64 = 1.03;
/// Says which figure to run under valgrind, and how many batches of it: `name batches`.
const ROLE: &str = "MEASURED";

/// A figure.
pub(crate) struct Measured {
    /// What it is recorded as.
    pub(crate) name: &'static str,
    /// The function in which instructions count, as callgrind names it, perhaps with `*`.
    pub(crate) function: String,
    /// What it stands for.
    pub(crate) what: &'static str,
}

/// Which figure this program is to run, and how many batches, if it is the one under valgrind.
pub(crate) fn asked() -> Option<(String, usize)> {
    let role = std::env::var(ROLE).ok()?;
    let (name, batches) = role.split_once(' ')?;
    Some((name.to_owned(), batches.parse().unwrap()))
}

/// Holds each figure to what this file beside this one says of it, or records it there. `test` is the
/// test that calls this and runs batches of so many.
pub(crate) fn hold(
    test: &str,
    file: &str,
    batch: usize,
    measured: impl IntoIterator<Item = Measured>,
) {
    if cfg!(debug_assertions) {
        println!("skipped: figures are those of a release build (cargo test --release)");
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: valgrind is not installed; nothing was counted");
        return;
    }
    let compiler = compiler();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/instructions")
        .join(file);
    if std::env::var_os("RECORD").is_some() {
        let mut text = format!("compiler {compiler}\n");
        for figure in measured {
            let counts = (0..ROUNDS).map(|_| count(test, batch, &figure));
            let count = counts.fold(f64::INFINITY, f64::min);
            say(&figure, count);
            writeln!(text, "{} {count:.1}", figure.name).unwrap();
        }
        std::fs::write(file, text).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(file).unwrap();
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
    for figure in measured {
        let before: f64 = known(&format!("{} ", figure.name)).parse().unwrap();
        let count = in_rounds(figure.name, || {
            let count = count(test, batch, &figure);
            let over = format!(
                "{count:.1} instructions, recorded are {before}; if that is worth it, record anew \
                 with RECORD=1"
            );
            let holds = count <= before * TOLERANCE;
            if holds { Ok(count) } else { Err(over) }
        });
        say(&figure, count);
    }
}

fn say(figure: &Measured, count: f64) {
    let Measured { name, what, .. } = figure;
    println!("{name}: {count:.1} instructions ({what})");
}

/// Instructions each within the figure's function, found by running this program under callgrind.
fn count(test: &str, batch: usize, figure: &Measured) -> f64 {
    let Measured { name, function, .. } = figure;
    let start = |batches: usize| {
        Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--toggle-collect={function}"))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, format!("{name} {batches}"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let finish = |counting: Child| -> u64 {
        let output = counting.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        let line = text.lines().find_map(|line| line.split_once("Collected :"));
        let Some((_, count)) = line else {
            panic!("no count in valgrind's output:\n{text}")
        };
        count.trim().parse().unwrap()
    };
    // Side by side: whatever else a core does, the instructions of a process are its own.
    let (few, many) = (start(BATCHES), start(2 * BATCHES));
    let (few, many) = (finish(few), finish(many));
    let count = (many as f64 - few as f64) / (BATCHES * batch) as f64;
    assert!(count > 10.0, "{function} is not what was counted");
    count
}

fn compiler() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    output.map_or_else(
        |_| "unknown".into(),
        |o| String::from_utf8_lossy(&o.stdout).trim().into(),
    )
}
