//! Callers that are killed in a call, or stop reading.

use std::time::Instant;

use crate::suite::support::ledger::Round;
use crate::suite::support::load::{Load, client, patient};
use crate::suite::support::process::{ANY, Counts, Process, ServerProcess};
use crate::suite::support::slow::{PART, SlowReader};
use crate::suite::support::work::Notes;
use crate::suite::support::{caller, eventually, ms, pass};

pub(super) fn a_caller_killed_in_a_call_gives_back_what_it_held() {
    const HELD: u64 = 4;
    const DOOMED: u64 = 900;
    let notes = Notes::new();
    let mut server = ServerProcess::start(ANY, &notes, &["workers=6"]);
    let client = client(&[&server.endpoint], patient(), |b| b);
    let load = Load::begin(&client, 0, 4, 1);
    let arguments = [
        server.endpoint.as_str(),
        &DOOMED.to_string(),
        &HELD.to_string(),
    ];
    let mut doomed = Process::start(caller::ROLE, &arguments);
    server.until("its handlers run", ms(5000), |counts| {
        counts["running"] >= HELD
    });
    load.until_answered(1000);
    let before = (load.begun, Instant::now());
    doomed.kill();
    let killed = Instant::now();
    eventually("its handlers see it", ms(1000), || {
        (notes.cancelled().len() as u64 == HELD).then_some(())
    });
    server.until("nothing is left of it", ms(1000), |counts| {
        counts["callers"] == 1 && counts.get("dropped.caller-gone") == Some(&HELD)
    });
    pass(ms(1900).saturating_sub(killed.elapsed()));
    let ledger = load.finish();
    ledger.hold_busy(before.0, before.1);
    ledger.hold_healed(before, (killed, killed + ms(1000)));
    ledger.assert_true(&[&notes]);
    ledger.assert_counted(&client);
    ledger.assert_all_answered();
    let held = notes.cancelled();
    assert!(held.keys().all(|(caller, _)| *caller == DOOMED), "{held:?}");
    let counts = server.balanced();
    assert_eq!(counts["running"], 0);
    drop(client);
    let (report, complaints) = server.terminate();
    assert_eq!((report["clean"], complaints.as_str()), (1, ""));
}

pub(super) fn a_caller_that_does_not_read_costs_the_others_at_most_a_tenth() {
    const QUEUED_MAX: u64 = 8 << 20;
    const ROUNDS: usize = 4;
    // Without optimisation the threads of one test are in each other's way.
    const LEAST: f64 = if cfg!(debug_assertions) { 0.4 } else { 0.9 };
    let notes = Notes::new();
    let queued = format!("send_bytes_max={QUEUED_MAX}");
    let mut server = ServerProcess::start(ANY, &notes, &["window=16", "window_max=32", &queued]);
    let client = client(&[&server.endpoint], patient(), |b| b);
    let load = Load::begin(&client, 0, 4, 1);
    load.until_answered(1000);
    let held = server.memory();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let alone = Instant::now();
        pass(ms(400));
        let mut reader = SlowReader::greeted(server.address());
        let full = |counts: &Counts| counts.get("dropped.answer-no-room").copied().unwrap_or(0);
        let before = full(&server.stats());
        eventually("its answers find no room", ms(8000), || {
            reader.call(16);
            (full(&server.stats()) > before).then_some(())
        });
        let beside = Instant::now();
        while beside.elapsed() < ms(400) {
            reader.call(1);
            pass(ms(5));
        }
        rounds.push(Round {
            alone: (alone, alone + ms(400)),
            beside: (beside, Instant::now()),
        });
        drop(reader);
        server.until("it has gone", ms(3000), |counts| counts["callers"] == 1);
    }
    let ledger = load.finish();
    server.balanced();
    let first = &rounds[0];
    ledger.hold_busy(first.alone.0, first.alone.1);
    ledger.assert_true(&[&notes]);
    ledger.assert_counted(&client);
    ledger.assert_all_answered();
    ledger.hold_not_crowded(&rounds, LEAST);
    // One queue and two windows of its answers, and what an allocator keeps of each round.
    let limit = (QUEUED_MAX + 2 * 32 * PART) / 1024 * 2 + 16 * 1024;
    let grown = server.memory().resident_most_kib - held.resident_most_kib;
    assert!(grown <= limit, "{grown} KiB more resident, not {limit}");
    assert_eq!(server.process.complaints(), "");
}
