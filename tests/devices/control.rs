//! Commands to a device program.

use brokerless::patterns::{Rep, Req};
use serde_json::Value;

use crate::support::{ANY, Device, File, PATIENCE, asks, numbers};

fn round_trip(front: &str, worker: &Rep, text: &str) {
    let client = Req::connect(front).unwrap();
    client.send(text).unwrap();
    assert_eq!(worker.recv_timeout(PATIENCE).unwrap()[0], text);
    worker.send("ok").unwrap();
    assert_eq!(client.recv_timeout(PATIENCE).unwrap()[0], "ok");
}

fn refused(endpoint: &str) -> bool {
    std::net::TcpStream::connect(endpoint.trim_start_matches("tcp://")).is_err()
}

#[test]
fn statistics_are_one_json_object() {
    let arguments = ["--frontend", ANY, "--backend", ANY, "--control", ANY];
    let device = Device::start("bl-queue", &arguments);
    let worker = Rep::connect(device.endpoint("backend")).unwrap();
    for n in 0..3 {
        round_trip(device.endpoint("frontend"), &worker, &n.to_string());
    }
    let control = Req::connect(device.endpoint("control")).unwrap();
    let json: Value = serde_json::from_str(&asks(&control, "STATISTICS")).unwrap();
    assert_eq!(json["device"], "queue");
    assert_eq!(json["state"], "running");
    assert_eq!(json["from_frontend"]["messages"], 3);
    assert_eq!(json["backend"]["peers"], 1);
    assert_eq!(json["backend"]["received_messages"], 3);
    assert_eq!(
        json["frontend"]["endpoints"][0],
        device.endpoint("frontend")
    );
    assert!(asks(&control, "HALT").contains("STATISTICS, TERMINATE"));
    assert!(asks(&control, "RELOAD").starts_with("ERROR there is no configuration file"));
    assert_eq!(asks(&control, "TERMINATE"), "OK");
    let (code, lines) = device.end();
    assert_eq!(code, 0);
    assert!(lines[0].starts_with("moved from_frontend=3 "), "{lines:?}");
}

#[test]
fn reloading_adds_and_removes_endpoints_while_messages_pass() {
    let file = File::new("frontend = \"*\"\nbackend = \"*\"\nlinger = \"1s\"");
    let device = Device::start("bl-queue", &["--config", file.path(), "--control", ANY]);
    let first = device.endpoint("frontend").to_owned();
    let worker = Rep::connect(device.endpoint("backend")).unwrap();
    let control = Req::connect(device.endpoint("control")).unwrap();
    round_trip(&first, &worker, "before");
    assert_eq!(asks(&control, "RELOAD"), "OK");

    file.write("frontend = [\"*\", \"tcp://127.0.0.1:0\"]\nbackend = \"*\"\nstats = \"100ms\"");
    // The same place in other words is the same place.
    assert_eq!(
        asks(&control, "RELOAD").lines().next(),
        Some("ERROR the frontend has `@tcp://127.0.0.1:*` twice; give it once")
    );
    file.write("frontend = [\"*\", \"@ipc://*\"]\nbackend = \"*\"\nstats = \"100ms\"");
    let answer = asks(&control, "RELOAD");
    let second = answer.strip_prefix("OK\nadded frontend ").unwrap();
    assert_eq!(device.line("added"), format!("added frontend {second}"));
    assert_eq!(numbers(&device.line("stats"))["from_frontend"], 1);
    round_trip(second, &worker, "by the second");
    round_trip(&first, &worker, "by the first");

    file.write("frontend = \"@ipc://*\"\nbackend = \"*\"");
    assert_eq!(
        asks(&control, "RELOAD"),
        format!("OK\nremoved frontend {first}")
    );
    assert!(refused(&first));
    round_trip(second, &worker, "by the second alone");
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let taken = Rep::bind(ANY).unwrap();
    let taken = taken.local_endpoints()[0].to_string();
    let good = "frontend = \"*\"\nbackend = \"*\"\n";
    let file = File::new(good);
    let arguments = ["--config", file.path(), "--control", ANY];
    let device = Device::start("bl-queue", &arguments);
    let worker = Rep::connect(device.endpoint("backend")).unwrap();
    let control = Req::connect(device.endpoint("control")).unwrap();
    for (text, what) in [
        (
            format!("{good}lingre = \"1s\""),
            "`lingre` is \"1s\": there is no such key",
        ),
        (format!("{good}linger = \"1 day\""), "`linger` is \"1 day\""),
        ("frontend = \"*\"".to_owned(), "the backend has no endpoint"),
        (
            format!("frontend = [\"@ipc://*\", \"{taken}\"]\nbackend = \"*\""),
            &*taken,
        ),
        (format!("{good}queue-messages = 5"), "restart"),
        ("{".to_owned(), "line 1"),
    ] {
        file.write(&text);
        let answer = asks(&control, "RELOAD");
        assert!(
            answer.starts_with("ERROR ") && answer.contains(what),
            "{answer}"
        );
        round_trip(device.endpoint("frontend"), &worker, "as before");
    }
    drop(file);
    assert!(asks(&control, "RELOAD").contains("cannot read"));
    round_trip(device.endpoint("frontend"), &worker, "as before");
}
