//! From what a handler gives to an outcome: values, errors, answers given later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use brokerless::service::{Outcome, Service};
use brokerless::wire::{Encoder, Payload, decode_blobs, decode_optional_blob, decode_value};
use brokerless::{Blob, Code, Ran};
use serde::Serialize;

use crate::calculator::{Calc, Calculator, CalculatorServer, DivideError};
use crate::desk::Desk;

fn arguments<T: Serialize>(of: &T) -> Payload {
    let mut encoder = Encoder::answer();
    encoder.put(of).expect("values that can be encoded");
    encoder.finish()
}

fn ask(method: &str, asked: &Payload) -> Outcome {
    let service = CalculatorServer::new(Calc::default());
    let index = service.info().index_of(method).expect("a method");
    Desk::new(service.info(), index).run(&service, index, asked)
}

#[track_caller]
fn answer(outcome: Outcome) -> Payload {
    match outcome {
        Outcome::Answer(payload) => payload,
        other => panic!("no answer: {other:?}"),
    }
}

/// Code and message of an error of a handler that ran, and the method's own error.
#[track_caller]
fn failure(outcome: Outcome) -> (Code, String, Option<DivideError>) {
    match outcome {
        Outcome::Failed {
            status,
            typed,
            ran: Ran::Yes,
        } => {
            let own = typed.map(|own| decode_value(&own.body).expect("an own error"));
            (status.code(), status.message().to_owned(), own)
        }
        other => panic!("no failure: {other:?}"),
    }
}

#[test]
fn a_methods_own_error_is_told_with_its_text() {
    let (code, message, own) = failure(ask("divide", &arguments(&(1.0, 0.0))));
    assert_eq!((code, &*message), (Code::Unknown, "division by zero"));
    assert_eq!(own, Some(DivideError::ByZero));
}

#[test]
fn a_status_is_told_as_it_is() {
    let mut encoder = Encoder::arguments(2);
    encoder.put_blobs(&[]);
    encoder.put_optional_blob(None);
    let (code, message, own) = failure(ask("join", &encoder.finish()));
    assert_eq!((code, &*message, own), (Code::NotFound, "no blobs", None));
}

#[test]
fn blobs_of_an_answer_are_frames_of_their_own() {
    let some = answer(ask("load", &arguments(&("some",))));
    let blob = decode_optional_blob(&some.body, &some.blobs).expect("a blob or none");
    assert_eq!(blob.as_deref(), Some(&b"some"[..]));
    let none = answer(ask("load", &arguments(&("nothing",))));
    assert!(none.blobs.is_empty());
    assert_eq!(decode_optional_blob(&none.body, &none.blobs), Ok(None));

    let given = [Blob::from(vec![1; 100]), Blob::from(vec![2; 100])];
    let mut encoder = Encoder::arguments(2);
    encoder.put_blobs(&given[..1]);
    encoder.put_optional_blob(Some(&given[1]));
    let joined = answer(ask("join", &encoder.finish()));
    let places: Vec<_> = joined.blobs.iter().map(|frame| frame.as_ptr()).collect();
    assert_eq!(places, [given[0].as_ptr(), given[1].as_ptr()]);
    let joined = decode_blobs(&joined.body, &joined.blobs).expect("blobs");
    assert_eq!(joined, given);
}

#[test]
fn a_method_without_an_answer_gives_the_empty_value() {
    let calc = Arc::new(Calc::default());
    // Shared, so that it can be looked at afterwards.
    let service = CalculatorServer::new(calc.clone());
    let index = service.info().index_of("log").expect("a method");
    let asked = arguments(&("a line",));
    let outcome = Desk::new(service.info(), index).run(&service, index, &asked);
    assert_eq!(decode_value(&answer(outcome).body), Ok(()));
    assert_eq!(*calc.lines.lock().expect("no panic"), ["a line"]);
}

#[test]
fn a_handler_that_is_shared_serves_as_what_it_is() {
    let shared: Arc<dyn Calculator + Send + Sync> = Arc::new(Calc::default());
    assert_eq!(shared.add(1, 2), 3);
    let service: Arc<dyn Service> = Arc::new(CalculatorServer::new(shared));
    let asked = arguments(&(2, 3));
    let outcome = Desk::new(service.info(), 0).run(&service, 0, &asked);
    assert_eq!(decode_value::<i64>(&answer(outcome).body), Ok(5));
}

#[test]
fn a_handler_sees_who_asks_and_what_was_sent_along() {
    let service = CalculatorServer::new(Calc::default());
    let index = service.info().index_of("who-is-it").expect("a method");
    let mut desk = Desk::new(service.info(), index);
    desk.metadata.insert("tenant", "x").expect("short");
    let asked = arguments(&("hello",));
    let told = answer(desk.run(&service, index, &asked));
    let told: String = decode_value(&told.body).expect("text");
    assert_eq!(told, "hello ann of x by calc.v1.who-is-it");
    desk.cancelled.store(true, Ordering::SeqCst);
    let (code, ..) = failure(desk.run(&service, index, &asked));
    assert_eq!(code, Code::Cancelled);
}

#[test]
fn an_answer_may_come_later_from_another_thread() {
    let told = answer(ask("slow", &arguments(&(21,))));
    assert_eq!(decode_value::<i64>(&told.body), Ok(42));
    let told = answer(ask("risky", &arguments(&(3,))));
    assert_eq!(decode_value::<i64>(&told.body), Ok(3));
}

#[test]
fn an_error_may_come_later() {
    let (code, message, own) = failure(ask("slow", &arguments(&(1,))));
    assert_eq!(
        (code, &*message, own),
        (Code::Aborted, "one is too few", None)
    );
    let (code, message, own) = failure(ask("risky", &arguments(&(0,))));
    assert_eq!((code, &*message), (Code::Unknown, "too large by 0.5"));
    assert_eq!(own, Some(DivideError::TooLarge { by: 0.5 }));
}

#[test]
fn a_responder_that_is_dropped_answers_that_it_was() {
    let (code, message, _) = failure(ask("slow", &arguments(&(0,))));
    assert_eq!(code, Code::Internal);
    assert!(message.contains("dropped its responder"), "{message}");
}

#[test]
fn a_handler_that_panics_with_its_responder_has_answered() {
    let service = CalculatorServer::new(Calc::default());
    let index = service.info().index_of("slow").expect("a method");
    let desk = Desk::new(service.info(), index);
    let asked = arguments(&(2,));
    let call = || service.call(index, desk.request(&asked.body, &asked.blobs));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert!(desk.has_late());
}

#[test]
fn a_panic_goes_on_to_whoever_runs_the_call() {
    let asked = arguments(&[0u8; 0]);
    assert!(catch_unwind(AssertUnwindSafe(|| ask("fall", &asked))).is_err());
}

#[test]
fn arguments_that_do_not_fit_leave_the_call_to_be_answered_at_once() {
    let service = CalculatorServer::new(Calc::default());
    let index = service.info().index_of("slow").expect("a method");
    let desk = Desk::new(service.info(), index);
    let outcome = desk.run(&service, index, &arguments(&("text",)));
    assert!(
        matches!(outcome, Outcome::Failed { ran: Ran::No, .. }),
        "{outcome:?}"
    );
    assert!(!desk.has_late());
}
