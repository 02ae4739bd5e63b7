//! Blobs stand beside the arguments, not deeper within them.

use brokerless::Blob;

#[brokerless::service(name = "a")]
trait Blobs {
    fn lent(&self, blob: &Blob);
    fn deeper(&self, blobs: Vec<Option<Blob>>);
    fn paired(&self, pair: (u8, Blob));
    fn given_deeper(&self) -> Result<(Blob, u8), String>;
    fn given_as_an_error(&self) -> Result<u8, Blob>;
}

fn main() {}
