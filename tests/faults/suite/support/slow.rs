//! A caller that asks for much and reads nothing.

use brokerless::wire::{CallHead, Encoder, Flags, Flow, Hello, Version, encode_call, encode_hello};

use super::raw::{MORE, Raw, frame};

/// Bytes of an answer, or of an item, that it asks for.
pub(crate) const PART: u64 = 64 << 10;

pub(crate) struct SlowReader {
    raw: Raw,
    next: u64,
}

impl SlowReader {
    pub(crate) fn greeted(address: &str) -> Self {
        let mut raw = Raw::dealer(address, b"");
        let hello = Hello {
            version: 2,
            oldest: 1,
            name: "slow",
        };
        raw.send(&frame(0, &encode_hello(&hello)));
        raw.frame().expect("a welcome");
        SlowReader { raw, next: 1 }
    }

    /// Calls so many times.
    pub(crate) fn call(&mut self, calls: u64) {
        self.ask(calls, |id| CallHead::new(id, "faults.v1.bulk", 60_000_000));
    }

    /// Opens so many streams without end, with all the room that there is.
    pub(crate) fn open(&mut self, streams: u64) {
        self.ask(streams, |id| {
            let mut head = CallHead::new(id, "faults.v1.parts", 60_000_000);
            head.flags = Flags::ITEMS_OUT;
            head.window = Some(Flow::new(u64::MAX, u64::MAX));
            head
        });
    }

    fn ask(&mut self, count: u64, head: impl Fn(u64) -> CallHead<'static>) {
        let ids = self.next..self.next + count;
        self.next = ids.end;
        let messages: Vec<u8> = ids.flat_map(|id| message(&head(id))).collect();
        self.raw.send(&messages);
    }
}

/// An envelope, and a body that says how many bytes are wanted.
fn message(head: &CallHead<'_>) -> Vec<u8> {
    let envelope = encode_call(head, Version::NEWEST).expect("a call");
    let mut body = Encoder::arguments(1);
    body.put(&PART).expect("a number");
    let body = body.finish().body;
    [frame(MORE, &envelope), frame(0, &body)].concat()
}
