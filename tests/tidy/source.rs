//! The repository's text, and just enough of Rust's grammar to ask questions of it.
//!
//! A [`Source`] holds a file twice: as it is, and as `code`, in which comments, strings and
//! characters are blanks. Both have the same length, so an offset into one is one into the other.
//!
//! # Invariants
//!
//! 1. Blanking keeps every line break and every offset. (test
//!    `blanking_keeps_offsets_and_hides_comments_and_strings`)
//! 2. Items under `#[cfg(test)]`, and the files that such items declare, count as tests. (test
//!    `test_items_and_the_files_they_declare_are_known`)
//!
//! # Not here
//!
//! What is asked: `rules.rs`, `words.rs`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

/// Folders that hold nothing of ours, or data that tools made.
const NOT_OURS: &[&str] = &["target", "corpus", "artifacts", "coverage", "__pycache__"];
/// The endings of files that people write, and the names of those without one.
const WRITTEN: &[&str] = &[".rs", ".md", ".toml", ".py", ".sh", "Makefile", "run"];

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the repository's root, with slashes.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Rust without comments, strings and characters; empty for other files.
    pub(crate) code: String,
    /// Where the code is of tests only.
    pub(crate) tests: Vec<Range<usize>>,
}

/// All files.
#[derive(Debug)]
pub(crate) struct Tree {
    /// In the order of their paths.
    pub(crate) files: Vec<Source>,
}

impl Tree {
    /// The repository.
    pub(crate) fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        walk(root, root, &mut files);
        assert!(files.len() > 50, "only {} files found", files.len());
        Self::from(files)
    }

    /// These files, given as path and text.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let own = |&(path, text): &(&str, &str)| (path.to_owned(), text.to_owned());
        Self::from(files.iter().map(own).collect())
    }

    fn from(mut files: Vec<(String, String)>) -> Self {
        files.sort();
        let mut files: Vec<Source> = files.into_iter().map(Source::new).collect();
        let declared: BTreeSet<String> = files.iter().flat_map(Source::test_files).collect();
        for file in &mut files {
            let of_tests = |place: &String| {
                file.path == *place || file.path.starts_with(&format!("{}/", stem(place)))
            };
            if is_test_path(&file.path) || declared.iter().any(of_tests) {
                file.tests = std::iter::once(0..file.text.len()).collect();
            }
        }
        Tree { files }
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// Whether there is a file of this name or path.
    pub(crate) fn has(&self, name: &str) -> bool {
        let tail = format!("/{name}");
        let mut paths = self.files.iter().map(|file| &file.path);
        paths.any(|path| path == name || path.ends_with(&tail))
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci";
            if !hidden && !NOT_OURS.contains(&&*name) {
                walk(root, &path, files);
            }
        } else if WRITTEN.iter().any(|ending| name.ends_with(ending)) {
            // A file that goes away meanwhile, or is not text, is none of ours.
            if let (Ok(text), Ok(inner)) = (std::fs::read_to_string(&path), path.strip_prefix(root))
            {
                files.push((inner.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
}

fn is_test_path(path: &str) -> bool {
    let starts = ["tests/", "patterns/tests/", "bench/tests/"];
    starts.iter().any(|start| path.starts_with(start)) && path.ends_with(".rs")
}

/// The folder that the files of a module's own modules lie in, its `mod.rs` among them.
fn stem(path: &str) -> &str {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let root = path.strip_suffix("/lib").or(path.strip_suffix("/main"));
    root.unwrap_or(path)
}

impl Source {
    fn new((path, text): (String, String)) -> Self {
        let rust = path.ends_with(".rs");
        let code = if rust { blank(&text) } else { String::new() };
        let tests = test_items(&code);
        Source {
            path,
            text,
            code,
            tests,
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The line of an offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Whether the code there is of tests only.
    pub(crate) fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&offset))
    }

    /// The module that the file is, from its crate's root.
    pub(crate) fn module(&self) -> Vec<&str> {
        match self.path.split_once("src/") {
            Some((_, inner)) => {
                let parts = stem(inner).split('/');
                parts.filter(|part| *part != "lib").collect()
            }
            None => Vec::new(),
        }
    }

    /// The files that `#[cfg(test)] mod name;` declares.
    fn test_files(&self) -> Vec<String> {
        let mut found = Vec::new();
        for range in &self.tests {
            let item = &self.code[range.clone()];
            let Some((head, _)) = item.rsplit_once(';') else {
                continue;
            };
            let mut words = head.split_whitespace().rev();
            if let (Some(name), Some("mod")) = (words.next(), words.next()) {
                let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let raw = &self.text[range.clone()];
                match raw
                    .split_once("path = \"")
                    .and_then(|(_, r)| r.split_once('"'))
                {
                    Some((file, _)) => found.push(format!("{folder}/{file}")),
                    None => {
                        let stem = stem(&self.path);
                        found.push(format!("{stem}/{name}.rs"));
                        found.push(format!("{stem}/{name}/mod.rs"));
                    }
                }
            }
        }
        found
    }

    /// The header: the text of the leading `//!` lines, and the line where it begins.
    pub(crate) fn header(&self) -> Option<(usize, Vec<&str>)> {
        let lines = self.text.lines().enumerate();
        // Attributes of the whole file may stand before it.
        let mut lines = lines.skip_while(|(_, l)| l.starts_with("#![") || l.trim().is_empty());
        let (start, first) = lines.next()?;
        let mut header = vec![first.strip_prefix("//!")?];
        header.extend(lines.map_while(|(_, line)| line.strip_prefix("//!")));
        Some((start + 1, header))
    }

    /// Every identifier in the code, with where it stands.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        identifiers(&self.code)
    }

    /// Whether `what` is the next thing after the offset.
    pub(crate) fn is_followed_by(&self, offset: usize, what: &str) -> bool {
        self.code[offset..].trim_start().starts_with(what)
    }

    /// Every path in the code: those of `use` written out, others as they stand.
    pub(crate) fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut paths = Vec::new();
        let mut words = identifiers(&self.code).peekable();
        let mut rest = 0;
        while let Some((offset, word)) = words.next() {
            if offset < rest {
                continue;
            }
            if word == "use" {
                let tree = &self.code[offset + 3..];
                let tree = tree.split_once(';').map_or(tree, |(tree, _)| tree);
                rest = offset + 3 + tree.len();
                expand(&mut Vec::new(), tree, &mut |path| {
                    paths.push((offset, path))
                });
                continue;
            }
            let mut path = vec![word.to_owned()];
            let mut end = offset + word.len();
            while let Some((next, word)) = words.peek().copied() {
                if self.code[end..next].trim() != "::" {
                    break;
                }
                path.push(word.to_owned());
                end = next + word.len();
                words.next();
            }
            paths.push((offset, path));
        }
        paths
    }
}

fn expand(prefix: &mut Vec<String>, tree: &str, give: &mut impl FnMut(Vec<String>)) {
    let tree = tree.trim();
    let depth = prefix.len();
    match tree.split_once('{') {
        Some((head, inner)) => {
            let head = identifiers(head).map(|(_, word)| word.to_owned());
            prefix.extend(head);
            let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
            for part in split_level(inner) {
                expand(prefix, part, give);
            }
        }
        None if tree.is_empty() => {}
        None => {
            let path = tree.split_once(" as ").map_or(tree, |(path, _)| path);
            let tail = identifiers(path).map(|(_, word)| word.to_owned());
            give(prefix.iter().cloned().chain(tail).collect());
        }
    }
    prefix.truncate(depth);
}

/// The identifiers of a text, with where they stand.
pub(crate) fn identifiers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(of_word)?;
        let rest = &text[start..];
        let length = rest.find(|c| !of_word(c)).unwrap_or(rest.len());
        at = start + length;
        Some((start, &text[start..at]))
    })
}

/// Where the items under a `#[cfg(test)]` are, attribute included.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices("#[cfg(") {
        let Some(length) = code[start..].find(']') else {
            continue;
        };
        let condition = &code[start + 6..start + length];
        let condition = condition.trim_end().strip_suffix(')').unwrap_or(condition);
        let inside = found.last().is_some_and(|last| last.contains(&start));
        if needs_test(condition) && !inside {
            found.push(start..start + length + 1 + item_length(&code[start + length + 1..]));
        }
    }
    found
}

/// Whether a condition of `cfg` holds in tests only.
fn needs_test(condition: &str) -> bool {
    let condition = condition.trim();
    let Some((head, inner)) = condition.split_once('(') else {
        return condition == "test";
    };
    let inner = inner.strip_suffix(')').unwrap_or(inner);
    let mut parts = split_level(inner).into_iter();
    match head.trim() {
        "all" => parts.any(needs_test),
        "any" => parts.all(needs_test),
        _ => false,
    }
}

/// The parts between commas that stand in no bracket.
fn split_level(text: &str) -> Vec<&str> {
    let (mut level, mut start, mut parts) = (0, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' | b'(' => level += 1,
            b'}' | b')' => level -= 1,
            b',' if level == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// The length of the item that begins here: up to its `;`, or to the end of its braces.
fn item_length(code: &str) -> usize {
    let items = [
        "fn", "mod", "impl", "struct", "enum", "trait", "use", "type", "const", "static",
    ];
    let mut words = identifiers(code).take(4);
    // A field or a variant ends with a comma.
    let is_item = words.any(|(_, word)| items.contains(&word) || word == "macro_rules");
    let (mut brackets, mut braces) = (0_i32, 0_i32);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces <= 0 {
                    return at + 1;
                }
            }
            b';' if brackets == 0 && braces == 0 => return at + 1,
            b',' if brackets == 0 && braces == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Rust with blanks in place of comments, strings and characters.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + opaque(text, at);
        if end > at {
            for byte in &mut code[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        } else if is_word(bytes[at]) {
            // A whole word, so that the `r` at the end of one begins no raw string.
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
        } else {
            at += 1;
        }
    }
    String::from_utf8(code).expect("whole comments and strings were blanked")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The length of the comment, string or character that begins there; 0 if none does.
fn opaque(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return comment_length(rest);
    }
    let prefix = ["br", "cr", "b", "c", "r"].iter();
    let prefix = prefix.copied().find(|prefix| {
        let after = rest.strip_prefix(prefix).unwrap_or("");
        let hashes = after.trim_start_matches('#');
        hashes.starts_with('"') && (prefix.ends_with('r') || hashes.len() == after.len())
            || *prefix == "b" && after.starts_with('\'')
    });
    let body = &rest[prefix.map_or(0, str::len)..];
    let head = rest.len() - body.len();
    if prefix.is_some_and(|prefix| prefix.ends_with('r')) {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let inner = head + hashes + 1;
        let end = rest[inner..].find(&close);
        return end.map_or(rest.len(), |end| inner + end + close.len());
    }
    match body.chars().next() {
        Some('"') => head + quoted_length(body, '"'),
        Some('\'') => {
            let mut chars = body[1..].chars();
            let first = chars.next();
            // Else a lifetime.
            let literal =
                first == Some('\\') || (first != Some('\'') && chars.next() == Some('\''));
            if literal {
                head + quoted_length(body, '\'')
            } else {
                0
            }
        }
        _ => 0,
    }
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}
