//! Sockets of the `zeromq` crate, as a program that does what its input says, line by line.
//!
//! | line | answer |
//! |---|---|
//! | `open NAME TYPE [identity=FRAME]` | |
//! | `bind NAME ENDPOINT` | the endpoint as bound |
//! | `connect NAME TIME ENDPOINT` | |
//! | `send NAME TIME MESSAGE`; to a ROUTER the identity is its first frame | |
//! | `recv NAME TIME` | the message; of a ROUTER, the identity is its first frame |
//! | `close NAME` | |

use std::collections::HashMap;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use brokerless_interop::{Answer, Words, frame, serve, show};
use tokio::runtime::{Builder, Runtime};
use zeromq::util::PeerIdentity;
use zeromq::{
    DealerSocket, RepSocket, ReqSocket, RouterSocket, Socket as _, SocketOptions, SocketRecv,
    SocketSend, ZmqMessage, ZmqResult,
};

enum Socket {
    Dealer(DealerSocket),
    Router(RouterSocket),
    Req(ReqSocket),
    Rep(RepSocket),
}

/// The same call on a socket of any type.
macro_rules! on {
    ($socket:expr, $each:ident => $call:expr) => {
        match $socket {
            Socket::Dealer($each) => $call,
            Socket::Router($each) => $call,
            Socket::Req($each) => $call,
            Socket::Rep($each) => $call,
        }
    };
}

struct Program {
    /// Its threads drive the connections while nobody is asking for anything.
    runtime: Runtime,
    sockets: HashMap<String, Socket>,
}

fn main() -> Result<ExitCode> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut program = Program {
        runtime,
        sockets: HashMap::new(),
    };
    serve(|name, words| program.command(name, words))?;
    Ok(ExitCode::SUCCESS)
}

impl Program {
    fn command(&mut self, command: &str, words: &mut Words<'_>) -> Result<Answer> {
        let name = words.next("a socket's name")?;
        let _entered = self.runtime.enter();
        if command == "open" {
            let socket = open(words.next("a type")?, &words.settings()?)?;
            self.sockets.insert(name.to_owned(), socket);
            return Ok(Answer::done());
        }
        if command == "close" {
            self.sockets.remove(name).context("no such socket")?;
            return Ok(Answer::done());
        }
        let socket = self.sockets.get_mut(name).context("no such socket")?;
        match command {
            "bind" => {
                let endpoint = words.next("an endpoint")?;
                let bound = on!(socket, socket => self.runtime.block_on(socket.bind(endpoint)));
                Ok(match bound {
                    Ok(endpoint) => Answer::Ok(endpoint.to_string()),
                    Err(error) => Answer::No(error.to_string()),
                })
            }
            "connect" => {
                let time = words.time()?;
                let endpoint = words.next("an endpoint")?;
                let connected =
                    on!(socket, socket => within(&self.runtime, time, socket.connect(endpoint)));
                Ok(connected.map_or_else(Answer::No, |()| Answer::done()))
            }
            "send" => {
                let time = words.time()?;
                let message = message(words)?;
                let sent = on!(socket, socket => within(&self.runtime, time, socket.send(message)));
                Ok(sent.map_or_else(Answer::No, |()| Answer::done()))
            }
            "recv" => {
                let time = words.time()?;
                let received = on!(socket, socket => within(&self.runtime, time, socket.recv()));
                Ok(match received {
                    Ok(message) => Answer::Ok(show(message.iter().map(|frame| &frame[..]))),
                    Err(reason) => Answer::No(reason),
                })
            }
            other => bail!("no command {other}"),
        }
    }
}

fn open(kind: &str, settings: &[(&str, &str)]) -> Result<Socket> {
    let mut options = SocketOptions::default();
    for &(name, value) in settings {
        match name {
            "identity" => options.peer_identity(PeerIdentity::try_from(frame(value)?)?),
            other => bail!("no option {other}"),
        };
    }
    Ok(match kind {
        "dealer" => Socket::Dealer(DealerSocket::with_options(options)),
        "router" => Socket::Router(RouterSocket::with_options(options)),
        "req" => Socket::Req(ReqSocket::with_options(options)),
        "rep" => Socket::Rep(RepSocket::with_options(options)),
        other => bail!("no type {other}"),
    })
}

fn message(words: &mut Words<'_>) -> Result<ZmqMessage> {
    let mut frames = words.frames()?.into_iter();
    let first = frames.next().context("a message without frames")?;
    let mut message = ZmqMessage::from(first);
    for frame in frames {
        message.push_back(frame.into());
    }
    Ok(message)
}

/// What the future gives, or why it gave nothing in time.
fn within<T>(
    runtime: &Runtime,
    time: Duration,
    future: impl Future<Output = ZmqResult<T>>,
) -> Result<T, String> {
    match runtime.block_on(async { tokio::time::timeout(time, future).await }) {
        Ok(Ok(given)) => Ok(given),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("Timeout".to_owned()),
    }
}
