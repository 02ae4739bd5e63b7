//! Calls that stream, as their callers see them.
//!
//! | file | what |
//! |---|---|
//! | `wire.rs` | a service, and a replier by hand in the middle of one of its calls |
//! | `taking.rs` | items that a method gives |
//! | `giving.rs` | items that it takes |
//! | `both.rs` | items both ways |
//! | `rules.rs` | repliers that break the rules |
//! | `live.rs` | client and server together |
//! | `garbled.rs` | repliers that say what makes no sense |
//! | `ends.rs` | how streams end, and what they leave behind |

mod both;
mod ends;
mod garbled;
mod giving;
mod live;
mod rules;
mod taking;
mod wire;
