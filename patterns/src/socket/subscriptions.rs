//! Who has subscribed to what, as a publisher knows it.
//!
//! ```text
//! topics: prefix tree --> for each topic the list of its subscribers, shared with publishers
//! peers : for each one its topics, how often, and its place in each list
//! ```
//!
//! A publish takes one look down the tree, and the list that it finds as it lies; only where lists
//! of several topics are found are they joined, so that each peer is named once. Beginning or
//! ending a subscription costs the same whatever the number of peers, and a look as long as the
//! topic.
//!
//! What the program is told of subscriptions (an XPUB's) is not queued but worked out: a topic is
//! in the queue while what the program was told last is not so any more. So what is untold never
//! takes more than the topics themselves, and a slow program misses nothing but what has come and
//! gone meanwhile.
//!
//! # Invariants
//!
//! 1. A message is sent to exactly the peers that have subscribed to a prefix of its first frame,
//!    once to each. (proptest `the_table_does_what_a_list_of_subscriptions_does`)
//! 2. Told subscriptions, taken together, are those that exist, once all is told. (same test)
//! 3. A peer never has more topics, or longer ones, than it may. (test
//!    `a_peer_is_held_to_its_limits`)
//!
//! # Not here
//!
//! Who is sent to under which lock (`core/publishing.rs`), what a SUB has subscribed to
//! (`core/subscribing.rs`).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::prefix_tree::PrefixTree;
use crate::zmtp::Violation;

/// What one peer may subscribe to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TopicLimits {
    pub(crate) subscriptions_max: usize,
    pub(crate) topic_bytes_max: usize,
    pub(crate) topics_bytes_max: usize,
}

/// What the program is told of subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Nothing.
    Nothing,
    /// The first subscription to a topic, and the end of the last.
    Changes,
    /// Every subscription and every end, as it comes, of which so many may wait.
    All {
        /// Whether ends are told that are not the last of their topic.
        ends: bool,
        waiting_max: usize,
    },
}

/// One peer in a topic's list.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber<P> {
    pub(crate) peer: P,
    index: u32,
}

#[derive(Debug)]
struct Topic<P> {
    subscribers: Arc<Vec<Subscriber<P>>>,
    /// The program has been told that it is subscribed to.
    told: bool,
    /// Its place among what is to be told; 0 is none.
    queued: u64,
}

/// A peer's share in one topic.
#[derive(Debug)]
struct Share {
    /// How often it has subscribed.
    count: u32,
    /// Its place in the topic's list.
    at: u32,
}

#[derive(Debug)]
struct PeerTopics {
    topics: HashMap<u32, Share>,
    bytes: usize,
    welcomed: bool,
}

/// A subscription that has been taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The peer had not subscribed to this topic.
    pub(crate) is_new: bool,
    /// The topic's number.
    pub(crate) topic: u32,
}

/// Who has subscribed to what.
#[derive(Debug)]
pub(crate) struct Subscriptions<P> {
    tree: PrefixTree<Topic<P>>,
    peers: Vec<Option<PeerTopics>>,
    free: Vec<u32>,
    by_id: HashMap<u64, u32>,
    telling: Telling,
    /// Topics whose state has to be told, in the order in which they changed.
    changed: BTreeMap<u64, u32>,
    changes: u64,
    /// What is told as it comes.
    waiting: VecDeque<(bool, Vec<u8>)>,
    /// Of this, what there was no room for.
    untold: u64,
}

impl<P: Clone> Subscriptions<P> {
    pub(crate) fn new(telling: Telling) -> Self {
        Subscriptions {
            tree: PrefixTree::new(),
            peers: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            telling,
            changed: BTreeMap::new(),
            changes: 0,
            waiting: VecDeque::new(),
            untold: 0,
        }
    }

    /// A peer subscribes.
    pub(crate) fn subscribe(
        &mut self,
        id: u64,
        peer: &P,
        topic: &[u8],
        limits: &TopicLimits,
    ) -> Result<Begun, Violation> {
        let bytes = topic.len();
        if bytes > limits.topic_bytes_max {
            let max = limits.topic_bytes_max;
            return Err(Violation::TopicTooLong { bytes, max });
        }
        let index = self.index(id);
        let Some(state) = self.peers[index as usize].as_mut() else {
            unreachable!("an index is of a peer");
        };
        let known = self.tree.find(topic);
        if let Some(number) = known
            && let Some(share) = state.topics.get_mut(&number)
        {
            share.count = share.count.saturating_add(1);
            self.tell_as_it_comes(true, false, topic);
            return Ok(Begun {
                is_new: false,
                topic: number,
            });
        }
        if state.topics.len() >= limits.subscriptions_max {
            let max = limits.subscriptions_max;
            return Err(Violation::TooManySubscriptions { max });
        }
        if state.bytes + bytes > limits.topics_bytes_max {
            return Err(Violation::TopicsTooLarge {
                bytes: state.bytes + bytes,
                max: limits.topics_bytes_max,
            });
        }
        let number = self.tree.insert(topic, || Topic {
            subscribers: Arc::default(),
            told: false,
            queued: 0,
        });
        let Some(entry) = self.tree.get_mut(number) else {
            unreachable!("it has just been put there");
        };
        let list = Arc::make_mut(&mut entry.subscribers);
        let at = list.len() as u32;
        list.push(Subscriber {
            peer: peer.clone(),
            index,
        });
        let share = Share { count: 1, at };
        state.topics.insert(number, share);
        state.bytes += bytes;
        self.settle(number);
        self.tell_as_it_comes(true, at == 0, topic);
        Ok(Begun {
            is_new: true,
            topic: number,
        })
    }

    fn index(&mut self, id: u64) -> u32 {
        if let Some(&index) = self.by_id.get(&id) {
            return index;
        }
        let state = Some(PeerTopics {
            topics: HashMap::new(),
            bytes: 0,
            welcomed: false,
        });
        let index = match self.free.pop() {
            Some(index) => {
                self.peers[index as usize] = state;
                index
            }
            None => {
                self.peers.push(state);
                (self.peers.len() - 1) as u32
            }
        };
        self.by_id.insert(id, index);
        index
    }

    fn peer_mut(&mut self, id: u64) -> Option<&mut PeerTopics> {
        let index = *self.by_id.get(&id)?;
        self.peers[index as usize].as_mut()
    }

    /// A peer takes one subscription back; what it has not subscribed to is no matter.
    pub(crate) fn cancel(&mut self, id: u64, topic: &[u8]) {
        let Some(number) = self.tree.find(topic) else {
            return;
        };
        let Some(state) = self.peer_mut(id) else {
            return;
        };
        let Some(share) = state.topics.get_mut(&number) else {
            return;
        };
        share.count -= 1;
        if share.count > 0 {
            self.tell_as_it_comes(false, false, topic);
            return;
        }
        let at = share.at;
        state.topics.remove(&number);
        state.bytes -= topic.len();
        self.strike(number, at);
    }

    /// Takes a peer off a topic's list.
    fn strike(&mut self, number: u32, at: u32) {
        let Some(entry) = self.tree.get_mut(number) else {
            return;
        };
        let list = Arc::make_mut(&mut entry.subscribers);
        list.swap_remove(at as usize);
        let is_last = list.is_empty();
        if let Some(moved) = list.get(at as usize)
            && let Some(state) = self.peers[moved.index as usize].as_mut()
            && let Some(share) = state.topics.get_mut(&number)
        {
            share.at = at;
        }
        if matches!(self.telling, Telling::All { .. }) {
            let key = self.tree.key(number);
            self.tell_as_it_comes(false, is_last, &key);
        }
        self.settle(number);
    }

    /// A peer has gone, and its subscriptions with it.
    pub(crate) fn leave(&mut self, id: u64) {
        let Some(index) = self.by_id.remove(&id) else {
            return;
        };
        let Some(state) = self.peers[index as usize].take() else {
            return;
        };
        self.free.push(index);
        for (number, share) in state.topics {
            self.tell_ends(number, share.count - 1);
            self.strike(number, share.at);
        }
    }

    /// Queues a topic to be told if the program knows it otherwise; forgets one that is of no
    /// more use.
    fn settle(&mut self, number: u32) {
        let tells = self.telling == Telling::Changes;
        let Some(topic) = self.tree.get_mut(number) else {
            return;
        };
        let is_wanted = !topic.subscribers.is_empty();
        let differs = tells && is_wanted != topic.told;
        if differs && topic.queued == 0 {
            self.changes += 1;
            topic.queued = self.changes;
            self.changed.insert(self.changes, number);
        } else if !differs && topic.queued != 0 {
            self.changed.remove(&topic.queued);
            topic.queued = 0;
        }
        if !is_wanted && !topic.told {
            self.tree.remove(number);
        }
    }

    /// Tells the ends of so many subscriptions to a topic that are not its last.
    fn tell_ends(&mut self, number: u32, count: u32) {
        let Telling::All { ends, waiting_max } = self.telling else {
            return;
        };
        if !ends || count == 0 {
            return;
        }
        let room = waiting_max.saturating_sub(self.waiting.len());
        let told = room.min(count as usize);
        self.untold += u64::from(count) - told as u64;
        let key = self.tree.key(number);
        self.waiting.extend(std::iter::repeat_n((false, key), told));
    }

    fn tell_as_it_comes(&mut self, begins: bool, is_change: bool, topic: &[u8]) {
        let Telling::All { ends, waiting_max } = self.telling else {
            return;
        };
        if !(begins || ends || is_change) {
            return;
        }
        if self.waiting.len() >= waiting_max {
            self.untold += 1;
        } else {
            self.waiting.push_back((begins, topic.to_vec()));
        }
    }

    /// Whether there is something to tell the program.
    pub(crate) fn has_news(&self) -> bool {
        !self.changed.is_empty() || !self.waiting.is_empty()
    }

    /// What the program is told next: whether a subscription begins or ends, and its topic.
    pub(crate) fn next_news(&mut self) -> Option<(bool, Vec<u8>)> {
        let Some((_, number)) = self.changed.pop_first() else {
            return self.waiting.pop_front();
        };
        let key = self.tree.key(number);
        let topic = self.tree.get_mut(number)?;
        topic.queued = 0;
        topic.told = !topic.subscribers.is_empty();
        let begins = topic.told;
        if !begins {
            self.tree.remove(number);
        }
        Some((begins, key))
    }

    /// What the program was not told, there being no room for it.
    pub(crate) fn untold(&self) -> u64 {
        self.untold
    }

    /// Notes that a peer has been welcomed; false if it had been before.
    pub(crate) fn welcome(&mut self, id: u64) -> bool {
        self.peer_mut(id)
            .is_some_and(|state| !std::mem::replace(&mut state.welcomed, true))
    }

    /// Whether a peer is sent what begins so for another reason than this topic.
    pub(crate) fn is_covered(&self, id: u64, text: &[u8], but: u32) -> bool {
        let Some(state) = self
            .by_id
            .get(&id)
            .and_then(|index| self.peers[*index as usize].as_ref())
        else {
            return false;
        };
        let mut covered = false;
        self.tree.visit(text, |number, _| {
            covered = number != but && state.topics.contains_key(&number);
            !covered
        });
        covered
    }

    /// Topics that a peer has subscribed to.
    pub(crate) fn count_of(&self, id: u64) -> usize {
        let index = self.by_id.get(&id);
        let state = index.and_then(|index| self.peers[*index as usize].as_ref());
        state.map_or(0, |state| state.topics.len())
    }

    /// Every topic with the number of its subscribers, in no order.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (Vec<u8>, usize)> + '_ {
        self.tree.numbers().filter_map(|number| {
            let count = self.tree.get(number)?.subscribers.len();
            (count > 0).then(|| (self.tree.key(number), count))
        })
    }

    /// Finds the peers that a message is sent to whose first frame is this.
    pub(crate) fn select(&self, text: &[u8], selection: &mut Selection<P>) {
        selection.clear();
        self.tree.visit(text, |_, topic| {
            if !topic.subscribers.is_empty() {
                selection.add(&topic.subscribers, self.peers.len());
            }
            true
        });
    }
}

/// Peers that a message is sent to, each once. It keeps its memory from use to use.
#[derive(Debug)]
pub(crate) struct Selection<P> {
    /// The list of the only topic found.
    one: Option<Arc<Vec<Subscriber<P>>>>,
    /// The peers of several.
    many: Vec<Subscriber<P>>,
    /// For each peer the last selection that it was in.
    marks: Vec<u32>,
    mark: u32,
}

impl<P: Clone> Selection<P> {
    pub(crate) const fn new() -> Self {
        Selection {
            one: None,
            many: Vec::new(),
            marks: Vec::new(),
            mark: 0,
        }
    }

    fn add(&mut self, list: &Arc<Vec<Subscriber<P>>>, peers: usize) {
        if self.one.is_none() && self.many.is_empty() {
            self.one = Some(list.clone());
            return;
        }
        if let Some(first) = self.one.take() {
            self.mark = self.mark.wrapping_add(1);
            if self.mark == 0 {
                self.marks.fill(0);
                self.mark = 1;
            }
            if self.marks.len() < peers {
                self.marks.resize(peers, 0);
            }
            self.mark_all(&first);
        }
        self.mark_all(list);
    }

    fn mark_all(&mut self, list: &[Subscriber<P>]) {
        for subscriber in list {
            let mark = &mut self.marks[subscriber.index as usize];
            if *mark != self.mark {
                *mark = self.mark;
                self.many.push(subscriber.clone());
            }
        }
    }

    pub(crate) fn peers(&self) -> &[Subscriber<P>] {
        match &self.one {
            Some(list) => list,
            None => &self.many,
        }
    }

    /// Lets the peers go.
    pub(crate) fn clear(&mut self) {
        self.one = None;
        self.many.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashMap};

    const NO_LIMITS: TopicLimits = TopicLimits {
        subscriptions_max: usize::MAX,
        topic_bytes_max: usize::MAX,
        topics_bytes_max: usize::MAX,
    };

    fn selected(
        table: &Subscriptions<u64>,
        selection: &mut Selection<u64>,
        text: &[u8],
    ) -> Vec<u64> {
        table.select(text, selection);
        let mut peers: Vec<_> = selection.peers().iter().map(|s| s.peer).collect();
        peers.sort_unstable();
        peers
    }

    fn topic() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 0..5)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Subscribe(u64, Vec<u8>),
        Cancel(u64, Vec<u8>),
        Leave(u64),
        Tell,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => (0..6u64, topic()).prop_map(|(id, topic)| Step::Subscribe(id, topic)),
            4 => (0..6u64, topic()).prop_map(|(id, topic)| Step::Cancel(id, topic)),
            1 => (0..6u64).prop_map(Step::Leave),
            3 => Just(Step::Tell),
        ]
    }

    proptest! {
        #[test]
        fn the_table_does_what_a_list_of_subscriptions_does(
            steps in proptest::collection::vec(step(), 0..150),
            texts in proptest::collection::vec(topic(), 1..10),
        ) {
            let mut table = Subscriptions::new(Telling::Changes);
            let mut selection = Selection::new();
            let mut model: HashMap<(u64, Vec<u8>), u32> = HashMap::new();
            let mut told: BTreeSet<Vec<u8>> = BTreeSet::new();
            let hear = |told: &mut BTreeSet<Vec<u8>>, (begins, topic): (bool, Vec<u8>)| {
                // Nothing is told twice, and nothing ends that had not begun.
                assert!(if begins { told.insert(topic) } else { told.remove(&topic) });
            };
            for step in steps {
                match step {
                    Step::Subscribe(id, topic) => {
                        let count = model.entry((id, topic.clone())).or_default();
                        *count += 1;
                        let begun = table.subscribe(id, &id, &topic, &NO_LIMITS).unwrap();
                        prop_assert_eq!(begun.is_new, *count == 1);
                    }
                    Step::Cancel(id, topic) => {
                        table.cancel(id, &topic);
                        let key = (id, topic);
                        if let Some(count) = model.get_mut(&key) {
                            *count -= 1;
                            if *count == 0 {
                                model.remove(&key);
                            }
                        }
                    }
                    Step::Leave(id) => {
                        table.leave(id);
                        model.retain(|(other, _), _| *other != id);
                    }
                    Step::Tell => {
                        if let Some(news) = table.next_news() {
                            hear(&mut told, news);
                        }
                    }
                }
                for text in &texts {
                    let expected: BTreeSet<_> = model
                        .keys()
                        .filter(|(_, topic)| text.starts_with(topic))
                        .map(|(id, _)| *id)
                        .collect();
                    let expected: Vec<_> = expected.into_iter().collect();
                    prop_assert_eq!(selected(&table, &mut selection, text), expected);
                }
                for id in 0..6 {
                    let count = model.keys().filter(|(other, _)| *other == id).count();
                    prop_assert_eq!(table.count_of(id), count);
                }
                let live = model.keys().map(|(_, topic)| topic);
                let known: BTreeSet<_> = live.chain(&told).collect();
                prop_assert!(table.tree.len() <= known.len(), "no more than is of use");
            }
            let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
            for (_, topic) in model.keys() {
                *counts.entry(topic.clone()).or_default() += 1;
            }
            prop_assert_eq!(table.topics().collect::<HashMap<_, _>>(), counts.clone());
            while let Some(news) = table.next_news() {
                hear(&mut told, news);
            }
            prop_assert!(!table.has_news());
            prop_assert_eq!(told, counts.into_keys().collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn a_peer_is_held_to_its_limits() {
        let limits = TopicLimits {
            subscriptions_max: 3,
            topic_bytes_max: 10,
            topics_bytes_max: 12,
        };
        let mut table = Subscriptions::new(Telling::Nothing);
        let mut subscribe = |id, topic: &[u8]| {
            let begun = table.subscribe(id, &id, topic, &limits);
            begun.map(drop).map_err(|violation| violation.name())
        };
        assert_eq!(subscribe(1, &[0; 11]), Err("topic-too-long"));
        assert_eq!(subscribe(1, b"seven.."), Ok(()));
        assert_eq!(subscribe(1, b"seven.."), Ok(()), "again is no more");
        assert_eq!(subscribe(1, b"sixsix"), Err("topics-too-large"));
        assert_eq!(subscribe(1, b"a"), Ok(()));
        assert_eq!(subscribe(1, b"b"), Ok(()));
        assert_eq!(subscribe(1, b"c"), Err("too-many-subscriptions"));
        assert_eq!(subscribe(2, b"c"), Ok(()), "each for itself");
        table.cancel(1, b"a");
        assert_eq!(
            table.subscribe(1, &1, b"c", &limits).map(|b| b.is_new),
            Ok(true)
        );
    }

    #[test]
    fn every_subscription_is_told_where_that_is_asked_for_up_to_the_limit() {
        let news = |ends, waiting_max| {
            let mut table = Subscriptions::new(Telling::All { ends, waiting_max });
            for id in [1, 2] {
                table.subscribe(id, &id, b"t", &NO_LIMITS).unwrap();
            }
            table.subscribe(1, &1, b"t", &NO_LIMITS).unwrap();
            table.cancel(1, b"t");
            table.leave(1);
            table.cancel(2, b"t");
            table.subscribe(3, &3, b"t", &NO_LIMITS).unwrap();
            table.subscribe(3, &3, b"t", &NO_LIMITS).unwrap();
            table.leave(3);
            let news: Vec<_> = std::iter::from_fn(|| table.next_news())
                .map(|(begins, topic)| {
                    assert_eq!(topic, b"t");
                    begins
                })
                .collect();
            (news, table.untold())
        };
        let (on, off) = (true, false);
        assert_eq!(news(false, 10), (vec![on, on, on, off, on, on, off], 0));
        let all = vec![on, on, on, off, off, off, on, on, off, off];
        assert_eq!(news(true, 10), (all, 0));
        assert_eq!(news(true, 2), (vec![on, on], 8));
    }

    #[test]
    fn what_came_and_went_untold_leaves_nothing() {
        let mut table = Subscriptions::new(Telling::Changes);
        for n in 0..1000u64 {
            table
                .subscribe(n, &n, &n.to_be_bytes(), &NO_LIMITS)
                .unwrap();
            table.leave(n);
        }
        assert!(!table.has_news());
        assert_eq!((table.tree.len(), table.changed.len()), (0, 0));
        assert_eq!(table.peers.len(), 1, "places are used again");
    }
}
