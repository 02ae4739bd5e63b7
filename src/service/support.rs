//! What generated code is written against; of no use to others, and no part of what is promised.
//!
//! That code is documented and does what is asked of careful crates:
//!
//! ```
//! //! Careful.
//!
//! #![deny(
//!     missing_docs,
//!     missing_debug_implementations,
//!     rust_2018_idioms,
//!     single_use_lifetimes,
//!     trivial_casts,
//!     trivial_numeric_casts,
//!     unreachable_pub,
//!     unused,
//!     unused_lifetimes,
//!     unused_qualifications,
//!     unused_results,
//!     variant_size_differences
//! )]
//! #![forbid(unsafe_code)]
//!
//! /// What others link.
//! pub mod api {
//!     use brokerless::service::{Context, Incoming, Items, Responder};
//!     use brokerless::{Blob, Status};
//!
//!     /// Keeps things.
//!     #[brokerless::service(name = "store.v1")]
//!     pub trait Store {
//!         /// Keeps these.
//!         fn put(&self, ctx: &Context<'_>, name: &str, data: Vec<Blob>) -> Result<u64, Status>;
//!         /// Gives them.
//!         fn get(&self, name: &str, answer: Responder<Result<Option<Blob>, String>>);
//!         /// Gives all.
//!         fn all(&self, ctx: &Context<'_>, from: &str) -> Result<Items<'_, Vec<Blob>>, String>;
//!         /// Keeps all of these.
//!         fn put_all(&self, name: &str, data: Incoming<Blob>) -> Result<u64, Status>;
//!         /// Keeps these, and gives what was there before.
//!         fn swap(&self, names: Incoming<(String, u64)>) -> Items<'_, Option<Blob>>;
//!         /// Forgets them.
//!         #[deprecated = "nothing is forgotten"]
//!         #[rpc(oneway)]
//!         fn forget(&self, name: &str);
//!     }
//! }
//!
//! /// What nobody calls is no fault of its own.
//! #[brokerless::service(name = "private")]
//! trait Private {
//!     fn get(&self, x: u8) -> u8;
//!     fn all(&self) -> brokerless::service::Items<'_, u8>;
//!     fn take(&self, x: brokerless::service::Incoming<u8>);
//! }
//!
//! fn main() {}
//! ```

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::stream::{Producer, PutItem as Put, TakeItem as Take};
use super::{Incoming, Item, Items, MethodInfo, Outcome, Produce, Produced, Request, ServiceInfo};
use crate::wire::{
    self, ArgumentInfo, Arguments, DecodeError, EncodeError, Encoder, OwnedBytes, Payload,
};
use crate::{Blob, Code, Status};

/// How a value that a method gives becomes an outcome.
pub type Encode<T> = fn(&'static MethodInfo, T) -> Outcome;

/// The outcome of a method that gave this value.
pub fn give_value<T: Serialize>(method: &'static MethodInfo, value: T) -> Outcome {
    let mut encoder = Encoder::answer();
    match encoder.put(&value) {
        Ok(()) => Outcome::Answer(encoder.finish()),
        Err(error) => not_encoded(method, &error),
    }
}

/// The outcome of a method that gave these bytes.
pub fn give_bytes(_: &'static MethodInfo, value: Vec<u8>) -> Outcome {
    let mut encoder = Encoder::answer();
    encoder.put_bytes(&value);
    Outcome::Answer(encoder.finish())
}

/// The outcome of a method that gave these bytes, or none.
pub fn give_optional_bytes(_: &'static MethodInfo, value: Option<Vec<u8>>) -> Outcome {
    let mut encoder = Encoder::answer();
    encoder.put_optional_bytes(value.as_deref());
    Outcome::Answer(encoder.finish())
}

/// The outcome of a method that gave this blob.
pub fn give_blob(_: &'static MethodInfo, value: Blob) -> Outcome {
    let mut encoder = Encoder::answer();
    encoder.put_blob(&value);
    Outcome::Answer(encoder.finish())
}

/// The outcome of a method that gave this blob, or none.
pub fn give_optional_blob(_: &'static MethodInfo, value: Option<Blob>) -> Outcome {
    let mut encoder = Encoder::answer();
    encoder.put_optional_blob(value.as_ref());
    Outcome::Answer(encoder.finish())
}

/// The outcome of a method that gave these blobs.
pub fn give_blobs(_: &'static MethodInfo, value: Vec<Blob>) -> Outcome {
    let mut encoder = Encoder::answer();
    encoder.put_blobs(&value);
    Outcome::Answer(encoder.finish())
}

/// The outcome of a method that gave these bytes, in an encoding of its own.
pub fn give_raw_bytes(_: &'static MethodInfo, value: Vec<u8>) -> Outcome {
    Outcome::Answer(Payload::raw(value))
}

/// The same, with bytes that are shared.
pub fn give_raw_blob(_: &'static MethodInfo, value: Blob) -> Outcome {
    Outcome::Answer(Payload::raw(value))
}

/// The outcome of a method whose errors are statuses.
pub fn or_status<T>(
    method: &'static MethodInfo,
    result: Result<T, Status>,
    encode: Encode<T>,
) -> Outcome {
    match result {
        Ok(value) => encode(method, value),
        Err(status) => Outcome::failed(status),
    }
}

/// The outcome of a method with an error of its own.
pub fn or_error<T, E: Serialize + Display>(
    method: &'static MethodInfo,
    result: Result<T, E>,
    encode: Encode<T>,
) -> Outcome {
    let error = match result {
        Ok(value) => return encode(method, value),
        Err(error) => error,
    };
    let mut encoder = Encoder::answer();
    match encoder.put(&error) {
        Ok(()) => Outcome::Failed {
            status: Status::new(Code::Unknown, error.to_string()),
            typed: Some(Box::new(encoder.finish())),
            ran: crate::Ran::Yes,
        },
        Err(error) => not_encoded(method, &error),
    }
}

fn not_encoded(method: &'static MethodInfo, error: &EncodeError) -> Outcome {
    let path = method.path;
    Outcome::failed(Status::internal(format!(
        "the answer of {path} cannot be encoded: {error}"
    )))
}

/// The outcome of a call to an index without a method.
pub fn no_such_method(service: &'static ServiceInfo, index: usize) -> Outcome {
    let (name, count) = (service.name, service.methods.len());
    Outcome::refused(Status::unimplemented(format!(
        "{name} has {count} methods, and none at index {index}"
    )))
}

/// The bytes of a call to a method with an encoding of its own.
pub fn raw(body: &[u8]) -> Payload {
    Payload::raw(body)
}

/// The value that a method gave.
pub fn read_value<T: DeserializeOwned>(payload: &Payload) -> Result<T, DecodeError> {
    wire::decode_value(&payload.body)
}

/// The bytes that a method gave.
pub fn read_bytes(payload: &Payload) -> Result<Vec<u8>, DecodeError> {
    bytes(&payload.body)
}

/// The bytes that a method gave, or none.
pub fn read_optional_bytes(payload: &Payload) -> Result<Option<Vec<u8>>, DecodeError> {
    optional_bytes(&payload.body)
}

fn bytes(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    wire::decode_value(body).map(|OwnedBytes(bytes)| bytes)
}

fn optional_bytes(body: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    let bytes: Option<OwnedBytes> = wire::decode_value(body)?;
    Ok(bytes.map(|OwnedBytes(bytes)| bytes))
}

/// The next argument, which is bytes that the method owns.
pub fn take_owned_bytes(
    arguments: &mut Arguments<'_>,
    info: &ArgumentInfo,
) -> Result<Vec<u8>, Status> {
    let bytes = if info.default {
        arguments.take_or_default::<OwnedBytes>(info)?
    } else {
        arguments.take::<OwnedBytes>(info)?
    };
    Ok(bytes.0)
}

/// The same, or none.
pub fn take_owned_optional_bytes(
    arguments: &mut Arguments<'_>,
    info: &ArgumentInfo,
) -> Result<Option<Vec<u8>>, Status> {
    let bytes = if info.default {
        arguments.take_or_default::<Option<OwnedBytes>>(info)?
    } else {
        arguments.take::<Option<OwnedBytes>>(info)?
    };
    Ok(bytes.map(|OwnedBytes(bytes)| bytes))
}

/// The blob that a method gave.
pub fn read_blob(payload: &Payload) -> Result<Blob, DecodeError> {
    wire::decode_blob(&payload.body, &payload.blobs)
}

/// The blob that a method gave, or none.
pub fn read_optional_blob(payload: &Payload) -> Result<Option<Blob>, DecodeError> {
    wire::decode_optional_blob(&payload.body, &payload.blobs)
}

/// The blobs that a method gave.
pub fn read_blobs(payload: &Payload) -> Result<Vec<Blob>, DecodeError> {
    wire::decode_blobs(&payload.body, &payload.blobs)
}

/// The bytes that a method gave, in an encoding of its own.
pub fn read_raw_bytes(payload: &Payload) -> Result<Vec<u8>, DecodeError> {
    Ok(payload.body.to_vec())
}

/// The same, shared with the message that they came in.
pub fn read_raw_blob(payload: &Payload) -> Result<Blob, DecodeError> {
    Ok(Blob::from(payload.body.clone()))
}

// Items that a method sends.

/// How an item is written.
pub type PutItem<T> = Put<T>;

/// Writes an item that is a value.
///
/// # Errors
///
/// Where its `Serialize` refuses.
pub fn put_value<T: Serialize>(encoder: &mut Encoder, item: T) -> Result<Produced, EncodeError> {
    encoder.put(&item).map(|()| Produced::Item)
}

/// Writes an item that is bytes.
///
/// # Errors
///
/// None.
pub fn put_bytes(encoder: &mut Encoder, item: Vec<u8>) -> Result<Produced, EncodeError> {
    encoder.put_bytes(&item);
    Ok(Produced::Item)
}

/// Writes an item that is bytes, or none.
///
/// # Errors
///
/// None.
pub fn put_optional_bytes(
    encoder: &mut Encoder,
    item: Option<Vec<u8>>,
) -> Result<Produced, EncodeError> {
    encoder.put_optional_bytes(item.as_deref());
    Ok(Produced::Item)
}

/// Writes an item that is a blob.
///
/// # Errors
///
/// None.
pub fn put_blob(encoder: &mut Encoder, item: Blob) -> Result<Produced, EncodeError> {
    encoder.put_blob(&item);
    Ok(Produced::Item)
}

/// Writes an item that is a blob, or none.
///
/// # Errors
///
/// None.
pub fn put_optional_blob(
    encoder: &mut Encoder,
    item: Option<Blob>,
) -> Result<Produced, EncodeError> {
    encoder.put_optional_blob(item.as_ref());
    Ok(Produced::Item)
}

/// Writes an item that is an array of blobs.
///
/// # Errors
///
/// None.
pub fn put_blobs(encoder: &mut Encoder, item: Vec<Blob>) -> Result<Produced, EncodeError> {
    encoder.put_blobs(&item);
    Ok(Produced::Item)
}

/// An item of bytes in an encoding of its own.
///
/// # Errors
///
/// None.
pub fn put_raw_bytes(_: &mut Encoder, item: Vec<u8>) -> Result<Produced, EncodeError> {
    Ok(Produced::Raw(item.into()))
}

/// The same, with bytes that are shared.
///
/// # Errors
///
/// None.
pub fn put_raw_blob(_: &mut Encoder, item: Blob) -> Result<Produced, EncodeError> {
    Ok(Produced::Raw(item.into()))
}

/// What a server drives for a method that gave these items.
///
/// # Errors
///
/// None: it is as the others are.
pub fn send_items<'s, T: 's>(
    method: &'static MethodInfo,
    items: Items<'s, T>,
    put: PutItem<T>,
) -> Result<Box<dyn Produce + 's>, Outcome> {
    Ok(Box::new(Producer { items, method, put }))
}

/// The same for a method whose errors are statuses.
///
/// # Errors
///
/// How the call ends where it gave no items.
pub fn send_items_or_status<'s, T: 's>(
    method: &'static MethodInfo,
    result: Result<Items<'s, T>, Status>,
    put: PutItem<T>,
) -> Result<Box<dyn Produce + 's>, Outcome> {
    match result {
        Ok(items) => send_items(method, items, put),
        Err(status) => Err(Outcome::failed(status)),
    }
}

/// The same for a method with an error of its own.
///
/// # Errors
///
/// How the call ends where it gave no items.
pub fn send_items_or_error<'s, T: 's, E: Serialize + Display>(
    method: &'static MethodInfo,
    result: Result<Items<'s, T>, E>,
    put: PutItem<T>,
) -> Result<Box<dyn Produce + 's>, Outcome> {
    match result {
        Ok(items) => send_items(method, items, put),
        Err(error) => Err(or_error(method, Err(error), give_nothing)),
    }
}

fn give_nothing(_: &'static MethodInfo, (): ()) -> Outcome {
    Outcome::nothing()
}

/// What a server drives for a call to an index without a method that sends items.
///
/// # Errors
///
/// Always.
pub fn no_such_stream<'s>(
    service: &'static ServiceInfo,
    index: usize,
) -> Result<Box<dyn Produce + 's>, Outcome> {
    Err(match service.methods.get(index) {
        None => no_such_method(service, index),
        Some(method) => Outcome::refused(Status::unimplemented(format!(
            "{} sends no items: call it without",
            method.path
        ))),
    })
}

/// The outcome of a call to a method that sends items, by somebody who takes none.
pub fn sends_items(request: &Request<'_>) -> Outcome {
    Outcome::refused(Status::unimplemented(format!(
        "{} sends items: it was called as a method without",
        request.running.method().path
    )))
}

// Items that a method is sent.

/// How an item is read.
pub type TakeItem<T> = Take<T>;

/// The items of a call: asked for when all other arguments have been read.
///
/// # Errors
///
/// Where the call carries none.
pub fn incoming<T>(request: &Request<'_>, take: TakeItem<T>) -> Result<Incoming<T>, Status> {
    let method = request.running.method();
    match request.running.incoming() {
        Some(raw) => Ok(Incoming::new(raw, method, take)),
        None => Err(Status::failed_precondition(format!(
            "{} is sent items: call it as such, in a session",
            method.path
        ))),
    }
}

/// An item that is a value.
///
/// # Errors
///
/// Where it is not of the type.
pub fn take_value<T: DeserializeOwned>(item: &Item<'_>) -> Result<T, DecodeError> {
    wire::decode_found(item.bytes)
}

/// An item that is bytes.
///
/// # Errors
///
/// Where it is neither bytes nor an array of them.
pub fn take_bytes(item: &Item<'_>) -> Result<Vec<u8>, DecodeError> {
    bytes(item.bytes)
}

/// An item that is bytes, or none.
///
/// # Errors
///
/// As [`take_bytes`].
pub fn take_optional_bytes(item: &Item<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    optional_bytes(item.bytes)
}

/// An item that is a blob.
///
/// # Errors
///
/// Where it is none, or names one that did not come.
pub fn take_blob(item: &Item<'_>) -> Result<Blob, DecodeError> {
    wire::decode_blob(item.bytes, item.blobs)
}

/// An item that is a blob, or none.
///
/// # Errors
///
/// As [`take_blob`].
pub fn take_optional_blob(item: &Item<'_>) -> Result<Option<Blob>, DecodeError> {
    wire::decode_optional_blob(item.bytes, item.blobs)
}

/// An item that is an array of blobs.
///
/// # Errors
///
/// As [`take_blob`].
pub fn take_blobs(item: &Item<'_>) -> Result<Vec<Blob>, DecodeError> {
    wire::decode_blobs(item.bytes, item.blobs)
}

/// An item of bytes in an encoding of its own.
///
/// # Errors
///
/// None.
pub fn take_raw_bytes(item: &Item<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(item.bytes.to_vec())
}

/// The same, shared with the message that it came in.
///
/// # Errors
///
/// None.
pub fn take_raw_blob(item: &Item<'_>) -> Result<Blob, DecodeError> {
    Ok(Blob::from(item.body.clone()))
}
