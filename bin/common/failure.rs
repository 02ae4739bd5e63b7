//! Why a program ends without having done what it was asked.

use std::fmt;

/// Why the program ends without a result, or not as it should.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl Failure {
    /// What the user gave cannot be used.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Failure {
            code: 2,
            text: text.into(),
        }
    }

    /// Something went wrong on the way.
    pub(crate) fn run(text: impl Into<String>) -> Self {
        Failure {
            code: 1,
            text: text.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
