//! Tables, bars, JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::rounds::{Lane, Round};
use super::scenario::{Bar, Limit, Scenario};
use super::slice::Outcome;
use super::stats::{self, Spread};

/// Whose figures the ratios, losses and bars are about.
const OURS: &str = "brokerless";
const RAW: &str = "raw";

/// A group of lanes that has run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) rounds: Vec<Round>,
}

impl Run {
    /// The rounds in which a lane's turn gave no figure, though its system works.
    pub(crate) fn empty_turns(&self, place: usize) -> usize {
        let turns = self
            .rounds
            .iter()
            .filter_map(|round| round.outcomes.get(place));
        turns
            .filter(|turn| **turn == Some(Outcome::Nothing))
            .count()
    }
}

/// One scenario, evaluated.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) scenario: &'static Scenario,
    /// The figure of each round that counts, by system.
    figures: Vec<(&'static str, Vec<Option<f64>>)>,
    ratios: Vec<(String, Spread)>,
    rounds: usize,
    left_out: usize,
    lost: u64,
    lossy: bool,
}

impl Row {
    /// Reads one scenario off the run of its group.
    pub(crate) fn read(scenario: &'static Scenario, run: &Run) -> Self {
        let latency = scenario.workload().is_latency();
        let counting: Vec<&Round> = run
            .rounds
            .iter()
            .filter(|round| !(latency && round.stalled))
            .collect();
        let of_workload = |name: &str| -> Vec<(&'static str, Vec<Option<f64>>)> {
            run.lanes
                .iter()
                .enumerate()
                .filter(|(_, lane)| lane.workload.name == name)
                .map(|(place, lane)| {
                    let figures = counting
                        .iter()
                        .map(|round| {
                            let outcome = round.outcomes.get(place)?.as_ref()?;
                            scenario.read(outcome)
                        })
                        .collect();
                    (lane.system, figures)
                })
                .collect()
        };
        let figures = of_workload(scenario.workload);
        let mut ratios = ratios_of(&figures);
        if scenario.workload == "senders_16" {
            for (system, one) in of_workload("senders_1") {
                if let Some((_, sixteen)) = figures.iter().find(|(name, _)| *name == system) {
                    let between = Spread::of(&stats::ratios(sixteen, &one));
                    let name = format!("{system}:senders_16/senders_1");
                    ratios.extend(between.map(|spread| (name, spread)));
                }
            }
        }
        let lost_of = |place: usize| -> u64 {
            run.rounds
                .iter()
                .filter_map(|round| match round.outcomes.get(place)? {
                    Some(Outcome::Rate { lost, .. }) => Some(*lost),
                    _ => None,
                })
                .sum()
        };
        Self {
            scenario,
            figures,
            ratios,
            rounds: counting.len(),
            left_out: run.rounds.len() - counting.len(),
            lost: (0..run.lanes.len())
                .filter(|place| run.lanes[*place].workload.name == scenario.workload)
                .map(lost_of)
                .sum(),
            lossy: !latency,
        }
    }

    /// Messages that never arrived, whoever lost them.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Rounds that count.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    fn figure(&self, system: &str) -> Option<f64> {
        self.spread(system).map(|spread| spread.median)
    }

    fn spread(&self, system: &str) -> Option<Spread> {
        let (_, figures) = self.figures.iter().find(|(name, _)| *name == system)?;
        let known: Vec<f64> = figures.iter().flatten().copied().collect();
        Spread::of(&known)
    }

    fn ratio(&self, name: &str) -> Option<Spread> {
        let (_, spread) = self.ratios.iter().find(|(ratio, _)| ratio == name)?;
        Some(*spread)
    }
}

/// Ours to everybody else, and everybody else to raw.
fn ratios_of(figures: &[(&'static str, Vec<Option<f64>>)]) -> Vec<(String, Spread)> {
    let mut ratios = Vec::new();
    for (above, numerators) in figures {
        for (below, denominators) in figures {
            let wanted = above != below && (*above == OURS || *below == RAW);
            let between = Spread::of(&stats::ratios(numerators, denominators));
            if let (true, Some(spread)) = (wanted, between) {
                ratios.push((format!("{above}/{below}"), spread));
            }
        }
    }
    ratios
}

/// The medians, a line a scenario.
pub(crate) fn figures_table(rows: &[Row], systems: &[&str]) -> String {
    let mut table = format!("{:<28}{:<6}", "median", "");
    for system in systems {
        let _ = write!(table, "{system:>13}");
    }
    let _ = writeln!(table, "{:>8}{:>10}{:>7}", "rounds", "left out", "lost");
    for row in rows {
        let _ = write!(table, "{:<28}{:<6}", row.scenario.name, row.scenario.unit());
        for system in systems {
            let cell = row
                .figure(system)
                .map_or_else(|| "-".to_owned(), |figure| round_off(figure, row.scenario));
            let _ = write!(table, "{cell:>13}");
        }
        let lost = if row.lossy {
            row.lost.to_string()
        } else {
            "-".to_owned()
        };
        let _ = writeln!(table, "{:>8}{:>10}{lost:>7}", row.rounds, row.left_out);
    }
    table
}

/// Ours against each other system, with the losses marked.
pub(crate) fn ratios_table(rows: &[Row], systems: &[&str]) -> String {
    let others: Vec<&str> = systems
        .iter()
        .copied()
        .filter(|system| *system != OURS)
        .collect();
    // Without ourselves there are still the peers to look at.
    let ours = systems.contains(&OURS);
    let columns: Vec<String> = if ours {
        others
            .iter()
            .map(|other| format!("{OURS}/{other}"))
            .collect()
    } else {
        others
            .iter()
            .filter(|other| **other != RAW)
            .map(|other| format!("{other}/{RAW}"))
            .collect()
    };
    if columns.is_empty() {
        return String::new();
    }
    let mut table = format!("{:<28}", "ratio (p10..p90)");
    for column in &columns {
        let _ = write!(table, "  {column:<26}");
    }
    table.push('\n');
    for row in rows {
        let _ = write!(table, "{:<28}", row.scenario.name);
        for column in &columns {
            let cell = row.ratio(column).map_or_else(
                || "-".to_owned(),
                |spread| {
                    let loses = ours && loses(spread.median, row.scenario);
                    format!("{}{}", show(spread), if loses { " loses" } else { "" })
                },
            );
            let _ = write!(table, "  {cell:<26}");
        }
        let line = table.trim_end().len();
        table.truncate(line);
        table.push('\n');
        for (name, spread) in &row.ratios {
            if name.contains(':') {
                let _ = writeln!(table, "  {name} {}", show(*spread));
            }
        }
    }
    table
}

/// What a bar came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// Its scenario or one of its systems was not run.
    NotRun,
}

pub(crate) fn judge(bar: &Bar, rows: &[Row]) -> (Verdict, Option<Spread>) {
    let spread = rows
        .iter()
        .find(|row| row.scenario.name == bar.scenario)
        .and_then(|row| row.ratio(bar.of).or_else(|| row.spread(bar.of)));
    let verdict = match spread {
        Some(spread) if bar.limit.holds(spread.median) => Verdict::Pass,
        Some(_) => Verdict::Fail,
        None => Verdict::NotRun,
    };
    (verdict, spread)
}

/// The bars, a line each, and how many failed.
pub(crate) fn bars_table(bars: &[Bar], rows: &[Row]) -> (String, usize) {
    let mut table = String::new();
    let mut failed = 0;
    for bar in bars {
        let (verdict, spread) = judge(bar, rows);
        let verdict = match verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => {
                failed += 1;
                "FAIL"
            }
            Verdict::NotRun => "not run",
        };
        let aim = bar.aim.map_or_else(String::new, |aim| {
            let aim = bar.limit.moved(aim);
            let reached = match spread.map(|spread| aim.holds(spread.median)) {
                Some(true) => ": reached",
                Some(false) => ": not reached",
                None => "",
            };
            format!("   aim {}{reached}", wanted(aim))
        });
        let _ = writeln!(
            table,
            "{verdict:<9}{:<28}{:<34}{:<9}{}{aim}",
            bar.scenario,
            bar.of,
            wanted(bar.limit),
            spread.map_or_else(|| "-".to_owned(), show),
        );
    }
    (table, failed)
}

fn wanted(limit: Limit) -> String {
    match limit {
        Limit::AtMost(limit) => format!("<= {limit}"),
        Limit::AtLeast(limit) => format!(">= {limit}"),
    }
}

/// `{scenario: {system: figure, "ratios": {..}}}`
pub(crate) fn figures_json(rows: &[Row]) -> Value {
    let scenarios = rows.iter().map(|row| {
        let mut entry = Map::new();
        for (system, _) in &row.figures {
            if let Some(figure) = row.figure(system) {
                entry.insert((*system).to_owned(), json!(figure));
            }
        }
        let ratios: Map<String, Value> = row
            .ratios
            .iter()
            .map(|(name, spread)| (name.clone(), json!(spread.median)))
            .collect();
        entry.insert("ratios".to_owned(), Value::Object(ratios));
        (row.scenario.name.to_owned(), Value::Object(entry))
    });
    Value::Object(scenarios.collect())
}

/// Everything else: the spreads, and the figures of each round.
pub(crate) fn details_json(rows: &[Row]) -> Value {
    let scenarios = rows.iter().map(|row| {
        let ratios: Map<String, Value> = row
            .ratios
            .iter()
            .map(|(name, spread)| {
                let spread = json!({"p10": spread.p10, "median": spread.median, "p90": spread.p90});
                (name.clone(), spread)
            })
            .collect();
        let rounds: Map<String, Value> = row
            .figures
            .iter()
            .map(|(system, figures)| ((*system).to_owned(), json!(figures)))
            .collect();
        let entry = json!({
            "unit": row.scenario.unit(),
            "raw": row.scenario.raw,
            "rounds": row.rounds,
            "rounds_left_out": row.left_out,
            "lost": row.lost,
            "ratios": ratios,
            "figures": rounds,
        });
        (row.scenario.name.to_owned(), entry)
    });
    Value::Object(scenarios.collect())
}

/// Writes `value`, in place of what was there.
pub(crate) fn write_json(path: &Path, value: &Value) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// A file in the workspace's `target/bench`, wherever cargo builds to.
pub(crate) fn default_out(name: &str) -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = member.parent().unwrap_or(member);
    workspace.join("target/bench").join(name)
}

fn loses(ratio: f64, scenario: &Scenario) -> bool {
    if scenario.more_is_better() {
        ratio < 1.0
    } else {
        ratio > 1.0
    }
}

/// A median and its spread.
pub(crate) fn show(spread: Spread) -> String {
    let Spread { p10, median, p90 } = spread;
    format!("{median:.2} ({p10:.2}..{p90:.2})")
}

fn round_off(figure: f64, scenario: &Scenario) -> String {
    match scenario.unit() {
        "us" => format!("{figure:.1}"),
        _ => thousands(figure.round() as u64),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{BARS, SCENARIOS};
    use super::*;

    fn row(name: &str, figures: &[(&'static str, &[f64])]) -> Row {
        let scenario = SCENARIOS
            .iter()
            .find(|scenario| scenario.name == name)
            .expect("a scenario");
        let figures: Vec<_> = figures
            .iter()
            .map(|(system, figures)| (*system, figures.iter().copied().map(Some).collect()))
            .collect();
        Row {
            scenario,
            ratios: ratios_of(&figures),
            rounds: figures
                .first()
                .map_or(0, |(_, rounds): &(_, Vec<_>)| rounds.len()),
            left_out: 0,
            lost: 0,
            lossy: false,
            figures,
        }
    }

    #[test]
    fn a_slower_round_trip_and_a_smaller_rate_both_lose() {
        let rows = [
            row(
                "rtt_64B_p50_us",
                &[("raw", &[10.0]), ("brokerless", &[11.0])],
            ),
            row(
                "pipelined_64B_msgs_per_s",
                &[("brokerless", &[9.0]), ("libzmq", &[10.0])],
            ),
        ];
        let table = ratios_table(&rows, &["raw", "brokerless", "libzmq"]);
        assert_eq!(table.matches("loses").count(), 2, "{table}");
    }

    #[test]
    fn a_win_is_not_marked() {
        let rows = [row(
            "rtt_64B_p50_us",
            &[("raw", &[10.0]), ("brokerless", &[9.0])],
        )];
        let table = ratios_table(&rows, &["raw", "brokerless"]);
        assert!(!table.contains("loses"), "{table}");
    }

    #[test]
    fn the_ratio_of_a_scenario_is_the_median_of_its_rounds_not_the_ratio_of_medians() {
        let row = row(
            "rtt_64B_p50_us",
            &[
                ("raw", &[10.0, 50.0, 60.0]),
                ("brokerless", &[20.0, 50.0, 60.0]),
            ],
        );
        assert_eq!(row.ratio("brokerless/raw").expect("a ratio").median, 1.0);
    }

    #[test]
    fn a_bar_that_was_not_run_neither_passes_nor_fails() {
        let (table, failed) = bars_table(&BARS, &[]);
        assert_eq!(failed, 0);
        assert_eq!(table.matches("not run").count(), BARS.len());
    }

    #[test]
    fn a_missed_bar_is_counted() {
        let rows = [row(
            "rtt_64B_p50_us",
            &[("raw", &[10.0]), ("brokerless", &[13.0])],
        )];
        assert_eq!(bars_table(&BARS, &rows).1, 1);
    }

    #[test]
    fn a_bar_of_a_system_is_about_its_figure_and_a_missed_aim_is_no_failure() {
        let rows = [row("rtt_64B_p50_us", &[("brokerless", &[13.0])])];
        let bar = |at_most: f64| {
            let bar = Bar {
                scenario: "rtt_64B_p50_us",
                of: "brokerless",
                limit: Limit::AtMost(at_most),
                aim: Some(2.0),
            };
            bars_table(&[bar], &rows)
        };
        assert_eq!(bar(12.9).1, 1);
        let (table, failed) = bar(13.0);
        assert_eq!(failed, 0);
        assert!(table.contains("aim <= 2: not reached"), "{table}");
    }

    #[test]
    fn the_json_has_figures_by_system_and_ratios_by_pair() {
        let rows = [row(
            "rtt_64B_p50_us",
            &[("raw", &[10.0]), ("brokerless", &[12.0])],
        )];
        assert_eq!(
            figures_json(&rows),
            json!({"rtt_64B_p50_us": {
                "raw": 10.0, "brokerless": 12.0, "ratios": {"brokerless/raw": 1.2}
            }})
        );
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
    }
}
