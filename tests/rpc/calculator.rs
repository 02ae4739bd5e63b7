//! The service that most tests call.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use brokerless::service::Context;
use brokerless::{Blob, Status};
use serde::{Deserialize, Serialize};

/// Why a division came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DivideError {
    ByZero,
}

impl fmt::Display for DivideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("divided by zero")
    }
}

#[brokerless::service(name = "calc.v1")]
pub(crate) trait Calculator {
    /// Adds two numbers.
    #[rpc(inline)]
    fn add(&self, x: i64, y: i64) -> i64;
    /// Adds in a worker pool.
    fn add_pooled(&self, x: i64, y: i64) -> i64;
    #[rpc(idempotent)]
    fn divide(&self, x: f64, y: f64) -> Result<f64, DivideError>;
    fn find(&self, text: &str, needle: &str) -> Vec<u64>;
    #[rpc(timeout = "2s")]
    fn store(&self, name: String, data: Blob) -> u64;
    fn load(&self, name: &str) -> Option<Blob>;
    #[rpc(oneway)]
    fn log(&self, line: &str);
    /// What the caller has sent along under a key.
    fn tenant(&self, ctx: &Context<'_>, key: &str) -> Option<String>;
    fn fail(&self, message: &str) -> Result<(), Status>;
}

#[derive(Debug, Default)]
pub(crate) struct Calc {
    pub(crate) lines: AtomicU64,
}

impl Calculator for Calc {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn add_pooled(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn divide(&self, x: f64, y: f64) -> Result<f64, DivideError> {
        if y == 0.0 {
            return Err(DivideError::ByZero);
        }
        Ok(x / y)
    }

    fn find(&self, text: &str, needle: &str) -> Vec<u64> {
        text.match_indices(needle)
            .map(|(at, _)| at as u64)
            .collect()
    }

    fn store(&self, _name: String, data: Blob) -> u64 {
        data.len() as u64
    }

    fn load(&self, name: &str) -> Option<Blob> {
        (!name.is_empty()).then(|| Blob::from(name.to_owned()))
    }

    fn log(&self, _line: &str) {
        self.lines.fetch_add(1, Ordering::SeqCst);
    }

    fn tenant(&self, ctx: &Context<'_>, key: &str) -> Option<String> {
        ctx.metadata().get(key).map(str::to_owned)
    }

    fn fail(&self, message: &str) -> Result<(), Status> {
        Err(Status::not_found(message.to_owned()))
    }
}
