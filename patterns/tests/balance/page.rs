//! The page: each table with its plots, its rows and its bars, in one file that needs no other.

use std::fmt::Write as _;

use crate::results::{Line, Plot, Table, short};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;margin:1em 0;font-size:13px}td,th{border-bottom:1px solid #ddd;padding:2px 10px;text-align:right}\
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}th{background:#f4f4f4}\
.met{color:#2e7d32}.missed{color:#c0392b;font-weight:bold}.published{color:#777}\
svg{margin:0 10px 10px 0}svg text{font:11px system-ui,sans-serif;fill:#333}";

const COLOURS: [&str; 10] = [
    "#c0392b", "#1f6fb2", "#2e8b57", "#7d3c98", "#b9770e", "#17a2b8", "#8d6e63", "#d6336c",
    "#5c7a00", "#37474f",
];

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 28.0;
const RIGHT: f64 = 150.0;
const BOTTOM: f64 = 40.0;

/// All tables.
pub(crate) fn html(tables: &[Table]) -> String {
    let bars: Vec<bool> = tables
        .iter()
        .flat_map(|table| table.bars.iter().map(|bar| bar.is_met))
        .collect();
    let met = bars.iter().filter(|met| **met).count();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Balancing</title>\
         <style>{STYLE}</style><h1>Balancing: the policies beside published figures</h1>\
         <p>The policies as clients run them, under a virtual clock, from a seed. {met} of {} bars are met. \
         Published figures are in grey after ours; an oracle knows every queue.</p>",
        bars.len()
    );
    for table in tables {
        let (id, title, about) = (table.id, escaped(table.title), escaped(table.about));
        let _ = write!(page, "<h2 id=\"{id}\">{id} {title}</h2><p>{about}</p>");
        for plot in &table.plots {
            page.push_str(&svg(plot));
        }
        rows(&mut page, table);
        page.push_str("<table><tr><th>bar</th><th>rule</th><th>seen</th><th></th></tr>");
        for bar in &table.bars {
            let (class, word) = if bar.is_met {
                ("met", "met")
            } else {
                ("missed", "MISSED")
            };
            let (what, rule, seen) = (escaped(&bar.what), escaped(&bar.rule), short(bar.seen));
            let _ = write!(
                page,
                "<tr><td>{what}</td><td>{rule}</td><td>{seen}</td><td class=\"{class}\">{word}</td></tr>"
            );
        }
        page.push_str("</table>");
    }
    page.push_str("</html>\n");
    page
}

fn rows(page: &mut String, table: &Table) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in table.rows.iter().flat_map(|row| &row.figures) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    page.push_str("<table><tr><th>cell</th><th>policy</th>");
    for name in &names {
        let _ = write!(page, "<th>{}</th>", escaped(name));
    }
    page.push_str("</tr>");
    for row in &table.rows {
        let (cell, policy) = (escaped(&row.cell), escaped(&row.policy));
        let _ = write!(page, "<tr><td>{cell}</td><td>{policy}</td>");
        for name in &names {
            let seen = row.figure(name).map(short).unwrap_or_default();
            let published = row.published.iter().find(|(it, _)| it == name);
            let published = published
                .map(|(_, value)| format!(" <span class=\"published\">({})</span>", short(*value)))
                .unwrap_or_default();
            let _ = write!(page, "<td>{seen}{published}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

/// One plot.
fn svg(plot: &Plot) -> String {
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let xs = Axis::of(points().map(|(x, _)| *x), false, LEFT, WIDTH - RIGHT);
    let ys = Axis::of(
        points().map(|(_, y)| *y),
        plot.is_y_log,
        HEIGHT - BOTTOM,
        TOP,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\
         <text x=\"{LEFT}\" y=\"16\" font-weight=\"bold\">{title}</text>",
        title = escaped(plot.title),
    );
    for tick in xs.ticks() {
        let (x, bottom) = (xs.at(tick), HEIGHT - BOTTOM);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#eee\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            short(tick)
        );
    }
    for tick in ys.ticks() {
        let (y, right) = (ys.at(tick), WIDTH - RIGHT);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#eee\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 5.0,
            y + 4.0,
            short(tick)
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(12 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 6.0,
        escaped(plot.x),
        (TOP + HEIGHT - BOTTOM) / 2.0,
        escaped(plot.y)
    );
    for (index, line) in plot.lines.iter().enumerate() {
        let Line {
            name,
            is_reference,
            points,
        } = line;
        let colour = COLOURS[index % COLOURS.len()];
        let dashes = if *is_reference {
            " stroke-dasharray=\"5 4\""
        } else {
            ""
        };
        let shown = points.iter().filter(|(_, y)| !plot.is_y_log || *y > 0.0);
        let path: Vec<String> = shown
            .map(|(x, y)| format!("{:.1},{:.1}", xs.at(*x), ys.at(*y)))
            .collect();
        let _ = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"{dashes}/>",
            path.join(" ")
        );
        if points.len() <= 30 && !is_reference {
            for point in &path {
                let (x, y) = point.split_once(',').unwrap_or_default();
                let _ = write!(
                    svg,
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"{colour}\"/>"
                );
            }
        }
        let (x, y) = (WIDTH - RIGHT + 8.0, TOP + 8.0 + 16.0 * index as f64);
        let _ = write!(
            svg,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{:.1}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 18.0,
            x + 23.0,
            y + 4.0,
            escaped(name)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// From figures to places on the paper.
struct Axis {
    from: f64,
    to: f64,
    is_log: bool,
    start: f64,
    end: f64,
}

impl Axis {
    fn of(figures: impl Iterator<Item = f64>, is_log: bool, start: f64, end: f64) -> Axis {
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for figure in figures.filter(|figure| figure.is_finite() && (!is_log || *figure > 0.0)) {
            from = from.min(figure);
            to = to.max(figure);
        }
        if from > to {
            (from, to) = (1.0, 10.0);
        }
        if is_log {
            (from, to) = (from / 1.2, to * 1.2);
        } else if from == to {
            (from, to) = (from - 1.0, to + 1.0);
        }
        Axis {
            from,
            to,
            is_log,
            start,
            end,
        }
    }

    fn at(&self, figure: f64) -> f64 {
        let share = if self.is_log {
            (figure / self.from).ln() / (self.to / self.from).ln()
        } else {
            (figure - self.from) / (self.to - self.from)
        };
        self.start + share * (self.end - self.start)
    }

    /// Round figures, from four to about ten.
    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        if self.is_log {
            let all = self.to / self.from < 100.0;
            let steps: &[f64] = if all { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let mut decade = 10f64.powf(self.from.log10().floor());
            while decade <= self.to {
                ticks.extend(steps.iter().map(|step| step * decade));
                decade *= 10.0;
            }
        } else {
            let rough = (self.to - self.from) / 6.0;
            let decade = 10f64.powf(rough.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
            let step = steps.into_iter().find(|step| *step >= rough);
            let step = step.unwrap_or(10.0 * decade);
            let mut tick = (self.from / step).ceil();
            while tick * step <= self.to + step * 1e-9 {
                ticks.push(tick * step);
                tick += 1.0;
            }
        }
        ticks.retain(|tick| (self.from..=self.to * (1.0 + 1e-9)).contains(tick));
        ticks
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
