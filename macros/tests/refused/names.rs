//! Names that are taken, or cannot be.

#[brokerless::service(name = "a")]
trait Names {
    fn begin(&self);
    fn with(&self, x: u8);
    fn connect(&self);
    fn from(&self);
    fn clone(&self);
    fn client(&self);
    fn add(&self);
    #[rpc(name = "add")]
    fn other(&self);
    fn größer(&self);
}

fn main() {}
