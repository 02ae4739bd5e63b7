//! Callers that are stopped in the middle of a stream, or read nothing of it.

use std::time::Instant;

use rustix::process::Signal;

use crate::suite::support::ledger::Round;
use crate::suite::support::load::{BACK, Load, client, patient};
use crate::suite::support::process::{ANY, Counts, Process, ServerProcess};
use crate::suite::support::slow::{PART, SlowReader};
use crate::suite::support::taker::{self, Taken};
use crate::suite::support::work::Notes;
use crate::suite::support::{bar, canary, eventually, ms, pass};

/// Items that the taker lets be on their way.
const WINDOW: u64 = 256;

pub(super) fn a_caller_stopped_in_a_stream_costs_its_producer_at_most_its_credit() {
    let notes = Notes::new();
    // Neither end takes the other for dead meanwhile.
    let options = ["workers=4", "heartbeat_timeout=20"];
    let mut server = ServerProcess::start(ANY, &notes, &options);
    let client = client(&[&server.endpoint], patient(), |b| b);
    let load = Load::begin(&client, 0, 4, 1);
    let taken = Taken::new();
    let arguments = [
        server.endpoint.as_str(),
        &WINDOW.to_string(),
        taken.path().to_str().expect("a path in UTF-8"),
    ];
    let mut stopped = Process::start(taker::ROLE, &arguments);
    load.until_answered(1000);
    let before = (load.begun, Instant::now());
    eventually("items are taken", ms(10_000), || {
        (taken.count() > 10 * WINDOW).then_some(())
    });
    let held = server.memory();
    stopped.stop();
    let at_rest = Instant::now();
    // What was granted before is still made.
    let mut made = server.stats()["items_out"];
    eventually("nothing more is made", ms(3000), || {
        pass(ms(300));
        let now = server.stats()["items_out"];
        (std::mem::replace(&mut made, now) == now).then_some(())
    });
    let untaken = made - taken.count();
    assert!(
        untaken <= WINDOW,
        "{untaken} items are made and not taken, not {WINDOW}"
    );
    pass(ms(3000).saturating_sub(at_rest.elapsed()));
    let counts = server.stats();
    assert_eq!(counts["items_out"], made, "it went on");
    assert_eq!(counts["streams_open"], 1);
    let resumed = Instant::now();
    let count = taken.count();
    stopped.signal(Signal::CONT);
    eventually("it goes on", ms(5000), || {
        (taken.count() > count + 10 * WINDOW).then_some(())
    });
    let back = Instant::now();
    bar(canary::net(resumed, back) < BACK, || {
        format!("back after {:?}", back - resumed)
    });
    pass(ms(1100));
    let ledger = load.finish();
    ledger.hold_busy(before.0, before.1);
    // The others did not notice.
    ledger.hold_healed(before, (at_rest, at_rest + ms(2900)));
    ledger.assert_all_answered();
    ledger.assert_true(&[&notes]);
    ledger.assert_counted(&client);
    let grown = server.memory().resident_most_kib - held.resident_most_kib;
    assert!(grown <= 16 * 1024, "{grown} KiB more resident");
    // It drops its stream, and the producer ends.
    stopped.end();
    let seen: u64 = stopped.line("took").parse().expect("a number");
    assert!(seen >= count, "{seen} after {count}");
    server.until("the stream has ended", ms(3000), |counts| {
        counts["streams_open"] == 0
    });
    server.balanced();
    assert_eq!(stopped.complaints(), "");
    assert_eq!(server.process.complaints(), "");
}

pub(super) fn streams_that_nobody_reads_cost_the_others_at_most_a_tenth() {
    const QUEUED_MAX: u64 = 8 << 20;
    const STREAMS: u64 = 16;
    const ROUNDS: usize = 4;
    // Without optimisation the threads of one test are in each other's way.
    const LEAST: f64 = if cfg!(debug_assertions) { 0.8 } else { 0.9 };
    let notes = Notes::new();
    let queued = format!("send_bytes_max={QUEUED_MAX}");
    let mut server = ServerProcess::start(ANY, &notes, &["workers=4", &queued]);
    let client = client(&[&server.endpoint], patient(), |b| b);
    let load = Load::begin(&client, 0, 4, 1);
    load.until_answered(1000);
    let held = server.memory();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let alone = Instant::now();
        pass(ms(400));
        let mut reader = SlowReader::greeted(server.address());
        reader.open(STREAMS);
        let open = |counts: &Counts| counts["streams_open"] == STREAMS;
        server.until("they are open", ms(5000), open);
        let mut made = 0;
        // For so long that it is not only the server that has no core.
        eventually("they find no room", ms(8000), || {
            pass(ms(200));
            let now = server.stats()["items_out"];
            (std::mem::replace(&mut made, now) == now).then_some(())
        });
        let beside = Instant::now();
        pass(ms(400));
        rounds.push(Round {
            alone: (alone, alone + ms(400)),
            beside: (beside, Instant::now()),
        });
        let counts = server.stats();
        assert!(open(&counts) && counts["items_out"] == made, "{counts:?}");
        drop(reader);
        server.until("it has gone", ms(3000), |counts| {
            counts["callers"] == 1 && counts["streams_open"] == 0
        });
    }
    let ledger = load.finish();
    server.balanced();
    let first = &rounds[0];
    ledger.hold_busy(first.alone.0, first.alone.1);
    ledger.assert_true(&[&notes]);
    ledger.assert_counted(&client);
    ledger.assert_all_answered();
    ledger.hold_not_crowded(&rounds, LEAST);
    // One queue, and of each stream one item that waits, and what an allocator keeps of each round.
    let limit = (QUEUED_MAX + 2 * STREAMS * PART) / 1024 * 2 + 16 * 1024;
    let grown = server.memory().resident_most_kib - held.resident_most_kib;
    assert!(grown <= limit, "{grown} KiB more resident, not {limit}");
    assert_eq!(server.process.complaints(), "");
}
