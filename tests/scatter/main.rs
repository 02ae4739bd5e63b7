//! Scatter, broadcast, pinned calls and waiting for any of many, over sockets.
//!
//! | file | what |
//! |---|---|
//! | `work`, `support` | the service, its workers, other processes |
//! | `pinned` | calls for one node and no other |
//! | `together` | waiting for any of many calls |
//! | `spread` | what goes where, and what comes back |
//! | `ends` | limits, deadlines, cancels, panics, bad input |
//! | `faults` | workers that are killed, stopped, slow, draining |

mod ends;
mod faults;
mod pinned;
mod spread;
mod support;
mod together;
mod work;
