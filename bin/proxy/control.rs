//! Commands from other programs: one request, one answer, as the other devices have them.

use std::sync::Arc;

use brokerless::patterns::{Endpoint, Engine, Message, Options, Rep};

use super::Failure;
use super::running::{App, Event};

/// Every command.
const COMMANDS: &str = "PAUSE, RESUME, RELOAD, STATISTICS, TERMINATE";

/// Binds the endpoints for commands, on an engine of their own: they cost the calls nothing.
pub(super) fn bind(endpoints: &[Endpoint]) -> Result<Option<Rep>, Failure> {
    if endpoints.is_empty() {
        return Ok(None);
    }
    let failed = |error: &dyn std::fmt::Display| Failure::run(format!("control: {error}"));
    let engine = Engine::new().map_err(|error| failed(&error))?;
    let socket = Rep::with(Options::new().engine(&engine)).map_err(|it| failed(&it))?;
    for endpoint in endpoints {
        let bound = socket.bind_to(&endpoint.to_string());
        bound.map_err(|error| failed(&error))?;
    }
    Ok(Some(socket))
}

/// Answers commands until the socket is closed.
pub(super) fn serve(socket: &Rep, app: &Arc<App>) {
    while let Ok(request) = socket.recv() {
        let command = name(&request);
        // The answer first: the socket may be closed by the time the proxy has ended.
        let ends = command == "TERMINATE";
        if let Err(refused) = socket.send(answer(app, &command)) {
            log::debug!("the answer to a command was lost: {refused}");
        }
        if ends {
            app.tell(Event::End);
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

fn answer(app: &App, command: &str) -> String {
    match command {
        "PAUSE" => {
            app.proxy.pause();
            "OK".into()
        }
        "RESUME" => {
            app.proxy.resume();
            "OK".into()
        }
        "TERMINATE" => "OK".into(),
        "STATISTICS" => serde_json::to_string(&app.proxy.stats())
            .unwrap_or_else(|error| format!("ERROR {error}")),
        "RELOAD" => match app.reload() {
            Ok(changes) if changes.is_empty() => "OK".into(),
            Ok(changes) => format!("OK\n{}", changes.join("\n")),
            Err(error) => format!("ERROR {error}"),
        },
        _ => format!("ERROR no such command; there are {COMMANDS}, each a message of one frame"),
    }
}
