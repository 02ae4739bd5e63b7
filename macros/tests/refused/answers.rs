//! What a method gives.

use std::io;

#[brokerless::service(name = "a")]
trait Answers {
    fn alias(&self) -> io::Result<u8>;
    fn nested(&self) -> Result<Result<u8, String>, String>;
    fn some(&self) -> impl Iterator<Item = u8>;
    fn function(&self) -> Vec<fn()>;
    fn never(&self) -> !;
    fn lent_error(&self) -> Result<u8, &str>;
    #[rpc(oneway)]
    fn unheard(&self) -> u8;
    #[rpc(oneway)]
    fn unheard_error(&self) -> Result<(), String>;
}

fn main() {}
