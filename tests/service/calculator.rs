//! The service that most of these tests are about: a method of each kind.

use std::fmt;
use std::sync::Mutex;
use std::thread;

use brokerless::service::{Context, Responder};
use brokerless::{Blob, Status};
use serde::{Deserialize, Serialize};

use crate::fabric;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum DivideError {
    ByZero,
    TooLarge { by: f64 },
}

impl fmt::Display for DivideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DivideError::ByZero => f.write_str("division by zero"),
            DivideError::TooLarge { by } => write!(f, "too large by {by}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Query<'q> {
    #[serde(borrow)]
    pub(crate) text: &'q str,
    pub(crate) limit: u8,
}

/// Calculates, and does
/// much else.
#[fabric::service(name = "calc.v1", crate = "crate::fabric")]
pub(crate) trait Calculator {
    /// Adds two numbers.
    ///
    /// # Errors
    ///
    /// None of its own.
    fn add(&self, x: i64, y: i64) -> i64;

    #[rpc(idempotent, inline)]
    fn divide(&self, x: f64, y: f64) -> Result<f64, DivideError>;

    fn find(&self, text: &str, needle: &str) -> Vec<u64>;

    /// Where the bytes of both lie.
    fn places(&self, text: Option<&str>, bytes: &[u8], query: Query<'_>) -> Vec<u64>;

    #[rpc(timeout = "2s", pool = "disk")]
    fn store(&self, name: String, data: Blob) -> u64;

    fn load(&self, name: &str) -> Option<Blob>;

    fn join(&self, blobs: Vec<Blob>, last: Option<Blob>) -> Result<Vec<Blob>, Status>;

    #[rpc(oneway)]
    fn log(&self, line: &str);

    #[rpc(name = "who-is-it")]
    fn who(&self, ctx: &Context<'_>, greeting: &str) -> Result<String, Status>;

    fn slow(&self, x: i64, answer: Responder<i64>);

    fn risky(&self, ctx: &Context<'_>, x: i64, answer: Responder<Result<i64, DivideError>>);

    fn grown(
        &self,
        first: u8,
        #[rpc(default)] second: u8,
        #[rpc(default)] third: Option<String>,
        #[rpc(default)] fourth: Blob,
        #[rpc(default)] fifth: Vec<Blob>,
    ) -> String;

    fn fall(&self);

    #[rpc(raw)]
    fn turn(&self, ctx: &Context<'_>, body: &[u8]) -> Result<Vec<u8>, DivideError>;

    #[rpc(raw)]
    fn place(&self, body: &[u8], answer: Responder<Blob>);

    #[rpc(raw, oneway)]
    fn note(&self, body: &[u8]);
}

#[derive(Default)]
pub(crate) struct Calc {
    pub(crate) lines: Mutex<Vec<String>>,
}

impl Calculator for Calc {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn divide(&self, x: f64, y: f64) -> Result<f64, DivideError> {
        if y == 0.0 {
            return Err(DivideError::ByZero);
        }
        Ok(x / y)
    }

    fn find(&self, text: &str, needle: &str) -> Vec<u64> {
        let found = text.match_indices(needle);
        found.map(|(at, _)| at as u64).collect()
    }

    fn places(&self, text: Option<&str>, bytes: &[u8], query: Query<'_>) -> Vec<u64> {
        let text = text.map_or(0, |text| text.as_ptr() as u64);
        vec![text, bytes.as_ptr() as u64, query.text.as_ptr() as u64]
    }

    fn store(&self, name: String, data: Blob) -> u64 {
        assert!(!name.is_empty());
        data.as_ptr() as u64
    }

    fn load(&self, name: &str) -> Option<Blob> {
        (name != "nothing").then(|| Blob::copy_from_slice(name.as_bytes()))
    }

    fn join(&self, mut blobs: Vec<Blob>, last: Option<Blob>) -> Result<Vec<Blob>, Status> {
        if blobs.is_empty() {
            return Err(Status::not_found("no blobs"));
        }
        blobs.extend(last);
        Ok(blobs)
    }

    fn log(&self, line: &str) {
        self.lines.lock().expect("no panic").push(line.to_owned());
    }

    fn who(&self, ctx: &Context<'_>, greeting: &str) -> Result<String, Status> {
        if ctx.is_cancelled() {
            return Err(Status::cancelled("nobody listens"));
        }
        let tenant = ctx.metadata().get("tenant").unwrap_or("nobody");
        let (name, method) = (ctx.caller().name(), ctx.method().path);
        Ok(format!("{greeting} {name} of {tenant} by {method}"))
    }

    fn slow(&self, x: i64, answer: Responder<i64>) {
        match x {
            0 => drop(answer),
            1 => answer.fail(Status::aborted("one is too few")),
            2 => panic!("two is too many"),
            x => drop(thread::spawn(move || answer.send(x * 2))),
        }
    }

    fn risky(&self, ctx: &Context<'_>, x: i64, answer: Responder<Result<i64, DivideError>>) {
        assert!(ctx.method().later);
        answer.send(if x == 0 {
            Err(DivideError::TooLarge { by: 0.5 })
        } else {
            Ok(x)
        });
    }

    fn grown(
        &self,
        first: u8,
        second: u8,
        third: Option<String>,
        fourth: Blob,
        fifth: Vec<Blob>,
    ) -> String {
        format!(
            "{first} {second} {third:?} {} {}",
            fourth.len(),
            fifth.len()
        )
    }

    fn fall(&self) {
        panic!("falls");
    }

    fn turn(&self, ctx: &Context<'_>, body: &[u8]) -> Result<Vec<u8>, DivideError> {
        assert_eq!(ctx.method().name, "turn");
        match body {
            [] => Err(DivideError::ByZero),
            body => Ok(body.iter().rev().copied().collect()),
        }
    }

    fn place(&self, body: &[u8], answer: Responder<Blob>) {
        answer.send(Blob::copy_from_slice(&(body.as_ptr() as u64).to_le_bytes()));
    }

    fn note(&self, body: &[u8]) {
        self.log(&format!("{body:?}"));
    }
}
