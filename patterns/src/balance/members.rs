//! The nodes that a policy picks from, in a dense list, and how some of them are drawn.
//!
//! [`Members::update`] goes with `joined` and `changed`, [`Members::leave`] with `left`: both take a
//! constant time. In the list are those that are up and have a weight; all others would be drawn in
//! vain.
//!
//! Drawing is the beginning of a shuffle (Fisher and Yates): what is drawn changes places with what
//! is at the front, so nothing is drawn twice, nobody is preferred, and whoever draws on comes by
//! everyone.
//!
//! # Invariants
//!
//! 1. What is drawn at one time is distinct, able, and each as likely. (test
//!    `each_pair_is_drawn_as_often`)
//! 2. As long as one is able it is found. (test `the_only_one_that_is_able_is_found`)
//! 3. Its memory goes with the largest number, however many come and go. (test
//!    `who_comes_and_goes_leaves_nothing_behind`)

use super::nodes::Nodes;
use super::pick::Ask;

/// Not in the list.
const OUT: u32 = u32::MAX;

/// The nodes of a policy, or of a part of one, that are up and have a weight.
///
/// ```
/// use brokerless_patterns::balance::{Ask, Members, Nodes, Pick};
///
/// /// The lesser number of two that are drawn.
/// struct Lesser {
///     members: Members,
/// }
///
/// impl Pick for Lesser {
///     fn joined(&mut self, nodes: &Nodes, node: usize) {
///         self.members.update(nodes, node);
///     }
///
///     fn changed(&mut self, nodes: &Nodes, node: usize) {
///         self.members.update(nodes, node);
///     }
///
///     fn left(&mut self, _: &Nodes, node: usize) {
///         self.members.leave(node);
///     }
///
///     fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
///         self.members.least(ask, 2, |_, node| node as f64)
///     }
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Members {
    list: Vec<u32>,
    /// Where in the list a node is, by its number.
    place: Vec<u32>,
}

impl Members {
    /// Nobody.
    pub fn new() -> Members {
        Members::default()
    }

    /// How many are in the list.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether this one is.
    pub fn contains(&self, node: usize) -> bool {
        self.place.get(node).is_some_and(|&place| place != OUT)
    }

    /// The one at this place of the list.
    pub fn get(&self, at: usize) -> Option<usize> {
        self.list.get(at).map(|&node| node as usize)
    }

    /// Everyone in the list, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.list.iter().map(|&node| node as usize)
    }

    /// Takes a node in if it is up and has a weight, and else out. Whether that is a change.
    pub fn update(&mut self, nodes: &Nodes, node: usize) -> bool {
        if nodes.is_up(node) && nodes.weight(node) > 0 {
            self.join(node)
        } else {
            self.leave(node)
        }
    }

    /// Takes a node in, whatever is known of it. Whether it was out.
    pub fn join(&mut self, node: usize) -> bool {
        if self.contains(node) {
            return false;
        }
        let (Ok(number), Ok(at)) = (u32::try_from(node), u32::try_from(self.list.len())) else {
            return false;
        };
        if self.place.len() <= node {
            self.place.resize(node + 1, OUT);
        }
        self.place[node] = at;
        self.list.push(number);
        true
    }

    /// Takes a node out. Whether it was in.
    pub fn leave(&mut self, node: usize) -> bool {
        if !self.contains(node) {
            return false;
        }
        let at = self.place[node] as usize;
        self.list.swap_remove(at);
        if let Some(&moved) = self.list.get(at) {
            self.place[moved as usize] = at as u32;
        }
        self.place[node] = OUT;
        true
    }

    /// One that is able, and has not been drawn since `drawn` was 0: any of them, each as likely.
    ///
    /// ```
    /// # use brokerless_patterns::balance::{Ask, Members};
    /// fn first_two(members: &mut Members, ask: &mut Ask<'_>) -> (Option<usize>, Option<usize>) {
    ///     let mut drawn = 0;
    ///     (members.draw(ask, &mut drawn), members.draw(ask, &mut drawn))
    /// }
    /// ```
    pub fn draw(&mut self, ask: &mut Ask<'_>, drawn: &mut usize) -> Option<usize> {
        while *drawn < self.list.len() {
            let from = *drawn + ask.random.below(self.list.len() - *drawn);
            let (front, node) = (self.list[*drawn], self.list[from]);
            self.list[*drawn] = node;
            self.list[from] = front;
            self.place[front as usize] = from as u32;
            self.place[node as usize] = *drawn as u32;
            *drawn += 1;
            if ask.is_able(node as usize) {
                return Some(node as usize);
            }
        }
        None
    }

    /// Any one that is able, each as likely; one that warms up is less likely by as much as its
    /// [part](Nodes::part) is less.
    pub fn any(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let mut drawn = 0;
        let first = self.draw(ask, &mut drawn)?;
        if !ask.nodes.has_warming() || !ask.spares(first) {
            return Some(first);
        }
        while let Some(node) = self.draw(ask, &mut drawn) {
            if !ask.spares(node) {
                return Some(node);
            }
        }
        Some(first)
    }

    /// The one that costs least of `choices` different ones that are able: of all of them, if there
    /// are not so many. Of those that cost the same, any.
    pub fn least(
        &mut self,
        ask: &mut Ask<'_>,
        choices: usize,
        mut cost: impl FnMut(&Ask<'_>, usize) -> f64,
    ) -> Option<usize> {
        let mut drawn = 0;
        let mut best = self.draw(ask, &mut drawn)?;
        if choices < 2 {
            return Some(best);
        }
        let mut least = None;
        for _ in 1..choices {
            let Some(node) = self.draw(ask, &mut drawn) else {
                break;
            };
            let before = *least.get_or_insert_with(|| cost(ask, best));
            let costs = cost(ask, node);
            if costs < before {
                (best, least) = (node, Some(costs));
            }
        }
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Facts, Random};
    use super::*;

    /// So many nodes that are up.
    fn nodes(count: usize) -> (Nodes, Members) {
        let (mut nodes, mut members) = (Nodes::default(), Members::new());
        for node in 0..count {
            nodes.add(node, Facts::default());
            nodes.set_reachable(node, true);
            assert!(members.update(&nodes, node));
        }
        (nodes, members)
    }

    #[test]
    fn each_pair_is_drawn_as_often() {
        let (nodes, mut members) = nodes(6);
        let mut random = Random::new(1);
        let mut pairs = BTreeMap::new();
        // Node 4 is not able: the others are as likely as if it were not there.
        for _ in 0..100_000 {
            let mut ask = Ask::new(0, &nodes, &mut random, None, &|node| node != 4);
            let mut drawn = 0;
            let pair = [(); 2].map(|()| members.draw(&mut ask, &mut drawn).unwrap());
            *pairs.entry(pair).or_insert(0) += 1;
        }
        assert_eq!(pairs.len(), 5 * 4);
        assert!(pairs.keys().all(|[one, two]| one != two));
        assert!(
            pairs.values().all(|count| (4_700..5_300).contains(count)),
            "{pairs:?}"
        );
    }

    #[test]
    fn the_only_one_that_is_able_is_found() {
        let (nodes, mut members) = nodes(1000);
        let mut random = Random::new(1);
        for only in 0..1000 {
            let able = |node| node == only;
            let mut ask = Ask::new(0, &nodes, &mut random, None, &able);
            assert_eq!(members.any(&mut ask), Some(only));
            assert_eq!(members.least(&mut ask, 2, |_, _| 0.0), Some(only));
            let mut drawn = 0;
            assert_eq!(members.draw(&mut ask, &mut drawn), Some(only));
            assert_eq!(members.draw(&mut ask, &mut drawn), None);
        }
    }

    #[test]
    fn who_comes_and_goes_leaves_nothing_behind() {
        let (mut nodes, mut members) = nodes(10);
        for change in 0..100_000 {
            let node = change % 10;
            nodes.set_reachable(node, change % 20 < 10);
            members.update(&nodes, node);
            assert!(members.len() <= 10 && members.place.len() == 10);
        }
        (0..10).for_each(|node| {
            members.leave(node);
        });
        assert!(members.is_empty() && members.list.capacity() <= 16);
    }

    #[test]
    fn the_list_is_of_those_that_are_up_and_have_a_weight() {
        let (mut nodes, mut members) = nodes(3);
        nodes.set_reachable(0, false);
        nodes.set_facts(1, Facts::weight(0));
        nodes.set_part(1, 1000);
        assert!(members.update(&nodes, 0) && members.update(&nodes, 1));
        assert!(!members.update(&nodes, 2) && !members.update(&nodes, 99));
        assert_eq!(members.iter().collect::<Vec<_>>(), [2]);
        assert!(!members.leave(usize::MAX) && !members.contains(usize::MAX));
    }

    #[test]
    fn of_all_the_least_is_found_and_ties_are_anyones() {
        let (nodes, mut members) = nodes(10);
        let mut random = Random::new(1);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            let mut ask = Ask::new(0, &nodes, &mut random, None, &|_| true);
            let cost = |_: &Ask<'_>, node: usize| if node < 2 { 1.0 } else { 2.0 };
            counts[members.least(&mut ask, 1000, cost).unwrap()] += 1;
        }
        assert_eq!(counts[0] + counts[1], 10_000);
        assert!((4_700..5_300).contains(&counts[0]), "{counts:?}");
    }
}
