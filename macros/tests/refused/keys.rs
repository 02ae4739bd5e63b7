//! What `#[rpc(key = "...")]` may name.

use brokerless::Blob;
use brokerless::service::Incoming;

#[brokerless::service(name = "a")]
trait Keys {
    #[rpc(key = "z")]
    fn unknown(&self, x: u8, y: u8);

    #[rpc(key = "x")]
    fn of_none(&self);

    #[rpc(key = "data")]
    fn of_a_blob(&self, data: Blob);

    #[rpc(key = "values")]
    fn of_items(&self, x: u8, values: Incoming<u8>) -> u64;

    #[rpc(key = 1)]
    fn of_a_number(&self, x: u8);

    #[rpc(key = "x", key = "y")]
    fn of_two(&self, x: u8, y: u8);
}

fn main() {}
