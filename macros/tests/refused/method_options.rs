//! What stands in the parentheses of `#[rpc(...)]`.

#[brokerless::service(name = "a")]
trait Options {
    #[rpc]
    fn bare(&self);

    #[rpc(idempotant)]
    fn unknown(&self);

    #[rpc(idempotent = true)]
    fn with_a_value(&self);

    #[rpc(inline)]
    #[rpc(inline)]
    fn twice(&self);

    #[rpc(timeout = 2)]
    fn a_number(&self);

    #[rpc(timeout = "2")]
    fn no_unit(&self);

    #[rpc(timeout = "1.5s")]
    fn a_fraction(&self);

    #[rpc(timeout = "0s")]
    fn no_time(&self);

    #[rpc(timeout = "99999999999h")]
    fn too_long(&self);

    #[rpc(pool = "")]
    fn no_pool(&self);

    #[rpc(inline, pool = "disk")]
    fn both(&self);

    #[rpc(default)]
    fn of_an_argument(&self);

    #[rpc(name = "not ok")]
    fn no_name(&self);

    #[rpc = "inline"]
    fn no_list(&self);

    #[rpc(raw)]
    fn raw_numbers(&self, body: &[u8], number: u8) -> Vec<u8>;

    #[rpc(raw)]
    fn raw_nothing(&self) -> Vec<u8>;

    #[rpc(raw)]
    fn raw_text(&self, body: &str) -> Vec<u8>;

    #[rpc(raw)]
    fn raw_given(&self, body: &[u8]) -> String;

    #[rpc(raw)]
    fn raw_default(&self, #[rpc(default)] body: &[u8]) -> Vec<u8>;

    fn argument(&self, #[rpc(inline)] x: u8, #[rpc] y: u8);
}

fn main() {}
