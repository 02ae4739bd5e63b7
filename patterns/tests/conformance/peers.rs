//! Who is who: routing, identities, turns.

use brokerless_patterns::{
    Dealer, Event, Message, Options, Pull, Push, Router, SendRefusal, WeightedDealer,
};

use crate::rig::{LIMIT, Outcome, Rig, TCP, connected, holds, same, until, within};

pub(crate) fn a_router_answers_whoever_has_asked(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let mut dealers = Vec::new();
    for name in ["north", "south", "west"] {
        let dealer = rig.make(Dealer::with)?;
        dealer.connect_to(&endpoint)?;
        dealer.send(name)?;
        dealers.push((name, dealer));
    }
    for _ in 0..3 {
        let (peer, message) = router.recv_timeout(LIMIT)?;
        router.send(&peer, message)?;
    }
    for (name, dealer) in dealers {
        same!(dealer.recv_timeout(LIMIT)?[0], name);
    }
    Ok(())
}

pub(crate) fn a_router_finds_a_peer_by_its_identity(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let dealer = Dealer::with(rig.options().identity("worker-1"))?;
    dealer.connect_to(&endpoint)?;
    until("the peer is known", || router.peer(b"worker-1").is_some())?;
    router.send_to(b"worker-1", "unasked")?;
    same!(dealer.recv_timeout(LIMIT)?[0], "unasked");
    dealer.send("hello")?;
    let (peer, _) = router.recv_timeout(LIMIT)?;
    same!(peer.identity(), "worker-1");
    same!(Some(&peer), router.peer(b"worker-1").as_ref());
    // A ROUTER that connects knows its peers as well.
    let other = Router::with(rig.options().identity("caller"))?;
    other.connect_to(&endpoint)?;
    until("the peer is known", || router.peer(b"caller").is_some())?;
    router.send_to(b"caller", "too")?;
    same!(other.recv_timeout(LIMIT)?.1[0], "too");
    Ok(())
}

pub(crate) fn an_unknown_identity_gives_the_message_back(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    router.bind_to(TCP)?;
    let message = Message::from(["to", "nobody"]);
    let Err(refused) = router.send_to(b"nobody", message.clone()) else {
        return Err("it was sent".into());
    };
    same!(refused.reason(), SendRefusal::Gone);
    same!(refused.into_message(), message);
    same!(router.stats().refused.get("peer-gone"), Some(&1));
    Ok(())
}

pub(crate) fn a_message_to_a_peer_that_has_gone_comes_back(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let dealer = Dealer::with(rig.options().identity("worker"))?;
    dealer.connect_to(&endpoint)?;
    dealer.send("hello")?;
    let (peer, _) = router.recv_timeout(LIMIT)?;
    holds!(peer.is_connected(), "the peer is not connected");
    drop(dealer);
    until("the peer has gone", || !peer.is_connected())?;
    let Err(refused) = router.send(&peer, ["too", "late"]) else {
        return Err("it was sent".into());
    };
    same!(refused.reason(), SendRefusal::Gone);
    same!(refused.into_message(), Message::from(["too", "late"]));
    same!(router.peers().len(), 0);
    Ok(())
}

pub(crate) fn a_peer_without_an_identity_has_none(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let dealer = rig.make(Dealer::with)?;
    dealer.connect_to(&endpoint)?;
    dealer.send("hello")?;
    let identity = router.recv_timeout(LIMIT)?.0.identity();
    let bytes = identity.len();
    holds!(bytes == 0, "it has an identity of {bytes} bytes");
    Ok(())
}

pub(crate) fn a_second_claimant_of_an_identity_is_refused(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let first = Dealer::with(rig.options().identity("one"))?;
    first.connect_to(&endpoint)?;
    first.send("I am one")?;
    let (peer, _) = router.recv_timeout(LIMIT)?;
    let second = Dealer::with(rig.options().identity("one"))?;
    let events = router.monitor();
    second.connect_to(&endpoint)?;
    crate::rig::event(&events, |event| {
        matches!(
            event,
            Event::HandshakeFailed { .. } | Event::Disconnected { .. }
        )
    })?;
    holds!(peer.is_connected(), "the newcomer took the identity over");
    router.send(&peer, "to the first")?;
    same!(first.recv_timeout(LIMIT)?[0], "to the first");
    Ok(())
}

pub(crate) fn peers_that_send_all_the_time_are_received_from_fairly(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let mut dealers = Vec::new();
    for name in ["north", "south"] {
        let dealer = rig.make(Dealer::with)?;
        dealer.connect_to(&endpoint)?;
        for _ in 0..400 {
            dealer.send(name)?;
        }
        dealers.push(dealer);
    }
    until("all has come", || router.stats().arrived_messages == 800)?;
    let mut north = 0;
    for _ in 0..400 {
        north += usize::from(router.recv_timeout(LIMIT)?.1[0] == "north");
    }
    holds!(
        (100..=300).contains(&north),
        "{north} of 400 from one of two"
    );
    Ok(())
}

pub(crate) fn a_peer_over_its_receive_limit_keeps_nobody_else_waiting(rig: &Rig) -> Outcome {
    let router = Router::with(rig.options().recv_messages_max(5))?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let busy = rig.make(Dealer::with)?;
    busy.connect_to(&endpoint)?;
    for _ in 0..20 {
        busy.send(vec![0; 60_000])?; // a read at a time: the limit is looked at after each
    }
    until("the limit is reached", || {
        router.stats().recv_queue_messages >= 5
    })?;
    let other = Dealer::with(rig.options().identity("other"))?;
    other.connect_to(&endpoint)?;
    other.send("hello")?;
    until("the other is there", || router.peer(b"other").is_some())?;
    let has_come = || {
        let stats = router.stats();
        let mut peers = stats.peers.iter();
        peers.any(|peer| peer.identity == "other" && peer.recv_queue_messages == 1)
    };
    // On an engine of our own, it is driven by whoever waits.
    within(rig.patience(), "the other's message", has_come)
}

pub(crate) fn a_dealer_sends_to_its_peers_in_turn(rig: &Rig) -> Outcome {
    let dealer = rig.make(Dealer::with)?;
    let mut routers = Vec::new();
    for _ in 0..3 {
        let router = rig.make(Router::with)?;
        dealer.connect_to(&router.bind_to(TCP)?.to_string())?;
        routers.push(router);
    }
    for _ in 0..300 {
        dealer.send("work")?;
    }
    for router in routers {
        for _ in 0..100 {
            router.recv_timeout(LIMIT)?;
        }
        holds!(router.try_recv().is_err(), "more than a third");
    }
    Ok(())
}

pub(crate) fn a_dealer_that_is_bound_reaches_all_who_came(rig: &Rig) -> Outcome {
    let dealer = rig.make(Dealer::with)?;
    let endpoint = dealer.bind_to(TCP)?.to_string();
    let events = dealer.monitor();
    let mut others = Vec::new();
    for _ in 0..3 {
        let other = rig.make(Dealer::with)?;
        other.connect_to(&endpoint)?;
        crate::rig::event(&events, |event| matches!(event, Event::Connected { .. }))?;
        others.push(other);
    }
    for _ in 0..30 {
        dealer.send("work")?;
    }
    for other in &others {
        for _ in 0..10 {
            other.recv_timeout(LIMIT)?;
        }
        other.send("done")?;
    }
    for _ in 0..3 {
        same!(dealer.recv_timeout(LIMIT)?[0], "done");
    }
    Ok(())
}

pub(crate) fn peers_that_came_in_at_one_endpoint_are_told_apart(rig: &Rig) -> Outcome {
    let pull = rig.make(Pull::with)?;
    let endpoint = pull.bind_to(TCP)?.to_string();
    let mut pushes = Vec::new();
    for _ in 0..2 {
        let push = rig.make(Push::with)?;
        push.connect_to(&endpoint)?;
        push.send("work")?;
        pushes.push(push);
    }
    for _ in 0..2 {
        pull.recv_timeout(LIMIT)?;
    }
    holds!(connected(&pull.stats(), 2), "two peers are not two");
    Ok(())
}

pub(crate) fn a_pool_of_servers_is_served_by_weight(rig: &Rig) -> Outcome {
    let pool = rig.make(WeightedDealer::with)?;
    let mut servers = Vec::new();
    for weight in [3, 1] {
        let router = rig.make(Router::with)?;
        pool.add(&router.bind_to(TCP)?.to_string(), weight)?;
        servers.push((router, weight));
    }
    until("both are there", || connected(&pool.stats(), 2))?;
    for _ in 0..40 {
        pool.send("work")?;
    }
    for (router, weight) in servers {
        for _ in 0..10 * weight {
            router.recv_timeout(LIMIT)?;
        }
        holds!(router.try_recv().is_err(), "more than its share");
    }
    Ok(())
}

pub(crate) fn a_connection_that_came_in_is_counted(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let dealer = Dealer::with(Options::new().heartbeat_interval(None))?;
    dealer.connect_to(&endpoint)?;
    dealer.send("hello")?;
    router.recv_timeout(LIMIT)?;
    let count = router.stats().connections;
    holds!(count == 1, "{count} connections");
    Ok(())
}
