//! A run as a picture: a group of bars a query, a bar an engine.

use super::Report;
use crate::failure::{Doing, Failure};
use plotters::prelude::SVGBackend;
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    drawing::IntoDrawingArea,
    element::Rectangle,
    style::{BLACK, Color, RGBColor, WHITE},
};

/// Told apart by people who do not see all colours alike (the palette of Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(153, 153, 153),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
];

const HEIGHT: u32 = 480;
/// Pixels of one bar, and of what stands beside all bars.
const BAR: u32 = 9;
const MARGINS: u32 = 160;
/// Room of a query that its bars take; the rest is the gap to the next.
const GROUP: f64 = 0.84;

pub(crate) fn svg(report: &Report<'_>) -> Result<String, Failure> {
    let mut text = String::new();
    draw(report, &mut text).map_err(|error| error.to_string()).doing("the picture")?;
    Ok(text)
}

fn draw(report: &Report<'_>, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let (queries, engines) = (report.measured.len(), report.engines.len());
    let bars = u32::try_from(queries * (engines + 1)).unwrap_or(u32::MAX);
    let size = (bars.saturating_mul(BAR).saturating_add(MARGINS).clamp(640, 4000), HEIGHT);
    let highest = report.measured.iter().flat_map(|query| &query.outcomes).filter_map(|outcome| outcome.median());
    let highest = highest.fold(0.001, f64::max) * 1.08;
    let area = SVGBackend::with_string(text, size).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!(
        "TPC-H at scale {}, {} cores: seconds, medians of {} (shorter is better)",
        report.terms.scale,
        report.terms.cores,
        report.terms.counted_runs()
    );
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..queries as f64, 0.0..highest)?;
    let label = |x: &f64| {
        let query = report.measured.get(*x as usize).filter(|_| (x.fract() - 0.5).abs() < 0.01);
        query.map_or(String::new(), |query| query.query.to_string())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(queries * 2 + 1)
        .x_label_formatter(&label)
        .y_desc("seconds")
        .draw()?;
    let width = GROUP / engines as f64;
    for (place, engine) in report.engines.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let rectangles = report.measured.iter().enumerate().filter_map(|(at, query)| {
            let left = at as f64 + (1.0 - GROUP) / 2.0 + width * place as f64;
            let seconds = query.outcomes[place].median()?;
            Some(Rectangle::new([(left, 0.0), (left + width, seconds)], colour.filled()))
        });
        let total: f64 = report.measured.iter().filter_map(|query| query.outcomes[place].median()).sum();
        let done = report.measured.iter().filter(|query| query.outcomes[place].median().is_some()).count();
        let legend = format!("{}: {total:.1} s in {done} queries", engine.kind.name());
        chart
            .draw_series(rectangles)?
            .label(legend)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    area.present()?;
    Ok(())
}
