//! A client's methods, there and back.

use std::sync::Arc;

use brokerless::{Blob, CallError, Code, Ran};

use crate::calculator::{Calc, CalculatorClient, CalculatorServer, DivideError, Query};
use crate::fabric::client::{Call, Client};

fn client() -> CalculatorClient {
    let service = CalculatorServer::new(Calc::default());
    CalculatorClient::from(Client(Arc::new(service)))
}

#[test]
fn values_go_there_and_back() {
    let calc = client();
    assert_eq!(calc.add(2, 3).expect("a sum"), 5);
    assert_eq!(calc.find("abab", "b").expect("places"), [1, 3]);
    calc.log("a line").expect("sent");
    let query = Query {
        text: "q",
        limit: 3,
    };
    let places = calc.places(None, b"bytes", query).expect("places");
    assert_eq!((places.len(), places[0]), (3, 0));
}

#[test]
fn blobs_go_there_and_back() {
    let calc = client();
    let blob = calc.load("some").expect("answered").expect("a blob");
    assert_eq!(&blob[..], b"some");
    assert_eq!(calc.load("nothing").expect("answered"), None);
    let data = Blob::from(vec![1, 2, 3]);
    let place = calc.store("name".to_owned(), data.clone()).expect("stored");
    assert_eq!(place, data.as_ptr() as u64);
    let joined = calc.join(vec![data.clone()], Some(data)).expect("joined");
    assert_eq!(joined.len(), 2);
    let grown = calc
        .grown(1, 2, None, Blob::new(), Vec::new())
        .expect("answered");
    assert_eq!(grown, "1 2 None 0 0");
}

#[test]
fn a_methods_own_error_comes_back_as_its_type() {
    let calc = client();
    assert_eq!(calc.divide(1.0, 2.0).expect("a quotient"), 0.5);
    let error = calc.divide(1.0, 0.0).expect_err("no quotient");
    assert!(
        matches!(error, CallError::Method(DivideError::ByZero)),
        "{error:?}"
    );
    assert_eq!(error.ran(), Ran::Yes);
    let error = calc.risky(0).expect_err("risky");
    assert!(
        matches!(error, CallError::Method(DivideError::TooLarge { .. })),
        "{error:?}"
    );
}

#[test]
fn a_status_comes_back_as_the_fabrics_error() {
    let error = client().join(Vec::new(), None).expect_err("no blobs");
    assert_eq!((error.code(), error.ran()), (Code::NotFound, Ran::Yes));
    let error = client().slow(1).expect_err("aborted");
    assert_eq!(error.code(), Code::Aborted);
}

#[test]
fn a_late_answer_is_an_answer_like_any_other() {
    assert_eq!(client().slow(4).expect("answered"), 8);
}

#[test]
fn options_hold_for_the_client_that_was_given_them() {
    let calc = client();
    let tenant = calc.with(Call { tenant: Some("x") });
    let who = |calc: &CalculatorClient| calc.who("hello").expect("answered");
    assert_eq!(who(&tenant), "hello ann of x by calc.v1.who-is-it");
    assert_eq!(who(&calc), "hello ann of nobody by calc.v1.who-is-it");
    assert_eq!(who(&tenant.clone()), who(&tenant));
    let pending = tenant.begin().who("hi").expect("sent");
    assert_eq!(
        pending.wait().expect("answered"),
        "hi ann of x by calc.v1.who-is-it"
    );
}

#[test]
fn calls_can_be_begun_and_waited_for() {
    let calc = client();
    let begin = calc.begin();
    let sums = [1, 2, 3].map(|x| begin.add(x, x).expect("sent"));
    let sums = sums.map(|pending| pending.wait().expect("a sum"));
    assert_eq!(sums, [2, 4, 6]);
    let error = begin.divide(1.0, 0.0).expect("sent").wait();
    assert!(matches!(error, Err(CallError::Method(DivideError::ByZero))));
    begin.log("a line").expect("sent");
}

#[test]
fn what_is_generated_can_be_shown() {
    let calc = client();
    assert_eq!(format!("{calc:?}"), "CalculatorClient { .. }");
    let begin = format!("{:?}", calc.begin());
    assert_eq!(begin, "CalculatorBegin { client: CalculatorClient { .. } }");
    let server = CalculatorServer::new(Calc::default());
    assert_eq!(format!("{server:?}"), "CalculatorServer { .. }");
}

#[test]
fn raw_bytes_go_there_and_back() {
    let calc = client();
    assert_eq!(calc.turn(b"abc").expect("turned"), b"cba");
    let error = calc.turn(b"").expect_err("nothing to turn");
    assert!(
        matches!(error, CallError::Method(DivideError::ByZero)),
        "{error:?}"
    );
    let place = calc.place(b"abc").expect("a place");
    assert_eq!(place.len(), 8);
    calc.note(b"abc").expect("sent");
}
