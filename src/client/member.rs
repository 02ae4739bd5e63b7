//! What a pool is told of a node: [`Member`], and the many ways to name several.

use std::fmt;
use std::sync::Arc;

use brokerless_patterns::Endpoint;
use brokerless_patterns::balance::{Facts, Place};

use crate::Error;

/// The heaviest weight.
const WEIGHT_MAX: i64 = 1_000;
/// The longest name of a region or a zone, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A node of a pool: where it listens, its share of the calls, and where it stands.
///
/// What is not said has its default when the node is added, and stays as it is when it is
/// [set](super::Client::set).
///
/// ```
/// use brokerless::client::{Client, Member};
///
/// let client = Client::builder()
///     .nodes([
///         Member::new("tcp://127.0.0.1:7070").weight(3).zone("eu", "eu-1").at(52.5, 13.4),
///         Member::new("tcp://127.0.0.1:7071").zone("us", "us-1").priority(1),
///     ])
///     .connect("tcp://127.0.0.1:7072")?;
/// client.set(Member::new("tcp://127.0.0.1:7070").weight(0))?;
/// # Ok::<(), brokerless::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Member {
    endpoint: String,
    weight: Option<i64>,
    priority: Option<u8>,
    zone: Option<(String, String)>,
    coordinates: Option<Coordinates>,
}

/// What is said of where a node stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Coordinates {
    /// In degrees north and east.
    At(f64, f64),
    /// Not said any more.
    Unknown,
}

impl Member {
    /// The node at this endpoint.
    pub fn new(endpoint: impl Into<String>) -> Member {
        Member {
            endpoint: endpoint.into(),
            weight: None,
            priority: None,
            zone: None,
            coordinates: None,
        }
    }

    /// Its share of the calls, beside the others'. Default 1; 0 to 1,000.
    ///
    /// A node of weight 0 is drained without leaving: it stays connected and answers what it has, and
    /// gets no more calls but those that [name it](super::Call::to). If all nodes of a pool are
    /// drained, calls fail as if none could be reached.
    pub fn weight(mut self, weight: impl Into<i64>) -> Member {
        self.weight = Some(weight.into());
        self
    }

    /// For policies [by priority](brokerless_patterns::balance::Policy): 0 is used first, others as
    /// far as those before them are not healthy. Default 0; to 255.
    pub fn priority(mut self, priority: u8) -> Member {
        self.priority = Some(priority);
        self
    }

    /// The region and the zone that it is in, for policies by place. Default: not said; at most 64
    /// bytes each.
    pub fn zone(mut self, region: &str, zone: &str) -> Member {
        self.zone = Some((region.to_owned(), zone.to_owned()));
        self
    }

    /// Where it stands, in degrees north and east, for policies by distance. Default: not said; -90 to
    /// 90, and -180 to 180.
    pub fn at(mut self, latitude: f64, longitude: f64) -> Member {
        self.coordinates = Some(Coordinates::At(latitude, longitude));
        self
    }

    /// Where it listens, as it was given.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The same, with its endpoint as it is spelled by itself.
    ///
    /// # Errors
    ///
    /// If that is malformed, or a field is out of its bounds.
    pub(crate) fn checked(mut self) -> Result<Member, Error> {
        let parsed: Endpoint = self
            .endpoint
            .parse()
            .map_err(brokerless_patterns::Error::from)?;
        self.endpoint = parsed.to_string();
        self.facts(&Facts::default())?;
        Ok(self)
    }

    /// What makes a node that was `before` into this one: what is not said here any more has its
    /// default again.
    pub(crate) fn instead_of(&self, before: &Member) -> Member {
        let mut whole = self.clone();
        whole.weight = Some(self.weight.unwrap_or(1));
        whole.priority = Some(self.priority.unwrap_or(0));
        if before.zone.is_some() && self.zone.is_none() {
            whole.zone = Some(Default::default());
        }
        if before.coordinates.is_some() && self.coordinates.is_none() {
            whole.coordinates = Some(Coordinates::Unknown);
        }
        whole
    }

    /// The facts of a node of which these are known.
    ///
    /// # Errors
    ///
    /// If a field is out of its bounds.
    pub(super) fn facts(&self, known: &Facts) -> Result<Facts, Error> {
        let mut facts = known.clone();
        if let Some(weight) = self.weight {
            let fits = u32::try_from(weight).ok().filter(|_| weight <= WEIGHT_MAX);
            facts.weight =
                fits.ok_or_else(|| Error::option("weight", weight, "from 0 to 1,000"))?;
        }
        facts.priority = self.priority.unwrap_or(facts.priority);
        if self.zone.is_some() || self.coordinates.is_some() {
            facts.place = Some(Arc::new(self.place(facts.place.as_deref())?));
        }
        Ok(facts)
    }

    fn place(&self, known: Option<&Place>) -> Result<Place, Error> {
        let mut place = known.cloned().unwrap_or_default();
        if let Some((region, zone)) = &self.zone {
            for (option, name) in [("region", region), ("zone", zone)] {
                if name.len() > NAME_BYTES_MAX {
                    let value = format!("{} bytes", name.len());
                    return Err(Error::option(option, value, "at most 64 bytes"));
                }
            }
            place.region.clone_from(region);
            place.zone.clone_from(zone);
        }
        match self.coordinates {
            Some(Coordinates::At(latitude, longitude)) => {
                // A number that is none is in no range.
                if !(-90.0..=90.0).contains(&latitude) {
                    let rule = "from -90 to 90 degrees";
                    return Err(Error::option("latitude", latitude, rule));
                }
                if !(-180.0..=180.0).contains(&longitude) {
                    let rule = "from -180 to 180 degrees";
                    return Err(Error::option("longitude", longitude, rule));
                }
                place.coordinates = Some((latitude, longitude));
            }
            Some(Coordinates::Unknown) => place.coordinates = None,
            None => {}
        }
        Ok(place)
    }
}

/// Where it listens, and what is said of it.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint)?;
        if let Some(weight) = self.weight {
            write!(f, " weight={weight}")?;
        }
        if let Some(priority) = self.priority {
            write!(f, " priority={priority}")?;
        }
        if let Some((region, zone)) = &self.zone {
            write!(f, " region={region} zone={zone}")?;
        }
        if let Some(Coordinates::At(latitude, longitude)) = self.coordinates {
            write!(f, " at={latitude},{longitude}")?;
        }
        Ok(())
    }
}

impl From<&str> for Member {
    fn from(endpoint: &str) -> Member {
        Member::new(endpoint)
    }
}

impl From<&String> for Member {
    fn from(endpoint: &String) -> Member {
        Member::new(endpoint)
    }
}

impl From<String> for Member {
    fn from(endpoint: String) -> Member {
        Member::new(endpoint)
    }
}

impl From<&Endpoint> for Member {
    fn from(endpoint: &Endpoint) -> Member {
        Member::new(endpoint.to_string())
    }
}

/// Nodes to connect to: one, or several that make a pool.
pub trait Endpoints {
    /// Each node, in order.
    fn members(&self) -> Vec<Member>;
}

impl Endpoints for str {
    fn members(&self) -> Vec<Member> {
        vec![self.into()]
    }
}

impl Endpoints for String {
    fn members(&self) -> Vec<Member> {
        vec![self.into()]
    }
}

impl Endpoints for Endpoint {
    fn members(&self) -> Vec<Member> {
        vec![self.into()]
    }
}

impl Endpoints for Member {
    fn members(&self) -> Vec<Member> {
        vec![self.clone()]
    }
}

/// None beside those that a builder was given.
impl Endpoints for () {
    fn members(&self) -> Vec<Member> {
        Vec::new()
    }
}

impl<T: Endpoints + ?Sized> Endpoints for &T {
    fn members(&self) -> Vec<Member> {
        (**self).members()
    }
}

impl<T: Endpoints> Endpoints for [T] {
    fn members(&self) -> Vec<Member> {
        self.iter().flat_map(Endpoints::members).collect()
    }
}

impl<T: Endpoints, const N: usize> Endpoints for [T; N] {
    fn members(&self) -> Vec<Member> {
        self.as_slice().members()
    }
}

impl<T: Endpoints> Endpoints for Vec<T> {
    fn members(&self) -> Vec<Member> {
        self.as_slice().members()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_as_it_was() {
        let first = Member::new("inproc://a").weight(3).zone("eu", "eu-1");
        let first = first.facts(&Facts::default()).expect("within bounds");
        assert_eq!((first.weight, first.priority), (3, 0));
        let then = Member::new("inproc://a").at(52.5, 13.4).priority(2);
        let then = then.facts(&first).expect("within bounds");
        assert_eq!((then.weight, then.priority), (3, 2));
        let place = then.place.expect("said");
        assert_eq!(
            (&*place.zone, place.coordinates),
            ("eu-1", Some((52.5, 13.4)))
        );
    }

    #[test]
    fn what_is_left_out_of_a_set_has_its_default_again() {
        let before = Member::new("inproc://a").weight(3).priority(2);
        let before = before.zone("eu", "eu-1").at(52.5, 13.4);
        let known = before.facts(&Facts::default()).expect("within bounds");
        let bare = Member::new("inproc://a").instead_of(&before);
        let facts = bare.facts(&known).expect("within bounds");
        assert_eq!((facts.weight, facts.priority), (1, 0));
        assert_eq!(facts.place.as_deref(), Some(&Place::default()));
        // One of the two stays.
        let there = Member::new("inproc://a").at(1.0, 2.0).instead_of(&before);
        let facts = there.facts(&known).expect("within bounds");
        let place = Place::default().at(1.0, 2.0);
        assert_eq!(facts.place.as_deref(), Some(&place));
        let zone = Member::new("inproc://a")
            .zone("eu", "eu-1")
            .instead_of(&before);
        let facts = zone.facts(&known).expect("within bounds");
        assert_eq!(facts.place.as_deref(), Some(&Place::new("eu", "eu-1")));
    }

    #[test]
    fn a_field_out_of_its_bounds_is_named() {
        let of = || Member::new("inproc://a");
        for (member, field) in [
            (of().weight(-1), "weight"),
            (of().weight(1_001), "weight"),
            (of().weight(1i64 << 40), "weight"),
            (of().zone(&"r".repeat(65), ""), "region"),
            (of().zone("eu", &"z".repeat(65)), "zone"),
            (of().at(90.5, 0.0), "latitude"),
            (of().at(f64::NAN, 0.0), "latitude"),
            (of().at(0.0, f64::INFINITY), "longitude"),
        ] {
            let error = member.facts(&Facts::default()).expect_err(field);
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}
