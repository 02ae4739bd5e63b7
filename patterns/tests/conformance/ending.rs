//! Endings and new beginnings: closing, losing, coming back; and what is refused from the start.

use std::thread;
use std::time::{Duration, Instant};

use brokerless_patterns::{
    BindError, CloseReason, Dealer, Error, Event, Options, Pull, Push, RecvError, Rep, Req, Router,
    SendRefusal,
};

use crate::rig::{LIMIT, MOMENT, Outcome, Rig, TCP, connected, event, holds, same, until};

pub(crate) fn nothing_is_lost_on_close(rig: &Rig) -> Outcome {
    // Many, and more than the kernel holds.
    for (count, bytes) in [(2000u32, 1024), (40, 1 << 20)] {
        for link in rig.links() {
            let pull = rig.make(Pull::with)?;
            let endpoint = pull.bind_to(&link)?.to_string();
            let push = Push::with(rig.options().send_messages_max(5000).linger(Some(LIMIT)))?;
            push.connect_to(&endpoint)?;
            for number in 0..count {
                let mut body = vec![0; bytes];
                body[..4].copy_from_slice(&number.to_be_bytes());
                push.send(body)?;
            }
            // The socket goes as soon as it is closed.
            let closing = thread::spawn(move || push.close());
            for number in 0..count {
                same!(pull.recv_timeout(LIMIT)?[0][..4], number.to_be_bytes()[..]);
            }
            let unsent = closing.join().map_err(|_| "it panicked")?;
            holds!(unsent.is_empty(), "{unsent:?}");
        }
    }
    Ok(())
}

pub(crate) fn closing_says_what_was_left(rig: &Rig) -> Outcome {
    let time = Duration::from_millis(50);
    let push = Push::with(rig.options().linger(Some(time)))?;
    push.connect_to(&rig.ipc())?;
    for _ in 0..3 {
        push.send("to nobody")?;
    }
    let before = Instant::now();
    let unsent = push.close();
    let took = before.elapsed();
    same!(unsent.messages, 3);
    holds!(took >= time && took < LIMIT, "it took {took:?}");
    let refused = push.send("late").map_err(|refused| refused.reason());
    same!(refused, Err(SendRefusal::Closed));
    holds!(
        push.close().is_empty(),
        "a second close finds something left"
    );
    Ok(())
}

pub(crate) fn closing_wakes_whoever_waits(rig: &Rig) -> Outcome {
    let pull = rig.make(Pull::with)?;
    pull.bind_to(TCP)?;
    let received = thread::scope(|scope| {
        let waiting = scope.spawn(|| pull.recv_timeout(LIMIT));
        let _ = pull.close();
        waiting.join().map_err(|_| "it panicked")
    })?;
    same!(received, Err(RecvError::Closed));
    Ok(())
}

pub(crate) fn a_lost_connection_is_made_again(rig: &Rig) -> Outcome {
    let endpoint = rig.ipc();
    let dealer = rig.make(Dealer::with)?;
    dealer.connect_to(&endpoint)?;
    for round in ["first", "second", "third"] {
        let router = rig.make(Router::with)?;
        router.bind_to(&endpoint)?;
        dealer.send(round)?;
        let (peer, message) = router.recv_timeout(LIMIT)?;
        same!(message[0], round);
        router.send(&peer, message)?;
        same!(dealer.recv_timeout(LIMIT)?[0], round);
        drop(router);
        until("the router has gone", || connected(&dealer.stats(), 0))?;
    }
    Ok(())
}

pub(crate) fn coming_and_going_is_reported(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let events = router.monitor();
    let endpoint = router.bind_to(TCP)?;
    event(
        &events,
        |event| matches!(event, Event::Listening { endpoint: at } if *at == endpoint),
    )?;
    let dealer = rig.make(Dealer::with)?;
    let dialed = dealer.monitor();
    dealer.connect_to(&endpoint.to_string())?;
    event(
        &dialed,
        |event| matches!(event, Event::Connected { endpoint: at, .. } if *at == endpoint),
    )?;
    event(&events, |event| matches!(event, Event::Connected { .. }))?;
    same!(router.peers().len(), 1);
    drop(dealer);
    event(&events, |event| {
        matches!(
            event,
            Event::Disconnected {
                reason: CloseReason::PeerClosed,
                ..
            }
        )
    })?;
    same!(router.stats().closes.get("peer-closed"), Some(&1));
    // An attempt that fails is reported, and so is the next one.
    let lonely = rig.make(Push::with)?;
    let events = lonely.monitor();
    lonely.connect_to(&rig.ipc())?;
    event(&events, |event| {
        matches!(event, Event::ConnectFailed { .. })
    })?;
    event(&events, |event| matches!(event, Event::Retried { .. }))
}

pub(crate) fn an_unbound_endpoint_takes_nobody_and_keeps_those_it_has(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?;
    let dealer = rig.make(Dealer::with)?;
    dealer.connect_to(&endpoint.to_string())?;
    dealer.send("before")?;
    let (peer, _) = router.recv_timeout(LIMIT)?;
    router.unbind(&endpoint)?;
    same!(router.local_endpoints().len(), 0);
    holds!(
        matches!(router.unbind(&endpoint), Err(Error::NotFound { .. })),
        "it is unbound twice"
    );
    router.send(&peer, "after")?;
    same!(dealer.recv_timeout(LIMIT)?[0], "after");
    // Another one may listen there.
    let other = rig.make(Router::with)?;
    until("the address is free", || {
        other.bind_to(&endpoint.to_string()).is_ok()
    })?;
    let newcomer = rig.make(Dealer::with)?;
    newcomer.connect_to(&endpoint.to_string())?;
    newcomer.send("new")?;
    same!(other.recv_timeout(LIMIT)?.1[0], "new");
    Ok(())
}

pub(crate) fn a_disconnected_endpoint_is_sent_nothing(rig: &Rig) -> Outcome {
    let push = rig.make(Push::with)?;
    let mut ends = Vec::new();
    for _ in 0..2 {
        let pull = rig.make(Pull::with)?;
        let endpoint = push.connect_to(&pull.bind_to(TCP)?.to_string())?;
        ends.push((endpoint, pull));
    }
    until("both are connected", || connected(&push.stats(), 2))?;
    push.disconnect(&ends[0].0)?;
    for _ in 0..10 {
        push.send("work")?;
    }
    for _ in 0..10 {
        ends[1].1.recv_timeout(LIMIT)?;
    }
    holds!(ends[0].1.try_recv().is_err(), "it was sent something");
    holds!(
        push.disconnect(&ends[0].0).is_err(),
        "it is disconnected twice"
    );
    Ok(())
}

pub(crate) fn an_endpoint_in_use_is_refused(rig: &Rig) -> Outcome {
    for link in rig.links() {
        let router = rig.make(Router::with)?;
        let endpoint = router.bind_to(&link)?.to_string();
        let other = rig.make(Router::with)?;
        let refused = other.bind_to(&endpoint);
        holds!(
            matches!(refused, Err(Error::Bind(BindError::InUse { .. }))),
            "{refused:?}"
        );
    }
    Ok(())
}

pub(crate) fn limits_on_what_a_peer_sends_are_held(rig: &Rig) -> Outcome {
    let pull = Pull::with(rig.options().frame_bytes_max(1000))?;
    let events = pull.monitor();
    let endpoint = pull.bind_to(TCP)?.to_string();
    let push = rig.make(Push::with)?;
    push.connect_to(&endpoint)?;
    push.send(vec![0; 1001])?;
    event(&events, |event| matches!(event, Event::Disconnected { .. }))
}

pub(crate) fn heartbeats_may_be_asked_for(rig: &Rig) -> Outcome {
    let often = Some(Duration::from_millis(20));
    let router = Router::with(rig.options().heartbeat_interval(often))?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let dealer = Dealer::with(Options::new())?;
    dealer.connect_to(&endpoint)?;
    dealer.send("hello")?;
    router.recv_timeout(LIMIT)?;
    let gone = dealer.recv_timeout(MOMENT);
    same!(gone, Err(RecvError::Timeout));
    holds!(connected(&dealer.stats(), 1), "it has lost its peer");
    Ok(())
}

pub(crate) fn a_request_may_be_answered_in_turn(rig: &Rig) -> Outcome {
    let rep = rig.make(Rep::with)?;
    let endpoint = rep.bind_to(TCP)?.to_string();
    let req = rig.make(Req::with)?;
    req.connect_to(&endpoint)?;
    req.send("question")?;
    same!(rep.recv_timeout(LIMIT)?[0], "question");
    rep.send("answer")?;
    same!(req.recv_timeout(LIMIT)?[0], "answer");
    Ok(())
}
