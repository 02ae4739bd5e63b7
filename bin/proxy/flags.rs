//! The command line, its help, and its man page.

use std::path::PathBuf;
use std::time::Duration;

use brokerless::balance::{Policy, PolicyText};
use brokerless::patterns::device::Place;
use brokerless::proxy::Member;
use clap::{CommandFactory, Parser};

use super::Failure;
use super::bounds::{
    self, BLOB_BYTES_MAX, BYTES_MAX, HOPS_MAX, LATITUDE, LINGER, LONGITUDE, PRIORITY, QUEUE, STATS,
    WEIGHT, WINDOW_MAX,
};
use super::settings::{Given, Plain};
use super::values::{Listed, list, together};
use super::{policy, program, values};

const ABOUT: &str = "Serve the services of a pool of nodes under one address, with their credit, \
                     deadlines, streams and cancellation as they are";

const DETAILS: &str = "\
Callers connect to it as to any node. Each call goes to a node that the policy picks among those with \
credit; while none has any, calls wait in the proxy, and beyond --queue they are refused as a full \
server refuses. It knows no types: whatever service the nodes have is passed on. Health of the whole \
and statistics are the proxy's own; reflection, echo and the health of a service are a node's.";

const EXAMPLES: &str = "\
Examples:
  bl-proxy --listen tcp://*:7000 --node tcp://10.0.0.1:7070 --node tcp://10.0.0.2:7070=3
  bl-proxy --config proxy.toml --control 7001 --stats 1s
  bl-proxy --config proxy.toml --policy peak-ewma,choices=3,slow-start=10s --linger 30s
";

/// With the names of the policies in between, and then what there is of options.
const POLICIES: [&str; 2] = [
    "\
Policies:
  ",
    ".
  Options follow with commas between, or are keys of the file's table [policy]. Of a zone, a ring of
  distance and a priority this policy picks within; a subset is of each of those.",
];

const MORE: &str = "\
Endpoints:
  tcp://HOST:PORT or ipc://PATH. A port alone is one of 127.0.0.1, `*` any free one. tcp://*:PORT
  listens on every address of the machine. Several have commas between, or the flag is repeated; a
  comma in a PATH is part of it, unless an endpoint begins after it. So is `=`, but for the last one
  of a --node with a number after it: that is the weight.

Configuration file:
  TOML, with the names of the flags as keys, and a table for each node:
    listen = [\"tcp://*:7000\", \"ipc:///run/proxy\"]
    linger = \"30s\"
    [policy]                # or policy = \"peak-ewma,choices=3\" above
    name = \"peak-ewma\"
    choices = 3
    [[node]]
    endpoint = \"tcp://10.0.0.1:7070\"
";

const REST: &str = "\
  Flags outrank it; nodes are those of the file, if none is a flag.
  The file is looked at each second, and read again when it has changed, or on RELOAD: nodes come,
  go and change, and so do linger and stats. One that is wrong is refused as a whole.

Commands (a REQ socket sends one frame, and is answered):
  PAUSE, RESUME  keep the calls that come, within --queue; pass them on again
  RELOAD         read the file again
  STATISTICS     everything counted, as one JSON object
  TERMINATE      drain and end

Output:
  A line `listen ENDPOINT` for each endpoint, wildcards resolved, then `ready`; lines `added`,
  `removed`, `changed` of nodes, `refused` of a file; lines of `stats`; at the end `passed` and
  `left`. Nobody has to read them: what finds no room is dropped, and `dropped lines=N` says how
  many were, once there is room. RUST_LOG=debug says more on standard error.

Signals:
  SIGINT, SIGTERM and SIGHUP drain for --linger at most, then end with exit code 0. The second one
  ends at once.

Exit code: 0 ended as told, 1 it failed, 2 bad flags or configuration, 130 ended at once.";

/// What the help ends with.
fn more() -> String {
    let names: Vec<&str> = Policy::names().collect();
    let [before, after] = POLICIES;
    let options = policy::help();
    let names = names.join(", ");
    let ((south, north), (west, east)) = (LATITUDE, LONGITUDE);
    format!(
        "{EXAMPLES}\n{before}{names}{after}\n{options}\n\n{MORE}\
        \x20   weight = 3              # {WEIGHT} [default: 1]; 0 drains it
    priority = 0            # {PRIORITY} [default: 0], for by-priority
    region = \"eu\"           # with zone, for home and by-place
    zone = \"eu-1\"
    latitude = 52.5         # {south} to {north}, for by-distance
    longitude = 13.4        # {west} to {east}
{REST}"
    )
}

/// What the proxy is started with.
#[derive(Debug, Clone, Parser)]
#[command(name = "bl-proxy", version, about = ABOUT, long_about = format!("{ABOUT}.\n\n{DETAILS}"),
          after_help = more(), max_term_width = 100)]
pub(super) struct Flags {
    /// Endpoints to listen at
    #[arg(long, value_name = "EP", value_parser = places)]
    listen: Vec<Listed<Place>>,

    #[arg(long, value_name = "EP[=WEIGHT]", value_parser = nodes,
          help = WEIGHT.help("A node, perhaps with a weight"))]
    node: Vec<Listed<Member>>,

    /// Endpoints for commands; whoever reaches them can stop the proxy
    #[arg(long, value_name = "EP", value_parser = places)]
    control: Vec<Listed<Place>>,

    /// Configuration file
    #[arg(long, value_name = "FILE.toml")]
    pub(super) config: Option<PathBuf>,

    /// What it calls itself: callers, nodes and errors name it [default: bl-proxy]
    #[arg(long, value_name = "NAME", value_parser = bounds::name)]
    name: Option<String>,

    /// Which node gets the next call, with options: see below [default: adaptive]
    #[arg(long, value_name = "NAME[,KEY=VALUE]...")]
    policy: Option<PolicyText>,

    /// Where the proxy is: nodes of that zone come first, then those of that region; as by-place
    #[arg(long, value_name = "REGION[/ZONE]")]
    home: Option<String>,

    /// Use nodes of a lower priority as far as those before them are not healthy
    #[arg(long)]
    by_priority: bool,

    #[arg(long, value_name = "COUNT", value_parser = |it: &str| HOPS_MAX.read::<u32>(it),
          help = HOPS_MAX.help("Programs that may have passed a call on, this one among them"))]
    hops_max: Option<u32>,

    #[arg(long, value_name = "COUNT", value_parser = |it: &str| QUEUE.read::<usize>(it),
          help = QUEUE.help("Calls that may wait for the nodes' credit"))]
    queue: Option<usize>,

    #[arg(long, value_name = "SIZE", value_parser = |it: &str| BYTES_MAX.read::<u64>(it),
          help = BYTES_MAX.help("Bytes of the calls that have not been answered"))]
    bytes_max: Option<u64>,

    #[arg(long, value_name = "SIZE", value_parser = |it: &str| BLOB_BYTES_MAX.read::<u64>(it),
          help = BLOB_BYTES_MAX.help("The largest arguments and blob, both ways"))]
    blob_bytes_max: Option<u64>,

    #[arg(long, value_name = "COUNT", value_parser = |it: &str| WINDOW_MAX.read::<u32>(it),
          help = WINDOW_MAX.help("Calls that a caller may have in flight at most"))]
    window_max: Option<u32>,

    #[arg(long, value_name = "TIME", value_parser = |it: &str| LINGER.time(it),
          help = LINGER.help("How long to answer what is in flight when told to end"))]
    linger: Option<Duration>,

    #[arg(long, value_name = "TIME", value_parser = |it: &str| STATS.time(it),
          help = STATS.help("Print a line of statistics this often"))]
    stats: Option<Duration>,

    /// Print the man page
    #[arg(long, hide = true, exclusive = true)]
    pub(super) man: bool,
}

impl Flags {
    /// What was given of it.
    pub(super) fn given(&self) -> Given {
        Given {
            listen: together(&self.listen),
            control: together(&self.control),
            nodes: together(&self.node),
            linger: self.linger,
            stats: self.stats,
            plain: Plain {
                name: self.name.clone(),
                policy: self.policy.clone(),
                home: self.home.clone(),
                by_priority: self.by_priority.then_some(true),
                hops_max: self.hops_max,
                queue: self.queue,
                bytes_max: self.bytes_max,
                blob_bytes_max: self.blob_bytes_max,
                window_max: self.window_max,
            },
        }
    }
}

/// What the user gave; ends the program with the help, the version or an error.
pub(super) fn get() -> Flags {
    Flags::parse()
}

/// Prints the man page.
pub(super) fn man_page() -> Result<(), Failure> {
    program::man_page(Flags::command())
}

/// Endpoints to bind, with commas between.
pub(super) fn places(given: &str) -> Result<Listed<Place>, String> {
    list(given, |given| {
        let place = values::place(given)?;
        if !place.binds() {
            return Err("it is listened at: leave out the `>`".to_owned());
        }
        Ok(place)
    })
}

/// Nodes with their weights, with commas between.
fn nodes(given: &str) -> Result<Listed<Member>, String> {
    list(given, node)
}

/// A node with its weight.
fn node(given: &str) -> Result<Member, String> {
    let given = given.trim();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let (endpoint, weight) = match given.rsplit_once('=') {
        // A path may have one of its own.
        Some((_, rest)) if given.starts_with("ipc://") && !is_number(rest) => (given, None),
        Some((endpoint, weight)) => (endpoint, Some(weight)),
        None => (given, None),
    };
    let parsed: brokerless::patterns::Endpoint = endpoint
        .parse()
        .map_err(|error| format!("{error}; a node is such as tcp://10.0.0.1:7070=3"))?;
    let member = Member::new(parsed.to_string());
    let Some(weight) = weight else {
        return Ok(member);
    };
    let weight = WEIGHT.read::<u32>(weight);
    let weight = weight.map_err(|rule| format!("of the weight: {rule}"))?;
    Ok(member.weight(weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_node_may_have_a_weight() {
        assert_eq!(node("tcp://h:1"), Ok(Member::new("tcp://h:1")));
        assert_eq!(node("tcp://h:1=3"), Ok(Member::new("tcp://h:1").weight(3)));
        for bad in [
            "tcp://h:1=-1",
            "tcp://h:1=1001",
            "tcp://h:1=many",
            "h=3",
            "",
        ] {
            assert!(node(bad).is_err(), "{bad}");
        }
        assert!(places("7000").is_ok() && places(">tcp://h:1").is_err());
    }

    #[test]
    fn a_path_may_have_commas_and_equals_signs() {
        for (given, path, weight) in [
            ("ipc:///run/a=b", "ipc:///run/a=b", None),
            ("ipc:///run/a=b=3", "ipc:///run/a=b", Some(3)),
            ("ipc:///run/a=3", "ipc:///run/a", Some(3)),
            ("ipc:///run/a,b", "ipc:///run/a,b", None),
            ("ipc:///run/a,b=c,d=5", "ipc:///run/a,b=c,d", Some(5)),
        ] {
            let member = Member::new(path);
            let expected = match weight {
                Some(weight) => member.weight(weight),
                None => member,
            };
            assert_eq!(nodes(given).expect(given).0, [expected], "{given}");
        }
        let Listed(two) = nodes("ipc:///run/a,b=2,tcp://h:1=3").expect("two");
        assert_eq!(two[1], Member::new("tcp://h:1").weight(3));
        // What is wrong with a weight is said of the weight.
        let error = nodes("ipc:///run/a=1001").expect_err("too much");
        assert_eq!(error, "of the weight: it is 0 to 1000");
        assert!(nodes("tcp://h:1=b").is_err_and(|it| it.starts_with("of the weight")));
    }
}
