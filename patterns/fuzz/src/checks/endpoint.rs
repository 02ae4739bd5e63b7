//! Endpoints: what parses shows as a text that parses to the same; what does not is refused in words.

use brokerless_patterns::{Endpoint, EndpointError};

use super::Seen;
use super::alloc::{self, counted};

/// An input: the text.
pub(super) fn check(data: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(data) else {
        return Seen::default();
    };
    alloc::start();
    let mut seen = Seen::default();
    match counted(|| text.parse::<Endpoint>()) {
        Ok(endpoint) => {
            seen.taken = 1;
            fits(&endpoint, text);
            let shown = counted(|| endpoint.to_string());
            let again = counted(|| shown.parse::<Endpoint>());
            assert_eq!(again.as_ref(), Ok(&endpoint), "shown as {shown}");
            let shown_again = counted(|| endpoint.to_string());
            assert_eq!(shown, shown_again);
            for usable in [
                counted(|| endpoint.check_bind()),
                counted(|| endpoint.check_connect()),
            ] {
                if let Err(error) = usable {
                    refused(error, &shown, &mut seen);
                }
            }
            counted(|| drop((endpoint, shown, again, shown_again)));
        }
        Err(error) => refused(error, text, &mut seen),
    }
    seen.measured(bytes_allowed(text.len()))
}

/// The grammar's limits, looked at from outside.
fn fits(endpoint: &Endpoint, text: &str) {
    match endpoint {
        Endpoint::Tcp(tcp) => {
            let rest = text.strip_prefix("tcp://").expect("the transport");
            assert_eq!(tcp.source().is_some(), rest.contains(';'));
            let port = rest.rsplit(':').next().expect("a port");
            assert_eq!(
                if port == "*" { Ok(0) } else { port.parse() },
                Ok(tcp.port())
            );
            assert!(text.len() <= 600 || port.len() > 5, "leading zeros only");
        }
        Endpoint::Ipc(ipc) => {
            let rest = text.strip_prefix("ipc://").expect("the transport");
            let ways = [
                ipc.path() == Some(rest),
                ipc.abstract_name().is_some() && ipc.abstract_name() == rest.strip_prefix('@'),
                ipc.is_temporary() && rest == "*",
            ];
            assert_eq!(ways.iter().filter(|&&way| way).count(), 1, "{ways:?}");
            assert!(!rest.contains('\0') && rest.len() <= 108);
        }
        Endpoint::Inproc(name) => {
            assert_eq!(text.strip_prefix("inproc://"), Some(&name[..]));
            assert!((1..=256).contains(&name.len()));
        }
    }
}

fn refused(error: EndpointError, text: &str, seen: &mut Seen) {
    assert_eq!(error.endpoint(), text);
    let message = counted(|| error.to_string());
    assert!(message.starts_with("endpoint `"), "{message}");
    assert!(!message.ends_with('.'), "{message}");
    assert!(
        !message.chars().any(char::is_control),
        "breaks a line of a log: {message:?}"
    );
    // Two texts of 160 characters, each of at most ten bytes escaped, and the words around them.
    assert!(message.len() <= 4096, "{} bytes", message.len());
    seen.refused.push(message.clone());
    counted(|| drop((message, error)));
}

/// What parsing and showing may hold: copies of the text and of a part of it, in text and in errors, and a message.
fn bytes_allowed(text: usize) -> usize {
    const FIXED: usize = 8 * 1024;
    FIXED + 8 * text
}
