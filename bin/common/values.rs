//! Endpoints as flags and the file give them.

use brokerless::patterns::device::{Place, PlaceError};

/// An endpoint, to bind or to connect to.
pub(crate) fn place(given: &str) -> Result<Place, String> {
    given
        .trim()
        .parse()
        .map_err(|error: PlaceError| error.to_string())
}
