//! The configuration file: TOML, with the names of the flags as keys, and a table for each node.
//!
//! # Invariants
//!
//! 1. What is wrong is named by file, line, key, value and rule, and nothing of the file holds. (test
//!    `what_is_wrong_is_named_with_its_line_and_rule`)

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use brokerless::patterns::Endpoint;
use brokerless::patterns::device::Place;
use brokerless::proxy::Member;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::Failure;
use super::config::line;
use super::settings::{Given, Plain};
use super::size::size;
use super::{config, flags, policy, values};

/// The file as it is written; each value knows where it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    listen: Option<Spanned<Value>>,
    control: Option<Spanned<Value>>,
    name: Option<String>,
    policy: Option<Spanned<policy::Written>>,
    home: Option<Spanned<String>>,
    by_priority: Option<bool>,
    hops_max: Option<Spanned<Value>>,
    queue: Option<Spanned<Value>>,
    bytes_max: Option<Spanned<Value>>,
    blob_bytes_max: Option<Spanned<Value>>,
    window_max: Option<Spanned<Value>>,
    linger: Option<Spanned<Value>>,
    stats: Option<Spanned<Value>>,
    #[serde(default)]
    node: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Node {
    endpoint: Spanned<String>,
    weight: Option<Spanned<i64>>,
    priority: Option<Spanned<i64>>,
    region: Option<Spanned<String>>,
    zone: Option<Spanned<String>>,
    latitude: Option<Spanned<f64>>,
    longitude: Option<Spanned<f64>>,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<Given, Failure> {
    config::read(path, parse)
}

struct Reader<'t>(&'t str);

impl Reader<'_> {
    fn wrong(&self, key: &str, span: Range<usize>, value: &dyn Display, rule: &str) -> String {
        let (number, _) = line(self.0, span.start);
        format!("line {number}, `{key}` is {value}: {rule}")
    }

    /// A value that is text, or a number, read as the flag of its name is.
    fn value<T>(
        &self,
        key: &str,
        value: Option<Spanned<Value>>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let Some(value) = value else { return Ok(None) };
        let span = value.span();
        let given = match value.get_ref() {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            other => {
                return Err(self.wrong(key, span, other, "it has to be text or a number"));
            }
        };
        read(&given)
            .map(Some)
            .map_err(|rule| self.wrong(key, span, value.get_ref(), &rule))
    }

    fn places(
        &self,
        key: &str,
        value: Option<Spanned<Value>>,
    ) -> Result<Option<Vec<Place>>, String> {
        let Some(value) = value else { return Ok(None) };
        let rule = "it has to be an endpoint or a list of them, such as [\"tcp://*:7000\"]";
        let list = match value.get_ref() {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        };
        let mut places = Vec::new();
        for one in list {
            let Some(text) = one.as_str() else {
                return Err(self.wrong(key, value.span(), one, rule));
            };
            for text in text.split(',') {
                let place = flags::place(text);
                places.push(place.map_err(|rule| self.wrong(key, value.span(), one, &rule))?);
            }
        }
        if places.is_empty() {
            return Err(self.wrong(key, value.span(), value.get_ref(), rule));
        }
        Ok(Some(places))
    }

    fn within<T: PartialOrd + Display + Copy>(
        &self,
        key: &str,
        value: &Option<Spanned<T>>,
        least: T,
        most: T,
    ) -> Result<Option<T>, String> {
        let Some(value) = value else { return Ok(None) };
        let number = *value.get_ref();
        if number >= least && number <= most {
            return Ok(Some(number));
        }
        let rule = format!("it is {least} to {most}");
        Err(self.wrong(key, value.span(), &number, &rule))
    }

    fn node(&self, node: &Node) -> Result<Member, String> {
        let (span, given) = (node.endpoint.span(), node.endpoint.get_ref());
        let endpoint: Endpoint = given.parse().map_err(|error| {
            let rule = format!("{error}; a node is such as \"tcp://10.0.0.1:7070\"");
            self.wrong("endpoint", span, &format!("{given:?}"), &rule)
        })?;
        let mut member = Member::new(endpoint.to_string());
        if let Some(weight) = self.within("weight", &node.weight, 0, 1000)? {
            member = member.weight(weight);
        }
        let priority = self.within("priority", &node.priority, 0, 255)?;
        if let Some(priority) = priority.and_then(|it| u8::try_from(it).ok()) {
            member = member.priority(priority);
        }
        for (key, name) in [("region", &node.region), ("zone", &node.zone)] {
            if let Some(name) = name
                && (name.get_ref().is_empty() || name.get_ref().len() > 64)
            {
                let given = format!("{:?}", name.get_ref());
                return Err(self.wrong(key, name.span(), &given, "it has 1 to 64 bytes"));
            }
        }
        match (&node.region, &node.zone) {
            (None, Some(zone)) => {
                let given = format!("{:?}", zone.get_ref());
                let rule = "a zone is one of a region: give that, too";
                return Err(self.wrong("zone", zone.span(), &given, rule));
            }
            (Some(region), zone) => {
                let zone = zone.as_ref().map_or("", |zone| zone.get_ref());
                member = member.zone(region.get_ref(), zone);
            }
            (None, None) => {}
        }
        let latitude = self.within("latitude", &node.latitude, -90.0, 90.0)?;
        let longitude = self.within("longitude", &node.longitude, -180.0, 180.0)?;
        match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => Ok(member.at(latitude, longitude)),
            (None, None) => Ok(member),
            _ => {
                let (number, _) = line(self.0, node.endpoint.span().start);
                Err(format!(
                    "line {number}, `endpoint` is {given:?}: latitude and longitude go together"
                ))
            }
        }
    }

    fn nodes(&self, nodes: &[Node]) -> Result<Option<Vec<Member>>, String> {
        let mut members: Vec<Member> = Vec::new();
        for node in nodes {
            let member = self.node(node)?;
            if members.iter().any(|it| it.endpoint() == member.endpoint()) {
                let given = format!("{:?}", node.endpoint.get_ref());
                let rule = "each endpoint stands once; give it a weight instead";
                return Err(self.wrong("endpoint", node.endpoint.span(), &given, rule));
            }
            members.push(member);
        }
        Ok((!members.is_empty()).then_some(members))
    }
}

fn parse(text: &str) -> Result<Given, String> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let (number, stands) = line(text, error.span().map_or(0, |span| span.start));
        let what = error.message().lines().next().unwrap_or_default();
        format!(
            "line {number}, `{stands}`: {what}; the file is TOML, with lines such as \
             linger = \"5s\", and [[node]] with endpoint = \"tcp://10.0.0.1:7070\""
        )
    })?;
    let reader = Reader(text);
    let of_policy = policy::OfFile {
        policy: written.policy,
        home: written.home,
        by_priority: written.by_priority,
    };
    let policy = of_policy.read(text)?;
    Ok(Given {
        nodes: reader.nodes(&written.node)?,
        listen: reader.places("listen", written.listen)?,
        control: reader.places("control", written.control)?,
        linger: reader.value("linger", written.linger, values::linger)?,
        stats: reader.value("stats", written.stats, values::interval)?,
        plain: Plain {
            name: written.name,
            policy,
            home: of_policy.home.map(Spanned::into_inner),
            by_priority: of_policy.by_priority,
            hops_max: reader.value("hops-max", written.hops_max, values::count)?,
            queue: reader.value("queue", written.queue, values::count)?,
            bytes_max: reader.value("bytes-max", written.bytes_max, size)?,
            blob_bytes_max: reader.value("blob-bytes-max", written.blob_bytes_max, size)?,
            window_max: reader.value("window-max", written.window_max, values::count)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_key_is_read() {
        let given = parse(
            r#"
            # In front of the calculators.
            listen = ["tcp://*:7000", "ipc:///tmp/a, 7001"]
            control = "7002"
            name = "edge"
            policy = "round-robin"
            home = "eu/eu-1"
            by-priority = true
            hops-max = 2
            queue = 10
            bytes-max = "1MiB"
            blob-bytes-max = 4096
            window-max = 64
            linger = "30s"
            stats = "500ms"
            [[node]]
            endpoint = "tcp://10.0.0.1:7070"
            [[node]]
            endpoint = "tcp://10.0.0.2:7070"
            weight = 3
            priority = 1
            region = "eu"
            zone = "eu-1"
            latitude = 52.5
            longitude = 13
            "#,
        )
        .expect("it is right");
        assert_eq!(given.listen.map(|list| list.len()), Some(3));
        assert_eq!(given.control.map(|list| list.len()), Some(1));
        let second = Member::new("tcp://10.0.0.2:7070").weight(3).priority(1);
        let second = second.zone("eu", "eu-1").at(52.5, 13.0);
        let nodes = vec![Member::new("tcp://10.0.0.1:7070"), second];
        assert_eq!(given.nodes, Some(nodes));
        assert_eq!(given.linger, Some(Duration::from_secs(30)));
        assert_eq!(given.stats, Some(Duration::from_millis(500)));
        let plain = given.plain;
        assert_eq!(plain.name.as_deref(), Some("edge"));
        assert_eq!(plain.policy, "round-robin".parse().ok());
        assert_eq!(plain.home.as_deref(), Some("eu/eu-1"));
        assert_eq!((plain.by_priority, plain.hops_max), (Some(true), Some(2)));
        assert_eq!((plain.queue, plain.bytes_max), (Some(10), Some(1 << 20)));
        assert_eq!(
            (plain.blob_bytes_max, plain.window_max),
            (Some(4096), Some(64))
        );
        assert_eq!(parse("").expect("nothing"), Given::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_rule() {
        let node = "[[node]]\nendpoint = \"tcp://h:1\"\n";
        for (text, line, rule) in [
            (
                "listn = \"x\"".to_owned(),
                "line 1, `listn = \"x\"`",
                "unknown field",
            ),
            (
                "\nlisten = \"tcp://x\"".to_owned(),
                "line 2, `listen` is",
                "port is missing",
            ),
            (
                "listen = \">tcp://x:1\"".to_owned(),
                "line 1, `listen` is",
                "leave out the `>`",
            ),
            (
                "listen = []".to_owned(),
                "line 1, `listen` is []",
                "or a list of them",
            ),
            (
                "\n\nlinger = \"5 parsecs\"".to_owned(),
                "line 3, `linger` is",
                "such as 500ms",
            ),
            (
                "stats = \"1ms\"".to_owned(),
                "line 1, `stats` is",
                "100ms to 1h",
            ),
            ("queue = -1".to_owned(), "line 1, `queue` is -1", "from 1"),
            (
                "bytes-max = \"much\"".to_owned(),
                "line 1, `bytes-max`",
                "such as 64MiB",
            ),
            (
                "policy = \"best\"".to_owned(),
                "line 1, policy is best",
                "round-robin",
            ),
            (
                "linger 5s".to_owned(),
                "line 1, `linger 5s`",
                "the file is TOML",
            ),
            (
                format!("{node}weight = -3"),
                "line 3, `weight` is -3",
                "0 to 1000",
            ),
            (
                format!("{node}weight = 1001"),
                "line 3, `weight` is 1001",
                "0 to 1000",
            ),
            (
                format!("{node}weight = \"3\""),
                "line 3, `weight = \"3\"`",
                "invalid type",
            ),
            (
                format!("{node}priority = 256"),
                "line 3, `priority` is 256",
                "0 to 255",
            ),
            (
                format!("{node}zone = \"a\""),
                "line 3, `zone` is \"a\"",
                "of a region",
            ),
            (
                format!("{node}region = \"\""),
                "line 3, `region` is \"\"",
                "1 to 64",
            ),
            (
                format!("{node}latitude = 91"),
                "line 3, `latitude` is 91",
                "-90 to 90",
            ),
            (
                format!("{node}latitude = 9"),
                "line 2, `endpoint`",
                "go together",
            ),
            (
                format!("{node}wieght = 3"),
                "line 3, `wieght = 3`",
                "unknown field",
            ),
            (
                "[[node]]\nweight = 3".to_owned(),
                "line 1, `[[node]]`",
                "missing field",
            ),
            (
                format!("{node}{node}"),
                "line 4, `endpoint` is \"tcp://h:1\"",
                "once",
            ),
            (
                "[[node]]\nendpoint = \"nowhere\"".to_owned(),
                "line 2, `endpoint` is \"nowhere\"",
                "such as \"tcp://10",
            ),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(
                error.contains(line) && error.contains(rule),
                "{text}: {error}"
            );
        }
    }
}
