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

    /// Any one that is able, each as likely.
    pub fn any(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        self.draw(ask, &mut 0)
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
