//! A device between callers and repliers that is killed.

use std::time::Instant;

use brokerless::Ran;
use rustix::process::Signal;

use crate::suite::support::devices::Device;
use crate::suite::support::load::{Load, client, patient};
use crate::suite::support::process::{ANY, ServerProcess};
use crate::suite::support::work::Notes;
use crate::suite::support::{bar, ms, pass};

pub(super) fn calls_through_a_device_that_is_killed_end_truthfully_and_go_on_once_it_is_back() {
    const WINDOW: u32 = 64;
    let notes = Notes::new();
    let mut server = ServerProcess::start(ANY, &notes, &[]);
    let backend = format!(">{}", server.endpoint);
    let start = |frontend: &str| {
        let flags = [
            "--frontend",
            frontend,
            "--backend",
            &backend,
            "--linger",
            "100ms",
        ];
        Device::start("bl-queue", &flags)
    };
    let queue = start(ANY);
    let frontend = queue.endpoint("frontend").to_owned();
    let client = client(&[&frontend], patient(), |b| b.sessionless(WINDOW));
    let quick = Load::begin(&client, 0, 4, 1);
    let deep = Load::begin(&client, 100, 1, WINDOW as usize);
    quick.until_answered(1000);
    let before = (quick.begun, Instant::now());
    queue.signal(Signal::KILL);
    let killed = Instant::now();
    // Its port is free once it has gone.
    drop(queue);
    pass(ms(500));
    let queue = start(&frontend);
    quick.until_answered(100);
    let back = Instant::now();
    pass(ms(2000));
    let mut ledger = quick.finish();
    ledger.hold_busy(before.0, before.1);
    ledger.hold_healed(before, (back + ms(1000), back + ms(1900)));
    ledger.records.extend(deep.finish().records);
    server.balanced();
    ledger.assert_true(&[&notes]);
    ledger.assert_counted(&client);
    let in_doubt = ledger.count(Ran::Maybe);
    bar(in_doubt > 0, || {
        "no call was on its way: nothing is proved".to_owned()
    });
    // What was in flight when it died, and what was sent before its backend was there again.
    assert!(
        in_doubt <= 2 * WINDOW as usize,
        "{in_doubt} calls are in doubt"
    );
    let told = ledger.count(Ran::No) + in_doubt;
    assert_eq!(ledger.failures().count(), told);
    let failed_before = ledger
        .failures()
        .filter(|record| record.ended < killed)
        .count();
    assert_eq!(failed_before, 0);
    assert_eq!(server.process.complaints(), "");
    drop(queue);
}
