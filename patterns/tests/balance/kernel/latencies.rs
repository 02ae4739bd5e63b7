//! Quantiles of many latencies, to a tenth of a percent.

/// Steps within each doubling: a power of two.
const STEPS: u64 = 1024;
const BITS: u32 = STEPS.trailing_zeros();

/// Counts by size; the mean is exact.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Latencies {
    pub(crate) fn add(&mut self, nanos: u64) {
        let at = place(nanos);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.count += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Latencies) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// In nanoseconds; 0 of none.
    pub(crate) fn mean(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }

    /// In nanoseconds: as many as this share are no longer.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(at).min(self.max as f64);
            }
        }
        0.0
    }

    /// How many are no longer than this.
    pub(crate) fn up_to(&self, nanos: u64) -> u64 {
        self.counts.iter().take(place(nanos) + 1).sum()
    }
}

fn place(nanos: u64) -> usize {
    let doubling = (u64::BITS - nanos.leading_zeros()).saturating_sub(BITS + 1);
    (u64::from(doubling) * STEPS + (nanos >> doubling)) as usize
}

fn middle(at: usize) -> f64 {
    let at = at as u64;
    let doubling = (at / STEPS).saturating_sub(1);
    let low = (at - doubling * STEPS) << doubling;
    low as f64 + ((1u64 << doubling) - 1) as f64 / 2.0
}

/// What a run of ten thousand known figures says of itself.
pub(crate) fn check() {
    let mut one = Latencies::default();
    let mut other = Latencies::default();
    for nanos in 1..=10_000u64 {
        let half = if nanos % 2 == 0 { &mut one } else { &mut other };
        half.add(nanos * 12_345);
    }
    one.merge(&other);
    assert_eq!(one.count(), 10_000);
    assert!((one.mean() - 5_000.5 * 12_345.0).abs() < 1e-3);
    for share in [0.001, 0.5, 0.9, 0.99, 0.999, 1.0] {
        let exact = share * 10_000.0 * 12_345.0;
        let seen = one.quantile(share);
        assert!((seen / exact - 1.0).abs() < 0.001, "{share}: {seen}");
    }
    assert!(one.up_to(6_172_500).abs_diff(500) <= 1);
}
