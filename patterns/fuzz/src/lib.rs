//! Entry points of the fuzz targets.
//!
//! ```text
//! fuzz_targets/*.rs --> here --> checks::check <-- tests/corpus.rs of the package under test
//! ```
//!
//! What is checked lies in `checks`, which `tests/corpus.rs` compiles too: what the fuzzer has once found is
//! replayed with a stable compiler. `envelope` is about the fabric, and replayed by `tests/wire` of its package.
//!
//! Each time an input takes more memory than any before it, the new peak is written to standard error as
//! `peak_alloc_bytes=N`; `run.sh` shows the last.

mod checks;
mod envelope;

use std::sync::atomic::{AtomicUsize, Ordering};

use checks::{Target, alloc};

static PEAK: AtomicUsize = AtomicUsize::new(0);

fn run(target: Target, data: &[u8]) {
    show_peak(checks::check(target, data).peak_bytes);
}

fn show_peak(peak_bytes: usize) {
    if peak_bytes > PEAK.load(Ordering::Relaxed) {
        PEAK.store(peak_bytes, Ordering::Relaxed);
        eprintln!("peak_alloc_bytes={peak_bytes}");
    }
}

/// A greeting, and the handshake that follows it.
pub fn greeting(data: &[u8]) {
    run(Target::Greeting, data);
}

/// A stream of frames, read in pieces.
pub fn frames(data: &[u8]) {
    run(Target::Frames, data);
}

/// The body of a command, and metadata.
pub fn command(data: &[u8]) {
    run(Target::Command, data);
}

/// The text of an endpoint.
pub fn endpoint(data: &[u8]) {
    run(Target::Endpoint, data);
}

/// Two sides of ours, from the first byte on.
pub fn session(data: &[u8]) {
    run(Target::Session, data);
}

/// An envelope of the fabric, and a body.
pub fn envelope(data: &[u8]) {
    show_peak(envelope::check(data).peak_bytes);
}
