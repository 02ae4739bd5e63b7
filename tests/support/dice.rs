//! Chance from a seed, and what it makes of messages: numbers at their edges, changed bytes.

use brokerless::patterns::{Frame, Message};

/// Numbers that are worth more than others.
const EDGES: [u64; 8] = [0, 1, 2, 255, 256, u32::MAX as u64, 1 << 63, u64::MAX];

/// Numbers without end, the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1)
    }

    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) % below.max(1)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.roll(count) == 0
    }

    /// The usual number, one close by, or one of those at which much goes wrong.
    pub(crate) fn number(&mut self, usual: u64) -> u64 {
        match self.roll(8) {
            0 => EDGES[self.roll(EDGES.len() as u64) as usize],
            1 => usual.wrapping_add(self.roll(5)).wrapping_sub(2),
            _ => usual,
        }
    }

    /// The message with a few bytes of its frames changed, added or taken away.
    pub(crate) fn garbled(&mut self, message: &Message) -> Message {
        let frames = message.frames().iter().map(|frame| {
            let mut bytes = frame.to_vec();
            if self.one_in(3) && !bytes.is_empty() {
                let place = self.roll(bytes.len() as u64) as usize;
                match self.roll(4) {
                    0 => bytes.truncate(place),
                    1 => bytes.insert(place, self.roll(256) as u8),
                    2 => bytes[place] ^= 1 << self.roll(8),
                    _ => bytes.push(self.roll(256) as u8),
                }
            }
            Frame::from(bytes)
        });
        Message::from_frames(frames.collect::<Vec<_>>())
    }
}
