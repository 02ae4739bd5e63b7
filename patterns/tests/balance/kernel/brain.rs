//! Who picks: a production policy, or one that knows more than any could.

use std::time::Duration;

use brokerless_patterns::balance::{Balancer, Facts, Load, Nanos, Policy, Random};

use super::server::Server;

/// What there is to look at when a call is due.
pub(crate) struct View<'a> {
    pub(crate) now: Nanos,
    /// The truth, for those that may know it.
    pub(crate) servers: &'a [Server],
    /// The way to each and back.
    pub(crate) delays: &'a [Nanos],
    /// Calls of all callers that are sent there and not answered, those on their way included.
    pub(crate) on_the_way: &'a [u32],
    pub(crate) able: &'a dyn Fn(usize) -> bool,
}

/// Picks for one caller. All but production policies may look at the truth.
pub(crate) trait Brain {
    fn pick(&mut self, view: &View<'_>) -> Option<usize>;

    /// Whom to ask for its load now, although no call goes there.
    fn probes(&mut self, view: &View<'_>, ask: &mut Vec<usize>) {
        let _ = (view, ask);
    }

    fn set_up(&mut self, now: Nanos, server: usize, up: bool) {
        let _ = (now, server, up);
    }

    fn sent(&mut self, now: Nanos, server: usize) {
        let _ = (now, server);
    }

    fn replied(&mut self, now: Nanos, server: usize, took: Nanos, load: &Load) {
        let _ = (now, server, took, load);
    }

    fn failed(&mut self, now: Nanos, server: usize, took: Nanos, load: &Load) {
        let _ = (now, server, took, load);
    }

    fn lapsed(&mut self, now: Nanos, server: usize) {
        let _ = (now, server);
    }

    /// What a probe has come back with.
    fn told(&mut self, now: Nanos, server: usize, took: Nanos, load: &Load) {
        let _ = (now, server, took, load);
    }
}

/// A policy, as a client runs it.
pub(crate) struct Production(Balancer);

impl Production {
    pub(crate) fn new(policy: &Policy, seed: u64, facts: &[Facts]) -> Production {
        let mut balancer = Balancer::new(policy, seed).expect("the options are within bounds");
        for (node, facts) in facts.iter().enumerate() {
            balancer.add(0, node, facts.clone());
            balancer.set_up(0, node, true);
        }
        Production(balancer)
    }

    /// What heartbeats have measured to each, in nanoseconds.
    pub(crate) fn measure(&mut self, round_trips: impl IntoIterator<Item = Nanos>) {
        for (node, round_trip) in round_trips.into_iter().enumerate() {
            let round_trip = Duration::from_nanos(round_trip);
            self.0.set_round_trip(node, Some(round_trip));
        }
    }

    /// All alike.
    pub(crate) fn alike(policy: &Policy, seed: u64, servers: usize) -> Production {
        Production::new(policy, seed, &vec![Facts::default(); servers])
    }
}

impl Brain for Production {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        self.0.pick(view.now, None, view.able)
    }

    fn probes(&mut self, view: &View<'_>, ask: &mut Vec<usize>) {
        ask.extend(self.0.wonders(view.now, view.able));
    }

    fn set_up(&mut self, now: Nanos, server: usize, up: bool) {
        self.0.set_up(now, server, up);
    }

    fn sent(&mut self, now: Nanos, server: usize) {
        self.0.sent(now, server);
    }

    fn replied(&mut self, now: Nanos, server: usize, took: Nanos, load: &Load) {
        let took = Duration::from_nanos(took);
        self.0.replied(now, server, took, Some(load));
    }

    fn failed(&mut self, now: Nanos, server: usize, took: Nanos, load: &Load) {
        let took = Duration::from_nanos(took);
        self.0.failed(now, server, took, Some(load));
    }

    fn lapsed(&mut self, now: Nanos, server: usize) {
        self.0.lapsed(now, server);
    }

    fn told(&mut self, now: Nanos, server: usize, _: Nanos, load: &Load) {
        self.0.reported(now, server, *load);
    }
}

/// One that knows all: the server with the least of something, by chance among equals.
pub(crate) struct Known<F> {
    least: F,
    random: Random,
}

impl<F: FnMut(&View<'_>, usize) -> f64> Known<F> {
    pub(crate) fn new(seed: u64, least: F) -> Known<F> {
        Known {
            least,
            random: Random::new(seed),
        }
    }
}

impl<F: FnMut(&View<'_>, usize) -> f64> Brain for Known<F> {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        let mut equals = 0;
        for server in (0..view.servers.len()).filter(|server| (view.able)(*server)) {
            let value = (self.least)(view, server);
            match best {
                Some((least, _)) if value > least => {}
                Some((least, _)) if value == least => {
                    equals += 1;
                    if self.random.below(equals) == 0 {
                        best = Some((value, server));
                    }
                }
                _ => {
                    equals = 1;
                    best = Some((value, server));
                }
            }
        }
        best.map(|(_, server)| server)
    }
}
