//! Where nodes are.

use std::fmt;

use super::error::PolicyError;

/// Where a node or a caller is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// A region, such as `eu`. Empty: not said.
    pub region: String,
    /// A zone of it, such as `eu-1a`. Empty: not said.
    pub zone: String,
    /// Latitude and longitude in degrees.
    pub coordinates: Option<(f64, f64)>,
}

impl Place {
    /// A zone of a region.
    pub fn new(region: &str, zone: &str) -> Place {
        Place {
            region: region.to_owned(),
            zone: zone.to_owned(),
            coordinates: None,
        }
    }

    /// At this latitude, from -90 to 90 degrees, and this longitude, from -180 to 180.
    #[must_use]
    pub fn at(self, latitude: f64, longitude: f64) -> Place {
        Place {
            coordinates: Some((latitude, longitude)),
            ..self
        }
    }

    /// How far it is to another, on the surface of a sphere of the Earth's size; none if it is not
    /// said of both where they are.
    pub fn km_to(&self, other: &Place) -> Option<f64> {
        const EARTH_KM: f64 = 6371.0;
        let (from, to) = (self.coordinates?, other.coordinates?);
        let (lat, to_lat) = (from.0.to_radians(), to.0.to_radians());
        let (north, east) = (to_lat - lat, (to.1 - from.1).to_radians());
        // The haversine, which is exact for small distances, too.
        let half =
            (north / 2.0).sin().powi(2) + lat.cos() * to_lat.cos() * (east / 2.0).sin().powi(2);
        Some(2.0 * EARTH_KM * half.sqrt().min(1.0).asin())
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        let Some((latitude, longitude)) = self.coordinates else {
            return Ok(());
        };
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(PolicyError::new("latitude", latitude, "from -90 to 90"));
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(PolicyError::new("longitude", longitude, "from -180 to 180"));
        }
        Ok(())
    }

    /// Whether it is where `home` says, as exactly as that does.
    pub(super) fn is_home_of(&self, home: &Place) -> bool {
        (home.region.is_empty() || home.region == self.region)
            && (home.zone.is_empty() || home.zone == self.zone)
    }

    /// How near a place is to this as home: 0 in the zone, 1 in the region, 2 elsewhere.
    pub(super) fn tier_of(&self, place: &Place) -> usize {
        let is_region = !self.region.is_empty() && self.region == place.region;
        let is_zone = !self.zone.is_empty() && self.zone == place.zone;
        match (is_zone, is_region) {
            (true, true) => 0,
            (true, false) if self.region.is_empty() => 0,
            (_, true) => 1,
            _ => 2,
        }
    }

    /// Some of these, for an error.
    pub(super) fn list(places: &[&Place]) -> String {
        let mut names: Vec<String> = places.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        let more = names.len().saturating_sub(8);
        names.truncate(8);
        match more {
            0 if names.is_empty() => "none with a place".to_owned(),
            0 => names.join(", "),
            _ => format!("{} and {more} more", names.join(", ")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.region.as_str(), self.zone.as_str()) {
            ("", "") => f.write_str("nowhere"),
            (region, "") => f.write_str(region),
            ("", zone) => f.write_str(zone),
            (region, zone) => write!(f, "{region}/{zone}"),
        }
    }
}
