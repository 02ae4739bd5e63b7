//! Random: any node.

use super::members::Members;
use super::nodes::Nodes;
use super::pick::{Ask, Pick};

/// Any that is able, each as likely.
#[derive(Debug, Clone, Default)]
pub(super) struct Any {
    members: Members,
}

impl Any {
    /// No nodes yet.
    pub(super) fn new() -> Any {
        Any::default()
    }
}

impl Pick for Any {
    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.members.update(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        self.members.update(nodes, node);
    }

    fn left(&mut self, _: &Nodes, node: usize) {
        self.members.leave(node);
    }

    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        self.members.any(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::super::testing::Pool;

    #[test]
    fn each_is_as_likely_whatever_its_weight() {
        let mut pool = Pool::of(&Policy::random(), [1, 9, 1, 3, 0]);
        let counts = pool.counts(40_000);
        assert!(
            counts[..4].iter().all(|count| count.abs_diff(10_000) < 400),
            "{counts:?}"
        );
        assert_eq!(counts[4], 0);
    }
}
