//! What a socket may be told: every limit and every time, with default, unit and bound.

use std::fmt;
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::owner::{Heartbeat, Settings};
use crate::link::{Keepalive, LinkOptions};
use crate::message::{Frame, Message};
use crate::socket::subscriptions::{Telling, TopicLimits};
use crate::zmtp::decoder::Limits;
use crate::zmtp::handshake::check_identity;
use crate::zmtp::{HandshakeLimits, SocketType};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A frame's length is announced in 63 bits; what is allowed is what a machine can hold.
const BYTES_MOST: u64 = 1 << 40;
/// Bytes of a command, or of a message to a socket that takes none, that are read in any case.
const SMALL: usize = 8 * 1024;

/// TCP keepalive, for links whose heartbeats are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Silence before the first probe: 1 s to 32,767 s, in whole seconds.
    pub idle: Duration,
    /// Time between two probes: 1 s to 32,767 s, in whole seconds.
    pub interval: Duration,
    /// Unanswered probes after which the connection is dead: 1 to 127.
    pub count: u32,
}

/// What becomes of a subscriber that does not read what it has subscribed to, once its queue is
/// full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowSubscriber {
    /// What there is no room for is dropped for it, and counted as `slow-subscriber`.
    #[default]
    Drop,
    /// It is disconnected, and that is counted as `slow-subscriber` too. What was queued for it is
    /// dropped and counted, unless it was this side that connected: then it waits for the next
    /// connection.
    Disconnect,
}

/// Which subscriptions an XPUB tells its program of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verbose {
    /// The first to each topic, and the end of the last.
    #[default]
    Changes,
    /// Every one, and the end of the last to each topic.
    Subscriptions,
    /// Every one and every end.
    All,
}

/// An option is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionError {
    /// The option's name: that of its setter.
    pub option: &'static str,
    /// The value given.
    pub value: String,
    /// What it has to be.
    pub rule: &'static str,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "option {} is {}; it has to be {}",
            self.option, self.value, self.rule
        )
    }
}

impl std::error::Error for OptionError {}

/// How a socket behaves and what its peers may cost it.
///
/// The setters take what they are given; bounds are checked when a socket is made.
///
/// # Worst-case memory
///
/// For each connection, `recv_bytes_max` and `send_bytes_max`, one message of
/// `message_bytes_max` being assembled, and 64 KiB by which a read may overshoot; at most
/// `connections_max` times. With the defaults that is 192 MiB for a peer that uses all it may,
/// and some 2 KiB for one that is idle. A subscriber adds 300 bytes for each of at most
/// `subscriptions_max` topics, and `topics_bytes_max` for their names: 4 MiB. A service that faces
/// strangers lowers the limits:
///
/// ```
/// use brokerless_patterns::{Options, Router};
///
/// let router = Router::with(
///     Options::new()
///         .frame_bytes_max(64 * 1024)
///         .message_bytes_max(256 * 1024)
///         .recv_bytes_max(1024 * 1024)
///         .send_bytes_max(1024 * 1024)
///         .connections_max(1000)
///         .connections_per_address_max(20),
/// )?;
/// # Ok::<(), brokerless_patterns::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(crate) send_messages_max: usize,
    pub(crate) send_bytes_max: usize,
    pub(crate) recv_messages_max: usize,
    pub(crate) recv_bytes_max: usize,
    pub(crate) linger: Option<Duration>,
    pub(crate) identity: Frame,
    pub(crate) immediate: bool,
    pub(crate) keep_unsent: bool,
    pub(crate) reconnect_interval: Duration,
    pub(crate) reconnect_interval_max: Duration,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) heartbeat_ttl: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) handshakes_max: usize,
    pub(crate) frame_bytes_max: u64,
    pub(crate) frames_max: usize,
    pub(crate) message_bytes_max: u64,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) tcp_keepalive: Option<TcpKeepalive>,
    pub(crate) send_buffer_bytes: Option<usize>,
    pub(crate) recv_buffer_bytes: Option<usize>,
    pub(crate) backlog: u32,
    pub(crate) ipv6: bool,
    pub(crate) conflate: bool,
    pub(crate) slow_subscriber: SlowSubscriber,
    pub(crate) subscriptions_max: usize,
    pub(crate) topic_bytes_max: usize,
    pub(crate) topics_bytes_max: usize,
    pub(crate) verbose: Verbose,
    pub(crate) verbose_waiting_max: usize,
    pub(crate) last_values: usize,
    pub(crate) last_values_bytes_max: usize,
    pub(crate) welcome: Option<Message>,
    pub(crate) engine: Option<Engine>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            send_messages_max: 1000,
            send_bytes_max: 64 << 20,
            recv_messages_max: 1000,
            recv_bytes_max: 64 << 20,
            linger: Some(Duration::from_secs(1)),
            identity: Frame::new(),
            immediate: false,
            keep_unsent: true,
            reconnect_interval: Duration::from_millis(100),
            reconnect_interval_max: Duration::from_secs(2),
            heartbeat_interval: Some(Duration::from_secs(1)),
            heartbeat_timeout: Duration::from_secs(3),
            heartbeat_ttl: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(2),
            handshakes_max: 256,
            frame_bytes_max: 64 << 20,
            frames_max: 1024,
            message_bytes_max: 64 << 20,
            connections_max: 16_384,
            connections_per_address_max: 16_384,
            tcp_keepalive: None,
            send_buffer_bytes: None,
            recv_buffer_bytes: None,
            backlog: 1024,
            ipv6: false,
            conflate: false,
            slow_subscriber: SlowSubscriber::Drop,
            subscriptions_max: 10_000,
            topic_bytes_max: 1024,
            topics_bytes_max: 1 << 20,
            verbose: Verbose::Changes,
            verbose_waiting_max: 100_000,
            last_values: 0,
            last_values_bytes_max: 64 << 20,
            welcome: None,
            engine: None,
        }
    }
}

/// One setter a line: name, type, and what its documentation says.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        $($(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        })*
    };
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Messages that may be queued for one peer. Default 1,000; 1 to 10,000,000.
        ///
        /// What the kernel's socket buffer has taken is not counted.
        send_messages_max: usize;
        /// Bytes that may be queued for one peer, headers included. Default 64 MiB; 1 KiB to
        /// 1 TiB. A message always fits an empty queue.
        send_bytes_max: usize;
        /// Messages from one peer that may wait to be received. Default 1,000; 1 to 10,000,000.
        ///
        /// Checked after each read: one read of at most 64 KiB may go over it.
        recv_messages_max: usize;
        /// Bytes from one peer that may wait to be received. Default 64 MiB; 1 KiB to 1 TiB.
        ///
        /// Checked after each read, as `recv_messages_max` is.
        recv_bytes_max: usize;
        /// How long closing a socket waits for what is queued to go out; `None` is without end.
        /// Default 1 s; at most a day.
        linger: Option<Duration>;
        /// Whether messages are queued only for peers that are connected; else for every
        /// endpoint connected to, from the start. Default false.
        immediate: bool;
        /// Whether what could not go out over a connection waits for the next one to the same
        /// endpoint; else it is dropped with the connection and counted, and each connection is a
        /// [`Peer`](crate::Peer) of its own. Default true; false for a DEALER only.
        keep_unsent: bool;
        /// The pause before the first attempt to reconnect. Default 100 ms; 1 ms to an hour.
        ///
        /// Pauses double up to `reconnect_interval_max`, and are spread by 0.5 to 1.5.
        reconnect_interval: Duration;
        /// The longest pause between attempts to reconnect. Default 2 s; 1 ms to an hour. Below
        /// `reconnect_interval` it has no effect.
        reconnect_interval_max: Duration;
        /// The time after which a silent peer is sent a PING; `None` switches heartbeats off.
        /// Default 1 s; 1 ms to an hour.
        ///
        /// PINGs measure [`Peer::round_trip`](crate::Peer::round_trip), too: a new peer is sent
        /// one after 100 ms (or a quarter of the interval), and one that is never silent every ten seconds, or
        /// every interval where that is longer.
        heartbeat_interval: Option<Duration>;
        /// The silence after which a peer is taken for dead. Default 3 s; 1 ms to a day, and no
        /// shorter than the interval.
        heartbeat_timeout: Duration;
        /// The silence of ours after which the peer may take us for dead, as told in each PING.
        /// Default 3 s; 0 (not told) to 6,553 s, in tenths of a second.
        heartbeat_ttl: Duration;
        /// The time in which a connection has to finish its handshake. Default 2 s; 1 ms to an
        /// hour.
        handshake_timeout: Duration;
        /// Handshakes under way at once, of connections that came in; the oldest gives place.
        /// Default 256; 1 to 65,536.
        handshakes_max: usize;
        /// Bytes of the largest frame that a peer may send. Default 64 MiB; 1 to 1 TiB.
        frame_bytes_max: u64;
        /// Frames of the longest message that a peer may send. Default 1,024; 1 to 1,048,576.
        frames_max: usize;
        /// Payload bytes of the largest message that a peer may send. Default 64 MiB; 1 to 1 TiB.
        message_bytes_max: u64;
        /// Connections that may have come in at once. Default 16,384; 1 to 1,000,000.
        connections_max: usize;
        /// Connections that may have come in from one address at once. Default 16,384; 1 to
        /// 1,000,000. Peers over ipc are not counted here.
        connections_per_address_max: usize;
        /// TCP keepalive. Default `None`: heartbeats do it better.
        tcp_keepalive: Option<TcpKeepalive>;
        /// The kernel's send buffer in bytes; `None` leaves it to the system. Default `None`;
        /// 1 KiB to 1 GiB.
        send_buffer_bytes: Option<usize>;
        /// The kernel's receive buffer in bytes; `None` leaves it to the system. Default `None`;
        /// 1 KiB to 1 GiB.
        recv_buffer_bytes: Option<usize>;
        /// Connections that the kernel holds for a listener. Default 1,024; 1 to 65,535.
        backlog: u32;
        /// Whether `tcp://*:port` takes IPv6 too, and names may give IPv6 addresses first.
        /// Default false. Addresses written out work either way.
        ipv6: bool;
        /// Whether only the last message is kept: for each peer of those that have not been given
        /// to its connection, and from each peer of those that have not been received. Such a
        /// socket never waits to send. What gives place is counted as `conflated` and
        /// `conflated-unread`. Default false; for a PUSH, PULL, PUB, SUB or DEALER.
        conflate: bool;
        /// What a PUB or XPUB does with a subscriber whose queue is full. Default
        /// [`SlowSubscriber::Drop`].
        slow_subscriber: SlowSubscriber;
        /// Topics that one peer may subscribe to at a PUB or XPUB; one more, and it is closed.
        /// Default 10,000; 1 to 10,000,000. A topic takes some 300 bytes beside its name.
        subscriptions_max: usize;
        /// Bytes of one topic that a peer may subscribe to; a longer one, and it is closed.
        /// Default 1 KiB; 0 to 1 MiB.
        topic_bytes_max: usize;
        /// Bytes of all topics together that one peer may subscribe to. Default 1 MiB; 0 to 1 GiB.
        topics_bytes_max: usize;
        /// Which subscriptions an XPUB tells its program of. Default [`Verbose::Changes`].
        verbose: Verbose;
        /// Subscriptions that may wait to be received from an XPUB that tells of every one; more
        /// are counted in
        /// [`subscriptions_untold`](crate::SocketStats::subscriptions_untold). Default 100,000; 1
        /// to 10,000,000. One that tells of changes has no need of it.
        verbose_waiting_max: usize;
        /// Topics of which a PUB or XPUB keeps the last message: whoever subscribes to the topic
        /// later, or to a prefix of it, is sent that first. A topic is a message's whole first
        /// frame. Default 0, none; at most 10,000,000.
        last_values: usize;
        /// Bytes of all last messages together; beyond them what was published longest ago goes,
        /// and is counted. Default 64 MiB; 1 KiB to 1 TiB.
        last_values_bytes_max: usize;
    }

    /// The message that a PUB or XPUB sends to each peer with its first subscription to which the
    /// message belongs. Default none.
    pub fn welcome(mut self, message: impl Into<Message>) -> Self {
        self.welcome = Some(message.into());
        self
    }

    /// The identity announced to peers: at most 255 bytes, the first not zero. Default none.
    ///
    /// It is a claim that any peer can make: see [`Router`](crate::Router).
    pub fn identity(mut self, identity: impl Into<Frame>) -> Self {
        self.identity = identity.into();
        self
    }

    /// The engine that drives the socket. Default [`Engine::global`]. With the feature `zeromq`,
    /// `Engine::zeromq` is another one, which refuses some of these options.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }

    /// Checks every bound.
    ///
    /// # Errors
    ///
    /// The first option that is out of its bounds.
    pub fn check(&self) -> Result<(), OptionError> {
        let queue = "1 to 10,000,000 messages";
        let bytes = "1 KiB to 1 TiB";
        let size = "1 byte to 1 TiB";
        let buffer = "1 KiB to 1 GiB, or left to the system";
        let pause = "1 ms to an hour";
        within(
            "send_messages_max",
            self.send_messages_max,
            1,
            10_000_000,
            queue,
        )?;
        within(
            "send_bytes_max",
            self.send_bytes_max as u64,
            1024,
            BYTES_MOST,
            bytes,
        )?;
        within(
            "recv_messages_max",
            self.recv_messages_max,
            1,
            10_000_000,
            queue,
        )?;
        within(
            "recv_bytes_max",
            self.recv_bytes_max as u64,
            1024,
            BYTES_MOST,
            bytes,
        )?;
        span(
            "linger",
            self.linger.unwrap_or_default(),
            Duration::ZERO,
            DAY,
            "at most a day, or none",
        )?;
        if let Err(violation) = check_identity(&self.identity) {
            return Err(OptionError {
                option: "identity",
                value: format!("{:?} ({violation})", self.identity),
                rule: "at most 255 bytes, the first not zero",
            });
        }
        let ms = Duration::from_millis(1);
        span(
            "reconnect_interval",
            self.reconnect_interval,
            ms,
            HOUR,
            pause,
        )?;
        span(
            "reconnect_interval_max",
            self.reconnect_interval_max,
            ms,
            HOUR,
            pause,
        )?;
        if let Some(interval) = self.heartbeat_interval {
            span(
                "heartbeat_interval",
                interval,
                ms,
                HOUR,
                "1 ms to an hour, or none",
            )?;
            let rule = "1 ms to a day, and no shorter than heartbeat_interval";
            span(
                "heartbeat_timeout",
                self.heartbeat_timeout,
                interval.max(ms),
                DAY,
                rule,
            )?;
            let most = Duration::from_millis(6_553_500);
            span(
                "heartbeat_ttl",
                self.heartbeat_ttl,
                Duration::ZERO,
                most,
                "0 to 6,553.5 s",
            )?;
        }
        span("handshake_timeout", self.handshake_timeout, ms, HOUR, pause)?;
        within(
            "handshakes_max",
            self.handshakes_max,
            1,
            65_536,
            "1 to 65,536",
        )?;
        within("frame_bytes_max", self.frame_bytes_max, 1, BYTES_MOST, size)?;
        within("frames_max", self.frames_max, 1, 1 << 20, "1 to 1,048,576")?;
        within(
            "message_bytes_max",
            self.message_bytes_max,
            1,
            BYTES_MOST,
            size,
        )?;
        let connections = "1 to 1,000,000";
        within(
            "connections_max",
            self.connections_max,
            1,
            1_000_000,
            connections,
        )?;
        let each = self.connections_per_address_max;
        within(
            "connections_per_address_max",
            each,
            1,
            1_000_000,
            connections,
        )?;
        if let Some(keepalive) = self.tcp_keepalive {
            let (least, most) = (Duration::from_secs(1), Duration::from_secs(32_767));
            let rule = "1 s to 32,767 s";
            span("tcp_keepalive.idle", keepalive.idle, least, most, rule)?;
            span(
                "tcp_keepalive.interval",
                keepalive.interval,
                least,
                most,
                rule,
            )?;
            within("tcp_keepalive.count", keepalive.count, 1, 127, "1 to 127")?;
        }
        for (name, value) in [
            ("send_buffer_bytes", self.send_buffer_bytes),
            ("recv_buffer_bytes", self.recv_buffer_bytes),
        ] {
            within(name, value.unwrap_or(1024), 1024, 1 << 30, buffer)?;
        }
        within("backlog", self.backlog, 1, 65_535, "1 to 65,535")?;
        self.check_topics()
    }

    fn check_topics(&self) -> Result<(), OptionError> {
        let most = 10_000_000;
        let topics = "1 to 10,000,000";
        within("subscriptions_max", self.subscriptions_max, 1, most, topics)?;
        let bytes = "at most 1 MiB";
        within("topic_bytes_max", self.topic_bytes_max, 0, 1 << 20, bytes)?;
        let bytes = "at most 1 GiB";
        within("topics_bytes_max", self.topics_bytes_max, 0, 1 << 30, bytes)?;
        let waiting = self.verbose_waiting_max;
        within("verbose_waiting_max", waiting, 1, most, topics)?;
        let topics = "at most 10,000,000";
        within("last_values", self.last_values, 0, most, topics)?;
        within(
            "last_values_bytes_max",
            self.last_values_bytes_max as u64,
            1024,
            BYTES_MOST,
            "1 KiB to 1 TiB",
        )
    }

    /// What `frame_bytes_max` is set to.
    pub fn largest_frame(&self) -> u64 {
        self.frame_bytes_max
    }

    /// What `message_bytes_max` is set to.
    pub fn largest_message(&self) -> u64 {
        self.message_bytes_max
    }

    /// Checks every bound, and that the options suit a socket of this type.
    pub(crate) fn check_for(&self, kind: SocketType) -> Result<(), OptionError> {
        use SocketType::{Dealer, Pub, Pull, Push, Sub};
        if self.conflate && !matches!(kind, Push | Pull | Pub | Sub | Dealer) {
            return Err(OptionError {
                option: "conflate",
                value: format!("true for a {kind}"),
                rule: "false, but for a PUSH, PULL, PUB, SUB or DEALER",
            });
        }
        if !self.keep_unsent && kind != Dealer {
            return Err(OptionError {
                option: "keep_unsent",
                value: format!("false for a {kind}"),
                rule: "true, but for a DEALER",
            });
        }
        #[cfg(feature = "zeromq")]
        if self.engine.as_ref().is_some_and(Engine::is_second) {
            self.check_second(kind)?;
        }
        self.check()
    }

    pub(crate) fn topic_limits(&self) -> TopicLimits {
        TopicLimits {
            subscriptions_max: self.subscriptions_max,
            topic_bytes_max: self.topic_bytes_max,
            topics_bytes_max: self.topics_bytes_max,
        }
    }

    pub(crate) fn telling(&self) -> Telling {
        let all = |ends| Telling::All {
            ends,
            waiting_max: self.verbose_waiting_max,
        };
        match self.verbose {
            Verbose::Changes => Telling::Changes,
            Verbose::Subscriptions => all(false),
            Verbose::All => all(true),
        }
    }

    /// What a peer may send at all. One that has nothing to send but subscriptions, or nothing,
    /// is not let say more than those take.
    fn limits(&self, kind: SocketType) -> Limits {
        let (frame, message) = match kind {
            SocketType::Push | SocketType::Pub => {
                let most = self.topic_bytes_max.max(SMALL) as u64 + 1;
                (
                    self.frame_bytes_max.min(most),
                    self.message_bytes_max.min(most),
                )
            }
            _ => (self.frame_bytes_max, self.message_bytes_max),
        };
        Limits {
            frame_bytes_max: frame,
            frames_max: self.frames_max,
            message_bytes_max: message,
            // The name of a SUBSCRIBE is beside its topic.
            command_bytes_max: self.topic_bytes_max.max(SMALL) as u64 + 16,
        }
    }

    pub(crate) fn settings(&self, kind: SocketType) -> Settings {
        Settings {
            limits: self.limits(kind),
            handshake: HandshakeLimits::default(),
            handshake_timeout: self.handshake_timeout,
            handshakes_max: self.handshakes_max,
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            heartbeat: self.heartbeat_interval.map(|interval| Heartbeat {
                interval,
                timeout: self.heartbeat_timeout,
                ttl: self.heartbeat_ttl,
            }),
            reconnect_interval: self.reconnect_interval,
            reconnect_interval_max: self.reconnect_interval_max,
            link: LinkOptions {
                keepalive: self.tcp_keepalive.map(|keepalive| Keepalive {
                    idle_s: keepalive.idle.as_secs() as u32,
                    interval_s: keepalive.interval.as_secs() as u32,
                    count: keepalive.count,
                }),
                send_buffer_bytes: self.send_buffer_bytes,
                recv_buffer_bytes: self.recv_buffer_bytes,
                backlog: self.backlog,
                ipv6: self.ipv6,
            },
            send_messages_max: self.send_messages_max,
            send_bytes_max: self.send_bytes_max,
            recv_messages_max: self.recv_messages_max,
            recv_bytes_max: self.recv_bytes_max,
            conflate: self.conflate,
            one_way: matches!(kind, SocketType::Push | SocketType::Pub | SocketType::XPub),
        }
    }
}

fn within<T: PartialOrd + fmt::Display>(
    option: &'static str,
    value: T,
    least: T,
    most: T,
    rule: &'static str,
) -> Result<(), OptionError> {
    if value < least || value > most {
        return Err(OptionError {
            option,
            value: value.to_string(),
            rule,
        });
    }
    Ok(())
}

fn span(
    option: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
    rule: &'static str,
) -> Result<(), OptionError> {
    if value < least || value > most {
        return Err(OptionError {
            option,
            value: format!("{value:?}"),
            rule,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: Options) -> &'static str {
        options.check().expect_err("out of bounds").option
    }

    #[test]
    fn the_defaults_are_within_their_bounds() {
        assert_eq!(Options::new().check(), Ok(()));
    }

    #[test]
    fn every_option_out_of_its_bounds_is_named() {
        let new = Options::new;
        let (zero, week) = (Duration::ZERO, Duration::from_secs(7 * 24 * 3600));
        let keepalive = |idle, interval, count| {
            Some(TcpKeepalive {
                idle,
                interval,
                count,
            })
        };
        let second = Duration::from_secs(1);
        for (options, name) in [
            (new().send_messages_max(0), "send_messages_max"),
            (new().send_messages_max(10_000_001), "send_messages_max"),
            (new().send_bytes_max(1023), "send_bytes_max"),
            (new().recv_messages_max(0), "recv_messages_max"),
            (new().recv_bytes_max(1), "recv_bytes_max"),
            (new().linger(Some(week)), "linger"),
            (new().identity(vec![0, 1]), "identity"),
            (new().identity(vec![1; 256]), "identity"),
            (new().reconnect_interval(zero), "reconnect_interval"),
            (new().reconnect_interval_max(week), "reconnect_interval_max"),
            (new().heartbeat_interval(Some(zero)), "heartbeat_interval"),
            (
                new().heartbeat_timeout(Duration::from_millis(999)),
                "heartbeat_timeout",
            ),
            (new().heartbeat_ttl(week), "heartbeat_ttl"),
            (new().handshake_timeout(zero), "handshake_timeout"),
            (new().handshakes_max(0), "handshakes_max"),
            (new().frame_bytes_max(0), "frame_bytes_max"),
            (new().frames_max(0), "frames_max"),
            (new().message_bytes_max(BYTES_MOST + 1), "message_bytes_max"),
            (new().connections_max(0), "connections_max"),
            (
                new().connections_per_address_max(0),
                "connections_per_address_max",
            ),
            (
                new().tcp_keepalive(keepalive(zero, second, 1)),
                "tcp_keepalive.idle",
            ),
            (
                new().tcp_keepalive(keepalive(second, zero, 1)),
                "tcp_keepalive.interval",
            ),
            (
                new().tcp_keepalive(keepalive(second, second, 0)),
                "tcp_keepalive.count",
            ),
            (new().send_buffer_bytes(Some(0)), "send_buffer_bytes"),
            (new().recv_buffer_bytes(Some(1 << 31)), "recv_buffer_bytes"),
            (new().backlog(0), "backlog"),
            (new().subscriptions_max(0), "subscriptions_max"),
            (new().topic_bytes_max((1 << 20) + 1), "topic_bytes_max"),
            (new().topics_bytes_max((1 << 30) + 1), "topics_bytes_max"),
            (new().verbose_waiting_max(0), "verbose_waiting_max"),
            (new().last_values(10_000_001), "last_values"),
            (new().last_values_bytes_max(1), "last_values_bytes_max"),
        ] {
            assert_eq!(refused(options), name);
        }
    }

    #[test]
    fn only_sockets_that_can_conflate_do() {
        let options = Options::new().conflate(true);
        let conflating: Vec<_> = SocketType::ALL
            .into_iter()
            .filter(|kind| options.check_for(*kind).is_ok())
            .map(SocketType::name)
            .collect();
        assert_eq!(conflating, ["PUB", "SUB", "DEALER", "PULL", "PUSH"]);
    }

    #[test]
    fn an_error_names_the_option_the_value_and_the_rule() {
        let error = Options::new().frames_max(0).check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "option frames_max is 0; it has to be 1 to 1,048,576"
        );
    }
}
