//! What the flags and the file give together. Flags outrank the file.

use std::path::PathBuf;
use std::time::Duration;

use brokerless::balance::{Policy, PolicyText};
use brokerless::patterns::device::Place;
use brokerless::proxy::{Member, Proxy, ProxyBuilder};

use super::Failure;
use super::file;
use super::flags::Flags;
use super::policy::combined;

/// What has been given in one place: on the command line or in the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Given {
    pub(super) listen: Option<Vec<Place>>,
    pub(super) control: Option<Vec<Place>>,
    pub(super) nodes: Option<Vec<Member>>,
    pub(super) linger: Option<Duration>,
    pub(super) stats: Option<Duration>,
    pub(super) plain: Plain,
}

/// What the proxy is made with, and keeps.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Plain {
    pub(super) name: Option<String>,
    pub(super) policy: Option<PolicyText>,
    pub(super) home: Option<String>,
    pub(super) by_priority: Option<bool>,
    pub(super) hops_max: Option<u32>,
    pub(super) queue: Option<usize>,
    pub(super) bytes_max: Option<u64>,
    pub(super) blob_bytes_max: Option<u64>,
    pub(super) window_max: Option<u32>,
}

/// What both give together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) listen: Vec<Place>,
    pub(super) control: Vec<Place>,
    pub(super) nodes: Vec<Member>,
    pub(super) linger: Duration,
    pub(super) stats: Option<Duration>,
    pub(super) file: Option<PathBuf>,
    plain: Plain,
}

impl Settings {
    /// What the flags say, and the file that they name.
    pub(super) fn read(flags: &Flags) -> Result<Settings, Failure> {
        let ours = flags.given();
        let theirs = match &flags.config {
            Some(path) => file::read(path)?,
            None => Given::default(),
        };
        let (own, other) = (ours.plain, theirs.plain);
        let missing = |what: &str, example: &str| {
            Failure::usage(format!(
                "there is no {what}; give at least one, such as {example}"
            ))
        };
        Ok(Settings {
            listen: ours
                .listen
                .or(theirs.listen)
                .ok_or_else(|| missing("endpoint to listen at", "--listen tcp://127.0.0.1:7000"))?,
            nodes: ours.nodes.or(theirs.nodes).ok_or_else(|| {
                missing(
                    "node",
                    "--node tcp://10.0.0.1:7070, or [[node]] in the file",
                )
            })?,
            control: ours.control.or(theirs.control).unwrap_or_default(),
            linger: ours
                .linger
                .or(theirs.linger)
                .unwrap_or(Duration::from_secs(10)),
            stats: ours.stats.or(theirs.stats),
            file: flags.config.clone(),
            plain: Plain {
                name: own.name.or(other.name),
                policy: own.policy.or(other.policy),
                home: own.home.or(other.home),
                by_priority: own.by_priority.or(other.by_priority),
                hops_max: own.hops_max.or(other.hops_max),
                queue: own.queue.or(other.queue),
                bytes_max: own.bytes_max.or(other.bytes_max),
                blob_bytes_max: own.blob_bytes_max.or(other.blob_bytes_max),
                window_max: own.window_max.or(other.window_max),
            },
        })
    }

    /// The proxy, as these say.
    pub(super) fn builder(&self) -> Result<ProxyBuilder, Failure> {
        let plain = &self.plain;
        let mut builder = Proxy::builder()
            .name(plain.name.as_deref().unwrap_or("bl-proxy"))
            .nodes(self.nodes.iter().cloned())
            .drain_timeout(self.linger);
        if let Some(policy) = plain.policy()? {
            builder = builder.policy(policy);
        }
        if let Some(hops) = plain.hops_max {
            builder = builder.hops_max(hops);
        }
        if let Some(calls) = plain.queue {
            builder = builder.queue(calls);
        }
        if let Some(bytes) = plain.bytes_max {
            builder = builder.bytes_max(bytes);
        }
        if let Some(bytes) = plain.blob_bytes_max {
            builder = builder.blob_bytes_max(bytes);
        }
        if let Some(calls) = plain.window_max {
            builder = builder.window_max(calls).window(calls.min(16));
        }
        Ok(builder)
    }

    /// Whether only such things differ as may change while the proxy runs.
    pub(super) fn changes_at_run_time(&self, before: &Settings) -> Result<(), String> {
        let same = (&self.plain, &self.listen, &self.control)
            == (&before.plain, &before.listen, &before.control);
        match same {
            true => Ok(()),
            false => Err(
                "only nodes, linger and stats change while the proxy runs; restart it to change \
                 the rest"
                    .into(),
            ),
        }
    }
}

impl Plain {
    /// The policy, if one was named or made of others.
    fn policy(&self) -> Result<Option<Policy>, Failure> {
        combined(self.policy.as_ref(), self.home.as_deref(), self.by_priority)
            .and_then(|whole| whole.map(|it| it.policy()).transpose())
            .map_err(|error| Failure::usage(error.to_string()))
    }
}
