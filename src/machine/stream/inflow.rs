//! The taking end of a stream: order, the window, and the end.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::Flow;

/// Who takes items. `T` is what the shell keeps of each message.
#[derive(Debug)]
pub struct Inflow<T> {
    /// How much may be un-taken at once.
    size: Flow,
    /// What the other side was let send.
    told: Flow,
    /// What the shell has taken.
    taken: Flow,
    /// What has come, in order or not.
    came: Flow,
    /// Messages in order, not yet given out.
    ready: VecDeque<T>,
    /// The index after the items in order.
    next: u64,
    /// Messages that came before those that they follow, by the index of their first item.
    held: BTreeMap<u64, (u32, T)>,
    /// The index after the last item, once known.
    end: Option<u64>,
    broken: Option<Violation>,
    /// What was told last found no way to the other side.
    unheard: bool,
}

/// What the other side of a stream did that it must not. The stream cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// More items than the window: so many, of at most so many.
    Items(u64, u64),
    /// More bytes than the window: so many, of at most so many.
    Bytes(u64, u64),
    /// An item came twice: the one of this index.
    Twice(u64),
    /// An item came after the last: the one of this index.
    AfterLast(u64),
    /// The end came before an item: the one of this index.
    Missing(u64),
    /// A message without items that is not the last.
    Empty,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Items(items, max) => {
                write!(
                    f,
                    "{items} items of a stream, where the window ends at {max}"
                )
            }
            Violation::Bytes(bytes, max) => {
                write!(
                    f,
                    "{bytes} bytes of a stream, where the window ends at {max}"
                )
            }
            Violation::Twice(index) => write!(f, "item {index} of a stream came twice"),
            Violation::AfterLast(index) => {
                write!(f, "item {index} of a stream came after its last")
            }
            Violation::Missing(index) => {
                write!(f, "a stream ended before its item {index} had come")
            }
            Violation::Empty => {
                f.write_str("a message of a stream without items, which was not the last")
            }
        }
    }
}

impl std::error::Error for Violation {}

/// An item of so many bytes is worth a message of its own.
const LARGE: u64 = 4 * 1024;
/// So many items do not come one by one.
const MANY: u64 = 256;

impl<T> Inflow<T> {
    /// A taker that has at most so much un-taken; one item at least.
    pub fn new(window: Flow) -> Inflow<T> {
        let size = Flow::new(window.items.max(1), window.bytes);
        Inflow {
            size,
            told: Flow::default(),
            taken: Flow::default(),
            came: Flow::default(),
            ready: VecDeque::new(),
            next: 0,
            held: BTreeMap::new(),
            end: None,
            broken: None,
            unheard: false,
        }
    }

    /// The window that the other side is told to begin with.
    pub fn first_window(&mut self) -> Flow {
        self.told.items = self.told.items.max(self.size.items);
        self.told.bytes = self.told.bytes.max(self.size.bytes);
        self.told
    }

    /// A message has come, with so many items from this index on. What is in order now is given by
    /// [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// Where the other side may not have sent it: the message is gone, and so is each that comes
    /// from now on. What had come in order is still given.
    pub fn arrive(
        &mut self,
        first: u64,
        count: u32,
        bytes: u64,
        last: bool,
        message: T,
    ) -> Result<(), Violation> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if let Err(violation) = self.check(first, count, bytes, last) {
            return Err(self.break_off(violation));
        }
        let end = first + u64::from(count);
        self.came.items += u64::from(count);
        self.came.bytes = self.came.bytes.saturating_add(bytes);
        if last && !(planted!(EmptyLastIgnored) && count == 0) {
            self.end = Some(end);
        }
        if planted!(DisorderTaken) {
            self.next += u64::from(count);
            self.ready.push_back(message);
            return Ok(());
        }
        if count == 0 {
            return Ok(());
        }
        if first > self.next {
            self.held.insert(first, (count, message));
            return Ok(());
        }
        self.next = end;
        self.ready.push_back(message);
        while let Some((count, message)) = self.held.remove(&self.next) {
            self.next += u64::from(count);
            self.ready.push_back(message);
            if planted!(HeldGoesOneByOne) {
                break;
            }
        }
        Ok(())
    }

    /// The other side ends the stream with what it has sent, by an answer or an error.
    ///
    /// # Errors
    ///
    /// Where an item that came shows that one before it has not. What had come in order is still
    /// given.
    pub fn close(&mut self) -> Result<(), Violation> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let end = self.end.unwrap_or(self.next);
        if end > self.next || !self.held.is_empty() {
            return Err(self.break_off(Violation::Missing(self.next)));
        }
        self.end = Some(end);
        Ok(())
    }

    /// The next message, in order; none if it has not come, or there is no more.
    #[expect(clippy::should_implement_trait, reason = "more may come after none")]
    pub fn next(&mut self) -> Option<T> {
        self.ready.pop_front()
    }

    /// The shell has taken so many items with so many bytes, of what it was given.
    pub fn took(&mut self, items: u32, bytes: u64) {
        self.taken.items = self.taken.items.saturating_add(items.into());
        self.taken.bytes = self.taken.bytes.saturating_add(bytes);
    }

    /// Whether anything was taken that the other side was not told.
    pub fn owes_window(&self) -> bool {
        self.end.is_none() && (self.unheard || self.window_after(self.taken) != self.told)
    }

    /// Whether so little is owed that the other side can do without it for a while: there is room for
    /// much more like it, and it was large items, each of which goes at once, or so many that more
    /// of them are as good as there.
    pub fn owes_little(&self) -> bool {
        let to = self.window_after(self.taken);
        let items = to.items.saturating_sub(self.told.items);
        let bytes = to.bytes.saturating_sub(self.told.bytes);
        let item = bytes.checked_div(items).unwrap_or_default();
        !self.unheard
            && (item >= LARGE || items >= MANY)
            && items <= self.size.items / 4
            && bytes.saturating_add(2 * item) <= self.size.bytes
    }

    /// What was told last could not be sent: it is due again at once.
    pub fn unheard(&mut self) {
        self.unheard = true;
    }

    /// The window to tell the other side now, if one is due: half of the last has been taken since;
    /// or anything has, and the taker is about to wait. None once the last item has come.
    pub fn due_window(&mut self, about_to_wait: bool) -> Option<Flow> {
        if self.end.is_some() || self.broken.is_some() {
            return None;
        }
        let moved = match planted!(WindowOfWhatCame) {
            true => self.came,
            false => self.taken,
        };
        let to = self.window_after(moved);
        let items = to.items.saturating_sub(self.told.items);
        let bytes = to.bytes.saturating_sub(self.told.bytes);
        let half = items >= self.size.items.div_ceil(2) || bytes > self.size.bytes / 2;
        let idle = about_to_wait && !planted!(IdleTakerSilent);
        let again = std::mem::take(&mut self.unheard);
        if !again && ((items == 0 && bytes == 0) || !(half || idle)) {
            return None;
        }
        self.told = to;
        Some(to)
    }

    /// Whether the stream has ended, and all that came before the end is given out.
    pub fn is_ended(&self) -> bool {
        if planted!(EndOvertakesItems) {
            return self.end.is_some();
        }
        self.ready.is_empty() && self.end.is_some_and(|end| end <= self.next)
    }

    /// Whether the end is known: nothing is to come but what is missing before it.
    pub fn end_is_known(&self) -> bool {
        self.end.is_some()
    }

    /// Why the stream cannot go on, if it cannot.
    pub fn violation(&self) -> Option<Violation> {
        self.broken
    }

    /// Messages and bytes that are kept and were not given out, at most: what came and was not
    /// taken.
    pub fn kept(&self) -> Flow {
        Flow {
            items: self.came.items.saturating_sub(self.taken.items),
            bytes: self.came.bytes.saturating_sub(self.taken.bytes),
        }
    }

    /// What the other side may have sent in all, once so much is taken.
    fn window_after(&self, taken: Flow) -> Flow {
        Flow {
            items: taken.items.saturating_add(self.size.items),
            bytes: taken.bytes.saturating_add(self.size.bytes),
        }
    }

    fn check(&self, first: u64, count: u32, bytes: u64, last: bool) -> Result<(), Violation> {
        let end = first
            .checked_add(count.into())
            .ok_or(Violation::Items(u64::MAX, self.told.items))?;
        if self.end.is_some_and(|known| last || end > known) {
            return Err(Violation::AfterLast(first));
        }
        if count == 0 && !last {
            return Err(Violation::Empty);
        }
        if first < self.next {
            return Err(Violation::Twice(first));
        }
        let (before, after) = (
            self.held.range(..end).next_back(),
            self.held.last_key_value(),
        );
        if let Some((&other, &(of_other, _))) = before
            && other + u64::from(of_other) > first
        {
            return Err(Violation::Twice(first.max(other)));
        }
        if last
            && let Some((&other, &(of_other, _))) = after
            && other + u64::from(of_other) > end
        {
            return Err(Violation::AfterLast(other));
        }
        if end > self.told.items {
            return Err(Violation::Items(end, self.told.items));
        }
        let sum = self.came.bytes.saturating_add(bytes);
        // One that is larger than the window goes alone, once all before it is taken.
        let alone = count == 1 && first == self.taken.items;
        if sum > self.told.bytes && bytes > 0 && !alone {
            return Err(Violation::Bytes(sum, self.told.bytes));
        }
        Ok(())
    }

    #[cold]
    fn break_off(&mut self, violation: Violation) -> Violation {
        self.held.clear();
        self.broken = Some(violation);
        violation
    }
}
