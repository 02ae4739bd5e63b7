//! Arguments of types that cannot travel.

use std::any::Any;

struct Thing;

#[brokerless::service(name = "a")]
trait Arguments {
    fn lent(&self, thing: &Thing);
    fn lent_deeper(&self, thing: Option<&Thing>);
    fn lent_many(&self, texts: &[&str]);
    fn lent_string(&self, text: &String);
    fn lent_bytes(&self, bytes: &Vec<u8>);
    fn lent_list(&self, list: &Vec<u64>);
    fn lent_number(&self, x: &u64);
    fn exclusive(&self, text: &mut str);
    fn for_ever(&self, text: &'static str);
    fn address(&self, at: *const u8);
    fn function(&self, f: fn(u8) -> u8);
    fn boxed_function(&self, f: Box<dyn Fn(u8) -> u8>);
    fn any(&self, thing: Box<dyn Any>);
    fn some(&self, thing: impl Into<u64>);
    fn itself(&self, other: Box<Self>);
    fn no_name(&self, _: u8);
    fn parts(&self, (x, y): (u8, u8));
    fn changed(&self, mut x: u8);
}

fn main() {}
