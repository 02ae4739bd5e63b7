//! What is wrong with a policy, said before it is at work.

use std::fmt;

/// An option of a policy is out of its bounds, there is no policy of that name, or it does not fit
/// the nodes that it is to pick from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    field: &'static str,
    value: String,
    rule: String,
}

impl PolicyError {
    /// Of this field and value, against this rule: also for whoever builds a pool, and knows more of it
    /// than the policy does.
    pub fn new(
        field: &'static str,
        value: impl fmt::Display,
        rule: impl Into<String>,
    ) -> PolicyError {
        PolicyError {
            field,
            value: value.to_string(),
            rule: rule.into(),
        }
    }

    /// What is wrong: the name of an option, of a field of [`Facts`](super::Facts), or `policy`.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What it is held to, and the way out.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyError { field, value, rule } = self;
        write!(f, "{field} is {value}: {rule}")
    }
}

impl std::error::Error for PolicyError {}
