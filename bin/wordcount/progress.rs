//! What a user sees while it runs: a bar at a terminal, else a line a second.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const LINE_PAUSE: Duration = Duration::from_secs(1);

/// Shows how far something is.
#[derive(Debug)]
pub(super) enum Progress {
    /// Redrawn in place.
    Bar(ProgressBar),
    /// Written line by line.
    Lines {
        /// Bytes in all.
        total: u64,
        /// When the last line was written.
        last: Instant,
    },
}

impl Progress {
    /// Begins at nothing of `total` bytes.
    ///
    /// A bar would be torn by log lines, so there is none where a log is asked for.
    pub(super) fn new(total: u64) -> Self {
        if io::stderr().is_terminal() && std::env::var_os("RUST_LOG").is_none() {
            let bar = ProgressBar::new(total);
            let style = "{bar:24} {percent:>3} % {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            Progress::Bar(bar)
        } else {
            Progress::Lines {
                total,
                last: Instant::now(),
            }
        }
    }

    /// So much is done.
    pub(super) fn at(&mut self, done: u64, text: impl FnOnce() -> String) {
        match self {
            Progress::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(text());
            }
            Progress::Lines { total, last } => {
                if last.elapsed() >= LINE_PAUSE {
                    *last = Instant::now();
                    let percent = done * 100 / (*total).max(1);
                    line(&format!("{percent:>3} % {}", text()));
                }
            }
        }
    }

    /// Something worth a line has happened.
    pub(super) fn note(&self, text: &str) {
        match self {
            Progress::Bar(bar) => bar.println(text),
            Progress::Lines { .. } => line(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(text: &str) {
    // With standard error gone there is nobody to show it to.
    let _ = writeln!(io::stderr(), "{text}");
}
