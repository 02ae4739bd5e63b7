//! How much of its calls a tier keeps, by how busy it says it is.
//!
//! What nodes report is what was some time ago: so what is right now is reckoned from what was kept
//! at that time, on average. That comes to rest where one that goes by what is kept now would
//! swing: for reports of up to a second and a half ago.

/// How busy nodes should be at most, while there are others.
const BUSY: f64 = 0.9;
/// How much of the way to what is right is gone at a look.
const STEP: f64 = 0.3;
/// How much one look counts in what was kept on average: of ten a second, about the last second.
const MEMORY: f64 = 0.1;
/// The least that is kept: so that it is seen when they are less busy.
const LEAST: f64 = 0.02;

/// A share that follows what is reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay {
    share: f64,
    average: f64,
}

impl Default for Stay {
    fn default() -> Stay {
        Stay {
            share: 1.0,
            average: 1.0,
        }
    }
}

impl Stay {
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// They are so busy, 1 being all that they can do, if that is known; the least busy of others are
    /// `further`.
    pub(super) fn look(&mut self, busy: Option<f64>, further: f64) {
        self.average += MEMORY * (self.share - self.average);
        let right = match busy {
            Some(busy) if busy > 0.0 => self.average * f64::max(BUSY, further) / busy,
            _ => 1.0,
        };
        self.share += STEP * (right.clamp(LEAST, 1.0) - self.share);
        if self.share > 0.999 {
            self.share = 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept in the end where `offered` comes, reported late, and how much it swings then.
    fn settled(offered: f64, further: f64, lag: usize) -> (f64, f64) {
        let mut stay = Stay::default();
        let mut reported = std::collections::VecDeque::from(vec![0.0; lag]);
        let mut last = Vec::new();
        for look in 0..600 {
            reported.push_back(offered * stay.share());
            stay.look(reported.pop_front(), further);
            if look >= 500 {
                last.push(stay.share());
            }
        }
        let (least, most) = (
            last.iter().copied().fold(1.0, f64::min),
            last.iter().copied().fold(0.0, f64::max),
        );
        (last.iter().sum::<f64>() / last.len() as f64, most - least)
    }

    #[test]
    fn it_comes_to_rest_where_they_are_as_busy_as_they_should_be() {
        for lag in 0..=15 {
            for offered in [0.95, 1.2, 1.5, 3.0] {
                let (kept, swings) = settled(offered, 0.0, lag);
                assert!(
                    (kept * offered - BUSY).abs() < 0.03,
                    "{lag}, {offered}: {kept}"
                );
                assert!(swings < 0.05, "{lag}, {offered}: swings by {swings}");
            }
        }
    }

    #[test]
    fn with_room_all_is_kept() {
        assert_eq!(settled(0.89, 0.0, 10), (1.0, 0.0));
        let mut unknown = Stay::default();
        unknown.look(None, 0.0);
        assert_eq!(unknown.share(), 1.0);
    }

    #[test]
    fn if_all_others_are_as_busy_all_is_kept() {
        assert_eq!(settled(1.5, 1.5, 10).0, 1.0);
        assert_eq!(settled(3.0, f64::INFINITY, 10).0, 1.0);
    }
}
