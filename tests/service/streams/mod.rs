//! Services with streams.
//!
//! | file | what |
//! |---|---|
//! | `facts.rs` | a service with a method of each form, and what holds of it over any fabric |
//! | `within/` | which is that of these tests here |
//! | `live/` | the fabric itself, and how streams end there |
//! | `info.rs` | what is known of them without calling |

mod info;
mod live;
mod within;
