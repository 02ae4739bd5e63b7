//! A caller in another process can promise nothing.

#[brokerless::service(name = "a")]
unsafe trait Promised {
    fn get(&self) -> u8;
}

#[brokerless::service(name = "a")]
trait Promises {
    unsafe fn get(&self) -> u8;
}

fn main() {}
