//! The rules about code and manifests, each a function from the tree to the faults in it.
//!
//! # Not here
//!
//! The rules about prose (`words.rs`); the exceptions, and the proof that each rule can fail
//! (`tidy.rs`).

use std::collections::BTreeSet;

use super::Fault;
use super::source::{Source, Tree, identifiers};

/// Lines of the longest file.
const LINES_MAX: usize = 800;
/// The files that may hold `unsafe`: a kernel call that is given addresses, and allocators that
/// count.
const FENCED: [&str; 3] = [
    "patterns/src/engine/poller/kqueue.rs",
    "patterns/fuzz/src/checks/alloc.rs",
    "tests/costs/src/counted.rs",
];
/// Where the sockets are.
const PATTERNS: &str = "patterns/src/";
/// Where the fabric is.
const FABRIC: &str = "src/";

/// The crates that are divided into rooms: where each is, its rooms, and those without I/O.
const HOUSES: &[House] = &[
    House {
        source: PATTERNS,
        rooms: ROOMS,
        pure: PURE,
    },
    House {
        source: FABRIC,
        rooms: FABRIC_ROOMS,
        pure: FABRIC_PURE,
    },
];

struct House {
    source: &'static str,
    rooms: &'static [(&'static str, &'static [&'static str])],
    pure: &'static [&'static str],
}

/// The rooms of the sockets, and which others each may name. A new room has to choose.
const ROOMS: &[(&str, &[&str])] = &[
    ("counters", &[]),
    ("message", &["counters"]),
    ("balance", &[]),
    ("zmtp", &["message", "counters"]),
    ("link", &["counters"]),
    ("event", &["link", "zmtp"]),
    ("engine", &["event", "link", "zmtp", "message", "counters"]),
    (
        "socket",
        &[
            "engine", "event", "link", "zmtp", "balance", "message", "counters",
        ],
    ),
    ("device", &["socket", "engine", "link", "message"]),
    ("bus", &["socket", "link", "message"]),
    ("retry", &[]),
    ("workers", &[]),
];
/// The rooms without I/O: what they do follows from what they are given.
const PURE: &[&str] = &["message", "balance", "zmtp", "retry", "workers"];
/// The rooms of the fabric, and which others each may name. A new room has to choose.
const FABRIC_ROOMS: &[(&str, &[&str])] = &[
    ("blob", &[]),
    ("chunk", &[]),
    ("deadline", &[]),
    ("values", &[]),
    ("status", &[]),
    ("error", &["status", "values"]),
    ("metadata", &["status"]),
    ("wire", &["blob", "chunk", "metadata", "status", "values"]),
    ("machine", &["values"]),
    (
        "service",
        &[
            "blob", "deadline", "error", "machine", "metadata", "status", "values", "wire",
        ],
    ),
    (
        "client",
        &[
            "blob", "deadline", "error", "machine", "metadata", "service", "status", "values",
            "wire",
        ],
    ),
    (
        "scatter",
        &["client", "deadline", "error", "machine", "status", "values"],
    ),
    (
        "builtin",
        &[
            "blob", "error", "metadata", "service", "status", "values", "wire",
        ],
    ),
    (
        "server",
        &[
            "blob", "builtin", "chunk", "deadline", "error", "machine", "metadata", "service",
            "status", "values", "wire",
        ],
    ),
    (
        "proxy",
        &[
            "builtin", "client", "error", "machine", "server", "service", "status", "values",
            "wire",
        ],
    ),
];
/// Those of the fabric. What a thread keeps for itself is in `chunk`.
const FABRIC_PURE: &[&str] = &[
    "blob", "values", "status", "error", "metadata", "wire", "machine",
];
/// What those do not name, by the beginning of its path.
const IMPURE: &[&[&str]] = &[
    &["std", "net"],
    &["std", "thread"],
    &["std", "fs"],
    &["std", "process"],
    &["std", "env"],
    &["std", "os"],
    &["std", "sync", "mpsc"],
    &["std", "sync", "Mutex"],
    &["std", "sync", "RwLock"],
    &["std", "sync", "Condvar"],
    &["core", "net"],
    &["rustix"],
    &["parking_lot"],
    &["crossbeam_channel"],
    &["rand"],
    &["getrandom"],
    &["fastrand"],
];
/// What those do not name, wherever it stands in a path.
const IMPURE_NAMES: &[&str] = &[
    "Instant",
    "SystemTime",
    "RandomState",
    // Both draw a seed from the system unless they are given a hasher.
    "HashMap",
    "HashSet",
    "thread_local",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "stdin",
    "stdout",
    "stderr",
];

/// No file is longer than a reader takes in.
pub(crate) fn lengths(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in &tree.files {
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !file.path.ends_with(".md") {
            faults.push(Fault::at(
                file,
                0,
                format!("{lines} lines, over {LINES_MAX}: split it"),
            ));
        }
    }
    faults
}

/// Every Rust file says what it is for before anything else.
pub(crate) fn headers(tree: &Tree) -> Vec<Fault> {
    let bare = |file: &&Source| {
        let header = file.header();
        header.is_none_or(|(_, lines)| lines.iter().all(|line| line.trim().is_empty()))
    };
    let faults = tree.rust().filter(bare);
    faults
        .map(|file| {
            Fault::at(
                file,
                0,
                "no header: begin with `//!` and what the file is for",
            )
        })
        .collect()
}

/// `unsafe` stays behind its fence, with a reason on each block.
pub(crate) fn unsafe_code(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        let fenced = FENCED.contains(&&*file.path);
        for (offset, word) in file.words() {
            let lifted = word == "unsafe_code" && file.code.contains("allow(");
            if (lifted || word == "unsafe") && !fenced {
                faults.push(Fault::at(file, offset, "unsafe outside of its fence"));
            } else if word == "unsafe"
                && !file.is_followed_by(offset + word.len(), "fn")
                && !has_reason(file, offset)
            {
                faults.push(Fault::at(
                    file,
                    offset,
                    "unsafe without a SAFETY comment above it",
                ));
            }
        }
    }
    faults
}

fn has_reason(file: &Source, offset: usize) -> bool {
    let above = file.text[..offset].lines().rev().skip(1);
    let mut of_item = above.take_while(|line| line.trim_start().starts_with(['/', '#']));
    of_item.any(|line| line.contains("SAFETY"))
}

/// The rooms without I/O name no socket, thread, clock or source of randomness.
pub(crate) fn pure_rooms(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let pure = |(house, file): &(&House, &Source)| house.pure.contains(&room(file).unwrap_or(""));
    for (_, file) in rooms(tree).filter(pure) {
        for (offset, path) in file.paths() {
            let impure = IMPURE.iter().any(|beginning| starts_with(&path, beginning))
                || path
                    .iter()
                    .any(|part| IMPURE_NAMES.contains(&part.as_str()));
            if impure && !file.is_test(offset) {
                let path = path.join("::");
                faults.push(Fault::at(
                    file,
                    offset,
                    format!("{path} in a room without I/O"),
                ));
            }
        }
    }
    faults
}

fn starts_with(path: &[String], beginning: &[&str]) -> bool {
    path.len() >= beginning.len() && path.iter().zip(beginning).all(|(a, b)| a == b)
}

/// Every file of a room, with its house.
fn rooms(tree: &Tree) -> impl Iterator<Item = (&'static House, &Source)> {
    tree.rust().filter_map(|file| {
        let mut houses = HOUSES.iter();
        let house = houses.find(|house| file.path.starts_with(house.source))?;
        let inner = &file.path[house.source.len()..];
        let is_root = ["lib.rs", "main.rs"].contains(&inner);
        (!is_root).then_some((house, file))
    })
}

fn room(file: &Source) -> Option<&str> {
    file.module().first().copied()
}

/// Rooms name only those below them.
pub(crate) fn direction(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (house, file) in rooms(tree) {
        // What the crate's root gives a second name to, and which room that is of.
        let root = format!("{}lib.rs", house.source);
        let roots = tree.rust().filter(|file| file.path == root);
        let renamed: Vec<_> = roots
            .flat_map(|root| root.paths())
            .map(|(_, path)| path)
            .collect();
        let Some(own) = room(file) else { continue };
        let Some((_, below)) = house.rooms.iter().find(|(name, _)| *name == own) else {
            faults.push(Fault::at(
                file,
                0,
                format!("the room {own} has no place among the rooms of its house"),
            ));
            continue;
        };
        for (offset, path) in file.paths() {
            let Some(mut other) = absolute(file, &path) else {
                continue;
            };
            let of_root = |path: &&Vec<String>| path.len() > 1 && path.last() == Some(&other);
            if let Some(path) = renamed.iter().find(of_root) {
                other.clone_from(&path[0]);
            }
            let known = house.rooms.iter().any(|(name, _)| *name == other);
            if known && other != own && !below.contains(&&*other) && !file.is_test(offset) {
                let path = path.join("::");
                let what = format!("{path}: {own} does not know of {other}");
                faults.push(Fault::at(file, offset, what));
            }
        }
    }
    faults
}

/// The room that a path leads to, if it is one within the crate.
fn absolute(file: &Source, path: &[String]) -> Option<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => path.get(1).cloned(),
        "super" => {
            let module = file.module();
            let kept = module.len().checked_sub(ups)?;
            let first = module[..kept].first().map(|part| (*part).to_owned());
            first.or_else(|| path.get(ups).cloned())
        }
        _ => None,
    }
}

/// Nothing half-done or left from looking for a fault.
pub(crate) fn leftovers(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        for (offset, word) in file.words() {
            if ["todo", "unimplemented", "dbg"].contains(&word)
                && file.is_followed_by(offset + word.len(), "!")
            {
                faults.push(Fault::at(file, offset, format!("{word}! is left")));
            }
        }
    }
    faults
}

/// Tests wait for what happens, not for time to pass.
pub(crate) fn sleeps(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.files.iter() {
        if file.path.starts_with("tests/") && file.path.ends_with(".py") {
            let calls = file.text.match_indices("sleep(");
            faults.extend(calls.map(|(offset, _)| Fault::at(file, offset, "a test sleeps")));
        }
        for (offset, word) in file.words().filter(|(_, word)| *word == "sleep") {
            if file.is_test(offset) && file.is_followed_by(offset + word.len(), "(") {
                faults.push(Fault::at(file, offset, "a test sleeps"));
            }
        }
    }
    faults
}

/// Nothing that a peer or a user can influence panics: the libraries do without `unwrap`.
pub(crate) fn unwraps(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let libraries = |file: &&Source| ["src/", PATTERNS].iter().any(|p| file.path.starts_with(p));
    for file in tree.rust().filter(libraries) {
        for (offset, word) in file.words() {
            let called = offset > 0 && file.code[..offset].trim_end().ends_with('.');
            if called && ["unwrap", "expect"].contains(&word) && !file.is_test(offset) {
                faults.push(Fault::at(file, offset, format!("{word} in a library")));
            }
        }
    }
    faults
}

/// Every dependency says what it is for, on its line or above it.
pub(crate) fn dependencies(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("Cargo.toml"))
    {
        let (mut listed, mut above, mut offset) = (false, false, 0);
        for line in file.text.split_inclusive('\n') {
            let start = offset;
            offset += line.len();
            let text = line.trim();
            if text.starts_with('[') {
                let section = text.trim_matches(['[', ']']);
                // A section of its own for one dependency says it above.
                let table = section.split('.').rev().nth(1).unwrap_or("");
                if table.ends_with("dependencies") && !above {
                    faults.push(Fault::at(file, start, format!("{section}: what for?")));
                }
                listed = section.ends_with("dependencies");
            } else if listed && !above && is_entry(text) && !text.contains('#') {
                let name = text.split(['=', '.', ' ']).next().unwrap_or(text);
                faults.push(Fault::at(file, start, format!("{name}: what for?")));
            }
            above = text.starts_with('#');
        }
    }
    faults
}

fn is_entry(line: &str) -> bool {
    let name = line.split_once('=').map_or("", |(name, _)| name.trim());
    // The lines of a value that takes several begin with neither.
    !name.is_empty() && !name.contains(['"', '{', '[', ' '])
}

/// What a binary needs beyond the library stays out of the build of those who link it.
pub(crate) fn binaries(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let published = ["Cargo.toml", "patterns/Cargo.toml"];
    for file in tree
        .files
        .iter()
        .filter(|file| published.contains(&&*file.path))
    {
        for (offset, _) in file.text.match_indices("[[bin]]") {
            let section = &file.text[offset + 7..];
            let section = section.split("\n[").next().unwrap_or(section);
            if !section.contains("required-features") {
                faults.push(Fault::at(
                    file,
                    offset,
                    "a binary without required-features",
                ));
            }
        }
    }
    faults
}

/// Every option says what holds when it is not set.
pub(crate) fn defaults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust().filter(|file| file.path.starts_with(PATTERNS)) {
        for (offset, name) in setters(file) {
            if !docs_above(file, offset).contains("Default") && !file.is_test(offset) {
                faults.push(Fault::at(
                    file,
                    offset,
                    format!("{name} does not say its default"),
                ));
            }
        }
    }
    faults
}

/// Functions that take an option and give the options back, and the lines of a `setters!` list.
fn setters(file: &Source) -> Vec<(usize, &str)> {
    let words: Vec<(usize, &str)> = file.words().collect();
    let mut found = Vec::new();
    for window in words.windows(5) {
        let [
            (offset, "pub"),
            (_, "fn"),
            (name_at, name),
            (_, "mut"),
            (own, "self"),
        ] = window
        else {
            continue;
        };
        let after = &file.code[*own..];
        let gives = after.split('{').next().unwrap_or("");
        // In a macro the name is that of its parameter.
        if file.code[..*name_at].ends_with('$') {
            continue;
        }
        let fixed = file.code[*name_at..*own].contains('(') && gives.contains("Self");
        if fixed && gives.contains(',') {
            found.push((*offset, *name));
        }
    }
    for (start, _) in file.code.match_indices("setters! {") {
        let list = &file.code[start + 10..];
        let list = &list[..list.find('}').unwrap_or(list.len())];
        let mut at = start + 10;
        for entry in list.split_inclusive(';') {
            if let Some((inner, name)) = identifiers(entry).next() {
                found.push((at + inner, name));
            }
            at += entry.len();
        }
    }
    found
}

fn docs_above(file: &Source, offset: usize) -> String {
    let lines: Vec<&str> = file.text[..offset].lines().collect();
    // The last one is the indentation of the item's own line, or whole where that has none.
    let above = if file.text[..offset].ends_with('\n') {
        &lines[..]
    } else {
        &lines[..lines.len().saturating_sub(1)]
    };
    let of_item =
        |line: &&&str| line.trim_start().starts_with("///") || line.trim_start().starts_with("#[");
    above.iter().rev().take_while(of_item).copied().collect()
}

/// Each invariant in a header names a test that is there, or says what it is held by.
pub(crate) fn invariants(tree: &Tree) -> Vec<Fault> {
    let known: BTreeSet<&str> = tree.rust().flat_map(test_names).collect();
    let mut faults = Vec::new();
    for file in tree.rust() {
        for (line, item) in invariants_of(file) {
            let mut named = false;
            for name in tests_named(&item) {
                named = true;
                if !known.contains(&*name) {
                    faults.push(Fault::on(file, line, format!("there is no test `{name}`")));
                }
            }
            let otherwise = ["(same test)", "(held by "]
                .iter()
                .any(|held| item.contains(held));
            if !named && !otherwise {
                faults.push(Fault::on(
                    file,
                    line,
                    format!("no test is named for: {item}"),
                ));
            }
        }
    }
    faults
}

/// The names of functions under `#[test]`, and of those that suites list themselves.
fn test_names(file: &Source) -> impl Iterator<Item = &str> {
    let marked = file.code.match_indices("#[test]").filter_map(|(start, _)| {
        let mut words = identifiers(&file.code[start + 7..]);
        words.find(|(_, word)| *word == "fn")?;
        words.next().map(|(_, name)| name)
    });
    // The cases of the conformance suite are tests by what they are given.
    let cases = file.code.match_indices("(rig: &Rig) -> Outcome");
    let cases = cases.filter_map(|(end, _)| {
        let start = file.code[..end].rfind("fn ")?;
        Some(file.code[start + 3..end].trim())
    });
    // Those of suites with a program of their own neither take nor give anything.
    let opening = "pub(super) fn ";
    let listed = file
        .code
        .match_indices(opening)
        .filter_map(move |(start, _)| {
            let (name, rest) = file.code[start + opening.len()..].split_once('(')?;
            (file.is_test(start) && rest.starts_with(") {")).then_some(name)
        });
    marked.chain(cases).chain(listed)
}

/// The numbered items under `# Invariants`, each on one line.
fn invariants_of(file: &Source) -> Vec<(usize, String)> {
    let mut items: Vec<(usize, String)> = Vec::new();
    let (start, lines) = file.header().unwrap_or_default();
    let mut inside = false;
    for (index, line) in lines.into_iter().enumerate() {
        let text = line.trim();
        if let Some(title) = text.strip_prefix("# ") {
            inside = title == "Invariants";
        } else if inside {
            let number = text
                .split_once(". ")
                .and_then(|(n, _)| n.parse::<u32>().ok());
            match items.last_mut() {
                _ if number.is_some() => items.push((start + index, text.to_owned())),
                Some((_, item)) if !text.is_empty() => *item = format!("{item} {text}"),
                _ => {}
            }
        }
    }
    items
}

/// The names in backticks within an item's parentheses.
fn tests_named(item: &str) -> Vec<String> {
    let (mut names, mut depth) = (Vec::new(), 0);
    for (index, part) in item.split('`').enumerate() {
        if index % 2 == 0 {
            depth += part.matches('(').count();
            depth = depth.saturating_sub(part.matches(')').count());
        } else if depth > 0 && part.contains('_') && identifiers(part).eq([(0, part)]) {
            names.push(part.to_owned());
        }
    }
    names
}
