//! What goes to standard output, in lines that programs can read as well as people.

use std::fmt::Write as _;

use brokerless::patterns::Endpoint;
use brokerless::proxy::ProxyStats;
use brokerless::server::DrainReport;

use super::program::print;

/// A line `listen tcp://127.0.0.1:41234` for each endpoint, then `ready`.
pub(super) fn endpoints(listen: &[Endpoint], control: &[Endpoint]) {
    let mut text = String::new();
    for (side, list) in [("listen", listen), ("control", control)] {
        for one in list {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{side} {one}");
        }
    }
    print(&(text + "ready\n"));
}

/// Why a file that has changed is not heeded.
pub(super) fn refused(why: &str) {
    print(&format!("refused {}\n", why.replace('\n', " ")));
}

/// What has been passed on since the beginning, and how fast since the last line.
pub(super) fn stats(now: &ProxyStats, before: &ProxyStats) {
    let seconds = now.uptime_ms.saturating_sub(before.uptime_ms) as f64 / 1000.0;
    let more = now.passed.saturating_sub(before.passed) as f64;
    let rate = if seconds > 0.0 { more / seconds } else { 0.0 };
    let up = now.nodes.iter().filter(|node| node.state == "up").count();
    print(&format!(
        "stats state={} passed={} rate={rate:.1} answered={} errors={} refused={} in_flight={} \
         waiting={} kept={} callers={} nodes={} nodes_up={up}\n",
        now.state,
        now.passed,
        now.answered,
        now.errors,
        now.refused.values().sum::<u64>(),
        now.in_flight,
        now.waiting,
        now.kept,
        now.callers,
        now.nodes.len(),
    ));
}

/// What was passed on, and what was left.
pub(super) fn report(stats: &ProxyStats, report: &DrainReport) {
    print(&format!(
        "passed {} answered={} errors={} refused={}\nleft running={} unheard={} took_ms={}\n",
        stats.passed,
        stats.answered,
        stats.errors,
        stats.refused.values().sum::<u64>(),
        report.running,
        report.unheard,
        report.took.as_millis()
    ));
}
