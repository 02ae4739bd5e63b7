//! What the compiler says to a trait that cannot be a service: where, which rule, and the way out.
//!
//! Each file in `refused/` has a `.stderr` beside it, with all that the compiler prints. After a
//! change of what is said: `TRYBUILD=overwrite cargo test -p brokerless-macros --test refused`, and read the difference.
//!
//! # Not here
//!
//! What generated code does (`tests/service/main.rs`).

#[test]
fn what_cannot_be_a_service_is_refused_where_it_stands() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
