//! Instructions a message and a pick, counted by callgrind: held to what is recorded, plus 3 %.
//!
//! One thread, no kernel in the way, a fixed batch: so the count is the same each time for the
//! same compiler.
//!
//! `RECORD=1` writes the figures found to `sockets.txt`.

use std::hint::black_box;
use std::time::Duration;

use brokerless_patterns::balance::{Balancer, Facts, Load, Place, Policy};
use brokerless_patterns::zmtp::Violation;
use brokerless_patterns::zmtp::buffer::ReadBuffer;
use brokerless_patterns::zmtp::decoder::{Decoder, Limits, Plan, Sink};
use brokerless_patterns::zmtp::encoder::Encoder;
use brokerless_patterns::{Dealer, Frame, Message, Router};

use super::{Measured, asked, hold};

/// Messages of one batch: a chunk's worth.
const BATCH: usize = 64;

/// A function that picks, under a name of its own.
macro_rules! picks {
    ($($name:ident)+) => {
        $(
            #[inline(never)]
            fn $name(balancer: &mut Balancer, from: u64) {
                // Its name makes it another function than the others.
                black_box(stringify!($name));
                for at in from..from + BATCH as u64 {
                    let key = Some(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    black_box(balancer.pick(1_000_000_000, key, &|_| true));
                }
            }
        )+
    };
}

picks! {
    measured_pick_in_turn measured_pick_smooth measured_pick_scheduled measured_pick_least
    measured_pick_peak measured_pick_dynamic measured_pick_hot_cold measured_pick_adaptive
    measured_pick_reported measured_pick_hash measured_pick_composed
}

type Picks = fn(&mut Balancer, u64);

/// Who picks: the name, what it stands for, the function, and from what.
fn pickers() -> [(&'static str, &'static str, Picks, (Policy, usize)); 11] {
    let near = Policy::peak_ewma().by_priority();
    let near = near.by_place(Place::new("eu", "eu-1"));
    let dynamic = Policy::dynamic().blackout(Duration::ZERO);
    [
        (
            "measured_pick_in_turn",
            "a pick of ten by round-robin",
            measured_pick_in_turn,
            (Policy::round_robin(), 10),
        ),
        (
            "measured_pick_smooth",
            "a pick of ten by weight",
            measured_pick_smooth,
            (Policy::weighted(), 10),
        ),
        (
            "measured_pick_scheduled",
            "a pick of a thousand by weight",
            measured_pick_scheduled,
            (Policy::weighted(), 1000),
        ),
        (
            "measured_pick_least",
            "a pick of a thousand, least in flight",
            measured_pick_least,
            (Policy::least_in_flight(), 1000),
        ),
        (
            "measured_pick_peak",
            "a pick of a thousand by peak EWMA",
            measured_pick_peak,
            (Policy::peak_ewma(), 1000),
        ),
        (
            "measured_pick_dynamic",
            "a pick of a thousand by their reports",
            measured_pick_dynamic,
            (dynamic, 1000),
        ),
        (
            "measured_pick_hot_cold",
            "a pick of a thousand, hot and cold",
            measured_pick_hot_cold,
            (Policy::hot_cold(), 1000),
        ),
        (
            "measured_pick_adaptive",
            "a pick of ten, adaptive, of little that is reported",
            measured_pick_adaptive,
            (Policy::adaptive(), 10),
        ),
        (
            REPORTED,
            "a pick of ten, adaptive, of all that is reported",
            measured_pick_reported,
            (Policy::adaptive(), 10),
        ),
        (
            "measured_pick_hash",
            "a pick of a thousand by a key",
            measured_pick_hash,
            (Policy::consistent_hash(), 1000),
        ),
        (
            "measured_pick_composed",
            "a pick of a thousand, peak EWMA by priority by place",
            measured_pick_composed,
            (near, 1000),
        ),
    ]
}

/// The one whose nodes report all that there is.
const REPORTED: &str = "measured_pick_reported";

/// A pool of which every node has answered and reported.
fn at_work(policy: &Policy, nodes: usize, reports_all: bool) -> Balancer {
    let mut balancer = Balancer::new(policy, 1).unwrap();
    for node in 0..nodes {
        // Those of least in flight and of peak EWMA are equal: a few are drawn.
        let differ = !policy.name().starts_with("least") && !policy.name().starts_with("peak");
        let weight = if differ { 1 + node as u32 % 5 } else { 1 };
        let zone = if node % 2 == 0 { "eu-1" } else { "eu-2" };
        let facts = Facts::weight(weight).priority((node % 4 / 2) as u8);
        balancer.add(0, node, facts.place(Place::new("eu", zone)));
        balancer.set_up(0, node, true);
    }
    for at in 0..2 * nodes as u64 {
        let (now, node) = (at * 1_000_000_000 / (2 * nodes as u64), at as usize % nodes);
        let load = Load {
            per_s: 1000 + node as u32 % 7,
            utilisation_permille: 400,
            ..Load::default()
        };
        let load = match reports_all {
            false => load,
            true => Load {
                in_flight: 3,
                latency_us: 900 + node as u32 % 7 * 100,
                errors_per_s: 1,
                run_us: 600 + node as u32 % 7 * 90,
                workers: 2 + (node % 3) as u16 * 2,
                ..load
            },
        };
        balancer.sent(now, node);
        balancer.replied(now, node, Duration::from_millis(1), Some(&load));
    }
    // Weights that are reported are taken over with a call.
    balancer.sent(1_000_000_000, 0);
    // What has to be made once is made.
    balancer.pick(1_000_000_000, Some(1), &|_| true);
    balancer
}

struct Taken(Vec<Message>);

impl Sink for Taken {
    fn message(&mut self, message: Message) {
        self.0.push(message);
    }
    fn command(&mut self, _: &[u8]) -> Result<(), Violation> {
        Ok(())
    }
}

#[inline(never)]
fn measured_wire(
    encoder: &mut Encoder,
    decoder: &mut Decoder,
    buffer: &mut ReadBuffer,
    frame: &Frame,
    taken: &mut Taken,
) {
    for _ in 0..BATCH {
        encoder.push(Message::from(frame.clone()));
    }
    while !encoder.is_empty() {
        let Plan::Shared { offset, max } = decoder.plan(buffer) else {
            unreachable!("all small")
        };
        let n = {
            let slices = encoder.slices();
            let n = slices[0].len().min(max);
            buffer.space()[offset..offset + n].copy_from_slice(&slices[0][..n]);
            n
        };
        encoder.advance(n);
        decoder.feed(buffer, offset + n, taken).unwrap();
    }
    taken.0.clear();
}

#[inline(never)]
fn measured_socket(dealer: &Dealer, router: &Router, frame: &Frame) {
    for _ in 0..BATCH {
        dealer.send(frame.clone()).unwrap();
    }
    for _ in 0..BATCH {
        let (peer, message) = router.recv().unwrap();
        router.send(&peer, message).unwrap();
    }
    for _ in 0..BATCH {
        dealer.recv().unwrap();
    }
}

/// What runs under valgrind: so many batches of this figure.
fn run(figure: &str, batches: usize) {
    let frame = Frame::from(vec![7; 64]);
    for (_, _, picks, (policy, nodes)) in pickers().into_iter().filter(|it| it.0 == figure) {
        let mut balancer = at_work(&policy, nodes, figure == REPORTED);
        for batch in 0..batches {
            picks(&mut balancer, (batch * BATCH) as u64);
        }
    }
    if figure == WIRE.0 {
        let limits = Limits {
            frame_bytes_max: 1 << 20,
            frames_max: 8,
            message_bytes_max: 1 << 20,
            command_bytes_max: 1024,
        };
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(limits));
        let (mut buffer, mut taken) = (ReadBuffer::new(), Taken(Vec::new()));
        for _ in 0..batches {
            measured_wire(&mut encoder, &mut decoder, &mut buffer, &frame, &mut taken);
        }
    }
    if figure == SOCKET.0 {
        let router = Router::bind("inproc://instructions").unwrap();
        let dealer = Dealer::connect("inproc://instructions").unwrap();
        for _ in 0..batches {
            measured_socket(&dealer, &router, &frame);
        }
    }
}

/// The figures beside those of picks: the function, and what it stands for.
const WIRE: (&str, &str) = (
    "measured_wire",
    "a message encoded, carried through memory, decoded",
);
const SOCKET: (&str, &str) = (
    "measured_socket",
    "a message sent and received through sockets within the process",
);

#[test]
fn instructions_are_as_recorded() {
    let _alone = crate::alone();
    if let Some((figure, batches)) = asked() {
        run(&figure, batches);
        return;
    }
    let picks = pickers().map(|(name, what, ..)| (name, what));
    let measured = [WIRE, SOCKET].into_iter().chain(picks);
    let measured = measured.map(|(name, what)| Measured {
        name,
        function: format!("*{name}*"),
        what,
    });
    let test = "instructions::sockets::instructions_are_as_recorded";
    hold(test, "sockets.txt", BATCH, measured);
}
