//! The picture of docs/scale.md: how the backlog of a fleet drains, and what it asks of the store meanwhile.

use std::error::Error;
use std::path::Path;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::sim::figures::from_ms;
use crate::{BY_DEFAULT, NO_NEWS, Played, SLOTS};

type Panel<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawing<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Points = Vec<(f64, f64)>;

const SIZE: (u32, u32) = (960, 720);
const INK: RGBColor = RGBColor(40, 44, 52);
const PALE: RGBColor = RGBColor(225, 228, 232);
const GREY: RGBColor = RGBColor(130, 136, 146);
const BLUE: RGBColor = RGBColor(31, 98, 178);
const GREEN: RGBColor = RGBColor(30, 140, 90);
const RED: RGBColor = RGBColor(200, 60, 50);

pub fn draw(path: &Path, drains: &[Played]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (above, below) = area.split_vertically(380);
    arrivals(&above, drains)?;
    if let Some(played) = drains.iter().find(|played| played.name == BY_DEFAULT) {
        calls(&below, played)?;
    }
    area.present()?;
    Ok(())
}

/// How much of the backlog has arrived, over time.
fn arrivals(area: &Drawing<'_>, drains: &[Played]) -> Result<(), Box<dyn Error>> {
    let named = |name| drains.iter().find(move |played| played.name == name);
    let lines = [(NO_NEWS, GREEN), (BY_DEFAULT, BLUE), (SLOTS, RED)];
    let lines: Vec<(&Played, RGBColor)> =
        lines.into_iter().filter_map(|(name, colour)| Some((named(name)?, colour))).collect();
    let last = |played: &Played| played.figures.drained_s.map_or(0.0, |(all, _)| all / 60.0);
    let minutes = lines.iter().map(|(played, _)| last(played)).fold(1.0, f64::max);
    let mut panel = panel(
        area,
        "After an hour offline: edits that have arrived",
        (minutes, 100.0),
        "share of all edits, %",
    )?;

    if let Some((played, _)) = lines.first() {
        let bound = [(0.0, 0.0), (floor_minutes(played), 100.0)];
        line(&mut panel, bound.to_vec(), GREY, "on paper: one read and one write a till")?;
    }
    for (played, colour) in lines {
        line(&mut panel, arrived(played), colour, played.name)?;
    }
    legend(&mut panel, SeriesLabelPosition::LowerRight)
}

/// What is let through and what is refused, window by window.
fn calls(area: &Drawing<'_>, played: &Played) -> Result<(), Box<dyn Error>> {
    let (passed, refused) = (windows(played, true), windows(played, false));
    let most = passed.iter().chain(&refused).map(|(_, calls)| *calls).fold(0.0, f64::max);
    let minutes = passed.last().map_or(1.0, |(minutes, _)| *minutes);
    let heading = format!("Calls in each window of 30 s: {BY_DEFAULT}");
    let mut panel = panel(area, &heading, (minutes, most * 1.08), "calls a window")?;
    line(&mut panel, refused, RED, "refused with 429")?;
    line(&mut panel, passed, BLUE, "let through")?;
    legend(&mut panel, SeriesLabelPosition::UpperRight)
}

/// The least that the quota allows: each till that has edits reads once and writes ten customers a call.
fn floor_minutes(played: &Played) -> f64 {
    let scenario = &played.scenario;
    let calls: usize = (0..scenario.tills).map(|till| scenario.backlog_of(till)).map(calls_for).sum();
    let windows = calls as f64 / scenario.quota as f64;
    windows * scenario.window_ms as f64 / 60_000.0
}

fn calls_for(backlog: usize) -> usize {
    if backlog == 0 { 0 } else { 1 + backlog.div_ceil(10) }
}

fn arrived(played: &Played) -> Points {
    let from_ms = from_ms(&played.scenario);
    let backlog = played.history.edits.iter().filter(|edit| edit.is_backlog);
    let mut times: Vec<u64> = backlog.filter_map(|edit| edit.arrived_ms).collect();
    times.sort_unstable();
    let step = (times.len() / 400).max(1);
    let share = |place: usize| 100.0 * (place + 1) as f64 / times.len() as f64;
    let point = |place: usize| ((times[place] - from_ms) as f64 / 60_000.0, share(place));
    let places = (0..times.len()).step_by(step).chain(times.len().checked_sub(1));
    std::iter::once((0.0, 0.0)).chain(places.map(point)).collect()
}

/// Steps: minutes, and calls in the window that runs then.
fn windows(played: &Played, is_passed: bool) -> Points {
    let history = &played.history;
    let ends = history.windows.iter().skip(1).copied().chain([history.ended_ms]);
    let in_window = |(began_ms, ended_ms): (u64, u64)| {
        let is_in = |at_ms: u64| began_ms <= at_ms && at_ms < ended_ms;
        let calls =
            history.calls.iter().filter(|call| is_in(call.at_ms) && call.is_passed == is_passed).count();
        [began_ms, ended_ms].map(|at_ms| (at_ms as f64 / 60_000.0, calls as f64))
    };
    history.windows.iter().copied().zip(ends).flat_map(in_window).collect()
}

// ---- drawing -------------------------------------------------------------------------------------------------------

fn panel<'a, 'b>(
    area: &'a Drawing<'b>,
    heading: &str,
    (minutes, most): (f64, f64),
    unit: &str,
) -> Result<Panel<'a, 'b>, Box<dyn Error>> {
    let mut panel = ChartBuilder::on(area)
        .caption(heading, ("sans-serif", 20).into_font().color(&INK))
        .margin(14)
        .margin_right(28)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..minutes, 0.0..most)?;
    panel
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(GREY)
        .label_style(("sans-serif", 14).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 15).into_font().color(&INK))
        .x_desc("minutes since the tills came back")
        .y_desc(unit)
        .x_label_formatter(&|minutes| format!("{minutes:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    Ok(panel)
}

fn line(
    panel: &mut Panel<'_, '_>,
    points: Points,
    colour: RGBColor,
    name: &str,
) -> Result<(), Box<dyn Error>> {
    let style = ShapeStyle::from(colour).stroke_width(2);
    let sample = move |(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], style);
    panel.draw_series(LineSeries::new(points, style))?.label(name).legend(sample);
    Ok(())
}

fn legend<'a, 'b: 'a>(panel: &mut Panel<'a, 'b>, place: SeriesLabelPosition) -> Result<(), Box<dyn Error>> {
    panel
        .configure_series_labels()
        .position(place)
        .margin(14)
        .legend_area_size(30)
        .background_style(WHITE.mix(0.9))
        .border_style(PALE)
        .label_font(("sans-serif", 14).into_font().color(&INK))
        .draw()?;
    Ok(())
}
