//! What a server has done and does now: `stats`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use brokerless::builtin::{CallerReport, SocketReport, StatsClient, StatsReport};
use brokerless::{CallError, Code};

use super::fault::Fault;
use super::json::Json;
use super::node::Node;
use super::print;
use super::show::as_json;

/// Asks, and prints it.
pub(super) fn show(node: &Node, json: bool) -> Result<u8, Fault> {
    let client = StatsClient::from(node.client.clone()).with(node.call.clone());
    let failed = |error: CallError| {
        let Some(error) = error.rpc() else {
            return Fault::run(error.to_string());
        };
        let fault = node.fault(error);
        match error.code() {
            Code::Unimplemented => fault.note("the server offers no statistics"),
            _ => fault,
        }
    };
    let told = client.snapshot().map_err(failed)?;
    // These wait for a worker, which may be busy for long.
    let callers = client.callers().map_err(failed)?;
    let sockets = client.sockets().map_err(failed)?;
    if json {
        let mut all = as_json(&told)?;
        if let Json::Object(entries) = &mut all {
            entries.push(("callers_told".into(), as_json(&callers)?));
            entries.push(("sockets".into(), as_json(&sockets)?));
        }
        return print(&(all.print(false) + "\n"));
    }
    print(&text(&told, &callers, &sockets))
}

fn text(told: &StatsReport, callers: &[CallerReport], sockets: &[SocketReport]) -> String {
    let mut text = String::new();
    let name = match &*told.name {
        "" => "a server without a name",
        name => name,
    };
    let up = Duration::from_secs(told.uptime_ms / 1000);
    let leaves = if told.draining { ", draining" } else { "" };
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    };
    line(format_args!("{name}, up {}{leaves}", spell(up)));
    line(format_args!(
        "calls    {} came, {} answered, {} failed ({} panicked), {} in flight, {} cancelled",
        told.calls, told.answered, told.failed, told.panicked, told.in_flight, told.cancels
    ));
    line(format_args!("refused  {}", reasons(&told.refused)));
    line(format_args!("dropped  {}", reasons(&told.dropped)));
    line(format_args!(
        "\nmethod                            calls   failed   mean"
    ));
    for of in told.methods.iter().filter(|of| of.calls > 0) {
        let mean = Duration::from_nanos(of.duration_ns);
        line(format_args!(
            "{:<30} {:>8} {:>8}   {mean:.1?}",
            of.path, of.calls, of.failed
        ));
    }
    let silent = told.methods.iter().filter(|of| of.calls == 0).count();
    if silent > 0 {
        line(format_args!("{silent} more, never called"));
    }
    line(format_args!(
        "\npool         threads  running   queued     most    bytes  refused"
    ));
    for of in &told.pools {
        let name = if of.name.is_empty() {
            "default"
        } else {
            &of.name
        };
        line(format_args!(
            "{name:<12} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}",
            of.threads, of.running, of.queued, of.queued_most, of.queued_bytes, of.refused
        ));
    }
    line(format_args!(
        "\ncaller             calls  in flight   credit"
    ));
    for of in callers {
        let name = match &*of.name {
            "" => format!("number {}", of.peer),
            name => name.chars().filter(|c| !c.is_control()).collect(),
        };
        line(format_args!(
            "{name:<14} {:>9} {:>10} {:>8}",
            of.calls, of.in_flight, of.credit
        ));
    }
    let more = told.callers.saturating_sub(callers.len() as u64);
    if more > 0 {
        line(format_args!("{more} more"));
    }
    for (index, of) in sockets.iter().enumerate() {
        line(format_args!(
            "\nsocket {}   {} connections; in {} ({} bytes), {} wait; out {} ({} bytes), {} wait",
            index + 1,
            of.connections,
            of.arrived,
            of.arrived_bytes,
            of.recv_queue,
            of.sent,
            of.sent_bytes,
            of.send_queue
        ));
        line(format_args!("  refused  {}", reasons(&of.refused)));
        line(format_args!("  dropped  {}", reasons(&of.dropped)));
        line(format_args!("  closed   {}", reasons(&of.closes)));
    }
    text
}

fn reasons(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "nothing".to_owned();
    }
    let counts = counts.iter();
    let counts: Vec<String> = counts
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    counts.join(", ")
}

fn spell(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours) = (seconds / 60 % 60, seconds / 3600);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_in_two_units() {
        for (seconds, text) in [(7, "7 s"), (61, "1 min 1 s"), (90_000, "25 h 0 min")] {
            assert_eq!(spell(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn what_was_dropped_is_told_with_its_reason() {
        let mut told = StatsReport::default();
        told.dropped.insert("caller-gone".into(), 3);
        told.callers = 5;
        let text = text(
            &told,
            &[CallerReport::default()],
            &[SocketReport::default()],
        );
        assert!(text.contains("dropped  3 caller-gone\n"), "{text}");
        assert!(text.contains("refused  nothing\n"), "{text}");
        assert!(text.contains("\n4 more\n"), "{text}");
    }
}
