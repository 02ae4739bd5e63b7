//! A server that falls silent, with its connection as it was.

use std::time::{Duration, Instant};

use brokerless::Policy;
use brokerless::balance::Place;
use brokerless::client::{Call, Member, Pending};
use brokerless::machine::NodeState;
use brokerless::patterns::Options;
use rustix::process::Signal;

use crate::suite::support::load::{client, node, until_up};
use crate::suite::support::process::{ANY, ServerProcess};
use crate::suite::support::work::{Notes, Stamp, WorkClient};
use crate::suite::support::{bar, canary, ms, pass, patience};

/// Calls that each server lets a caller have in flight.
const CREDIT: u32 = 64;
/// Heartbeats. The timeout is far away: what keeps calls off is the silence, and not the end of
/// the connection.
const INTERVAL: Duration = ms(200);
const HEARTBEAT_TIMEOUT: Duration = ms(60_000);
/// How long the answer to a heartbeat is waited for, and how coarse timers are.
const ANSWER: Duration = ms(100);
const GRAIN: Duration = ms(20);
/// A call this often: too few to use up the credit before the silence is noticed.
const PACE: Duration = ms(10);

/// The zone of the server that stops, where policies by place are at home.
const HOME: &str = "eu-1";

fn policies() -> Vec<Policy> {
    let home = || Place::new("eu", HOME).at(50.0, 8.0);
    vec![
        Policy::adaptive(),
        Policy::round_robin(),
        Policy::least_in_flight(),
        Policy::consistent_hash().keyed_by_call(),
        Policy::adaptive().by_place(home()),
        Policy::round_robin().by_distance(home()),
        // They are of one machine: as near as each other.
        Policy::round_robin().by_round_trip().near(ms(1000)),
    ]
}

/// Calls at a steady pace, whatever becomes of them.
struct Paced {
    work: WorkClient,
    begun: Vec<Pending<Stamp>>,
}

impl Paced {
    fn call(&mut self) {
        let nonce = self.begun.len() as u64;
        let call = Call::new().timeout(HEARTBEAT_TIMEOUT).key(&nonce);
        let call = self.work.with(call).begin().pooled(0, nonce);
        self.begun.push(call.expect("a node takes it"));
        pass(PACE);
    }

    /// Until that is so, for so long at most.
    #[track_caller]
    fn until(&mut self, what: &str, within: Duration, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            let took = canary::net(begin, Instant::now());
            assert!(took < patience(within), "{what}: not within {took:?}");
            self.call();
        }
    }
}

pub(super) fn a_server_that_falls_silent_gets_nothing_after_one_heartbeat_by_any_policy() {
    let notes = [Notes::new(), Notes::new(), Notes::new()];
    let window = &["window=64", "window_max=64"];
    let mut servers = [0, 1, 2].map(|at| ServerProcess::start(ANY, &notes[at], window));
    for policy in policies() {
        let options = Options::new()
            .heartbeat_interval(Some(INTERVAL))
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .heartbeat_ttl(HEARTBEAT_TIMEOUT);
        let name = policy.name().to_owned();
        let members = servers.iter().zip([HOME, HOME, "eu-2"]);
        let members = members.map(|(server, zone)| {
            Member::new(&*server.endpoint)
                .zone("eu", zone)
                .at(50.0, if zone == HOME { 8.0 } else { 10.0 })
        });
        let members: Vec<Member> = members.collect();
        let client = client(&[], options, |b| b.policy(policy).nodes(members));
        for server in &servers {
            until_up(&client, server);
        }
        let mut paced = Paced {
            work: WorkClient::from(client.clone()),
            begun: Vec::new(),
        };
        let stops = &servers[0];
        paced.until("it is called", ms(5000), || {
            node(&client, stops).answered > 5
        });

        stops.process.stop();
        let stopped = Instant::now();
        paced.until("its silence is noticed", ms(5000), || {
            node(&client, stops).silent
        });
        let noticed = canary::net(stopped, Instant::now());
        let most = INTERVAL + ANSWER + GRAIN + PACE * 4;
        bar(noticed <= most, || {
            format!("{name}: noticed after {noticed:?}")
        });
        let before = (node(&client, stops), client.stats().calls.sent);
        assert_eq!(before.0.state, NodeState::Up, "{name}: it is connected");
        // Whoever goes by the load may have sent nothing there meanwhile; whose turn it is has.
        let is_sure = name == "round-robin";
        let stuck = before.0.in_flight;
        bar(stuck < CREDIT && (stuck > 0 || !is_sure), || {
            format!("{name}: {stuck} are stuck, and it would take more up to {CREDIT}")
        });
        let mut is_alone = true;
        for _ in 0..100 {
            paced.call();
            is_alone &= !servers[1..]
                .iter()
                .any(|server| node(&client, server).silent);
        }
        let after = (node(&client, stops), client.stats().calls.sent);
        // It is as good as any where the others are silent, too: the machine can make them so.
        bar(is_alone, || format!("{name}: all were silent"));
        if is_alone {
            assert_eq!(after.0.sent, before.0.sent, "{name}: more went there");
        }
        assert!(after.1 >= before.1 + 100, "{name}: others took them");
        assert_eq!(after.0.state, NodeState::Up, "{name}");

        stops.process.signal(Signal::CONT);
        paced.until("it is called again", ms(10_000), || {
            let stops = node(&client, stops);
            !stops.silent && stops.sent > after.0.sent + 5
        });
        // What it had was late, and lost nothing.
        for call in paced.begun {
            let end = call.wait();
            assert!(end.is_ok(), "{name}: {end:?}");
        }
        let stats = client.stats();
        assert_eq!(stats.calls.submitted, stats.calls.replied, "{name}");
    }
    for server in &mut servers {
        server.balanced();
        assert_eq!(server.process.complaints(), "");
    }
}
