//! Handlers that panic.

use std::time::Instant;

use brokerless::{Code, Ran};

use crate::suite::support::load::{Load, client, patient};
use crate::suite::support::process::{ANY, ServerProcess};
use crate::suite::support::system::tasks;
use crate::suite::support::work::{Notes, WorkClient};

pub(super) fn a_handler_that_panics_has_run_and_takes_no_worker_with_it() {
    const PANICS: u64 = 300;
    const CALLER: u64 = 900;
    let notes = Notes::new();
    let mut server = ServerProcess::start(ANY, &notes, &[]);
    let client = client(&[&server.endpoint], patient(), |b| b);
    let load = Load::begin(&client, 0, 4, 1);
    load.until_answered(1000);
    let before = (load.begun, Instant::now());
    let threads = tasks(server.process.pid()).len();
    let endpoint = server.endpoint.clone();
    let work = WorkClient::connect(&endpoint).expect("an endpoint");
    for nonce in 0..PANICS {
        let error = work.fall(CALLER, nonce).expect_err("it panics");
        assert_eq!((error.code(), error.ran()), (Code::Internal, Ran::Yes));
    }
    let during = (before.1, Instant::now());
    load.until_answered(1000);
    let ledger = load.finish();
    ledger.hold_busy(before.0, before.1);
    ledger.hold_healed(before, during);
    ledger.assert_true(&[&notes]);
    ledger.assert_counted(&client);
    ledger.assert_all_answered();
    let ran = notes.ran();
    assert!((0..PANICS).all(|nonce| ran.get(&(CALLER, nonce)) == Some(&1)));
    let counts = server.balanced();
    assert_eq!((counts["panicked"], counts["failed"]), (PANICS, PANICS));
    assert_eq!((counts["closes"], counts["running"]), (0, 0));
    assert_eq!(
        tasks(server.process.pid()).len(),
        threads,
        "threads have gone"
    );
    drop((work, client));
    let (report, complaints) = server.terminate();
    assert_eq!(report["clean"], 1);
    let heard = complaints.matches("as handlers do").count() as u64;
    assert_eq!(heard, PANICS, "each says so, and nobody else: {complaints}");
}
