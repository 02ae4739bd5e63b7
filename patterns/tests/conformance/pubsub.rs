//! Topics: who gets what, and who is told.

use std::error::Error;

use brokerless_patterns::{Pub, Sub};

use crate::rig::{LIMIT, Outcome, Rig, TCP, connected, first, holds, meet, nothing, same, until};

/// A publisher, and a subscriber to these topics that hears it.
fn pair(rig: &Rig, topics: &[&str]) -> Result<(Pub, Sub), Box<dyn Error>> {
    let publisher = rig.make(Pub::with)?;
    let endpoint = publisher.bind_to(TCP)?.to_string();
    let subscriber = rig.make(Sub::with)?;
    for topic in topics {
        subscriber.subscribe(topic)?;
    }
    subscriber.subscribe("probe")?;
    subscriber.connect_to(&endpoint)?;
    meet(&publisher, "probe", &[&subscriber])?;
    Ok((publisher, subscriber))
}

pub(crate) fn a_subscriber_gets_what_begins_with_its_topic(rig: &Rig) -> Outcome {
    let (publisher, subscriber) = pair(rig, &["weather.", "sport.chess"])?;
    for topic in [
        "weather",
        "weather.north",
        "sport.",
        "sport.chess",
        "sport.chess.blitz",
        "weather.",
    ] {
        publisher.send([topic, "news"])?;
    }
    for topic in [
        "weather.north",
        "sport.chess",
        "sport.chess.blitz",
        "weather.",
    ] {
        let message = subscriber.recv_timeout(LIMIT)?;
        same!(message[0], topic);
        same!(message[1], "news");
    }
    nothing(subscriber.try_recv())
}

pub(crate) fn the_empty_topic_is_everything(rig: &Rig) -> Outcome {
    let (publisher, subscriber) = pair(rig, &[""])?;
    for number in 0..1000u32 {
        publisher.send(number.to_be_bytes().to_vec())?;
        if number % 100 == 99 {
            // A publisher does not wait: a subscriber that is to miss nothing has to keep up.
            for number in number - 99..=number {
                same!(
                    subscriber.recv_timeout(LIMIT)?[0][..],
                    number.to_be_bytes()[..]
                );
            }
        }
    }
    Ok(())
}

pub(crate) fn a_subscription_may_come_after_the_connection(rig: &Rig) -> Outcome {
    let (publisher, subscriber) = pair(rig, &[])?;
    subscriber.subscribe("later")?;
    meet(&publisher, "later", &[&subscriber])?;
    publisher.send(["later", "news"])?;
    same!(subscriber.recv_timeout(LIMIT)?[1], "news");
    Ok(())
}

pub(crate) fn nothing_is_received_of_a_topic_after_its_cancellation(rig: &Rig) -> Outcome {
    let (publisher, subscriber) = pair(rig, &["one", "two"])?;
    publisher.send(["one", "queued"])?;
    publisher.send(["two", "first"])?;
    until("both have come", || {
        let stats = subscriber.stats();
        stats.recv_queue_messages == 2
    })?;
    holds!(subscriber.unsubscribe("one")?, "it was not subscribed to");
    holds!(!subscriber.unsubscribe("one")?, "it still was");
    publisher.send(["one", "late"])?;
    publisher.send(["two", "second"])?;
    same!(subscriber.recv_timeout(LIMIT)?[1], "first");
    same!(subscriber.recv_timeout(LIMIT)?[1], "second");
    nothing(subscriber.try_recv())
}

pub(crate) fn a_subscriber_hears_several_publishers(rig: &Rig) -> Outcome {
    let subscriber = rig.make(Sub::with)?;
    subscriber.subscribe("")?;
    let mut publishers = Vec::new();
    for link in rig.links() {
        let publisher = rig.make(Pub::with)?;
        subscriber.connect_to(&publisher.bind_to(&link)?.to_string())?;
        meet(&publisher, &link, &[&subscriber])?;
        publishers.push(publisher);
    }
    for publisher in &publishers {
        publisher.send("news")?;
    }
    for _ in &publishers {
        same!(subscriber.recv_timeout(LIMIT)?[0], "news");
    }
    Ok(())
}

pub(crate) fn a_publisher_may_connect_to_its_subscribers(rig: &Rig) -> Outcome {
    let publisher = rig.make(Pub::with)?;
    let mut subscribers = Vec::new();
    for _ in 0..2 {
        let subscriber = rig.make(Sub::with)?;
        subscriber.bind_to(TCP)?;
        subscriber.subscribe("news")?;
        publisher.connect_to(&first(&subscriber.local_endpoints()))?;
        subscribers.push(subscriber);
    }
    let both: Vec<&Sub> = subscribers.iter().collect();
    meet(&publisher, "news", &both)?;
    publisher.send("news of today")?;
    for subscriber in both {
        same!(subscriber.recv_timeout(LIMIT)?[0], "news of today");
    }
    Ok(())
}

pub(crate) fn what_nobody_wants_is_counted(rig: &Rig) -> Outcome {
    let publisher = rig.make(Pub::with)?;
    publisher.bind_to(TCP)?;
    publisher.send("to nobody")?;
    let stats = publisher.stats();
    same!((stats.published_messages, stats.unmatched_messages), (1, 1));
    Ok(())
}

pub(crate) fn a_topic_may_be_any_bytes(rig: &Rig) -> Outcome {
    let topic = [0xff, 0x00, 0xfe];
    let (publisher, subscriber) = pair(rig, &[])?;
    subscriber.subscribe(topic)?;
    until("it is heard", || {
        publisher.send(topic.to_vec()).is_ok() && subscriber.try_recv().is_ok()
    })
}

pub(crate) fn a_publisher_knows_what_is_subscribed_to(rig: &Rig) -> Outcome {
    let (publisher, subscriber) = pair(rig, &["news"])?;
    let topics = publisher.subscriptions();
    holds!(topics.len() == 2, "it knows of {} topics", topics.len());
    same!(topics[0].0, "news");
    drop(subscriber);
    until("the subscriber has gone", || {
        publisher.subscriptions().is_empty()
    })
}

pub(crate) fn subscriptions_are_told_anew_to_a_publisher_that_comes_back(rig: &Rig) -> Outcome {
    let endpoint = rig.ipc();
    let subscriber = rig.make(Sub::with)?;
    subscriber.subscribe("news")?;
    subscriber.connect_to(&endpoint)?;
    for _ in 0..2 {
        let publisher = rig.make(Pub::with)?;
        publisher.bind_to(&endpoint)?;
        meet(&publisher, "news", &[&subscriber])?;
        drop(publisher);
        until("the publisher has gone", || {
            connected(&subscriber.stats(), 0)
        })?;
    }
    Ok(())
}
