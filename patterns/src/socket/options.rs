//! What a socket may be told: every limit and every time, with default, unit and bound.

use std::fmt;
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::owner::{Heartbeat, Settings};
use crate::link::{Keepalive, LinkOptions};
use crate::message::Frame;
use crate::zmtp::decoder::Limits;
use crate::zmtp::handshake::check_identity;
use crate::zmtp::{HandshakeLimits, SocketType};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A frame's length is announced in 63 bits; what is allowed is what a machine can hold.
const BYTES_MOST: u64 = 1 << 40;

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
/// and some 2 KiB for one that is idle. A service that faces strangers lowers the limits:
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
        /// The pause before the first attempt to reconnect. Default 100 ms; 1 ms to an hour.
        ///
        /// Pauses double up to `reconnect_interval_max`, and are spread by 0.5 to 1.5.
        reconnect_interval: Duration;
        /// The longest pause between attempts to reconnect. Default 2 s; 1 ms to an hour. Below
        /// `reconnect_interval` it has no effect.
        reconnect_interval_max: Duration;
        /// The time after which a silent peer is sent a PING; `None` switches heartbeats off.
        /// Default 1 s; 1 ms to an hour.
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
    }

    /// The identity announced to peers: at most 255 bytes, the first not zero. Default none.
    ///
    /// It is a claim that any peer can make: see [`Router`](crate::Router).
    pub fn identity(mut self, identity: impl Into<Frame>) -> Self {
        self.identity = identity.into();
        self
    }

    /// The engine that drives the socket. Default [`Engine::global`].
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
        within("backlog", self.backlog, 1, 65_535, "1 to 65,535")
    }

    pub(crate) fn settings(&self, kind: SocketType) -> Settings {
        Settings {
            limits: Limits {
                frame_bytes_max: self.frame_bytes_max,
                frames_max: self.frames_max,
                message_bytes_max: self.message_bytes_max,
                command_bytes_max: 8 * 1024,
            },
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
        ] {
            assert_eq!(refused(options), name);
        }
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
