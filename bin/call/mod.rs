//! Calls by reflection: words of a command line to arguments, answers to JSON.
//!
//! ```text
//! words, JSON, files ── arguments ── check ◄── types ◄── reflection (node)
//!                           │
//!                        Payload ──► single │ repeat │ stream ──► answer ──► JSON, files
//! ```
//!
//! | room | what |
//! |---|---|
//! | `flags` | the command line, its help, its man page |
//! | `complete` | completions for shells, and the words that they offer |
//! | `node` | connecting, and asking what is there; what was tried, if nobody answers |
//! | `method` | a method as reflection describes it |
//! | `types`, `json`, `value` | types as they are named; JSON; MessagePack |
//! | `check` | JSON held against a type |
//! | `input` | bytes from files and in several spellings |
//! | `arguments`, `answer` | what goes in, what comes out |
//! | `show`, `stats` | `list`, `describe`, `health`; `stats` |
//! | `single`, `stream`, `repeat` | one call; one that carries items; many, and how long they took |
//! | `fault` | what went wrong, and the exit code |
//!
//! # Not here
//!
//! How a call gets there: the library.

mod answer;
mod arguments;
mod check;
mod complete;
#[path = "../common/duration.rs"]
mod duration;
mod fault;
mod flags;
mod input;
mod json;
mod method;
mod nearest;
mod node;
mod repeat;
mod show;
mod single;
#[path = "../common/size.rs"]
mod size;
mod stats;
mod stream;
mod types;
mod value;

pub(crate) use flags::Flags;

use std::io::{self, Write};
use std::process::ExitCode;

use fault::Fault;
use flags::Own;
use node::Node;

/// What stands after the endpoint and is no method.
const COMMANDS: [&str; 4] = ["list", "describe", "health", "stats"];

/// Runs what the command line says.
pub(crate) fn run(flags: Flags) -> ExitCode {
    let done = if flags.man {
        flags::man_page()
    } else {
        match &flags.own {
            Some(Own::Completions { shell }) => print(complete::script(*shell)),
            Some(Own::Complete { line }) => print(&complete::words(line)),
            None => call(&flags),
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            let text = if flags.json {
                fault.json().print(false)
            } else {
                clean(&format!("error: {fault}"))
            };
            // With standard error gone, the exit code still tells.
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::from(fault.code)
        }
    }
}

fn call(flags: &Flags) -> Result<u8, Fault> {
    let what = flags.what.as_deref().unwrap_or_default();
    if !what.contains('.')
        && !COMMANDS.contains(&what)
        && let Some(near) = nearest::nearest(what, COMMANDS)
    {
        let what = format!("there is no command {what}: the nearest is {near}");
        return Err(Fault::usage(what));
    }
    let node = Node::connect(flags)?;
    match (what, &flags.words[..]) {
        ("list", []) => show::list(&node, None, flags.json),
        ("list", [service]) => show::list(&node, Some(service), flags.json),
        ("describe", [name]) => show::describe(&node, name, flags),
        ("health", []) => show::health(&node, None, flags.json),
        ("health", [service]) => show::health(&node, Some(service), flags.json),
        ("stats", []) => stats::show(&node, flags.json),
        ("describe", _) => Err(Fault::usage(
            "describe takes one name: of a service or a method",
        )),
        ("list" | "health", _) => Err(Fault::usage(format!("{what} takes one service, or none"))),
        ("stats", _) => Err(Fault::usage("stats takes nothing after it")),
        (path, _) if flags.repeats() => repeat::run(&node, path, flags),
        (path, _) => single::run(&node, path, flags),
    }
}

/// The text without what would steer a terminal: servers are strangers.
fn clean(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// Prints to standard output. Nobody has to read all of it.
fn print(text: &str) -> Result<u8, Fault> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::run(format!("cannot print: {error}")))
        }
        _ => Ok(0),
    }
}
