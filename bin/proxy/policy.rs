//! The policy of the proxy: in words, or as a table of the file.
//!
//! # Invariants
//!
//! 1. What is wrong with an option is named by its own line. (test
//!    `an_option_that_is_wrong_is_named_with_its_line`)
//!
//! # Not here
//!
//! Which options there are, and their bounds: the library's `PolicyText`.

use std::fmt;
use std::ops::Range;

use brokerless::balance::{PolicyError, PolicyText};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use toml::{Spanned, Value};

use super::config::line;

/// As it is written in the file: `policy = "peak-ewma,choices=3"`, or a table with `name` and the
/// options.
#[derive(Debug)]
pub(super) enum Written {
    Words(String),
    Table(Vec<(Spanned<String>, Spanned<Value>)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Written, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a policy, or a table with name and options")
            }

            fn visit_str<E>(self, words: &str) -> Result<Written, E> {
                Ok(Written::Words(words.to_owned()))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Written, M::Error> {
                let mut table = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    table.push(entry);
                }
                Ok(Written::Table(table))
            }
        }

        from.deserialize_any(Either)
    }
}

/// What the file says of it.
#[derive(Debug, Default)]
pub(super) struct OfFile {
    pub(super) policy: Option<Spanned<Written>>,
    pub(super) home: Option<Spanned<String>>,
    pub(super) by_priority: Option<bool>,
}

impl OfFile {
    /// The policy, if one is named.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or with it and `home` and `by-priority`, and in which line.
    pub(super) fn read(&self, text: &str) -> Result<Option<PolicyText>, String> {
        let at = |span: Range<usize>, error: &dyn fmt::Display| {
            format!("line {}, {error}", line(text, span.start).0)
        };
        let policy = match &self.policy {
            None => None,
            Some(written) => Some(match written.get_ref() {
                Written::Words(words) => {
                    words.parse().map_err(|error| at(written.span(), &error))?
                }
                Written::Table(table) => {
                    of_table(table).map_err(|(span, error)| at(span, &error))?
                }
            }),
        };
        let home = self.home.as_ref().map(|home| home.get_ref().as_str());
        let whole = combined(policy.as_ref(), home, self.by_priority);
        let whole = whole.and_then(|whole| whole.map(|it| it.policy()).transpose());
        if let Err(error) = whole {
            return Err(at(self.span_of(error.field()), &error));
        }
        Ok(policy)
    }

    /// Where this key stands.
    fn span_of(&self, key: &str) -> Range<usize> {
        if let Some(home) = self.home.as_ref().filter(|_| key == "home") {
            return home.span();
        }
        match self.policy.as_ref().map(|it| (it.span(), it.get_ref())) {
            Some((_, Written::Table(table))) if table.iter().any(|(it, _)| it.get_ref() == key) => {
                let mut keys = table.iter().filter(|(it, _)| it.get_ref() == key);
                keys.next().map_or(0..0, |(it, _)| it.span())
            }
            Some((span, _)) => span,
            None => 0..0,
        }
    }
}

fn of_table(
    table: &[(Spanned<String>, Spanned<Value>)],
) -> Result<PolicyText, (Range<usize>, PolicyError)> {
    let in_words = |key: &Spanned<String>, value: &Spanned<Value>| match value.get_ref() {
        Value::String(words) => Ok(words.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(is) => Ok(is.to_string()),
        _ => {
            let rule = format!(
                "`{}` has to be text, a number, true or false",
                key.get_ref()
            );
            Err((
                key.span(),
                PolicyError::new("policy", "a list or a table", rule),
            ))
        }
    };
    let is_name = |key: &Spanned<String>| key.get_ref() == "name";
    let mut policy = match table.iter().find(|(key, _)| is_name(key)) {
        Some((key, value)) => {
            let name = in_words(key, value)?;
            PolicyText::new(&name).map_err(|error| (value.span(), error))?
        }
        None => PolicyText::default(),
    };
    for (key, value) in table.iter().filter(|(key, _)| !is_name(key)) {
        let words = in_words(key, value)?;
        policy = policy
            .with(key.get_ref(), &words)
            .map_err(|error| (key.span(), error))?;
    }
    Ok(policy)
}

/// What it is with what is said beside it; nothing, if nothing is said.
///
/// # Errors
///
/// If the same is said twice.
pub(super) fn combined(
    policy: Option<&PolicyText>,
    home: Option<&str>,
    by_priority: Option<bool>,
) -> Result<Option<PolicyText>, PolicyError> {
    let by_priority = by_priority == Some(true);
    if policy.is_none() && home.is_none() && !by_priority {
        return Ok(None);
    }
    let mut policy = policy.cloned().unwrap_or_default();
    if by_priority && policy.get("by-priority") != Some("true") {
        policy = policy.with("by-priority", "true")?;
    }
    if let Some(home) = home {
        if policy.get("by-place").is_some() {
            let rule = "the policy says by-place already: leave one of the two out";
            return Err(PolicyError::new("home", home, rule));
        }
        policy = policy
            .with("by-place", home)
            .map_err(|error| PolicyError::new("home", home, error.rule()))?;
    }
    Ok(Some(policy))
}

/// The options, for the help: a line or two for each.
pub(super) fn help() -> String {
    let mut lines = Vec::new();
    for option in PolicyText::options() {
        let of = match option.of {
            [] => String::new(),
            of => format!("; of {}", of.join(" and ")),
        };
        let (key, bounds, about) = (option.key, option.bounds, option.about);
        lines.push(format!("    {key:15} {about};\n    {:15} {bounds}{of}", ""));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct File {
        policy: Option<Spanned<Written>>,
        home: Option<Spanned<String>>,
        by_priority: Option<bool>,
    }

    fn read(text: &str) -> Result<Option<PolicyText>, String> {
        let file: File = toml::from_str(text).expect(text);
        let of_file = OfFile {
            policy: file.policy,
            home: file.home,
            by_priority: file.by_priority,
        };
        of_file.read(text)
    }

    #[test]
    fn a_table_and_words_say_the_same() {
        for (table, words) in [
            ("policy = \"peak-ewma\"", "peak-ewma"),
            ("policy = \"peak-ewma, choices=3\"", "peak-ewma,choices=3"),
            ("[policy]\nslow-start = \"10s\"", "adaptive,slow-start=10s"),
            (
                "[policy]\nsubset = 5\nbias = 1.5\nname = \"least-in-flight\"\n\
                 by-distance = \"52.5/13.4\"\nby-priority = true\noverprovision = 2",
                "least-in-flight,bias=1.5,subset=5,by-priority,overprovision=2,by-distance=52.5/13.4",
            ),
            (
                "[policy]\nnear = \"200us\"\nby-round-trip = true",
                "adaptive,by-round-trip,near=200us",
            ),
            (
                "policy = { name = \"dynamic\", blackout = \"2s\" }",
                "dynamic,blackout=2s",
            ),
        ] {
            assert_eq!(read(table), Ok(Some(words.parse().expect(words))));
        }
        assert_eq!(read("home = \"eu\""), Ok(None));
        // Needed by another key, said beside it.
        assert!(read("by-priority = true\n[policy]\noverprovision = 2").is_ok());
    }

    #[test]
    fn an_option_that_is_wrong_is_named_with_its_line() {
        for (text, error) in [
            (
                "\n[policy]\nname = \"best\"",
                "line 3, policy is best: one of ",
            ),
            (
                "[policy]\nname = \"random\"\n\ndecay = \"1s\"",
                "line 4, decay is 1s: `random` has no such option",
            ),
            (
                "[policy]\nslow-start = \"2h\"",
                "line 2, slow-start is 2h: from 0s to 1h",
            ),
            (
                "[policy]\nslow-strat = \"2h\"",
                "line 2, option is slow-strat: one of slow-start, ",
            ),
            (
                "[policy]\nsubset = [5]",
                "line 2, policy is a list or a table: `subset` has to be text",
            ),
            (
                "[policy]\nsubset = 5\noverprovision = 2",
                "line 3, overprovision is 2: it goes with by-priority",
            ),
            (
                "[policy]\nnear = \"2ms\"",
                "line 2, near is 2ms: it goes with by-round-trip",
            ),
            (
                "\nhome = \"eu\"\n[policy]\nby-place = \"us\"",
                "line 2, home is eu: the policy says by-place already",
            ),
            ("\nhome = \"/\"", "line 2, home is /: REGION/ZONE"),
            (
                "\npolicy = \"random,subset=0\"",
                "line 2, subset is 0: from 1",
            ),
        ] {
            let told = read(text).expect_err(text);
            assert!(told.starts_with(error), "{text}: {told}");
        }
    }

    #[test]
    fn what_is_said_beside_it_is_part_of_it() {
        let named = |words: &str| words.parse::<PolicyText>().expect(words);
        let whole = |words: &str, home, by_priority| {
            combined(Some(&named(words)), home, by_priority).expect("it is right")
        };
        assert_eq!(
            whole("random", Some("eu"), Some(true)),
            Some(named("random,by-priority,by-place=eu"))
        );
        assert_eq!(
            whole("random,by-priority", None, Some(true)),
            Some(named("random,by-priority"))
        );
        assert_eq!(combined(None, None, Some(false)), Ok(None));
        let home = combined(None, Some("eu/eu-1"), None).expect("it is right");
        assert_eq!(home, Some(named("adaptive,by-place=eu/eu-1")));
    }

    #[test]
    fn the_help_has_every_option() {
        let help = help();
        for option in PolicyText::options() {
            assert!(help.contains(option.key) && help.contains(option.bounds));
        }
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }
}
