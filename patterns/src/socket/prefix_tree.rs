//! A tree of byte strings that finds those which a text begins with.
//!
//! A radix tree: nodes share what their keys have in common, so a look-up takes the text's length
//! at the most, whatever the number of keys and of their lengths.
//!
//! # Invariants
//!
//! 1. A visit gives exactly the keys that the text begins with, the shortest first. (proptest
//!    `the_tree_does_what_a_list_of_keys_does`)
//! 2. A key keeps its number as long as it is there. (same test)
//! 3. There are at most twice as many nodes as keys, and one; the memory of nodes that have gone
//!    is used again. (same test)

/// The node above all others: the empty key.
const ROOT: u32 = 0;

#[derive(Debug)]
struct Node<V> {
    /// What the key adds to its parent's.
    label: Box<[u8]>,
    parent: u32,
    /// By the first byte of their labels, in order.
    children: Vec<(u8, u32)>,
    value: Option<V>,
}

/// A map from byte strings to values, by prefix.
#[derive(Debug)]
pub(crate) struct PrefixTree<V> {
    nodes: Vec<Node<V>>,
    free: Vec<u32>,
}

impl<V> PrefixTree<V> {
    pub(crate) fn new() -> Self {
        let root = Node {
            label: Box::default(),
            parent: ROOT,
            children: Vec::new(),
            value: None,
        };
        PrefixTree {
            nodes: vec![root],
            free: Vec::new(),
        }
    }

    /// Keys in the tree.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.numbers().count()
    }

    fn node(&self, number: u32) -> &Node<V> {
        &self.nodes[number as usize]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node<V> {
        &mut self.nodes[number as usize]
    }

    fn child(&self, number: u32, byte: u8) -> Option<u32> {
        let children = &self.node(number).children;
        let index = children.binary_search_by_key(&byte, |(first, _)| *first);
        index.ok().map(|index| children[index].1)
    }

    fn set_child(&mut self, number: u32, byte: u8, child: u32) {
        let children = &mut self.node_mut(number).children;
        match children.binary_search_by_key(&byte, |(first, _)| *first) {
            Ok(index) => children[index].1 = child,
            Err(index) => children.insert(index, (byte, child)),
        }
    }

    fn make(&mut self, node: Node<V>) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.nodes[number as usize] = node;
                number
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    /// The value of a key by its number.
    pub(crate) fn get(&self, number: u32) -> Option<&V> {
        self.nodes.get(number as usize)?.value.as_ref()
    }

    /// The value of a key by its number.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut V> {
        self.nodes.get_mut(number as usize)?.value.as_mut()
    }

    /// The number of a key that is there.
    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        let (mut at, mut rest) = (ROOT, key);
        while let Some(&byte) = rest.first() {
            at = self.child(at, byte)?;
            rest = rest.strip_prefix(&*self.node(at).label)?;
        }
        self.node(at).value.is_some().then_some(at)
    }

    /// The number of a key, which is added with the value that `make` gives if it is not there.
    pub(crate) fn insert(&mut self, key: &[u8], make: impl FnOnce() -> V) -> u32 {
        let number = self.place(key);
        let node = self.node_mut(number);
        if node.value.is_none() {
            node.value = Some(make());
        }
        number
    }

    /// The node of a key, made where it is missing.
    fn place(&mut self, key: &[u8]) -> u32 {
        let (mut at, mut rest) = (ROOT, key);
        while let Some(&byte) = rest.first() {
            let Some(child) = self.child(at, byte) else {
                let leaf = self.make(Node {
                    label: rest.into(),
                    parent: at,
                    children: Vec::new(),
                    value: None,
                });
                self.set_child(at, byte, leaf);
                return leaf;
            };
            let label = &self.node(child).label;
            let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            at = if common == label.len() {
                child
            } else {
                self.split(child, common)
            };
            rest = &rest[common..];
        }
        at
    }

    /// Puts a node above this one that has the first `common` bytes of its label, which keeps the
    /// rest.
    fn split(&mut self, number: u32, common: usize) -> u32 {
        let parent = self.node(number).parent;
        let label = std::mem::take(&mut self.node_mut(number).label);
        let above = self.make(Node {
            label: label[..common].into(),
            parent,
            children: vec![(label[common], number)],
            value: None,
        });
        self.set_child(parent, label[0], above);
        let node = self.node_mut(number);
        node.label = label[common..].into();
        node.parent = above;
        above
    }

    /// Takes a key out by its number.
    pub(crate) fn remove(&mut self, number: u32) -> Option<V> {
        let value = self.nodes.get_mut(number as usize)?.value.take()?;
        self.prune(number);
        Some(value)
    }

    /// A node without a value stays only where keys part.
    fn prune(&mut self, number: u32) {
        let node = self.node(number);
        if number == ROOT || node.value.is_some() {
            return;
        }
        let parent = node.parent;
        let first = node.label[0];
        match node.children[..] {
            [] => {
                let children = &mut self.node_mut(parent).children;
                children.retain(|(_, child)| *child != number);
                self.forget(number);
                // What was a fork may be none now.
                if self.node(parent).children.len() == 1 {
                    self.prune(parent);
                }
            }
            [(_, child)] => {
                let label = [&*self.node(number).label, &*self.node(child).label].concat();
                let below = self.node_mut(child);
                below.label = label.into();
                below.parent = parent;
                self.set_child(parent, first, child);
                self.forget(number);
            }
            _ => {}
        }
    }

    fn forget(&mut self, number: u32) {
        let node = self.node_mut(number);
        node.label = Box::default();
        node.children = Vec::new();
        self.free.push(number);
    }

    /// Shows every key that the text begins with, by number and value, the shortest first, for as
    /// long as `show` says so.
    pub(crate) fn visit<'a>(&'a self, text: &[u8], mut show: impl FnMut(u32, &'a V) -> bool) {
        let (mut at, mut rest) = (ROOT, text);
        loop {
            if let Some(value) = &self.node(at).value
                && !show(at, value)
            {
                return;
            }
            let Some(&byte) = rest.first() else { return };
            let Some(child) = self.child(at, byte) else {
                return;
            };
            let Some(more) = rest.strip_prefix(&*self.node(child).label) else {
                return;
            };
            (at, rest) = (child, more);
        }
    }

    /// Whether the text begins with any key.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let mut found = false;
        self.visit(text, |_, _| {
            found = true;
            false
        });
        found
    }

    /// The key of this number.
    pub(crate) fn key(&self, mut number: u32) -> Vec<u8> {
        let mut labels = Vec::new();
        while number != ROOT {
            let node = self.node(number);
            labels.push(&*node.label);
            number = node.parent;
        }
        labels.reverse();
        labels.concat()
    }

    /// The numbers of all keys.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let nodes = self.nodes.iter().zip(0..);
        nodes.filter_map(|(node, number)| node.value.is_some().then_some(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Short strings of few letters, so that they share their beginnings.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0)], 0..6)
    }

    fn found(tree: &PrefixTree<u32>, text: &[u8]) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        tree.visit(text, |number, value| {
            assert_eq!(*value, number);
            keys.push(tree.key(number));
            true
        });
        keys
    }

    proptest! {
        #[test]
        fn the_tree_does_what_a_list_of_keys_does(
            steps in proptest::collection::vec((key(), any::<bool>()), 0..120),
            texts in proptest::collection::vec(key(), 0..20),
        ) {
            let mut tree = PrefixTree::new();
            let mut model: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
            for (key, adds) in &steps {
                if *adds {
                    let number = tree.insert(key, || u32::MAX);
                    if let Some(known) = model.insert(key.clone(), number) {
                        prop_assert_eq!(known, number);
                    } else {
                        *tree.get_mut(number).unwrap() = number;
                    }
                } else {
                    let number = tree.find(key);
                    prop_assert_eq!(number, model.remove(key));
                    if let Some(number) = number {
                        prop_assert_eq!(tree.remove(number), Some(number));
                        prop_assert!(tree.get(number).is_none());
                    }
                }
                prop_assert_eq!(tree.len(), model.len());
                let used = tree.nodes.len() - tree.free.len();
                prop_assert!(used <= 2 * model.len() + 1, "{} nodes", used);
                for (key, number) in &model {
                    prop_assert_eq!(tree.find(key), Some(*number));
                    prop_assert_eq!(&tree.key(*number), key);
                }
            }
            for text in texts.iter().chain(steps.iter().map(|(key, _)| key)) {
                let expected: Vec<_> = model.keys().filter(|key| text.starts_with(key)).cloned().collect();
                prop_assert_eq!(tree.matches(text), !expected.is_empty());
                prop_assert_eq!(found(&tree, text), expected);
            }
            let mut numbers: Vec<_> = tree.numbers().collect();
            numbers.sort_unstable();
            let mut known: Vec<_> = model.values().copied().collect();
            known.sort_unstable();
            prop_assert_eq!(numbers, known);
        }
    }

    #[test]
    fn a_visit_ends_when_it_is_told_to() {
        let mut tree = PrefixTree::new();
        for key in ["", "a", "ab"] {
            tree.insert(key.as_bytes(), || ());
        }
        let mut shown = 0;
        tree.visit(b"abc", |_, _| {
            shown += 1;
            shown < 2
        });
        assert_eq!(shown, 2);
    }
}
