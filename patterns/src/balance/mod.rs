//! Picking policies: whose turn it is, as a pure function of state.
//!
//! | file | policy |
//! |---|---|
//! | `smooth` | smooth weighted round-robin |

mod smooth;

pub use smooth::SmoothWeighted;
