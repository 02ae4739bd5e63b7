//! What the sockets promise, each promise over tcp, ipc and inproc where it makes sense.

mod alone;
mod deaf;
mod endpoints;
mod exchange;
mod identity;
mod limits;
mod pair;
mod patterns;
mod pipeline;
mod pubsub;
mod raw;
mod round_trip;
mod slow;
mod support;
mod tap;
mod watching;
mod xpubsub;
