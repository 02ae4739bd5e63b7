//! Whether a server's services are fit to be called, as the program says, and who may ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

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

    pub(super) fn drain(&self) {
        self.state.draining.store(true, Ordering::Release);
    }
}
