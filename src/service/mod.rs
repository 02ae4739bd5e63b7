//! What a service is to the fabric: its methods, and how one of them is called.
//!
//! The attribute [`service`](macro@crate::service) writes most of this for a trait; whoever serves
//! methods that are known only while the program runs implements [`Service`] by hand. A server
//! finds the method by its name, decides when and on which thread it runs, and gives the request
//! to [`Service::call`]; what that returns is the [`Outcome`].
//!
//! ```text
//! server                         service                          handler
//! call(index, Request) ────────► arguments decoded, borrowed ───► trait method
//!    Outcome::Answer ◄────────── answer encoded ◄──────────────── value
//!    Outcome::Later  ◄────────── ... or the handler has taken a Responder
//!    Answerer::finish ◄───────────────────────────────────────── Responder::send, any thread
//! ```
//!
//! | file | what |
//! |---|---|
//! | `info.rs` | what is known of a service without calling it |
//! | `context.rs` | what a handler may ask about its call |
//! | `request.rs` | a call on its way in, and how it came out |
//! | `responder.rs` | answers given later |
//! | `passing.rs` | a call that is passed on as it came |
//! | `stream/` | items: what a method sends and is sent, one after the other |
//! | `support.rs` | what generated code is written against |
//!
//! # Invariants
//!
//! 1. A call that is answered later is finished exactly once, also where its handle is dropped or
//!    its handler panics. (test `a_responder_that_is_dropped_answers_that_it_was`)
//! 2. Arguments that do not fit end the call before the handler runs, and say so with
//!    [`Ran::No`](crate::Ran::No). (test `an_argument_of_another_type_is_refused_by_its_name`)
//!
//! # Not here
//!
//! Which thread runs a handler, panics, deadlines that have passed: the server. How values become
//! bytes: `crate::wire`.

mod context;
mod info;
mod passing;
mod request;
mod responder;
mod stream;
#[doc(hidden)]
pub mod support;

pub use context::{Caller, Context, Running};
pub(crate) use info::is_health;
pub use info::{ArgumentInfo, MethodInfo, ServiceInfo};
pub(crate) use passing::Passing;
pub use request::{Outcome, Request, Service};
pub use responder::{Answerer, Deferred, Responder};
pub use stream::{Batch, Incoming, Item, Items, Produce, Produced, RawIncoming, RawItem, Supply};
