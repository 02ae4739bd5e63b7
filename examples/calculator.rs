//! A calculator: a trait is a service, and its errors are typed on both sides.
//!
//! ```text
//! cargo run --example calculator
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Duration;

use brokerless::{Call, CallError, Code, Ran, Server};
use serde::{Deserialize, Serialize};

/// Why there is no result.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Undefined {
    /// By zero, this dividend.
    Division(f64),
    /// Of a number below zero.
    Root,
}

impl std::fmt::Display for Undefined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Undefined::Division(dividend) => write!(f, "{dividend} divided by zero"),
            Undefined::Root => f.write_str("the root of a number below zero"),
        }
    }
}

/// Calculates.
#[brokerless::service(name = "calculator.v1")]
pub trait Calculator {
    /// Takes less time than to hand it to another thread: it runs where it is received.
    #[rpc(inline, idempotent)]
    fn add(&self, x: i64, y: i64) -> i64;
    /// An argument that came later: callers that do not know it leave it out.
    #[rpc(idempotent)]
    fn mean(&self, values: Vec<f64>, #[rpc(default)] weights: Vec<f64>) -> f64;
    /// The caller gets the error as a value, not as a text.
    #[rpc(idempotent)]
    fn divide(&self, x: f64, y: f64) -> Result<f64, Undefined>;
    /// Takes its time.
    fn root(&self, x: f64, ms: u64) -> Result<f64, Undefined>;
}

struct Calc;

impl Calculator for Calc {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn mean(&self, values: Vec<f64>, weights: Vec<f64>) -> f64 {
        let weights = weights.into_iter().chain(std::iter::repeat(1.0));
        let weighted = values.iter().zip(weights);
        let (sum, all) = weighted.fold((0.0, 0.0), |(sum, all), (v, w)| (sum + v * w, all + w));
        sum / all
    }

    fn divide(&self, x: f64, y: f64) -> Result<f64, Undefined> {
        match y {
            0.0 => Err(Undefined::Division(x)),
            _ => Ok(x / y),
        }
    }

    fn root(&self, x: f64, ms: u64) -> Result<f64, Undefined> {
        std::thread::sleep(Duration::from_millis(ms));
        match x {
            0.0.. => Ok(x.sqrt()),
            _ => Err(Undefined::Root),
        }
    }
}

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .service(CalculatorServer::new(Calc))
        .bind("tcp://127.0.0.1:*")?;
    let calc = CalculatorClient::connect(server.local_endpoints()[0].to_string())?;

    println!("2 + 3 = {}", calc.add(2, 3)?);
    assert_eq!(calc.add(2, 3), Ok(5));
    assert_eq!(calc.mean(vec![1.0, 2.0, 6.0], Vec::new()), Ok(3.0));
    assert_eq!(calc.mean(vec![1.0, 4.0], vec![2.0, 1.0]), Ok(2.0));

    match calc.divide(1.0, 0.0) {
        Err(CallError::Method(why)) => {
            println!("no result: {why}");
            assert_eq!(why, Undefined::Division(1.0));
        }
        other => return Err(format!("{other:?}").into()),
    }

    // Ten at once, one after the other: each waits for its own.
    let pending: Vec<_> = (0..10)
        .map(|n| calc.begin().root(f64::from(n * n), 5))
        .collect::<Result<_, _>>()?;
    for (n, root) in pending.into_iter().enumerate() {
        assert_eq!(root.wait(), Ok(n as f64));
    }

    // A deadline, and what it says: it may have run.
    let hasty = calc.with(Call::new().timeout(Duration::from_millis(20)));
    let error = hasty.root(2.0, 300).expect_err("too slow");
    println!("{error}");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(error.ran(), Ran::Maybe);
    Ok(())
}
