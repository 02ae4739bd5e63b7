//! Cutting one thing into tasks.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::options::{Tasks, scatter};
use crate::Error;

/// The most parts of a partition.
const PARTS_MAX: usize = 1_000_000;

/// Cuts a value into tasks by a function.
///
/// ```
/// use brokerless::scatter;
///
/// let text = "one two three four";
/// let tasks = scatter::split(text, |text| text.split(' '));
/// # drop(tasks);
/// ```
pub fn split<'p, V, I>(value: V, cut: impl FnOnce(V) -> I) -> Tasks<'p, I::Item>
where
    I: IntoIterator,
    I::IntoIter: 'p,
{
    scatter(cut(value))
}

/// Deals items into so many tasks by a key: all items of one key are in the same task, in their
/// order. Tasks that would have no items are left out.
///
/// ```
/// use brokerless::scatter;
///
/// let words = ["apple", "pear", "avocado", "plum"];
/// let tasks = scatter::partition_by_key(words, 8, |word| word.chars().next())?;
/// # drop(tasks);
/// # Ok::<(), brokerless::Error>(())
/// ```
///
/// # Errors
///
/// If the number of parts is not 1 to 1,000,000.
pub fn partition_by_key<'p, T: 'p, K: Hash>(
    items: impl IntoIterator<Item = T>,
    parts: usize,
    key: impl Fn(&T) -> K,
) -> Result<Tasks<'p, Vec<T>>, Error> {
    if !(1..=PARTS_MAX).contains(&parts) {
        return Err(Error::option("parts", parts, "from 1 to 1,000,000"));
    }
    let mut dealt: Vec<Vec<T>> = Vec::new();
    dealt.resize_with(parts, Vec::new);
    for item in items {
        // The same in every process of one build, unlike that of a map.
        let mut hasher = DefaultHasher::new();
        key(&item).hash(&mut hasher);
        let part = (hasher.finish() % parts as u64) as usize;
        if let Some(part) = dealt.get_mut(part) {
            part.push(item);
        }
    }
    dealt.retain(|part| !part.is_empty());
    Ok(scatter(dealt))
}
