//! The picture of the curves: latency over throughput, a panel a percentile, both axes logarithmic.

use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

/// One system: calls a second, and p50, p99 and p99.9 in microseconds.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, [f64; 3])>,
}

const PANELS: [&str; 3] = ["p50", "p99", "p99.9"];
const SIZE: (u32, u32) = (1_380, 480);
const COLOURS: [RGBColor; 5] = [
    RGBColor(0xc0, 0x39, 0x2b),
    RGBColor(0x1f, 0x6f, 0xb2),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x7d, 0x3c, 0x98),
    RGBColor(0x7f, 0x6a, 0x00),
];

/// As SVG.
pub(super) fn draw(lines: &[Line]) -> Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let per_s = around(points().map(|(per_s, _)| *per_s))?;
    // The same axis in all panels.
    let us = around(points().flat_map(|(_, us)| *us))?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        for (panel, area) in area.split_evenly((1, PANELS.len())).iter().enumerate() {
            let mut chart = ChartBuilder::on(area)
                .caption(PANELS[panel], ("sans-serif", 20))
                .margin(12)
                .x_label_area_size(44)
                .y_label_area_size(64)
                .build_cartesian_2d(per_s.clone().log_scale(), us.clone().log_scale())
                .map_err(drawing)?;
            chart
                .configure_mesh()
                .x_desc("calls a second")
                .y_desc("latency, us")
                .x_label_formatter(&short)
                .y_label_formatter(&short)
                .x_labels(6)
                .light_line_style(WHITE)
                .draw()
                .map_err(drawing)?;
            for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
                let points = || line.points.iter().map(|(per_s, us)| (*per_s, us[panel]));
                let style = colour.stroke_width(2);
                chart
                    .draw_series(LineSeries::new(points(), style))
                    .map_err(drawing)?
                    .label(line.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
                let dots = points().map(|point| Circle::new(point, 3, colour.filled()));
                chart.draw_series(dots).map_err(drawing)?;
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.3))
                .draw()
                .map_err(drawing)?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

/// A range with some room around what is there.
fn around(figures: impl Iterator<Item = f64> + Clone) -> Result<Range<f64>> {
    let positive = figures.filter(|figure| *figure > 0.0);
    let least = positive.clone().min_by(f64::total_cmp);
    let most = positive.max_by(f64::total_cmp);
    let (least, most) = least.zip(most).context("there is nothing to draw")?;
    Ok(least / 1.5..most * 1.5)
}

/// `2500` -> `2.5k`
fn short(figure: &f64) -> String {
    match *figure {
        large if large >= 1e6 => format!("{}M", large / 1e6),
        large if large >= 1e3 => format!("{}k", large / 1e3),
        small => format!("{small}"),
    }
}

fn drawing<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("drawing the curves: {error}")
}
