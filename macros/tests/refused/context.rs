//! The context is the first argument, by reference.

use brokerless::service::Context;

#[brokerless::service(name = "a")]
trait Contexts {
    fn last(&self, x: u8, ctx: &Context<'_>);
    fn owned(&self, ctx: Context<'_>);
    fn exclusive(&self, ctx: &mut Context<'_>);
    fn twice(&self, ctx: &Context<'_>, again: &Context<'_>);
    fn default(&self, #[rpc(default)] ctx: &Context<'_>);
    fn within(&self, ctx: Option<Context<'_>>);
    fn unnamed(&self, _: &Context<'_>);
}

fn main() {}
