//! The configuration file: TOML, with the names of the flags as keys.
//!
//! # Invariants
//!
//! 1. What is wrong is named by file, line, key, value and rule, and nothing of the file holds. (test
//!    `what_is_wrong_is_named_with_its_line_its_rule_and_the_way_out`)

use std::collections::BTreeMap;
use std::path::Path;

use brokerless::patterns::device::{Place, Side};
use toml::{Spanned, Value};

use super::Failure;
use super::bounds::{
    CONNECTIONS, LAST_VALUES, LINGER, MESSAGE_BYTES, QUEUE_BYTES, QUEUE_MESSAGES, STATS,
};
use super::config::line;
use super::settings::Given;
use super::{config, flags};

/// Every key that there is.
const KEYS: &str = "frontend, backend, capture, capture-type, control, linger, stats, \
                    queue-messages, queue-bytes, message-bytes, connections";
/// Those that only a program which publishes has.
const KEYS_OF_PUBLISHING: &str = ", last-values, slow-subscriber";

/// Reads the file.
pub(super) fn read(path: &Path, publishes: bool) -> Result<Given, Failure> {
    config::read(path, |text| parse(text, publishes))
}

fn parse(text: &str, publishes: bool) -> Result<Given, String> {
    let written: BTreeMap<String, Spanned<Value>> =
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let (number, stands) = line(text, error.span().map_or(0, |span| span.start));
            let what = error.message();
            format!(
                "line {number}, `{stands}`: {what}; the file is TOML, with lines such as linger = \"5s\""
            )
        })?;
    let mut entries: Vec<_> = written.iter().collect();
    // Of several that are wrong the first one in the file is told of.
    entries.sort_by_key(|(_, value)| value.span().start);
    let mut given = Given::default();
    for (key, value) in entries {
        let at = value.span().start;
        let entry = Entry {
            text,
            at,
            key,
            value: value.get_ref(),
        };
        set(&mut given, &entry, publishes)?;
    }
    Ok(given)
}

/// A key and its value, and where that stands in the text.
struct Entry<'t> {
    text: &'t str,
    at: usize,
    key: &'t str,
    value: &'t Value,
}

fn set(given: &mut Given, entry: &Entry<'_>, publishes: bool) -> Result<(), String> {
    let key = entry.key;
    if let Some(side) = Side::ALL.into_iter().find(|side| side.name() == key) {
        given.places[side as usize] = Some(entry.places()?);
        return Ok(());
    }
    let limits = &mut given.limits;
    match key {
        "linger" => given.linger = Some(entry.text(|it| LINGER.time(it))?),
        "capture-type" => given.capture_type = Some(entry.text(flags::capture_type)?),
        "stats" => given.stats = Some(entry.text(|it| STATS.time(it))?),
        "queue-messages" => {
            limits.queue_messages = Some(entry.number(|it| QUEUE_MESSAGES.read(it))?);
        }
        "queue-bytes" => limits.queue_bytes = Some(entry.number(|it| QUEUE_BYTES.read(it))?),
        "message-bytes" => limits.message_bytes = Some(entry.number(|it| MESSAGE_BYTES.read(it))?),
        "connections" => limits.connections = Some(entry.number(|it| CONNECTIONS.read(it))?),
        "last-values" if publishes => {
            limits.last_values = Some(entry.number(|it| LAST_VALUES.read(it))?);
        }
        "slow-subscriber" if publishes => {
            limits.slow_subscriber = Some(entry.text(flags::slow_subscriber)?);
        }
        _ => {
            let more = if publishes { KEYS_OF_PUBLISHING } else { "" };
            let rule = format!("there is no such key; there are {KEYS}{more}");
            return Err(entry.wrong(entry.value, &rule));
        }
    }
    Ok(())
}

impl Entry<'_> {
    fn wrong(&self, value: &Value, rule: &str) -> String {
        config::wrong(self.text, self.at, self.key, value, rule)
    }

    /// A value given as text.
    fn text<T>(&self, read: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
        let rule = "it has to be text, such as \"5s\"";
        let given = self.value.as_str();
        let given = given.ok_or_else(|| self.wrong(self.value, rule))?;
        read(given).map_err(|rule| self.wrong(self.value, &rule))
    }

    /// A value given as a number, or as text that has a unit.
    fn number<T>(&self, read: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
        let given = match self.value {
            Value::Integer(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return Err(self.wrong(self.value, "it has to be a whole number")),
        };
        read(&given).map_err(|rule| self.wrong(self.value, &rule))
    }

    /// One endpoint, several with commas between, or a list of either.
    fn places(&self) -> Result<Vec<Place>, String> {
        let rule = "it has to be an endpoint or a list of them, such as \
                    [\"@tcp://*:5559\", \">tcp://10.0.0.1:5560\"]";
        let all = |value: &Value| match value.as_str() {
            Some(list) => flags::places(list)
                .map(|list| list.0)
                .map_err(|error| self.wrong(value, &error)),
            None => Err(self.wrong(value, rule)),
        };
        match self.value {
            Value::Array(list) => {
                let lists: Result<Vec<_>, _> = list.iter().map(all).collect();
                Ok(lists?.concat())
            }
            one => all(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brokerless::patterns::SlowSubscriber;
    use brokerless::patterns::device::CaptureType;
    use std::time::Duration;

    #[test]
    fn every_key_is_read() {
        let given = parse(
            r#"
            # Between the clients and the workers.
            frontend = ["@tcp://*:5559", "ipc:///tmp/a, >tcp://10.0.0.1:1"]
            backend = "5560"
            control = "@5561"
            capture = "*"
            capture-type = "push"
            linger = "30s"
            stats = "500ms"
            queue-messages = 10
            queue-bytes = "1MiB"
            message-bytes = 65536
            connections = 100
            last-values = 50
            slow-subscriber = "disconnect"
            "#,
            true,
        )
        .unwrap();
        let places = given.places.map(|list| list.unwrap());
        assert_eq!(places[0].len(), 3);
        assert!(places[0][0].binds() && !places[0][2].binds());
        assert_eq!(places[1][0].to_string(), "@tcp://127.0.0.1:5560");
        assert_eq!(given.capture_type, Some(CaptureType::Push));
        assert_eq!(given.linger, Some(Duration::from_secs(30)));
        assert_eq!(given.stats, Some(Duration::from_millis(500)));
        assert_eq!(given.limits.queue_messages, Some(10));
        assert_eq!(given.limits.queue_bytes, Some(1 << 20));
        assert_eq!(given.limits.message_bytes, Some(65536));
        assert_eq!(given.limits.connections, Some(100));
        assert_eq!(given.limits.last_values, Some(50));
        let policy = given.limits.slow_subscriber;
        assert_eq!(policy, Some(SlowSubscriber::Disconnect));
        assert_eq!(parse("", true).unwrap(), Given::default());
        for key in format!("{KEYS}{KEYS_OF_PUBLISHING}").split(", ") {
            let error = parse(&format!("{key} = true"), true).unwrap_err();
            assert!(
                error.starts_with(&format!("line 1, `{key}` is true: it has to be")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_its_rule_and_the_way_out() {
        for (text, key, rule) in [
            (
                "fronted = \"x\"",
                "line 1, `fronted` is \"x\"",
                "there are frontend, backend",
            ),
            (
                "frontend = \"tcp://x\"",
                "line 1, `frontend` is \"tcp://x\"",
                "the port is missing; write",
            ),
            (
                "backend = [\"5560\", 7]",
                "line 1, `backend` is 7",
                "such as",
            ),
            (
                "control = \">tcp://*:1\"",
                "line 1, `control` is",
                "connect",
            ),
            (
                "linger = \"5 parsecs\"",
                "line 1, `linger` is \"5 parsecs\"",
                "such as 500ms",
            ),
            (
                "last-values = 5",
                "line 1, `last-values` is 5",
                "there are frontend",
            ),
            ("linger = 5", "line 1, `linger` is 5", "such as \"5s\""),
            (
                "stats = \"1ms\"",
                "line 1, `stats` is \"1ms\"",
                "100ms to 1h",
            ),
            (
                "queue-messages = -1",
                "line 1, `queue-messages` is -1",
                "1 to 10000000",
            ),
            (
                "connections = 1000001",
                "line 1, `connections` is 1000001",
                "1 to 1000000",
            ),
            (
                "queue-bytes = \"much\"",
                "line 1, `queue-bytes` is \"much\"",
                "such as 64MiB",
            ),
            (
                "linger = \"1s\"\n# and\nqueue-messages = 0",
                "line 3, `queue-messages` is 0",
                "1 to 10000000",
            ),
            (
                "stats = 5\nbackend = \"5560\"\nbackened = [\n  \"5560\",\n]\n",
                "line 1, `stats` is 5",
                "such as \"5s\"",
            ),
            (
                "backend = \"5560\"\nzone = \"a\"\nconnections = 0",
                "line 2, `zone` is \"a\"",
                "there is no such key",
            ),
            ("\n\nlinger 5s", "line 3, `linger 5s`", "linger = \"5s\""),
            (
                "linger = \"1s\"\nlinger = \"2s\"",
                "line 2",
                "the file is TOML",
            ),
        ] {
            let error = parse(text, false).unwrap_err();
            assert!(error.contains(key) && error.contains(rule), "{error}");
        }
    }
}
