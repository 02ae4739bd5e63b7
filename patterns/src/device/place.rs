//! A place of a device: an endpoint, and whether it is bound or connected to.
//!
//! # Invariants
//!
//! 1. A place that was parsed can be bound or connected to as it says. (test
//!    `a_place_says_whether_it_binds`)
//! 2. A place displays as text that parses to itself. (same test)

use std::fmt;
use std::str::FromStr;

use crate::link::{Endpoint, EndpointError};

/// A side of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Where requests, publications or tasks come in.
    Frontend,
    /// Where they go out.
    Backend,
    /// Where copies of everything go out.
    Capture,
    /// Where commands come in.
    Control,
}

impl Side {
    /// All of them.
    pub const ALL: [Side; 4] = [Side::Frontend, Side::Backend, Side::Capture, Side::Control];

    /// Its name, as flags and statistics have it.
    pub fn name(self) -> &'static str {
        match self {
            Side::Frontend => "frontend",
            Side::Backend => "backend",
            Side::Capture => "capture",
            Side::Control => "control",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An endpoint with the way to use it: `@` before it binds, `>` connects. Without either it binds.
///
/// A port alone is one of this machine: `5555` stands for `tcp://127.0.0.1:5555`, `*` for any
/// free one.
///
/// ```
/// use brokerless_patterns::device::Place;
///
/// let place: Place = ">tcp://10.0.0.1:5555".parse()?;
/// assert!(!place.binds());
/// let place: Place = "5555".parse()?;
/// assert_eq!(place.to_string(), "@tcp://127.0.0.1:5555");
/// # Ok::<(), brokerless_patterns::device::PlaceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    binds: bool,
    endpoint: Endpoint,
}

impl Place {
    /// Whether it is bound; else it is connected to.
    pub fn binds(&self) -> bool {
        self.binds
    }

    /// The endpoint, wildcards not resolved.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The places of a list with commas between.
    ///
    /// # Errors
    ///
    /// The first that is none. An empty list has none.
    pub fn list(text: &str) -> Result<Vec<Place>, PlaceError> {
        text.split(',').map(|part| part.trim().parse()).collect()
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let refused = |error| PlaceError {
            place: text.to_owned(),
            error,
        };
        let (binds, rest) = match text.as_bytes().first() {
            Some(b'@') => (true, &text[1..]),
            Some(b'>') => (false, &text[1..]),
            _ => (true, text),
        };
        let is_port = rest == "*" || (!rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
        let endpoint: Result<Endpoint, _> = if is_port {
            format!("tcp://127.0.0.1:{rest}").parse()
        } else {
            rest.parse()
        };
        let endpoint = endpoint.map_err(refused)?;
        let checked = if binds {
            endpoint.check_bind()
        } else {
            endpoint.check_connect()
        };
        checked.map_err(refused)?;
        Ok(Place { binds, endpoint })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.binds { '@' } else { '>' };
        write!(f, "{sign}{}", self.endpoint)
    }
}

/// Text that is no place of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceError {
    place: String,
    error: EndpointError,
}

impl PlaceError {
    /// The text given.
    pub fn place(&self) -> &str {
        &self.place
    }
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The endpoint's own error names it, but not what stood before it.
        let error = self.error.to_string();
        if !error.contains(&format!("`{}`", self.place)) {
            write!(f, "`{}`: ", self.place)?;
        }
        write!(f, "{error} (`@` before an endpoint binds, `>` connects)")
    }
}

impl std::error::Error for PlaceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The places of all sides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    lists: [Vec<Place>; Side::ALL.len()],
}

impl Places {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The places of a side.
    pub fn of(&self, side: Side) -> &[Place] {
        &self.lists[side as usize]
    }

    /// Gives a side these places instead of those it had.
    pub fn set(&mut self, side: Side, places: Vec<Place>) {
        self.lists[side as usize] = places;
    }

    /// Adds a place to a side.
    pub fn add(&mut self, side: Side, place: Place) {
        self.lists[side as usize].push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_whether_it_binds() {
        for (text, binds, endpoint) in [
            ("tcp://127.0.0.1:5555", true, "tcp://127.0.0.1:5555"),
            ("@tcp://*:5555", true, "tcp://*:5555"),
            ("@ipc://@abstract", true, "ipc://@abstract"),
            (">inproc://name", false, "inproc://name"),
            (">tcp://host:1", false, "tcp://host:1"),
            ("5555", true, "tcp://127.0.0.1:5555"),
            ("*", true, "tcp://127.0.0.1:*"),
            (">5555", false, "tcp://127.0.0.1:5555"),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(
                (place.binds(), &*place.endpoint().to_string()),
                (binds, endpoint)
            );
            assert_eq!(place.to_string().parse(), Ok(place));
        }
    }

    #[test]
    fn what_is_no_place_is_named_with_the_rule_and_the_way_out() {
        for bad in [
            "",
            "@",
            ">",
            "@@tcp://*:1",
            "99999",
            ">tcp://*:5555",
            "udp://x:1",
            ">*",
        ] {
            let error = bad.parse::<Place>().expect_err(bad).to_string();
            assert!(error.contains(&format!("`{bad}`")), "{error}");
            assert!(error.contains("`>` connects"), "{error}");
        }
    }

    #[test]
    fn a_list_has_commas_between() {
        let places = Place::list("@tcp://127.0.0.1:1, >tcp://127.0.0.1:2,3").unwrap();
        assert_eq!(places.len(), 3);
        assert!(!places[1].binds());
        assert!(Place::list("1,,2").is_err());
    }
}
