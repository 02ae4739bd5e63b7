//! What runs in the process with the ROUTER: everything is sent back to where it came from.
//!
//! | option | what |
//! |---|---|
//! | `bind` | the endpoint; default any free port of 127.0.0.1 |
//! | `descriptors` | the most that the process may open |
//! | `signals=1` | SIGUSR1 is handled, and counted |
//! | others | the socket's, times in milliseconds; the heartbeat timeout is [`SILENT`] unless said |
//!
//! | line | what it does |
//! |---|---|
//! | `stats` | the socket's counts, and this process's |
//! | `pause`, `go` | ceases to receive, and goes on |
//! | `release` | answers what began with `hold`, to the peers that it came from |
//! | `send IDENTITY TEXT` | sends to whoever holds the identity |
//!
//! A message whose first frame is `drop` is not answered.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::{Message, Options, Peer, RecvError, Router};
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::figures::Figures;

/// The first argument of such a process.
pub(crate) const ROLE: &str = "@router";

/// How often the one who receives looks for orders.
const LOOK: Duration = Duration::from_millis(20);

/// How long a peer may be silent, or take to come in, in tests of other things: one made of bytes
/// answers no PING, and a good one may have to wait for a core.
const SILENT: Duration = Duration::from_secs(60);

static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Runs the process until its input ends.
pub(crate) fn run(arguments: impl Iterator<Item = String>) {
    let mut bind = "tcp://127.0.0.1:*".to_owned();
    let mut options = Options::new().heartbeat_timeout(SILENT);
    // As long, unless the test is about that.
    let mut is_patient = true;
    for argument in arguments {
        let (name, value) = argument.split_once('=').expect("options are name=value");
        match name {
            "bind" => bind = value.into(),
            "descriptors" => {
                let most = value.parse().ok();
                let limit = Rlimit {
                    current: most,
                    maximum: most,
                };
                setrlimit(Resource::Nofile, limit).expect("the limit can be lowered");
            }
            "signals" => count_signals(&SIGNALS),
            "handshake_timeout" if value == "default" => is_patient = false,
            _ => {
                is_patient &= name != "handshake_timeout";
                options = set(options, name, value);
            }
        }
    }
    if is_patient {
        options = options.handshake_timeout(SILENT);
    }
    log::set_logger(&LINES).expect("it is the first logger");
    log::set_max_level(log::LevelFilter::Warn);

    let router = Arc::new(Router::with(options).expect("the options are within bounds"));
    let endpoint = router.bind_to(&bind).expect("the endpoint is free");
    let echo = Echo::start(router.clone());
    say(&format!("ready {endpoint}"));
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("orders are text");
        let mut words = line.splitn(3, ' ');
        let answer = match (words.next().unwrap_or(""), words.next(), words.next()) {
            ("stats", ..) => stats(&router, &echo),
            ("pause", ..) => echo.pause(true),
            ("go", ..) => echo.pause(false),
            ("release", ..) => echo.release(&router),
            ("send", Some(identity), Some(text)) => {
                match router.send_to(identity.as_bytes(), text) {
                    Ok(()) => "sent".into(),
                    Err(error) => format!("{:?}", error.reason()),
                }
            }
            _ => panic!("no such order: {line}"),
        };
        say(&format!("answer {answer}"));
    }
}

/// Prints a line for the process that started this one.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // One that has gone is noticed by the end of the input.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Handles SIGUSR1 from now on, so that it interrupts system calls.
pub(crate) fn count_signals(count: &'static AtomicU64) {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGUSR1])
        .expect("the signal can be handled");
    std::thread::spawn(move || {
        for _ in signals.forever() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Sets one option of a socket by its name.
pub(crate) fn set(options: Options, name: &str, value: &str) -> Options {
    let number = || value.parse::<usize>().expect("a number");
    let time = || Duration::from_millis(number() as u64);
    match name {
        "identity" => options.identity(value),
        "send_messages_max" => options.send_messages_max(number()),
        "send_bytes_max" => options.send_bytes_max(number()),
        "recv_messages_max" => options.recv_messages_max(number()),
        "recv_bytes_max" => options.recv_bytes_max(number()),
        "frame_bytes_max" => options.frame_bytes_max(number() as u64),
        "frames_max" => options.frames_max(number()),
        "message_bytes_max" => options.message_bytes_max(number() as u64),
        "connections_max" => options.connections_max(number()),
        "connections_per_address_max" => options.connections_per_address_max(number()),
        "handshakes_max" => options.handshakes_max(number()),
        "handshake_timeout" => options.handshake_timeout(time()),
        "heartbeat_interval" if value == "none" => options.heartbeat_interval(None),
        "heartbeat_interval" => options.heartbeat_interval(Some(time())),
        "heartbeat_timeout" => options.heartbeat_timeout(time()),
        "heartbeat_ttl" => options.heartbeat_ttl(time()),
        "send_buffer_bytes" => options.send_buffer_bytes(Some(number())),
        "recv_buffer_bytes" => options.recv_buffer_bytes(Some(number())),
        "reconnect_interval" => options.reconnect_interval(time()),
        "reconnect_interval_max" => options.reconnect_interval_max(time()),
        _ => panic!("no such option: {name}"),
    }
}

/// The thread that receives and answers.
struct Echo {
    orders: Sender<(bool, Sender<()>)>,
    held: Arc<Mutex<Vec<(Peer, Message)>>>,
    refused: Arc<AtomicU64>,
}

impl Echo {
    fn start(router: Arc<Router>) -> Self {
        let (orders, inbox) = crossbeam_channel::unbounded();
        let held = Arc::<Mutex<Vec<(Peer, Message)>>>::default();
        let refused = Arc::<AtomicU64>::default();
        let (holding, refusing) = (held.clone(), refused.clone());
        std::thread::spawn(move || serve(&router, &inbox, &holding, &refusing));
        Echo {
            orders,
            held,
            refused,
        }
    }

    /// Gives the order and waits until it is obeyed.
    fn pause(&self, paused: bool) -> String {
        let (done, obeyed) = crossbeam_channel::bounded(1);
        self.orders.send((paused, done)).expect("somebody serves");
        obeyed.recv().expect("somebody serves");
        "done".into()
    }

    fn release(&self, router: &Router) -> String {
        let held = std::mem::take(&mut *self.held.lock());
        let (mut sent, mut gone) = (0, 0);
        for (peer, message) in held {
            match router.send(&peer, message) {
                Ok(()) => sent += 1,
                Err(_) => gone += 1,
            }
        }
        format!("sent={sent} gone={gone}")
    }
}

fn serve(
    router: &Router,
    orders: &Receiver<(bool, Sender<()>)>,
    held: &Mutex<Vec<(Peer, Message)>>,
    refused: &AtomicU64,
) {
    let mut paused = false;
    loop {
        let order = if paused {
            orders.recv().ok()
        } else {
            orders.try_recv().ok()
        };
        if let Some((pause, done)) = order {
            paused = pause;
            // Nobody may be waiting for it any more.
            let _ = done.send(());
            continue;
        }
        let (peer, message) = match router.recv_timeout(LOOK) {
            Ok(received) => received,
            Err(RecvError::Timeout) => continue,
            Err(error) => panic!("receiving: {error}"),
        };
        if *message.first() == "drop" {
            continue;
        }
        if *message.first() == "hold" {
            held.lock().push((peer, message));
            continue;
        }
        if router.send(&peer, message).is_err() {
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn stats(router: &Router, echo: &Echo) -> String {
    let mut figures = Figures::of(&router.stats());
    figures.set("held", echo.held.lock().len() as u64);
    figures.set("unanswered", echo.refused.load(Ordering::Relaxed));
    figures.set("signals", SIGNALS.load(Ordering::Relaxed));
    let lines = LINES.0.lock();
    figures.set("lines", lines.len() as u64);
    let gaps = lines.windows(2).map(|pair| pair[1] - pair[0]);
    let least = gaps.min().unwrap_or(Duration::from_secs(3600));
    figures.set("lines_gap_ms", least.as_millis() as u64);
    figures.to_string()
}

/// The log: when a line was written.
struct Lines(Mutex<Vec<Instant>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() <= log::Level::Warn {
            self.0.lock().push(Instant::now());
        }
    }

    fn flush(&self) {}
}
