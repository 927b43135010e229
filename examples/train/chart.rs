//! The losses of a run as a picture.

use std::path::Path;

use plotters::prelude::*;
use zmlx::{Error, Result};

/// Writes an SVG with a line for each run: its name, and its losses step by step.
pub fn write(path: &Path, runs: &[(&str, &[f32])]) -> Result<()> {
    draw(path, runs).map_err(|e| Error::other(format!("{}: {e}", path.display())))
}

fn draw(path: &Path, runs: &[(&str, &[f32])]) -> std::result::Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let steps = runs.iter().map(|(_, l)| l.len()).max().unwrap_or(1);
    let most = runs
        .iter()
        .flat_map(|(_, l)| l.iter().copied())
        .fold(0.1f32, f32::max);
    let area = SVGBackend::new(path, (720, 420)).into_drawing_area();
    area.fill(&WHITE).map_err(|e| text(&e))?;
    let mut chart = ChartBuilder::on(&area)
        .caption("loss, nats a byte", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(40)
        .build_cartesian_2d(0..steps, 0f32..most * 1.05)
        .map_err(|e| text(&e))?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("step").draw().map_err(|e| text(&e))?;
    for (i, (name, losses)) in runs.iter().enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let line = LineSeries::new(losses.iter().copied().enumerate(), color);
        let drawn = chart.draw_series(line).map_err(|e| text(&e))?;
        drawn
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    let mut labels = chart.configure_series_labels();
    labels.border_style(BLACK).draw().map_err(|e| text(&e))?;
    drop(labels);
    drop(chart);
    area.present().map_err(|e| text(&e))
}
