//! Work down a pipeline: to one of many, never dropped.

use std::time::Instant;

use brokerless_patterns::{Event, Message, Pull, Push, SendRefusal};

use crate::rig::{LIMIT, MOMENT, Outcome, Rig, TCP, holds, same, until, within};

pub(crate) fn work_is_spread_evenly(rig: &Rig) -> Outcome {
    let push = rig.make(Push::with)?;
    let endpoint = push.bind_to(TCP)?.to_string();
    let events = push.monitor();
    let mut pulls = Vec::new();
    for _ in 0..3 {
        let pull = rig.make(Pull::with)?;
        pull.connect_to(&endpoint)?;
        crate::rig::event(&events, |event| matches!(event, Event::Connected { .. }))?;
        pulls.push(pull);
    }
    for _ in 0..300 {
        push.send("work")?;
    }
    for pull in pulls {
        for _ in 0..100 {
            pull.recv_timeout(LIMIT)?;
        }
        holds!(pull.try_recv().is_err(), "more than a third");
    }
    Ok(())
}

pub(crate) fn a_pull_receives_from_all_its_peers(rig: &Rig) -> Outcome {
    let pull = rig.make(Pull::with)?;
    let mut pushes = Vec::new();
    for link in rig.links() {
        let endpoint = pull.bind_to(&link)?.to_string();
        let push = rig.make(Push::with)?;
        push.connect_to(&endpoint)?;
        for _ in 0..100 {
            push.send(&*link)?;
        }
        pushes.push((link, push));
    }
    let received = (0..200).map(|_| pull.recv_timeout(LIMIT));
    let received: Vec<Message> = received.collect::<Result<_, _>>()?;
    for (link, _) in &pushes {
        let from = received.iter().filter(|message| message[0] == **link);
        same!(from.count(), 100);
    }
    Ok(())
}

pub(crate) fn without_a_peer_the_message_comes_back(rig: &Rig) -> Outcome {
    let push = rig.make(Push::with)?;
    push.bind_to(TCP)?;
    let message = Message::from(["for", "somebody"]);
    let Err(refused) = push.try_send(message.clone()) else {
        return Err("it was sent".into());
    };
    same!(refused.reason(), SendRefusal::NoPeer);
    same!(*refused.message(), message);
    let before = Instant::now();
    let Err(refused) = push.send_timeout(refused.into_message(), MOMENT) else {
        return Err("it was sent".into());
    };
    holds!(before.elapsed() >= MOMENT, "too soon");
    same!(refused.reason(), SendRefusal::Timeout);
    same!(refused.into_message(), message);
    // Whoever waits goes on when somebody comes.
    let endpoint = push.local_endpoints()[0].to_string();
    let pull = rig.make(Pull::with)?;
    pull.connect_to(&endpoint)?;
    push.send_timeout(message.clone(), LIMIT)?;
    same!(pull.recv_timeout(LIMIT)?, message);
    Ok(())
}

pub(crate) fn a_full_queue_gives_the_message_back(rig: &Rig) -> Outcome {
    let endpoint = rig.ipc();
    let push = Push::with(rig.options().send_messages_max(10))?;
    push.connect_to(&endpoint)?;
    for number in 0..10u8 {
        push.try_send(vec![number])?;
    }
    let Err(refused) = push.try_send("one more") else {
        return Err("it was sent".into());
    };
    holds!(refused.is_full(), "{refused}");
    same!(refused.into_message()[0], "one more");
    same!(push.stats().refused.get("full"), Some(&1));
    let pull = rig.make(Pull::with)?;
    pull.bind_to(&endpoint)?;
    for number in 0..10u8 {
        same!(pull.recv_timeout(LIMIT)?[0][..], [number][..]);
    }
    // Messages for peers that are there only, where it is asked for.
    let choosy = Push::with(rig.options().immediate(true))?;
    choosy.connect_to(&rig.ipc())?;
    let refused = choosy.try_send("now").map_err(|refused| refused.reason());
    same!(refused, Err(SendRefusal::NoPeer));
    choosy.connect_to(&endpoint)?;
    choosy.send_timeout("now", LIMIT)?;
    same!(pull.recv_timeout(LIMIT)?[0], "now");
    Ok(())
}

pub(crate) fn a_push_notices_that_its_peer_has_gone(rig: &Rig) -> Outcome {
    let pull = rig.make(Pull::with)?;
    let endpoint = pull.bind_to(TCP)?.to_string();
    let push = rig.make(Push::with)?;
    push.connect_to(&endpoint)?;
    push.send("work")?;
    pull.recv_timeout(LIMIT)?;
    until("the peer is there", || push.stats().peers[0].connected)?;
    drop(pull);
    within(rig.patience(), "the peer has gone", || {
        !push.stats().peers[0].connected
    })
}
