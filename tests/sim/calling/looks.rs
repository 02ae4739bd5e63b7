//! The ledger's look at the calling machines: their bounds, their counts, and what is left at the end.

use super::*;

impl World {
    /// A question for a replier's health waits, though one is there that takes it whatever it has
    /// granted.
    pub(super) fn check_beside(&mut self, caller: usize, key: Key) {
        let host = &self.callers[caller];
        let takes = |place: &Place| {
            let link = &self.connections[place.connection?];
            let node = host.machine.node_stats(place.id)?;
            let room = Credit::new(u32::MAX, node.credit.bytes);
            let able = link.pulls && node.state == NodeState::Up && !node.paused;
            (able && room.admits(node.in_flight, bytes_of(key))).then_some(place.id)
        };
        if let Some(node) = host.places.iter().find_map(takes) {
            let what = format!("call {key} takes no worker, and waits for one of {node:?}");
            self.ledger.violated(self.now, what);
        }
    }

    pub(super) fn check_payload(&mut self, key: Key, payload: Key) {
        if key != payload {
            let what = format!("what is meant for call {key} ends call {payload}");
            self.ledger.violated(self.now, what);
        }
    }

    pub(super) fn check_bounds(&mut self, caller: usize) {
        let machine = &self.callers[caller].machine;
        let stats = machine.stats();
        let windows: u32 = machine.nodes().map(|node| node.in_flight.calls).sum();
        let most = self.doses.waiting_max + windows as usize + self.callers[caller].open.len();
        let mut faults = Vec::new();
        if stats.held > most {
            faults.push(format!("holds {stats:?}, more than {most}"));
        }
        // Those that were in flight and picked again wait beside those that came to wait.
        let waiting_max = self.doses.waiting_max + stats.repicked as usize;
        if stats.waiting > waiting_max {
            faults.push(format!(
                "lets {} calls wait, at most {waiting_max}",
                stats.waiting
            ));
        }
        // Two a node may stand beside the calls', for the end of its pause and for its wish.
        if machine.timers() > 4 * stats.held + 3 * machine.nodes().count() + 130 {
            faults.push(format!("has {} timers for {stats:?}", machine.timers()));
        }
        for fault in faults {
            self.ledger
                .violated(self.now, format!("caller {caller} {fault}"));
        }
    }

    pub(super) fn check_caller(&mut self, caller: usize) {
        let host = &self.callers[caller];
        let stats = host.machine.stats();
        let ends = stats.replied
            + stats.failed
            + stats.expired
            + stats.cancelled
            + stats.unavailable
            + stats.queue_full
            + stats.lost
            + stats.closed;
        let open = (stats.held - stats.given_up.min(stats.held)) as u64;
        let mut faults = Vec::new();
        if stats.submitted != ends + open || open != host.open.len() as u64 {
            let known = host.open.len();
            faults.push(format!("calls do not add up: {stats:?}, {known} open"));
        }
        let sent: u64 = host.machine.nodes().map(|node| node.sent).sum();
        if stats.sent != sent {
            faults.push(format!("sent do not add up: {stats:?}, {sent} by node"));
        }
        for fault in faults {
            self.ledger
                .violated(self.now, format!("caller {caller}: {fault}"));
        }
        self.note(ends);
    }

    pub(crate) fn settle_caller(&mut self, caller: usize) {
        self.check_caller(caller);
        let host = &self.callers[caller];
        let stats = host.machine.stats();
        let mut faults = Vec::new();
        if !host.alive {
            faults.push("is not back".to_owned());
        }
        if stats.held != 0 || stats.waiting != 0 || stats.given_up != 0 {
            faults.push(format!("still holds {stats:?}"));
        }
        let timers_max = 3 * host.machine.nodes().count() + 130;
        if host.machine.next_due().is_some() && host.machine.timers() > timers_max {
            faults.push(format!("still has {} timers", host.machine.timers()));
        }
        for node in host.machine.nodes() {
            if node.state != NodeState::Up {
                faults.push(format!("has a node that is not up: {node:?}"));
            }
            if node.in_flight != Credit::default() {
                faults.push(format!("has credit out at rest: {node:?}"));
            }
            let connection = host
                .place_of(node.node)
                .and_then(|at| host.places[at].connection);
            let pulls = connection.is_some_and(|connection| self.connections[connection].pulls);
            if node.credit.calls == 0 && !pulls {
                faults.push(format!("has no credit: {node:?}"));
            }
        }
        for place in &host.places {
            if let Some(connection) = place.connection {
                let link = &self.connections[connection];
                let known = host.machine.node_stats(place.id);
                if known.as_ref().is_some_and(|node| node.credit != link.told) {
                    faults.push(format!("{known:?} was told {:?}", link.told));
                }
            }
        }
        for fault in faults {
            self.ledger
                .violated(self.now, format!("caller {caller} {fault}"));
        }
    }
}
