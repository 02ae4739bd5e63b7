//! What the sockets promise, each promise over tcp, ipc and inproc where it makes sense.

mod alone;
mod endpoints;
mod exchange;
mod identity;
mod limits;
mod patterns;
mod support;
mod watching;
