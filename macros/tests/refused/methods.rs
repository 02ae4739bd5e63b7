//! A method is what another process can call.

#[brokerless::service(name = "a")]
trait Methods {
    async fn sleeps(&self);
    extern "C" fn speaks_c(&self);
    fn of_any<T>(&self, x: u8) -> T;
    fn of_some<const N: usize>(&self, x: u8);
    fn lends<'a, 'b>(&self, x: u8);
    fn sometimes(&self)
    where
        Self: Sized;
    #[cfg(unix)]
    fn here_and_there(&self);
    fn now_and_then(&self, #[cfg(unix)] x: u8);
}

fn main() {}
