//! What the bus promises, at its ends, on the wire and through what stands in between.

mod between;
mod ends;
mod support;
mod wire;
