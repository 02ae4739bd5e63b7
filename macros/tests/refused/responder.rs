//! The responder is the last argument, and the only answer.

use brokerless::service::Responder;

#[brokerless::service(name = "a")]
trait Responders {
    fn first(&self, answer: Responder<u8>, x: u8);
    fn of_nothing_named(&self, answer: Responder);
    fn both(&self, answer: Responder<u8>) -> u8;
    fn lent(&self, answer: &Responder<u8>);
    fn twice(&self, one: Responder<u8>, other: Responder<u8>);
    #[rpc(oneway)]
    fn unheard(&self, answer: Responder<u8>);
    fn borrowed(&self, answer: Responder<Option<&str>>);
    fn default(&self, #[rpc(default)] answer: Responder<u8>);
}

fn main() {}
