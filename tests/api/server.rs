//! The server, driven by a bare DEALER and the wire's own functions: what it does for any client.

#[path = "server/builder.rs"]
mod builder;
#[path = "server/builtin.rs"]
mod builtin;
#[path = "server/calls.rs"]
mod calls;
#[path = "server/desk.rs"]
mod desk;
#[path = "server/drain.rs"]
mod drain;
#[path = "server/malformed.rs"]
mod malformed;
#[path = "server/pools.rs"]
mod pools;
#[path = "server/sessionless.rs"]
mod sessionless;
#[path = "server/sessions.rs"]
mod sessions;
#[cfg(feature = "signals")]
#[path = "server/signals.rs"]
mod signals;
#[path = "server/support.rs"]
mod support;
