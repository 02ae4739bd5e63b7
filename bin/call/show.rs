//! What a server offers, and whether it is fit to be called: for people, and with --json for
//! programs.

use std::fmt::Write;

use brokerless::builtin::{Condition, HealthCheckClient, MethodDescription, ServiceDescription};
use brokerless::{Code, RpcError};
use serde::Serialize;

use super::fault::{Fault, exit};
use super::flags::Flags;
use super::json::Json;
use super::method::{Method, signature};
use super::nearest::nearest;
use super::node::Node;
use super::{clean, print};

/// What has a form for programs, as that.
pub(super) fn as_json(value: &impl Serialize) -> Result<Json, Fault> {
    let text = serde_json::to_string(value).map_err(|error| Fault::run(error.to_string()))?;
    Json::read(&text).map_err(|bad| Fault::run(bad.to_string()))
}

/// Every method, or those of one service.
pub(super) fn list(node: &Node, service: Option<&str>, json: bool) -> Result<u8, Fault> {
    let services = match service {
        None => node.all()?,
        Some(name) => vec![the_service(node, name)?],
    };
    if json {
        return print(&(as_json(&services)?.print(false) + "\n"));
    }
    let mut text = String::new();
    for service in &services {
        for method in &service.methods {
            text += &clean(&signature(method));
            text.push('\n');
        }
    }
    print(&text)
}

fn the_service(node: &Node, name: &str) -> Result<ServiceDescription, Fault> {
    if let Some(about) = node.service(name)? {
        return Ok(about);
    }
    let names = node.services()?;
    Err(Fault::usage(
        match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("there is no service {name} here: the nearest is {near}"),
            None => format!(
                "there is no service {name} here: there are {}",
                names.join(", ")
            ),
        },
    ))
}

/// A service or a method, with all that is known of it.
pub(super) fn describe(node: &Node, name: &str, flags: &Flags) -> Result<u8, Fault> {
    if let Some(service) = node.service(name)? {
        if flags.json {
            return print(&(as_json(&service)?.print(false) + "\n"));
        }
        return print(&clean(&service_text(&service)));
    }
    let of_method = match name.rsplit_once('.') {
        Some((service, _)) => node.service(service)?,
        None => None,
    };
    let methods = of_method.map(|about| about.methods).unwrap_or_default();
    let Some(method) = methods.into_iter().find(|about| about.path == name) else {
        return Err(node.unknown("service or method", name, true)?);
    };
    if flags.json {
        return print(&(as_json(&method)?.print(false) + "\n"));
    }
    let endpoint = flags.endpoint.as_ref().map(|all| all.0.join(","));
    print(&clean(&method_text(method, &endpoint.unwrap_or_default())))
}

fn service_text(service: &ServiceDescription) -> String {
    let mut text = docs(&service.docs, "");
    // Writing to a string does not fail.
    let _ = writeln!(text, "service {}", service.name);
    for method in &service.methods {
        let _ = write!(text, "\n{}", docs(&method.docs, "  "));
        let _ = writeln!(text, "  {}", signature(method));
        if let Some(options) = options(method) {
            let _ = writeln!(text, "    {options}");
        }
    }
    text
}

fn method_text(about: MethodDescription, endpoint: &str) -> String {
    let mut text = docs(&about.docs, "");
    let _ = writeln!(text, "{}", signature(&about));
    if let Some(options) = options(&about) {
        let _ = writeln!(text, "  {options}");
    }
    let method = Method::of(about);
    let pairs = method.about.arguments.iter().zip(&method.arguments);
    let example: Vec<String> = pairs
        .filter(|(about, _)| !about.default)
        .map(|(about, ty)| format!("\"{}\":{}", about.name, ty.example()))
        .collect();
    let example = match &example[..] {
        [] => String::new(),
        some => format!(" '{{{}}}'", some.join(",")),
    };
    let lines = match method.about.items_in {
        Some(_) => " < items.jsonl",
        None => "",
    };
    let path = method.path();
    let _ = writeln!(text, "\nbl-call {endpoint} {path}{example}{lines}");
    text
}

fn docs(docs: &str, indent: &str) -> String {
    let lines = docs.lines();
    lines
        .map(|line| format!("{indent}/// {}\n", line.trim()))
        .collect()
}

fn options(about: &MethodDescription) -> Option<String> {
    let mut options = Vec::new();
    let mut flag = |set: bool, name: &str| {
        if set {
            options.push(name.to_owned());
        }
    };
    flag(about.idempotent, "idempotent");
    flag(about.oneway, "oneway: not answered");
    flag(about.inline, "inline");
    flag(about.later, "may be answered later");
    flag(about.encoding == 1, "raw: bytes in an encoding of its own");
    if let Some(ms) = about.timeout_ms {
        options.push(format!("timeout {ms} ms"));
    }
    if let Some(ms) = about.item_timeout_ms {
        options.push(format!("{ms} ms an item"));
    }
    if let Some(pool) = &about.pool {
        options.push(format!("in the pool {pool}"));
    }
    (!options.is_empty()).then(|| options.join(", "))
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Serving => "serving",
        Condition::NotServing => "not serving",
        Condition::Draining => "draining",
        _ => "unknown",
    }
}

/// How the server and its services are, or one of them.
pub(super) fn health(node: &Node, service: Option<&str>, json: bool) -> Result<u8, Fault> {
    let client = HealthCheckClient::from(node.client.clone()).with(node.call.clone());
    let failed = |error: &RpcError| {
        let fault = node.fault(error);
        match error.code() {
            Code::Unimplemented => fault.note("the server offers no health"),
            _ => fault,
        }
    };
    let asked = service.unwrap_or_default();
    let own = match client.check(asked) {
        Ok(own) => own,
        Err(error) if error.code() == Code::NotFound => {
            // As is told of every name that is not there.
            the_service(node, asked)?;
            return Err(Fault::run(error.to_string()));
        }
        Err(error) => {
            return Err(error
                .rpc()
                .map_or_else(|| Fault::run(error.to_string()), failed));
        }
    };
    let all = match service {
        Some(name) => vec![(name.to_owned(), own)],
        None => {
            let mut all = vec![("server".to_owned(), own)];
            let listed = client.list();
            all.extend(listed.map_err(|error| {
                error
                    .rpc()
                    .map_or_else(|| Fault::run(error.to_string()), failed)
            })?);
            all
        }
    };
    let text = if json {
        let entries = all.iter();
        let own =
            |(name, state): &(String, Condition)| (name.clone(), Json::text(condition(*state)));
        Json::Object(entries.map(own).collect()).print(false) + "\n"
    } else {
        let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = all.iter();
        lines
            .map(|(name, state)| format!("{:width$}  {}\n", clean(name), condition(*state)))
            .collect()
    };
    print(&text)?;
    Ok(match own {
        Condition::Serving => 0,
        _ => exit::FAILED,
    })
}
