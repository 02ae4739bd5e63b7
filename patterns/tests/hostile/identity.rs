//! Peers that claim a name that is another's.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine, Event, RecvError};

use crate::support::canary::Lasted;
use crate::support::dealer::ROLE;
use crate::support::figures::Figures;
use crate::support::good::patient;
use crate::support::process::Process;
use crate::support::raw::{COMMAND, Raw, command_body, frame, opening};
use crate::support::scene::Scene;
use crate::support::{eventually, hold, ms, pass};

/// In which a dead holder is replaced: half a second to answer the test, and a little.
const REPLACED: Duration = ms(600);

/// How long a message that has to come is waited for.
const PATIENCE: Duration = ms(30_000);

/// A dealer with an identity and an engine of its own, not yet connected.
fn dealer_named(identity: &str) -> Dealer {
    let engine = Engine::new().expect("descriptors are free");
    let options = patient(&engine).identity(identity);
    Dealer::with(options).expect("an identity that may be")
}

/// Connects, and gives the time until the first answer.
#[track_caller]
fn first_answer(dealer: &Dealer, endpoint: &str) -> Lasted {
    let begin = Instant::now();
    dealer
        .connect_to(endpoint)
        .expect("an endpoint to connect to");
    dealer.send("it is me").expect("it waits in the queue");
    assert_eq!(
        dealer.recv_timeout(PATIENCE).expect("an answer")[0],
        "it is me"
    );
    Lasted::since(begin)
}

/// Reads what a claimant is told: `Ok` for READY, the reason of an ERROR, or how it was cut off.
fn verdict(claimant: &mut Raw) -> Result<(), String> {
    claimant.skip_greeting();
    let (flags, body) = claimant.frame().map_err(|error| error.to_string())?;
    assert!(flags & COMMAND != 0, "a command, not {flags}");
    if body.starts_with(b"\x05READY") {
        return Ok(());
    }
    let reason = body.strip_prefix(b"\x05ERROR").expect("READY or ERROR");
    Err(String::from_utf8_lossy(&reason[1..]).into_owned())
}

/// The claimant is refused: the holder, who lives, had half a second to say so.
#[track_caller]
fn refused(claimant: &mut Raw) {
    let told = verdict(claimant);
    hold(told == Err("identity-in-use".into()), || {
        format!("a claimant was told {told:?}")
    });
}

/// No living holder was replaced by a claimant.
#[track_caller]
fn kept(figures: &Figures) {
    hold(figures.closes("superseded") == 0, || {
        format!("a holder did not answer within half a second: {figures}")
    });
}

fn claim(address: &str, identity: &str) -> Raw {
    let mut claimant = Raw::connect(address);
    claimant.send(&opening("DEALER", identity.as_bytes()));
    claimant
}

pub(crate) fn a_second_claimant_is_told_so_and_the_first_goes_on() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let holder = dealer_named("alice");
    first_answer(&holder, &scene.router.endpoint);

    // A claimant of bytes reads the reason; one of this library is told not to come back.
    let mut raw = claim(&address, "alice");
    refused(&mut raw);
    raw.until_closed(ms(500));
    let claimant = dealer_named("alice");
    let events = claimant.monitor();
    claimant
        .connect_to(&scene.router.endpoint)
        .expect("an endpoint to connect to");
    claimant.send("from alice").expect("it waits in the queue");
    let given_up = |event: Event| matches!(event, Event::GivenUp { .. }).then_some(());
    eventually("the claimant gives up", ms(1000), || {
        kept(&scene.router.figures());
        events.try_iter().find_map(given_up)
    });
    let figures = scene.router.until_closed(2, "identity-in-use", ms(500));
    kept(&figures);

    // The name is the holder's, and so is what is sent to it.
    assert_eq!(scene.router.process.ask("send alice secret"), "sent");
    assert_eq!(
        holder.recv_timeout(PATIENCE).expect("a message")[0],
        "secret"
    );
    assert_eq!(claimant.try_recv().err(), Some(RecvError::Timeout));
    holder.send("still there?").expect("a peer is connected");
    assert_eq!(
        holder.recv_timeout(PATIENCE).expect("an answer")[0],
        "still there?"
    );
    let (good, figures) = scene.end();
    assert_eq!(
        figures.get("arrived"),
        good.rounds + 2,
        "the claimant was not heard"
    );
}

pub(crate) fn a_stopped_holder_is_replaced_within_600_ms_and_refused_when_it_comes_back() {
    let mut scene = Scene::set(&[]);
    let connect = format!("connect={}", scene.router.endpoint);
    let mut holder = Process::start(ROLE, &[&connect, "identity=alice"]);
    holder.tell("hold");
    scene
        .router
        .until(ms(500), |figures| figures.get("held") == 1);
    holder.stop();

    let newcomer = dealer_named("alice");
    let waited = first_answer(&newcomer, &scene.router.endpoint);
    waited.assert_between(ms(500), REPLACED, "replaced after");
    scene.router.until_closed(1, "superseded", ms(500));

    // What the old one asked is answered to nobody; what is sent to the name, to the new one.
    assert_eq!(scene.router.process.ask("release"), "sent=0 gone=1");
    assert_eq!(scene.router.process.ask("send alice secret"), "sent");
    assert_eq!(
        newcomer.recv_timeout(PATIENCE).expect("a message")[0],
        "secret"
    );

    holder.go_on();
    let mut events = Vec::new();
    while events.last().is_none_or(|event| event != "given-up") {
        events.push(holder.line("event"));
    }
    scene.router.until_closed(1, "identity-in-use", ms(500));
    assert_eq!(holder.line_within("got", Duration::ZERO), None);
    assert_eq!(newcomer.try_recv().err(), Some(RecvError::Timeout));
    scene.end();
}

pub(crate) fn a_holder_that_answers_no_ping_is_replaced_within_600_ms() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let mut holder = Raw::dealer(&address, b"alice");
    let newcomer = dealer_named("alice");
    let waited = first_answer(&newcomer, &scene.router.endpoint);
    waited.assert_between(ms(500), REPLACED, "replaced after");
    // It is not left in the dark: the connection ends.
    holder.until_closed(ms(500));
    scene.router.until_closed(1, "superseded", ms(100));
    scene.end();
}

pub(crate) fn a_reply_to_one_who_has_gone_does_not_reach_the_next_of_its_name() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    for round in 1..=20 {
        let mut first = Raw::dealer(&address, b"alice");
        first.send(&frame(0, b"hold"));
        scene
            .router
            .until(ms(500), |figures| figures.get("held") == 1);
        drop(first);
        let mut second = claim(&address, "alice");
        assert_eq!(verdict(&mut second), Ok(()));
        assert_eq!(scene.router.process.ask("release"), "sent=0 gone=1");
        second.send(&frame(0, b"mine"));
        assert_eq!(
            second.message().expect("an answer"),
            b"mine",
            "round {round}"
        );
        second.finish();
        second.until_closed(ms(500));
    }
    scene.end();
}

/// A holder that answers each PING `delay` after it came.
fn answering_after(address: &str, identity: &str, delay: Duration) -> Raw {
    let holder = Raw::dealer(address, identity.as_bytes());
    let mut answering = holder.clone();
    std::thread::spawn(move || {
        while let Ok((flags, body)) = answering.frame() {
            if flags & COMMAND != 0 && body.starts_with(b"\x04PING") {
                let context = body[7..].to_vec();
                let mut writing = answering.clone();
                std::thread::spawn(move || {
                    pass(delay);
                    writing.send(&frame(COMMAND, &command_body("PONG", &context)));
                });
            }
        }
    });
    holder
}

pub(crate) fn a_living_holder_has_its_time_to_answer_each_claimant() {
    // No other PING gets in between.
    let mut scene = Scene::set(&["heartbeat_interval=none"]);
    let address = scene.address();
    let holder = answering_after(&address, "alice", ms(200));
    let begin = Instant::now();
    let mut first = claim(&address, "alice");
    refused(&mut first);
    // The second comes shortly before the first one's half second is over.
    pass(ms(400).saturating_sub(begin.elapsed()));
    let mut second = claim(&address, "alice");
    refused(&mut second);
    let figures = scene.router.until_closed(2, "identity-in-use", ms(500));
    kept(&figures);
    drop(holder);
    scene.end();
}

pub(crate) fn a_holder_is_not_judged_while_the_router_does_not_read() {
    let mut scene = Scene::set(&["recv_messages_max=10"]);
    let address = scene.address();
    // Nobody receives: the good client would wait, too.
    let good = scene.good;
    good.finish().assert_answered_throughout(ms(100));
    let mut holder = answering_after(&address, "alice", Duration::ZERO);
    scene.router.process.ask("pause");
    for _ in 0..100 {
        holder.send(&frame(0, &[b'x'; 10_000]));
    }
    scene
        .router
        .until(ms(1000), |figures| figures.get("recv_queue_peer_max") >= 10);
    let mut claimant = claim(&address, "alice");
    assert_eq!(verdict(&mut claimant), Err("identity-in-use".into()));
    scene.router.process.ask("go");
    let figures = scene
        .router
        .until(ms(2000), |figures| figures.get("received") >= 100);
    assert_eq!(figures.closes("superseded"), 0, "{figures}");
    assert_eq!(scene.router.process.ask("send alice secret"), "sent");
    figures.assert_balanced("the router");
}

pub(crate) fn fifty_claimants_at_once_never_see_what_is_the_holders() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let holder = dealer_named("alice");
    first_answer(&holder, &scene.router.endpoint);
    let mut sent = HashSet::new();
    std::thread::scope(|scope| {
        let claimants: Vec<_> = (0..5)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let mut claimant = claim(&address, "alice");
                        claimant.send(&frame(0, b"mine"));
                        // Refused, or cut off behind a refusal that was lost; never let in.
                        if verdict(&mut claimant).is_ok() {
                            return;
                        }
                        while claimant.frame().is_ok() {}
                    }
                })
            })
            .collect();
        let mut number = 0;
        while !claimants.iter().all(|thread| thread.is_finished()) {
            kept(&scene.router.figures());
            let text = format!("secret-{number}");
            assert_eq!(
                scene.router.process.ask(&format!("send alice {text}")),
                "sent"
            );
            sent.insert(text);
            number += 1;
        }
    });
    kept(&scene.router.figures());
    // All that was sent to the name has come to the holder.
    while !sent.is_empty() {
        let message = holder.recv_timeout(PATIENCE).expect("all of them come");
        assert!(
            sent.remove(message[0].to_str().expect("text")),
            "{message:?}"
        );
    }
    let figures = scene.router.until_closed(50, "identity-in-use", ms(500));
    kept(&figures);
    let (good, figures) = scene.end();
    assert_eq!(
        figures.get("arrived"),
        good.rounds + 1,
        "no claimant was heard"
    );
}

pub(crate) fn a_claimant_that_gave_up_does_not_stand_in_the_way_of_the_next() {
    let mut scene = Scene::set(&[]);
    let address = scene.address();
    let _holder = Raw::dealer(&address, b"alice");
    // It asks to come in, and is gone before that is decided.
    drop(claim(&address, "alice"));
    let engine = Engine::new().expect("descriptors are free");
    let options = patient(&engine).identity("alice");
    let newcomer = Dealer::with(options.reconnect_interval_max(ms(100)));
    let newcomer = newcomer.expect("options within bounds");
    let events = newcomer.monitor();
    let waited = first_answer(&newcomer, &scene.router.endpoint);
    // Until the contest is decided and it tries again, after 50 to 150 ms.
    waited.assert_within(ms(500 + 150 + 100), "let in after");
    let refused = |event: Event| matches!(event, Event::GivenUp { .. });
    assert!(
        !events.try_iter().any(refused),
        "nothing was decided against it"
    );
    scene.router.until_closed(1, "superseded", ms(100));
    scene.end();
}
