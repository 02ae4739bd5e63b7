//! Whether services are fit to be called: the program says, callers ask.
//!
//! # Invariants
//!
//! 1. A server that leaves is draining, whatever was said of its services. (test
//!    `a_server_that_leaves_is_draining_whatever_was_said`)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::status::Status;

/// Whether a service, or a server, should be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// It is ready.
    Serving,
    /// The program said that it is not.
    NotServing,
    /// It is about to leave, and takes nothing new.
    Draining,
    /// It is one of those that a later version knows.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Default)]
struct State {
    /// Services that the program said something of.
    said: Mutex<BTreeMap<String, Condition>>,
    draining: AtomicBool,
}

/// Says, from anywhere in the program, whether its services are fit to be called.
///
/// Callers ask by the built-in health service. Nothing is refused because of it: it is advice.
/// Clones are the same.
///
/// ```
/// use brokerless::server::{Condition, Server};
///
/// let server = Server::builder().bind("inproc://health-example")?;
/// let health = server.health();
/// assert_eq!(health.of("calc.v1"), Condition::Serving);
/// health.set("calc.v1", Condition::NotServing);
/// assert_eq!(health.of("calc.v1"), Condition::NotServing);
/// assert_eq!(health.of(""), Condition::Serving);
/// # Ok::<(), brokerless::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Health {
    state: Arc<State>,
}

impl Health {
    /// Says how a service is; the empty name is the server as a whole.
    pub fn set(&self, service: &str, condition: Condition) {
        let mut said = self.state.said.lock();
        said.insert(service.to_owned(), condition);
    }

    /// How a service is: what was said of it, else of the server, else that it serves. A server
    /// that leaves is draining, whatever was said.
    pub fn of(&self, service: &str) -> Condition {
        if self.state.draining.load(Ordering::Acquire) {
            return Condition::Draining;
        }
        let said = self.state.said.lock();
        let found = said.get(service).or_else(|| said.get(""));
        found.copied().unwrap_or(Condition::Serving)
    }

    /// The server is about to leave.
    pub(crate) fn drain(&self) {
        self.state.draining.store(true, Ordering::Release);
    }
}

/// Whether services are fit to be called. Offered by every server, unless it was told not to.
#[crate::service(name = "brokerless.health.v1", crate = "crate")]
pub trait HealthCheck {
    /// How a service is; the empty name is the server as a whole. `NOT_FOUND`, if the server does
    /// not offer it.
    #[rpc(inline, idempotent)]
    fn check(&self, service: &str) -> Result<Condition, Status>;

    /// How every service is that the server offers.
    #[rpc(inline, idempotent)]
    fn list(&self) -> Vec<(String, Condition)>;
}

/// Answers for one server.
pub(crate) struct Checker {
    pub(crate) health: Health,
    pub(crate) services: Vec<&'static str>,
}

impl HealthCheck for Checker {
    fn check(&self, service: &str) -> Result<Condition, Status> {
        if !service.is_empty() && !self.services.contains(&service) {
            return Err(Status::not_found(
                "the server does not offer this service: `list` says which it does",
            ));
        }
        Ok(self.health.of(service))
    }

    fn list(&self) -> Vec<(String, Condition)> {
        let services = self.services.iter();
        services
            .map(|service| ((*service).to_owned(), self.health.of(service)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    #[test]
    fn a_server_that_leaves_is_draining_whatever_was_said() {
        let health = Health::default();
        health.set("a", Condition::Serving);
        health.clone().drain();
        assert_eq!(health.of("a"), Condition::Draining);
        assert_eq!(health.of(""), Condition::Draining);
    }

    #[test]
    fn what_is_said_of_the_server_holds_for_services_of_which_nothing_is() {
        let health = Health::default();
        let checker = Checker {
            health: health.clone(),
            services: vec!["a", "b"],
        };
        health.set("", Condition::NotServing);
        health.set("b", Condition::Serving);
        let own = |service: &str, condition| (service.to_owned(), condition);
        let listed = [
            own("a", Condition::NotServing),
            own("b", Condition::Serving),
        ];
        assert_eq!(checker.list(), listed);
        assert_eq!(checker.check(""), Ok(Condition::NotServing));
        let unknown = checker.check("c").map_err(|status| status.code());
        assert_eq!(unknown, Err(Code::NotFound));
    }
}
