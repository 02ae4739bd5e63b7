//! The picking policies, as clients run them, against published tables, under a virtual clock.
//!
//! Without anything said a small version runs, in seconds: the bars that so little can show. With
//! `TABLES` set to a folder all of it runs, and leaves `tables.json` and `index.html` there: that is
//! `make balance-tables`. `ONLY=T1,T3` runs those tables only, and `THREADS` says on how many threads.
//!
//! # Invariants
//!
//! 1. A bar that is missed fails the run, and every bar is printed with what was seen. (held by `main`)
//! 2. The same seeds come to the same figures, on however many threads. (held by the second run at the end of `main`)
//!
//! | file | what |
//! |---|---|
//! | `kernel/` | calls, callers and servers under a virtual clock |
//! | `tables/` | what is simulated, the figures beside it, and the bars |
//! | `results` | rows, bars, plots |
//! | `page` | all of that as a page |
//!
//! # Not here
//!
//! The policies (`patterns/src/balance`): nothing of them is written again here, but for those that
//! others have published and that they are held against.

#![allow(clippy::print_stdout)]

mod kernel;
mod page;
mod results;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use results::{Size, Table, short};
use serde_json::{Value, json};

fn main() -> ExitCode {
    kernel::check();
    tables::theory::check();
    let folder = std::env::var_os("TABLES").map(PathBuf::from);
    let size = match folder {
        Some(_) => Size::Whole,
        None => Size::Small,
    };
    let only = std::env::var("ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|id| !id.is_empty()).collect();
    let threads = std::env::var("THREADS").ok();
    let threads = threads.and_then(|threads| threads.parse().ok());
    let threads = threads.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism();
        cores.map_or(2, |cores| cores.get().min(8))
    });
    let began = Instant::now();
    let made = made(&only, size, threads);
    let mut missed = 0;
    for bar in made.iter().flat_map(|table| {
        let bars = table.bars.iter();
        bars.map(move |bar| (table.id, bar))
    }) {
        let (id, bar) = bar;
        let word = if bar.is_met { "met" } else { "MISSED" };
        println!(
            "{word:6} {id} {}: {} ({})",
            bar.what,
            short(bar.seen),
            bar.rule
        );
        missed += usize::from(!bar.is_met);
    }
    let bars: usize = made.iter().map(|table| table.bars.len()).sum();
    let took = began.elapsed().as_secs_f64();
    println!("balance: {bars} bars, {missed} missed, {took:.1} s");
    if let Some(folder) = folder {
        let all = json!({ "tables": json(&made) });
        let text = format!("{all:#}\n");
        let files = [("tables.json", text), ("index.html", page::html(&made))];
        for (name, text) in files {
            let path = folder.join(name);
            let written =
                std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text));
            if let Err(error) = written {
                println!("balance: {}: {error}", path.display());
                return ExitCode::FAILURE;
            }
            println!("balance: {}", path.display());
        }
    }
    if !comes_again(&made, size, threads) {
        println!("balance: the same seeds came to other figures");
        return ExitCode::FAILURE;
    }
    println!("balance: the same again on {} threads", threads + 1);
    match missed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn made(only: &[&str], size: Size, threads: usize) -> Vec<Table> {
    let wanted = |id: &str| only.is_empty() || only.contains(&id);
    let tables = tables::ALL.iter().filter(|(id, _)| wanted(id));
    tables.map(|(_, make)| make(size, threads)).collect()
}

fn json(tables: &[Table]) -> Vec<Value> {
    tables.iter().map(Table::json).collect()
}

/// Whether the same seeds come to the same figures again, on another number of threads: of the small
/// version the first table.
fn comes_again(first: &[Table], size: Size, threads: usize) -> bool {
    let tables = match size {
        Size::Small => 1,
        Size::Whole => first.len(),
    };
    let again = || first.iter().take(tables);
    let ids: Vec<&str> = again().map(|table| table.id).collect();
    let expected: Vec<Value> = again().map(Table::json).collect();
    json(&made(&ids, size, threads + 1)) == expected
}
