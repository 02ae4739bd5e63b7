//! Words and JSON to the bytes of a call.

use brokerless::builtin::{ArgumentDescription, MethodDescription};
use brokerless::wire::{Arguments, decode_value};

use super::*;

fn method(arguments: &[(&str, &str)]) -> Method {
    let mut about = MethodDescription::default();
    about.path = "calc.v1.add".into();
    about.returns = "i64".into();
    about.arguments = arguments
        .iter()
        .map(|(name, type_name)| {
            let mut of = ArgumentDescription::default();
            of.name = (*name).into();
            let (type_name, default) = match type_name.strip_suffix('?') {
                Some(type_name) => (type_name, true),
                None => (*type_name, false),
            };
            of.type_name = type_name.into();
            of.default = default;
            of
        })
        .collect();
    Method::of(about)
}

fn encoded(method: &Method, words: &[&str]) -> Result<Payload, Fault> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    encode(method, &words, None, &Input::default())
}

/// The arguments as they arrive.
fn sent(method: &Method, words: &[&str]) -> String {
    let payload = encoded(method, words).unwrap_or_else(|fault| panic!("{fault}"));
    let value: Value = decode_value(&payload.body).unwrap();
    value.json(&Type::Other).print(false)
}

const ADD: &[(&str, &str)] = &[("x", "i64"), ("y", "i64")];

#[test]
fn arguments_come_in_their_places_by_name_and_as_an_object() {
    let add = method(ADD);
    for words in [
        &["2", "-3"][..],
        &["y=-3", "x=2"],
        &["y=-3", "2"],
        &["{\"y\":-3,\"x\":2}"],
    ] {
        assert_eq!(sent(&add, words), "[2,-3]", "{words:?}");
    }
    let input = Input::default();
    for data in ["[2,-3]", "{\"x\":2,\"y\":-3}"] {
        let payload = encode(&add, &[], Some(data), &input).unwrap();
        assert_eq!(payload.body, encoded(&add, &["2", "-3"]).unwrap().body);
    }
}

#[test]
fn text_is_taken_as_it_stands_or_in_quotes() {
    let find = method(&[("text", "&str"), ("needle", "&str")]);
    for (words, sent_as) in [
        (["abra", "ab"], "[\"abra\",\"ab\"]"),
        (["5", "null"], "[\"5\",\"null\"]"),
        (["\"a b\"", "\"a"], "[\"a b\",\"\\\"a\"]"),
        (["x=1", "{}"], "[\"x=1\",\"{}\"]"),
    ] {
        assert_eq!(sent(&find, &words), sent_as);
    }
    let log = method(&[("line", "Option<String>")]);
    assert_eq!(sent(&log, &["null"]), "[null]");
    assert_eq!(sent(&log, &["\"null\""]), "[\"null\"]");
    assert_eq!(sent(&log, &["{\"a\":1}"]), "[\"{\\\"a\\\":1}\"]");
    assert_eq!(sent(&log, &["{\"line\":\"a\"}"]), "[\"a\"]");
}

#[test]
fn an_object_is_the_argument_where_only_one_takes_it() {
    let save = method(&[("user", "User")]);
    assert_eq!(sent(&save, &["{\"id\":1}"]), "[{\"id\":1}]");
    assert_eq!(sent(&save, &["{\"user\":{\"id\":1}}"]), "[{\"id\":1}]");
    assert_eq!(sent(&save, &["{}"]), "[{}]");
    assert_eq!(sent(&save, &["Admin"]), "[\"Admin\"]");
    assert_eq!(sent(&save, &["[1,2]"]), "[[1,2]]");
}

#[test]
fn what_may_be_left_out_is_left_out() {
    let page = method(&[("text", "&str"), ("from", "Option<u64>"), ("most", "u64?")]);
    assert_eq!(sent(&page, &["a"]), "[\"a\",null]");
    assert_eq!(sent(&page, &["a", "most=5"]), "[\"a\",null,5]");
    let odd = method(&[("a", "u64?"), ("b", "u64?")]);
    assert_eq!(sent(&odd, &[]), "[]");
    assert_eq!(sent(&odd, &["1"]), "[1]");
    let fault = encoded(&odd, &["b=1"]).unwrap_err();
    assert!(
        fault.to_string().contains("argument a has to be given"),
        "{fault}"
    );
}

#[test]
fn blobs_travel_beside_the_arguments() {
    let store = method(&[("name", "String"), ("data", "Blob"), ("more", "Vec<Blob>")]);
    let payload = encoded(&store, &["a", "text:hello", "[\"AAEC\",\"hex:07\"]"]).unwrap();
    assert_eq!(payload.blobs.len(), 3);
    assert_eq!(payload.blobs[0], &b"hello"[..]);
    assert_eq!(payload.blobs[2], &[7u8][..]);
    let arguments = Arguments::new(&payload.body, &payload.blobs).unwrap();
    assert_eq!(arguments.len(), 3);
    let payload = encoded(&store, &["a", "AAEC", "AAEC"]).unwrap();
    assert_eq!(payload.blobs.len(), 2, "one blob without brackets");
    let maybe = method(&[("data", "Option<Blob>")]);
    assert_eq!(encoded(&maybe, &["null"]).unwrap().blobs.len(), 0);
    assert_eq!(encoded(&maybe, &["AAEC"]).unwrap().blobs.len(), 1);
}

#[test]
fn what_is_wrong_is_told_with_the_argument_and_the_signature() {
    let add = method(ADD);
    for (words, what) in [
        (&["2"][..], "argument y of calc.v1.add is missing"),
        (&["1", "2", "3"], "takes 2 arguments: 3 came"),
        (
            &["2", "three"],
            "argument y of calc.v1.add: it has to be a whole number",
        ),
        (&["2", "three"], "the text \"three\" came"),
        (&["2", "\"3\""], "the text \"3\" came"),
        (&["2", "3x"], "argument y of calc.v1.add: no JSON: column 2"),
        (&["2", "z=3"], "no argument is called z"),
        (&["x=1", "x=2"], "argument x is given twice"),
        (&["{\"x\":,\"y\":3}"], "no JSON: column 6: expected value"),
        (&["{\"x\":,\"y\":3}"], "\n       ^\n"),
        (
            &["{\"x\":1,\"yy\":3}"],
            "no argument \"yy\": the nearest is y",
        ),
        (&["{\"x\":1}"], "argument y of calc.v1.add is missing"),
        (
            &["{\"x\":1,\"y\":[]}"],
            "argument y of calc.v1.add: it has to be a whole number",
        ),
        (&["{\"x\":1,\"x\":2}"], "\"x\" stands twice"),
    ] {
        let fault = encoded(&add, words).unwrap_err();
        assert_eq!(fault.code, 2);
        let told = fault.to_string();
        assert!(told.contains(what), "{words:?}: {told}");
        assert!(
            told.ends_with("\n  calc.v1.add(x: i64, y: i64) -> i64"),
            "{told}"
        );
    }
    let nested = method(&[("points", "Vec<(f64, f64)>")]);
    let fault = encoded(&nested, &["[[1,2],[3,\"4\"]]"]).unwrap_err();
    assert!(
        fault.to_string().contains("argument points[1][1] of"),
        "{fault}"
    );
    let both = encode(&add, &["1".into()], Some("[]"), &Input::default()).unwrap_err();
    assert!(
        both.to_string().contains("--data gives all arguments"),
        "{both}"
    );
}

#[test]
fn without_reflection_arguments_go_as_they_look() {
    let method = Method::unchecked("calc.v1.add");
    assert_eq!(sent(&method, &["2", "abc", "[1]"]), "[2,\"abc\",[1]]");
    let fault = encoded(&method, &["{\"x\""]).unwrap_err();
    assert!(fault.to_string().contains("no JSON"), "{fault}");
}
