//! How long calls take in the supermarket model, by theory: with infinitely many servers, and with so
//! many.
//!
//! With infinitely many, the share of servers that have `i` calls or more is `lambda^((d^i - 1) / (d -
//! 1))` (Mitzenmacher 1996; Vvedenskaya, Dobrushin, Karpelevich 1996). With `n` of them it differs by a term
//! of order `1/n`, which the refined mean field approximation gives (Gast and Van Houdt 2017): the limit's
//! drift has the Jacobian `A` and, at its fixed point, the noise `Q`; the covariance `W` of `sqrt(n)` times
//! what one is off solves `A W + W A' + Q = 0`; and the mean is off by `V / n`, where `A V + B:W / 2 + C
//! = 0`, `B` being the drift's second derivatives. `C` is what choosing without replacement changes in the
//! drift: `d` servers all have `i` calls or more with probability `x^d - d (d - 1) / 2n (x^(d - 1) - x^d)`.

/// Below this share nobody cares how many servers have so many calls.
const NEGLIGIBLE: f64 = 1e-14;

/// Whether one server may be chosen twice for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    WithReplacement,
    Without,
}

/// Mean time in the system with infinitely many servers, in means of service.
pub(super) fn limit(load: f64, choices: u32) -> f64 {
    if choices == 1 {
        return 1.0 / (1.0 - load);
    }
    shares(load, choices).iter().sum::<f64>() / load
}

/// The same with so many servers, up to terms of `1 / servers^2`.
pub(super) fn of_servers(load: f64, choices: u32, servers: usize, choice: Choice) -> f64 {
    if choices == 1 {
        // Each is a queue of its own.
        return limit(load, 1);
    }
    let d = f64::from(choices);
    let x = shares(load, choices);
    let count = x.len();
    let before = |i: usize| if i == 0 { 1.0 } else { x[i - 1] };
    let after = |i: usize| x.get(i + 1).copied().unwrap_or(0.0);
    let (mut a, mut q) = (vec![vec![0.0; count]; count], vec![0.0; count]);
    for i in 0..count {
        if i > 0 {
            a[i][i - 1] = load * d * before(i).powf(d - 1.0);
        }
        a[i][i] = -load * d * x[i].powf(d - 1.0) - 1.0;
        if i + 1 < count {
            a[i][i + 1] = 1.0;
        }
        q[i] = load * (before(i).powf(d) - x[i].powf(d)) + x[i] - after(i);
    }
    let w = covariance(&a, &q);
    let bend = |x: f64| load * d * (d - 1.0) * x.powf(d - 2.0) / 2.0;
    let fewer = |x: f64| match choice {
        Choice::WithReplacement => 0.0,
        Choice::Without => -load * d * (d - 1.0) / 2.0 * (x.powf(d - 1.0) - x.powf(d)),
    };
    let off = (0..count).map(|i| {
        let above = if i == 0 {
            0.0
        } else {
            bend(before(i)) * w[i - 1][i - 1]
        };
        above - bend(x[i]) * w[i][i] + fewer(before(i)) - fewer(x[i])
    });
    let v = solved(a, off.map(|off| -off).collect());
    let calls = x.iter().sum::<f64>() + v.iter().sum::<f64>() / servers as f64;
    // Little's law.
    calls / load
}

/// The share of servers that have one call or more, two or more, and so on.
fn shares(load: f64, choices: u32) -> Vec<f64> {
    let d = f64::from(choices);
    let share = |i| load.powf((d.powi(i) - 1.0) / (d - 1.0));
    (1..)
        .map(share)
        .take_while(|share| *share > NEGLIGIBLE)
        .collect()
}

/// The `W` of `A W + W A' + Q = 0`, where `Q` has this diagonal.
fn covariance(a: &[Vec<f64>], q: &[f64]) -> Vec<Vec<f64>> {
    let count = q.len();
    let mut rows = vec![vec![0.0; count * count]; count * count];
    let mut right = vec![0.0; count * count];
    for i in 0..count {
        for j in 0..count {
            let row = &mut rows[i * count + j];
            for k in 0..count {
                row[k * count + j] += a[i][k];
                row[i * count + k] += a[j][k];
            }
        }
        right[i * count + i] = -q[i];
    }
    let w = solved(rows, right);
    w.chunks(count).map(<[f64]>::to_vec).collect()
}

/// The `x` of `rows x = right`, by elimination with pivots.
fn solved(mut rows: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let count = right.len();
    for i in 0..count {
        let size = |row: &usize| rows[*row][i].abs();
        let pivot = (i..count).max_by(|a, b| size(a).total_cmp(&size(b)));
        let pivot = pivot.expect("a row");
        rows.swap(i, pivot);
        right.swap(i, pivot);
        let (above, below) = rows.split_at_mut(i + 1);
        let of = &above[i];
        for (offset, row) in below.iter_mut().enumerate() {
            let times = row[i] / of[i];
            if times != 0.0 {
                for (here, there) in row[i..].iter_mut().zip(&of[i..]) {
                    *here -= times * there;
                }
                right[i + 1 + offset] -= times * right[i];
            }
        }
    }
    for i in (0..count).rev() {
        let known: f64 = (i + 1..count).map(|j| rows[i][j] * right[j]).sum();
        right[i] = (right[i] - known) / rows[i][i];
    }
    right
}

/// Holds these against what is published, and against each other.
///
/// # Panics
///
/// Where they differ.
pub(crate) fn check() {
    // Gast and Van Houdt's table for ten servers, two choices with replacement: mean calls at each.
    for (load, published) in [(0.7, 1.2150), (0.9, 2.7513), (0.95, 4.1017)] {
        let calls = load * of_servers(load, 2, 10, Choice::WithReplacement);
        assert!((calls - published).abs() < 0.0001, "at {load}: {calls}");
    }
    for choices in [1, 2, 3] {
        for load in [0.5, 0.9, 0.99] {
            let many = of_servers(load, choices, 1_000_000_000, Choice::Without);
            let share = many / limit(load, choices);
            assert!((share - 1.0).abs() < 1e-6, "{choices} choices at {load}");
        }
    }
}
