//! Smooth weighted round-robin: each gets its share, spread evenly.
//!
//! At each pick everyone gains its weight, the richest is picked and pays the sum of all. It is
//! nginx's algorithm (2012), with its order: weights A3 B2 C1 give A B A C B A.
//!
//! Whoever cannot take anything sits the pick out: it neither gains nor pays, so it does not
//! come back with a backlog of turns.

/// The state of a smooth weighted round-robin over members numbered from 0.
///
/// ```
/// use brokerless_patterns::balance::SmoothWeighted;
///
/// let mut turns = SmoothWeighted::new();
/// for weight in [3, 2, 1] {
///     turns.push(weight);
/// }
/// let order: Vec<usize> = (0..6).filter_map(|_| turns.pick(|_| true)).collect();
/// assert_eq!(order, [0, 1, 0, 2, 1, 0]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct SmoothWeighted {
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    weight: i64,
    current: i64,
}

impl SmoothWeighted {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a member at the end. One of weight 0 is never picked.
    pub fn push(&mut self, weight: u32) {
        self.members.push(Member {
            weight: weight.into(),
            current: 0,
        });
    }

    /// Takes a member out; those after it move up.
    ///
    /// # Panics
    ///
    /// If there is no such member.
    pub fn remove(&mut self, index: usize) {
        self.members.remove(index);
    }

    /// The weight of a member.
    ///
    /// # Panics
    ///
    /// If there is no such member.
    pub fn weight(&self, index: usize) -> u32 {
        self.members[index].weight as u32
    }

    /// Gives a member another weight. What it has gained so far stays within it.
    ///
    /// # Panics
    ///
    /// If there is no such member.
    pub fn set_weight(&mut self, index: usize, weight: u32) {
        let member = &mut self.members[index];
        member.weight = weight.into();
        member.current = member.current.clamp(-member.weight, member.weight);
    }

    /// Picks the next of those that are `able`.
    pub fn pick(&mut self, mut able: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for index in 0..self.members.len() {
            if self.members[index].weight == 0 || !able(index) {
                continue;
            }
            let member = &mut self.members[index];
            member.current += member.weight;
            total += member.weight;
            let current = member.current;
            if best.is_none_or(|best| current > self.members[best].current) {
                best = Some(index);
            }
        }
        if let Some(best) = best {
            self.members[best].current -= total;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(weights: &[u32]) -> SmoothWeighted {
        let mut turns = SmoothWeighted::new();
        weights.iter().for_each(|&weight| turns.push(weight));
        turns
    }

    fn order(turns: &mut SmoothWeighted, picks: usize) -> String {
        (0..picks)
            .filter_map(|_| turns.pick(|_| true))
            .map(|index| char::from(b'A' + index as u8))
            .collect()
    }

    #[test]
    fn the_order_is_the_published_one() {
        assert_eq!(order(&mut with(&[3, 2, 1]), 12), "ABACBAABACBA");
        assert_eq!(order(&mut with(&[5, 1, 1]), 7), "AABACAA");
    }

    #[test]
    fn one_that_is_unable_is_passed_over_and_gains_no_backlog() {
        let mut turns = with(&[1, 1]);
        for _ in 0..100 {
            assert_eq!(turns.pick(|index| index == 1), Some(1));
        }
        let mut back = order(&mut turns, 10);
        back.truncate(10);
        assert_eq!(back.matches('A').count(), 5, "{back}");
    }

    #[test]
    fn nobody_able_picks_nobody() {
        assert_eq!(with(&[]).pick(|_| true), None);
        assert_eq!(with(&[1, 2]).pick(|_| false), None);
        assert_eq!(with(&[0]).pick(|_| true), None);
    }

    #[test]
    fn weights_may_change_between_picks() {
        let mut turns = with(&[1, 1]);
        order(&mut turns, 3);
        turns.set_weight(0, 3);
        let picks = order(&mut turns, 40);
        assert_eq!(picks.matches('A').count(), 30, "{picks}");
        turns.remove(0);
        assert_eq!(turns.pick(|_| true), Some(0));
    }

    proptest! {
        #[test]
        fn every_round_gives_everyone_its_weight(
            weights in proptest::collection::vec(0u32..20, 1..10),
        ) {
            let total: u32 = weights.iter().sum();
            let mut turns = with(&weights);
            let mut picked = vec![0u32; weights.len()];
            for _ in 0..total {
                picked[turns.pick(|_| true).unwrap()] += 1;
            }
            prop_assert_eq!(picked, weights);
        }
    }
}
