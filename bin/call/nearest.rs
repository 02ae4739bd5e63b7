//! The name that is most like one that is not there.

/// Bytes of a name that is compared.
const BYTES_MAX: usize = 255;

/// The name that is most like the wanted one, if any is like it.
pub(super) fn nearest<'n>(
    wanted: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    if wanted.len() > BYTES_MAX {
        return None;
    }
    let wanted = wanted.to_lowercase();
    let alike = (wanted.chars().count() / 2).max(2);
    names
        .into_iter()
        .filter(|name| name.len() <= BYTES_MAX)
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wanted, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(edits, _)| *edits <= alike)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_if_there_is_one_like_it() {
        let names = ["add", "divide", "find"];
        assert_eq!(nearest("ad", names), Some("add"));
        assert_eq!(nearest("dvidie", names), Some("divide"));
        assert_eq!(nearest("FIND", names), Some("find"));
        assert_eq!(nearest("multiply", names), None);
        assert_eq!(nearest(&"a".repeat(1000), names), None);
    }
}
