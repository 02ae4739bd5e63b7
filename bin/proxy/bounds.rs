//! The bounds of what a proxy is given, for flags, file and help alike.
//!
//! # Invariants
//!
//! 1. The proxy takes what is within, and nothing else. (test `the_proxy_has_the_same_bounds`)

use super::bounds_of::{Bounds, TIB, linger};

pub(super) use super::bounds_of::STATS;

pub(super) const HOPS_MAX: Bounds = Bounds::count(1, 64, "4");
pub(super) const QUEUE: Bounds = Bounds::count(1, 1_000_000, "1024");
pub(super) const BYTES_MAX: Bounds = Bounds::size(1 << 10, TIB, "256MiB");
pub(super) const BLOB_BYTES_MAX: Bounds = Bounds::size(1, TIB, "16MiB");
pub(super) const WINDOW_MAX: Bounds = Bounds::count(1, 65_536, "1024");
pub(super) const LINGER: Bounds = linger("10s");
pub(super) const WEIGHT: Bounds = Bounds::count(0, 1_000, "1");
pub(super) const PRIORITY: Bounds = Bounds::count(0, 255, "0");
/// Bytes of the proxy's name.
pub(super) const NAME_BYTES_MAX: usize = 255;
/// Bytes of the name of a region or a zone.
pub(super) const ZONE_BYTES_MAX: usize = 64;
/// Degrees to the north, negative to the south.
pub(super) const LATITUDE: (f64, f64) = (-90.0, 90.0);
/// Degrees to the east, negative to the west.
pub(super) const LONGITUDE: (f64, f64) = (-180.0, 180.0);

/// The proxy's name.
pub(super) fn name(given: &str) -> Result<String, String> {
    match given.len() {
        0..=NAME_BYTES_MAX => Ok(given.to_owned()),
        long => Err(format!(
            "it has {long} bytes, and at most {NAME_BYTES_MAX} are allowed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use brokerless::Error;
    use brokerless::proxy::{Member, Proxy, ProxyBuilder};

    use super::*;

    /// Whether a proxy of these can be; it is said which option cannot.
    fn can_be(builder: ProxyBuilder) -> bool {
        let proxy = builder.bind("inproc://bounds-of-a-proxy");
        match &proxy {
            Ok(_) => true,
            Err(Error::Option { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_proxy_has_the_same_bounds() {
        type Set = fn(ProxyBuilder, u64) -> ProxyBuilder;
        let all: [(Bounds, Set); 5] = [
            (HOPS_MAX, |to, it| to.hops_max(it as u32)),
            (QUEUE, |to, it| to.queue(it as usize)),
            (BYTES_MAX, |to, it| to.bytes_max(it)),
            (BLOB_BYTES_MAX, |to, it| to.blob_bytes_max(it)),
            (WINDOW_MAX, |to, it| {
                to.window(it.clamp(1, 16) as u32).window_max(it as u32)
            }),
        ];
        let of = |node: Member| Proxy::builder().nodes([node]);
        let node = || Member::new("inproc://bounds-of-a-node");
        for (bounds, set) in all {
            for (value, fits) in [
                (bounds.least, true),
                (bounds.most, true),
                (bounds.least - 1, false),
                (bounds.most + 1, false),
            ] {
                assert_eq!(can_be(set(of(node()), value)), fits, "{bounds}: {value}");
            }
        }
        let time = |ms| std::time::Duration::from_millis(ms);
        assert!(can_be(of(node()).drain_timeout(time(LINGER.most))));
        assert!(!can_be(of(node()).drain_timeout(time(LINGER.most + 1))));
        let named = |bytes: usize| of(node()).name("n".repeat(bytes));
        assert!(can_be(named(NAME_BYTES_MAX)) && !can_be(named(NAME_BYTES_MAX + 1)));
        let weight = |it: u64| of(node().weight(it as i64));
        assert!(can_be(weight(WEIGHT.most)) && !can_be(weight(WEIGHT.most + 1)));
        let zone = |bytes: usize| of(node().zone("eu", &"z".repeat(bytes)));
        assert!(can_be(zone(ZONE_BYTES_MAX)) && !can_be(zone(ZONE_BYTES_MAX + 1)));
        let (south, west) = (LATITUDE.0, LONGITUDE.0);
        assert!(can_be(of(node().at(south, west))));
        assert!(!can_be(of(node().at(south - 0.1, west))));
        assert!(!can_be(of(node().at(south, west - 0.1))));
    }
}
