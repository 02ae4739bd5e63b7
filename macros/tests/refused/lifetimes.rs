//! What is borrowed is borrowed from the one request.

use std::borrow::Cow;

struct Pair<'a, 'b>(&'a str, &'b str);

#[brokerless::service(name = "a")]
trait Lifetimes {
    fn named<'q>(&self, text: Cow<'q, str>);
    fn two(&self, pair: Pair<'_, '_>);
    fn given(&self) -> Cow<'_, str>;
    fn given_text(&self) -> &str;
    fn given_bytes(&self) -> Option<&[u8]>;
    fn given_for_ever(&self) -> &'static u64;
}

fn main() {}
