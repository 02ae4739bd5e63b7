//! A test that measures: what misses a bar is measured again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::waiting::{MISSED, Watch};
use crate::rounds::in_rounds;

/// How many of a program's tests run at a time, unless somebody asks for another number: they measure
/// latencies, if with slack where nothing is optimised; mostly they wait.
pub(crate) const AT_ONCE: usize = if cfg!(debug_assertions) { 2 } else { 1 };

/// Runs a test, and again in another round if it missed a bar. Whatever else fails does so at once.
#[track_caller]
pub(crate) fn measured(name: &'static str, test: impl Fn()) {
    in_rounds(name, || {
        let _watch = Watch::over(name);
        match catch_unwind(AssertUnwindSafe(&test)) {
            Ok(()) => Ok(()),
            Err(panic) => match panic.downcast::<String>() {
                Ok(text) if text.starts_with(MISSED) => Err(*text),
                Ok(text) => resume_unwind(text),
                Err(panic) => resume_unwind(panic),
            },
        }
    });
}
