//! The server, driven by a bare DEALER and the wire's own functions: what it does for any client.

#[path = "server/builder.rs"]
mod builder;
#[path = "server/builtin.rs"]
mod builtin;
#[path = "server/calls.rs"]
mod calls;
#[path = "server/desk.rs"]
mod desk;
#[path = "../support/dice.rs"]
mod dice;
#[path = "server/drain.rs"]
mod drain;
#[path = "server/flow.rs"]
mod flow;
#[path = "server/malformed.rs"]
mod malformed;
#[path = "server/pools.rs"]
mod pools;
#[path = "../../patterns/tests/support/rounds.rs"]
mod rounds;
#[path = "server/sessionless.rs"]
mod sessionless;
#[path = "server/sessions.rs"]
mod sessions;
#[cfg(feature = "signals")]
#[path = "server/signals.rs"]
mod signals;
#[path = "server/streams_both.rs"]
mod streams_both;
#[path = "server/streams_ends.rs"]
mod streams_ends;
#[path = "server/streams_garbled.rs"]
mod streams_garbled;
#[path = "server/streams_in.rs"]
mod streams_in;
#[path = "server/streams_out.rs"]
mod streams_out;
#[path = "server/support.rs"]
mod support;
