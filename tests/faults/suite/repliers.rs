//! Servers that are killed, restarted, stopped.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use brokerless::Code;
use brokerless::Ran;
use brokerless::client::Client;
use brokerless::machine::NodeState;
use brokerless::patterns::{Engine, Options};
use rustix::process::Signal;

use crate::suite::support::ledger::{End, Record};
use crate::suite::support::load::{BACK, Load, client, end_of, node, patient, until_up};
use crate::suite::support::process::{ANY, ServerProcess};
use crate::suite::support::work::{Notes, WorkClient};
use crate::suite::support::{bar, canary, eventually, ms, pass};

/// Calls that each server lets a caller have in flight.
const CREDIT: usize = 64;
const WINDOW: &str = "window_max=64";
/// After which a server is taken for dead. Without optimisation, on cores that others want, too, one
/// that lives is kept waiting for longer.
const SILENCE: Duration = if cfg!(debug_assertions) {
    ms(1500)
} else {
    ms(300)
};
/// What a call may take to fail where nobody is there. Without optimisation, on cores that others
/// want, too, a thread may be late.
const FAST: Duration = if cfg!(debug_assertions) {
    ms(500)
} else {
    ms(100)
};

pub(super) fn a_killed_replier_costs_at_most_its_credit_and_the_others_take_over() {
    let notes = [Notes::new(), Notes::new()];
    let [mut stays, mut dies] = [0, 1].map(|at| ServerProcess::start(ANY, &notes[at], &[WINDOW]));
    let client = client(&[&stays.endpoint, &dies.endpoint], patient(), |b| b);
    until_up(&client, &stays);
    until_up(&client, &dies);
    let quick = Load::begin(&client, 0, 4, 1);
    let deep = Load::begin(&client, 100, 2, CREDIT);
    quick.until_answered(1000);
    let before = (quick.begun, Instant::now());
    eventually("the node has calls in flight", ms(5000), || {
        (node(&client, &dies).in_flight > 0).then_some(())
    });
    dies.process.kill();
    let killed = Instant::now();
    pass(ms(2000));
    let mut ledger = quick.finish();
    let after = (killed + ms(1000), killed + ms(1900));
    ledger.hold_busy(before.0, before.1);
    ledger.hold_healed(before, after);
    ledger.records.extend(deep.finish().records);
    ledger.assert_true(&[&notes[0], &notes[1]]);
    let stats = ledger.assert_counted(&client);
    let lost = ledger.count(Ran::Maybe);
    assert!(lost <= CREDIT, "{lost} calls are in doubt, not {CREDIT}");
    bar(lost > 0, || "no call was on its way".to_owned());
    assert_eq!(ledger.failures().count(), lost, "others failed, too");
    assert_eq!(stats.calls.lost, lost as u64);
    assert!(node(&client, &dies).state != NodeState::Up);
    stays.balanced();
    let (report, complaints) = stays.terminate();
    assert_eq!((report["clean"], complaints.as_str()), (1, ""));
}

/// Reconnects at a place where nobody answers, until then, and until there are so many of them:
/// when each came.
fn attempts(listener: &TcpListener, until: Instant, least: usize) -> Vec<Instant> {
    listener
        .set_nonblocking(true)
        .expect("an option of every socket");
    let mut came = Vec::new();
    let patience = until + ms(30_000);
    while Instant::now() < until || (came.len() < least && Instant::now() < patience) {
        match listener.accept() {
            Ok(_) => came.push(Instant::now()),
            Err(_) => pass(ms(1)),
        }
    }
    came
}

/// One call now, for the ledger.
fn record(stamp: (u64, u64), timeout: std::time::Duration, work: &WorkClient) -> Record {
    let began = Instant::now();
    let end = end_of(work.stamp(stamp.0, stamp.1));
    Record {
        stamp,
        began,
        deadline: began + timeout,
        ended: Instant::now(),
        end,
    }
}

pub(super) fn callers_of_servers_that_are_all_killed_come_back_spread_out_and_are_told_the_truth() {
    const IDLE: usize = 40;
    let notes = [Notes::new(), Notes::new()];
    let mut servers = [0, 1].map(|at| ServerProcess::start(ANY, &notes[at], &[WINDOW]));
    let [one, two] = [0, 1].map(|at: usize| servers[at].endpoint.clone());
    let hasty = client(&[&one, &two], patient(), |b| b);
    let patient = client(&[&one, &two], patient(), |b| b.wait_for_ready(true));
    let engine = Engine::new().expect("descriptors are free");
    let idle: Vec<Client> = (0..IDLE)
        .map(|_| {
            Client::builder()
                .engine(&engine)
                .connect(one.as_str())
                .expect("an endpoint")
        })
        .collect();
    servers[0].until("all are there", ms(5000), |counts| {
        counts["callers"] == IDLE as u64 + 2
    });
    let load = Load::begin(&hasty, 0, 4, 1);
    load.until_answered(1000);
    let before = (load.begun, Instant::now());

    servers.iter_mut().for_each(|server| server.process.kill());
    let killed = Instant::now();
    // Somebody takes the place, and hears who comes back.
    let address = one.trim_start_matches("tcp://");
    let listener = eventually("the port is free", ms(2000), || {
        TcpListener::bind(address).ok()
    });
    // A call before that would go to a server that is dead, and be in doubt.
    eventually("it knows that both are gone", ms(5000), || {
        let nodes = [&servers[0], &servers[1]];
        let mut up = nodes.map(|server| node(&patient, server).state).into_iter();
        (!up.any(|state| state == NodeState::Up)).then_some(())
    });
    let waiting = std::thread::spawn({
        let work = WorkClient::from(patient.clone());
        move || -> Vec<Record> {
            let timeout = super::support::load::TIMEOUT;
            std::thread::scope(|scope| {
                let work = &work;
                let calls =
                    (0..8).map(|nonce| scope.spawn(move || record((500, nonce), timeout, work)));
                let calls: Vec<_> = calls.collect();
                let joined = calls.into_iter().map(|call| call.join().expect("no panic"));
                joined.collect()
            })
        }
    });
    let came = attempts(&listener, killed + ms(800), IDLE);
    assert!(came.len() >= IDLE, "{} came back", came.len());
    let most = IDLE as f64 * 12.0 * killed.elapsed().as_secs_f64() / 0.8;
    assert!(
        came.len() as f64 <= most,
        "a storm: {} attempts",
        came.len()
    );
    for from in &came {
        let to = *from + ms(20);
        let together = came.iter().filter(|at| (*from..to).contains(at)).count();
        let spread = together <= IDLE / 2 || canary::stalled(*from - ms(20), to);
        bar(spread, || {
            format!("{together} of {IDLE} came back within 20 ms")
        });
    }
    drop(listener);
    let restarted = Instant::now();
    let servers = [&one, &two].map(|endpoint| {
        let at = usize::from(endpoint == &two);
        ServerProcess::start(endpoint, &notes[at], &[WINDOW])
    });
    let waited = waiting.join().expect("no panic");
    servers.iter().for_each(|server| until_up(&hasty, server));
    let back = Instant::now();
    pass(ms(2000));
    let mut ledger = load.finish();
    ledger.hold_busy(before.0, before.1);
    ledger.hold_healed(before, (back + ms(1000), back + ms(1900)));
    ledger.assert_true(&[&notes[0], &notes[1]]);
    ledger.assert_counted(&hasty);
    // Four threads had one call in flight each, and may have had the next one at the other server,
    // which was killed after the first.
    assert!(
        ledger.count(Ran::Maybe) <= 8,
        "{}",
        ledger.count(Ran::Maybe)
    );
    // Those that fail do so fast, once it is known that nobody is there.
    let refused = |record: &&Record| record.end == End::Failed(Code::Unavailable, Ran::No);
    let (from, to) = (killed + ms(300), restarted);
    let within: Vec<_> = ledger
        .failures()
        .filter(refused)
        .filter(|record| record.began > from && record.ended < to)
        .collect();
    let mut took: Vec<_> = within.iter().map(|record| record.took()).collect();
    took.sort_unstable();
    let most = took.get(took.len() * 99 / 100);
    bar(most.is_some_and(|most| *most <= FAST), || {
        format!("it took {most:?} to fail fast")
    });
    assert_eq!(
        ledger.failures().count(),
        ledger.failures().filter(refused).count() + ledger.count(Ran::Maybe)
    );
    // Those that wait are answered.
    ledger.records = waited;
    ledger.assert_true(&[&notes[0], &notes[1]]);
    ledger.assert_all_answered();
    ledger.assert_counted(&patient);
    drop(idle);
    for mut server in servers {
        server.balanced();
        assert_eq!(server.process.complaints(), "");
    }
}

pub(super) fn a_stopped_replier_strands_at_most_its_credit() {
    let notes = [Notes::new(), Notes::new()];
    let [mut goes_on, mut stops] =
        [0, 1].map(|at| ServerProcess::start(ANY, &notes[at], &[WINDOW]));
    let options = Options::new()
        .heartbeat_interval(Some(ms(100)))
        .heartbeat_timeout(SILENCE);
    let client = client(&[&goes_on.endpoint, &stops.endpoint], options, |b| b);
    until_up(&client, &goes_on);
    until_up(&client, &stops);
    let quick = Load::begin(&client, 0, 4, 1);
    let deep = Load::begin(&client, 100, 2, CREDIT);
    quick.until_answered(1000);
    let before = (quick.begun, Instant::now());
    stops.process.stop();
    let stopped = Instant::now();
    pass(ms(3000));
    eventually("it is noticed", ms(3000), || {
        (node(&client, &stops).state != NodeState::Up).then_some(())
    });
    let sent = node(&client, &stops).sent;
    stops.process.signal(Signal::CONT);
    let went_on = Instant::now();
    eventually("it is called again", ms(5000), || {
        (node(&client, &stops).sent > sent + 100).then_some(())
    });
    let back = Instant::now();
    bar(canary::net(went_on, back) < BACK, || {
        format!("back after {:?}", back - went_on)
    });
    pass(ms(1100));
    let mut ledger = quick.finish();
    ledger.hold_busy(before.0, before.1);
    // While it stands still the other one takes over; when it goes on, it is as it was.
    ledger.hold_healed(before, (stopped + SILENCE + ms(700), stopped + ms(2900)));
    ledger.hold_healed(before, (back, back + ms(1000)));
    ledger.records.extend(deep.finish().records);
    let stuck = ledger.count(Ran::Maybe);
    assert!(stuck <= CREDIT, "{stuck} calls are stuck, not {CREDIT}");
    bar(stuck > 0, || "no call was on its way".to_owned());
    assert_eq!(ledger.failures().count(), stuck, "others failed, too");
    let books = [goes_on.balanced(), stops.balanced()];
    ledger.assert_true(&[&notes[0], &notes[1]]);
    ledger.assert_counted(&client);
    let ran: u64 = books.iter().map(|counts| counts["answered"]).sum();
    let answered = ledger
        .records
        .iter()
        .filter(|record| record.is_answered())
        .count() as u64;
    assert!(
        ran >= answered && ran <= answered + stuck as u64,
        "{ran} {answered}"
    );
    for server in [goes_on, stops] {
        assert_eq!(server.process.complaints(), "");
    }
}
