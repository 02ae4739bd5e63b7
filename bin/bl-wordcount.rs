//! `bl-wordcount`: counts words with three worker processes, one of which is killed on the way.
//!
//! Flags to configuration to run; the rooms are in `wordcount/`.

mod wordcount;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    env_logger::init();
    wordcount::run(wordcount::Cli::parse())
}
