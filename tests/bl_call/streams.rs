//! Calls that carry items: lines in, lines out, both at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use brokerless::Blob;
use brokerless::service::{Items, MethodInfo, Outcome, Produce, Request, Service, ServiceInfo};

use crate::support::{Folder, command, end, run, run_with, serve, serve_with, until};

fn open(server: &brokerless::Server) -> u64 {
    server.stats().streams.open
}

#[test]
fn items_are_printed_a_line_each() {
    let (_server, at) = serve();
    let out = run(&[&at, "calc.v1.count", "5"]).fine();
    assert_eq!(out, "0\n1\n2\n3\n4\n");
    assert_eq!(run(&[&at, "calc.v1.count", "0"]).fine(), "");
    let out = run(&[&at, "calc.v1.words", "a b"]).fine();
    assert_eq!(out, "\"a\"\n\"b\"\n");
    let out = run(&[&at, "calc.v1.count", "30000", "-t", "1m"]).fine();
    assert_eq!(out.lines().count(), 30_000);
    assert!(out.ends_with("\n29999\n"));
    let out = run(&[&at, "calc.v1.chunks", "2"]).fine();
    assert!(
        out.starts_with("\"AAAA") && out.lines().count() == 2,
        "{out}"
    );
}

#[test]
fn items_of_bytes_go_into_a_file_one_after_the_other() {
    let (_server, at) = serve();
    let folder = Folder::new();
    let file = folder.path("chunks");
    run(&[&at, "calc.v1.chunks", "200", "--output", &file]).fine();
    let wanted: Vec<u8> = (0..200).flat_map(|byte| vec![byte; 1000]).collect();
    assert!(folder.read("chunks") == wanted);
    run(&[&at, "calc.v1.count", "2", "--output", &file]).fine();
    assert_eq!(folder.read("chunks"), b"0\n1\n");
}

#[test]
fn lines_of_standard_input_are_items() {
    let (_server, at) = serve();
    for (line, stdin, out) in [
        (&["calc.v1.total", "10"][..], "1\n2\n\n  3  \n", "16\n"),
        (&["calc.v1.total", "start=-1"], "1\r\n2", "2\n"),
        (&["calc.v1.total", r#"{"start":5}"#], "", "5\n"),
        (
            &["calc.v1.users"],
            "{\"id\":1,\"name\":\"a\",\"tags\":null}\n{\"id\":2,\"name\":\"b\",\"tags\":[]}\n",
            "[\"a\",\"b\"]\n",
        ),
        (
            &["calc.v1.sizes"],
            "\"AAEC\"\nAAEC\ntext:hello\nhex:00\n",
            "[3,3,5,1]\n",
        ),
    ] {
        let left = run_with(&[&[&*at], line].concat(), stdin.as_bytes());
        assert_eq!(left.fine(), out, "{line:?}");
    }
    let many: String = (0..30_000).map(|n| format!("{n}\n")).collect();
    let out = run_with(&[&at, "calc.v1.total", "0", "-t", "1m"], many.as_bytes()).fine();
    assert_eq!(out, "449985000\n");
    let folder = Folder::new();
    let file = folder.file("blob", &[7; 5000]);
    let out = run_with(&[&at, "calc.v1.sizes"], format!("@{file}\n").as_bytes());
    assert_eq!(out.fine(), "[5000]\n");
}

#[test]
fn both_ways_go_at_once() {
    let (_server, at) = serve();
    let mut child = command(&[&at, "calc.v1.chat", "> "])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    for (given, told) in [
        ("hello", "\"> hello\"\n"),
        ("\"a b\"", "\"> a b\"\n"),
        ("5", "\"> 5\"\n"),
    ] {
        writeln!(to, "{given}").unwrap();
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        assert_eq!(line, told, "before the next one is given");
    }
    drop(to);
    let mut rest = String::new();
    from.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(end(child).code, 0);
    let many: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    let out = run_with(&[&at, "calc.v1.chat", "", "-t", "1m"], many.as_bytes()).fine();
    assert_eq!(out.lines().count(), 20_000);
    assert!(out.ends_with("\n\"19999\"\n"));
}

#[test]
fn a_bad_line_is_told_with_its_number() {
    let (server, at) = serve();
    for (line, stdin, parts) in [
        (
            &["calc.v1.total", "0"][..],
            "1\n2\nthree\n4\n",
            &[
                "line 3 of standard input: it has to be a whole number",
                "the text \"three\" came",
                "calc.v1.total(start: i64, stream i64) -> i64",
            ][..],
        ),
        (
            &["calc.v1.total", "0"],
            "1\n\n[2\n",
            &[
                "line 3 of standard input: no JSON: column 3",
                "  [2\n    ^\n",
            ],
        ),
        (
            &["calc.v1.users"],
            "{\"id\":}\n",
            &["line 1 of standard input: no JSON: column 7"],
        ),
        (
            &["calc.v1.sizes"],
            "AAEC\nhello!\n",
            &["line 2 of standard input", "is no base64"],
        ),
    ] {
        let left = run_with(&[&[&*at], line].concat(), stdin.as_bytes());
        left.failed(2, &[&["error: "], parts].concat());
    }
    let left = run_with(&[&at, "calc.v1.total", "0"], b"1\n\xff\n");
    left.failed(
        2,
        &["line 2 of standard input: no text: byte 0 is not UTF-8"],
    );
    // Both ways: what came before it has been answered.
    let left = run_with(&[&at, "calc.v1.chat", ""], b"a\n\"b\" c\n\xff\n");
    assert_eq!(left.code, 2);
    assert!(
        left.err.contains("line 3 of standard input"),
        "{}",
        left.err
    );
    until("the streams' ends", || open(&server) == 0);
}

#[test]
fn an_error_ends_the_items_and_is_told() {
    let (_server, at) = serve();
    let left = run(&[&at, "calc.v1.breaks", "3"]);
    assert_eq!((left.code, &*left.out), (1, "0\n1\n2\n"));
    assert!(
        left.err.starts_with("error: DATA_LOSS: the disk is gone"),
        "{}",
        left.err
    );
    assert!(
        left.err
            .contains("calc.v1.breaks(after: u64) -> stream u64"),
        "{}",
        left.err
    );
    let left = run(&[&at, "calc.v1.words", ""]);
    left.failed(1, &["calc.v1.words failed", "DivideError: \"ByZero\""]);
    let left = run_with(&[&at, "calc.v1.users"], b"{\"id\":true}\n");
    left.failed(
        1,
        &["calc.v1.users failed", "Result<Vec<String>, DivideError>"],
    );
    let left = run(&[&at, "calc.v1.silent", "--item-timeout", "50ms"]);
    left.failed(4, &["DEADLINE_EXCEEDED"]);
    let left = run(&[&at, "calc.v1.count", "1", "--repeat", "2"]);
    left.failed(2, &["leave --repeat and --parallel out"]);
    let left = run_with(&[&at, "calc.v1.total", "-d", "@-"], b"[1]");
    left.failed(2, &["standard input is read once"]);
}

#[brokerless::service(name = "parts.v1")]
trait Parts {
    fn all(&self) -> Items<'_, Option<Blob>>;
}

struct Shelf;

impl Parts for Shelf {
    fn all(&self) -> Items<'_, Option<Blob>> {
        Items::new([
            Some(Blob::from_static(b"a")),
            None,
            Some(Blob::from_static(b"b")),
        ])
    }
}

/// Says that each of its items is a blob; one of them is not.
struct Mistaken(PartsServer<Shelf>);

impl Service for Mistaken {
    fn info(&self) -> &'static ServiceInfo {
        const ALL: MethodInfo = MethodInfo::new("all", "parts.v1.all").items_out("Blob");
        static INFO: ServiceInfo = ServiceInfo::new("parts.v1", &[ALL]);
        &INFO
    }

    fn call(&self, method: usize, request: Request<'_>) -> Outcome {
        self.0.call(method, request)
    }

    fn open<'s>(
        &'s self,
        method: usize,
        request: Request<'_>,
    ) -> Result<Box<dyn Produce + 's>, Outcome> {
        self.0.open(method, request)
    }
}

#[test]
fn an_item_that_does_not_decode_is_told_with_its_index_and_the_rest_is_printed() {
    let mistaken = Mistaken(PartsServer::new(Shelf));
    let (_server, at) = serve_with(|builder| builder.service(mistaken));
    let left = run(&[&at, "parts.v1.all"]);
    assert_eq!((left.code, &*left.out), (1, "\"YQ==\"\n\"Yg==\"\n"));
    assert!(left.err.starts_with("error: item 1: "), "{}", left.err);
    assert_eq!(left.err.lines().count(), 1, "{}", left.err);
}

#[test]
fn a_method_that_has_enough_needs_no_more_lines() {
    let (_server, at) = serve();
    let mut child = command(&[&at, "calc.v1.first"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    writeln!(to, "7\n8").unwrap();
    // It does not end: the call does.
    let left = end(child);
    assert_eq!(left.fine(), "7\n");
    drop(to);
}

#[test]
fn whoever_stops_to_read_ends_the_call() {
    let (server, at) = serve();
    let mut child = command(&[&at, "calc.v1.count", "18446744073709551615"])
        .spawn()
        .unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    assert_eq!(line, "0\n");
    drop(from);
    let left = end(child);
    assert_eq!((left.code, &*left.err), (0, ""));
    until("the stream's end", || open(&server) == 0);
}

#[test]
fn streams_are_listed_described_and_counted() {
    let (_server, at) = serve();
    let all = run(&[&at, "list", "calc.v1"]).fine();
    for line in [
        "calc.v1.count(to: u64) -> stream u64",
        "calc.v1.words(text: &str) -> Result<stream String, DivideError>",
        "calc.v1.total(start: i64, stream i64) -> i64",
        "calc.v1.chat(prefix: String, stream String) -> stream String",
    ] {
        assert!(
            all.lines().any(|own| own == line),
            "{line} is not in: {all}"
        );
    }
    let about = run(&[&at, "describe", "calc.v1.total"]).fine();
    assert!(
        about.ends_with("calc.v1.total '{\"start\":0}' < items.jsonl\n"),
        "{about}"
    );
    run(&[&at, "calc.v1.count", "3"]).fine();
    let told = run(&[&at, "stats"]).fine();
    assert!(
        told.contains("\nstreams  1 begun, 0 open, 0 items in, 3 out;"),
        "{told}"
    );
}
