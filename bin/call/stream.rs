//! Calls that carry items: lines of standard input to items, items to lines of standard output.
//!
//! ```text
//! standard input ── reader: a thread ──► lines ──► items ──► node
//!                                                             │
//! standard output ◄──────────────── items, as they come ◄─────┘
//! ```
//!
//! # Invariants
//!
//! 1. A line that is wrong is told with its number, and the call is cancelled. (test
//!    `a_bad_line_is_told_with_its_number` in `tests/bl_call/streams.rs`)
//! 2. An item that does not decode is told with its index, and those after it are printed. (test
//!    `an_item_that_does_not_decode_is_told_with_its_index_and_the_rest_is_printed` in
//!    `tests/bl_call/streams.rs`)

use std::io::{self, BufRead, Write};
use std::thread;
use std::time::Duration;

use brokerless::CallError;
use brokerless::client::{Answer, Feed, Next, Sink, Stream};
use brokerless::patterns::Frame;
use brokerless::service::Item;
use brokerless::wire::{DecodeError, Payload};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::answer::{Content, Items, Output};
use super::arguments::{self, Argument};
use super::fault::{Fault, exit};
use super::input::Input;
use super::json::quoted;
use super::method::Method;
use super::node::Node;
use super::single::{Own, content, failed, whole};
use super::types::Type;

/// Lines that are read ahead.
const AHEAD: usize = 256;
/// How often it is looked whether the method still wants items, while none are there.
const LOOK: Duration = Duration::from_millis(100);

/// Calls a method that takes items, or gives items, or both.
pub(super) fn run(
    node: &Node,
    method: &Method,
    payload: Payload,
    input: &Input,
    output: &Output,
) -> Result<u8, Fault> {
    let (client, info, options) = (&node.client, method.info(), &node.call);
    let write = if method.is_raw() {
        arguments::put_raw_item
    } else {
        arguments::put_item
    };
    let wrong = |error: CallError<Own>| failed(node, method, &error);
    let items_in = method.about.items_in.as_deref().map(|of| method.items(of));
    let items_out = method.about.items_out.as_deref().map(|of| method.items(of));
    if items_in.is_some() {
        input
            .take_stdin()
            .map_err(|what| Fault::usage(what).about(method.signature()))?;
    }
    match (items_in, items_out) {
        (None, None) => Err(Fault::run("the method carries no items")),
        (None, Some(of)) => {
            let mut printer = Printer::new(node, method, of, output)?;
            let stream = client.open(info, options, Ok(payload), take, nothing);
            printer.all(stream.map_err(wrong)?)
        }
        (Some(of), None) => {
            let sink = client.feed(info, options, Ok(payload), write, whole);
            let answer = give_all(sink.map_err(wrong)?, method, &of)?;
            let answer = answer.map_err(wrong)?;
            let payload = answer.payload().map_err(|error| node.fault(&error))?;
            output.put(content(method, payload)?)
        }
        (Some(of), Some(out)) => {
            let mut printer = Printer::new(node, method, out, output)?;
            let duplex = client.duplex(info, options, Ok(payload), write, take, nothing);
            let (feed, stream) = duplex.map_err(wrong)?.split();
            let (to_us, bad) = bounded(1);
            let giver = (method.clone(), of);
            // It may wait for a line that never comes, and is left behind then.
            let started = thread::Builder::new().spawn(move || {
                let (Some(mut feed), (method, of)) = (feed, giver) else {
                    return;
                };
                match from_lines(&mut feed, &method, &of) {
                    Ok(()) => feed.finish(),
                    Err(fault) => {
                        // Before the call is cancelled: whoever sees its end finds the reason.
                        let _ = to_us.send(fault);
                        feed.cancel();
                    }
                }
            });
            started.map_err(|error| Fault::run(format!("the system refused a thread: {error}")))?;
            let end = printer.all(stream);
            match bad.try_recv() {
                Ok(fault) => Err(fault),
                Err(_) => end,
            }
        }
    }
}

/// An item as it came.
fn take(item: &Item<'_>) -> Result<Payload, DecodeError> {
    Ok(Payload {
        body: Frame::copy_from_slice(item.bytes),
        blobs: item.blobs.iter().cloned().collect(),
    })
}

/// What follows the items.
fn nothing(answer: &Answer) -> Result<(), CallError<Own>> {
    whole(answer).map(|_| ())
}

/// What prints items.
struct Printer<'p> {
    node: &'p Node,
    method: &'p Method,
    of: Type,
    to: Items,
    /// Items that could not be printed.
    misfits: u64,
}

impl<'p> Printer<'p> {
    fn new(node: &'p Node, method: &'p Method, of: Type, output: &Output) -> Result<Self, Fault> {
        Ok(Printer {
            node,
            method,
            of,
            to: output.items()?,
            misfits: 0,
        })
    }

    /// Prints all of them, and what went wrong in the end.
    fn all(&mut self, mut stream: Stream<Payload, Own>) -> Result<u8, Fault> {
        let end = self.until_the_end(&mut stream);
        let flushed = self.to.flush();
        match end.and(flushed.map_err(End::Output)) {
            Ok(()) if self.misfits > 0 => Ok(exit::FAILED),
            Ok(()) => Ok(0),
            // Nobody has to read all of it.
            Err(End::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Err(End::Output(error)) => Err(Fault::run(format!("cannot print: {error}"))),
            Err(End::Call(error)) => Err(failed(self.node, self.method, &error)),
        }
    }

    fn until_the_end(&mut self, stream: &mut Stream<Payload, Own>) -> Result<(), End> {
        loop {
            let next = match stream.try_next() {
                Next::Item(item) => Some(item),
                Next::NotYet => {
                    self.to.flush().map_err(End::Output)?;
                    stream.next()
                }
                Next::End => None,
            };
            match next {
                None => return Ok(()),
                Some(Ok(item)) => {
                    let index = stream.taken().saturating_sub(1);
                    self.item(index, &item).map_err(End::Output)?;
                }
                Some(Err(error)) => return Err(End::Call(error)),
            }
        }
    }

    fn item(&mut self, index: u64, item: &Payload) -> io::Result<()> {
        let content = if self.method.is_raw() {
            Ok(Content::Bytes(item.body.clone()))
        } else {
            Content::decode(&self.of, item)
        };
        match content {
            Ok(content) => self.to.put(content),
            Err(error) => {
                self.misfits += 1;
                self.to.flush()?;
                // With standard error gone, the exit code still tells.
                let _ = writeln!(io::stderr(), "error: item {index}: {error}");
                Ok(())
            }
        }
    }
}

/// Why printing ended.
enum End {
    Call(CallError<Own>),
    Output(io::Error),
}

/// A line of standard input, with its number.
type Line = (u64, Result<String, String>);

/// Reads standard input on a thread of its own: whoever waits for a line hears of the call's end.
fn lines() -> Result<Receiver<Line>, Fault> {
    let (to_us, lines) = bounded(AHEAD);
    let started = thread::Builder::new().spawn(move || {
        let mut number = 0;
        for line in io::stdin().lock().split(b'\n') {
            number += 1;
            let line = match line {
                Ok(bytes) => String::from_utf8(bytes).map_err(|error| {
                    let at = error.utf8_error().valid_up_to();
                    format!("no text: byte {at} is not UTF-8")
                }),
                Err(error) => Err(format!("cannot be read: {error}")),
            };
            let last = line.is_err();
            if to_us.send((number, line)).is_err() || last {
                return;
            }
        }
    });
    started.map_err(|error| Fault::run(format!("the system refused a thread: {error}")))?;
    Ok(lines)
}

/// Where items are given.
trait Giver {
    fn give(&mut self, item: Argument) -> Result<(), CallError<Own>>;
    fn wants_more(&self) -> bool;
}

impl Giver for Feed<Argument, Own> {
    fn give(&mut self, item: Argument) -> Result<(), CallError<Own>> {
        self.send(item)
    }

    fn wants_more(&self) -> bool {
        self.is_wanted()
    }
}

impl Giver for Sink<Argument, Answer, Own> {
    fn give(&mut self, item: Argument) -> Result<(), CallError<Own>> {
        self.send(item)
    }

    fn wants_more(&self) -> bool {
        self.is_wanted()
    }
}

/// Gives the items of all lines, until there are no more or no more are wanted.
fn from_lines(to: &mut impl Giver, method: &Method, of: &Type) -> Result<(), Fault> {
    let lines = lines()?;
    // Of their own: what comes from files comes beside the lines.
    let input = Input::default();
    let _ = input.take_stdin();
    loop {
        let (number, line) = match lines.recv_timeout(LOOK) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) if to.wants_more() => continue,
            Err(_) => return Ok(()),
        };
        let wrong = |what: &str| {
            Fault::usage(format!("line {number} of standard input: {what}"))
                .about(method.signature())
        };
        let line = line.map_err(|what| wrong(&what))?;
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() {
            continue;
        }
        let item = arguments::item(of, line, &input).map_err(|misfit| {
            let place = if misfit.at.is_empty() {
                String::new()
            } else {
                format!("{}: ", misfit.at)
            };
            let fault = wrong(&format!("{place}{}", misfit.what));
            if misfit.notes.is_empty() {
                return fault.note(format!("the line is {}", quoted(line)));
            }
            misfit.notes.into_iter().fold(fault, Fault::note)
        })?;
        if let Err(error) = to.give(item) {
            if !to.wants_more() {
                // Its end says why.
                return Ok(());
            }
            return Err(match error.rpc() {
                Some(error) => wrong(error.message()),
                None => wrong("it was not taken"),
            });
        }
    }
}

/// Gives all items, and waits for the answer.
fn give_all(
    mut sink: Sink<Argument, Answer, Own>,
    method: &Method,
    of: &Type,
) -> Result<Result<Answer, CallError<Own>>, Fault> {
    from_lines(&mut sink, method, of)?;
    Ok(sink.finish())
}
