//! What a server says of its load on each answer, and what the program may say instead.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::machine::{Load, Verdict};
use crate::service::Outcome;

/// The most that can be said, in thousandths.
const MOST: f64 = 65_500.0;
/// Nothing is said.
const NONE: u32 = u32::MAX;

/// Says, from anywhere in the program, how much of what it can do it does: what callers hear as the
/// server's utilisation, in place of the share of its workers' time.
///
/// For programs whose limit is something else than their workers: a disk, memory, a quota of another
/// service. Policies that look at it send less to those who say more. Clones are the same.
///
/// ```
/// use brokerless::Server;
///
/// let server = Server::builder().bind("inproc://utilisation-example")?;
/// let utilisation = server.utilisation();
/// utilisation.set(Some(0.8));
/// assert_eq!(utilisation.get(), Some(0.8));
/// utilisation.set(None);
/// assert_eq!(utilisation.get(), None);
/// # Ok::<(), brokerless::Error>(())
/// ```
#[derive(Clone)]
pub struct Utilisation {
    permille: Arc<AtomicU32>,
}

impl Default for Utilisation {
    fn default() -> Self {
        Utilisation {
            permille: Arc::new(AtomicU32::new(NONE)),
        }
    }
}

impl Utilisation {
    /// Says it: 0.0 is nothing, 1.0 all that it can do, more is more than that, up to 65.5. What is
    /// out of this counts as the nearest that is not. `None`, or what is no number: the share of its
    /// workers' time, as if nothing had been said. Default `None`.
    ///
    /// It holds for each answer from now on, until something else is said.
    pub fn set(&self, utilisation: Option<f64>) {
        let permille = match utilisation {
            Some(share) if !share.is_nan() => (share * 1000.0).clamp(0.0, MOST).round() as u32,
            _ => NONE,
        };
        self.permille.store(permille, Ordering::Relaxed);
    }

    /// What was said last.
    pub fn get(&self) -> Option<f64> {
        let permille = self.permille.load(Ordering::Relaxed);
        (permille != NONE).then(|| f64::from(permille) / 1000.0)
    }

    /// Puts what was said into a report.
    pub(super) fn tell(&self, load: &mut Load) {
        if let Ok(permille) = u16::try_from(self.permille.load(Ordering::Relaxed)) {
            load.utilisation_permille = permille;
        }
    }
}

impl fmt::Debug for Utilisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Utilisation").field(&self.get()).finish()
    }
}

/// The rates of one engine's answers, for the reports of the others.
#[derive(Debug, Default)]
pub(super) struct Rates(AtomicU64);

impl Rates {
    pub(super) fn note(&self, load: &Load) {
        let rates = u64::from(load.per_s) << 32 | u64::from(load.errors_per_s);
        self.0.store(rates, Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, load: &mut Load) {
        let rates = self.0.load(Ordering::Relaxed);
        load.per_s = load.per_s.saturating_add((rates >> 32) as u32);
        load.errors_per_s = load.errors_per_s.saturating_add(rates as u32);
    }
}

/// Whether the server answers so because it is not well itself.
pub(super) fn is_unwell(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed {
            status,
            typed: None,
            ..
        } => {
            let says_when = status.retry_after().is_some();
            Verdict::of_code(status.code().number(), says_when) == Verdict::Unwell
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_kept_within_what_can_be_told() {
        let utilisation = Utilisation::default();
        let told = |share| {
            utilisation.set(share);
            let mut load = Load {
                utilisation_permille: 7,
                ..Load::default()
            };
            utilisation.tell(&mut load);
            load.utilisation_permille
        };
        assert_eq!(told(None), 7);
        assert_eq!(told(Some(0.25)), 250);
        assert_eq!(told(Some(1.5)), 1_500);
        assert_eq!(told(Some(-3.0)), 0);
        assert_eq!(told(Some(1e9)), 65_500);
        assert_eq!(told(Some(f64::INFINITY)), 65_500);
        assert_eq!(told(Some(f64::NAN)), 7);
    }

    #[test]
    fn the_rates_of_all_engines_are_one() {
        let rates = Rates::default();
        let load = Load {
            per_s: 300,
            errors_per_s: 2,
            ..Load::default()
        };
        rates.note(&load);
        let mut other = load;
        rates.add_to(&mut other);
        assert_eq!((other.per_s, other.errors_per_s), (600, 4));
    }
}
