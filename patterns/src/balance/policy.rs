//! Which policy, by name or in code.

use std::fmt;
use std::sync::Arc;

use super::pick::Pick;
use super::smooth::Smooth;

/// A policy and its options: what is built into a [`Balancer`](super::Balancer), once for each part
/// where policies are composed. Cloning it costs a counter.
#[derive(Clone)]
pub struct Policy {
    name: Arc<str>,
    make: Arc<dyn Fn() -> Result<Box<dyn Pick>, PolicyError> + Send + Sync>,
    needs_key: bool,
}

impl Policy {
    /// One's own.
    pub fn custom(name: &str, make: impl Fn() -> Box<dyn Pick> + Send + Sync + 'static) -> Policy {
        Policy {
            name: Arc::from(name),
            make: Arc::new(move || Ok(make())),
            needs_key: false,
        }
    }

    /// Weighted round-robin: each node its share, spread evenly.
    pub fn weighted() -> Policy {
        Policy::custom("weighted", || Box::new(Smooth::new()))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether calls have to have a key.
    pub fn needs_key(&self) -> bool {
        self.needs_key
    }

    pub(super) fn build(&self) -> Result<Box<dyn Pick>, PolicyError> {
        (self.make)()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({})", self.name)
    }
}

/// An option of a policy is out of its bounds, or there is no policy of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    pub(super) field: &'static str,
    pub(super) value: String,
    pub(super) rule: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyError { field, value, rule } = self;
        write!(f, "{field} is {value}: {rule}")
    }
}

impl std::error::Error for PolicyError {}
