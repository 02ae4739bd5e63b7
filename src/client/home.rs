//! Whether a pool has a node where its policy picks from: by place a home, by distance coordinates.
//!
//! A pool is refused that has none when it is built. What happens to it later may not take the last
//! one away by mistake: a node that is said to be elsewhere is refused, as a wrong name would be. Those
//! that come and go are not: where all of home has gone, others have to come in, and that is logged.
//!
//! # Invariants
//!
//! 1. Nothing that is set takes the last node out of home. (test
//!    `what_would_leave_nobody_at_home_is_refused_or_said`)
//!
//! # Not here
//!
//! Where calls go then: `patterns/src/balance/near.rs`.

use brokerless_patterns::balance::{Facts, PolicyError};

use super::core::{Core, Table};
use super::member::Member;
use crate::Error;
use crate::machine::NodeId;

impl Core {
    /// Whether the pool fits its policy if this node is `with` these facts; yes, if the policy has no
    /// home.
    fn is_at_home(&self, table: &Table, with: Option<(NodeId, &Facts)>) -> Result<(), PolicyError> {
        let Some(policy) = &self.settings.home else {
            return Ok(());
        };
        let places = table.nodes.iter().flatten();
        let here = places.filter(|place| !table.leaving.contains(&place.id));
        policy.check(here.filter_map(|place| match with {
            Some((node, facts)) if node == place.id => Some(facts),
            _ => table.caller.facts(place.id),
        }))
    }

    /// Whether this node may become so.
    ///
    /// # Errors
    ///
    /// If that takes the last one out of home.
    pub(super) fn may_become(
        &self,
        table: &Table,
        node: NodeId,
        facts: &Facts,
    ) -> Result<(), Error> {
        match self.is_at_home(table, Some((node, facts))) {
            Err(error) if self.is_at_home(table, None).is_ok() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Says it if nobody is at home after a node has come or gone. Whether anybody is.
    pub(super) fn look_home(&self) -> bool {
        if self.settings.home.is_none() {
            return true;
        }
        let stands = self.is_at_home(&self.table.lock(), None);
        if let Err(error) = &stands {
            log::warn!("calls go elsewhere than home: {error}");
        }
        stands.is_ok()
    }

    /// Whether a pool of these fits the policy.
    pub(super) fn fits(&self, members: &[Member]) -> Result<(), Error> {
        let Some(policy) = &self.settings.home else {
            return Ok(());
        };
        let none = Facts::default();
        let facts: Result<Vec<Facts>, Error> = members.iter().map(|it| it.facts(&none)).collect();
        Ok(policy.check(&facts?)?)
    }
}

#[cfg(test)]
mod tests {
    use brokerless_patterns::balance::{Place, Policy};

    use super::super::Client;
    use super::*;

    fn at(name: &str, zone: &str) -> Member {
        Member::new(format!("inproc://{name}")).zone("eu", zone)
    }

    #[test]
    fn what_would_leave_nobody_at_home_is_refused_or_said() {
        let policy = Policy::random()
            .by_place(Place::new("eu", "eu-1"))
            .by_priority();
        let client = Client::builder().policy(policy);
        let client = client.nodes([at("home-2", "eu-2"), at("home-1", "eu-1")]);
        let client: Client = client.connect(()).expect("one is at home");
        let stands = || client.core().look_home();
        assert!(stands());
        let error = client.set(at("home-1", "eu-l")).expect_err("a wrong name");
        let error = error.to_string();
        let rule = "zone is eu-1: no node is there; there are eu/eu-2, eu/eu-l";
        assert!(error.contains(rule), "{error}");
        assert!(stands(), "nothing was changed");
        // What leaves it where it is may be said of it, and of others.
        assert!(
            client
                .set(at("home-1", "eu-1").weight(0))
                .expect("it may be so")
        );
        assert!(client.set(at("home-2", "eu-3")).expect("it may be so"));
        // All of home goes, and others come: they have to.
        assert!(client.remove("inproc://home-1") && !stands());
        client.add(at("home-3", "eu-2")).expect("it may come");
        assert!(client.set(at("home-2", "eu-2")).expect("it may be so"));
        assert!(!stands());
        client.add(at("home-1", "eu-1")).expect("it is back");
        assert!(stands());
    }

    #[test]
    fn a_pool_whose_policy_has_no_home_is_anywhere() {
        let client = Client::builder().nodes([at("homeless", "eu-1")]);
        let client: Client = client.connect(()).expect("it is a pool");
        assert!(client.set(at("homeless", "eu-2")).expect("it may be so"));
        assert!(client.core().look_home() && client.fits(&[at("other", "")]).is_ok());
    }
}
