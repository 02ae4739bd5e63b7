//! A body to arguments, one after the other, borrowed where their types allow.
//!
//! # Invariants
//!
//! 1. An argument that does not fit is refused by its name, the type wanted and the type that
//!    came, and nothing of its content. (test
//!    `an_argument_that_does_not_fit_is_named_with_both_types`)
//! 2. Arguments that were added later, with a default, may be absent; surplus ones are ignored.
//!    (test `an_argument_added_later_may_be_absent`)

use brokerless_patterns::Frame;
use serde::Deserialize;

use super::VALUE_DEPTH_MAX;
use super::fault::{Came, DecodeError};
use super::read::Reader;
use super::value::{self, Place, Values};
use crate::blob::Blob;
use crate::status::Status;

/// What is known of an argument without a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArgumentInfo {
    /// Its name.
    pub name: &'static str,
    /// Its type, as the code has it.
    pub type_name: &'static str,
    /// Whether it may be absent, and then has its type's default.
    pub default: bool,
}

/// The arguments of a call, to be taken in their order.
#[derive(Debug)]
pub struct Arguments<'r> {
    values: Values<'r>,
    blobs: &'r [Frame],
    /// All of them, without the array's head: to say what came where one does not fit.
    bytes: &'r [u8],
    count: u32,
    taken: u32,
}

impl<'r> Arguments<'r> {
    /// The arguments in a body, and the blobs that came with it.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT`, where the body is no array.
    #[inline]
    pub fn new(body: &'r [u8], blobs: &'r [Frame]) -> Result<Self, Status> {
        let mut reader = Reader::new(body);
        let Ok(count) = reader.array() else {
            let came = Reader::new(body).came();
            return Err(Status::invalid_argument(format!(
                "the arguments are an array: {came} came"
            )));
        };
        Ok(Arguments {
            values: value::values(reader.rest()),
            blobs,
            bytes: reader.rest(),
            count,
            taken: 0,
        })
    }

    /// Arguments that are not taken yet, as the caller counted them.
    pub fn len(&self) -> usize {
        (self.count - self.taken) as usize
    }

    /// Whether all are taken.
    pub fn is_empty(&self) -> bool {
        self.count == self.taken
    }

    /// Takes the next argument.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT`, where it is absent or does not fit; take no further ones then.
    #[inline]
    pub fn take<T: Deserialize<'r>>(&mut self, info: &ArgumentInfo) -> Result<T, Status> {
        if self.is_empty() {
            return Err(self.absent(info));
        }
        match T::deserialize(&mut self.values) {
            Ok(value) => {
                self.taken += 1;
                Ok(value)
            }
            Err(error) => self.take_again(info, error),
        }
    }

    /// Takes the next argument, or its type's default if the caller knows of none.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT`, where it does not fit.
    pub fn take_or_default<T: Deserialize<'r> + Default>(
        &mut self,
        info: &ArgumentInfo,
    ) -> Result<T, Status> {
        if self.is_empty() {
            return Ok(T::default());
        }
        self.take(info)
    }

    /// Takes the next argument, which is a blob.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT`, where it is absent, does not fit or names a blob that did not come.
    pub fn take_blob(&mut self, info: &ArgumentInfo) -> Result<Blob, Status> {
        let place: Place<'r> = self.take(info)?;
        self.found(info, place.blob(self.blobs))
    }

    /// Takes the next argument, which is a blob or `nil`. One that is absent is `nil` if the
    /// argument has a default.
    ///
    /// # Errors
    ///
    /// As [`take_blob`](Self::take_blob).
    pub fn take_optional_blob(&mut self, info: &ArgumentInfo) -> Result<Option<Blob>, Status> {
        if info.default && self.is_empty() {
            return Ok(None);
        }
        match self.take::<Option<Place<'r>>>(info)? {
            Some(place) => self.found(info, place.blob(self.blobs)).map(Some),
            None => Ok(None),
        }
    }

    /// Takes the next argument, which is an array of blobs. One that is absent is empty if the
    /// argument has a default.
    ///
    /// # Errors
    ///
    /// As [`take_blob`](Self::take_blob).
    pub fn take_blobs(&mut self, info: &ArgumentInfo) -> Result<Vec<Blob>, Status> {
        if info.default && self.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<Place<'r>> = self.take(info)?;
        let blobs = places.into_iter().map(|place| place.blob(self.blobs));
        self.found(info, blobs.collect())
    }

    /// Ends the reading. What a newer caller added is ignored.
    pub fn finish(self) {}

    #[cold]
    fn absent(&self, info: &ArgumentInfo) -> Status {
        Status::invalid_argument(format!(
            "argument {} ({}) is absent: {} came",
            info.name, info.type_name, self.count
        ))
    }

    fn found<T>(&self, info: &ArgumentInfo, blob: Result<T, DecodeError>) -> Result<T, Status> {
        blob.map_err(|error| refused(info, &error))
    }

    /// Takes the argument that was refused as bytes if an empty array stands for them, which is
    /// what serde makes of none; and says what came otherwise.
    #[cold]
    fn take_again<T: Deserialize<'r>>(
        &mut self,
        info: &ArgumentInfo,
        error: rmp_serde::decode::Error,
    ) -> Result<T, Status> {
        let mut reader = Reader::new(self.bytes);
        for _ in 0..self.taken {
            // What was taken is sound.
            let _ = reader.skip(VALUE_DEPTH_MAX);
        }
        let start = reader.rest();
        match reader.came() {
            Came::Nothing if start.is_empty() => return Err(self.absent(info)),
            Came::Array(0) if reader.skip(1).is_ok() => {
                if let Ok(value) = value::no_bytes() {
                    self.taken += 1;
                    self.values = value::values(reader.rest());
                    return Ok(value);
                }
            }
            _ => {}
        }
        Err(refused(info, &value::fault(error, start)))
    }
}

#[cold]
fn refused(info: &ArgumentInfo, error: &DecodeError) -> Status {
    Status::invalid_argument(format!(
        "argument {} wants {}: {error}",
        info.name, info.type_name
    ))
}
