//! Endpoints as flags and the file give them.
//!
//! # Invariants
//!
//! 1. A path is as it was given, with the commas in it. (test `a_comma_in_a_path_is_one_of_the_path`)

use brokerless::patterns::device::{Place, PlaceError};

/// An endpoint, to bind or to connect to.
pub(crate) fn place(given: &str) -> Result<Place, String> {
    given
        .trim()
        .parse()
        .map_err(|error: PlaceError| error.to_string())
}

/// What was given at one time, with commas between.
#[derive(Debug, Clone)]
pub(crate) struct Listed<T>(pub(crate) Vec<T>);

/// Reads each of those that have commas between. A comma is one of a path, too: it parts what an
/// endpoint can begin after.
///
/// # Errors
///
/// Of the first that cannot be read: which, if there are several, and why.
pub(crate) fn list<T>(
    given: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Listed<T>, String> {
    let parts = parts(given);
    let named = |part: &str, rule| match parts.len() {
        1 => rule,
        _ => format!("`{}`: {rule}", part.trim()),
    };
    let list: Result<Vec<T>, String> = parts
        .iter()
        .map(|part| read(part).map_err(|rule| named(part, rule)))
        .collect();
    list.map(Listed)
}

/// All of the flags of one name; nothing, if there is none.
pub(crate) fn together<T: Clone>(lists: &[Listed<T>]) -> Option<Vec<T>> {
    let all: Vec<T> = lists.iter().flat_map(|list| list.0.clone()).collect();
    (!all.is_empty()).then_some(all)
}

fn parts(given: &str) -> Vec<String> {
    let plain = |part: &str| part.trim().trim_start_matches(['@', '>']).to_owned();
    let mut parts: Vec<String> = Vec::new();
    for part in given.split(',') {
        let bare = plain(part);
        let begins = bare.contains("://")
            || bare == "*"
            // Nothing, or a port alone.
            || bare.bytes().all(|byte| byte.is_ascii_digit());
        match parts.last_mut() {
            Some(path) if !begins && plain(path).starts_with("ipc://") => {
                path.push(',');
                path.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_path_is_one_of_the_path() {
        for (given, expected) in [
            ("tcp://h:1,tcp://h:2", &["tcp://h:1", "tcp://h:2"][..]),
            ("ipc:///run/a,b", &["ipc:///run/a,b"]),
            (
                "@ipc:///a, b,c,>tcp://h:1",
                &["@ipc:///a, b,c", ">tcp://h:1"],
            ),
            (
                "ipc:///a,7001,*,@ipc://b",
                &["ipc:///a", "7001", "*", "@ipc://b"],
            ),
            ("ipc:///a,b=3,ipc:///c=d", &["ipc:///a,b=3", "ipc:///c=d"]),
            // What nobody meant is not made a path.
            ("tcp://h:1,h:2", &["tcp://h:1", "h:2"]),
            ("ipc:///a,", &["ipc:///a", ""]),
        ] {
            assert_eq!(parts(given), expected, "{given}");
        }
        let Listed(places) = list("7000,ipc:///a,b", place).expect("two");
        assert_eq!(places.len(), 2);
        assert_eq!(places[1].endpoint().to_string(), "ipc:///a,b");
        let error = list("7000,tcp://h", place).expect_err("no port");
        assert!(error.starts_with("`tcp://h`: "), "{error}");
        assert!(list("tcp://h", place).is_err_and(|it| !it.starts_with('`')));
    }
}
