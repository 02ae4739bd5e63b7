//! The counts of a socket under one name each, so that they can cross a pipe.

use std::collections::BTreeMap;
use std::fmt;

use brokerless_patterns::SocketStats;

/// Counts by name: `arrived`, `closes.bad-signature`, `refused.full` and so on. What is not there
/// is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures(BTreeMap<String, u64>);

impl Figures {
    pub(crate) fn of(stats: &SocketStats) -> Self {
        let mut figures = Figures::default();
        for (name, value) in [
            ("sent", stats.sent_messages),
            ("sent_bytes", stats.sent_bytes),
            ("written", stats.written_messages),
            ("send_queue", stats.send_queue_messages as u64),
            ("send_queue_bytes", stats.send_queue_bytes as u64),
            ("arrived", stats.arrived_messages),
            ("arrived_bytes", stats.arrived_bytes),
            ("received", stats.received_messages),
            ("recv_queue", stats.recv_queue_messages as u64),
            ("connections", stats.connections as u64),
            ("handshakes", stats.handshakes as u64),
            ("peers", stats.peers.len() as u64),
            (
                "pings_unanswered",
                stats.peers.iter().map(|peer| peer.pings_unanswered).sum(),
            ),
            (
                "recv_queue_peer_max",
                stats
                    .peers
                    .iter()
                    .map(|peer| peer.recv_queue_messages as u64)
                    .max()
                    .unwrap_or(0),
            ),
        ] {
            figures.set(name, value);
        }
        for (group, counts) in [
            ("refused", &stats.refused),
            ("dropped", &stats.dropped),
            ("closes", &stats.closes),
        ] {
            for (reason, count) in counts {
                figures.set(&format!("{group}.{reason}"), *count);
            }
        }
        figures
    }

    pub(crate) fn set(&mut self, name: &str, value: u64) {
        self.0.insert(name.into(), value);
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Connections that ended for this reason.
    pub(crate) fn closes(&self, reason: &str) -> u64 {
        self.get(&format!("closes.{reason}"))
    }

    /// Every reason for which connections ended, and how many.
    pub(crate) fn all_closes(&self) -> BTreeMap<&str, u64> {
        self.0
            .iter()
            .filter_map(|(name, count)| Some((name.strip_prefix("closes.")?, *count)))
            .collect()
    }

    /// Whether what the socket's documentation promises holds: nothing is lost uncounted.
    #[track_caller]
    pub(crate) fn assert_balanced(&self, whose: &str) {
        let out = self.get("written") + self.get("send_queue") + self.get("dropped.peer-gone");
        assert_eq!(
            self.get("sent"),
            out,
            "{whose}: sent = written + queued + dropped; {self}"
        );
        let within = self.get("received")
            + self.get("recv_queue")
            + self.get("dropped.closed")
            + self.get("dropped.misfit");
        assert_eq!(
            self.get("arrived"),
            within,
            "{whose}: arrived = received + queued + dropped; {self}"
        );
    }

    /// What [`Display`](fmt::Display) made.
    pub(crate) fn parse(line: &str) -> Self {
        Figures(
            line.split_whitespace()
                .filter_map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    Some((name.to_owned(), value.parse().ok()?))
                })
                .collect(),
        )
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{name}={value}")?;
        }
        Ok(())
    }
}
