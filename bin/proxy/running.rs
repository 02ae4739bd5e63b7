//! The proxy while it runs: its reloads, its lines of statistics, its end.
//!
//! # Invariants
//!
//! 1. A file that is refused changes nothing. (test `a_bad_file_is_refused_as_a_whole`)

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use brokerless::Error;
use brokerless::patterns::Endpoint;
use brokerless::patterns::device::Place;
use brokerless::proxy::Proxy;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

use super::Failure;
use super::flags::Flags;
use super::settings::Settings;
use super::{control, lines, program};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The exit code of what was ended at once: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Something that the main thread is told.
pub(super) enum Event {
    /// Drain and end.
    End,
    /// Lines of statistics come this often.
    Stats(Option<Duration>),
}

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// The proxy, and what steers it.
pub(super) struct App {
    pub(super) proxy: Proxy,
    flags: Flags,
    /// What holds now; changed by one reload at a time.
    settings: Mutex<Settings>,
    events: Sender<Event>,
}

impl App {
    pub(super) fn tell(&self, event: Event) {
        // The receiver is there as long as the main thread.
        let _ = self.events.send(event);
    }

    /// Reads the file again, and changes what may change.
    pub(super) fn reload(&self) -> Result<Vec<String>, String> {
        let mut current = self.settings.lock();
        if current.file.is_none() {
            return Err(
                "there is no configuration file to read again; start the proxy with one".into(),
            );
        }
        let settings = Settings::read(&self.flags).map_err(|failure| failure.to_string())?;
        settings.changes_at_run_time(&current)?;
        let changes = self.proxy.set_nodes(settings.nodes.iter().cloned());
        let changes = changes.map_err(|error| match (&error, &settings.file) {
            (Error::Policy(_), Some(file)) => format!(
                "{}: {error}; to drain all that are there give them weight = 0 and leave them in",
                file.display()
            ),
            _ => error.to_string(),
        })?;
        self.tell(Event::Stats(settings.stats));
        *current = settings;
        program::print_each(&changes);
        Ok(changes.iter().map(ToString::to_string).collect())
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Option { .. } | Error::NoEndpoints | Error::Policy(_) => {
            Failure::usage(error.to_string())
        }
        _ => Failure::run(error.to_string()),
    }
}

/// Where the signals go.
fn signals(events: Sender<Event>) -> Result<(), Failure> {
    let one = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if one.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED);
        }
        // The receiver is there as long as the main thread.
        let _ = events.send(Event::End);
    })
    .map_err(|error| Failure::run(format!("cannot take signals: {error}")))
}

/// Runs the proxy until it is told to end.
pub(super) fn run(flags: Flags) -> Result<(), Failure> {
    let looked = flags.config.as_deref().map(stamp);
    let settings = Settings::read(&flags)?;
    let (events, told) = crossbeam_channel::unbounded();
    // Before the proxy is made, so that no signal ends it unseen.
    signals(events.clone())?;
    let list = |places: &[Place]| -> Vec<Endpoint> {
        places
            .iter()
            .map(|place| place.endpoint().clone())
            .collect()
    };
    let commands = control::bind(&list(&settings.control))?;
    let listen: Vec<String> = list(&settings.listen)
        .iter()
        .map(ToString::to_string)
        .collect();
    let proxy = settings.builder()?.bind_all(&listen);
    let app = Arc::new(App {
        proxy: proxy.map_err(|error| failure(&error))?,
        flags,
        settings: Mutex::new(settings.clone()),
        events,
    });
    let control = commands.as_ref().map(|it| it.local_endpoints());
    lines::endpoints(&app.proxy.local_endpoints(), &control.unwrap_or_default());
    let commands = commands.map(Arc::new);
    let server = match &commands {
        Some(socket) => {
            let (socket, app) = (socket.clone(), app.clone());
            let thread = std::thread::Builder::new().name("bl-control".to_owned());
            let started = thread.spawn(move || control::serve(&socket, &app));
            Some(
                started
                    .map_err(|error| Failure::run(format!("the system gave no thread: {error}")))?,
            )
        }
        None => None,
    };
    watch(&app, &told, settings.stats, looked.flatten());
    let linger = app.settings.lock().linger;
    let report = app.proxy.stop_within(linger);
    lines::report(&app.proxy.stats(), &report);
    if let Some(socket) = &commands {
        // What it had not sent is of no use any more.
        let _ = socket.close();
    }
    if let Some(server) = server
        && server.join().is_err()
    {
        log::error!("the thread of the commands ended in a panic");
    }
    Ok(())
}

/// Looks at the file each second and prints statistics, until the proxy is to end.
fn watch(app: &App, told: &Receiver<Event>, stats: Option<Duration>, mut seen: Stamp) {
    let mut before = app.proxy.stats();
    let file = app.settings.lock().file.clone();
    let mut look = file.as_ref().map(|_| Instant::now() + LOOK);
    let mut tick = stats.map(|each| (Instant::now() + each, each));
    loop {
        let next = [look, tick.map(|(at, _)| at)].into_iter().flatten().min();
        let event = match next {
            Some(at) => told.recv_deadline(at),
            None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Event::Stats(each)) => {
                if each != tick.map(|(_, each)| each) {
                    tick = each.map(|each| (Instant::now() + each, each));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        if let (Some(path), Some(at)) = (&file, look)
            && at <= now
        {
            look = Some(now + LOOK);
            let stands = stamp(path);
            if stands != seen {
                seen = stands;
                if let Err(error) = app.reload() {
                    log::error!("{error}");
                    lines::refused(&error);
                }
            }
        }
        if let Some((at, each)) = tick
            && at <= now
        {
            let stats = app.proxy.stats();
            lines::stats(&stats, &before);
            before = stats;
            // Of ticks that were slept through, one is made up for.
            tick = Some(((at + each).max(now), each));
        }
    }
}
