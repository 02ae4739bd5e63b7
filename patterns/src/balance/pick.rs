//! The trait of a policy, and what it is asked.

use std::time::Duration;

use super::nodes::{Nodes, WHOLE};
use super::random::Random;
use super::{Load, Nanos};

/// A policy at work. [`pick`](Pick::pick) is all that one needs; the rest tells it what happens, for
/// those that keep a state of their own.
///
/// Each gets only the nodes that it is to pick from: within a policy that divides them, those of
/// its part, though [`Ask::nodes`] knows all.
///
/// ```
/// use brokerless_patterns::balance::{Ask, Balancer, Facts, Pick, Policy};
///
/// /// The one with the least in flight, of all.
/// struct Idlest;
///
/// impl Pick for Idlest {
///     fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
///         let able = ask.nodes.iter().filter(|node| ask.is_able(*node));
///         able.min_by_key(|node| ask.nodes.in_flight(*node))
///     }
/// }
///
/// let policy = Policy::custom("idlest", || Box::new(Idlest));
/// let mut balancer = Balancer::new(&policy, 1).expect("a policy without options");
/// for node in 0..2 {
///     balancer.add(0, node, Facts::default());
///     balancer.set_up(0, node, true);
/// }
/// balancer.sent(0, 0);
/// assert_eq!(balancer.pick(0, None, &|_| true), Some(1));
/// ```
pub trait Pick: Send {
    /// One of the nodes that are able; none if there is none. Takes no memory, and waits for nothing.
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize>;

    /// There is a node more to pick from.
    fn joined(&mut self, nodes: &Nodes, node: usize) {
        let _ = (nodes, node);
    }

    /// A node's weight, place, priority or whether it is up is another.
    fn changed(&mut self, nodes: &Nodes, node: usize) {
        let _ = (nodes, node);
    }

    /// A node's round trip is another: [`Nodes::round_trip`].
    fn measured(&mut self, nodes: &Nodes, node: usize) {
        let _ = (nodes, node);
    }

    /// A node is gone: its number may come back for another. Its facts can still be looked at.
    fn left(&mut self, nodes: &Nodes, node: usize) {
        let _ = (nodes, node);
    }

    /// A call goes to a node, whoever picked it.
    fn sent(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        let _ = (nodes, now, node);
    }

    /// A node has replied; `load` is what it reported with that.
    fn replied(
        &mut self,
        nodes: &Nodes,
        now: Nanos,
        node: usize,
        took: Duration,
        load: Option<&Load>,
    ) {
        let _ = (nodes, now, node, took, load);
    }

    /// A node has answered with an error that says it is not well: how long that took says nothing of
    /// its speed.
    fn failed(
        &mut self,
        nodes: &Nodes,
        now: Nanos,
        node: usize,
        took: Duration,
        load: Option<&Load>,
    ) {
        let _ = (nodes, now, node, took, load);
    }

    /// A call has ended without an answer: lost, expired or given up.
    fn lapsed(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        let _ = (nodes, now, node);
    }

    /// A node has told its load without a call, as it was asked to by [`wonders`](Pick::wonders).
    fn reported(&mut self, nodes: &Nodes, now: Nanos, node: usize, load: &Load) {
        let _ = (nodes, now, node, load);
    }

    /// A node whose load it would like to know, although no call goes there: to be asked now. Rarely.
    fn wonders(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let _ = ask;
        None
    }
}

/// What a policy is asked, and what it may look at.
pub struct Ask<'a> {
    /// The time.
    pub now: Nanos,
    /// What is known of each node: of all, not only of those that this policy picks from.
    pub nodes: &'a Nodes,
    /// Numbers, if it needs any.
    pub random: &'a mut Random,
    /// The hash of the call's key, if it has one.
    pub key: Option<u64>,
    able: &'a dyn Fn(usize) -> bool,
}

impl<'a> Ask<'a> {
    /// `able`: which nodes have credit for the call, and have not turned it away. One that is not up
    /// is not asked about.
    pub fn new(
        now: Nanos,
        nodes: &'a Nodes,
        random: &'a mut Random,
        key: Option<u64>,
        able: &'a dyn Fn(usize) -> bool,
    ) -> Ask<'a> {
        Ask {
            now,
            nodes,
            random,
            key,
            able,
        }
    }

    /// Whether a node that warms up is to be passed over by chance, so that whoever picks without
    /// regard to weights gives it no more than its part. If nobody else is able it is taken all the
    /// same.
    pub fn spares(&mut self, node: usize) -> bool {
        let part = self.nodes.part(node);
        part < WHOLE && self.random.below(WHOLE as usize) >= part as usize
    }

    /// Whether this node could take the call: it is up, and whoever asks has nothing against it.
    pub fn is_able(&self, node: usize) -> bool {
        self.nodes.is_up(node) && (self.able)(node)
    }
}

/// Within `impl Pick` of a policy that divides nodes: what comes of a call, and what a node reports,
/// goes to the policy that is told of this node, if one is.
macro_rules! tell_inner {
    ($self:ident, $node:ident => $inner:expr) => {
        fn replied(
            &mut $self,
            nodes: &$crate::balance::Nodes,
            now: $crate::balance::Nanos,
            $node: usize,
            took: std::time::Duration,
            load: Option<&$crate::balance::Load>,
        ) {
            if let Some(policy) = $inner {
                policy.replied(nodes, now, $node, took, load);
            }
        }

        fn failed(
            &mut $self,
            nodes: &$crate::balance::Nodes,
            now: $crate::balance::Nanos,
            $node: usize,
            took: std::time::Duration,
            load: Option<&$crate::balance::Load>,
        ) {
            if let Some(policy) = $inner {
                policy.failed(nodes, now, $node, took, load);
            }
        }

        fn lapsed(
            &mut $self,
            nodes: &$crate::balance::Nodes,
            now: $crate::balance::Nanos,
            $node: usize,
        ) {
            if let Some(policy) = $inner {
                policy.lapsed(nodes, now, $node);
            }
        }

        fn reported(
            &mut $self,
            nodes: &$crate::balance::Nodes,
            now: $crate::balance::Nanos,
            $node: usize,
            load: &$crate::balance::Load,
        ) {
            if let Some(policy) = $inner {
                policy.reported(nodes, now, $node, load);
            }
        }
    };
}

pub(super) use tell_inner;
