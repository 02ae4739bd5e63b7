//! What a user sees while it runs: a bar and a table at a terminal, else a line a second.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const LINE_PAUSE: Duration = Duration::from_secs(1);
/// The table is drawn anew this often.
const DRAW_PAUSE: Duration = Duration::from_millis(100);

/// One worker, in a table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: char,
    pub(super) weight: u32,
    /// Tasks done.
    pub(super) tasks: u64,
    /// Its part of all tasks that are done.
    pub(super) share: f64,
    pub(super) in_flight: u32,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) state: &'static str,
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What stands over a table.
const HEAD: &str = "worker  weight     tasks   share  in flight    p50 ms    p99 ms";

/// As it stands in a table.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<6}  {:>6}  {:>8}  {:>4.1} %  {:>9}  {:>8.2}  {:>8.2}  {}",
            self.name,
            self.weight,
            self.tasks,
            100.0 * self.share,
            self.in_flight,
            ms(self.p50),
            ms(self.p99),
            self.state,
        )
    }
}

impl Row {
    /// As it stands in a line of several.
    fn short(&self) -> String {
        format!(
            "{} {:.0} %, {} in flight, p50 {:.2} ms, p99 {:.2} ms",
            self.name,
            100.0 * self.share,
            self.in_flight,
            ms(self.p50),
            ms(self.p99)
        )
    }
}

/// What is redrawn in place.
#[derive(Debug)]
pub(super) struct Screen {
    all: MultiProgress,
    bar: ProgressBar,
    head: Option<ProgressBar>,
    rows: Vec<ProgressBar>,
    last: Option<Instant>,
}

impl Screen {
    fn row(&self) -> ProgressBar {
        let row = self.all.insert_before(&self.bar, ProgressBar::new(1));
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            row.set_style(style);
        }
        row
    }

    fn draw(&mut self, rows: &[Row]) {
        if self.head.is_none() {
            let head = self.row();
            head.set_message(HEAD);
            self.head = Some(head);
        }
        while self.rows.len() < rows.len() {
            self.rows.push(self.row());
        }
        for (line, row) in self.rows.iter().zip(rows) {
            line.set_message(row.to_string());
        }
    }
}

/// Shows how far something is.
#[derive(Debug)]
pub(super) enum Progress {
    /// Redrawn in place.
    Screen(Box<Screen>),
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
            let all = MultiProgress::new();
            let bar = all.add(ProgressBar::new(total));
            let style = "{bar:24} {percent:>3} % {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            Progress::Screen(Box::new(Screen {
                all,
                bar,
                head: None,
                rows: Vec::new(),
                last: None,
            }))
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
            Progress::Screen(screen) => {
                screen.bar.set_position(done);
                screen.bar.set_message(text());
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

    /// So much is done, by these.
    pub(super) fn table(&mut self, done: u64, rows: &[Row], text: &str) {
        if let Progress::Screen(screen) = self {
            if screen.last.is_some_and(|last| last.elapsed() < DRAW_PAUSE) {
                return;
            }
            screen.last = Some(Instant::now());
            screen.draw(rows);
        }
        let screen = matches!(self, Progress::Screen(_));
        self.at(done, || match screen {
            true => text.to_owned(),
            false => {
                let rows: Vec<String> = rows.iter().map(Row::short).collect();
                format!("{text}; {}", rows.join("; "))
            }
        });
    }

    /// Something worth a line has happened.
    pub(super) fn note(&self, text: &str) {
        match self {
            Progress::Screen(screen) => {
                // With standard error gone there is nobody to show it to.
                let _ = screen.all.println(text);
            }
            Progress::Lines { .. } => line(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Progress::Screen(screen) = self {
            let rows = screen.head.iter().chain(&screen.rows);
            rows.chain([&screen.bar])
                .for_each(ProgressBar::finish_and_clear);
        }
    }
}

fn line(text: &str) {
    // With standard error gone there is nobody to show it to.
    let _ = writeln!(io::stderr(), "{text}");
}
