//! A policy in words: its name and its options, as command lines and files give them.
//!
//! A table says of each option what it is called, who has it, and its bounds; from that come what is
//! read, what is refused, and the text for those who ask. Options have no order: whatever the words',
//! a policy is composed in that of the table.
//!
//! # Invariants
//!
//! 1. What the table says of an option is so: who has it, and its bounds. (test
//!    `the_table_says_what_holds`)
//! 2. What is wrong is told by its key, its value and the rule. (test
//!    `what_is_wrong_is_told_by_key_value_and_rule`)
//!
//! # Not here
//!
//! What an option does, and what checks its bounds: `options`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::error::PolicyError;
use super::place::Place;
use super::policy::{Policy, nearest, shortened};

/// A policy by its name and options: `peak-ewma`, or `peak-ewma,choices=3,slow-start=10s`.
///
/// ```
/// use brokerless_patterns::balance::{Place, Policy, PolicyText};
///
/// let text: PolicyText = "peak-ewma,choices=3,by-priority,by-place=eu/eu-1".parse()?;
/// let policy = text.policy()?;
/// assert_eq!(policy.name(), "peak-ewma by priority by place");
///
/// let error = "adaptive,choices=3".parse::<Policy>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "choices is 3: `adaptive` has no such option; least-in-flight and peak-ewma have it",
/// );
/// # Ok::<(), brokerless_patterns::balance::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    name: String,
    /// By their places in the table.
    options: Vec<(usize, String)>,
}

/// An option that policies have, for whoever has to tell what there is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PolicyOption {
    /// What it is called, such as `slow-start`.
    pub key: &'static str,
    /// What it does, and its default.
    pub about: &'static str,
    /// What it may be, such as `from 1s to 1h`.
    pub bounds: &'static str,
    /// The policies that have it; empty: all have.
    pub of: &'static [&'static str],
    /// The option that it goes with: that has to be said, too.
    pub with: Option<&'static str>,
    apply: Apply,
}

/// How a value is read, and where it goes.
#[derive(Debug, Clone, Copy)]
enum Apply {
    Count(fn(Policy, usize) -> Policy),
    Number(fn(Policy, f64) -> Policy),
    Time(fn(Policy, Duration) -> Policy),
    Flag(fn(Policy) -> Policy),
    /// A region and a zone.
    Zone(fn(Policy, Place) -> Policy),
    /// A latitude and a longitude.
    Point(fn(Policy, Place) -> Policy),
}

/// The longest name of a region or a zone, as of nodes.
const NAME_BYTES_MAX: usize = 64;
const DYNAMIC: &[&str] = &["dynamic"];

/// Every option, in the order in which they are applied: from within to without.
const OPTIONS: [PolicyOption; 16] = [
    PolicyOption {
        key: "choices",
        about: "of how many nodes the best is taken [default: 2]",
        bounds: "from 1 to 1000",
        of: &["least-in-flight", "peak-ewma"],
        with: None,
        apply: Apply::Count(Policy::choices),
    },
    PolicyOption {
        key: "bias",
        about: "how much what is in flight counts where weights differ [default: 1]",
        bounds: "from 0 to 10",
        of: &["least-in-flight"],
        with: None,
        apply: Apply::Number(Policy::bias),
    },
    PolicyOption {
        key: "decay",
        about: "how long a slow answer is remembered [default: 10s]",
        bounds: "from 1ms to 1h",
        of: &["peak-ewma"],
        with: None,
        apply: Apply::Time(Policy::decay),
    },
    PolicyOption {
        key: "blackout",
        about: "how long a node reports before it is believed [default: 10s]",
        bounds: "from 0s to 1h",
        of: DYNAMIC,
        with: None,
        apply: Apply::Time(Policy::blackout),
    },
    PolicyOption {
        key: "weight-expiry",
        about: "when a node that does not report has its weight forgotten [default: 3m]",
        bounds: "from 1s to 24h",
        of: DYNAMIC,
        with: None,
        apply: Apply::Time(Policy::weight_expiry),
    },
    PolicyOption {
        key: "update-period",
        about: "how often new weights hold [default: 1s]",
        bounds: "from 100ms to 1h",
        of: DYNAMIC,
        with: None,
        apply: Apply::Time(Policy::update_period),
    },
    PolicyOption {
        key: "error-penalty",
        about: "how much errors take of a weight [default: 1]",
        bounds: "from 0 to 1000",
        of: DYNAMIC,
        with: None,
        apply: Apply::Number(Policy::error_penalty),
    },
    PolicyOption {
        key: "load-bound",
        about: "times its share before keys go on to the next node [default: 1.25]",
        bounds: "from 1 to 100",
        of: &["consistent-hash"],
        with: None,
        apply: Apply::Number(Policy::load_bound),
    },
    PolicyOption {
        key: "subset",
        about: "so many nodes of each zone and priority, others for each caller [default: all]",
        bounds: "from 1",
        of: &[],
        with: None,
        apply: Apply::Count(Policy::within_subset),
    },
    PolicyOption {
        key: "by-priority",
        about: "lower priorities as far as those before them are not healthy [default: false]",
        bounds: "true or false",
        of: &[],
        with: None,
        apply: Apply::Flag(Policy::by_priority),
    },
    PolicyOption {
        key: "overprovision",
        about: "times its share that a priority is good for, with by-priority [default: 1.4]",
        bounds: "from 1 to 10",
        of: &[],
        with: Some("by-priority"),
        apply: Apply::Number(Policy::overprovision),
    },
    PolicyOption {
        key: "by-distance",
        about: "the nearest first, from here, by coordinates",
        bounds: "LATITUDE/LONGITUDE in degrees, such as 52.5/13.4",
        of: &[],
        with: None,
        apply: Apply::Point(Policy::by_distance),
    },
    PolicyOption {
        key: "by-round-trip",
        about: "the nearest first, as heartbeats measure it [default: false]",
        bounds: "true or false",
        of: &[],
        with: None,
        apply: Apply::Flag(Policy::by_round_trip),
    },
    PolicyOption {
        key: "near",
        about: "longer than the nearest's and still near, with by-round-trip [default: 1ms]",
        bounds: "from 10us to 1s",
        of: &[],
        with: Some("by-round-trip"),
        apply: Apply::Time(Policy::near),
    },
    PolicyOption {
        key: "by-place",
        about: "this zone first, then its region",
        bounds: "REGION/ZONE or REGION, of 64 bytes each at most",
        of: &[],
        with: None,
        apply: Apply::Zone(Policy::by_place),
    },
    // Holds for the whole, however that is composed.
    PolicyOption {
        key: "slow-start",
        about: "how long a node that comes up gets less than its share [default: 500ms]",
        bounds: "from 0s to 1h",
        of: &[],
        with: None,
        apply: Apply::Time(Policy::slow_start),
    },
];

impl PolicyText {
    /// By this name, with options as they are unless said.
    ///
    /// # Errors
    ///
    /// If there is none of this name, as [`Policy::named`].
    pub fn new(name: &str) -> Result<PolicyText, PolicyError> {
        Policy::named(name)?;
        Ok(PolicyText {
            name: name.to_owned(),
            options: Vec::new(),
        })
    }

    /// With this option.
    ///
    /// # Errors
    ///
    /// If there is none of this name, the policy has it not, it was given before, or the value is
    /// not one, or out of its bounds.
    pub fn with(mut self, key: &str, value: &str) -> Result<PolicyText, PolicyError> {
        let Some(at) = OPTIONS.iter().position(|option| option.key == key) else {
            let short = shortened(key);
            let rule = format!("one of {}", nearest(&short, OPTIONS.map(|it| it.key)));
            return Err(PolicyError::new("option", short, rule));
        };
        let option = &OPTIONS[at];
        let wrong = |rule: String| PolicyError::new(option.key, shortened(value), rule);
        if !option.of.is_empty() && !option.of.contains(&&*self.name) {
            let (name, of) = (&self.name, option.of.join(" and "));
            let have = if option.of.len() > 1 { "have" } else { "has" };
            let rule = format!("`{name}` has no such option; {of} {have} it");
            return Err(wrong(rule));
        }
        if self.options.iter().any(|(other, _)| *other == at) {
            return Err(wrong("it was given before".to_owned()));
        }
        // By itself, so that what is wrong is known to be this.
        let mut alone = Policy::named(&self.name)?;
        let needed = |it: &&PolicyOption| option.with == Some(it.key);
        if let Some(needed) = OPTIONS.iter().find(needed) {
            alone = needed.set(alone.clone(), "true").unwrap_or(alone);
        }
        let set = option.set(alone, value);
        if set.is_none_or(|policy| policy.validate().is_err()) {
            return Err(wrong(option.bounds.to_owned()));
        }
        self.options.push((at, value.to_owned()));
        self.options.sort_unstable_by_key(|(at, _)| *at);
        Ok(self)
    }

    /// The policy that it says.
    ///
    /// # Errors
    ///
    /// If an option needs another that is not there.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        let mut policy = Policy::named(&self.name)?;
        for (at, value) in &self.options {
            let option = &OPTIONS[*at];
            let wrong = |rule: &str| PolicyError::new(option.key, shortened(value), rule);
            if let Some(needed) = option.with.filter(|it| self.get(it) != Some("true")) {
                return Err(wrong(&format!("it goes with {needed}: say that, too")));
            }
            policy = option
                .set(policy, value)
                .ok_or_else(|| wrong(option.bounds))?;
        }
        policy.validate()?;
        Ok(policy)
    }

    /// What was given for this option.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut options = self.options.iter();
        let found = options.find(|(at, _)| OPTIONS[*at].key == key);
        found.map(|(_, value)| &**value)
    }

    /// Every option there is, in the order in which they are applied: from within to without.
    pub fn options() -> &'static [PolicyOption] {
        &OPTIONS
    }
}

impl PolicyOption {
    /// The policy with this value, if that can be read.
    fn set(&self, policy: Policy, value: &str) -> Option<Policy> {
        let value = value.trim();
        Some(match self.apply {
            Apply::Count(set) => set(policy, value.parse().ok()?),
            Apply::Number(set) => set(policy, value.parse().ok()?),
            Apply::Time(set) => set(policy, time(value)?),
            Apply::Flag(set) => match value {
                "true" => set(policy),
                "false" => policy,
                _ => return None,
            },
            Apply::Zone(set) => {
                let (region, zone) = value.split_once('/').unwrap_or((value, ""));
                if region.len() > NAME_BYTES_MAX || zone.len() > NAME_BYTES_MAX {
                    return None;
                }
                set(policy, Place::new(region, zone))
            }
            Apply::Point(set) => {
                let (latitude, longitude) = value.split_once('/')?;
                let degrees = |text: &str| text.trim().parse().ok();
                let home = Place::default().at(degrees(latitude)?, degrees(longitude)?);
                set(policy, home)
            }
        })
    }
}

/// `adaptive`.
impl Default for PolicyText {
    fn default() -> PolicyText {
        PolicyText {
            name: "adaptive".to_owned(),
            options: Vec::new(),
        }
    }
}

/// `NAME`, or `NAME,KEY=VALUE,..`; of what is true or false the key will do.
impl FromStr for PolicyText {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<PolicyText, PolicyError> {
        let mut words = text.split(',').map(str::trim);
        let mut policy = PolicyText::new(words.next().unwrap_or_default())?;
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, "true"));
            policy = policy.with(key.trim(), value.trim())?;
        }
        Ok(policy)
    }
}

/// As [`PolicyText`].
impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Policy, PolicyError> {
        text.parse::<PolicyText>()?.policy()
    }
}

impl fmt::Display for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (at, value) in &self.options {
            write!(f, ",{}={value}", OPTIONS[*at].key)?;
        }
        Ok(())
    }
}

/// A whole number and a unit.
fn time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let us = match &text[digits.len()..] {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "" if text == "0" => 1,
        _ => return None,
    };
    let number: u64 = digits.trim_end().parse().ok()?;
    number.checked_mul(us).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = text.parse::<Policy>().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    /// A value at the least or the most of these bounds, and one beyond each.
    fn ends(bounds: &str) -> Option<[(String, String); 2]> {
        let (least, most) = bounds.strip_prefix("from ")?.split_once(" to ")?;
        let unit = |text: &str| {
            text.trim_start_matches(|c: char| c.is_ascii_digit())
                .to_owned()
        };
        let number = |text: &str| text.trim_end_matches(char::is_alphabetic).parse::<i64>();
        let (low, high) = (number(least).unwrap(), number(most).unwrap());
        Some([
            (least.to_owned(), format!("{}{}", low - 1, unit(least))),
            (most.to_owned(), format!("{}{}", high + 1, unit(most))),
        ])
    }

    #[test]
    fn the_table_says_what_holds() {
        for name in Policy::names() {
            for option in PolicyText::options() {
                let has = option.of.is_empty() || option.of.contains(&name);
                let text = |value: &str| PolicyText::new(name).unwrap().with(option.key, value);
                if let Some(ends) = ends(option.bounds) {
                    for (at, beyond) in ends {
                        assert_eq!(text(&at).is_ok(), has, "{name} {} {at}", option.key);
                        let error = text(&beyond).unwrap_err().to_string();
                        let start = format!("{} is {beyond}: ", option.key);
                        assert!(error.starts_with(&start), "{error}");
                        assert_eq!(error.ends_with(option.bounds), has, "{error}");
                    }
                } else {
                    assert!(has, "{}", option.key);
                }
                let default = option.about.split("[default: ").nth(1);
                let default = default.map(|rest| rest.trim_end_matches(']'));
                if let Some(default) = default.filter(|it| has && *it != "all") {
                    let said = text(default).unwrap();
                    assert_eq!(said.get(option.key), Some(default));
                }
            }
        }
        // The library's own say the same of who has what.
        assert!(
            Policy::adaptive()
                .decay(Duration::from_secs(1))
                .validate()
                .is_err()
        );
        assert!(Policy::hot_cold().load_bound(2.0).validate().is_err());
    }

    #[test]
    fn a_policy_is_composed_in_one_order_whatever_the_words() {
        let all = "by-place=eu/eu-1,slow-start=3s,near=50us,by-distance=52.5/-13.4,overprovision=2,\
                   by-round-trip,\
                   by-priority,subset=5,choices=3,least-in-flight";
        let mut words: Vec<&str> = all.split(',').collect();
        words.rotate_right(1);
        let text: PolicyText = words.join(", ").parse().unwrap();
        let policy = text.policy().unwrap();
        assert_eq!(
            policy.name(),
            "least-in-flight within a subset by priority by distance by round trip by place"
        );
        assert_eq!(policy.warm_up(), Duration::from_secs(3));
        assert_eq!(text.to_string().parse(), Ok(text.clone()));
        // What is said of it is at work: a home where nobody is.
        let away = super::super::Facts::default().place(Place::new("us", "us-1").at(0.0, 0.0));
        assert_eq!(policy.check([&away]).unwrap_err().field(), "zone");
        let plain: Policy = "random,by-priority=false".parse().unwrap();
        assert_eq!(plain.name(), "random");
    }

    #[test]
    fn what_is_wrong_is_told_by_key_value_and_rule() {
        refused(
            "round-robin,choices=3",
            "choices is 3: `round-robin` has no such option; least-in-flight and peak-ewma have it",
        );
        refused(
            "random,decay=1s",
            "decay is 1s: `random` has no such option; peak-ewma has it",
        );
        refused("peak-ewma,decay=2h", "decay is 2h: from 1ms to 1h");
        refused("peak-ewma,decay=5", "decay is 5: from 1ms to 1h");
        refused("peak-ewma,decay", "decay is true: from 1ms to 1h");
        refused("least-in-flight,bias=NaN", "bias is NaN: from 0 to 10");
        refused("random,subset=0", "subset is 0: from 1");
        refused("random,subset=-1", "subset is -1: from 1");
        refused("random,by-priority=2", "by-priority is 2: true or false");
        refused(
            "random,overprovision=2",
            "overprovision is 2: it goes with by-priority: say that, too",
        );
        refused(
            "random,near=2ms",
            "near is 2ms: it goes with by-round-trip: say that, too",
        );
        refused(
            "random,by-round-trip=false,near=2ms",
            "near is 2ms: it goes with by-round-trip: say that, too",
        );
        refused(
            "random,near=9us,by-round-trip",
            "near is 9us: from 10us to 1s",
        );
        refused(
            "random,subset=1,subset=2",
            "subset is 2: it was given before",
        );
        let point = "LATITUDE/LONGITUDE in degrees, such as 52.5/13.4";
        for value in ["91/0", "0/181", "52.5", "here/there", "nan/0"] {
            let text = format!("random,by-distance={value}");
            refused(&text, &format!("by-distance is {value}: {point}"));
        }
        let zone = "REGION/ZONE or REGION, of 64 bytes each at most";
        refused("random,by-place=/", &format!("by-place is /: {zone}"));
        let long = "z".repeat(65);
        let text = format!("random,by-place=eu/{long}");
        refused(&text, &format!("by-place is eu/{}: {zone}", "z".repeat(37)));
        let error = "random,slow-strat=1s".parse::<Policy>().unwrap_err();
        let start = "option is slow-strat: one of slow-start, ";
        assert!(error.to_string().starts_with(start), "{error}");
        assert!("".parse::<Policy>().is_err() && "random,".parse::<Policy>().is_err());
    }
}
