//! Where nodes are.

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
}
