//! What the wire, the machines and programs all speak of: whether a call ran, credit, load,
//! and how far a stream is.
//!
//! # Not here
//!
//! How they stand in an envelope (`wire`); what follows from them (`machine`).

use std::fmt;

pub use brokerless_patterns::balance::Load;

/// Whether a call that failed was begun: what a retry has to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Ran {
    /// It was not: to call again is safe.
    #[default]
    No = 0,
    /// Nobody can say: it was sent, and no answer came.
    Maybe = 1,
    /// It was.
    Yes = 2,
}

impl Ran {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What a number says; one that is not known says as little as [`Ran::Maybe`].
    pub const fn from_number(number: u64) -> Ran {
        match number {
            0 => Ran::No,
            2 => Ran::Yes,
            _ => Ran::Maybe,
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ran::No => "no",
            Ran::Maybe => "maybe",
            Ran::Yes => "yes",
        })
    }
}

/// What a caller may have in flight: a window of calls and bytes. Absolute: the most that may be in
/// flight at once, not what is added to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Credit {
    /// Calls sent and not yet answered.
    pub calls: u32,
    /// Bytes of their bodies and blobs; [`u64::MAX`] is any number.
    pub bytes: u64,
}

/// Items of a stream, and bytes of their bodies and blobs: totals since the stream began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flow {
    /// Items.
    pub items: u64,
    /// Bytes; in a window, [`u64::MAX`] is any number.
    pub bytes: u64,
}

impl Flow {
    /// So many items and bytes.
    pub const fn new(items: u64, bytes: u64) -> Flow {
        Flow { items, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_read_back_and_an_unknown_number_says_maybe() {
        for ran in [Ran::No, Ran::Maybe, Ran::Yes] {
            assert_eq!(Ran::from_number(ran.number().into()), ran);
        }
        assert_eq!(Ran::from_number(3), Ran::Maybe);
        assert_eq!(Ran::from_number(u64::MAX), Ran::Maybe);
    }
}
