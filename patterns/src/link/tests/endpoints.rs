//! Endpoints: every form, every mistake, any text.

use proptest::prelude::*;

use super::super::endpoint::{HOST_BYTES_MAX, INPROC_BYTES_MAX, PATH_BYTES_MAX, SCOPE_BYTES_MAX};
use super::super::{Endpoint, TcpHost};
use super::endpoint;

#[test]
fn every_form_parses_and_displays_as_itself() {
    for text in [
        "tcp://*:5555",
        "tcp://*:*",
        "tcp://127.0.0.1:*",
        "tcp://127.0.0.1:5555",
        "tcp://[::1]:5555",
        "tcp://[::]:*",
        "tcp://[fe80::1%lo]:1",
        "tcp://[fe80::1%3]:65535",
        "tcp://eth0:5555",
        "tcp://lo:*",
        "tcp://br-0a_1.100:1",
        "tcp://example.com:80",
        "tcp://127.0.0.1:*;127.0.0.1:5555",
        "tcp://eth0:1;[::1]:5555",
        "tcp://*:9;host:5555",
        "ipc:///run/app.sock",
        "ipc://relative",
        "ipc://a:b;c d",
        "ipc://@abstract",
        "ipc://*",
        "inproc://name",
        "inproc://a b://é",
    ] {
        assert_eq!(endpoint(text).to_string(), text);
    }
}

#[test]
fn equal_addresses_written_differently_are_equal_endpoints() {
    for (written, displayed) in [
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:*"),
        ("tcp://*:00080", "tcp://*:80"),
        ("tcp://[0:0:0:0:0:0:0:1]:1", "tcp://[::1]:1"),
        ("tcp://lo;host:1", "tcp://lo:*;host:1"),
        ("tcp://lo:;host:1", "tcp://lo:*;host:1"),
        ("tcp://[::1]:0;host:1", "tcp://[::1]:*;host:1"),
    ] {
        assert_eq!(endpoint(written), endpoint(displayed));
        assert_eq!(endpoint(written).to_string(), displayed);
    }
}

#[test]
fn the_parts_of_an_endpoint_can_be_asked_for() {
    let Endpoint::Tcp(tcp) = endpoint("tcp://lo:7;host:5555") else {
        panic!("not tcp");
    };
    assert_eq!(tcp.host(), &TcpHost::Name("host".into()));
    assert_eq!(tcp.port(), 5555);
    let source = tcp.source().expect("a source");
    assert_eq!(source.host(), &TcpHost::Name("lo".into()));
    assert_eq!(source.port(), 7);

    let Endpoint::Ipc(ipc) = endpoint("ipc://@name") else {
        panic!("not ipc");
    };
    assert_eq!(ipc.abstract_name(), Some("name"));
    assert_eq!(ipc.path(), None);
    assert!(!ipc.is_temporary());
}

#[test]
fn a_malformed_endpoint_is_refused_with_value_rule_and_way_out() {
    for (text, message) in [
        (
            "localhost:5555",
            "endpoint `localhost:5555`: the transport is missing; write tcp://host:port, ipc://path or inproc://name",
        ),
        (
            "",
            "endpoint ``: the transport is missing; write tcp://host:port, ipc://path or inproc://name",
        ),
        (
            "udp://host:1",
            "endpoint `udp://host:1`: the transport `udp` is unknown; use tcp, ipc or inproc",
        ),
        (
            "TCP://host:1",
            "endpoint `TCP://host:1`: the transport `TCP` is unknown; use tcp, ipc or inproc",
        ),
        (
            "tcp://",
            "endpoint `tcp://`: the host is missing; write tcp://host:port, or tcp://*:port to bind every address",
        ),
        (
            "tcp://:5555",
            "endpoint `tcp://:5555`: the host is missing; write tcp://host:port, or tcp://*:port to bind every address",
        ),
        (
            "tcp://localhost",
            "endpoint `tcp://localhost`: the port is missing; write tcp://localhost:5555",
        ),
        (
            "tcp://localhost:",
            "endpoint `tcp://localhost:`: the port is missing; write tcp://localhost:5555",
        ),
        (
            "tcp://[::1]",
            "endpoint `tcp://[::1]`: the port is missing; write tcp://[::1]:5555",
        ),
        (
            "tcp://lo:0;host",
            "endpoint `tcp://lo:0;host`: the port is missing; write tcp://lo:0;host:5555",
        ),
        (
            "tcp://host:65536",
            "endpoint `tcp://host:65536`: the port `65536` is not a number from 0 to 65535; write a number such as 5555, or * to bind a free port",
        ),
        (
            "tcp://host:+5",
            "endpoint `tcp://host:+5`: the port `+5` is not a number from 0 to 65535; write a number such as 5555, or * to bind a free port",
        ),
        (
            "tcp://host:5555/",
            "endpoint `tcp://host:5555/`: the port `5555/` is not a number from 0 to 65535; write a number such as 5555, or * to bind a free port",
        ),
        (
            "tcp://256.1.1.1:5",
            "endpoint `tcp://256.1.1.1:5`: `256.1.1.1` is not an ipv4 address; write four numbers from 0 to 255, such as 127.0.0.1",
        ),
        (
            "tcp://127.1:5",
            "endpoint `tcp://127.1:5`: `127.1` is not an ipv4 address; write four numbers from 0 to 255, such as 127.0.0.1",
        ),
        (
            "tcp://[::g]:5",
            "endpoint `tcp://[::g]:5`: `::g` is not an ipv6 address with a port; write tcp://[::1]:5555",
        ),
        (
            "tcp://[::1:5",
            "endpoint `tcp://[::1:5`: `[::1:5` is not an ipv6 address with a port; write tcp://[::1]:5555",
        ),
        (
            "tcp://[::1]5",
            "endpoint `tcp://[::1]5`: `[::1]5` is not an ipv6 address with a port; write tcp://[::1]:5555",
        ),
        (
            "tcp://::1:5",
            "endpoint `tcp://::1:5`: there is more than one `:` outside brackets; write tcp://host:port, or tcp://[::1]:5555 for an ipv6 address",
        ),
        (
            "tcp://[fe80::1%]:5",
            "endpoint `tcp://[fe80::1%]:5`: the scope `` is not an interface of 1 to 15 letters, digits, `-`, `_` or `.`; write tcp://[fe80::1%eth0]:5555",
        ),
        (
            "tcp://a/b:5",
            "endpoint `tcp://a/b:5`: the host `a/b` has the character `/`; a host is made of letters, digits, `-`, `_` and `.`",
        ),
        (
            "tcp://a\nb:5",
            "endpoint `tcp://a\\nb:5`: the host `a\\nb` has the character `\\n`; a host is made of letters, digits, `-`, `_` and `.`",
        ),
        (
            "tcp://a:1;b:2;c:3",
            "endpoint `tcp://a:1;b:2;c:3`: there is more than one `;`; write tcp://source:port;host:port",
        ),
        (
            "ipc://",
            "endpoint `ipc://`: the ipc path is missing; write ipc:///tmp/name.sock",
        ),
        (
            "ipc://@",
            "endpoint `ipc://@`: the abstract ipc name is missing; write ipc://@name",
        ),
        (
            "ipc://a\0b",
            "endpoint `ipc://a\\0b`: the ipc path has a zero byte at offset 1; remove it",
        ),
        (
            "inproc://",
            "endpoint `inproc://`: the inproc name is missing; write inproc://name",
        ),
    ] {
        let error = text.parse::<Endpoint>().expect_err(text);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.endpoint(), text);
    }
}

#[test]
fn an_endpoint_for_binding_only_is_refused_to_connect() {
    for (text, message) in [
        (
            "tcp://*:5556",
            "endpoint `tcp://*:5556`: `*` is for binding only; connect to a host, such as tcp://127.0.0.1:5556",
        ),
        (
            "tcp://*:*",
            "endpoint `tcp://*:*`: `*` is for binding only; connect to a host, such as tcp://127.0.0.1:5555",
        ),
        (
            "tcp://127.0.0.1:0",
            "endpoint `tcp://127.0.0.1:*`: port 0 or * is for binding only; connect to the port that the bound socket reports",
        ),
        (
            "ipc://*",
            "endpoint `ipc://*`: `*` is for binding only; connect to the path that the bound socket reports",
        ),
    ] {
        let endpoint = endpoint(text);
        assert!(endpoint.check_bind().is_ok(), "{text}");
        let error = endpoint.check_connect().expect_err(text);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn an_endpoint_for_connecting_only_is_refused_to_bind() {
    let endpoint = endpoint("tcp://lo:0;host:5555");
    assert!(endpoint.check_connect().is_ok());
    assert_eq!(
        endpoint.check_bind().expect_err("a source").to_string(),
        "endpoint `tcp://lo:*;host:5555`: a source address (before `;`) is for connecting only; bind tcp://host:port"
    );
}

#[test]
fn a_name_that_parsing_would_refuse_is_refused_at_use() {
    let endpoint = Endpoint::Inproc("".into());
    assert!(endpoint.check_bind().is_err());
    assert!(endpoint.check_connect().is_err());
}

#[test]
fn a_path_over_sun_path_is_refused() {
    let fits = "p".repeat(PATH_BYTES_MAX);
    assert!(format!("ipc://{fits}").parse::<Endpoint>().is_ok());
    assert!(format!("ipc://@{fits}").parse::<Endpoint>().is_ok());

    let error = format!("ipc://{fits}p").parse::<Endpoint>().unwrap_err();
    let rule = format!(
        "the ipc path has {} bytes, over the limit of {PATH_BYTES_MAX} (sun_path); use a shorter or a relative path",
        PATH_BYTES_MAX + 1
    );
    assert!(error.to_string().ends_with(&rule), "{error}");

    let error = format!("ipc://@{fits}p").parse::<Endpoint>().unwrap_err();
    assert!(error.to_string().contains("abstract ipc name has"));
}

#[test]
fn names_over_their_limits_are_refused() {
    for (prefix, suffix, bytes_max) in [
        ("tcp://", ":1", HOST_BYTES_MAX),
        ("tcp://[fe80::1%", "]:1", SCOPE_BYTES_MAX),
        ("inproc://", "", INPROC_BYTES_MAX),
    ] {
        let fits = format!("{prefix}{}{suffix}", "n".repeat(bytes_max));
        assert!(fits.parse::<Endpoint>().is_ok(), "{fits}");
        let over = format!("{prefix}{}{suffix}", "n".repeat(bytes_max + 1));
        assert!(over.parse::<Endpoint>().is_err(), "{over}");
    }
}

#[test]
fn a_message_repeats_a_bounded_part_of_the_endpoint() {
    let text = "x".repeat(1_000_000);
    let message = text.parse::<Endpoint>().unwrap_err().to_string();
    assert!(message.len() < 400, "{} bytes", message.len());
    assert!(message.contains("... (1000000 bytes)"), "{message}");
}

/// Text made of the pieces that the grammar is made of, so that much of it nearly parses.
fn nearly_an_endpoint() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("tcp://"),
        Just("ipc://"),
        Just("inproc://"),
        Just("://"),
        Just("*"),
        Just(":"),
        Just(";"),
        Just("["),
        Just("]"),
        Just("%"),
        Just("@"),
        Just("::1"),
        Just("fe80::1"),
        Just("127.0.0.1"),
        Just("1"),
        Just("65535"),
        Just("70000"),
        Just("0"),
        Just("host"),
        Just("."),
        Just("/"),
        Just("é"),
        Just("\0"),
    ];
    (
        prop_oneof![Just("tcp://"), Just("ipc://"), Just("inproc://"), Just("")],
        proptest::collection::vec(piece, 0..10),
    )
        .prop_map(|(transport, pieces)| transport.to_owned() + &pieces.concat())
}

/// Well-formed text, for the round trip to have something to carry.
fn well_formed() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just("*".to_owned()),
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
        (any::<std::net::Ipv6Addr>(), "[a-z0-9._-]{1,15}")
            .prop_map(|(ip, scope)| format!("[{ip}%{scope}]")),
        "[a-zA-Z_-][a-zA-Z0-9._-]{0,20}",
    ];
    let port = prop_oneof![
        Just("*".to_owned()),
        any::<u16>().prop_map(|port| port.to_string())
    ];
    let address = (host, port).prop_map(|(host, port)| format!("{host}:{port}"));
    prop_oneof![
        address
            .clone()
            .prop_map(|address| format!("tcp://{address}")),
        (address.clone(), address).prop_map(|(from, to)| format!("tcp://{from};{to}")),
        "ipc://[^\0]{1,20}",
        "inproc://\\PC{1,20}",
    ]
    .prop_filter("`ipc://@` alone has no name", |text| text != "ipc://@")
}

proptest! {
    #[test]
    fn parsing_is_total(text in prop_oneof![any::<String>(), nearly_an_endpoint()]) {
        match text.parse::<Endpoint>() {
            Ok(endpoint) => {
                let _ = (endpoint.check_bind(), endpoint.check_connect());
                prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_parsed_endpoint_displays_as_text_that_parses_to_itself(text in well_formed()) {
        let endpoint = text.parse::<Endpoint>();
        prop_assert!(endpoint.is_ok(), "{:?}", endpoint);
        if let Ok(endpoint) = endpoint {
            prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
        }
    }
}
