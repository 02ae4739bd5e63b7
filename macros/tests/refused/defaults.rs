//! What older callers leave out is at the end.

#[brokerless::service(name = "a")]
trait Defaults {
    fn before(&self, #[rpc(default)] x: u8, y: u8);
    fn between(&self, x: u8, #[rpc(default)] y: u8, z: u8, #[rpc(default)] last: u8);
    fn given(&self, #[rpc(default = 7)] x: u8);
}

fn main() {}
