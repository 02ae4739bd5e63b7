//! What is listed, described and told of a server.

use brokerless::server::Condition;
use serde_json::Value;

use crate::support::{ADD, REACHES, command, reaches, run, serve, serve_with, until};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_method_is_listed_with_its_signature() {
    let (_server, at) = serve();
    let all = run(&[&at, "list"]).fine();
    for line in [
        ADD,
        "calc.v1.divide(x: f64, y: f64) -> Result<f64, DivideError>",
        "calc.v1.page(text: String, from: Option<u64>, most: u64 = default) -> String",
        "calc.v1.log(line: &str), oneway",
        "calc.v1.panics()",
        "brokerless.echo.v1.text(text: &str) -> String",
        "brokerless.stats.v1.snapshot() -> StatsReport",
    ] {
        assert!(
            all.lines().any(|own| own == line),
            "{line} is not in: {all}"
        );
    }
    assert!(all.starts_with("calc.v1."), "the program's own come first");
    let own = run(&[&at, "list", "calc.v1"]).fine();
    assert!(
        own.lines().all(|line| line.starts_with("calc.v1.")),
        "{own}"
    );
    let told = json(&run(&[&at, "list", "--json"]).fine());
    assert_eq!(told[0]["name"], "calc.v1");
    assert_eq!(told[0]["methods"][0]["arguments"][1]["type_name"], "i64");
}

#[test]
fn a_service_and_a_method_are_described() {
    let (_server, at) = serve();
    let service = run(&[&at, "describe", "calc.v1"]).fine();
    assert!(
        service.starts_with("/// Calculates.\nservice calc.v1\n"),
        "{service}"
    );
    assert!(service.contains("\n  /// Adds two numbers.\n"), "{service}");
    assert!(service.contains("\n    timeout 3000 ms\n"), "{service}");
    let method = run(&[&at, "describe", "calc.v1.add"]).fine();
    assert!(
        method.contains(&format!("{ADD}\n  idempotent, inline\n")),
        "{method}"
    );
    let example = format!("bl-call {at} calc.v1.add '{{\"x\":0,\"y\":0}}'\n");
    assert!(method.ends_with(&example), "{method}");
    assert_eq!(run(&[&at, "calc.v1.add", r#"{"x":0,"y":0}"#]).fine(), "0\n");
    let told = json(&run(&[&at, "describe", "calc.v1.add", "--json"]).fine());
    assert_eq!(
        (&told["path"], &told["inline"]),
        (&"calc.v1.add".into(), &true.into())
    );
    let told = json(&run(&[&at, "describe", "calc.v1", "--json"]).fine());
    assert_eq!(told["docs"], "Calculates.");
}

#[test]
fn health_is_told_and_is_the_exit_code() {
    let (server, at) = serve();
    let all = run(&[&at, "health"]).fine();
    assert!(all.starts_with("server "), "{all}");
    assert!(all.lines().all(|line| line.ends_with("  serving")), "{all}");
    assert_eq!(
        run(&[&at, "health", "calc.v1"]).fine(),
        "calc.v1  serving\n"
    );
    server.health().set("calc.v1", Condition::NotServing);
    let left = run(&[&at, "health", "calc.v1"]);
    assert_eq!((left.code, &*left.out), (1, "calc.v1  not serving\n"));
    let left = run(&[&at, "health", "--json"]);
    assert_eq!(left.code, 0, "the server is");
    let told = json(&left.out);
    assert_eq!(
        (&told["server"], &told["calc.v1"]),
        (&"serving".into(), &"not serving".into())
    );
    server.health().set("", Condition::NotServing);
    assert_eq!(run(&[&at, "health"]).code, 1);
}

#[test]
fn statistics_have_calls_pools_callers_and_what_was_refused() {
    let (server, at) = serve();
    run(&[&at, "calc.v1.add", "1", "2"]).fine();
    let left = run(&[&at, "calc.v1.nothing", "--no-reflection"]);
    left.failed(1, &["UNIMPLEMENTED"]);
    let told = run(&[&at, "stats"]).fine();
    assert!(told.starts_with("desk, up "), "{told}");
    for part in [
        "\nrefused  1 unknown-method\n",
        "
calc.v1.add ",
        "\ndefault ",
        "\nbl-call ",
        "\nsocket 1 ",
        " more, never called\n",
    ] {
        assert!(told.contains(part), "{part:?} is not in: {told}");
    }
    // Those before have ended, which the server hears a moment later.
    until("nobody is there", || {
        let stats = server.stats();
        stats.callers == 0 && stats.sockets[0].connections == 0
    });
    let told = json(&run(&[&at, "stats", "--json"]).fine());
    assert_eq!(told["name"], "desk");
    assert_eq!(told["refused"]["unknown-method"], 1);
    assert_eq!(told["callers_told"][0]["name"], "bl-call");
    assert_eq!(told["sockets"][0]["connections"], 1);
    let methods = told["methods"].as_array().unwrap();
    let add = methods.iter().find(|of| of["path"] == "calc.v1.add");
    assert_eq!(add.map(|of| &of["calls"]), Some(&1.into()));
}

#[test]
fn statistics_are_told_while_every_worker_is_busy() {
    let (server, at) = serve_with(|builder| builder.workers(1));
    let mut child = command(&[&at, "calc.v1.wait", "20000", "--timeout", "1m"]);
    let mut child = child.spawn().unwrap();
    until("the call", || {
        let stats = server.stats();
        stats.pools.iter().any(|pool| pool.running == 1)
    });
    let left = reaches(&[&at, "stats", "--timeout", REACHES], 0);
    assert!(
        left.out.contains("callers not told: DEADLINE_EXCEEDED"),
        "{}",
        left.out
    );
    let left = reaches(&[&at, "stats", "--json", "--timeout", REACHES], 0);
    let told = json(&left.out);
    assert_eq!(told["pools"][0]["running"], 1);
    assert!(told["sockets_untold"].is_string(), "{told}");
    child.kill().unwrap();
    child.wait().unwrap();
    server.stop_within(std::time::Duration::ZERO);
}
