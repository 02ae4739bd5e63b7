//! What is known of a service without calling it.

use std::time::Duration;

use brokerless::service::{MethodInfo, Service};

use crate::calculator::{Calc, CalculatorClient, CalculatorServer};

fn method(name: &str) -> &'static MethodInfo {
    let info = CalculatorClient::SERVICE;
    let index = info.index_of(name).expect("a method of this name");
    &info.methods[index]
}

#[test]
fn a_service_knows_its_name_and_methods_in_their_order() {
    let info = CalculatorServer::new(Calc::default()).info();
    assert_eq!(info, CalculatorClient::SERVICE);
    assert_eq!(info.name, "calc.v1");
    assert_eq!(info.docs, "Calculates, and does\nmuch else.");
    let names: Vec<&str> = info.methods.iter().map(|method| method.name).collect();
    assert_eq!(
        names,
        [
            "add",
            "divide",
            "find",
            "places",
            "store",
            "load",
            "join",
            "log",
            "who-is-it",
            "slow",
            "risky",
            "grown",
            "fall",
            "turn",
            "place",
            "note"
        ]
    );
    assert_eq!(info.index_of("find"), Some(2));
    assert_eq!(info.index_of("calc.v1.find"), None);
}

#[test]
fn a_method_knows_its_arguments_answer_and_documentation() {
    let add = method("add");
    assert_eq!(add.path, "calc.v1.add");
    assert_eq!(add.service(), "calc.v1");
    assert_eq!(
        add.docs,
        "Adds two numbers.\n\n# Errors\n\nNone of its own."
    );
    assert_eq!(add.returns, "i64");
    assert_eq!(add.error, None);
    let arguments = add.arguments.iter();
    let arguments: Vec<(&str, &str)> = arguments.map(|a| (a.name, a.type_name)).collect();
    assert_eq!(arguments, [("x", "i64"), ("y", "i64")]);
    let places = method("places").arguments.iter();
    let places: Vec<&str> = places.map(|argument| argument.type_name).collect();
    assert_eq!(places, ["Option<&str>", "&[u8]", "Query<'_>"]);
    assert_eq!(method("log").returns, "()");
    assert_eq!(method("divide").docs, "");
}

#[test]
fn options_are_as_they_were_written() {
    let divide = method("divide");
    assert!(divide.idempotent && divide.inline && !divide.oneway && !divide.later);
    assert_eq!((divide.returns, divide.error), ("f64", Some("DivideError")));
    let store = method("store");
    assert_eq!(
        (store.timeout, store.pool),
        (Some(Duration::from_secs(2)), Some("disk"))
    );
    assert!(method("log").oneway);
    assert_eq!(method("join").error, None);
    assert_eq!(method("add").timeout, None);
}

#[test]
fn the_context_and_the_responder_are_no_arguments() {
    let names = |name| {
        method(name)
            .arguments
            .iter()
            .map(|a| a.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("who-is-it"), ["greeting"]);
    assert_eq!(names("slow"), ["x"]);
    assert_eq!(names("risky"), ["x"]);
    let risky = method("risky");
    assert!(risky.later);
    assert_eq!((risky.returns, risky.error), ("i64", Some("DivideError")));
}

#[test]
fn arguments_with_a_default_are_marked() {
    let marks: Vec<bool> = method("grown")
        .arguments
        .iter()
        .map(|a| a.default)
        .collect();
    assert_eq!(marks, [false, true, true, true, true]);
}
