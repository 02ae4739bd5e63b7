//! The rules about prose: pages and comments say what is, and point at what exists.
//!
//! # Not here
//!
//! The rules about code (`rules.rs`).

use super::Fault;
use super::source::{Source, Tree};

/// Words about how something came to be, which tell a reader nothing about what it is. Those in
/// capitals are looked for as they stand.
const OF_THE_WAY: &[&str] = &[
    "prototype",
    "as requested",
    "as discussed",
    "as agreed",
    "work in progress",
    "TODO",
    "FIXME",
    "XXX",
    "HACK",
    "WIP",
];

/// The files that have to name them: this one, and the one that plants them.
const NAME_THEM: [&str; 2] = ["tests/tidy/words.rs", "tests/tidy.rs"];

/// Text says what is, not how it came to be.
pub(crate) fn of_the_way(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| !NAME_THEM.contains(&&*file.path))
    {
        let lower = file.text.to_ascii_lowercase();
        for word in OF_THE_WAY {
            let capitals = word.chars().all(|c| c.is_ascii_uppercase());
            let text = if capitals { &file.text } else { &lower };
            for (offset, _) in text.match_indices(word) {
                if stands_alone(text, offset, word.len()) {
                    faults.push(Fault::at(file, offset, format!("`{word}`: say what is")));
                }
            }
        }
        for (offset, _) in lower.match_indices("issue ") {
            let number = lower[offset + 6..].trim_start_matches('#');
            if number.starts_with(|c: char| c.is_ascii_digit()) {
                faults.push(Fault::at(
                    file,
                    offset,
                    "an issue's number: say what it is about",
                ));
            }
        }
    }
    faults
}

fn stands_alone(text: &str, offset: usize, length: usize) -> bool {
    let of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '!';
    !text[..offset].ends_with(of_word) && !text[offset + length..].starts_with(of_word)
}

/// What a page or a comment points at is there: files, pages, make targets.
pub(crate) fn pointers(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let targets = targets(tree);
    for file in &tree.files {
        let page = file.path.ends_with(".md");
        if page {
            for (offset, link) in links(&file.text) {
                if !leads_somewhere(tree, file, link) {
                    faults.push(Fault::at(file, offset, format!("{link} is not there")));
                }
            }
        }
        for (offset, line) in prose(file) {
            for name in line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|_| !page || !is_fenced(file, offset))
            {
                if is_file_name(name) && !tree.has(name) && !leads_somewhere(tree, file, name) {
                    faults.push(Fault::at(file, offset, format!("{name} is not there")));
                }
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            for window in words.windows(2) {
                let called = match window[0] {
                    "`make" => true,
                    "make" => page && line.starts_with("make "),
                    _ => false,
                };
                let target = window[1].trim_end_matches(|c: char| !c.is_alphanumeric());
                let target = target.split('`').next().unwrap_or(target);
                if called && !targets.contains(&target) {
                    faults.push(Fault::at(
                        file,
                        offset,
                        format!("make {target} is not there"),
                    ));
                }
            }
        }
        // A page of the house that is not in the house.
        for (offset, _) in file.text.match_indices(".md") {
            let before = &file.text[..offset];
            let start = before
                .rfind(|c: char| !c.is_ascii_uppercase())
                .map_or(0, |at| at + 1);
            let name = format!("{}.md", &before[start..]);
            if name.len() > 4 && !tree.has(&name) {
                faults.push(Fault::at(file, offset, format!("{name} is not there")));
            }
        }
    }
    faults
}

/// The targets of the Makefile.
pub(crate) fn targets(tree: &Tree) -> Vec<&str> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path == "Makefile") {
        for line in file
            .text
            .lines()
            .filter(|line| !line.starts_with(['\t', '#', '.', ' ']))
        {
            if let Some((names, rest)) = line.split_once(':')
                && !rest.starts_with('=')
            {
                found.extend(names.split_whitespace());
            }
        }
    }
    found
}

/// Every target says in a line what it does, for the list that `make` prints. A part of one,
/// named after it, need not.
pub(crate) fn targets_explained(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| file.path == "Makefile") {
        let lines = || file.text.lines();
        let explained = |name: &str| {
            let rule = format!("{name}:");
            lines().any(|line| line.starts_with(&rule) && line.contains("## "))
        };
        let phony = lines().filter_map(|line| line.strip_prefix(".PHONY:"));
        for name in phony.flat_map(str::split_whitespace) {
            let whole = name.rsplit_once('-').map_or("", |(whole, _)| whole);
            if !explained(name) && !explained(whole) {
                let what = format!("{name} is not explained by `##`");
                faults.push(Fault::at(file, 0, what));
            }
        }
    }
    faults
}

/// Lines that people read: comments in code, all of a page; with where each begins.
fn prose(file: &Source) -> Vec<(usize, &str)> {
    let mut offset = 0;
    let mut found = Vec::new();
    for line in file.text.split_inclusive('\n') {
        let text = line.trim();
        let read = match file.path.rsplit_once('.') {
            Some((_, "md")) => true,
            Some((_, "rs")) => text.starts_with("//"),
            _ => text.starts_with('#'),
        };
        if read {
            found.push((offset, text));
        }
        offset += line.len();
    }
    found
}

fn is_fenced(file: &Source, offset: usize) -> bool {
    let before = file.text[..offset].lines();
    before
        .filter(|line| line.trim_start().starts_with("```"))
        .count()
        % 2
        == 1
}

/// The targets of a page's links.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("](").filter_map(|(offset, _)| {
        let rest = &text[offset + 2..];
        rest.split_once([')', '\n']).map(|(link, _)| (offset, link))
    })
}

fn leads_somewhere(tree: &Tree, file: &Source, link: &str) -> bool {
    let path = link.split('#').next().unwrap_or(link);
    if path.is_empty() || path.contains("://") {
        return true;
    }
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !["", "."].contains(part)) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    let path = parts.join("/");
    let within = format!("{path}/");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    tree.has(&path)
        || tree.files.iter().any(|f| f.path.starts_with(&within))
        || root.join(&path).is_file()
}

/// Whether it is the name of a file that people write, as prose has it.
fn is_file_name(name: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let name_part = name.rsplit('/').next().unwrap_or(name);
    name.chars().all(of_name)
        && [".rs", ".py", ".sh", ".md"]
            .iter()
            .any(|end| name_part.len() > 3 && name_part.ends_with(end))
}
