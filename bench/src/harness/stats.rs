//! Medians, spreads, per-round ratios.

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) p10: f64,
    pub(crate) median: f64,
    pub(crate) p90: f64,
}

impl Spread {
    /// `None` where there are no figures.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        if figures.is_empty() {
            return None;
        }
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            p10: quantile(&sorted, 0.1),
            median: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.9),
        })
    }
}

/// The ratio of each round in which both sides have a figure.
pub(crate) fn ratios(above: &[Option<f64>], below: &[Option<f64>]) -> Vec<f64> {
    above
        .iter()
        .zip(below)
        .filter_map(|(above, below)| match (above, below) {
            (Some(above), Some(below)) if *below > 0.0 => Some(above / below),
            _ => None,
        })
        .collect()
}

/// Between the two nearest figures, in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_does_not_move_the_median() {
        let spread = Spread::of(&[1.0, 1.1, 0.9, 1.0, 50.0]).expect("figures");
        assert_eq!(spread.median, 1.0);
        assert!(spread.p90 > 1.1, "{spread:?}");
    }

    #[test]
    fn an_even_number_of_figures_has_its_median_between_the_middle_two() {
        assert_eq!(
            Spread::of(&[4.0, 1.0, 3.0, 2.0]).expect("figures").median,
            2.5
        );
    }

    #[test]
    fn no_figures_have_no_median() {
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_skip_rounds_with_a_hole() {
        let above = [Some(20.0), Some(70.0), None, Some(1.0)];
        let below = [Some(10.0), Some(35.0), Some(1.0), None];
        assert_eq!(ratios(&above, &below), [2.0, 2.0]);
    }
}
