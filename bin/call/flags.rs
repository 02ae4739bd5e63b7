//! The command line, its help, and its man page.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use brokerless::Metadata;
use brokerless::patterns::Endpoint;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use super::duration::{DURATION, duration};
use super::fault::Fault;
use super::size::size;

/// The longest time that a call may be given: a week.
const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

const MORE: &str = "\
What:
  list [SERVICE]     every method with its signature
  describe NAME      a service or a method: its documentation, options, an example
  health [SERVICE]   whether services are fit to be called; exit code 1 if one that is asked for,
                     or the server, is not
  stats              calls by method, pools, callers, sockets, what was refused or dropped
  SERVICE.METHOD     calls the method

Arguments:
  In their order, or by name as NAME=VALUE, or all at once as a JSON object by their names, or by
  --data as an object or an array. Each is JSON, and checked against the type that the server
  tells; to a type of the service's own it is passed on as it is. Text needs no quotes: abc is
  \"abc\". What may be null may be left out. What begins with a dash goes behind --.
  @FILE is what a file holds, @- what standard input does: for text as it is, for bytes and blobs
  as they are, else as JSON. Text that begins with @ is written '\"@abc\"'.

Bytes and blobs:
  are base64 in JSON, both ways. Besides, they are given as @FILE, @-, hex:00ff or text:hello, in
  JSON texts, too. An array of numbers from 0 to 255 is taken as well, and is what a type of the
  service's own wants within. --output FILE takes those of an answer as they are.

Answers:
  JSON on standard output: in one line, or in several at a terminal. What JSON has no number for
  is text: \"NaN\", \"Infinity\", whole numbers of more than 64 bits. Errors go to standard error,
  with the signature of the method; with --json as one object.

Items:
  A method that gives items prints each in a line, when it comes; one that takes items reads them
  from standard input, a line each, written as an argument would be. Empty lines are passed over.
  A line that is wrong is told with its number, and ends the call. --output FILE takes the bytes or
  blobs one after the other. Typing at a terminal, mind --item-timeout.

With --repeat:
  Answers are not printed but counted: how many calls, errors by code, calls a second, and p50 to
  max of what the answered ones took. The first error is told. Ctrl-C ends it, and it is summed up.

Completions:
  source <(bl-call completions bash)     in .bashrc
  source <(bl-call completions zsh)      in .zshrc, after compinit
  bl-call completions fish | source      in config.fish
  They ask the server for its methods.

Exit code:
  0    it was answered
  1    it failed: the method's own error, or the server's; or the answer could not be written
  2    bad flags, names, arguments or JSON: nothing was called; or a bad line of items
  3    unreachable: no node could be reached, it turned the call away, or its connection was lost
  4    the deadline passed
  130  interrupted
  With --repeat it is that of the first call that failed.";

/// Call the methods of any service, by reflection
///
/// Asks the server at an endpoint what it offers, checks what is given against the types of the
/// method's arguments, calls it, and prints the answer as JSON.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "bl-call",
    bin_name = "bl-call",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    override_usage = "bl-call [OPTIONS] ENDPOINT list [SERVICE]\n       \
                      bl-call [OPTIONS] ENDPOINT describe NAME\n       \
                      bl-call [OPTIONS] ENDPOINT health [SERVICE]\n       \
                      bl-call [OPTIONS] ENDPOINT stats\n       \
                      bl-call [OPTIONS] ENDPOINT SERVICE.METHOD [ARGUMENT]...\n       \
                      bl-call completions bash|zsh|fish",
    after_help = format!("{EXAMPLES}\n\n{MORE}"),
)]
pub(crate) struct Flags {
    /// Where the server is: tcp://HOST:PORT or HOST:PORT, ipc://PATH, or a port of this machine;
    /// several, with commas between, are a pool
    #[arg(value_name = "ENDPOINT", required = true, value_parser = endpoints)]
    pub(super) endpoint: Option<Endpoints>,

    /// list, describe, health, stats, or the method: SERVICE.METHOD
    #[arg(value_name = "WHAT", required = true)]
    pub(super) what: Option<String>,

    /// Arguments of the method, or what to list, describe or ask the health of
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    pub(super) words: Vec<String>,

    /// All arguments as a JSON object or array; @FILE reads it from a file, @- from standard input
    #[arg(short, long, value_name = "JSON")]
    pub(super) data: Option<String>,

    /// Write the answer to a file: its bytes or blob as they are, else JSON; several blobs to
    /// FILE.1, FILE.2 and so on; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// How long a call may take: 1ms to 168h [default: what the method says, else 10s, and
    /// none for one that carries items]
    #[arg(short, long, value_name = "TIME", value_parser = timeout)]
    pub(super) timeout: Option<Duration>,

    /// How long to wait for an item, or for room for one: 1ms to 168h [default: what the method
    /// says, else 10s]
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    pub(super) item_timeout: Option<Duration>,

    /// Metadata that goes with the call; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = metadata)]
    pub(super) metadata: Vec<(String, String)>,

    /// Wait for the server until the deadline, if it cannot be reached
    #[arg(short, long)]
    pub(super) wait: bool,

    /// Make so many calls, and print how long they took: 1 to 1000000000
    #[arg(short = 'n', long, value_name = "CALLS",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(super) repeat: Option<u64>,

    /// Make so many of them at once: 1 to 4096 [default: 1]
    #[arg(short, long, value_name = "CALLS",
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) parallel: Option<u16>,

    /// Print what is listed, told or summed up as JSON, and errors, too
    #[arg(long)]
    pub(super) json: bool,

    /// Say on standard error which node answered, and how long it took
    #[arg(short, long)]
    pub(super) verbose: bool,

    /// Ask the server nothing: arguments go as they look, and are not checked
    #[arg(long)]
    pub(super) no_reflection: bool,

    /// Leave sessions out: for a device such as bl-queue between here and the server
    #[arg(long)]
    pub(super) sessionless: bool,

    /// The largest message that is taken from a server [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) message_bytes: Option<u64>,

    /// Print the man page
    #[arg(long, hide = true, exclusive = true)]
    pub(super) man: bool,

    #[command(subcommand)]
    pub(super) own: Option<Own>,
}

/// What needs no server.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Own {
    /// Print completions for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// What could stand at the end of this line: for the completions
    #[command(hide = true)]
    Complete {
        /// The line, up to the cursor
        #[arg(allow_hyphen_values = true)]
        line: String,
    },
}

/// A shell that completions are there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// One endpoint, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoints(pub(super) Vec<String>);

const EXAMPLES: &str = "\
Examples:
  bl-call tcp://127.0.0.1:7070 list
  bl-call 7070 describe calc.v1.add
  bl-call 7070 calc.v1.add 2 3
  bl-call 7070 calc.v1.add '{\"x\":2,\"y\":3}'
  bl-call 7070 calc.v1.find abracadabra needle=ab --metadata tenant=blue --timeout 500ms
  bl-call 7070 files.v1.store zeros @zeros.bin
  bl-call 7070 files.v1.load zeros --output zeros.bin
  bl-call 7070 files.v1.lines /var/log/messages --item-timeout 1h
  bl-call 7070,7071 calc.v1.add 2 3 --repeat 100000 --parallel 16";

impl Flags {
    /// What the user gave; ends the program with the help, the version or an error.
    pub(crate) fn read() -> Self {
        Flags::parse()
    }

    /// Whether many calls are wanted.
    pub(super) fn repeats(&self) -> bool {
        self.repeat.is_some() || self.parallel.is_some()
    }
}

/// Prints the man page.
pub(super) fn man_page() -> Result<u8, Fault> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Flags::command())
        .render(&mut page)
        .and_then(|()| io::stdout().write_all(&page))
        .map_err(|error| Fault::run(format!("cannot print: {error}")))?;
    Ok(0)
}

fn endpoints(given: &str) -> Result<Endpoints, String> {
    let own = |one: &str| -> Result<String, String> {
        let one = one.trim();
        let named = match one.bytes().all(|byte| byte.is_ascii_digit()) {
            true if !one.is_empty() => format!("tcp://127.0.0.1:{one}"),
            _ if is_host_and_port(one) => format!("tcp://{one}"),
            _ => one.to_owned(),
        };
        let parsed: Endpoint = named
            .parse()
            .map_err(|error: brokerless::patterns::EndpointError| error.to_string())?;
        if named.starts_with("inproc://") {
            return Err("inproc:// is within one process: use tcp:// or ipc://".into());
        }
        parsed.check_connect().map_err(|error| error.to_string())?;
        Ok(parsed.to_string())
    };
    let all = given.split(',').map(own).collect::<Result<Vec<_>, _>>()?;
    Ok(Endpoints(all))
}

/// Whether only the transport is missing.
fn is_host_and_port(given: &str) -> bool {
    let port = given.rsplit_once(':').map_or("", |(_, port)| port);
    !given.contains("://") && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn timeout(given: &str) -> Result<Duration, String> {
    let timeout = duration(given).ok_or(DURATION)?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err("it is 1ms to 168h".into());
    }
    Ok(timeout)
}

fn metadata(given: &str) -> Result<(String, String), String> {
    let Some((key, value)) = given.split_once('=') else {
        return Err("metadata has a key and a value, such as tenant=blue".into());
    };
    let mut alone = Metadata::new();
    alone
        .insert(key, value)
        .map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Flags, clap::Error> {
        Flags::try_parse_from(std::iter::once("bl-call").chain(line.split(' ')))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn options_stand_anywhere_and_negative_numbers_are_arguments() {
        let flags = read("7070 calc.v1.add 2 -3.5e1 --timeout 5s -m a=b -m c=d=e -n 10").unwrap();
        let endpoint = Endpoints(vec!["tcp://127.0.0.1:7070".into()]);
        assert_eq!(flags.endpoint, Some(endpoint));
        assert_eq!(flags.what.as_deref(), Some("calc.v1.add"));
        assert_eq!(flags.words, ["2", "-3.5e1"]);
        assert_eq!(flags.timeout, Some(Duration::from_secs(5)));
        assert_eq!(flags.metadata[1], ("c".to_owned(), "d=e".to_owned()));
        assert!(flags.repeats());
        let flags = read("--json ipc:///tmp/a,tcp://h:1 log.v1.write -- -x").unwrap();
        assert_eq!(flags.words, ["-x"]);
        assert_eq!(flags.endpoint.map(|all| all.0.len()), Some(2));
        assert!(matches!(
            read("completions bash").unwrap().own,
            Some(Own::Completions { shell: Shell::Bash })
        ));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_rule() {
        for (line, rule) in [
            ("tcp://x list", "write tcp://x:5555"),
            ("70707 list", "65535"),
            ("inproc://a list", "within one process"),
            ("7070 list --timeout 5", "such as 500ms or 5s"),
            ("7070 list --timeout 0ms", "1ms to 168h"),
            ("7070 list -m tenant", "such as tenant=blue"),
            ("7070 a.b --repeat 0", "1000000000"),
            ("7070 a.b --parallel 5000", "4096"),
            ("7070", "WHAT"),
            ("completions csh", "bash, zsh, fish"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(rule), "{line}: {error}");
        }
    }
}
