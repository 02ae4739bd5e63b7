//! Sockets of this library, as a program that does what its input says, line by line.
//!
//! | line | answer |
//! |---|---|
//! | `open NAME TYPE [OPTION=VALUE ..]` | |
//! | `bind NAME ENDPOINT` | the endpoint as bound |
//! | `connect`, `unbind`, `disconnect NAME ENDPOINT` | |
//! | `send NAME TIME MESSAGE` | |
//! | `answer NAME TO MESSAGE` of a ROUTER or REP; `TO` is `-`, `@PEER` or an identity | |
//! | `fill NAME COUNT TO MESSAGE` sends it until it is refused | how often, why it was refused |
//! | `recv NAME TIME` | the message; of a ROUTER, `@PEER` and its identity before it |
//! | `echo NAME COUNT TIME` sends back as many messages as come | |
//! | `drain NAME TIME` receives until nothing comes for that time | how many messages |
//! | `event NAME TIME` | the monitor's next event |
//! | `forget NAME` makes a REQ give up | whether there was something to give up |
//! | `peer NAME IDENTITY` of a ROUTER | whether it has one |
//! | `subscribe`, `unsubscribe NAME TOPIC` of a SUB or XSUB | whether there was something to end |
//! | `topics NAME` of a SUB, XSUB, PUB or XPUB | each topic and how often it is subscribed to |
//! | `stats NAME` | counts |
//! | `close NAME` | what was left unsent |

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use brokerless_interop::{Answer, Words, frame, serve, show};
use brokerless_patterns::{
    Dealer, Endpoint, Event, Message, Options, Pair, Peer, Pub, Pull, Push, RecvError, Rep, Req,
    Router, SendError, SendRefusal, SlowSubscriber, SocketStats, Sub, Verbose, XPub, XSub,
};
use crossbeam_channel::Receiver;

#[derive(Debug)]
enum Socket {
    Dealer(Dealer),
    Router(Router),
    Req(Req),
    Rep(Rep),
    Pub(Pub),
    Sub(Sub),
    XPub(XPub),
    XSub(XSub),
    Push(Push),
    Pull(Pull),
    Pair(Pair),
}

/// The same call on a socket of any type.
macro_rules! on {
    ($socket:expr, $each:ident => $call:expr) => {
        match $socket {
            Socket::Dealer($each) => $call,
            Socket::Router($each) => $call,
            Socket::Req($each) => $call,
            Socket::Rep($each) => $call,
            Socket::Pub($each) => $call,
            Socket::Sub($each) => $call,
            Socket::XPub($each) => $call,
            Socket::XSub($each) => $call,
            Socket::Push($each) => $call,
            Socket::Pull($each) => $call,
            Socket::Pair($each) => $call,
        }
    };
}

struct Open {
    socket: Socket,
    events: Receiver<Event>,
    /// Those that a message came from, by number.
    peers: HashMap<u64, Peer>,
}

#[derive(Default)]
struct Program {
    sockets: HashMap<String, Open>,
}

fn main() -> ExitCode {
    let mut program = Program::default();
    match serve(|name, words| program.command(name, words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

impl Program {
    fn command(&mut self, command: &str, words: &mut Words<'_>) -> Result<Answer> {
        let name = words.next("a socket's name")?;
        if command == "open" {
            let open = Open::new(words.next("a type")?, &words.settings()?)?;
            self.sockets.insert(name.to_owned(), open);
            return Ok(Answer::done());
        }
        if command == "close" {
            let open = self.sockets.remove(name).context("no such socket")?;
            let unsent = on!(open.socket, socket => socket.close());
            return Ok(Answer::Ok(format!("{} {}", unsent.messages, unsent.bytes)));
        }
        let open = self.sockets.get_mut(name).context("no such socket")?;
        open.command(command, words)
    }
}

impl Open {
    fn new(kind: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let options = options(settings)?;
        let socket = match kind {
            "dealer" => Socket::Dealer(Dealer::with(options)?),
            "router" => Socket::Router(Router::with(options)?),
            "req" => Socket::Req(Req::with(options)?),
            "rep" => Socket::Rep(Rep::with(options)?),
            "pub" => Socket::Pub(Pub::with(options)?),
            "sub" => Socket::Sub(Sub::with(options)?),
            "xpub" => Socket::XPub(XPub::with(options)?),
            "xsub" => Socket::XSub(XSub::with(options)?),
            "push" => Socket::Push(Push::with(options)?),
            "pull" => Socket::Pull(Pull::with(options)?),
            "pair" => Socket::Pair(Pair::with(options)?),
            other => bail!("no type {other}"),
        };
        let events = on!(&socket, socket => socket.monitor());
        Ok(Open {
            socket,
            events,
            peers: HashMap::new(),
        })
    }

    fn command(&mut self, command: &str, words: &mut Words<'_>) -> Result<Answer> {
        match command {
            "bind" | "connect" => {
                let endpoint = words.next("an endpoint")?;
                let place = if command == "bind" {
                    on!(&self.socket, socket => socket.bind_to(endpoint))
                } else {
                    on!(&self.socket, socket => socket.connect_to(endpoint))
                };
                Ok(match place {
                    Ok(endpoint) => Answer::Ok(endpoint.to_string()),
                    Err(error) => Answer::No(error.to_string()),
                })
            }
            "unbind" | "disconnect" => {
                let endpoint: Endpoint = words.next("an endpoint")?.parse()?;
                let left = if command == "unbind" {
                    on!(&self.socket, socket => socket.unbind(&endpoint))
                } else {
                    on!(&self.socket, socket => socket.disconnect(&endpoint))
                };
                Ok(match left {
                    Ok(()) => Answer::done(),
                    Err(error) => Answer::No(error.to_string()),
                })
            }
            "send" => {
                let time = words.time()?;
                let message = message(words)?;
                let sent = match &self.socket {
                    Socket::Dealer(dealer) => dealer.send_timeout(message, time),
                    Socket::Req(req) => req.send_timeout(message, time),
                    Socket::Push(push) => push.send_timeout(message, time),
                    Socket::Pair(pair) => pair.send_timeout(message, time),
                    Socket::Pub(publisher) => publisher.send(message),
                    Socket::XPub(publisher) => publisher.send(message),
                    Socket::XSub(subscriber) => subscriber.send(message),
                    Socket::Router(_) | Socket::Rep(_) => bail!("this type answers"),
                    Socket::Sub(_) | Socket::Pull(_) => bail!("this type does not send"),
                };
                Ok(sent_or_not(sent))
            }
            "answer" => {
                let to = words.next("a peer")?;
                let message = message(words)?;
                self.answer(to, message).map(sent_or_not)
            }
            "fill" => {
                let count = words.number("a count")?;
                let to = words.next("a peer")?;
                let message = message(words)?;
                self.fill(count, to, &message)
            }
            "recv" => {
                let time = words.time()?;
                Ok(match self.receive(time) {
                    Ok((Some(peer), message)) => {
                        let identity = show([&peer.identity()[..]]);
                        let frames = show(message.iter().map(|frame| &frame[..]));
                        Answer::Ok(format!("@{} {identity} {frames}", peer.id()))
                    }
                    Ok((None, message)) => Answer::Ok(show(message.iter().map(|frame| &frame[..]))),
                    Err(error) => Answer::No(format!("{error:?}")),
                })
            }
            "echo" => {
                let count = words.number("a count")?;
                let time = words.time()?;
                self.echo(count, time)
            }
            "drain" => {
                let time = words.time()?;
                let mut count = 0;
                while self.receive(time).is_ok() {
                    count += 1;
                }
                Ok(Answer::Ok(format!("{count}")))
            }
            "event" => {
                let time = words.time()?;
                Ok(match self.events.recv_timeout(time) {
                    Ok(event) => Answer::Ok(told(&event)),
                    Err(error) => Answer::No(error.to_string()),
                })
            }
            "forget" => match &self.socket {
                Socket::Req(req) => Ok(Answer::Ok(req.give_up().to_string())),
                _ => bail!("only a req gives up"),
            },
            "peer" => {
                let identity = frame(words.next("an identity")?)?;
                match &self.socket {
                    Socket::Router(router) => {
                        Ok(Answer::Ok(router.peer(&identity).is_some().to_string()))
                    }
                    _ => bail!("only a router knows its peers"),
                }
            }
            "subscribe" | "unsubscribe" => {
                let topic = frame(words.next("a topic")?)?;
                self.subscribe(command == "subscribe", &topic)
            }
            "topics" => {
                let topics = match &self.socket {
                    Socket::Sub(subscriber) => subscriber.topics(),
                    Socket::XSub(subscriber) => subscriber.topics(),
                    Socket::Pub(publisher) => publisher.subscriptions(),
                    Socket::XPub(publisher) => publisher.subscriptions(),
                    _ => bail!("this type knows no topics"),
                };
                let words = topics.iter().map(|(topic, count)| {
                    let topic = show([&topic[..]]);
                    format!("{topic} {count}")
                });
                Ok(Answer::Ok(words.collect::<Vec<_>>().join(" ")))
            }
            "stats" => Ok(Answer::Ok(counts(
                &on!(&self.socket, socket => socket.stats()),
            ))),
            other => bail!("no command {other}"),
        }
    }

    fn subscribe(&self, begins: bool, topic: &[u8]) -> Result<Answer> {
        let done = match (&self.socket, begins) {
            (Socket::Sub(subscriber), true) => subscriber.subscribe(topic).map(|()| true),
            (Socket::Sub(subscriber), false) => subscriber.unsubscribe(topic),
            (Socket::XSub(subscriber), true) => subscriber.subscribe(topic).map(|()| true),
            (Socket::XSub(subscriber), false) => subscriber.unsubscribe(topic),
            _ => bail!("this type does not subscribe"),
        };
        Ok(match done {
            Ok(done) => Answer::Ok(done.to_string()),
            Err(error) => Answer::No(error.to_string()),
        })
    }

    fn receive(&mut self, time: Duration) -> Result<(Option<Peer>, Message), RecvError> {
        let message = match &self.socket {
            Socket::Dealer(dealer) => dealer.recv_timeout(time)?,
            Socket::Req(req) => req.recv_timeout(time)?,
            Socket::Rep(rep) => rep.recv_timeout(time)?,
            Socket::Sub(subscriber) => subscriber.recv_timeout(time)?,
            Socket::XSub(subscriber) => subscriber.recv_timeout(time)?,
            Socket::XPub(publisher) => publisher.recv_timeout(time)?,
            Socket::Pull(pull) => pull.recv_timeout(time)?,
            Socket::Pair(pair) => pair.recv_timeout(time)?,
            Socket::Router(router) => {
                let (peer, message) = router.recv_timeout(time)?;
                self.peers.insert(peer.id(), peer.clone());
                return Ok((Some(peer), message));
            }
            // Nothing ever comes to them.
            Socket::Pub(_) | Socket::Push(_) => return Err(RecvError::Timeout),
        };
        Ok((None, message))
    }

    fn answer(&self, to: &str, message: Message) -> Result<Result<(), SendError>> {
        Ok(match &self.socket {
            Socket::Dealer(dealer) => dealer.try_send(message),
            Socket::Req(req) => req.try_send(message),
            Socket::Rep(rep) => rep.send(message),
            Socket::Push(push) => push.try_send(message),
            Socket::Pair(pair) => pair.try_send(message),
            Socket::Pub(publisher) => publisher.try_send(message),
            Socket::XPub(publisher) => publisher.try_send(message),
            Socket::XSub(subscriber) => subscriber.try_send(message),
            Socket::Sub(_) | Socket::Pull(_) => bail!("this type does not send"),
            Socket::Router(router) => match to.strip_prefix('@') {
                Some(number) => {
                    let peer = self.peers.get(&number.parse()?);
                    router.send(peer.context("nothing came from this peer")?, message)
                }
                None => router.send_to(&frame(to)?, message),
            },
        })
    }

    fn fill(&self, count: u64, to: &str, message: &Message) -> Result<Answer> {
        for sent in 0..count {
            if let Err(error) = self.answer(to, message.clone())? {
                return Ok(Answer::Ok(format!("{sent} {:?}", error.reason())));
            }
        }
        Ok(Answer::Ok(format!("{count} All")))
    }

    fn echo(&mut self, count: u64, time: Duration) -> Result<Answer> {
        for number in 0..count {
            let (peer, message) = match self.receive(time) {
                Ok(received) => received,
                Err(error) => return Ok(Answer::No(format!("{number} {error:?}"))),
            };
            let sent = match (&self.socket, &peer) {
                (Socket::Router(router), Some(peer)) => router.send(peer, message),
                (Socket::Rep(rep), _) => rep.send(message),
                (Socket::Dealer(dealer), _) => dealer.send_timeout(message, time),
                (Socket::Pair(pair), _) => pair.send_timeout(message, time),
                _ => bail!("this type has nothing to send back"),
            };
            if let Err(error) = sent {
                return Ok(Answer::No(format!("{number} {:?}", error.reason())));
            }
        }
        Ok(Answer::done())
    }
}

fn message(words: &mut Words<'_>) -> Result<Message> {
    let frames = words.frames()?;
    Ok(frames.into_iter().map(Into::into).collect())
}

fn sent_or_not(sent: Result<(), SendError>) -> Answer {
    match sent {
        Ok(()) => Answer::done(),
        Err(error) => Answer::No(refusal(error.reason())),
    }
}

fn refusal(reason: SendRefusal) -> String {
    format!("{reason:?}")
}

fn options(settings: &[(&str, &str)]) -> Result<Options> {
    let mut options = Options::new();
    for &(name, value) in settings {
        let number = || {
            let number = value.parse::<u64>();
            number.with_context(|| format!("{name}={value}: not a number"))
        };
        let count = || number().map(|number| number as usize);
        let time = || number().map(Duration::from_millis);
        let some_time = || match value {
            "off" => Ok(None),
            _ => time().map(Some),
        };
        options = match name {
            "identity" => options.identity(frame(value)?),
            "conflate" => options.conflate(value == "on"),
            "verbose" => options.verbose(match value {
                "changes" => Verbose::Changes,
                "subscriptions" => Verbose::Subscriptions,
                "all" => Verbose::All,
                other => bail!("no such verbosity: {other}"),
            }),
            "slow_subscriber" => options.slow_subscriber(match value {
                "drop" => SlowSubscriber::Drop,
                "disconnect" => SlowSubscriber::Disconnect,
                other => bail!("no such policy: {other}"),
            }),
            "welcome" => options.welcome(frame(value)?),
            "last_values" => options.last_values(count()?),
            "subscriptions_max" => options.subscriptions_max(count()?),
            "topic_bytes_max" => options.topic_bytes_max(count()?),
            "topics_bytes_max" => options.topics_bytes_max(count()?),
            "immediate" => options.immediate(value == "on"),
            "ipv6" => options.ipv6(value == "on"),
            "linger" => options.linger(some_time()?),
            "heartbeat_interval" => options.heartbeat_interval(some_time()?),
            "heartbeat_timeout" => options.heartbeat_timeout(time()?),
            "heartbeat_ttl" => options.heartbeat_ttl(time()?),
            "handshake_timeout" => options.handshake_timeout(time()?),
            "reconnect_interval" => options.reconnect_interval(time()?),
            "reconnect_interval_max" => options.reconnect_interval_max(time()?),
            "send_messages_max" => options.send_messages_max(count()?),
            "send_bytes_max" => options.send_bytes_max(count()?),
            "recv_messages_max" => options.recv_messages_max(count()?),
            "recv_bytes_max" => options.recv_bytes_max(count()?),
            "frames_max" => options.frames_max(count()?),
            "frame_bytes_max" => options.frame_bytes_max(number()?),
            "message_bytes_max" => options.message_bytes_max(number()?),
            "send_buffer_bytes" => options.send_buffer_bytes(Some(count()?)),
            "recv_buffer_bytes" => options.recv_buffer_bytes(Some(count()?)),
            other => bail!("no option {other}"),
        };
    }
    Ok(options)
}

/// An event as its name and what tells it from others of its kind.
fn told(event: &Event) -> String {
    match event {
        Event::Listening { endpoint } => format!("Listening {endpoint}"),
        Event::Unbound { endpoint } => format!("Unbound {endpoint}"),
        Event::AcceptFailed { error, .. } => format!("AcceptFailed {error:?}"),
        Event::Accepted { .. } => "Accepted".to_owned(),
        Event::HandshakeFailed { reason, .. } => format!("HandshakeFailed {}", reason.name()),
        Event::Connected { peer, .. } => format!("Connected {peer}"),
        Event::Disconnected { peer, reason, .. } => {
            format!("Disconnected {peer} {}", reason.name())
        }
        Event::ConnectFailed { error, .. } => format!("ConnectFailed {error:?}"),
        Event::Retried { attempt, delay, .. } => {
            format!("Retried {attempt} {}", delay.as_millis())
        }
        Event::GivenUp { .. } => "GivenUp".to_owned(),
        other => format!("Other {other:?}"),
    }
}

fn counts(stats: &SocketStats) -> String {
    let mut text = format!(
        "sent={} written={} send_queue={} arrived={} received={} recv_queue={} connections={} peers={} \
         published={} unmatched={} untold={} last_values={}",
        stats.sent_messages,
        stats.written_messages,
        stats.send_queue_messages,
        stats.arrived_messages,
        stats.received_messages,
        stats.recv_queue_messages,
        stats.connections,
        stats.peers.len(),
        stats.published_messages,
        stats.unmatched_messages,
        stats.subscriptions_untold,
        stats.last_values,
    );
    for (group, counts) in [
        ("refused", &stats.refused),
        ("dropped", &stats.dropped),
        ("closes", &stats.closes),
    ] {
        for (reason, count) in counts {
            // Writing to a string cannot fail.
            let _ = write!(text, " {group}.{reason}={count}");
        }
    }
    text
}
