//! Commands from other programs: one request, one answer.
//!
//! | command | answer |
//! |---|---|
//! | PAUSE, RESUME | `OK`, once nothing passes, or everything does again |
//! | RELOAD | `OK` and what has changed, a line each; or `ERROR` and why nothing has |
//! | STATISTICS | one JSON object |
//! | TERMINATE | `OK`, and the device drains and ends |
//! | anything else | `ERROR` and this list |
//!
//! A thread of its own answers, on an engine of its own: commands cost the messages nothing.

use super::handle::Handle;
use crate::message::Message;
use crate::socket::Rep;

/// Every command.
const COMMANDS: &str = "PAUSE, RESUME, RELOAD, STATISTICS, TERMINATE";

/// Answers commands until the socket is closed.
pub(super) fn serve(handle: &Handle) {
    let socket: &Rep = &handle.inner().control;
    while let Ok(request) = socket.recv() {
        let command = name(&request);
        // The answer first: the socket may be closed by the time the device has ended.
        let ends = command == "TERMINATE";
        if let Err(refused) = socket.send(answer(handle, &command)) {
            log::debug!("the answer to a command was lost: {refused}");
        }
        if ends {
            handle.terminate();
        }
    }
}

/// The command that a request names; of none, nothing.
fn name(request: &Message) -> String {
    let text = match request.frames() {
        [frame] => frame.to_str().unwrap_or_default(),
        _ => "",
    };
    text.trim().to_ascii_uppercase()
}

fn answer(handle: &Handle, command: &str) -> String {
    let ending = || "ERROR the device is ending".to_owned();
    match command {
        "PAUSE" if handle.pause() => "OK".into(),
        "RESUME" if handle.resume() => "OK".into(),
        "PAUSE" | "RESUME" => ending(),
        "TERMINATE" => "OK".into(),
        "STATISTICS" => handle.statistics().to_json(),
        "RELOAD" => match &handle.inner().reload {
            None => "ERROR there is no configuration file to read again; \
                     start the device with one"
                .into(),
            Some(reload) => match reload(handle) {
                Ok(changes) if changes.is_empty() => "OK".into(),
                Ok(changes) => format!("OK\n{changes}"),
                Err(error) => format!("ERROR {error}"),
            },
        },
        _ => format!("ERROR no such command; there are {COMMANDS}, each a message of one frame"),
    }
}
