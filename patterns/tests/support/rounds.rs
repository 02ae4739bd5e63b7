//! Measures, taken in rounds: a bar that holds in one of several is met.
//!
//! What else the machine does makes a measure worse, hardly ever better, and not in every round. A
//! bar that does not hold is missed in all of them.

/// Rounds in which a bar has to hold once.
pub(crate) const ROUNDS: usize = 5;

/// Takes a measure in rounds until it holds, and gives what that round gave. A round that misses its
/// bar gives what it saw instead, which is printed.
///
/// # Panics
///
/// If none holds: with what each saw.
#[track_caller]
pub(crate) fn in_rounds<T>(what: &str, mut round: impl FnMut() -> Result<T, String>) -> T {
    let mut missed = String::new();
    for number in 1..=ROUNDS {
        match round() {
            Ok(held) => return held,
            Err(seen) => {
                let seen = format!("{what}, round {number} of {ROUNDS}: {seen}\n");
                eprint!("{seen}");
                missed += &seen;
            }
        }
    }
    panic!("missed in every round\n{missed}");
}
