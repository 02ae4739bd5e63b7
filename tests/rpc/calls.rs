//! Typed calls over every transport.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brokerless::client::Call;
use brokerless::server::Server;
use brokerless::{Blob, CallError, Code, Ran};

use crate::calculator::{Calc, CalculatorClient, CalculatorServer, DivideError};
use crate::support::transports;

fn serve(endpoint: &str) -> (Server, Arc<Calc>, CalculatorClient) {
    let calc = Arc::new(Calc::default());
    let server = Server::builder()
        .service(CalculatorServer::new(calc.clone()))
        .bind(endpoint)
        .expect("it binds");
    let endpoint = server.local_endpoints()[0].to_string();
    let client = CalculatorClient::connect(endpoint).expect("an endpoint");
    (server, calc, client)
}

#[test]
fn typed_calls_give_typed_answers() {
    for endpoint in transports() {
        let (_server, calc, client) = serve(&endpoint);
        assert_eq!(client.add(2, 3), Ok(5), "{endpoint}");
        assert_eq!(client.add_pooled(2, 3), Ok(5));
        assert_eq!(client.divide(1.0, 4.0), Ok(0.25));
        assert_eq!(
            client.divide(1.0, 0.0),
            Err(CallError::Method(DivideError::ByZero))
        );
        assert_eq!(client.find("a banana", "an"), Ok(vec![3, 5]));
        assert_eq!(
            client.store("x".into(), Blob::from(vec![7; 100_000])),
            Ok(100_000)
        );
        assert_eq!(client.load("here").unwrap().unwrap()[..], *b"here");
        assert_eq!(client.load(""), Ok(None));
        let tenant = client.with(Call::new().metadata("tenant", "x"));
        assert_eq!(tenant.tenant("tenant"), Ok(Some("x".into())));
        assert_eq!(client.tenant("tenant"), Ok(None));
        let error = client.fail("no such thing").unwrap_err();
        assert_eq!((error.code(), error.ran()), (Code::NotFound, Ran::Yes));
        assert_eq!(error.rpc().unwrap().message(), "no such thing");
        client.log("one").unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while calc.lines.load(Ordering::SeqCst) < 1 {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}

#[test]
fn calls_in_flight_end_in_any_order() {
    for endpoint in transports() {
        let (_server, _calc, client) = serve(&endpoint);
        let pending: Vec<_> = (0..1000)
            .map(|n| client.begin().add(n, 1).expect("it begins"))
            .collect();
        for (n, pending) in pending.into_iter().enumerate().rev() {
            assert_eq!(pending.wait(), Ok(n as i64 + 1), "{endpoint}");
        }
    }
}

#[test]
fn many_threads_share_a_client() {
    for endpoint in transports() {
        let (_server, _calc, client) = serve(&endpoint);
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let client = &client;
                scope.spawn(move || {
                    for n in 0..200 {
                        assert_eq!(client.add(thread, n), Ok(thread + n));
                    }
                });
            }
        });
    }
}
