//! What stands in the parentheses of `#[service(...)]`.

#[brokerless::service]
trait NoName {}

#[brokerless::service()]
trait NoNameEither {}

#[brokerless::service(name = "")]
trait EmptyName {}

#[brokerless::service(name = "calc..v1")]
trait EmptyPart {}

#[brokerless::service(name = "calc/v1")]
trait Slash {}

#[brokerless::service(name = calc)]
trait NameWithoutQuotes {}

#[brokerless::service(name = "a", name = "b")]
trait TwoNames {}

#[brokerless::service(name = "a", version = "1")]
trait Unknown {}

#[brokerless::service(name = "a", crate = "not a path")]
trait NoPath {}

fn main() {}
