//! One short run of the real processes: what it prints and writes has the promised shape.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

const SOCKETS: &str = env!("CARGO_BIN_EXE_bench-sockets");
const RPC: &str = env!("CARGO_BIN_EXE_bench-rpc");

fn bench(binary: &str, out: &str, arguments: &[&str]) -> (Output, Option<Value>) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(out);
    let file = folder.join("figures.json");
    let _ = fs::remove_file(&file);
    let output = Command::new(binary)
        .args(arguments)
        .arg("--out")
        .arg(&file)
        .output()
        .expect("running a bench");
    let json = fs::read_to_string(&file)
        .ok()
        .map(|text| serde_json::from_str(&text).expect("JSON"));
    (output, json)
}

#[test]
fn a_run_prints_its_table_and_writes_figures_by_scenario_and_system() {
    let sockets = [
        "rtt_64B_p50_us",
        "ipc_rtt_64B_p50_us",
        "inproc_rtt_64B_p50_us",
    ];
    runs(SOCKETS, "sockets", "raw", &sockets);
}

#[test]
fn a_run_of_calls_does_too() {
    let calls = [
        "unary_p50_us",
        "unary_p99_us",
        "unary_threads_64_per_s",
        "payload_64KiB_per_s",
        "inproc_unary_p50_us",
        "slow_neighbour_p99_us",
    ];
    runs(RPC, "calls", "raw", &calls);
}

#[test]
#[cfg(feature = "brokerless")]
fn our_own_calls_do_too() {
    let calls = [
        "unary_p50_us",
        "unary_pooled_p50_us",
        "unary_named_pool_p50_us",
        "unary_threads_64_per_s",
        "pipelined_256_per_s",
        "payload_1MiB_MB_per_s",
        "inproc_unary_p50_us",
        "slow_neighbours_3_p99_us",
        "stream_items_per_s",
        "stream_64KiB_MB_per_s",
        "bidi_ping_pong_p50_us",
        "scatter_100_p50_us",
    ];
    runs(RPC, "ours", "brokerless", &calls);
    runs(RPC, "by-hand", "by-hand", &["scatter_100_p50_us"]);
}

#[test]
#[cfg(all(feature = "tonic", feature = "tarpc"))]
fn an_async_peer_calls_too() {
    let calls = [
        "unary_p50_us",
        "unary_pooled_p50_us",
        "pipelined_256_per_s",
        "payload_1MiB_MB_per_s",
        "slow_neighbour_p99_us",
    ];
    runs(RPC, "tonic", "tonic", &calls);
    let streams = [
        "stream_items_per_s",
        "stream_64KiB_MB_per_s",
        "bidi_ping_pong_p50_us",
    ];
    runs(RPC, "streams", "tonic", &streams);
    runs(RPC, "tarpc", "tarpc", &calls);
}

/// One short round of one system in these scenarios.
fn runs(binary: &str, out: &str, system: &str, scenarios: &[&str]) {
    let mut arguments = vec!["--rounds", "1", "--slice-ms", "60", "--system", system];
    arguments.extend(scenarios.iter().flat_map(|name| ["--scenario", name]));

    let (output, json) = bench(binary, out, &arguments);

    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains(" failed in "), "{text}");
    let json = json.expect("a file");
    for scenario in scenarios {
        assert!(text.contains(scenario), "{text}");
        assert!(json[scenario]["ratios"].is_object(), "{json}");
        // Where the machine stalled in both attempts there is no figure, and the run says so.
        let stalled = text.contains("only 0 of 1 rounds");
        assert!(
            stalled || json[scenario][system].as_f64().is_some(),
            "{text}{json}"
        );
    }
    let length = json.as_object().map(|scenarios| scenarios.len());
    assert_eq!(length, Some(scenarios.len()));
}

#[test]
#[cfg(all(feature = "tonic", feature = "tarpc"))]
fn a_curve_is_a_table_and_a_picture() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("curve");
    let _ = fs::remove_dir_all(&folder);
    let output = Command::new(env!("CARGO_BIN_EXE_bench-curve"))
        .args(["--rounds", "3", "--slice-ms", "40", "--system", "tarpc"])
        .arg("--out")
        .arg(&folder)
        .output()
        .expect("running bench-curve");
    let error = String::from_utf8_lossy(&output.stderr);
    if error.contains("the machine stalled in every round") {
        return;
    }
    assert!(output.status.success(), "{error}");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect(name);
    let (csv, svg) = (read("curve.csv"), read("curve.svg"));
    assert!(csv.starts_with("system,load_percent,"), "{csv}");
    assert!(csv.contains("\ntarpc,"), "{csv}");
    assert!(svg.starts_with("<svg") && svg.contains("tarpc"), "{svg}");
}

#[test]
fn an_unknown_scenario_is_refused_and_help_says_which_there_are() {
    for (binary, known) in [
        (SOCKETS, "senders_16_64B_msgs_per_s"),
        (RPC, "unary_same_core_p50_us"),
    ] {
        let (output, json) = bench(binary, "unknown", &["--scenario", "rtt"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(json.is_none());

        let (output, _) = bench(binary, "help", &["--help"]);
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(help.contains(known), "{help}");
        assert!(!help.contains("drive"), "{help}");
    }
}
