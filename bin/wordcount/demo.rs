//! The demo as a whole: text to tasks, tasks to workers, answers to one table, and the check.
//!
//! ```text
//! cutter thread --tasks--> driver, this thread --answers--> gatherer thread --> table
//!                             |   ^
//!                             v   |
//!                            workers
//! ```

use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::args::DemoArgs;
use super::driver::{Driven, Driver};
use super::progress::Progress;
use super::report::Report;
use super::service::Counts;
use super::text::{Selection, Task, default_dirs};
use super::words::Table;
use super::{Failure, Stop};

/// Tasks cut ahead of those that are sent.
const TASKS_AHEAD: usize = 16;
/// Answers received ahead of those that are gathered.
const ANSWERS_AHEAD: usize = 256;
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
    let (sender, tasks) = bounded(TASKS_AHEAD);
    let task_bytes = usize::try_from(args.task_bytes).unwrap_or(usize::MAX);
    let (to_gather, answers) = bounded(ANSWERS_AHEAD);
    let (mut report, table) = thread::scope(|scope| {
        scope.spawn(|| {
            let sender = sender; // it ends with the thread
            selection.send_tasks(task_bytes, args.passes, &sender);
        });
        let gatherer = scope.spawn(|| gather(answers));
        let driven = drive(args, stop, &selection, tasks, to_gather);
        let Ok(gathered) = gatherer.join() else {
            return Err(Failure::run("the gathering thread panicked"));
        };
        let (table, ended) = gathered;
        let mut driven = driven?;
        let elapsed = ended.saturating_duration_since(driven.started);
        driven
            .report
            .summarise(elapsed, &table, &driven.round_trips, args.top);
        Ok((driven.report, table))
    })?;
    if !report.interrupted {
        check(&mut report, &table, &selection, stop);
    }
    Ok(report)
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

fn drive(
    args: &DemoArgs,
    stop: &Stop,
    selection: &Selection,
    tasks: Receiver<Task>,
    answers: Sender<Counts>,
) -> Result<Driven, Failure> {
    let mut driver = Driver::new(args, stop, selection, tasks, answers)?;
    driver.connect()?;
    driver.drive()?;
    Ok(driver.finish())
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
