//! From bytes to arguments, and what is said of those that do not fit.

use brokerless::patterns::Frame;
use brokerless::service::{Outcome, Service};
use brokerless::wire::{Encoder, Encoding, Payload, decode_value};
use brokerless::{Blob, Code, Ran, Status};
use serde::Serialize;

use crate::calculator::{Calc, CalculatorServer, Query};
use crate::desk::Desk;

fn calculator() -> CalculatorServer<Calc> {
    CalculatorServer::new(Calc::default())
}

fn index(method: &str) -> usize {
    calculator().info().index_of(method).expect("a method")
}

fn ask(method: &str, asked: &Payload) -> Outcome {
    let (service, index) = (calculator(), index(method));
    Desk::new(service.info(), index).run(&service, index, asked)
}

/// Arguments that are one tuple or array of values.
fn arguments<T: Serialize>(of: &T) -> Payload {
    let mut encoder = Encoder::answer();
    encoder.put(of).expect("values that can be encoded");
    encoder.finish()
}

#[track_caller]
fn answer<T: serde::de::DeserializeOwned>(outcome: Outcome) -> T {
    match outcome {
        Outcome::Answer(payload) => decode_value(&payload.body).expect("the answer's type"),
        other => panic!("no answer: {other:?}"),
    }
}

#[track_caller]
fn refusal(outcome: Outcome) -> Status {
    match outcome {
        Outcome::Failed {
            status,
            typed: None,
            ran: Ran::No,
        } => status,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn arguments_reach_the_handler_in_their_order() {
    assert_eq!(answer::<i64>(ask("add", &arguments(&(2, 3)))), 5);
    assert_eq!(answer::<f64>(ask("divide", &arguments(&(1.0, 4.0)))), 0.25);
    assert_eq!(
        answer::<Vec<u64>>(ask("find", &arguments(&("abab", "b")))),
        [1, 3]
    );
}

#[test]
fn an_argument_of_another_type_is_refused_by_its_name() {
    let status = refusal(ask("add", &arguments(&(2, "three"))));
    assert_eq!(status.code(), Code::InvalidArgument);
    for part in ["argument y", "i64", "str"] {
        assert!(status.message().contains(part), "{part}: {status}");
    }
    assert!(!status.message().contains("three"), "{status}");
}

#[test]
fn a_missing_argument_is_refused_by_its_name() {
    let status = refusal(ask("add", &arguments(&(2,))));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("argument y"), "{status}");
}

#[test]
fn surplus_arguments_are_ignored() {
    assert_eq!(
        answer::<i64>(ask("add", &arguments(&(2, 3, "later", 9)))),
        5
    );
    assert_eq!(
        refusal(ask("add", &arguments(&7))).code(),
        Code::InvalidArgument
    );
}

#[test]
fn arguments_that_are_no_array_are_refused_where_none_are_taken_too() {
    assert_eq!(
        refusal(ask("fall", &arguments(&7))).code(),
        Code::InvalidArgument
    );
    assert_eq!(
        refusal(ask("fall", &Payload::raw(vec![0xc1]))).code(),
        Code::InvalidArgument
    );
}

#[test]
fn arguments_that_older_callers_leave_out_have_their_defaults() {
    let grown = |asked: &Payload| answer::<String>(ask("grown", asked));
    assert_eq!(grown(&arguments(&(1,))), "1 0 None 0 0");
    assert_eq!(grown(&arguments(&(1, 2))), "1 2 None 0 0");
    assert_eq!(
        grown(&arguments(&(1, 2, "three"))),
        "1 2 Some(\"three\") 0 0"
    );
    let mut all = Encoder::arguments(5);
    for number in [1, 2] {
        all.put(&number).expect("a number");
    }
    all.put("three").expect("text");
    all.put_blob(&Blob::from_static(b"four"));
    all.put_blobs(&[Blob::new(), Blob::new()]);
    assert_eq!(grown(&all.finish()), "1 2 Some(\"three\") 4 2");
    let status = refusal(ask("grown", &arguments(&[0u8; 0])));
    assert!(status.message().contains("argument first"), "{status}");
    let status = refusal(ask("grown", &arguments(&(1, "two"))));
    assert!(status.message().contains("argument second"), "{status}");
}

#[test]
fn borrowed_arguments_lie_in_the_request() {
    let query = Query {
        text: "query",
        limit: 1,
    };
    let asked = arguments(&(Some("text"), serde_bytes(b"bytes"), query));
    let lie = answer::<Vec<u64>>(ask("places", &asked));
    let range = asked.body.as_ptr_range();
    let range = range.start as u64..range.end as u64;
    assert!(
        lie.iter().all(|place| range.contains(place)),
        "{lie:?} in {range:?}"
    );
    let absent = arguments(&(None::<&str>, serde_bytes(b"bytes"), query));
    assert_eq!(answer::<Vec<u64>>(ask("places", &absent))[0], 0);
}

/// Bytes as bytes, whatever the serializer does with slices.
fn serde_bytes(bytes: &[u8]) -> impl Serialize + '_ {
    struct Bytes<'b>(&'b [u8]);
    impl Serialize for Bytes<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    Bytes(bytes)
}

#[test]
fn a_blob_is_the_frame_that_came() {
    let data = Blob::from(vec![7; 4096]);
    let mut encoder = Encoder::arguments(2);
    encoder.put("name").expect("text");
    encoder.put_blob(&data);
    let place = answer::<u64>(ask("store", &encoder.finish()));
    assert_eq!(place, data.as_ptr() as u64);
}

#[test]
fn a_blob_that_did_not_come_is_refused_by_its_name() {
    let status = refusal(ask("store", &arguments(&("name", 0))));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("argument data"), "{status}");
}

#[test]
fn an_index_without_a_method_is_refused() {
    for beyond in [calculator().info().methods.len(), usize::MAX] {
        let service = calculator();
        let asked = arguments(&(2, 3));
        let outcome = Desk::new(service.info(), beyond).run(&service, beyond, &asked);
        let status = refusal(outcome);
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().contains("calc.v1"), "{status}");
    }
}

#[test]
fn raw_bytes_are_no_arguments() {
    let (service, index) = (calculator(), index("add"));
    let desk = Desk::new(service.info(), index);
    let frames: [Frame; 0] = [];
    let mut request = desk.request(&[0x92, 2, 3], &frames);
    assert_eq!(answer::<i64>(service.call(index, request)), 5);
    request.encoding = Encoding::Raw;
    let status = refusal(service.call(index, request));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("calc.v1.add"), "{status}");
}

#[test]
fn a_raw_method_takes_its_bytes_as_they_came() {
    let (service, index) = (calculator(), index("place"));
    let desk = Desk::new(service.info(), index);
    let body = [0xc1; 100];
    let mut request = desk.request(&body, &[]);
    let status = refusal(service.call(index, request));
    assert!(status.message().contains("takes raw bytes"), "{status}");
    request.encoding = Encoding::Raw;
    assert!(matches!(service.call(index, request), Outcome::Later));
    let Outcome::Answer(place) = desk.late() else {
        panic!("no answer");
    };
    assert_eq!(place.body[..], (body.as_ptr() as u64).to_le_bytes());
    assert_eq!(service.info().methods[index].encoding, Encoding::Raw);
}
