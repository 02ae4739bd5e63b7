//! The server at the other end: connecting to it, and asking what it offers.

use std::time::Duration;

use brokerless::builtin::{ReflectionClient, ServiceDescription};
use brokerless::client::NodeState;
use brokerless::patterns::Options;
use brokerless::{Call, CallError, Client, Code, Ran, RpcError};

use super::fault::{Fault, exit};
use super::flags::Flags;
use super::method::{Method, signature};
use super::nearest::nearest;

/// How long a call may take that says nothing else.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest message that is taken where nothing else is said.
const MESSAGE_BYTES: u64 = 1 << 30;
/// Calls in flight through a device.
const SESSIONLESS_WINDOW: u32 = 1024;
/// Services that are looked through for a name.
const SERVICES_MAX: usize = 1000;

/// A server, or a pool of them.
pub(super) struct Node {
    pub(super) client: Client,
    /// What goes with every call: the timeout, if one is given, and metadata.
    pub(super) call: Call,
    patience: Duration,
    waits: bool,
}

impl Node {
    /// Connects while the program goes on.
    pub(super) fn connect(flags: &Flags) -> Result<Self, Fault> {
        let endpoints = flags.endpoint.clone().map(|all| all.0).unwrap_or_default();
        let most = flags.message_bytes.unwrap_or(MESSAGE_BYTES).max(1024);
        let options = Options::new().frame_bytes_max(most).message_bytes_max(most);
        let mut builder = Client::builder()
            .name("bl-call")
            .timeout(PATIENCE)
            .wait_for_ready(flags.wait)
            .options(options);
        if flags.sessionless {
            builder = builder.sessionless(SESSIONLESS_WINDOW);
        }
        let client = builder
            .connect(endpoints)
            .map_err(|error| Fault::usage(error.to_string()))?;
        let mut call = Call::new();
        for (key, value) in &flags.metadata {
            call = call.metadata(key, value);
        }
        if let Some(timeout) = flags.timeout {
            call = call.timeout(timeout);
        }
        if let Some(timeout) = flags.item_timeout {
            call = call.item_timeout(timeout);
        }
        Ok(Node {
            client,
            call,
            patience: flags.timeout.unwrap_or(PATIENCE),
            waits: flags.wait,
        })
    }

    /// The options of calls that may take no longer than this.
    pub(super) fn within(&self, most: Duration) -> Call {
        self.call.clone().timeout(self.patience.min(most))
    }

    fn reflection(&self) -> ReflectionClient {
        ReflectionClient::from(self.client.clone()).with(self.call.clone())
    }

    /// The names of the services that are offered.
    pub(super) fn services(&self) -> Result<Vec<String>, Fault> {
        let services = self.reflection().services();
        services.map_err(|error| self.not_reflected(&error))
    }

    /// A service, if it is offered.
    pub(super) fn service(&self, name: &str) -> Result<Option<ServiceDescription>, Fault> {
        match self.reflection().describe(name) {
            Ok(about) => Ok(Some(about)),
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(self.not_reflected(&error)),
        }
    }

    /// All services, as far as they are looked through.
    pub(super) fn all(&self) -> Result<Vec<ServiceDescription>, Fault> {
        let mut all = Vec::new();
        for name in self.services()?.iter().take(SERVICES_MAX) {
            all.extend(self.service(name)?);
        }
        Ok(all)
    }

    /// The method of this path.
    pub(super) fn method(&self, path: &str) -> Result<Method, Fault> {
        if let Some((service, name)) = path.rsplit_once('.') {
            let about = self.service(service)?;
            let methods = about.map(|about| about.methods).unwrap_or_default();
            if let Some(about) = methods.into_iter().find(|about| about.name == name) {
                return Ok(Method::of(about));
            }
        }
        Err(self.unknown("method", path, false)?)
    }

    /// What is told of a name that nothing has: what is nearest to it.
    pub(super) fn unknown(&self, what: &str, name: &str, services: bool) -> Result<Fault, Fault> {
        let all = self.all()?;
        if let Some(service) = all.iter().find(|service| service.name == name) {
            return Ok(a_service(service));
        }
        let methods = all.iter().flat_map(|service| &service.methods);
        // Without its service, it may be somewhere.
        let alike: Vec<_> = methods.clone().filter(|about| about.name == name).collect();
        let near = match alike[..] {
            [] => {
                let paths = methods.clone().map(|about| &*about.path);
                let names = all.iter().map(|service| &*service.name);
                nearest(name, paths.chain(names.filter(|_| services)))
            }
            [first, ..] => Some(&*first.path),
        };
        let fault = Fault::usage(match near {
            Some(near) => format!("there is no {what} {name} here: the nearest is {near}"),
            None => format!("there is no {what} {name} here: `list` shows what there is"),
        });
        let about = methods.clone().find(|about| Some(&*about.path) == near);
        Ok(match about {
            Some(about) => fault.about(signature(about)),
            None => fault,
        })
    }

    fn not_reflected(&self, error: &CallError) -> Fault {
        let Some(error) = error.rpc() else {
            return Fault::run(error.to_string());
        };
        let fault = self.fault(error);
        if error.code() == Code::Unimplemented {
            fault.note(
                "the server offers no reflection: --no-reflection calls without it, unchecked",
            )
        } else {
            fault
        }
    }

    /// What is told of a call that failed; of a node that was not reached, what was tried.
    pub(super) fn fault(&self, error: &RpcError) -> Fault {
        let nodes = self.client.stats().nodes;
        let there = |state| matches!(state, NodeState::Up | NodeState::Draining);
        let unreached = matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded)
            && error.ran() == Ran::No
            && error.node().is_none()
            && !nodes.iter().any(|node| there(node.state));
        if !unreached {
            return Fault::of(error);
        }
        let mut fault = Fault::new(exit::UNREACHABLE, "no node can be reached").telling(error);
        for node in &nodes {
            let why = match &*node.last_error {
                "" => format!("no answer within {:?}", self.patience),
                // What the system's resolver says has no kind of its own.
                "uncategorized error" => "the name of the host has no address".to_owned(),
                "entity not found" => "there is no such socket".to_owned(),
                why => why.to_owned(),
            };
            fault = fault.note(format!("tried {}: {why}", node.endpoint));
        }
        if error.message().contains("without a welcome") {
            return fault.note(
                "connections are taken there, but nobody greets as a server does: is it another \
                 program's? through a device such as bl-queue, give --sessionless",
            );
        }
        if self.waits {
            return fault.note("is it running, and is that where it is bound?");
        }
        fault.note("is it running, and is that where it is bound? --wait waits for it")
    }
}

/// What is told of a service where a method is wanted: one that it has.
fn a_service(service: &ServiceDescription) -> Fault {
    let name = &service.name;
    let is_one = format!("{name} is a service, and a method is wanted");
    match service.methods.first() {
        Some(first) => {
            let what = format!("{is_one}: `list {name}` shows them, such as {}", first.path);
            Fault::usage(what).about(signature(first))
        }
        None => Fault::usage(format!("{is_one}: it has none")),
    }
}
