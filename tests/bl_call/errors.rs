//! What a user can get wrong, and what can go wrong: text and exit code of each.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use brokerless::patterns::Rep;
use serde_json::Value;

use crate::support::{ADD, Folder, KeptPort, REACHES, command, end, reaches, run, serve, until};

#[test]
fn a_wrong_name_is_told_with_the_nearest_and_its_signature() {
    let (_server, at) = serve();
    for (line, what) in [
        (
            &["calc.v1.ad", "2", "3"][..],
            "there is no method calc.v1.ad here: the nearest is calc.v1.add",
        ),
        (&["clac.v1.add", "2", "3"], "the nearest is calc.v1.add"),
        (
            &["add", "2", "3"],
            "there is no method add here: the nearest is calc.v1.add",
        ),
        (
            &["calc.v1", "2", "3"],
            "calc.v1 is a service, and a method is wanted: `list calc.v1` shows them, such as calc.v1.add",
        ),
        (
            &["describe", "calc.v1.adds"],
            "there is no service or method calc.v1.adds here: the nearest is calc.v1.add",
        ),
    ] {
        run(&[&[&*at], line].concat()).failed(2, &["error: ", what, ADD]);
    }
    for (line, what) in [
        (
            &["calc.v1.zzzzzzzzzzzzzzzzzzzzzz"][..],
            "`list` shows what there is",
        ),
        (&["lits"], "there is no command lits: the nearest is list"),
        (
            &["describe", "calc.v2"],
            "there is no service or method calc.v2 here: the nearest is calc.v1",
        ),
        (
            &["list", "calk.v1"],
            "there is no service calk.v1 here: the nearest is calc.v1",
        ),
        (
            &["health", "calk.v1"],
            "there is no service calk.v1 here: the nearest is calc.v1",
        ),
        (&["describe"], "describe takes one name"),
        (&["stats", "all"], "stats takes nothing after it"),
    ] {
        run(&[&[&*at], line].concat()).failed(2, &["error: ", what]);
    }
}

#[test]
fn wrong_json_is_told_with_the_place() {
    let (_server, at) = serve();
    for (line, parts) in [
        (
            &[r#"{"x":,"y":3}"#][..],
            &[
                "no JSON: column 6: expected value",
                "  {\"x\":,\"y\":3}\n       ^\n",
            ][..],
        ),
        (
            &["-d", "[1,2"],
            &["no JSON: column 5: EOF while parsing a list", "  [1,2\n"],
        ),
        (
            &["-d", "{\"x\":1,\n\"y\" 2}"],
            &["no JSON: line 2, column 5", "  \"y\" 2}\n      ^\n"],
        ),
        (
            &["2", "3x"],
            &["argument y of calc.v1.add: no JSON: column 2"],
        ),
        (&[r#"{"x":1,"x":2}"#], &["the key \"x\" stands twice"]),
        (
            &["-d", "7"],
            &["an array of them, or an object by their names: the number 7 came"],
        ),
    ] {
        let left = run(&[&[&*at, "calc.v1.add"], line].concat());
        left.failed(2, &[parts, &[ADD]].concat());
    }
    // Of a file, its name is told, too.
    let folder = Folder::new();
    let file = folder.file("bad.json", b"{\"x\": 1,\n \"y\":\n");
    let cut_off = format!("file {file}: no JSON: line 2, column 6: EOF while parsing a value");
    let shown = "   \"y\":\n       ^\n";
    let left = run(&[&at, "calc.v1.add", "--data", &format!("@{file}")]);
    left.failed(2, &[&cut_off, shown, ADD]);
    let left = run(&[&at, "calc.v1.sum", &format!("@{file}"), "{}"]);
    left.failed(2, &["argument values of calc.v1.sum: ", &cut_off, shown]);
}

#[test]
fn a_wrong_type_is_told_with_the_argument_and_the_signature() {
    let (server, at) = serve();
    for (line, what) in [
        (
            &["2", "three"][..],
            "argument y of calc.v1.add: it has to be a whole number, -9223372036854775808 to 9223372036854775807: the text \"three\" came",
        ),
        (&["2", "2.5"], "the number 2.5 came"),
        (&["2", "\"3\""], "the text \"3\" came"),
        (
            &[r#"{"x":[],"y":1}"#],
            "argument x of calc.v1.add: it has to be a whole number",
        ),
        (&["9223372036854775808", "1"], "argument x of calc.v1.add"),
        (&["2"], "argument y of calc.v1.add is missing"),
        (&["2", "3", "4"], "calc.v1.add takes 2 arguments: 3 came"),
        (&[r#"{"x":1,"z":2}"#], "calc.v1.add has no argument \"z\""),
        (&["1", "z=2"], "no argument is called z"),
        (&["x=1", "x=2"], "argument x is given twice"),
        (&["1", "-d", "[1,2]"], "--data gives all arguments"),
    ] {
        let left = run(&[&[&*at, "calc.v1.add"], line].concat());
        let told = left.failed(2, &["error: ", what]);
        assert!(told.ends_with(&format!("\n  {ADD}\n")), "{told}");
    }
    run(&[&at, "calc.v1.sum", "[1,-2]", "{}"]).failed(2, &["argument values[1] of calc.v1.sum"]);
    let left = run(&[&at, "calc.v1.sum", "[]", r#"{"a":256}"#]);
    left.failed(2, &["argument weights[\"a\"] of", "0 to 255"]);
    // Of what is wrong here, nothing was called.
    let stats = server.stats();
    assert!(
        stats
            .methods
            .iter()
            .all(|of| !of.path.starts_with("calc") || of.calls == 0)
    );
    // A type of the service's own is the server's to judge.
    let left = run(&[&at, "calc.v1.save", r#"{"id":"x"}"#]);
    left.failed(
        1,
        &[
            "INVALID_ARGUMENT",
            "argument user",
            "ran: no",
            "calc.v1.save(user: User) -> User",
        ],
    );
}

#[test]
fn an_error_of_the_methods_own_is_told_whole() {
    let (_server, at) = serve();
    let left = run(&[&at, "calc.v1.divide", "1", "0"]);
    left.failed(
        1,
        &[
            "error: calc.v1.divide failed: it cannot be divided\n",
            "DivideError: \"ByZero\"",
            "calc.v1.divide(x: f64, y: f64) -> Result<f64, DivideError>",
        ],
    );
    let left = run(&[&at, "calc.v1.divide", "1", "2e6"]);
    left.failed(1, &["DivideError: {\"TooLarge\":{\"by\":1000000.0}}"]);
    let left = run(&[&at, "calc.v1.panics"]);
    left.failed(
        1,
        &[
            "INTERNAL: the handler of calc.v1.panics panicked",
            "ran: yes",
        ],
    );
}

#[test]
fn errors_are_json_for_programs_that_ask_for_it() {
    let (_server, at) = serve();
    let told = |line: &[&str], code| {
        let err = reaches(&[&[&*at, "--json"], line].concat(), code).failed(code, &[]);
        serde_json::from_str::<Value>(&err).unwrap()["error"].clone()
    };
    let error = told(&["calc.v1.divide", "1", "0"], 1);
    assert_eq!(error["method_error"], "ByZero");
    assert_eq!(
        (&error["code"], &error["ran"]),
        (&"UNKNOWN".into(), &"yes".into())
    );
    assert_eq!(error["node"], *at);
    let error = told(&["calc.v1.add", "2"], 2);
    assert_eq!(
        (&error["exit"], &error["signature"]),
        (&2.into(), &ADD.into())
    );
    let error = told(&["calc.v1.wait", "20000", "--timeout", REACHES], 4);
    assert_eq!(
        (&error["code"], &error["ran"]),
        (&"DEADLINE_EXCEEDED".into(), &"maybe".into())
    );
}

#[test]
fn an_unreachable_node_is_told_with_what_was_tried() {
    let kept = KeptPort::new();
    let at = kept.endpoint();
    for line in [
        &["list"][..],
        &["calc.v1.add", "2", "3"],
        &["health"],
        &["stats"],
    ] {
        let left = run(&[&[&*at], line].concat());
        let refused = format!("tried {at}: ");
        left.failed(
            3,
            &[
                "error: no node can be reached",
                &refused,
                "refused",
                "--wait",
            ],
        );
    }
    let both = format!("{at},ipc:///nowhere/at/all");
    let left = run(&[&both, "list"]);
    left.failed(
        3,
        &[
            &format!("tried {at}"),
            "tried ipc:///nowhere/at/all: there is no such socket",
        ],
    );
    let left = run(&[&at, "calc.v1.add", "2", "3", "--wait", "--timeout", "200ms"]);
    left.failed(3, &["no node can be reached", "tried"]);
}

#[test]
fn a_node_that_comes_late_is_waited_for() {
    let kept = KeptPort::new();
    let at = kept.endpoint();
    let child = command(&[
        &at,
        "brokerless.echo.v1.text",
        "hello",
        "--wait",
        "--timeout",
        "60s",
    ]);
    let child = { child }.spawn().unwrap();
    let server = brokerless::Server::builder().bind(&at).unwrap();
    assert_eq!(end(child).fine(), "\"hello\"\n");
    drop(server);
}

#[test]
fn a_port_of_another_program_is_no_server() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("tcp://{}", silent.local_addr().unwrap());
    let left = run(&[&at, "list", "--timeout", "1s"]);
    left.failed(
        3,
        &[
            "no node can be reached",
            &format!("tried {at}: no answer within 1s"),
        ],
    );
    // It speaks another protocol.
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("tcp://{}", web.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        for stream in web.incoming().take(2) {
            use std::io::Write;
            let mut stream = stream.unwrap();
            let mut some = [0; 8];
            let _ = stream.read(&mut some);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let left = run(&[&at, "list", "--timeout", "2s"]);
    left.failed(3, &["no node can be reached", &format!("tried {at}: ")]);
    drop(thread);
    // It is a socket, but no server.
    let rep = Rep::bind("tcp://127.0.0.1:*").unwrap();
    let at = rep.local_endpoints()[0].to_string();
    let left = run(&[&at, "list", "--timeout", "300ms"]);
    left.failed(3, &["no node can be reached", &at]);
}

#[test]
fn the_deadline_has_an_exit_code_of_its_own() {
    let (_server, at) = serve();
    let left = reaches(&[&at, "calc.v1.wait", "60000", "--timeout", REACHES], 4);
    left.failed(
        4,
        &[
            "DEADLINE_EXCEEDED",
            "ran: maybe",
            "calc.v1.wait(ms: u64) -> u64",
        ],
    );
}

#[test]
fn a_connection_that_is_lost_is_told() {
    let (server, at) = serve();
    let child = command(&[&at, "calc.v1.wait", "20000", "-t", "1m"])
        .spawn()
        .unwrap();
    until("the call", || {
        let stats = server.stats();
        let mut methods = stats.methods.iter();
        methods.any(|of| of.path == "calc.v1.wait" && of.calls == 1)
    });
    let report = server.stop_within(Duration::ZERO);
    assert!(!report.is_clean());
    let left = end(child);
    left.failed(3, &["error: UNAVAILABLE", "ran: maybe", &at]);
}

#[test]
fn bad_flags_are_told_with_the_rule() {
    for (line, rule) in [
        (&[][..], "ENDPOINT"),
        (&["7070"], "WHAT"),
        (&["tcp://x", "list"], "write tcp://x:5555"),
        (&["localhost", "list"], "the transport is missing"),
        (&["carrier://pigeon", "list"], "use tcp, ipc"),
        (&["inproc://a", "list"], "within one process"),
        (&["tcp://*:7070", "list"], "tcp://*:7070"),
        (
            &["7070", "list", "--timeout", "5 parsecs"],
            "such as 500ms or 5s",
        ),
        (
            &["7070", "list", "--metadata", "tenant"],
            "such as tenant=blue",
        ),
        (&["7070", "a.b", "--repeat", "0"], "1000000000"),
        (&["7070", "a.b", "--nobody-has"], "--nobody-has"),
        (&["completions", "csh"], "bash, zsh, fish"),
        (
            &["7070", "a.b", "--repeat", "2", "--output", "x"],
            "leave --output out",
        ),
    ] {
        run(line).failed(2, &["error: ", rule]);
    }
}
