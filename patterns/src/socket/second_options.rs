//! Which options the second engine refuses: those that it could not hold to.
//!
//! Where the default is one that it does not hold to either, it is said at
//! [`Engine::zeromq`](crate::Engine::zeromq): nobody has asked for it by name.

use std::fmt::Debug;

use super::options::{OptionError, Options};
use crate::zmtp::SocketType;

const RULE: &str = "left at its default on an engine of Engine::zeromq; use one of Engine::new";

impl OptionError {
    /// Something that only an engine of our own does.
    pub(super) fn of_second(option: &'static str, value: &str) -> Self {
        OptionError {
            option,
            value: value.to_owned(),
            rule: RULE,
        }
    }
}

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
            keep_unsent
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
