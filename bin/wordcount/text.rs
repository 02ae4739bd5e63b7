//! Finds the files that are text, and cuts them into tasks.
//!
//! All text is held in memory while it is counted: so a file that somebody writes meanwhile
//! cannot make the totals differ, and the disk is in nobody's figures. Text is UTF-8 without a
//! NUL byte, in files of at most 32 MiB. Whatever is hidden, directories marked by a
//! `CACHEDIR.TAG` and symbolic links are passed by.
//!
//! # Invariants
//!
//! 1. A cut never lies within a word. (test `pieces_cut_between_words_count_like_the_whole`)
//! 2. The pieces of a task are slices of the files as read: no byte is copied to make one. (test
//!    `tasks_share_the_bytes_of_their_files`)

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use brokerless::Blob;
use brokerless::patterns::Frame;

use super::words::{Table, is_word};
use super::{Failure, Stop};

/// A larger file is left out: it may be a single piece, and a frame has a limit.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// Pieces of one task at most: files that are small share one.
const PIECES_MAX: usize = 256;

/// A piece of work.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) bytes: u64,
    /// Slices of the files.
    pub(super) pieces: Vec<Blob>,
}

/// The text to count.
#[derive(Default)]
pub(super) struct Selection {
    files: Vec<Frame>,
    /// Bytes of them all.
    pub(super) bytes: u64,
    /// Files that are no text, or too large, or cannot be read.
    pub(super) skipped: u64,
    /// Whether more text would have gone over the limit.
    pub(super) cut_short: bool,
}

/// The directories to count where none is given: the project and its dependencies.
pub(super) fn default_dirs() -> Vec<PathBuf> {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    let project = var("CARGO_MANIFEST_DIR").unwrap_or_else(|| PathBuf::from("."));
    let cargo = var("CARGO_HOME").or_else(|| var("HOME").map(|home| home.join(".cargo")));
    let sources = cargo.map(|cargo| cargo.join("registry").join("src"));
    let sources = sources.filter(|sources| sources.is_dir());
    std::iter::once(project).chain(sources).collect()
}

impl Selection {
    /// Reads the directories, in the order of their names, up to `bytes_max` of text.
    pub(super) fn find(dirs: &[PathBuf], bytes_max: u64, stop: &Stop) -> Result<Self, Failure> {
        let mut selection = Selection::default();
        let mut seen = BTreeSet::new();
        for dir in dirs {
            let root = fs::canonicalize(dir).map_err(|error| {
                Failure::usage(format!(
                    "cannot read directory {}: {error}; give one that is there with --dir",
                    dir.display()
                ))
            })?;
            if !root.is_dir() {
                return Err(Failure::usage(format!(
                    "{} is not a directory; give the one that it is in",
                    dir.display()
                )));
            }
            selection.walk(root, bytes_max, &mut seen, stop);
        }
        if !selection.files.is_empty() || stop.is_set() {
            return Ok(selection);
        }
        let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        let dirs = dirs.join(", ");
        Err(Failure::usage(if selection.cut_short {
            format!(
                "the first text in {dirs} is larger than the {bytes_max} bytes of --max-bytes; \
                 give more"
            )
        } else {
            format!(
                "no text to count in {dirs}, where {} files were looked at; text is UTF-8 without \
                 a NUL byte, in files of 1 byte to 32 MiB; give another directory",
                selection.skipped
            )
        }))
    }

    fn walk(&mut self, root: PathBuf, bytes_max: u64, seen: &mut BTreeSet<PathBuf>, stop: &Stop) {
        let mut ahead = vec![root.clone()];
        while let Some(path) = ahead.pop() {
            if stop.is_set() || self.cut_short {
                return;
            }
            let Ok(kind) = fs::symlink_metadata(&path) else {
                self.skipped += 1;
                continue;
            };
            if kind.is_dir() && path != root && path.join("CACHEDIR.TAG").exists() {
                log::debug!("{} is a cache, and passed by", path.display());
            } else if kind.is_dir() {
                let Ok(entries) = fs::read_dir(&path) else {
                    log::warn!("cannot read directory {}", path.display());
                    self.skipped += 1;
                    continue;
                };
                let mut entries: Vec<PathBuf> =
                    entries.flatten().map(|entry| entry.path()).collect();
                entries.retain(|entry| !is_hidden(entry));
                entries.sort_unstable_by(|a, b| b.cmp(a)); // the last is taken first
                ahead.extend(entries);
            } else if kind.is_file() && seen.insert(path.clone()) {
                match read(&path) {
                    Ok(Some(text)) if !text.is_empty() => {
                        let bytes = text.len() as u64;
                        self.cut_short = self.bytes + bytes > bytes_max;
                        if !self.cut_short {
                            self.bytes += bytes;
                            self.files.push(text.into());
                        }
                    }
                    Ok(_) => self.skipped += 1,
                    Err(error) => {
                        log::warn!("cannot read {}: {error}", path.display());
                        self.skipped += 1;
                    }
                }
            }
        }
    }

    /// Files to count.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// Counts everything on this thread; `on_file` hears of the bytes done.
    pub(super) fn count(&self, stop: &Stop, mut on_file: impl FnMut(u64)) -> Table {
        let mut table = Table::default();
        let mut done = 0;
        for file in self.files.iter().take_while(|_| !stop.is_set()) {
            table.count(text(file));
            done += file.len() as u64;
            on_file(done);
        }
        table
    }

    /// Everything as tasks of about `task_bytes`, `passes` times over, each cut when it is asked
    /// for.
    pub(super) fn tasks(&self, task_bytes: usize, passes: u32) -> impl Iterator<Item = Task> {
        let mut cutter = Cutter::new(task_bytes);
        let mut files = (0..passes).flat_map(|_| &self.files);
        let mut full = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(task) = full.next() {
                    return Some(task);
                }
                match files.next() {
                    Some(file) => full = cutter.add(file).into_iter(),
                    None => return cutter.finish(),
                }
            }
        })
    }

    /// A selection of these texts.
    #[cfg(test)]
    pub(super) fn of<const N: usize>(texts: [&str; N]) -> Self {
        Selection {
            files: texts.map(Frame::from).into(),
            bytes: texts.iter().map(|text| text.len() as u64).sum(),
            ..Selection::default()
        }
    }
}

/// The text of a file that was found to be text.
fn text(file: &Frame) -> &str {
    match file.to_str() {
        Ok(text) => text,
        Err(error) => unreachable!("only UTF-8 is selected: {error}"),
    }
}

fn is_hidden(entry: &Path) -> bool {
    let name = entry.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn read(path: &Path) -> io::Result<Option<String>> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Ok(None);
    }
    let text = String::from_utf8(fs::read(path)?).ok();
    Ok(text.filter(|text| !text.as_bytes().contains(&0)))
}

/// Makes tasks from files.
#[derive(Debug)]
struct Cutter {
    task_bytes: usize,
    pieces: Vec<Blob>,
    bytes: usize,
}

impl Cutter {
    fn new(task_bytes: usize) -> Self {
        Cutter {
            task_bytes,
            pieces: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a file; gives the tasks that are full.
    fn add(&mut self, file: &Frame) -> Vec<Task> {
        let text = text(file);
        let mut full = Vec::new();
        let mut from = 0;
        let mut room = self.task_bytes.saturating_sub(self.bytes);
        while from < text.len() {
            let to = from + cut(&text[from..], room.max(1));
            room = self.task_bytes;
            self.pieces.push(file.slice(from..to).into());
            self.bytes += to - from;
            let is_cut = to < text.len(); // what was left of the task was too small for more
            if is_cut || self.bytes >= self.task_bytes || self.pieces.len() >= PIECES_MAX {
                full.extend(self.finish());
            }
            from = to;
        }
        full
    }

    /// What there is as a task, if there is anything.
    fn finish(&mut self) -> Option<Task> {
        if self.pieces.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes) as u64;
        let pieces = std::mem::take(&mut self.pieces);
        Some(Task { bytes, pieces })
    }
}

/// Where to cut a text so that the first part has about `most` bytes: before a character that
/// belongs to no word. A word longer than that stays whole.
fn cut(text: &str, most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let first = text.chars().next().map_or(0, char::len_utf8);
    let (head, tail) = text.split_at(text.floor_char_boundary(most).max(first));
    if !tail.starts_with(is_word) {
        return head.len();
    }
    match head.rfind(|c| !is_word(c)) {
        Some(at) if at > 0 => at,
        _ => head.len() + tail.find(|c| !is_word(c)).unwrap_or(tail.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text with words of every length and characters of every width.
    fn sample() -> String {
        (0..400)
            .map(|n| {
                let word = [
                    "a",
                    "längere",
                    "Wörter",
                    "日本語",
                    "x_1",
                    "..",
                    "🦀",
                    "\r\n\t",
                ][n % 8];
                word.repeat(1 + n % 5) + &" -"[..n % 3]
            })
            .collect()
    }

    #[test]
    fn pieces_cut_between_words_count_like_the_whole() {
        let text = sample();
        let mut whole = Table::default();
        whole.count(&text);
        for most in 1..300 {
            let (mut pieces, mut from) = (Table::default(), 0);
            while from < text.len() {
                let to = from + cut(&text[from..], most);
                assert!(to > from, "no progress at {from} with {most}");
                pieces.count(&text[from..to]);
                from = to;
            }
            assert_eq!(pieces.difference(&whole), None, "with {most}");
            assert_eq!(pieces.words(), whole.words());
        }
    }

    #[test]
    fn a_piece_is_no_longer_than_asked_unless_a_word_is() {
        assert_eq!(cut("one two three", 5), 3);
        assert_eq!(cut("one two three", 7), 7);
        assert_eq!(cut("one two three", 99), 13);
        assert_eq!(cut("unbreakable word", 4), 11);
        assert_eq!(cut(" unbreakable", 4), 12);
        assert_eq!(cut("🦀🦀", 1), 4);
    }

    #[test]
    fn tasks_share_the_bytes_of_their_files() {
        let file = Frame::from("words and words ".repeat(100));
        let tasks = Cutter::new(400).add(&file);
        assert_eq!(tasks[0].pieces[0].as_ptr(), file.as_ptr());
        assert_eq!(tasks.len(), 4);
    }

    #[test]
    fn small_files_share_a_task_and_large_ones_are_cut() {
        let mut cutter = Cutter::new(100);
        assert!(cutter.add(&"a ".repeat(30).into()).is_empty());
        let full = cutter.add(&"b ".repeat(130).into());
        let sizes: Vec<u64> = full.iter().map(|task| task.bytes).collect();
        assert_eq!(sizes, [99, 100, 100]);
        let last = cutter.finish().unwrap();
        assert_eq!(last.bytes, 21);
        assert!(cutter.finish().is_none());
    }
}
