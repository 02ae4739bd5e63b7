//! What a server has done and does now: `stats`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use brokerless::builtin::{CallerReport, SocketReport, StatsClient, StatsReport};
use brokerless::{CallError, Code};

use super::fault::Fault;
use super::json::Json;
use super::node::Node;
use super::show::as_json;
use super::{clean, print};

/// How long it is waited for what a worker has to tell.
const WORKER_PATIENCE: Duration = Duration::from_secs(2);

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
    // These wait for a worker, and the workers may be what is looked at.
    let patient = StatsClient::from(node.client.clone()).with(node.within(WORKER_PATIENCE));
    let callers = patient.callers().map_err(|error| error.to_string());
    let sockets = patient.sockets().map_err(|error| error.to_string());
    if json {
        let mut all = as_json(&told)?;
        if let Json::Object(entries) = &mut all {
            let mut tell = |key: &str, value| entries.push((key.to_owned(), value));
            match &callers {
                Ok(callers) => tell("callers_told", as_json(callers)?),
                Err(why) => tell("callers_untold", Json::text(&**why)),
            }
            match &sockets {
                Ok(sockets) => tell("sockets", as_json(sockets)?),
                Err(why) => tell("sockets_untold", Json::text(&**why)),
            }
        }
        return print(&(all.print(false) + "\n"));
    }
    let mut shown = text(&told);
    shown += &match &callers {
        Ok(callers) => callers_text(callers, told.callers),
        Err(why) => format!("\ncallers not told: {why}\n"),
    };
    shown += &match &sockets {
        Ok(sockets) => sockets.iter().enumerate().map(socket_text).collect(),
        Err(why) => format!("\nsockets not told: {why}\n"),
    };
    print(&clean(&shown))
}

fn text(told: &StatsReport) -> String {
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
    let streams = &told.streams;
    line(format_args!(
        "streams  {} begun, {} open, {} items in, {} out; violations: {}",
        streams.begun,
        streams.open,
        streams.items_in,
        streams.items_out,
        reasons(&streams.violations)
    ));
    line(format_args!("refused  {}", reasons(&told.refused)));
    line(format_args!("dropped  {}", reasons(&told.dropped)));
    let called = || told.methods.iter().filter(|of| of.calls > 0);
    let width = called().map(|of| of.path.len()).max().unwrap_or(0).max(10);
    line(format_args!(
        "\n{:width$} {:>10} {:>8}   mean",
        "method", "calls", "failed"
    ));
    for of in called() {
        let mean = match of.duration_ns {
            0 => "-".to_owned(),
            ns => format!("{:.1?}", Duration::from_nanos(ns)),
        };
        line(format_args!(
            "{:width$} {:>10} {:>8}   {mean}",
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
    text
}

/// `all` callers are there.
fn callers_text(callers: &[CallerReport], all: u64) -> String {
    let mut text = String::from("\ncaller             calls  in flight   credit\n");
    for of in callers {
        let name = match &*of.name {
            "" => format!("number {}", of.peer),
            name => name.to_owned(),
        };
        text += &format!(
            "{name:<14} {:>9} {:>10} {:>8}\n",
            of.calls, of.in_flight, of.credit
        );
    }
    let more = all.saturating_sub(callers.len() as u64);
    if more > 0 {
        text += &format!("{more} more\n");
    }
    text
}

fn socket_text((index, of): (usize, &SocketReport)) -> String {
    format!(
        "\nsocket {}   {} connections; in {} ({} bytes), {} wait; out {} ({} bytes), {} wait\n  \
         refused  {}\n  dropped  {}\n  closed   {}\n",
        index + 1,
        of.connections,
        of.arrived,
        of.arrived_bytes,
        of.recv_queue,
        of.sent,
        of.sent_bytes,
        of.send_queue,
        reasons(&of.refused),
        reasons(&of.dropped),
        reasons(&of.closes)
    )
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
        let text = text(&told) + &callers_text(&[CallerReport::default()], told.callers);
        assert!(text.contains("dropped  3 caller-gone\n"), "{text}");
        assert!(text.contains("refused  nothing\n"), "{text}");
        assert!(text.contains("\n4 more\n"), "{text}");
    }
}
