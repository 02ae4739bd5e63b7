//! Measures that what else runs on the machine can only make worse: taken several times, and one that
//! meets its bar is enough. What misses it by its own fault misses it each time.

/// What was seen, as met or missed.
pub(crate) fn bar(is_met: bool, seen: String) -> Result<String, String> {
    if is_met { Ok(seen) } else { Err(seen) }
}

/// Measures until the bar is met, so many times at most, and says what was seen each time.
#[allow(clippy::print_stdout, reason = "what was seen is to be read")]
#[track_caller]
pub(crate) fn measured(rounds: usize, mut measure: impl FnMut() -> Result<String, String>) {
    let mut missed = Vec::new();
    for round in 1..=rounds {
        match measure() {
            Ok(seen) => return println!("round {round}: {seen}"),
            Err(seen) => {
                println!("round {round}: {seen}: the bar is missed");
                missed.push(seen);
            }
        }
    }
    panic!("the bar was met in none of {rounds} rounds: {missed:?}");
}
