//! The sending end of a stream: room, batches, and what has been sent.

use std::ops::RangeInclusive;

use super::Flow;

/// Batches on their way up to which an item goes at once.
const QUIET: usize = 4;
/// Bytes that are worth a message of their own.
const BATCH_BYTES: u64 = 16 * 1024;
/// Items that are worth a message of their own: a quarter of the window, within these.
const BATCH_ITEMS: RangeInclusive<u64> = 256..=4096;
/// Whoever grants so many items more than were sent does not say what it takes: nothing gathers.
const UNBOUNDED: u64 = 1 << 21;

/// Who sends items.
///
/// The shell keeps the bytes, the machine counts them: [`gather`](Self::gather) each item that is
/// put into the batch, and send the batch when it says so; or keep batches by other rules, and
/// tell what was [`sent`](Self::sent).
#[derive(Debug, Clone)]
pub struct Outflow {
    /// The window's size: what the other side granted before anything was sent.
    size: Flow,
    granted: Flow,
    /// What was sent, and what has gathered.
    used: Flow,
    gathered: Flow,
    /// Where the last batches ended, the newest first; 0 where there was none.
    ends: [u64; QUIET],
    /// The other side does not say what it takes: nothing waits until it has.
    unbounded: bool,
    stopped: bool,
}

/// Items that go in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The index of the first.
    pub first: u64,
    /// How many.
    pub count: u32,
    /// Bytes of their bodies and blobs.
    pub bytes: u64,
}

impl Outflow {
    /// A sender that may send so much at first: nothing, if the other side has yet to say.
    pub fn new(first: Flow) -> Outflow {
        Outflow {
            size: first,
            granted: first,
            used: Flow::default(),
            gathered: Flow::default(),
            ends: [0; QUIET],
            unbounded: first.items > UNBOUNDED,
            stopped: false,
        }
    }

    /// The other side lets so much be sent, since the stream began. Whether that is news: then
    /// [`flush`](Self::flush) what has gathered, and see whether more may be sent.
    ///
    /// One that grants less than an earlier one was overtaken by it, and is passed over.
    pub fn granted(&mut self, to: Flow) -> bool {
        if planted!(WindowCountedTwice) && self.used.items > 0 {
            self.granted.items = self.granted.items.saturating_add(to.items);
            self.granted.bytes = self.granted.bytes.saturating_add(to.bytes);
            return true;
        }
        let before = self.granted;
        self.granted.items = before.items.max(to.items);
        self.granted.bytes = before.bytes.max(to.bytes);
        if planted!(WindowFalls) {
            self.granted = to;
        }
        if self.used == Flow::default() {
            self.size = self.granted;
        } else if to.items > 0 {
            // The first one was overtaken.
            self.size.items = self.size.items.min(to.items);
            self.size.bytes = self.size.bytes.min(to.bytes);
        }
        if planted!(GatheredNeverFlushed) && self.gathered.items > 0 {
            return false;
        }
        let ahead = self.granted.items.saturating_sub(self.used.items);
        self.unbounded |= ahead > UNBOUNDED;
        self.granted != before
    }

    /// Whether there is room for one more item of so many bytes, beside those that are sent and
    /// gathered. One that is larger than the window has room while nothing is un-taken.
    pub fn may_send(&self, bytes: u64) -> bool {
        if self.stopped || self.used.items >= self.granted.items {
            return false;
        }
        if planted!(ItemBytesIgnored) {
            return true;
        }
        if planted!(LargeItemNotAlone) && bytes > self.size.bytes {
            return true;
        }
        let alone = self.used.items <= self.taken() && !planted!(LargeItemNeverGoes);
        alone || self.used.bytes.saturating_add(bytes) <= self.granted.bytes
    }

    /// Counts an item that is put into the batch; there was room for it. Whether the batch is to be
    /// sent now: [`flush`](Self::flush).
    pub fn gather(&mut self, bytes: u64) -> bool {
        self.gather_run(1, bytes, false)
    }

    /// The same, for so many items with so many bytes in all, which were within
    /// [`run`](Self::run).
    pub fn gather_run(&mut self, items: u32, bytes: u64, brisk: bool) -> bool {
        self.use_up(items, bytes);
        self.gathered.items += u64::from(items);
        self.gathered.bytes = self.gathered.bytes.saturating_add(bytes);
        self.goes_at_once(brisk)
            || self.gathered.bytes >= BATCH_BYTES
            || self.gathered.items >= self.batch_items()
    }

    /// How many items with how many bytes there is room for that would only gather: none if one
    /// would go at once. It stays so until a window comes, which can but add to it.
    ///
    /// `brisk`: the next items are as good as there, so that they may as well go together; as long
    /// as something is on its way, so that a window comes for them.
    pub fn run(&self, brisk: bool) -> Flow {
        if self.stopped || self.goes_at_once(brisk) {
            return Flow::default();
        }
        let room = self.granted.items.saturating_sub(self.used.items);
        let batch = self.batch_items().saturating_sub(self.gathered.items);
        Flow {
            items: room.min(batch),
            bytes: self.granted.bytes.saturating_sub(self.used.bytes),
        }
    }

    /// Items in the batch that is not sent yet.
    pub fn gathered(&self) -> u32 {
        self.gathered.items as u32
    }

    /// What has gathered, as it goes into a message now; none if there is none.
    pub fn flush(&mut self) -> Option<Batch> {
        let gathered = std::mem::take(&mut self.gathered);
        let mut count = u32::try_from(gathered.items)
            .ok()
            .filter(|&count| count > 0)?;
        self.ended_batch();
        if planted!(LastOfBatchLost) && u64::from(count) >= *BATCH_ITEMS.start() {
            count -= 1;
        }
        Some(Batch {
            first: self.used.items - gathered.items,
            count,
            bytes: gathered.bytes,
        })
    }

    /// Counts items that went in a message, past the batch; there was room for them, and nothing
    /// had gathered. The index of the first.
    pub fn sent(&mut self, items: u32, bytes: u64) -> u64 {
        let first = self.used.items;
        self.use_up(items, bytes);
        self.ended_batch();
        first
    }

    /// Whether few batches are on their way, so that an item is worth its own message.
    pub fn is_quiet(&self) -> bool {
        let oldest = self.ends.last().copied().unwrap_or_default();
        oldest <= self.taken() || self.unbounded
    }

    /// Items that are sent or gathered: the index of the next one.
    pub fn items(&self) -> u64 {
        self.used.items
    }

    /// Items that are sent and not known to be taken, those gathered among them.
    pub fn untaken(&self) -> u64 {
        self.used.items.saturating_sub(self.taken())
    }

    /// The other side wants no more: nothing may be sent from now on.
    pub fn stop(&mut self) {
        if !planted!(StopIgnored) {
            self.stopped = true;
            self.gathered = Flow::default();
        }
    }

    /// Whether the other side wants no more.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Items that are known to be taken: the window moves by what is.
    fn taken(&self) -> u64 {
        self.granted.items.saturating_sub(self.size.items)
    }

    /// What gathers goes with the next window. If nothing is on its way, none comes.
    fn goes_at_once(&self, brisk: bool) -> bool {
        let sent = self.used.items.saturating_sub(self.gathered.items);
        match brisk {
            true => sent <= self.taken() || self.unbounded,
            false => self.is_quiet(),
        }
    }

    fn batch_items(&self) -> u64 {
        (self.size.items / 4).clamp(*BATCH_ITEMS.start(), *BATCH_ITEMS.end())
    }

    fn use_up(&mut self, items: u32, bytes: u64) {
        self.used.items = self.used.items.saturating_add(items.into());
        self.used.bytes = self.used.bytes.saturating_add(bytes);
    }

    fn ended_batch(&mut self) {
        self.ends.rotate_right(1);
        if let Some(newest) = self.ends.first_mut() {
            *newest = self.used.items;
        }
    }
}
