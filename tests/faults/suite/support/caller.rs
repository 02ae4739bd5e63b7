//! What runs in a caller's process: calls that nobody ends.

use std::io::Read;

use super::work::WorkClient;

/// The first argument that makes this program one.
pub(crate) const ROLE: &str = "role-caller";

/// Calls `hold` at an endpoint, under a name and so many times, and stays until its input ends.
#[allow(clippy::print_stdout, reason = "it speaks to its parent")]
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) {
    let endpoint = arguments.next().expect("an endpoint");
    let mut number = || -> u64 {
        let argument = arguments.next().expect("an argument");
        argument.parse().expect("a number")
    };
    let (caller, calls) = (number(), number());
    let client = WorkClient::connect(endpoint).expect("an endpoint");
    let begin = |nonce| client.begin().hold(caller, nonce).expect("it begins");
    let held: Vec<_> = (0..calls).map(begin).collect();
    println!("ready {}", held.len());
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
}
