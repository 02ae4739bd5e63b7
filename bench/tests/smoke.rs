//! One short run of the real processes: what it prints and writes has the promised shape.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(out: &str, arguments: &[&str]) -> (Output, Option<Value>) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(out);
    let file = folder.join("sockets.json");
    let _ = fs::remove_file(&file);
    let output = Command::new(env!("CARGO_BIN_EXE_bench-sockets"))
        .args(arguments)
        .arg("--out")
        .arg(&file)
        .output()
        .expect("running bench-sockets");
    let json = fs::read_to_string(&file)
        .ok()
        .map(|text| serde_json::from_str(&text).expect("JSON"));
    (output, json)
}

#[test]
fn a_run_prints_its_table_and_writes_figures_by_scenario_and_system() {
    let (output, json) = bench(
        "shape",
        &[
            "--rounds",
            "1",
            "--slice-ms",
            "20",
            "--system",
            "raw",
            "--scenario",
            "rtt_64B_p50_us",
            "--scenario",
            "ipc_rtt_64B_p50_us",
            "--scenario",
            "inproc_rtt_64B_p50_us",
        ],
    );

    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let json = json.expect("a file");
    for scenario in [
        "rtt_64B_p50_us",
        "ipc_rtt_64B_p50_us",
        "inproc_rtt_64B_p50_us",
    ] {
        assert!(text.contains(scenario), "{text}");
        assert!(json[scenario]["raw"].as_f64().is_some(), "{json}");
        assert!(json[scenario]["ratios"].is_object(), "{json}");
    }
    assert_eq!(json.as_object().map(|scenarios| scenarios.len()), Some(3));
}

#[test]
fn an_unknown_scenario_is_refused_and_help_says_which_there_are() {
    let (output, json) = bench("unknown", &["--scenario", "rtt"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(json.is_none());

    let (output, _) = bench("help", &["--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("senders_16_64B_msgs_per_s"), "{help}");
    assert!(!help.contains("drive"), "{help}");
}
