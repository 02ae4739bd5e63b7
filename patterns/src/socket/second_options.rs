//! Which options the second engine refuses: those that it could not hold to.
//!
//! Where the default is one that it does not hold to either, it is said at
//! [`Engine::zeromq`](crate::Engine::zeromq): nobody has asked for it by name.

use std::fmt::Debug;

use super::options::{OptionError, Options};
use crate::zmtp::SocketType;

const RULE: &str = "left at its default on an engine of Engine::zeromq; use one of Engine::new";

impl Options {
    /// Checks that a socket of this type and with these options can run on the second engine.
    pub(super) fn check_second(&self, kind: SocketType) -> Result<(), OptionError> {
        use SocketType::{Dealer, Pub, Pull, Push, Router, Sub};
        if !matches!(kind, Dealer | Router | Pub | Sub | Push | Pull) {
            return Err(OptionError {
                option: "engine",
                value: format!("that of Engine::zeromq for a {kind}"),
                rule: "one of Engine::new, but for a DEALER, ROUTER, PUB, SUB, PUSH or PULL",
            });
        }
        if self.heartbeat_interval.is_some() {
            let default = Options::default();
            same(
                "heartbeat_interval",
                &self.heartbeat_interval,
                &default.heartbeat_interval,
            )?;
            same(
                "heartbeat_timeout",
                &self.heartbeat_timeout,
                &default.heartbeat_timeout,
            )?;
            same("heartbeat_ttl", &self.heartbeat_ttl, &default.heartbeat_ttl)?;
        }
        /// The options that have to be the defaults.
        macro_rules! defaults {
            ($($option:ident)*) => {{
                let default = Options::default();
                $(same(stringify!($option), &self.$option, &default.$option)?;)*
            }};
        }
        defaults!(
            handshakes_max frame_bytes_max frames_max message_bytes_max connections_max
            connections_per_address_max tcp_keepalive send_buffer_bytes recv_buffer_bytes conflate
        );
        if kind == Pub {
            defaults!(
                slow_subscriber subscriptions_max topic_bytes_max topics_bytes_max last_values
            );
            let welcome = self.welcome.as_ref().map(|welcome| welcome.bytes());
            same(
                "welcome",
                &welcome.map(|bytes| format!("{bytes} bytes")),
                &None,
            )?;
        }
        Ok(())
    }
}

fn same<T: PartialEq + Debug>(
    option: &'static str,
    value: &T,
    default: &T,
) -> Result<(), OptionError> {
    if value == default {
        return Ok(());
    }
    let value = format!("{value:?}");
    Err(OptionError {
        option,
        value,
        rule: RULE,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::socket::options::{SlowSubscriber, TcpKeepalive};

    #[test]
    fn what_the_second_engine_cannot_hold_to_is_refused_by_name() {
        let new = Options::new;
        let second = Some(Duration::from_secs(1));
        let keepalive = TcpKeepalive {
            idle: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            count: 1,
        };
        for (options, name) in [
            (
                new()
                    .heartbeat_interval(second)
                    .heartbeat_timeout(second.unwrap() * 2),
                "heartbeat_timeout",
            ),
            (
                new().heartbeat_interval(second.map(|time| time * 2)),
                "heartbeat_interval",
            ),
            (new().heartbeat_ttl(Duration::ZERO), "heartbeat_ttl"),
            (new().handshakes_max(1), "handshakes_max"),
            (new().frame_bytes_max(1), "frame_bytes_max"),
            (new().frames_max(1), "frames_max"),
            (new().message_bytes_max(1), "message_bytes_max"),
            (new().connections_max(1), "connections_max"),
            (
                new().connections_per_address_max(1),
                "connections_per_address_max",
            ),
            (new().tcp_keepalive(Some(keepalive)), "tcp_keepalive"),
            (new().send_buffer_bytes(Some(4096)), "send_buffer_bytes"),
            (new().recv_buffer_bytes(Some(4096)), "recv_buffer_bytes"),
            (new().conflate(true), "conflate"),
            (
                new().slow_subscriber(SlowSubscriber::Disconnect),
                "slow_subscriber",
            ),
            (new().subscriptions_max(1), "subscriptions_max"),
            (new().topic_bytes_max(1), "topic_bytes_max"),
            (new().topics_bytes_max(1), "topics_bytes_max"),
            (new().last_values(1), "last_values"),
            (new().welcome("secret"), "welcome"),
        ] {
            let error = options.check_second(SocketType::Pub).unwrap_err();
            assert_eq!(error.option, name);
            let text = error.to_string();
            assert!(
                text.contains("Engine::new") && !text.contains("secret"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_defaults_and_no_heartbeats_do_for_the_six_types_of_the_second_engine() {
        for options in [Options::new(), Options::new().heartbeat_interval(None)] {
            let taken: Vec<_> = SocketType::ALL
                .into_iter()
                .filter(|kind| options.check_second(*kind).is_ok())
                .map(SocketType::name)
                .collect();
            assert_eq!(taken, ["PUB", "SUB", "DEALER", "ROUTER", "PULL", "PUSH"]);
        }
    }
}
