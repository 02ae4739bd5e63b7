//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::size::size;

const WORKERS_MAX: usize = 16;
const WEIGHT_MAX: u32 = 64;

/// Count the words of real text with worker processes, over brokerless sockets
#[derive(Debug, Parser)]
#[command(name = "bl-wordcount", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Scatter the counting over workers, kill one on the way, check the totals
    Demo(DemoArgs),
    /// Count on a single thread: what the demo is checked against
    Count(CountArgs),
    /// Answer tasks until standard input ends; the demo starts these itself
    Worker(WorkerArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bl-wordcount demo                          the project and its dependencies, three workers
  bl-wordcount demo --dir ~/books --top 50   another directory, more of its words
  bl-wordcount demo --workers 5,5,1 --no-kill
  bl-wordcount demo --transport tcp --json   for a program to read
  RUST_LOG=brokerless_patterns=debug,info bl-wordcount demo

Exit code: 0 the totals are equal, 1 they are not or it failed, 2 bad arguments, 130 interrupted.")]
pub(super) struct DemoArgs {
    /// Directory of text; may be given several times [default: the project's sources and those
    /// of its dependencies in cargo's registry]
    #[arg(long = "dir", value_name = "DIR")]
    pub(super) dirs: Vec<PathBuf>,

    /// Weights of the workers, a process each; one of weight 3 counts with three threads. Who is
    /// free takes the next task
    #[arg(long, value_name = "WEIGHTS", default_value = "3,2,1", value_parser = weights)]
    pub(super) workers: Weights,

    /// Text in one task: 1KiB to 16MiB
    #[arg(long, value_name = "SIZE", default_value = "128KiB", value_parser = task_bytes)]
    pub(super) task_bytes: u64,

    /// Tasks that a worker may have in flight; with fewer it takes the next: 1 to 1000 [default:
    /// one more than the heaviest has threads]
    #[arg(long, value_name = "TASKS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) depth: Option<u32>,

    /// Count the same text this many times over: 1 to 1000000
    #[arg(long, value_name = "TIMES", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) passes: u32,

    /// Leave all workers alive
    #[arg(long)]
    pub(super) no_kill: bool,

    /// What the workers listen on
    #[arg(long, value_enum, default_value_t = Transport::Ipc)]
    pub(super) transport: Transport,

    /// Most frequent words to show
    #[arg(long, value_name = "WORDS", default_value_t = 10)]
    pub(super) top: usize,

    /// Text to take at most, all of it held in memory; files beyond it are left out
    #[arg(long, value_name = "SIZE", default_value = "400MB", value_parser = size)]
    pub(super) max_bytes: u64,

    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bl-wordcount count ~/books
  bl-wordcount count src patterns/src --top 100 --json")]
pub(super) struct CountArgs {
    /// Directory of text
    #[arg(value_name = "DIR", required = true)]
    pub(super) dirs: Vec<PathBuf>,

    /// Most frequent words to show
    #[arg(long, value_name = "WORDS", default_value_t = 10)]
    pub(super) top: usize,

    /// Text to take at most, all of it held in memory; files beyond it are left out
    #[arg(long, value_name = "SIZE", default_value = "400MB", value_parser = size)]
    pub(super) max_bytes: u64,

    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The endpoint bound is printed as the first line, wildcards resolved. The worker ends when its
standard input does, so it never outlives the program that started it.

Examples:
  bl-wordcount worker --bind tcp://127.0.0.1:*
  bl-wordcount worker --bind ipc:///tmp/words --threads 4 --window 16")]
pub(super) struct WorkerArgs {
    /// Endpoint to listen on, such as tcp://127.0.0.1:* or ipc:///tmp/words
    #[arg(long, value_name = "ENDPOINT")]
    pub(super) bind: String,

    /// Threads that count: 1 to 64
    #[arg(long, value_name = "THREADS", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) threads: u32,

    /// Tasks that each caller may have unanswered: 1 to 65536
    #[arg(long, value_name = "TASKS", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(super) window: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Transport {
    /// Unix sockets in a directory of the demo's own
    Ipc,
    /// Ports of 127.0.0.1 that the system chooses
    Tcp,
}

/// The weights of the workers, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weights(pub(super) Vec<u32>);

impl DemoArgs {
    /// Tasks that a worker may have in flight.
    pub(super) fn depth(&self) -> u32 {
        let heaviest = self.workers.0.iter().max().copied().unwrap_or(1);
        self.depth.unwrap_or(heaviest + 1)
    }
}

fn weights(given: &str) -> Result<Weights, String> {
    let rule = format!(
        "1 to {WORKERS_MAX} whole numbers of 1 to {WEIGHT_MAX} with commas between, such as 3,2,1"
    );
    let mut weights = Vec::new();
    for part in given.split(',') {
        match part.trim().parse() {
            Ok(weight) if (1..=WEIGHT_MAX).contains(&weight) => weights.push(weight),
            _ => return Err(format!("{part:?} is not a weight; give {rule}")),
        }
    }
    if weights.len() > WORKERS_MAX {
        return Err(format!(
            "{} workers are too many; give {rule}",
            weights.len()
        ));
    }
    Ok(Weights(weights))
}

fn task_bytes(given: &str) -> Result<u64, String> {
    let bytes = size(given)?;
    if !((1 << 10)..=(16 << 20)).contains(&bytes) {
        return Err(format!(
            "a task of {bytes} bytes; give 1KiB to 16MiB, such as 128KiB"
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn weights_are_whole_numbers_with_commas_between() {
        assert_eq!(weights("3,2,1"), Ok(Weights(vec![3, 2, 1])));
        assert_eq!(weights(" 5 , 64 "), Ok(Weights(vec![5, 64])));
        for bad in ["", "3,", "0", "65", "-1", "3;2", "a", "1.5"] {
            let error = weights(bad).expect_err(bad);
            assert!(error.contains("3,2,1"), "{error}");
        }
        let many = ["1"; 17].join(",");
        assert!(weights(&many).is_err_and(|error| error.contains("17 workers")));
    }

    #[test]
    fn sizes_have_units() {
        for (given, bytes) in [
            ("1", 1),
            ("64KiB", 65_536),
            ("400MB", 400_000_000),
            ("400 mb", 400_000_000),
            ("2g", 2_000_000_000),
        ] {
            assert_eq!(size(given), Ok(bytes), "{given}");
        }
        for bad in ["", "0", "MB", "4x", "-4", "1.5MB", "99999999999GiB", "4é"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert!(task_bytes("1KiB").is_ok() && task_bytes("16MiB").is_ok());
        assert!(task_bytes("1023").is_err() && task_bytes("17MiB").is_err());
    }
}
