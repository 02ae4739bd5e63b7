//! Bars on what is measured. One that is missed is noted, and said once the test has come to its end:
//! whatever else a round has to show is held to it, too.

use std::cell::RefCell;

use super::hold;

thread_local! {
    static MISSED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes what was measured, if its bar was missed. On the thread of the test.
pub(crate) fn bar(holds: bool, seen: impl FnOnce() -> String) {
    if !holds {
        MISSED.with_borrow_mut(|missed| missed.push(seen()));
    }
}

/// Runs a test, and then says which bars it missed.
#[track_caller]
pub(crate) fn held(test: fn()) {
    MISSED.take();
    test();
    let missed = MISSED.take();
    hold(missed.is_empty(), || missed.join("; "));
}
