//! The text of a configuration file, and where in it something stands.

use std::fmt::Display;
use std::path::Path;

use super::failure::Failure;

/// Reads the file as `parse` does, which says of what is wrong where it stands.
pub(crate) fn read<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "cannot read {name}: {error}; give --config a file that is there, or leave it out"
        ))
    })?;
    parse(&text).map_err(|what| Failure::usage(format!("{name}: {what}")))
}

/// What is wrong with the value of a key which stands at this byte: the line, the key, the value, and
/// the rule with the way out.
pub(crate) fn wrong(text: &str, at: usize, key: &str, value: &dyn Display, rule: &str) -> String {
    let (number, _) = line(text, at);
    format!("line {number}, `{key}` is {value}: {rule}")
}

/// The number of the line in which this byte is, and what stands there.
pub(crate) fn line(text: &str, at: usize) -> (usize, &str) {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default();
    (number + 1, line.trim())
}
