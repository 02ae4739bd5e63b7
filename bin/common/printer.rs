//! Lines to an output that somebody else has to read: whoever prints never waits for that.
//!
//! One thread writes; it alone waits while nobody reads. Whoever prints leaves the text in a queue
//! with a bound, and what finds no room there is dropped and counted by lines. Once there is room
//! again a line says how many, at the place where they would have stood.
//!
//! ```text
//! print() ──► queue, QUEUE_BYTES at most ──► thread ──► standard output
//!      └────► dropped, counted ──────────────┘ `dropped lines=17`
//! ```
//!
//! # Invariants
//!
//! 1. Nobody who prints waits for whoever reads. (test
//!    `what_finds_no_room_is_counted_and_told_in_its_place`)
//! 2. The end waits for what is queued, but no longer than it is given. (test
//!    `the_end_waits_for_what_is_queued_within_a_bound`)
//!
//! # Not here
//!
//! Which output: `program`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Bytes that wait for whoever reads; one text may wait in any case, however long.
const QUEUE_BYTES: usize = 64 << 10;

/// Prints by a thread of its own. Cloning it costs a counter.
#[derive(Clone)]
pub(crate) struct Printer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something is queued, or all has been written.
    turned: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<String>,
    bytes: usize,
    /// Lines that found no room since the last that did.
    dropped: u64,
    /// The thread has taken something that it has not written yet.
    is_writing: bool,
}

impl State {
    /// What is written next.
    fn next(&mut self) -> Option<String> {
        if let Some(text) = self.queue.pop_front() {
            self.bytes -= text.len();
            return Some(text);
        }
        self.note()
    }

    /// What is said of those that found no room, once.
    fn note(&mut self) -> Option<String> {
        match std::mem::take(&mut self.dropped) {
            0 => None,
            lines => Some(format!("dropped lines={lines}\n")),
        }
    }

    fn put(&mut self, text: String) {
        self.bytes += text.len();
        self.queue.push_back(text);
    }
}

impl Printer {
    /// Starts the thread, which ends with the program.
    ///
    /// # Errors
    ///
    /// If the system has no thread.
    pub(crate) fn start(name: &str, out: impl Write + Send + 'static) -> io::Result<Printer> {
        let printer = Printer(Arc::default());
        let shared = printer.0.clone();
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || write(&shared, out))?;
        Ok(printer)
    }

    /// Prints whole lines, soon and at once, if there is room.
    pub(crate) fn print(&self, text: impl Into<String>) {
        let text = text.into();
        if text.is_empty() {
            return;
        }
        {
            let mut state = self.0.state.lock();
            if !state.queue.is_empty() && state.bytes + text.len() > QUEUE_BYTES {
                state.dropped += text.lines().count() as u64;
                return;
            }
            if let Some(note) = state.note() {
                state.put(note);
            }
            state.put(text);
        }
        self.0.turned.notify_all();
    }

    /// Waits until all is written, so long at most. Whether it is.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut state = self.0.state.lock();
        while state.is_writing || !state.queue.is_empty() || state.dropped > 0 {
            if self.0.turned.wait_until(&mut state, end).timed_out() {
                return false;
            }
        }
        true
    }
}

/// Each text that is written is one or more whole lines.
impl Write for Printer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.print(String::from_utf8_lossy(text));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(shared: &Shared, mut out: impl Write) {
    let mut state = shared.state.lock();
    loop {
        match state.next() {
            Some(text) => {
                state.is_writing = true;
                drop(state);
                // Nobody can read it any more: that is no reason to end, and there is nobody to tell.
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                state = shared.state.lock();
                state.is_writing = false;
            }
            None => {
                shared.turned.notify_all();
                shared.turned.wait(&mut state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, Sender, bounded};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// An output without room: each text is written when it is read.
    struct Pipe(Sender<String>);

    impl Write for Pipe {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(text).into_owned();
            let sent = self.0.send(text.clone());
            sent.map(|()| text.len())
                .map_err(|_| io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Printer, Receiver<String>) {
        let (tell, told) = bounded(0);
        (Printer::start("test", Pipe(tell)).expect("a thread"), told)
    }

    fn read(told: &Receiver<String>) -> String {
        told.recv_timeout(PATIENCE).expect("it is written")
    }

    /// Waits until the queue stands so.
    fn until(printer: &Printer, so: impl Fn(&State) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !so(&printer.0.state.lock()) {
            assert!(Instant::now() < end, "not in time");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_in_its_place() {
        let (printer, told) = pipe();
        let line = format!("{}\n", "x".repeat(1023));
        let fill = || {
            printer.print(line.as_str());
            until(&printer, |state| state.is_writing && state.bytes == 0);
            // One is at the pipe, 64 fit.
            (0..64 + 3).for_each(|_| printer.print(line.as_str()));
            printer.print(line.repeat(2));
            assert_eq!(printer.0.state.lock().dropped, 5);
        };
        fill();
        (0..65).for_each(|_| assert_eq!(read(&told), line));
        assert_eq!(read(&told), "dropped lines=5\n");
        // Also where more is printed before the last of the queue is written.
        fill();
        assert_eq!(read(&told), line);
        until(&printer, |state| state.bytes == 63 << 10);
        printer.print("later\n");
        (0..64).for_each(|_| assert_eq!(read(&told), line));
        assert_eq!(read(&told), "dropped lines=5\n");
        assert_eq!(read(&told), "later\n");
    }

    #[test]
    fn the_end_waits_for_what_is_queued_within_a_bound() {
        let (printer, told) = pipe();
        assert!(printer.flush(Duration::ZERO), "there is nothing");
        printer.print("one\n");
        printer.print("two\n");
        assert!(!printer.flush(Duration::from_millis(10)), "nobody reads");
        let reader = std::thread::spawn(move || [read(&told), read(&told)]);
        assert!(printer.flush(PATIENCE), "it is read");
        assert_eq!(reader.join().expect("no panic"), ["one\n", "two\n"]);
        // With the pipe closed nothing stands still, either.
        printer.print("three\n");
        assert!(printer.flush(PATIENCE));
    }

    #[test]
    fn a_text_that_is_longer_than_the_queue_is_written_whole() {
        let (printer, told) = pipe();
        let long = "a line\n".repeat(QUEUE_BYTES);
        printer.print(long.as_str());
        assert_eq!(read(&told), long);
    }
}
