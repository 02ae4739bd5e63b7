//! The methods that a server offers: found by path, with what was learned of each.
//!
//! # Invariants
//!
//! 1. A method counts as quick only after several runs, and no longer once several were slow. (test
//!    `a_method_has_to_prove_that_it_is_quick`)
//! 2. A single run that took long, as the processor was taken away, makes no quick method slow. (test
//!    `a_quick_method_survives_a_run_that_was_interrupted`)
//! 3. What a caller asked for is never compared with more than a bounded number of names, nor
//!    repeated in full. (test `a_giant_name_is_cut_and_compared_with_nothing`)

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::service::{MethodInfo, Service, ServiceInfo};

/// A handler that takes longer hands the lead on before it runs.
const SLOW: Duration = Duration::from_micros(50);
/// One run counts as at most so many times the mean, or this many nanoseconds: that the processor
/// was taken away in the middle of one says nothing of the method. A method that has become slow is
/// known to be after a few runs.
const LEAP: u64 = 8;
const LEAP_MIN: u64 = 200_000;
/// Runs after which a method may count as quick.
const PROOF: u32 = 8;
/// Bytes of a name that are shown to whoever asked for it.
const SHOWN: usize = 80;
/// Names that a wrong one is compared with.
const COMPARED: usize = 512;

/// What the runs of a method took, as an exponentially weighted mean.
///
/// Runs that end at the same moment may overwrite each other's share of it, which a mean survives.
#[derive(Debug, Default)]
pub(super) struct Learned {
    mean_ns: AtomicU64,
    runs: AtomicU32,
}

impl Learned {
    /// A run took so long.
    pub(super) fn ran(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let mean = self.mean_ns.load(Ordering::Relaxed);
        let runs = self.runs.load(Ordering::Relaxed);
        let mean = match runs {
            0 => took,
            _ => mean - mean / 8 + took.min(LEAP_MIN.max(mean.saturating_mul(LEAP))) / 8,
        };
        self.mean_ns.store(mean, Ordering::Relaxed);
        if runs < PROOF {
            self.runs.store(runs + 1, Ordering::Relaxed);
        }
    }

    /// Whether another thread should receive meanwhile: it is slow, or nothing is known of it.
    pub(super) fn is_slow(&self) -> bool {
        self.runs.load(Ordering::Relaxed) == 0 || self.mean() > SLOW
    }

    /// Whether it has proved to be quick.
    pub(super) fn is_quick(&self) -> bool {
        self.runs.load(Ordering::Relaxed) >= PROOF && self.mean() <= SLOW
    }

    /// What a run takes; zero before the first.
    pub(super) fn mean(&self) -> Duration {
        Duration::from_nanos(self.mean_ns.load(Ordering::Relaxed))
    }
}

/// Where a method runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the thread that receives.
    Inline,
    /// In the default pool.
    Default,
    /// In the named pool of this index.
    Named(usize),
}

/// A method that is offered.
pub(super) struct Method {
    pub(super) service: Arc<dyn Service>,
    pub(super) about: &'static ServiceInfo,
    pub(super) info: &'static MethodInfo,
    /// Its index in the service.
    pub(super) index: usize,
    pub(super) place: Place,
    pub(super) learned: Learned,
    pub(super) calls: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// All methods, by path.
pub(super) struct Methods {
    methods: Vec<Method>,
    /// Those in the table are the program's own: nobody else can make them collide.
    paths: HashMap<&'static str, usize, FixedState>,
    services: Vec<&'static ServiceInfo>,
}

impl Methods {
    pub(super) fn new() -> Self {
        Methods {
            methods: Vec::new(),
            paths: HashMap::default(),
            services: Vec::new(),
        }
    }

    /// Offers a service's methods, which `place` puts somewhere. False if there is one of its name.
    pub(super) fn add(
        &mut self,
        service: Arc<dyn Service>,
        mut place: impl FnMut(&'static MethodInfo) -> Place,
    ) -> bool {
        let about = service.info();
        if self.services.iter().any(|other| other.name == about.name) {
            return false;
        }
        self.services.push(about);
        for (index, info) in about.methods.iter().enumerate() {
            self.paths.insert(info.path, self.methods.len());
            self.methods.push(Method {
                service: service.clone(),
                about,
                info,
                index,
                place: place(info),
                learned: Learned::default(),
                calls: AtomicU64::new(0),
                failed: AtomicU64::new(0),
            });
        }
        true
    }

    /// The index of the method of this path.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        self.paths.get(path).copied()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Method> {
        self.methods.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter()
    }

    pub(super) fn services(&self) -> &[&'static ServiceInfo] {
        &self.services
    }

    /// What a caller is told that asked for something else.
    pub(super) fn unknown(&self, path: &str) -> String {
        let (service, method) = path.rsplit_once('.').unwrap_or(("", path));
        let (shown, method_shown) = (cut(service), cut(method));
        if let Some(about) = self.services.iter().find(|about| about.name == service) {
            let names = about.methods.iter().map(|info| info.name);
            return match nearest(method, names) {
                Some(near) => format!(
                    "service {shown} has no method {method_shown}; the nearest that it has is {near}"
                ),
                None => format!("service {shown} has no method {method_shown}"),
            };
        }
        let names = self.services.iter().map(|about| about.name);
        match nearest(service, names) {
            Some(near) => {
                format!("no service {shown} is offered here; the nearest that is is {near}")
            }
            None => format!("no service {shown} is offered here"),
        }
    }
}

/// What of a name is shown.
fn cut(name: &str) -> String {
    let mut shown: String = name
        .chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if shown.len() < name.len() && name.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

/// The name that is most like the wanted one, if any is like it.
fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if wanted.len() > SHOWN {
        return None;
    }
    let alike = (wanted.chars().count() / 2).max(2);
    names
        .take(COMPARED)
        .filter(|name| name.len() <= SHOWN)
        .map(|name| (edits(wanted, name), name))
        .filter(|(edits, _)| *edits <= alike)
        .min()
        .map(|(_, name)| name)
}

/// How many letters have to be added, left out or changed to make one of the other, not counting
/// whether they are capitals.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (other, cell) in to.iter().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = *cell;
            left = changed.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Outcome, Request};

    struct Calc;

    static METHODS: [MethodInfo; 3] = [
        MethodInfo::new("add", "calc.v1.add"),
        MethodInfo::new("divide", "calc.v1.divide"),
        MethodInfo::new("Multiply", "calc.v1.Multiply"),
    ];
    static ABOUT: ServiceInfo = ServiceInfo::new("calc.v1", &METHODS);

    impl Service for Calc {
        fn info(&self) -> &'static ServiceInfo {
            &ABOUT
        }

        fn call(&self, _: usize, _: Request<'_>) -> Outcome {
            Outcome::Later
        }
    }

    fn methods() -> Methods {
        let mut methods = Methods::new();
        assert!(methods.add(Arc::new(Calc), |_| Place::Default));
        methods
    }

    #[test]
    fn a_service_is_offered_once() {
        let mut methods = methods();
        assert!(!methods.add(Arc::new(Calc), |_| Place::Default));
        let found = methods.find("calc.v1.divide").and_then(|i| methods.get(i));
        assert_eq!(found.map(|method| method.index), Some(1));
        assert_eq!(methods.find("calc.v1.div"), None);
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        let methods = methods();
        let told = |path: &str| methods.unknown(path);
        assert!(told("calc.v1.ad").ends_with("nearest that it has is add"));
        assert!(told("calc.v1.dvide").ends_with("is divide"));
        assert!(told("calc.v1.multiply").ends_with("is Multiply"));
        assert_eq!(
            told("calc.v1.zzzzzz"),
            "service `calc.v1` has no method `zzzzzz`"
        );
        assert!(told("calc.v2.add").ends_with("nearest that is is calc.v1"));
        assert_eq!(told("add"), "no service `` is offered here");
        assert_eq!(told("weather.add"), "no service `weather` is offered here");
    }

    #[test]
    fn edits_are_counted_in_letters() {
        for (from, to, count) in [
            ("", "", 0),
            ("add", "add", 0),
            ("ADD", "add", 0),
            ("ad", "add", 1),
            ("dad", "add", 2),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("\u{e4}b", "ab", 1),
        ] {
            assert_eq!(edits(from, to), count, "{from} {to}");
        }
    }

    #[test]
    fn a_giant_name_is_cut_and_compared_with_nothing() {
        let told = methods().unknown(&"calc.v1.\n".repeat(100_000));
        assert!(told.len() < 500, "{told}");
        assert!(!told.contains("nearest") && !told.contains('\n'), "{told}");
    }

    #[test]
    fn a_quick_method_survives_a_run_that_was_interrupted() {
        let learned = Learned::default();
        (0..PROOF).for_each(|_| learned.ran(Duration::from_micros(2)));
        for _ in 0..10 {
            learned.ran(Duration::from_millis(30));
            assert!(learned.is_quick(), "once in a while: {:?}", learned.mean());
            (0..PROOF).for_each(|_| learned.ran(Duration::from_micros(2)));
        }
        (0..4).for_each(|_| learned.ran(Duration::from_millis(30)));
        assert!(!learned.is_quick(), "again and again: {:?}", learned.mean());
    }

    #[test]
    fn a_method_has_to_prove_that_it_is_quick() {
        let learned = Learned::default();
        assert!(learned.is_slow() && !learned.is_quick(), "nothing is known");
        for _ in 0..PROOF {
            assert!(!learned.is_quick());
            learned.ran(Duration::from_micros(3));
        }
        assert!(learned.is_quick() && !learned.is_slow());
        (0..4).for_each(|_| learned.ran(Duration::from_millis(2)));
        assert!(learned.is_slow() && !learned.is_quick());
        for _ in 0..50 {
            learned.ran(Duration::from_micros(3));
        }
        assert!(learned.is_quick());
    }
}
