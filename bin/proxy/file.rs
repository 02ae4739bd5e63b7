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
use super::bounds::{
    self, BLOB_BYTES_MAX, BYTES_MAX, HOPS_MAX, LATITUDE, LINGER, LONGITUDE, PRIORITY, QUEUE, STATS,
    WEIGHT, WINDOW_MAX, ZONE_BYTES_MAX,
};
use super::bounds_of::Bounds;
use super::config::line;
use super::settings::{Given, Plain};
use super::{config, flags, policy};

/// The file as it is written; each value knows where it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    listen: Option<Spanned<Value>>,
    control: Option<Spanned<Value>>,
    name: Option<Spanned<Value>>,
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
        config::wrong(self.0, span.start, key, value, rule)
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
            let read = flags::places(text);
            places.extend(
                read.map_err(|rule| self.wrong(key, value.span(), one, &rule))?
                    .0,
            );
        }
        if places.is_empty() {
            return Err(self.wrong(key, value.span(), value.get_ref(), rule));
        }
        Ok(Some(places))
    }

    /// A whole number of a node.
    fn number<N: TryFrom<u64>>(
        &self,
        key: &str,
        value: &Option<Spanned<i64>>,
        bounds: Bounds,
    ) -> Result<Option<N>, String> {
        let Some(value) = value else { return Ok(None) };
        let number = value.get_ref().to_string();
        let read = bounds.read(&number).map(Some);
        read.map_err(|rule| self.wrong(key, value.span(), &number, &rule))
    }

    fn degrees(
        &self,
        key: &str,
        value: &Option<Spanned<f64>>,
        (least, most): (f64, f64),
    ) -> Result<Option<f64>, String> {
        let Some(value) = value else { return Ok(None) };
        let degrees = *value.get_ref();
        // A number that is none is in no range.
        if (least..=most).contains(&degrees) {
            return Ok(Some(degrees));
        }
        let rule = format!("it is {least} to {most}");
        Err(self.wrong(key, value.span(), &degrees, &rule))
    }

    fn node(&self, node: &Node) -> Result<Member, String> {
        let (span, given) = (node.endpoint.span(), node.endpoint.get_ref());
        let endpoint: Endpoint = given.parse().map_err(|error| {
            let rule = format!("{error}; a node is such as \"tcp://10.0.0.1:7070\"");
            self.wrong("endpoint", span, &format!("{given:?}"), &rule)
        })?;
        let mut member = Member::new(endpoint.to_string());
        if let Some(weight) = self.number::<u32>("weight", &node.weight, WEIGHT)? {
            member = member.weight(weight);
        }
        if let Some(priority) = self.number("priority", &node.priority, PRIORITY)? {
            member = member.priority(priority);
        }
        for (key, name) in [("region", &node.region), ("zone", &node.zone)] {
            if let Some(name) = name
                && (name.get_ref().is_empty() || name.get_ref().len() > ZONE_BYTES_MAX)
            {
                let given = format!("of {} bytes", name.get_ref().len());
                let rule = format!("it has 1 to {ZONE_BYTES_MAX}");
                return Err(self.wrong(key, name.span(), &given, &rule));
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
        let latitude = self.degrees("latitude", &node.latitude, LATITUDE)?;
        let longitude = self.degrees("longitude", &node.longitude, LONGITUDE)?;
        match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => Ok(member.at(latitude, longitude)),
            (None, None) => Ok(member),
            _ => {
                let rule = "latitude and longitude go together";
                let given = format!("{given:?}");
                Err(self.wrong("endpoint", node.endpoint.span(), &given, rule))
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
        linger: reader.value("linger", written.linger, |it| LINGER.time(it))?,
        stats: reader.value("stats", written.stats, |it| STATS.time(it))?,
        plain: Plain {
            name: reader.value("name", written.name, bounds::name)?,
            policy,
            home: of_policy.home.map(Spanned::into_inner),
            by_priority: of_policy.by_priority,
            hops_max: reader.value("hops-max", written.hops_max, |it| HOPS_MAX.read(it))?,
            queue: reader.value("queue", written.queue, |it| QUEUE.read(it))?,
            bytes_max: reader.value("bytes-max", written.bytes_max, |it| BYTES_MAX.read(it))?,
            blob_bytes_max: reader.value("blob-bytes-max", written.blob_bytes_max, |it| {
                BLOB_BYTES_MAX.read(it)
            })?,
            window_max: reader.value("window-max", written.window_max, |it| WINDOW_MAX.read(it))?,
        },
    })
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
