//! The command line, its help, and its man page.

use std::path::PathBuf;
use std::time::Duration;

use brokerless::patterns::SlowSubscriber;
use brokerless::patterns::device::{Builder, CaptureType, Place};
use clap::{Args, CommandFactory, FromArgMatches, Parser};

use super::Failure;
use super::bounds::{
    CONNECTIONS, LAST_VALUES, LINGER, MESSAGE_BYTES, QUEUE_BYTES, QUEUE_MESSAGES, STATS,
};
use super::settings::{Given, Limits};
use super::values::{Listed, list, together};
use super::{program, values};

/// What differs between the programs.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) builder: fn() -> Builder,
    /// Whether it publishes: then it has the flags of [`Publishing`].
    pub(crate) publishes: bool,
    pub(crate) about: &'static str,
    pub(crate) details: &'static str,
    pub(crate) examples: &'static [&'static str],
}

const MORE: &str = "\
Endpoints:
  tcp://HOST:PORT or ipc://PATH. With `@` before it, or nothing, it is bound; with `>` it is
  connected to: quote that for the shell. A port alone is one of 127.0.0.1, `*` any free one.
  tcp://*:PORT listens on every address of the machine. Several have commas between, or the flag
  is repeated; a comma in a PATH is part of it, unless an endpoint begins after it.

Configuration file:
  TOML, with the names of the flags as keys:
    frontend = [\"@tcp://*:5559\", \"@ipc:///run/frontend\"]
    backend = \">tcp://10.0.0.1:5560\"
    linger = \"30s\"
  Flags outrank it.

Commands (a REQ socket sends one frame, and is answered):
  PAUSE, RESUME  pass nothing on; pass on again
  RELOAD         read the file again: endpoints come and go, linger and stats change
  STATISTICS     everything counted, as one JSON object
  TERMINATE      drain and end

Output:
  A line `SIDE ENDPOINT` for each endpoint, wildcards resolved, then `ready`; lines of `stats`; at
  the end `moved` and `left`. Nobody has to read them: what finds no room is dropped, and
  `dropped lines=N` says how many were, once there is room. RUST_LOG=debug says more on standard
  error.

Signals:
  SIGINT, SIGTERM and SIGHUP drain for --linger at most, then end with exit code 0. The second one
  ends at once.

Exit code: 0 ended as told, 1 it failed, 2 bad flags or configuration, 130 ended at once.";

/// What a device is started with.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100)]
pub(super) struct Flags {
    /// Endpoints in front; both sides bind unless told otherwise
    #[arg(long, value_name = "EP", value_parser = places)]
    frontend: Vec<Listed<Place>>,

    /// Endpoints at the back
    #[arg(long, value_name = "EP", value_parser = places)]
    backend: Vec<Listed<Place>>,

    /// Endpoints that a copy of everything goes to, with a frame `frontend` or `backend` in front;
    /// copies that find no room are lost and counted
    #[arg(long, value_name = "EP", value_parser = places)]
    capture: Vec<Listed<Place>>,

    /// The socket that copies go out by: pub or push [default: pub]
    #[arg(long, value_name = "TYPE", value_parser = capture_type)]
    capture_type: Option<CaptureType>,

    /// Endpoints for commands; whoever reaches them can stop the device
    #[arg(long, value_name = "EP", value_parser = places)]
    control: Vec<Listed<Place>>,

    /// Configuration file
    #[arg(long, value_name = "FILE.toml")]
    pub(super) config: Option<PathBuf>,

    #[arg(long, value_name = "TIME", value_parser = |it: &str| LINGER.time(it),
          help = LINGER.help("How long to pass on what is left when told to end"))]
    linger: Option<Duration>,

    #[arg(long, value_name = "TIME", value_parser = |it: &str| STATS.time(it),
          help = STATS.help("Print a line of statistics this often"))]
    stats: Option<Duration>,

    #[arg(long, value_name = "COUNT", value_parser = |it: &str| QUEUE_MESSAGES.read::<usize>(it),
          help = QUEUE_MESSAGES.help("Messages queued for each peer, and from each"))]
    queue_messages: Option<usize>,

    #[arg(long, value_name = "SIZE", value_parser = |it: &str| QUEUE_BYTES.read::<u64>(it),
          help = QUEUE_BYTES.help("Bytes queued for each peer, and from each"))]
    queue_bytes: Option<u64>,

    #[arg(long, value_name = "SIZE", value_parser = |it: &str| MESSAGE_BYTES.read::<u64>(it),
          help = MESSAGE_BYTES.help("The largest message that a peer may send; beyond it the peer is closed"))]
    message_bytes: Option<u64>,

    #[arg(long, value_name = "COUNT", value_parser = |it: &str| CONNECTIONS.read::<usize>(it),
          help = CONNECTIONS.help("Connections that may have come in to each side"))]
    connections: Option<usize>,

    /// Print the man page
    #[arg(long, hide = true, exclusive = true)]
    pub(super) man: bool,

    #[arg(skip)]
    publishing: Publishing,

    /// Whether the program publishes.
    #[arg(skip)]
    pub(super) publishes: bool,
}

/// What one that publishes is started with, too.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Publishing {
    #[arg(long, value_name = "COUNT", value_parser = |it: &str| LAST_VALUES.read::<usize>(it),
          help = LAST_VALUES.help("Topics whose last message new subscribers are sent first; publishers are then asked for everything"))]
    last_values: Option<usize>,

    /// What becomes of a subscriber that does not read: drop what its queue has no room for, or
    /// disconnect it [default: drop]
    #[arg(long, value_name = "drop|disconnect", value_parser = slow_subscriber)]
    slow_subscriber: Option<SlowSubscriber>,
}

impl Flags {
    /// What was given of it.
    pub(super) fn given(&self) -> Given {
        Given {
            places: [
                together(&self.frontend),
                together(&self.backend),
                together(&self.capture),
                together(&self.control),
            ],
            linger: self.linger,
            stats: self.stats,
            capture_type: self.capture_type,
            limits: Limits {
                queue_messages: self.queue_messages,
                queue_bytes: self.queue_bytes,
                message_bytes: self.message_bytes,
                connections: self.connections,
                last_values: self.publishing.last_values,
                slow_subscriber: self.publishing.slow_subscriber,
            },
        }
    }
}

impl Program {
    fn command(&self) -> clap::Command {
        let command = if self.publishes {
            Publishing::augment_args(Flags::command())
        } else {
            Flags::command()
        };
        command
            .name(self.name)
            .bin_name(self.name)
            .about(self.about)
            .long_about(format!("{}.\n\n{}", self.about, self.details))
            .after_help(format!(
                "Examples:\n  {}\n\n{MORE}",
                self.examples.join("\n  ")
            ))
    }

    /// What the user gave; ends the program with the help, the version or an error.
    pub(super) fn flags(&self) -> Flags {
        let matches = self.command().get_matches();
        let flags = Flags::from_arg_matches(&matches).and_then(|mut flags| {
            flags.publishes = self.publishes;
            if self.publishes {
                flags.publishing = Publishing::from_arg_matches(&matches)?;
            }
            Ok(flags)
        });
        match flags {
            Ok(flags) => flags,
            Err(error) => error.exit(),
        }
    }

    /// Prints the man page.
    pub(super) fn man_page(&self) -> Result<(), Failure> {
        program::man_page(self.command())
    }
}

/// Endpoints with commas between.
pub(super) fn places(given: &str) -> Result<Listed<Place>, String> {
    list(given, values::place)
}

/// The socket that copies go out by.
pub(super) fn capture_type(given: &str) -> Result<CaptureType, String> {
    match given {
        "pub" => Ok(CaptureType::Publish),
        "push" => Ok(CaptureType::Push),
        _ => Err("it is pub or push".into()),
    }
}

/// What becomes of a subscriber that does not read.
pub(super) fn slow_subscriber(given: &str) -> Result<SlowSubscriber, String> {
    match given {
        "drop" => Ok(SlowSubscriber::Drop),
        "disconnect" => Ok(SlowSubscriber::Disconnect),
        _ => Err("it is drop or disconnect".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn endpoints_are_repeated_or_have_commas_between() {
        let line = [
            "x",
            "--frontend",
            "1,>tcp://h:2",
            "--frontend",
            "3",
            "--backend=4",
        ];
        let flags = Flags::try_parse_from(line).unwrap();
        let given = flags.given();
        let frontend = given.places[0].as_ref().unwrap();
        assert_eq!(frontend.len(), 3);
        assert!(!frontend[1].binds());
        assert_eq!(given.places[1].as_ref().map(Vec::len), Some(1));
        assert_eq!((&given.places[2], &given.places[3]), (&None, &None));
    }
}
