//! Over the fabric of these tests: each call in a thread of its own.

use std::sync::Arc;

use brokerless::service::Service;

pub(crate) use crate::fabric;

/// A client of this service, and what has to stay until the test has ended.
pub(crate) fn serve(service: impl Service) -> ((), fabric::client::Client) {
    ((), fabric::client::Client(Arc::new(service)))
}

/// The options of a call for this tenant.
pub(crate) fn tenant(name: &'static str) -> fabric::client::Call {
    fabric::client::Call { tenant: Some(name) }
}

#[allow(clippy::duplicate_mod, reason = "the same holds over both fabrics")]
#[path = "../facts.rs"]
mod facts;
