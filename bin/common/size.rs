//! Sizes as a user writes them.

/// A count of bytes with an optional unit.
pub(crate) fn size(given: &str) -> Result<u64, String> {
    let digits = given.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match given[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "t" | "tb" => 1_000_000_000_000,
        "tib" => 1 << 40,
        _ => 0,
    };
    match digits.trim_end().parse::<u64>() {
        Ok(number) if number > 0 && unit > 0 => number
            .checked_mul(unit)
            .ok_or_else(|| "more bytes than can be counted".to_owned()),
        _ => Err(
            "a size is a whole number from 1 and perhaps a unit of B, kB, MB, GB, TB, \
                  KiB, MiB, GiB or TiB, such as 64MiB"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("2 kB"), Ok(2000));
        assert_eq!(size("1TiB"), Ok(1 << 40));
        for bad in ["", "0", "MB", "1.5MB", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
