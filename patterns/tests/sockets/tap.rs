//! What a tap is told, and what it may do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use brokerless_patterns::tap::{Drive, Gate, Tap};
use brokerless_patterns::{CloseReason, Dealer, Engine, Message, Options, Peer, Received, Router};

use crate::raw::Raw;
use crate::support::{LIMIT, bound, own_tcp, transports};

#[derive(Debug, PartialEq)]
enum Told {
    Came(u64),
    Gone(u64),
    Message(u64, Message),
    Asked(u64, Duration),
    Heard(u64),
}

/// Notes what it is told, and answers each message when it settles.
#[derive(Default)]
struct Notes {
    told: Mutex<VecDeque<Told>>,
    gate: Gate,
    answers: Mutex<Vec<(Peer, Message)>>,
    socket: OnceLock<Router>,
}

impl Notes {
    fn note(&self, told: Told) {
        self.told.lock().unwrap().push_back(told);
        self.gate.wake(1);
    }

    fn next(&self, engine: &Engine) -> Told {
        let deadline = Some(Instant::now() + LIMIT);
        self.gate
            .wait(engine, Drive::Engine, deadline, || {
                self.told.lock().unwrap().pop_front()
            })
            .expect("something is told in time")
    }
}

impl Tap for Notes {
    fn take(&self, peer: &Peer, message: Message) {
        self.note(Told::Message(peer.id(), message.clone()));
        self.answers.lock().unwrap().push((peer.clone(), message));
    }

    fn came(&self, peer: &Peer) {
        self.note(Told::Came(peer.id()));
    }

    fn gone(&self, peer: &Peer, _reason: &CloseReason) {
        self.note(Told::Gone(peer.id()));
    }

    fn asked(&self, peer: &Peer, within: Duration) {
        self.note(Told::Asked(peer.id(), within));
    }

    fn heard(&self, peer: &Peer) {
        self.note(Told::Heard(peer.id()));
    }

    fn settle(&self) {
        let answers = std::mem::take(&mut *self.answers.lock().unwrap());
        if let Some(socket) = self.socket.get() {
            for (peer, message) in answers {
                socket.send(&peer, message).expect("there is room");
            }
        }
    }
}

fn scene(endpoint: &str, answers: bool) -> (Arc<Notes>, Engine, String, Option<Router>) {
    let engine = Engine::new().unwrap();
    let notes = Arc::new(Notes::default());
    let router = Router::with_tap(Options::new().engine(&engine), notes.clone()).unwrap();
    let endpoint = router.bind_to(endpoint).unwrap().to_string();
    let router = if answers {
        assert!(notes.socket.set(router).is_ok());
        None
    } else {
        Some(router)
    };
    (notes, engine, endpoint, router)
}

#[test]
fn a_tap_is_told_of_peers_and_given_their_messages_in_order() {
    for endpoint in transports() {
        let (notes, engine, endpoint, _router) = scene(&endpoint, false);
        let dealer = Dealer::connect(&endpoint).unwrap();
        dealer.send("one").unwrap();
        dealer.send(["two", "frames"]).unwrap();
        let Told::Came(peer) = notes.next(&engine) else {
            panic!("a peer is told of first");
        };
        assert_eq!(notes.next(&engine), Told::Message(peer, "one".into()));
        let two = Message::from(["two", "frames"]);
        assert_eq!(notes.next(&engine), Told::Message(peer, two));
        drop(dealer);
        assert_eq!(notes.next(&engine), Told::Gone(peer));
    }
}

#[test]
fn a_tap_is_told_of_a_peer_that_is_asked_and_of_its_answer() {
    let engine = Engine::new().unwrap();
    let notes = Arc::new(Notes::default());
    let interval = Duration::from_millis(60);
    let options = Options::new()
        .engine(&engine)
        .heartbeat_interval(Some(interval))
        .heartbeat_timeout(LIMIT);
    let router = Router::with_tap(options, notes.clone()).unwrap();
    let endpoint = router.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let mut raw = Raw::connect(&endpoint, "DEALER", 1);
    let Told::Came(peer) = notes.next(&engine) else {
        panic!("a peer is told of first");
    };
    for _ in 0..3 {
        // It says nothing, through several intervals: told once.
        assert_eq!(notes.next(&engine), Told::Asked(peer, interval / 2));
        let until = Some(Instant::now() + interval * 4);
        let more = notes.gate.wait(&engine, Drive::Engine, until, || {
            notes.told.lock().unwrap().pop_front()
        });
        assert_eq!(more, None);
        // A command without an answer, or a message: any sign of life is one.
        raw.write(b"\x04\x05\x04PONG");
        assert_eq!(notes.next(&engine), Told::Heard(peer));
    }
    assert_eq!(notes.next(&engine), Told::Asked(peer, interval / 2));
    raw.send(&[b"here"]);
    assert_eq!(notes.next(&engine), Told::Heard(peer));
    assert_eq!(notes.next(&engine), Told::Message(peer, "here".into()));
}

#[test]
fn what_a_tap_does_when_it_settles_may_send() {
    for endpoint in transports() {
        let (_notes, _engine, endpoint, _) = scene(&endpoint, true);
        let dealer = Dealer::connect(&endpoint).unwrap();
        for round in 0..100u32 {
            dealer.send(&round.to_le_bytes()[..]).unwrap();
            let answer = dealer.recv_timeout(LIMIT).unwrap();
            assert_eq!(answer[0], round.to_le_bytes()[..]);
        }
    }
}

#[test]
fn without_keep_unsent_each_connection_is_a_peer_and_nothing_waits_for_the_next() {
    let engine = Engine::new().unwrap();
    let notes = Arc::new(Notes::default());
    let options = Options::new()
        .engine(&engine)
        .keep_unsent(false)
        .reconnect_interval(Duration::from_millis(1));
    let dealer = Dealer::with_tap(options, notes.clone()).unwrap();
    let router = Router::bind(&own_tcp()).unwrap();
    let endpoint = router.local_endpoints()[0].to_string();
    dealer.connect_to(&endpoint).unwrap();
    let Told::Came(first) = notes.next(&engine) else {
        panic!("connected");
    };
    drop(router);
    assert_eq!(notes.next(&engine), Told::Gone(first));
    assert!(dealer.try_send("nobody is there").is_err());
    let router = Router::bind(&endpoint).unwrap();
    let Told::Came(second) = notes.next(&engine) else {
        panic!("connected again");
    };
    assert_ne!(first, second);
    dealer.send("to the second").unwrap();
    assert_eq!(router.recv_timeout(LIMIT).unwrap().1[0], "to the second");
}

#[test]
fn who_is_told_that_a_peer_has_gone_can_send_nothing_to_it() {
    /// Says that the peer has gone, and stays in the call until somebody has tried to send.
    struct Lingers(Sender<()>, Receiver<()>);
    impl Tap for Lingers {
        fn take(&self, _: &Peer, _: Message) {}
        fn gone(&self, _: &Peer, _: &CloseReason) {
            self.0.send(()).unwrap();
            let _ = self.1.recv_timeout(LIMIT);
        }
    }
    let (tell, told) = bounded(1);
    let (done, tried) = bounded(1);
    let options = Options::new()
        .engine(&Engine::new().unwrap())
        .keep_unsent(false)
        .reconnect_interval(LIMIT)
        .reconnect_interval_max(LIMIT);
    let dealer = Dealer::with_tap(options, Arc::new(Lingers(tell, tried))).unwrap();
    let router = Router::bind("tcp://127.0.0.1:*").unwrap();
    dealer.connect_to(&bound(&router)).unwrap();
    dealer.send_timeout("there?", LIMIT).unwrap();
    router.recv_timeout(LIMIT).unwrap();
    drop(router);
    told.recv_timeout(LIMIT).unwrap();
    let sent = dealer.try_send("nobody is there");
    done.send(()).unwrap();
    assert!(sent.is_err());
}

#[test]
fn a_tap_that_wants_no_messages_leaves_them_to_be_received() {
    struct Counts(Mutex<(u32, u32)>, Gate);
    impl Tap for Counts {
        fn takes_messages(&self) -> bool {
            false
        }
        fn take(&self, _: &Peer, _: Message) {
            panic!("it was not to be given any");
        }
        fn came(&self, _: &Peer) {
            self.0.lock().unwrap().0 += 1;
        }
        fn gone(&self, _: &Peer, _: &CloseReason) {
            self.0.lock().unwrap().1 += 1;
            self.1.wake(1);
        }
    }
    let engine = Engine::new().unwrap();
    let counts = Arc::new(Counts(Mutex::default(), Gate::new()));
    let router = Router::with_tap(Options::new().engine(&engine), counts.clone()).unwrap();
    let endpoint = router.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let dealer = Dealer::connect(&endpoint).unwrap();
    dealer.send("hello").unwrap();
    assert_eq!(router.recv_timeout(LIMIT).unwrap().1[0], "hello");
    assert_eq!(*counts.0.lock().unwrap(), (1, 0));
    drop(dealer);
    let deadline = Some(Instant::now() + LIMIT);
    let gone = counts.1.wait(&engine, Drive::Engine, deadline, || {
        (*counts.0.lock().unwrap() == (1, 1)).then_some(())
    });
    assert!(gone.is_some());
}

#[test]
fn a_gate_gives_up_at_its_deadline() {
    let engine = Engine::new().unwrap();
    let begin = Instant::now();
    let deadline = Some(begin + Duration::from_millis(20));
    for drive in [Drive::Nothing, Drive::Engine, Drive::Connections] {
        assert_eq!(
            Gate::new().wait(&engine, drive, deadline, || None::<()>),
            None
        );
    }
    assert!(begin.elapsed() >= Duration::from_millis(20));
}

#[test]
fn keep_unsent_is_for_dealers() {
    let refused = Router::with(Options::new().keep_unsent(false)).unwrap_err();
    assert!(refused.to_string().contains("keep_unsent"), "{refused}");
}

#[test]
fn a_lead_that_nobody_has_is_handed_on() {
    // Two threads receive; the first is quick with its messages, and leaves the lead free. While
    // it is busy with one, the other leads if it is told to.
    let engine = Engine::new().unwrap();
    let router = Router::with(Options::new().engine(&engine)).unwrap();
    let endpoint = router.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let dealer = Dealer::connect(&endpoint).unwrap();
    let (first, begun) = (crossbeam_channel::bounded(1), crossbeam_channel::bounded(1));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Ok((peer, message)) = router.recv_timeout(LIMIT) {
                    if message[0] == "busy" {
                        engine.hand_on();
                        begun.0.send(()).unwrap();
                        first.1.recv_timeout(LIMIT).unwrap();
                    }
                    let last = message[0] == "end";
                    router.send(&peer, message).unwrap();
                    if last {
                        break;
                    }
                }
            });
        }
        dealer.send("busy").unwrap();
        begun.1.recv_timeout(LIMIT).unwrap();
        dealer.send("quick").unwrap();
        assert_eq!(dealer.recv_timeout(LIMIT).unwrap()[0], "quick");
        first.0.send(()).unwrap();
        assert_eq!(dealer.recv_timeout(LIMIT).unwrap()[0], "busy");
        dealer.send("end").unwrap();
        dealer.send("end").unwrap();
        for _ in 0..2 {
            assert_eq!(dealer.recv_timeout(LIMIT).unwrap()[0], "end");
        }
    });
}

#[test]
fn a_tap_is_told_of_attempts_that_fail() {
    struct Failures(Mutex<Vec<String>>, Gate);
    impl Tap for Failures {
        fn take(&self, _: &Peer, _: Message) {}
        fn failed(&self, why: &dyn std::fmt::Display) {
            self.0.lock().unwrap().push(why.to_string());
            self.1.wake(1);
        }
    }
    let engine = Engine::new().unwrap();
    let failures = Arc::new(Failures(Mutex::default(), Gate::new()));
    let gone = Router::bind(&own_tcp()).unwrap();
    let endpoint = gone.local_endpoints()[0].to_string();
    drop(gone);
    let dealer = Dealer::with_tap(Options::new().engine(&engine), failures.clone()).unwrap();
    dealer.connect_to(&endpoint).unwrap();
    let deadline = Some(Instant::now() + LIMIT);
    let why = failures.1.wait(&engine, Drive::Engine, deadline, || {
        failures.0.lock().unwrap().first().cloned()
    });
    assert_eq!(why.as_deref(), Some("connection refused"));
}

#[test]
fn a_tap_picks_what_it_wants_and_the_rest_is_received_in_order() {
    /// Picks what begins with `p`, and gives back every second of it.
    #[derive(Default)]
    struct Picks(Mutex<Vec<Message>>, Gate);
    impl Tap for Picks {
        fn takes_messages(&self) -> bool {
            false
        }
        fn take(&self, _: &Peer, _: Message) {
            panic!("it takes none");
        }
        fn wants(&self, message: &Message) -> bool {
            message[0].starts_with(b"p")
        }
        fn pick(&self, _: &Peer, message: Message) -> Option<Message> {
            let mut picked = self.0.lock().unwrap();
            if message[0].ends_with(b"back") {
                return Some(message);
            }
            picked.push(message);
            self.1.wake(1);
            None
        }
    }
    for endpoint in transports() {
        let engine = Engine::new().unwrap();
        let picks = Arc::new(Picks::default());
        let router = Router::with_tap(Options::new().engine(&engine), picks.clone()).unwrap();
        let endpoint = router.bind_to(&endpoint).unwrap().to_string();
        let dealer = Dealer::connect(&endpoint).unwrap();
        for message in ["one", "p1", "p back", "two", "p2"] {
            dealer.send(message).unwrap();
        }
        for message in ["one", "p back", "two"] {
            assert_eq!(router.recv_timeout(LIMIT).unwrap().1[0], message);
        }
        let deadline = Some(Instant::now() + LIMIT);
        let picked = picks.1.wait(&engine, router.drive(), deadline, || {
            let picked = picks.0.lock().unwrap();
            (picked.len() == 2).then(|| picked.clone())
        });
        assert_eq!(picked, Some(vec!["p1".into(), "p2".into()]));
        let stats = router.stats();
        assert_eq!((stats.received_messages, stats.recv_queue_messages), (5, 0));
    }
}

#[test]
fn a_thread_that_receives_takes_other_work_when_it_is_nudged() {
    for endpoint in transports() {
        let engine = Engine::new().unwrap();
        let router = Router::with(Options::new().engine(&engine)).unwrap();
        let endpoint = router.bind_to(&endpoint).unwrap().to_string();
        let dealer = Dealer::connect(&endpoint).unwrap();
        let (work, at_hand) = crossbeam_channel::unbounded();
        std::thread::scope(|scope| {
            let nudger = scope.spawn(|| {
                for number in 0..100u32 {
                    work.send(number).unwrap();
                    router.nudge();
                    if number % 10 == 0 {
                        dealer.send("message").unwrap();
                    }
                }
            });
            let (mut messages, mut numbers) = (0, Vec::new());
            while messages < 10 || numbers.len() < 100 {
                match router.recv_or(|| at_hand.try_recv().ok()).unwrap() {
                    Received::Message(..) => messages += 1,
                    Received::Other(number) => numbers.push(number),
                }
            }
            assert_eq!(numbers, (0..100).collect::<Vec<_>>());
            nudger.join().unwrap();
        });
        let _ = router.close();
        assert!(router.recv_or(|| None::<()>).is_err());
    }
}
