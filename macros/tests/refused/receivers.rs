//! A handler is shared by all calls.

use std::sync::Arc;

#[brokerless::service(name = "a")]
trait Receivers {
    fn none();
    fn none_but_an_argument(x: u8);
    fn exclusive(&mut self);
    fn owned(self);
    fn shared(self: Arc<Self>);
    fn lent<'a>(&'a self);
    fn lent_for_ever(&'static self);
}

fn main() {}
