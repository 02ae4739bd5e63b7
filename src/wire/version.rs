//! The versions of the wire, and which of them two sides speak.
//!
//! # Invariants
//!
//! 1. Two sides agree on the newest version that both speak, whichever asks. (test
//!    `two_sides_agree_on_the_newest_that_both_speak`)

use std::fmt;

use crate::status::Status;

/// A version of the wire. Each side speaks the newest and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// Without metadata, other encodings, windows of bytes and load reports.
    One = 1,
    /// The current one.
    Two = 2,
}

impl Version {
    /// The newest that is spoken here.
    pub const NEWEST: Version = Version::Two;
    /// The oldest that is spoken here.
    pub const OLDEST: Version = Version::One;

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The version of a number, if it is spoken here.
    pub const fn from_number(number: u8) -> Option<Version> {
        match number {
            1 => Some(Version::One),
            2 => Some(Version::Two),
            _ => None,
        }
    }

    /// The version to speak with a side that speaks `oldest` to `newest`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION`, with both sides' versions, where there is none.
    pub fn agree(newest: u8, oldest: u8) -> Result<Version, Status> {
        let chosen = newest.min(Version::NEWEST.number());
        match Version::from_number(chosen) {
            Some(version) if chosen >= oldest && version >= Version::OLDEST => Ok(version),
            _ => Err(Status::failed_precondition(format!(
                "no version in common: the caller speaks {oldest} to {newest}, the replier {} to {}: bring one of them up to date",
                Version::OLDEST,
                Version::NEWEST
            ))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    #[test]
    fn two_sides_agree_on_the_newest_that_both_speak() {
        assert_eq!(Version::agree(2, 1), Ok(Version::Two));
        assert_eq!(Version::agree(1, 1), Ok(Version::One));
        assert_eq!(Version::agree(3, 2), Ok(Version::Two));
        assert_eq!(Version::agree(200, 1), Ok(Version::Two));
    }

    #[test]
    fn sides_without_a_version_in_common_are_told_both_ranges() {
        for (newest, oldest) in [(4, 3), (0, 0), (1, 2)] {
            let status = Version::agree(newest, oldest).unwrap_err();
            assert_eq!(status.code(), Code::FailedPrecondition);
            let both = format!("{oldest} to {newest}, the replier 1 to 2");
            assert!(status.message().contains(&both), "{status}");
        }
    }

    #[test]
    fn a_version_is_its_number() {
        for version in [Version::One, Version::Two] {
            assert_eq!(Version::from_number(version.number()), Some(version));
        }
        assert_eq!(Version::from_number(0), None);
        assert_eq!(Version::from_number(3), None);
    }
}
