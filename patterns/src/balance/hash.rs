//! Consistent hash: the same node for the same key.

/// Options of the consistent hash.
#[derive(Debug, Clone)]
pub(super) struct HashOptions {
    pub(super) bound: f64,
}

impl Default for HashOptions {
    fn default() -> HashOptions {
        HashOptions { bound: 1.25 }
    }
}
