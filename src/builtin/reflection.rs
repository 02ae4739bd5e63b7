//! Reflection: what a server offers, for people and tools that do not know it.
//!
//! # Invariants
//!
//! 1. Nothing that is known of a service is left out. (test
//!    `a_service_is_described_with_all_that_is_known_of_it`)

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::service::{ArgumentInfo, MethodInfo, ServiceInfo};
use crate::status::Status;

/// A service, as it is told over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServiceDescription {
    /// Its name: `calc.v1`.
    pub name: String,
    /// The trait's documentation.
    pub docs: String,
    /// Its methods.
    pub methods: Vec<MethodDescription>,
}

/// A method, as it is told over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct MethodDescription {
    /// Its name: `add`.
    pub name: String,
    /// What it is called by: `calc.v1.add`.
    pub path: String,
    /// Its documentation.
    pub docs: String,
    /// Its arguments, in order.
    pub arguments: Vec<ArgumentDescription>,
    /// The type that it gives back, as the trait has it.
    pub returns: String,
    /// The type of its own error, if it has one.
    pub error: Option<String>,
    /// Whether running it twice does what running it once does.
    pub idempotent: bool,
    /// Whether it is not answered.
    pub oneway: bool,
    /// Whether it runs on the thread that receives.
    pub inline: bool,
    /// What it may take where the caller says nothing else, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The pool that it runs in, if not the default one.
    pub pool: Option<String>,
    /// Whether it may be answered after the handler has returned.
    pub later: bool,
    /// How its arguments, its answer and its items are encoded: 0 MessagePack, 1 raw.
    pub encoding: u8,
    /// The type of the items that the caller sends, if it sends any.
    pub items_in: Option<String>,
    /// The type of the items that it gives, if it gives any.
    pub items_out: Option<String>,
    /// How long either side waits for an item where the caller says nothing else, in milliseconds.
    pub item_timeout_ms: Option<u64>,
}

/// An argument, as it is told over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ArgumentDescription {
    /// Its name.
    pub name: String,
    /// Its type, as the trait has it.
    pub type_name: String,
    /// Whether it may be left out.
    pub default: bool,
}

impl From<&ServiceInfo> for ServiceDescription {
    fn from(info: &ServiceInfo) -> Self {
        ServiceDescription {
            name: info.name.to_owned(),
            docs: info.docs.to_owned(),
            methods: info.methods.iter().map(MethodDescription::from).collect(),
        }
    }
}

impl From<&MethodInfo> for MethodDescription {
    fn from(info: &MethodInfo) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        MethodDescription {
            name: info.name.to_owned(),
            path: info.path.to_owned(),
            docs: info.docs.to_owned(),
            arguments: info
                .arguments
                .iter()
                .map(ArgumentDescription::from)
                .collect(),
            returns: info.returns.to_owned(),
            error: info.error.map(str::to_owned),
            idempotent: info.idempotent,
            oneway: info.oneway,
            inline: info.inline,
            timeout_ms: info.timeout.map(millis),
            pool: info.pool.map(str::to_owned),
            later: info.later,
            encoding: info.encoding.number(),
            items_in: info.items_in.map(str::to_owned),
            items_out: info.items_out.map(str::to_owned),
            item_timeout_ms: info.item_timeout.map(millis),
        }
    }
}

impl From<&ArgumentInfo> for ArgumentDescription {
    fn from(info: &ArgumentInfo) -> Self {
        ArgumentDescription {
            name: info.name.to_owned(),
            type_name: info.type_name.to_owned(),
            default: info.default,
        }
    }
}

/// What a server offers. Offered by every server, unless it was told not to.
#[crate::service(name = "brokerless.reflection.v1", crate = "crate")]
pub trait Reflection {
    /// The names of its services, the built-in ones too.
    #[rpc(inline, idempotent)]
    fn services(&self) -> Vec<String>;

    /// A service with its methods. `NOT_FOUND`, if the server does not offer it.
    #[rpc(inline, idempotent)]
    fn describe(&self, service: &str) -> Result<ServiceDescription, Status>;
}

/// Answers for one server.
pub(crate) struct Reflector {
    pub(crate) services: Vec<&'static ServiceInfo>,
}

impl Reflection for Reflector {
    fn services(&self) -> Vec<String> {
        let services = self.services.iter();
        services.map(|about| about.name.to_owned()).collect()
    }

    fn describe(&self, service: &str) -> Result<ServiceDescription, Status> {
        let found = self.services.iter().find(|about| about.name == service);
        let found = found.map(|about| ServiceDescription::from(*about));
        found.ok_or_else(|| {
            Status::not_found(
                "the server does not offer this service: `services` says which it does",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    static ARGUMENTS: [ArgumentInfo; 1] = [ArgumentInfo {
        name: "x",
        type_name: "Option<&str>",
        default: true,
    }];
    static METHODS: [MethodInfo; 2] = [
        MethodInfo::new("plain", "a.v1.plain"),
        MethodInfo::new("full", "a.v1.full")
            .docs("Does it.")
            .arguments(&ARGUMENTS)
            .returns("u8")
            .error("Wrong")
            .idempotent()
            .oneway()
            .inline()
            .timeout(Duration::from_secs(2))
            .pool("disk")
            .later()
            .raw()
            .items_in("i64")
            .items_out("Line")
            .item_timeout(Duration::from_millis(30)),
    ];
    static ABOUT: ServiceInfo = ServiceInfo::new("a.v1", &METHODS).docs("A service.");

    #[test]
    fn a_service_is_described_with_all_that_is_known_of_it() {
        let reflector = Reflector {
            services: vec![&ABOUT],
        };
        assert_eq!(reflector.services(), ["a.v1"]);
        let described = reflector.describe("a.v1");
        let expected = ServiceDescription {
            name: "a.v1".to_owned(),
            docs: "A service.".to_owned(),
            methods: vec![
                MethodDescription {
                    name: "plain".to_owned(),
                    path: "a.v1.plain".to_owned(),
                    returns: "()".to_owned(),
                    ..MethodDescription::default()
                },
                MethodDescription {
                    name: "full".to_owned(),
                    path: "a.v1.full".to_owned(),
                    docs: "Does it.".to_owned(),
                    arguments: vec![ArgumentDescription {
                        name: "x".to_owned(),
                        type_name: "Option<&str>".to_owned(),
                        default: true,
                    }],
                    returns: "u8".to_owned(),
                    error: Some("Wrong".to_owned()),
                    idempotent: true,
                    oneway: true,
                    inline: true,
                    timeout_ms: Some(2000),
                    pool: Some("disk".to_owned()),
                    later: true,
                    encoding: 1,
                    items_in: Some("i64".to_owned()),
                    items_out: Some("Line".to_owned()),
                    item_timeout_ms: Some(30),
                },
            ],
        };
        assert_eq!(described, Ok(expected));
        let unknown = reflector.describe("b.v1").map_err(|status| status.code());
        assert_eq!(unknown, Err(Code::NotFound));
    }
}
