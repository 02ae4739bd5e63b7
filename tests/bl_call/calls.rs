//! Arguments in every form, answers of every kind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::{REACHES, run, run_with, serve, serve_with, until};

#[test]
fn arguments_are_given_in_order_by_name_or_as_json() {
    let (_server, at) = serve();
    for arguments in [
        &["2", "-3"][..],
        &["y=-3", "x=2"],
        &["2", "y=-3"],
        &[r#"{"x":2,"y":-3}"#],
        &["--data", r#"{"y":-3,"x":2}"#],
        &["-d", "[2,-3]"],
        &["--timeout", "20s", "--", "2", "-3"],
    ] {
        let line = [&[&*at, "calc.v1.add"], arguments].concat();
        assert_eq!(run(&line).fine(), "-1\n", "{arguments:?}");
    }
    let line = [&*at, "calc.v1.add", "--data", "@-"];
    assert_eq!(run_with(&line, b"{\"x\":20,\n\"y\":22}\n").fine(), "42\n");
}

#[test]
fn answers_are_json_of_the_kind_that_they_are() {
    let (_server, at) = serve();
    for (line, out) in [
        (&["calc.v1.find", "abracadabra", "ab"][..], "[0,7]\n"),
        (&["calc.v1.find", "5", "5"], "[0]\n"),
        (&["calc.v1.divide", "1", "4"], "0.25\n"),
        (&["calc.v1.divide", "\"Infinity\"", "1"], "\"Infinity\"\n"),
        (&["calc.v1.page", "a"], "\"a None 0\"\n"),
        (&["calc.v1.page", "a", "most=5"], "\"a None 5\"\n"),
        (&["calc.v1.page", "a b", "3", "5"], "\"a b Some(3) 5\"\n"),
        (&["calc.v1.sum", "[1,2]", r#"{"a":7}"#], "10\n"),
        (
            &[
                "calc.v1.kinds",
                "hex:00ff",
                "340282366920938463463374607431768211455",
                "[\"a\",true]",
            ],
            "[\"AP8=\",\"340282366920938463463374607431768211455\",0.1]\n",
        ),
        (
            &[
                "calc.v1.kinds",
                "AP8=",
                "\"340282366920938463463374607431768211455\"",
                "[\"a\",true]",
            ],
            "[\"AP8=\",\"340282366920938463463374607431768211455\",0.1]\n",
        ),
        (
            &["calc.v1.kinds", "[0,255]", "7", "[\"a\",true]"],
            "[\"AP8=\",7,0.1]\n",
        ),
        (
            &["calc.v1.save", r#"{"id":1,"name":"x","tags":["a"]}"#],
            "{\"id\":1,\"name\":\"x\",\"tags\":[\"a\"]}\n",
        ),
        (
            &[
                "calc.v1.save",
                r#"{"user":{"id":18446744073709551615,"name":"","tags":null}}"#,
            ],
            "{\"id\":18446744073709551615,\"name\":\"\",\"tags\":null}\n",
        ),
        (&["brokerless.echo.v1.text", "\"a\\nb\""], "\"a\\nb\"\n"),
        (&["brokerless.echo.v1.ping"], "null\n"),
        (&["calc.v1.reverse", "text:abc"], "\"Y2Jh\"\n"),
    ] {
        assert_eq!(run(&[&[&*at], line].concat()).fine(), out, "{line:?}");
    }
    let long = "340282366920938463463374607431768211455";
    let json = format!(r#"{{"bytes":"","long":{long},"pair":["a",true]}}"#);
    let left = run(&[&at, "calc.v1.kinds", &json]);
    left.failed(2, &["as text if it has more than 64 bits"]);
}

#[test]
fn metadata_goes_with_the_call() {
    let (_server, at) = serve();
    let line = [
        &*at,
        "calc.v1.tenant",
        "--metadata",
        "tenant=blue",
        "-m",
        "a=b",
    ];
    assert_eq!(run(&line).fine(), "\"blue\"\n");
    let left = run(&[&at, "calc.v1.tenant"]);
    left.failed(1, &["UNAUTHENTICATED: whose is it?", "ran: yes"]);
}

#[test]
fn a_call_that_is_not_answered_prints_nothing() {
    let (server, at) = serve();
    assert_eq!(run(&[&at, "calc.v1.log", "hello"]).fine(), "");
    until("the line", || {
        let stats = server.stats();
        let mut methods = stats.methods.iter();
        methods.any(|of| of.path == "calc.v1.log" && of.calls == 1)
    });
}

#[test]
fn several_endpoints_are_a_pool() {
    let (one, first) = serve();
    let (two, second) = serve();
    let all = format!("{first},{second}");
    // More than are made while the second one is being connected to.
    let left = run(&[&all, "calc.v1.add", "1", "1", "--repeat", "3000"]);
    assert!(left.fine().starts_with("calls     3000 in"));
    for server in [one, two] {
        let stats = server.stats();
        let add = stats.methods.iter().find(|of| of.path == "calc.v1.add");
        assert!(add.is_some_and(|of| of.calls > 0), "{stats:?}");
    }
}

#[test]
fn which_node_answered_is_said_if_asked_for() {
    let (_server, at) = serve();
    let left = run(&[&at, "calc.v1.add", "1", "1", "--verbose"]);
    assert_eq!((left.code, &*left.out), (0, "2\n"));
    assert!(
        left.err.starts_with(&format!("{at} answered in ")),
        "{}",
        left.err
    );
}

#[test]
fn a_server_without_reflection_is_called_unchecked() {
    let (_server, at) = serve_with(|builder| builder.builtin(false));
    let left = run(&[&at, "calc.v1.add", "2", "3"]);
    left.failed(1, &["UNIMPLEMENTED", "--no-reflection"]);
    let line = [&*at, "calc.v1.add", "2", "3", "--no-reflection"];
    assert_eq!(run(&line).fine(), "5\n");
    let line = [
        &*at,
        "calc.v1.find",
        "-d",
        "[\"aa\",\"a\"]",
        "--no-reflection",
    ];
    assert_eq!(run(&line).fine(), "[0,1]\n");
    let left = run(&[&at, "calc.v1.ad", "2", "3", "--no-reflection"]);
    left.failed(1, &["the nearest that it has is add"]);
}

#[test]
fn a_device_between_is_passed_without_a_session() {
    let (_server, at) = serve();
    let mut queue = Command::new(env!("CARGO_BIN_EXE_bl-queue"))
        .args([
            "--frontend",
            "tcp://127.0.0.1:*",
            "--backend",
            &format!(">{at}"),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(queue.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let front = line.trim().strip_prefix("frontend ").unwrap();
    let left = run(&[front, "calc.v1.add", "2", "3", "--sessionless"]);
    assert_eq!(left.fine(), "5\n");
    let left = run(&[front, "calc.v1.add", "2", "3", "--timeout", REACHES]);
    left.failed(3, &["no node can be reached", "give --sessionless"]);
    queue.kill().unwrap();
    queue.wait().unwrap();
}
