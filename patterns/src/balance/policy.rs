//! Which policy, by name or in code.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Nanos;
use super::adaptive::Adaptive;
use super::any::Any;
use super::dynamic::{Dynamic, DynamicOptions};
use super::error::PolicyError;
use super::hash::{Hash, HashOptions};
use super::hot_cold::HotCold;
use super::least::{Least, LeastOptions};
use super::near::{Near, Rule};
use super::nodes::Facts;
use super::peak::{Peak, PeakOptions};
use super::pick::Pick;
use super::place::Place;
use super::priority::ByPriority;
use super::random::Random;
use super::rotate::RoundRobin;
use super::subset::Subset;
use super::weighted::Weighted;

/// A policy and its options: what is built into a [`Balancer`](super::Balancer), once for each part
/// where policies are composed.
///
/// Options out of their bounds, and those that the policy does not have, are an error when it is
/// built.
///
/// ```
/// use brokerless_patterns::balance::{Place, Policy};
///
/// let near = Policy::least_in_flight().choices(3).by_place(Place::new("eu", "eu-1"));
/// assert_eq!(near.name(), "least-in-flight by place");
/// assert!(near.validate().is_ok());
///
/// let wrong = Policy::peak_ewma().choices(0).validate().unwrap_err();
/// assert_eq!(wrong.to_string(), "choices is 0: from 1 to 1000");
/// ```
#[derive(Clone)]
pub struct Policy {
    name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) slow_start: Duration,
    /// Calls bring their keys, whatever is known of their methods.
    keyed_by_call: bool,
    /// The first option that was wrong.
    pub(super) refused: Option<PolicyError>,
}

type Make = dyn Fn() -> Box<dyn Pick> + Send + Sync;

/// What there is to build, with its options.
#[derive(Clone)]
pub(super) enum Kind {
    Adaptive,
    HotCold,
    Custom(Arc<Make>),
    RoundRobin,
    Random,
    Weighted,
    Dynamic(DynamicOptions),
    Least(LeastOptions),
    Peak(PeakOptions),
    Hash(HashOptions),
    ByPlace(Arc<Policy>, Arc<Place>),
    ByDistance(Arc<Policy>, Arc<Place>),
    ByRoundTrip(Arc<Policy>, Duration),
    ByPriority(Arc<Policy>, f64),
    Subset(Arc<Policy>, usize),
}

/// For how long a node that comes up is spared, unless said otherwise.
pub(super) const SLOW_START: Duration = Duration::from_millis(500);
/// How much longer than the nearest's a round trip may be, and the node is as near, unless said
/// otherwise.
const NEAR: Duration = Duration::from_millis(1);
/// For how much more than its share a priority is good for, unless said otherwise.
const OVERPROVISION: f64 = 1.4;

/// The names of [`Policy::named`].
const NAMES: [&str; 9] = [
    "adaptive",
    "round-robin",
    "random",
    "weighted",
    "dynamic",
    "least-in-flight",
    "peak-ewma",
    "hot-cold",
    "consistent-hash",
];

impl Policy {
    fn of(name: &str, kind: Kind) -> Policy {
        Policy {
            name: Arc::from(name),
            kind,
            slow_start: SLOW_START,
            keyed_by_call: false,
            refused: None,
        }
    }

    /// One's own.
    pub fn custom(name: &str, make: impl Fn() -> Box<dyn Pick> + Send + Sync + 'static) -> Policy {
        Policy::of(name, Kind::Custom(Arc::new(make)))
    }

    /// Where a call is expected to end soonest, by all that is known: what nodes report, how old
    /// that is, what is in flight from here, how long answers take, who owes one. Equal nodes get
    /// equal shares; where nothing tells them apart, their weights do.
    pub fn adaptive() -> Policy {
        Policy::of("adaptive", Kind::Adaptive)
    }

    /// The fastest of those that are not full, by the last reports of sixteen: whoever has more in
    /// flight than most others do is hot, and picked only if all are. For large fleets.
    pub fn hot_cold() -> Policy {
        Policy::of("hot-cold", Kind::HotCold)
    }

    /// Each in turn, whatever its weight; one that warms up by its part of that.
    pub fn round_robin() -> Policy {
        Policy::of("round-robin", Kind::RoundRobin)
    }

    /// Any, whatever its weight; one that warms up as much less often.
    pub fn random() -> Policy {
        Policy::of("random", Kind::Random)
    }

    /// Weighted round-robin: each node its share, spread evenly.
    pub fn weighted() -> Policy {
        Policy::of("weighted", Kind::Weighted)
    }

    /// Weights from the nodes' own reports: what they answer for what it takes of them, less for
    /// errors. Options: [`blackout`](Policy::blackout), [`weight_expiry`](Policy::weight_expiry),
    /// [`update_period`](Policy::update_period), [`error_penalty`](Policy::error_penalty).
    pub fn dynamic() -> Policy {
        Policy::of("dynamic", Kind::Dynamic(DynamicOptions::default()))
    }

    /// The least in flight of two; where weights differ, each its weight divided by what is in flight
    /// there. Options: [`choices`](Policy::choices), [`bias`](Policy::bias).
    pub fn least_in_flight() -> Policy {
        Policy::of("least-in-flight", Kind::Least(LeastOptions::default()))
    }

    /// The one of two that seems to answer soonest: by how long answers took, of which a long one
    /// counts at once and is forgotten slowly, times what is in flight. Options:
    /// [`choices`](Policy::choices), [`decay`](Policy::decay).
    pub fn peak_ewma() -> Policy {
        Policy::of("peak-ewma", Kind::Peak(PeakOptions::default()))
    }

    /// The same node for the same key, as long as it has not too much to do. Calls need a key: by
    /// their method, or [by themselves](Policy::keyed_by_call). Options:
    /// [`load_bound`](Policy::load_bound).
    pub fn consistent_hash() -> Policy {
        Policy::of("consistent-hash", Kind::Hash(HashOptions::default()))
    }

    /// Near home first: its zone, its region, everywhere. As much stays near as keeps all nodes
    /// equally busy. Within each zone this policy picks.
    #[must_use]
    pub fn by_place(self, home: Place) -> Policy {
        self.within("by place", |inner| Kind::ByPlace(inner, Arc::new(home)))
    }

    /// The nearest first, by the coordinates of their places; what those cannot take goes to the next
    /// nearest. Within each ring of distance this policy picks.
    #[must_use]
    pub fn by_distance(self, home: Place) -> Policy {
        self.within("by distance", |inner| {
            Kind::ByDistance(inner, Arc::new(home))
        })
    }

    /// The nearest first, by the round trips that heartbeats measure; what those cannot take goes to the
    /// next nearest. Within each ring of distance this policy picks. Options: [`near`](Policy::near).
    ///
    /// Nobody has to say where anything is, and a node that moves is noticed: at once if it comes nearer, and
    /// within five minutes if it goes further away. A node of which nothing is known comes last.
    ///
    /// | ring | a round trip longer than the nearest's by at most | that is at 0.3 ms | as far as |
    /// |---|---|---|---|
    /// | 1 | `near` | 1.3 ms | 100 km |
    /// | 2 | 5 times that | 5.3 ms | 500 km |
    /// | 3 | 15 times | 15.3 ms | 1,500 km |
    /// | 4 | 50 times | 50.3 ms | 5,000 km |
    /// | 5 | anything | | |
    /// | 6 | not known | | |
    ///
    /// `near` counts as a quarter of the nearest's round trip where that is more. A node leaves its ring
    /// only once it is by a quarter of its distance beyond, so that jitter does not move it to and fro.
    ///
    /// ```
    /// use std::time::Duration;
    /// use brokerless_patterns::balance::{Balancer, Facts, Policy};
    ///
    /// let policy = Policy::adaptive().by_round_trip().near(Duration::from_millis(2));
    /// let mut balancer = Balancer::new(&policy, 4711)?;
    /// for node in 0..3 {
    ///     balancer.add(0, node, Facts::default());
    ///     balancer.set_up(0, node, true);
    /// }
    /// // Told by whoever owns the connections; of the first nothing is known.
    /// balancer.set_round_trip(1, Some(Duration::from_millis(80)));
    /// balancer.set_round_trip(2, Some(Duration::from_micros(300)));
    /// assert_eq!(balancer.pick(0, None, &|_| true), Some(2));
    /// assert_eq!(balancer.pick(0, None, &|node| node != 2), Some(1));
    /// assert_eq!(balancer.pick(0, None, &|node| node == 0), Some(0));
    /// # Ok::<(), brokerless_patterns::balance::PolicyError>(())
    /// ```
    #[must_use]
    pub fn by_round_trip(self) -> Policy {
        self.within("by round trip", |inner| Kind::ByRoundTrip(inner, NEAR))
    }

    /// Those of priority 0 first; those after them as far as too few are healthy before. Within
    /// each priority this policy picks. Options: [`overprovision`](Policy::overprovision).
    #[must_use]
    pub fn by_priority(self) -> Policy {
        self.within("by priority", |inner| {
            Kind::ByPriority(inner, OVERPROVISION)
        })
    }

    /// Only some of the nodes, others for each caller, so that not everyone knows everyone. Among
    /// them this policy picks.
    #[must_use]
    pub fn within_subset(self, nodes: usize) -> Policy {
        self.within("within a subset", |inner| Kind::Subset(inner, nodes))
    }

    fn within(self, how: &str, kind: impl FnOnce(Arc<Policy>) -> Kind) -> Policy {
        let (name, slow_start) = (format!("{} {how}", self.name), self.slow_start);
        Policy {
            slow_start,
            ..Policy::of(&name, kind(Arc::new(self)))
        }
    }

    /// By its name, with its options as they are unless said. With options: [`str::parse`], as
    /// [`PolicyText`](super::PolicyText).
    ///
    /// ```
    /// use brokerless_patterns::balance::Policy;
    ///
    /// assert_eq!(Policy::named("peak-ewma")?.name(), "peak-ewma");
    /// let error = Policy::named("least-inflight").unwrap_err();
    /// assert!(error.to_string().starts_with("policy is least-inflight: one of least-in-flight, "));
    /// # Ok::<(), brokerless_patterns::balance::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there is none of this name: it lists all, the nearest first.
    pub fn named(name: &str) -> Result<Policy, PolicyError> {
        Ok(match name {
            "adaptive" => Policy::adaptive(),
            "hot-cold" => Policy::hot_cold(),
            "round-robin" => Policy::round_robin(),
            "random" => Policy::random(),
            "weighted" => Policy::weighted(),
            "dynamic" => Policy::dynamic(),
            "least-in-flight" => Policy::least_in_flight(),
            "peak-ewma" => Policy::peak_ewma(),
            "consistent-hash" => Policy::consistent_hash(),
            _ => {
                let short = shortened(name);
                let rule = format!("one of {}", nearest(&short, NAMES));
                return Err(PolicyError::new("policy", short, rule));
            }
        })
    }

    /// The names that [`named`](Policy::named) knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether calls have to have a key.
    pub fn needs_key(&self) -> bool {
        match &self.kind {
            Kind::Hash(_) => true,
            kind => kind.inner().is_some_and(|inner| inner.needs_key()),
        }
    }

    /// Says that every call brings its key by itself, for policies that [need](Self::needs_key) one:
    /// whoever builds a client by such a policy otherwise has to see where keys come from, and refuses
    /// one of a service of which no method names its key, and one of no service.
    ///
    /// On a policy that needs no key it is refused when that is built.
    ///
    /// ```
    /// use brokerless_patterns::balance::Policy;
    ///
    /// assert!(Policy::consistent_hash().keyed_by_call().by_priority().is_keyed_by_call());
    /// let wrong = Policy::adaptive().keyed_by_call().validate().unwrap_err();
    /// assert_eq!(wrong.field(), "keyed_by_call");
    /// ```
    #[must_use]
    pub fn keyed_by_call(mut self) -> Policy {
        if !self.needs_key() {
            let rule = format!("`{}` picks without keys: leave it out", self.name);
            let error = PolicyError::new("keyed_by_call", "said", rule);
            self.refused.get_or_insert(error);
        }
        self.keyed_by_call = true;
        self
    }

    /// Whether calls are [said](Self::keyed_by_call) to bring their keys.
    pub fn is_keyed_by_call(&self) -> bool {
        self.keyed_by_call || self.kind.inner().is_some_and(Policy::is_keyed_by_call)
    }

    /// For how long a node that comes up gets less than its share.
    pub(super) fn warm_up(&self) -> Duration {
        self.slow_start
    }

    /// Whether its options are within their bounds.
    ///
    /// # Errors
    ///
    /// The first that is not.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        match &self.kind {
            Kind::ByPlace(_, home) if home.zone.is_empty() && home.region.is_empty() => {
                let rule = "by place needs a home with a region, a zone or both";
                Err(PolicyError::new("home", "nowhere", rule))
            }
            Kind::ByDistance(_, home) if home.coordinates.is_none() => {
                let rule = "by distance needs a home with a latitude and a longitude";
                Err(PolicyError::new("home", "without coordinates", rule))
            }
            Kind::ByPlace(_, home) | Kind::ByDistance(_, home) => home.validate(),
            Kind::Subset(_, 0) => Err(PolicyError::new("subset", 0, "at least 1")),
            _ => Ok(()),
        }?;
        self.kind.inner().map_or(Ok(()), |inner| inner.validate())
    }

    /// Whether it fits these nodes: their weights and coordinates are within their bounds, and one
    /// is at the home that it picks from. Whoever builds a pool asks once its nodes are named.
    ///
    /// # Errors
    ///
    /// Whatever does not fit, and what [`validate`](Policy::validate) finds.
    pub fn check<'a>(&self, nodes: impl IntoIterator<Item = &'a Facts>) -> Result<(), PolicyError> {
        self.validate()?;
        let nodes: Vec<&Facts> = nodes.into_iter().collect();
        for facts in &nodes {
            facts.validate()?;
        }
        let places: Vec<&Place> = nodes.iter().filter_map(|f| f.place.as_deref()).collect();
        if nodes.is_empty() {
            return Ok(());
        }
        self.check_home(&places)
    }

    /// Whether it picks from a home, so that what [`check`](Policy::check) says goes by where nodes are.
    pub fn has_home(&self) -> bool {
        match &self.kind {
            Kind::ByPlace(..) | Kind::ByDistance(..) => true,
            kind => kind.inner().is_some_and(Policy::has_home),
        }
    }

    fn check_home(&self, places: &[&Place]) -> Result<(), PolicyError> {
        match &self.kind {
            Kind::ByPlace(_, home) if !places.iter().any(|place| place.is_home_of(home)) => {
                let (field, value) = if home.zone.is_empty() {
                    ("region", &home.region)
                } else {
                    ("zone", &home.zone)
                };
                let rule = format!("no node is there; there are {}", Place::list(places));
                return Err(PolicyError::new(field, value, rule));
            }
            Kind::ByDistance(..) if places.iter().all(|place| place.coordinates.is_none()) => {
                let rule = "by distance needs at least one node with a latitude and a longitude";
                return Err(PolicyError::new("coordinates", "not said", rule));
            }
            _ => {}
        }
        let inner = self.kind.inner();
        inner.map_or(Ok(()), |inner| inner.check_home(places))
    }

    /// At work, with chance from `random`.
    pub(super) fn build(&self, random: &mut Random) -> Result<Box<dyn Pick>, PolicyError> {
        self.validate()?;
        Ok(self.make(random))
    }

    /// At work, once it is known to be valid: for those that build it for each part.
    pub(super) fn make(&self, random: &mut Random) -> Box<dyn Pick> {
        match &self.kind {
            Kind::Custom(make) => make(),
            Kind::Adaptive => Box::new(Adaptive::new(random)),
            Kind::HotCold => Box::new(HotCold::new()),
            Kind::RoundRobin => Box::new(RoundRobin::new()),
            Kind::Random => Box::new(Any::new()),
            Kind::Weighted => Box::new(Weighted::new(random)),
            Kind::Least(options) => Box::new(Least::new(options, random)),
            Kind::Peak(options) => Box::new(Peak::new(options, random)),
            Kind::Dynamic(options) => Box::new(Dynamic::new(options, random)),
            Kind::Hash(options) => Box::new(Hash::new(options)),
            Kind::ByPlace(inner, home) => {
                let rule = Rule::Place(Arc::clone(home));
                Box::new(Near::new(rule, inner, random))
            }
            Kind::ByDistance(inner, home) => {
                let rule = Rule::Distance(Arc::clone(home));
                Box::new(Near::new(rule, inner, random))
            }
            Kind::ByRoundTrip(inner, near) => {
                // Its bound is far below what a number of nanoseconds may be.
                let rule = Rule::RoundTrip(near.as_nanos() as Nanos);
                Box::new(Near::new(rule, inner, random))
            }
            Kind::ByPriority(inner, factor) => Box::new(ByPriority::new(inner, *factor, random)),
            Kind::Subset(inner, size) => Box::new(Subset::new(inner, *size, random)),
        }
    }
}

impl Kind {
    fn inner(&self) -> Option<&Policy> {
        match self {
            Kind::ByPlace(inner, _)
            | Kind::ByDistance(inner, _)
            | Kind::ByRoundTrip(inner, _)
            | Kind::ByPriority(inner, _)
            | Kind::Subset(inner, _) => Some(inner),
            Kind::Custom(_)
            | Kind::RoundRobin
            | Kind::Random
            | Kind::Weighted
            | Kind::Dynamic(_)
            | Kind::Least(_)
            | Kind::Peak(_)
            | Kind::Hash(_)
            | Kind::Adaptive
            | Kind::HotCold => None,
        }
    }
}

/// What was given, for an error: nothing long comes back.
pub(super) fn shortened(given: &str) -> String {
    given.chars().take(40).collect()
}

/// These names, the one that was meant first.
pub(super) fn nearest<const N: usize>(given: &str, mut names: [&'static str; N]) -> String {
    names.sort_by_key(|known| distance(given, known));
    names.join(", ")
}

/// Letters to put in, take out or change to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut before: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.chars().enumerate() {
        let mut diagonal = before[0];
        before[0] = row + 1;
        for (column, with) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *with);
            diagonal = before[column + 1];
            before[column + 1] = changed.min(diagonal + 1).min(before[column] + 1);
        }
    }
    before[other.len()]
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_a_policy_and_an_unknown_one_lists_them() {
        for name in Policy::names() {
            assert_eq!(Policy::named(name).unwrap().name(), name);
            assert!(Policy::named(name).unwrap().validate().is_ok());
        }
        let error = Policy::named("round_robbin").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("policy is round_robbin: one of round-robin, "),
            "{text}"
        );
        assert!(Policy::names().all(|name| text.contains(name)), "{text}");
        // Nothing long comes back.
        assert!(
            Policy::named(&"x".repeat(10_000))
                .unwrap_err()
                .to_string()
                .len()
                < 300
        );
        assert!(Policy::named("").is_err());
    }

    #[test]
    fn a_composed_policy_says_of_what() {
        let policy = Policy::peak_ewma()
            .by_priority()
            .by_place(Place::new("eu", ""));
        assert_eq!(policy.name(), "peak-ewma by priority by place");
        assert_eq!(
            format!("{policy:?}"),
            "Policy(peak-ewma by priority by place)"
        );
        assert_eq!(
            Policy::random().within_subset(3).name(),
            "random within a subset"
        );
    }

    #[test]
    fn slow_start_is_said_within_or_without() {
        let window = Duration::from_secs(3);
        let within = Policy::random().slow_start(window).by_priority();
        assert_eq!(within.warm_up(), window);
        assert_eq!(
            Policy::random().by_priority().slow_start(window).warm_up(),
            window
        );
        assert_eq!(Policy::random().warm_up(), SLOW_START);
    }

    fn at(region: &str, zone: &str) -> Facts {
        Facts::default().place(Place::new(region, zone))
    }

    #[track_caller]
    fn unfit(policy: &Policy, nodes: &[Facts], expected: &str) {
        assert_eq!(policy.check(nodes).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_home_where_no_node_is_is_told_with_those_there_are() {
        let nodes = [
            at("eu", "eu-1"),
            at("eu", "eu-2"),
            at("us", "us-1"),
            Facts::default(),
        ];
        let by_place =
            |region: &str, zone: &str| Policy::random().by_place(Place::new(region, zone));
        assert_eq!(by_place("eu", "eu-1").check(&nodes), Ok(()));
        assert!(by_place("eu", "eu-1").within_subset(3).has_home());
        assert!(!Policy::random().by_priority().has_home());
        assert_eq!(by_place("us", "").check(&nodes), Ok(()));
        assert_eq!(by_place("", "eu-2").check(&nodes), Ok(()));
        // Of a pool that has no nodes yet nothing is known.
        assert_eq!(by_place("mars", "m-1").check(&[]), Ok(()));
        let there = "no node is there; there are eu/eu-1, eu/eu-2, us/us-1";
        unfit(
            &by_place("eu", "eu-3"),
            &nodes,
            &format!("zone is eu-3: {there}"),
        );
        unfit(
            &by_place("asia", ""),
            &nodes,
            &format!("region is asia: {there}"),
        );
        unfit(
            &by_place("us", "eu-1"),
            &nodes,
            &format!("zone is eu-1: {there}"),
        );
        let within = by_place("eu", "eu-3").within_subset(3);
        unfit(&within, &nodes, &format!("zone is eu-3: {there}"));
        let nowhere = [Facts::default()];
        unfit(
            &by_place("eu", ""),
            &nowhere,
            "region is eu: no node is there; there are none with a place",
        );
        let many: Vec<_> = (10..30).map(|zone| at("eu", &zone.to_string())).collect();
        let error = by_place("us", "").check(&many).unwrap_err().to_string();
        assert!(error.ends_with("eu/17 and 12 more"), "{error}");
    }

    #[test]
    fn nonsense_of_places_and_weights_is_told() {
        let random = Policy::random;
        let home = |latitude, longitude| Place::default().at(latitude, longitude);
        let here = [Facts::default().place(home(1.0, 2.0))];
        let to = |place| random().by_distance(place).check(&here);
        assert_eq!(to(home(90.0, -180.0)), Ok(()));
        assert_eq!(
            to(home(f64::NAN, 0.0)).unwrap_err().to_string(),
            "latitude is NaN: from -90 to 90"
        );
        assert!(to(home(0.0, f64::INFINITY)).is_err());
        assert!(to(home(0.0, 180.1)).is_err());
        assert_eq!(to(Place::default()).unwrap_err().field(), "home");
        assert_eq!(
            random()
                .by_place(home(0.0, 0.0))
                .validate()
                .unwrap_err()
                .field(),
            "home"
        );
        let bad = Facts::default().place(home(-91.0, 0.0));
        unfit(&random(), &[bad], "latitude is -91: from -90 to 90");
        let bad = Facts::weight(1_000_001);
        unfit(&random(), &[bad], "weight is 1000001: from 0 to 1000000");
        let none = random()
            .by_distance(home(0.0, 0.0))
            .check(&[Facts::default()]);
        assert_eq!(none.unwrap_err().field(), "coordinates");
    }

    #[test]
    fn letters_to_change_are_counted() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("weighted", "weighted"), 0);
    }
}
