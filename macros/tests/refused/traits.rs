//! A service is a plain trait with methods.

#[brokerless::service(name = "a")]
trait Generic<T, const N: usize> {
    fn get(&self) -> u8;
}

#[brokerless::service(name = "a")]
trait Bounded
where
    Self: Clone,
{
    fn get(&self) -> u8;
}

macro_rules! method {
    () => {};
}

#[brokerless::service(name = "a")]
trait Associated {
    const LIMIT: u8;
    type Item;
    method!();
    fn get(&self) -> u8;
}

#[brokerless::service(name = "a")]
struct NoTrait {
    get: u8,
}

#[brokerless::service(name = "a")]
impl NoTrait {
    fn get(&self) -> u8 {
        self.get
    }
}

fn main() {}
