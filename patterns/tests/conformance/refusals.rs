//! What the second engine refuses: by the name of the option, and with the way out.

use std::time::Duration;

use brokerless_patterns::{
    Dealer, Error, Options, Pair, Pub, Pull, Push, Rep, Req, Router, SlowSubscriber, Sub,
    TcpKeepalive, XPub, XSub,
};

use crate::rig::{Outcome, Rig, holds, same};

pub(crate) fn what_it_cannot_hold_to_is_refused_by_name(rig: &Rig) -> Outcome {
    let new = || rig.options();
    let second = Duration::from_secs(1);
    let keepalive = TcpKeepalive {
        idle: second,
        interval: second,
        count: 1,
    };
    for (options, name) in [
        (
            new().heartbeat_interval(Some(second * 2)),
            "heartbeat_interval",
        ),
        (new().heartbeat_timeout(second * 2), "heartbeat_timeout"),
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
        let Err(Error::Option(error)) = Pub::with(options) else {
            return Err(format!("{name} is not refused").into());
        };
        same!(error.option, name);
        let text = error.to_string();
        holds!(
            text.contains("Engine::new") && !text.contains("secret"),
            "{text}"
        );
    }
    Ok(())
}

pub(crate) fn the_defaults_do_for_six_types_with_heartbeats_or_without(rig: &Rig) -> Outcome {
    let without = || rig.options().heartbeat_interval(None);
    for options in [
        |rig: &Rig| rig.options(),
        |rig: &Rig| rig.options().heartbeat_interval(None),
    ] {
        Dealer::with(options(rig))?;
        Router::with(options(rig))?;
        Pub::with(options(rig))?;
        Sub::with(options(rig))?;
        Push::with(options(rig))?;
        Pull::with(options(rig))?;
    }
    for (name, refused) in [
        ("REQ", Req::with(without()).err()),
        ("REP", Rep::with(without()).err()),
        ("PAIR", Pair::with(without()).err()),
        ("XPUB", XPub::with(without()).err()),
        ("XSUB", XSub::with(without()).err()),
    ] {
        let text = refused.map(|error| error.to_string()).unwrap_or_default();
        holds!(text.contains(&format!("for a {name}")), "{name}: {text}");
    }
    Ok(())
}

pub(crate) fn endpoints_that_it_does_not_know_are_refused(rig: &Rig) -> Outcome {
    let dealer = rig.make(Dealer::with)?;
    for (endpoint, words) in [
        ("inproc://here", "no sockets within the process"),
        ("tcp://127.0.0.1:0;127.0.0.1:5555", "no source addresses"),
    ] {
        let refused = dealer.connect_to(endpoint);
        let Err(Error::Unsupported { what, way_out }) = refused else {
            return Err(format!("{endpoint}: {refused:?}").into());
        };
        holds!(what.contains(words), "{what}");
        holds!(way_out.contains("Engine::new"), "{way_out}");
    }
    holds!(Options::new().check().is_ok(), "the defaults are refused");
    Ok(())
}
