//! The demo as a whole: text to tasks, tasks to workers, answers to one table, and the check.
//!
//! ```text
//! text --tasks--> heart, this thread --answers--> gatherer thread --> table
//!                  |   ^        |
//!                  v   |        v
//!                 workers     board <-- minder thread --> screen
//!                    ^                   |
//!                    +--- kill, start ---+
//! ```

use std::thread;
use std::time::{Duration, Instant};

use brokerless::client::Client;
use brokerless::patterns::Options;
use brokerless::scatter::{Canceller, Over};
use crossbeam_channel::{Receiver, bounded};
use parking_lot::Mutex;

use super::args::DemoArgs;
use super::board::Board;
use super::crew::Crew;
use super::heart::{Counts, WordCountClient, count_all};
use super::minder::{KILL_AT, Minder};
use super::progress::Progress;
use super::report::Report;
use super::text::{Selection, default_dirs};
use super::words::Table;
use super::{Failure, Stop};

/// Answers received ahead of those that are gathered.
const ANSWERS_AHEAD: usize = 256;
/// An answer that takes longer is taken for lost. Connections that die are noticed sooner.
const TASK_TIME: Duration = Duration::from_secs(10);
/// A worker that is silent for so long is taken for dead.
const SILENCE: Duration = Duration::from_millis(600);

/// Runs the demo. What was interrupted gives a report of what was done by then.
pub(super) fn run(args: &DemoArgs, stop: &Stop) -> Result<Report, Failure> {
    let dirs = match &args.dirs[..] {
        [] => default_dirs(),
        given => given.to_vec(),
    };
    let selection = Selection::find(&dirs, args.max_bytes, stop)?;
    if stop.is_set() {
        let mut report = Report::new(args, &selection);
        report.interrupted = true;
        return Ok(report);
    }
    let (mut report, table) = count(args, &selection, stop)?;
    if !report.interrupted {
        check(&mut report, &table, &selection, stop);
    }
    Ok(report)
}

/// Has the workers count it all.
fn count(args: &DemoArgs, selection: &Selection, stop: &Stop) -> Result<(Report, Table), Failure> {
    let crew = Crew::start(&args.workers.0, args.depth(), args.transport)?;
    // The client goes before the workers: so none of its calls is waited for in vain.
    let client = connect(&crew)?;
    let board = Mutex::new(Board::new(args, selection, &crew)?);
    let canceller = Canceller::new();
    let mut minder = Minder::new(args, crew, &client, &board, stop, &canceller);
    minder.connect()?;
    let task_bytes = usize::try_from(args.task_bytes).unwrap_or(usize::MAX);
    let tasks = selection.tasks(task_bytes, args.passes).map(|task| {
        board.lock().drawn(task.bytes);
        task.pieces
    });
    let (to_gather, answers) = bounded(ANSWERS_AHEAD);
    let (table, ended) = thread::scope(|scope| {
        let gatherer = scope.spawn(|| gather(answers));
        let (call_minder, calls) = bounded::<()>(0);
        let minding = scope.spawn(|| {
            let calls = calls;
            minder.mind(&calls)
        });
        board.lock().started = Instant::now();
        let counted = count_all(&client, tasks, args.depth(), &canceller, |told| {
            let (counts, is_time) = {
                let mut board = board.lock();
                let before = board.part();
                let counts = board.ended(told);
                (counts, before < KILL_AT && board.part() >= KILL_AT)
            };
            // Both are there for as long as they are sent to.
            if is_time {
                // Much of it may be done by the next tick.
                let _ = call_minder.send(());
            }
            if let Some(counts) = counts {
                let _ = to_gather.send(counts);
            }
        });
        drop((to_gather, call_minder));
        let panicked = |_| Failure::run("a thread of the demo panicked");
        let gathered = gatherer.join().map_err(panicked)?;
        minding.join().map_err(panicked)??;
        let counted = counted.map_err(|error| Failure::run(error.to_string()))?;
        let failure = board.lock().failure.take();
        match (counted, failure) {
            (Over::Complete | Over::Cancelled, None) => Ok(gathered),
            (over, None) => Err(Failure::run(format!("not all was counted: {over:?}"))),
            (_, Some(failure)) => Err(Failure::run(failure)),
        }
    })?;
    drop(minder);
    let board = board.into_inner();
    let elapsed = ended.saturating_duration_since(board.started);
    Ok((board.into_report(elapsed, &table, args.top), table))
}

fn connect(crew: &Crew) -> Result<WordCountClient, Failure> {
    let options = Options::new()
        .heartbeat_interval(Some(SILENCE / 3))
        .heartbeat_timeout(SILENCE)
        .reconnect_interval(Duration::from_millis(20))
        .reconnect_interval_max(Duration::from_millis(100));
    let client = Client::builder()
        .name("bl-wordcount demo")
        .timeout(TASK_TIME)
        .wait_for_ready(true)
        .options(options);
    let endpoints: Vec<&str> = crew
        .workers
        .iter()
        .map(|worker| &*worker.endpoint)
        .collect();
    let client = client.connect(endpoints);
    Ok(client
        .map_err(|error| Failure::run(error.to_string()))?
        .into())
}

/// Adds up the answers until there are no more; tells when the last one was done.
fn gather(answers: Receiver<Counts>) -> (Table, Instant) {
    let mut table = Table::default();
    let mut ended = Instant::now();
    for counts in answers {
        for (word, count) in &counts.words {
            table.add(word, *count);
        }
        ended = Instant::now();
    }
    (table, ended)
}

/// Counts again on this thread alone, and compares.
fn check(report: &mut Report, table: &Table, selection: &Selection, stop: &Stop) {
    let mut progress = Progress::new(selection.bytes);
    let started = Instant::now();
    let alone = selection.count(stop, |done| {
        progress.at(done, || "on a single thread".to_owned());
    });
    report.interrupted = stop.is_set();
    if !report.interrupted {
        report.single_thread(selection.bytes, started.elapsed());
        report.difference = table.difference(&alone.times(report.passes.into()));
        report.equal = report.difference.is_none();
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Cli, Command};
    use super::*;

    fn report(command: &str, selection: &Selection) -> Report {
        let words = command.split(' ');
        match Cli::parse_from(std::iter::once("bl-wordcount").chain(words)).command {
            Command::Demo(args) => Report::new(&args, selection),
            _ => unreachable!("the command is demo"),
        }
    }

    #[test]
    fn totals_that_differ_are_said_to() {
        let selection = Selection::of(["one two", "two"]);
        for (counted, equal) in [("two one two ", true), ("one two ", false)] {
            let mut table = Table::default();
            table.count(&counted.repeat(3));
            let mut report = report("demo --passes 3", &selection);
            check(&mut report, &table, &selection, &Stop::default());
            assert_eq!(report.equal, equal);
            assert_eq!(report.exit_code(), u8::from(!equal));
            let text = report.to_string();
            assert_eq!(text.contains("NOT EQUAL"), !equal, "{text}");
            assert_eq!(text.contains("\"two\" 3 times by the workers, 6"), !equal);
        }
    }

    #[test]
    fn an_interrupted_count_is_neither_equal_nor_different() {
        let selection = Selection::of(["one two"]);
        let stop = Stop::default();
        stop.0.store(true, std::sync::atomic::Ordering::SeqCst);
        let mut report = report("demo", &selection);
        check(&mut report, &Table::default(), &selection, &stop);
        assert_eq!(report.exit_code(), 130);
        assert!(report.to_string().contains("not checked"));
    }
}
