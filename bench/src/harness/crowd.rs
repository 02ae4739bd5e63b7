//! Loads with sockets for one direction: what they carry, and how the counts come back.
//!
//! The server tells two endpoints: one for the messages, one on which it answers with its counts. A PUB drops what a
//! subscriber is too slow for, the end of a slice too: so the end is said again until the count is there.
//!
//! # Invariants
//!
//! 1. A slice is counted once all subscribers have seen its end, and once only. (test
//!    `the_last_subscriber_completes_a_slice`)

use anyhow::{Context, Result, ensure};

use super::slice::{Count, Outcome, Plan, Tally, end_of, one_way_outcome};

/// The slice that is only there to see that everybody is connected.
const NO_SLICE: u32 = u32::MAX;

/// Endpoints as a server tells them.
pub(crate) fn join(endpoints: &[String]) -> String {
    endpoints.join(" ")
}

/// Endpoints as a server has told them: those for messages, and the one for counts.
pub(crate) fn split(told: &str) -> Result<(Vec<&str>, &str)> {
    let mut data: Vec<&str> = told.split(' ').collect();
    let counts = data.pop().context("no endpoint for the counts")?;
    ensure!(!data.is_empty(), "{told:?} is one endpoint, not several");
    Ok((data, counts))
}

/// A plan under which nothing is sent but the end.
pub(crate) fn rehearsal(plan: &Plan) -> Plan {
    Plan {
        slice: NO_SLICE,
        ..*plan
    }
}

/// Says the end of a slice until the count comes back. `say` sends it; `hear` waits a moment for the count.
pub(crate) fn finish(
    plan: &Plan,
    mut say: impl FnMut(&[u8]) -> Result<()>,
    mut hear: impl FnMut() -> Result<Option<Vec<u8>>>,
) -> Result<Vec<u8>> {
    loop {
        say(&end_of(plan))?;
        if let Some(count) = hear()? {
            return Ok(count);
        }
    }
}

/// What `sent` messages to so many subscribers came to.
pub(crate) fn crowd_outcome(sent: u64, subscribers: usize, count: Vec<u8>) -> Result<Outcome> {
    one_way_outcome(sent * subscribers as u64, &[count])
}

/// Puts the counts of several subscribers together.
#[derive(Debug)]
pub(crate) struct Gather {
    subscribers: usize,
    slice: Option<u32>,
    seen: Vec<bool>,
    received: u64,
    ns: u64,
}

impl Gather {
    pub(crate) fn new(subscribers: usize) -> Self {
        Self {
            subscribers,
            slice: None,
            seen: vec![false; subscribers],
            received: 0,
            ns: 0,
        }
    }

    /// A subscriber has seen the end of a slice. `Some` once all have: the sum, over the longest time.
    pub(crate) fn add(&mut self, subscriber: usize, slice: u32, count: &Count) -> Option<Count> {
        if self.slice != Some(slice) {
            *self = Self {
                slice: Some(slice),
                ..Self::new(self.subscribers)
            };
        }
        let (received, ns) = count.split_at(8);
        if std::mem::replace(self.seen.get_mut(subscriber)?, true) {
            return None;
        }
        self.received += u64::from_le_bytes(received.try_into().ok()?);
        self.ns = self.ns.max(u64::from_le_bytes(ns.try_into().ok()?));
        if !self.seen.iter().all(|seen| *seen) {
            return None;
        }
        let mut sum = Count::default();
        sum[..8].copy_from_slice(&self.received.to_le_bytes());
        sum[8..].copy_from_slice(&self.ns.to_le_bytes());
        Some(sum)
    }
}

/// One subscriber's count of the slices.
#[derive(Debug, Default)]
pub(crate) struct Subscriber {
    tally: Tally,
    ended: Option<u32>,
}

impl Subscriber {
    /// A message has come: gives the slice and its count at its end, the first time that this is said.
    pub(crate) fn take(&mut self, body: &[u8]) -> Option<(u32, Count)> {
        let count = self.tally.take(body)?;
        let slice = u32::from_le_bytes(body.get(1..5)?.try_into().ok()?);
        (self.ended.replace(slice) != Some(slice)).then_some((slice, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::slice::Refill;
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    fn count(received: u64, ns: u64) -> Count {
        let mut count = Count::default();
        count[..8].copy_from_slice(&received.to_le_bytes());
        count[8..].copy_from_slice(&ns.to_le_bytes());
        count
    }

    #[test]
    fn the_last_subscriber_completes_a_slice() {
        let mut gather = Gather::new(2);
        assert_eq!(gather.add(0, 1, &count(10, 5)), None);
        assert_eq!(gather.add(0, 1, &count(10, 5)), None, "said twice");
        assert_eq!(gather.add(1, 1, &count(20, 3)), Some(count(30, 5)));
        assert_eq!(gather.add(1, 1, &count(20, 3)), None, "once only");
        assert_eq!(gather.add(1, 2, &count(1, 1)), None, "another slice");
    }

    #[test]
    fn the_end_is_said_until_it_is_heard() {
        let plan = Plan::new(3, Duration::from_millis(8), Refill::Each);
        let subscriber = RefCell::new(Subscriber::default());
        let said = Cell::new(0);
        let heard = Cell::new(None);
        let say = |end: &[u8]| {
            said.set(said.get() + 1);
            if said.get() >= 3 {
                heard.set(subscriber.borrow_mut().take(end));
            }
            Ok(())
        };
        let hear = || Ok(heard.take().map(|(_, count)| count.to_vec()));
        let count = finish(&plan, say, hear).expect("a count");
        assert_eq!((said.get(), count.len()), (3, 16));
        let again = subscriber.borrow_mut().take(&end_of(&plan));
        assert_eq!(again, None, "told once");
    }

    #[test]
    fn endpoints_come_back_as_they_were_told() {
        let told = join(&["tcp://a:1".into(), "tcp://b:2".into(), "tcp://c:3".into()]);
        let (data, counts) = split(&told).expect("three");
        assert_eq!(
            (data, counts),
            (vec!["tcp://a:1", "tcp://b:2"], "tcp://c:3")
        );
        assert!(split("tcp://a:1").is_err());
    }
}
