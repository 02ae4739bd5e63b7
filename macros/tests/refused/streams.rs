//! Items are what a method returns, and what its last argument brings.

use brokerless::service::{Context, Incoming, Items, Responder};
use brokerless::{Blob, Status};

#[brokerless::service(name = "a")]
trait Given {
    fn listed(&self) -> Vec<Items<'_, u8>>;
    fn perhaps(&self) -> Option<Items<'_, u8>>;
    fn listed_or_failed(&self) -> Result<Vec<Items<'_, u8>>, Status>;
    fn paired(&self) -> (Items<'_, u8>, u8);
    fn as_an_error(&self) -> Result<u8, Items<'_, u8>>;
    fn lent(&self) -> &Items<'_, u8>;
    fn of_items(&self) -> Items<'_, Items<'_, u8>>;
    fn of_incoming(&self) -> Items<'_, Incoming<u8>>;
    fn for_ever(&self) -> Items<'static, u8>;
    fn of_no_lifetime(&self) -> Items<u8>;
    fn of_lent(&self) -> Items<'_, &str>;
    fn of_lent_bytes(&self) -> Result<Items<'_, &[u8]>, Status>;
    fn of_results(&self) -> Items<'_, Result<u8, Status>>;
    fn of_deep_blobs(&self) -> Items<'_, (u8, Blob)>;
    fn incoming(&self) -> Incoming<u8>;
    fn incoming_or_failed(&self) -> Result<Incoming<u8>, Status>;
    fn some(&self) -> impl Iterator<Item = u8>;
    fn boxed(&self) -> Box<dyn Iterator<Item = u8>>;
}

#[brokerless::service(name = "a")]
trait Taken {
    fn not_last(&self, values: Incoming<u8>, factor: u8);
    fn two(&self, values: Incoming<u8>, words: Incoming<String>);
    fn three(&self, one: Incoming<u8>, two: Incoming<u8>, three: Incoming<u8>);
    fn before_the_context(&self, values: Incoming<u8>, ctx: &Context<'_>);
    fn lent(&self, values: &Incoming<u8>);
    fn perhaps(&self, values: Option<Incoming<u8>>);
    fn listed(&self, values: Vec<Incoming<u8>>);
    fn items(&self, values: Items<'_, u8>);
    fn perhaps_items(&self, values: Option<Items<'_, u8>>);
    fn lent_items(&self, values: &Items<'_, u8>);
    fn of_nothing_named(&self, values: Incoming);
    fn of_lent(&self, values: Incoming<&str>);
    fn of_results(&self, values: Incoming<Result<u8, Status>>);
    fn of_incoming(&self, values: Incoming<Incoming<u8>>);
    fn with_a_default(&self, #[rpc(default)] values: Incoming<u8>);
    fn no_name(&self, _: Incoming<u8>);
}

#[brokerless::service(name = "a")]
trait Options {
    #[rpc(oneway)]
    fn unheard(&self) -> Items<'_, u8>;

    #[rpc(oneway)]
    fn unheard_items(&self, values: Incoming<u8>);

    #[rpc(inline)]
    fn at_once(&self) -> Items<'_, u8>;

    #[rpc(idempotent, inline)]
    fn at_once_of_items(&self, values: Incoming<u8>) -> u8;

    fn later(&self, values: Incoming<u8>, answer: Responder<u8>);

    fn sooner(&self, answer: Responder<u8>, values: Incoming<u8>);

    fn later_items(&self, answer: Responder<Items<'_, u8>>);

    fn both(&self, answer: Responder<u8>) -> Items<'_, u8>;

    #[rpc(item_timeout = "1s")]
    fn no_items(&self) -> u8;

    #[rpc(item_timeout = "soon")]
    fn no_time(&self) -> Items<'_, u8>;

    #[rpc(item_timeout = "1s", item_timeout = "2s")]
    fn twice(&self) -> Items<'_, u8>;

    #[rpc(raw)]
    fn raw_numbers(&self, body: &[u8]) -> Items<'_, u8>;

    #[rpc(raw)]
    fn raw_words(&self, body: &[u8], words: Incoming<String>) -> Vec<u8>;

    #[rpc(raw)]
    fn raw_without_bytes(&self, parts: Incoming<Blob>) -> Vec<u8>;
}

fn main() {}
