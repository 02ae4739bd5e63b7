//! Asking again: how often, when, and whose answer it is that comes.
//!
//! | file | what |
//! |---|---|
//! | `attempts` | one request: its deadline, its attempts, its pauses |
//! | `budget` | all requests of a caller: how many retries they may cost |
//! | `requests` | numbers, by which an answer that comes too late is known |
//!
//! Nothing here waits or draws random numbers: times are given, as what has passed since a moment
//! of the program's own choice, and so is chance.
//!
//! ```
//! use std::time::Duration;
//! use brokerless_patterns::retry::{Arrival, Attempts, Budget, Next, Policy, Requests};
//!
//! let (mut requests, mut budget) = (Requests::new(1), Budget::new(10, 10));
//! let ms = Duration::from_millis;
//!
//! let id = requests.open();
//! budget.request();
//! let mut attempts = Attempts::new(Policy::default(), ms(1000)); // to be done within a second
//! let until = attempts.begin(ms(0)); // send it, and wait for the answer
//! assert_eq!(until, ms(200));
//! let Next::Again { at } = attempts.failed(until, 42, &mut budget) else { panic!() };
//! assert!(at >= ms(225) && at < ms(275)); // jitter; then send it again, under the same number
//! attempts.begin(at);
//!
//! assert_eq!(requests.answered(id), Arrival::Expected);
//! assert_eq!(requests.answered(id), Arrival::Late); // the first attempt's, after all
//! ```
//!
//! # Not here
//!
//! Whether a request may be run twice: whoever serves it has to know it again by its number.

mod attempts;
mod budget;
mod requests;

pub use attempts::{Attempts, GiveUp, Next, Policy};
pub use budget::Budget;
pub use requests::{Arrival, Requests};
