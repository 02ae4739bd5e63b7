//! One call.

use std::io::{self, Write};
use std::time::Instant;

use brokerless::builtin::MethodDescription;
use brokerless::client::Answer;
use brokerless::wire::{Payload, decode_value};
use brokerless::{CallError, RpcError};

use super::answer::{Content, Output};
use super::arguments;
use super::fault::{Fault, exit};
use super::flags::Flags;
use super::input::Input;
use super::json::Json;
use super::method::Method;
use super::node::Node;
use super::stream;
use super::types::Type;
use super::value::Value;

/// The method that is named, checked or not.
pub(super) fn method(node: &Node, path: &str, flags: &Flags) -> Result<Method, Fault> {
    if flags.no_reflection {
        return Ok(Method::unchecked(path));
    }
    node.method(path)
}

/// Calls the method and prints what it gives.
pub(super) fn run(node: &Node, path: &str, flags: &Flags) -> Result<u8, Fault> {
    let output = Output::new(flags.output.as_deref());
    output.check()?;
    let method = method(node, path, flags)?;
    let input = Input::default();
    let payload = arguments::encode(&method, &flags.words, flags.data.as_deref(), &input)?;
    if method.streams() {
        return stream::run(node, &method, payload, &input, &output);
    }
    let began = Instant::now();
    let answer = node
        .client
        .call(method.info(), &node.call, Ok(payload), whole);
    let took = began.elapsed();
    let answer = answer.map_err(|error| failed(node, &method, &error))?;
    verbose(flags, &format!("{} answered in {took:.1?}", answer.node()));
    if method.about.oneway {
        // That it has run is all there is to know.
        return Ok(0);
    }
    let payload = answer.payload().map_err(|error| node.fault(&error))?;
    output.put(content(&method, payload)?)
}

fn verbose(flags: &Flags, text: &str) {
    if flags.verbose {
        // With standard error gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// A method's own error, as it came.
pub(super) type Own = Box<Answer>;

/// The answer as it came. A method's own error is not decoded yet, either.
pub(super) fn whole(answer: &Answer) -> Result<Answer, CallError<Own>> {
    match answer.payload() {
        Ok(_) => Ok(answer.clone()),
        Err(error) => Err(match answer.method_error() {
            Some(_) => CallError::Method(Box::new(answer.clone())),
            None => error.into(),
        }),
    }
}

/// What is told of a call that failed.
pub(super) fn failed(node: &Node, method: &Method, error: &CallError<Own>) -> Fault {
    let fault = match error {
        CallError::Rpc(error) => node.fault(error),
        CallError::Method(answer) => own(&method.about, answer),
        _ => Fault::run("the call failed"),
    };
    if fault.code == exit::UNREACHABLE {
        return fault;
    }
    fault.about(method.signature())
}

/// The method's own error.
fn own(about: &MethodDescription, answer: &Answer) -> Fault {
    let error = answer.payload().err();
    let says = error.as_ref().map_or("", RpcError::message);
    let mut fault = Fault::run(format!("{} failed: {says}", about.path));
    if let Some(error) = &error {
        fault = fault.telling(error);
    }
    let Some(payload) = answer.method_error() else {
        return fault;
    };
    match decode_value::<Value>(&payload.body) {
        Ok(value) => {
            let value = value.json(&Type::Other);
            let name = about.error.as_deref().unwrap_or("its own error");
            let shown = format!("{name}: {}", value.print(false));
            fault.note(shown).tell("method_error", value)
        }
        Err(_) => fault.tell("method_error", Json::Null),
    }
}

/// What the method gave, decoded.
pub(super) fn content(method: &Method, payload: &Payload) -> Result<Content, Fault> {
    Content::of(method, payload).map_err(|error| {
        let what = format!("the call was answered, but not with what was told of it: {error}");
        Fault::run(what).about(method.signature())
    })
}
