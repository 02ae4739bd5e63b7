//! What a run has seen, and what it is held to.

use serde_json::{Value, json};

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// In seconds, without optimisation: the bars that so little can show.
    Small,
    /// All of it.
    Whole,
}

impl Size {
    /// One or the other.
    pub(crate) fn of<T>(self, small: T, whole: T) -> T {
        match self {
            Size::Small => small,
            Size::Whole => whole,
        }
    }
}

/// One table: policies beside each other in each of its cells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What is simulated, in a few sentences.
    pub(crate) about: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) plots: Vec<Plot>,
}

/// One policy in one cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) cell: String,
    pub(crate) policy: String,
    /// Name and value.
    pub(crate) figures: Vec<(&'static str, f64)>,
    /// As published, under the same names.
    pub(crate) published: Vec<(&'static str, f64)>,
    /// Another if anything went another way.
    pub(crate) digest: u64,
}

impl Row {
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        let mut figures = self.figures.iter();
        figures.find(|(it, _)| *it == name).map(|(_, value)| *value)
    }
}

/// What a figure is held to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) rule: String,
    pub(crate) seen: f64,
    pub(crate) is_met: bool,
}

impl Bar {
    pub(crate) fn at_most(what: impl Into<String>, seen: f64, bound: f64) -> Bar {
        Bar {
            what: what.into(),
            rule: format!("at most {}", short(bound)),
            seen,
            is_met: seen <= bound,
        }
    }

    pub(crate) fn at_least(what: impl Into<String>, seen: f64, bound: f64) -> Bar {
        Bar {
            what: what.into(),
            rule: format!("at least {}", short(bound)),
            seen,
            is_met: seen >= bound,
        }
    }

    /// No further than this share of it away.
    pub(crate) fn near(what: impl Into<String>, seen: f64, target: f64, share: f64) -> Bar {
        Bar {
            what: what.into(),
            rule: format!("{} within {} %", short(target), short(share * 100.0)),
            seen,
            is_met: (seen - target).abs() <= target.abs() * share,
        }
    }

    /// No further than this away.
    pub(crate) fn about(what: impl Into<String>, seen: f64, target: f64, away: f64) -> Bar {
        Bar {
            what: what.into(),
            rule: format!("{} within {}", short(target), short(away)),
            seen,
            is_met: (seen - target).abs() <= away,
        }
    }
}

/// Lines over one axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) is_y_log: bool,
    pub(crate) lines: Vec<Line>,
}

/// A line, drawn in the colour of its place among the others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Theory's or an oracle's: dashed.
    pub(crate) is_reference: bool,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Line {
    pub(crate) fn new(name: &str, points: Vec<(f64, f64)>) -> Line {
        Line {
            name: name.to_owned(),
            is_reference: name.starts_with("oracle") || name.starts_with("theory"),
            points,
        }
    }
}

impl Table {
    pub(crate) fn row(&self, cell: &str, policy: &str) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.cell == cell && row.policy == policy)
    }

    /// A figure that has to be there.
    pub(crate) fn figure(&self, cell: &str, policy: &str, name: &str) -> f64 {
        let figure = self.row(cell, policy).and_then(|row| row.figure(name));
        figure.unwrap_or_else(|| panic!("{}: no {name} of {policy} at {cell}", self.id))
    }

    /// In every cell that has both, `policy` is no worse than `other` in these figures, where less
    /// is better; `noise` is the share that one run differs from another by.
    pub(crate) fn never_worse(&mut self, policy: &str, other: &str, names: &[&str], noise: f64) {
        let rows = self.rows.iter().filter(|row| row.policy == policy);
        let mut bars = Vec::new();
        for row in rows {
            let Some(theirs) = self.row(&row.cell, other) else {
                continue;
            };
            for name in names {
                if let (Some(seen), Some(bound)) = (row.figure(name), theirs.figure(name)) {
                    let what = format!("{}: {name} of {policy}, beside {other}", row.cell);
                    bars.push(Bar::at_most(what, seen, bound * (1.0 + noise)));
                }
            }
        }
        self.bars.extend(bars);
    }

    pub(crate) fn json(&self) -> Value {
        let named = |figures: &[(&'static str, f64)]| {
            let figures = figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)));
            Value::Object(figures.collect())
        };
        let rows = self.rows.iter().map(|row| {
            json!({
                "cell": row.cell,
                "policy": row.policy,
                "figures": named(&row.figures),
                "published": named(&row.published),
                "digest": format!("{:016x}", row.digest),
            })
        });
        let bars = self.bars.iter().map(|bar| {
            json!({
                "what": bar.what,
                "rule": bar.rule,
                "seen": bar.seen,
                "met": bar.is_met,
            })
        });
        json!({
            "id": self.id,
            "title": self.title,
            "about": self.about,
            "rows": rows.collect::<Vec<Value>>(),
            "bars": bars.collect::<Vec<Value>>(),
        })
    }
}

/// With as many digits as say something.
pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        large if large >= 1000.0 => format!("{figure:.0}"),
        large if large >= 100.0 => trimmed(format!("{figure:.1}")),
        large if large >= 10.0 => trimmed(format!("{figure:.2}")),
        large if large >= 0.1 => trimmed(format!("{figure:.3}")),
        _ => trimmed(format!("{figure:.5}")),
    }
}

fn trimmed(figure: String) -> String {
    figure
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}
