//! The configuration file: TOML, with the names of the flags as keys.

use std::path::Path;

use brokerless::patterns::device::{Place, Side};
use toml::{Table, Value};

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

/// Reads the file. Every error names the file, the key, the value, the rule and the way out.
pub(super) fn read(path: &Path, publishes: bool) -> Result<Given, Failure> {
    config::read(path, |text| parse(text, publishes))
}

fn parse(text: &str, publishes: bool) -> Result<Given, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let (number, stands) = line(text, error.span().map_or(0, |span| span.start));
        let what = error.message();
        format!(
            "line {number}, `{stands}`: {what}; the file is TOML, with lines such as linger = \"5s\""
        )
    })?;
    let mut given = Given::default();
    for (key, value) in &table {
        set(&mut given, key, value, publishes)?;
    }
    Ok(given)
}

fn set(given: &mut Given, key: &str, value: &Value, publishes: bool) -> Result<(), String> {
    if let Some(side) = Side::ALL.into_iter().find(|side| side.name() == key) {
        given.places[side as usize] = Some(places(key, value)?);
        return Ok(());
    }
    let limits = &mut given.limits;
    match key {
        "linger" => given.linger = Some(text(key, value, |it| LINGER.time(it))?),
        "capture-type" => {
            given.capture_type = Some(text(key, value, flags::capture_type)?);
        }
        "stats" => given.stats = Some(text(key, value, |it| STATS.time(it))?),
        "queue-messages" => {
            limits.queue_messages = Some(number(key, value, |it| QUEUE_MESSAGES.read(it))?)
        }
        "queue-bytes" => limits.queue_bytes = Some(number(key, value, |it| QUEUE_BYTES.read(it))?),
        "message-bytes" => {
            limits.message_bytes = Some(number(key, value, |it| MESSAGE_BYTES.read(it))?)
        }
        "connections" => limits.connections = Some(number(key, value, |it| CONNECTIONS.read(it))?),
        "last-values" if publishes => {
            limits.last_values = Some(number(key, value, |it| LAST_VALUES.read(it))?);
        }
        "slow-subscriber" if publishes => {
            limits.slow_subscriber = Some(text(key, value, flags::slow_subscriber)?);
        }
        _ => {
            let more = if publishes { KEYS_OF_PUBLISHING } else { "" };
            let rule = format!("there is no such key; there are {KEYS}{more}");
            return Err(wrong(key, value, &rule));
        }
    }
    Ok(())
}

fn wrong(key: &str, value: &Value, rule: &str) -> String {
    format!("`{key}` is {value}: {rule}")
}

/// A value given as text.
fn text<T>(
    key: &str,
    value: &Value,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let given = value
        .as_str()
        .ok_or_else(|| wrong(key, value, "it has to be text, such as \"5s\""))?;
    read(given).map_err(|rule| wrong(key, value, &rule))
}

/// A value given as a number, or as text that has a unit.
fn number<T>(
    key: &str,
    value: &Value,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let given = match value {
        Value::Integer(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(wrong(key, value, "it has to be a whole number")),
    };
    read(&given).map_err(|rule| wrong(key, value, &rule))
}

/// One endpoint, several with commas between, or a list of either.
fn places(key: &str, value: &Value) -> Result<Vec<Place>, String> {
    let rule = "it has to be an endpoint or a list of them, such as \
                [\"@tcp://*:5559\", \">tcp://10.0.0.1:5560\"]";
    let all = |value: &Value| match value.as_str() {
        Some(list) => flags::places(list)
            .map(|list| list.0)
            .map_err(|error| wrong(key, value, &error)),
        None => Err(wrong(key, value, rule)),
    };
    match value {
        Value::Array(list) => {
            let lists: Result<Vec<_>, _> = list.iter().map(all).collect();
            Ok(lists?.concat())
        }
        one => all(one),
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
                error.starts_with(&format!("`{key}` is true: it has to be")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_rule_and_the_way_out() {
        for (text, key, rule) in [
            (
                "fronted = \"x\"",
                "`fronted` is \"x\"",
                "there are frontend, backend",
            ),
            (
                "frontend = \"tcp://x\"",
                "`frontend` is \"tcp://x\"",
                "the port is missing; write",
            ),
            ("backend = [\"5560\", 7]", "`backend` is 7", "such as"),
            ("control = \">tcp://*:1\"", "`control` is", "connect"),
            (
                "linger = \"5 parsecs\"",
                "`linger` is \"5 parsecs\"",
                "such as 500ms",
            ),
            (
                "last-values = 5",
                "`last-values` is 5",
                "there are frontend",
            ),
            ("linger = 5", "`linger` is 5", "such as \"5s\""),
            ("stats = \"1ms\"", "`stats` is \"1ms\"", "100ms to 1h"),
            (
                "queue-messages = -1",
                "`queue-messages` is -1",
                "1 to 10000000",
            ),
            (
                "connections = 1000001",
                "`connections` is 1000001",
                "1 to 1000000",
            ),
            (
                "queue-bytes = \"much\"",
                "`queue-bytes` is \"much\"",
                "such as 64MiB",
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
