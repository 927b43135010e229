//! The shares of a copy as a picture: a line for each kernel, a dot for each dtype.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use zmlx::bench::Row;
use zmlx::{Dtype, Error, Result};

const LINE: i32 = 15;
const TOP: i32 = 46;
const BOTTOM: i32 = 30;
/// Where the axis begins and ends.
const AXIS: (i32, i32) = (290, 860);
const WIDTH: i32 = 880;

/// Writes the SVG file.
pub fn draw(rows: &[Row], path: &Path) -> Result<()> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let mut kernels: Vec<&str> = Vec::new();
    for row in rows {
        if !kernels.contains(&&*row.kernel) {
            kernels.push(&row.kernel);
        }
    }
    let height = TOP + LINE * kernels.len() as i32 + BOTTOM;
    let root = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    let picture = Picture {
        most: rows.iter().filter_map(share).fold(1.0, f64::max),
        bottom: height - BOTTOM,
    };
    let drawn = picture.draw(&root, first, rows, &kernels);
    drawn
        .and_then(|()| root.present().map_err(|e| e.to_string()))
        .map_err(Error::other)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

struct Picture {
    /// The largest share of the axis.
    most: f64,
    bottom: i32,
}

impl Picture {
    fn x(&self, share: f64) -> i32 {
        let (from, to) = AXIS;
        from + (f64::from(to - from) * share / self.most) as i32
    }

    fn draw(
        &self,
        root: &Area<'_>,
        first: &Row,
        rows: &[Row],
        kernels: &[&str],
    ) -> std::result::Result<(), String> {
        let told = |e: DrawingAreaErrorKind<_>| e.to_string();
        root.fill(&WHITE).map_err(told)?;
        let text = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
        let left = |size| text(size).pos(Pos::new(HPos::Left, VPos::Center));
        let right = |size| text(size).pos(Pos::new(HPos::Right, VPos::Center));
        let title = format!(
            "Share of a copy's speed, {} engine, {}",
            first.engine,
            sizes(rows)
        );
        root.draw(&Text::new(title, (10, 14), left(14)))
            .map_err(told)?;
        for tenth in 0..=(self.most * 10.0) as i32 {
            let x = self.x(f64::from(tenth) / 10.0);
            // A copy's own line is darker.
            let grey = if tenth == 10 { 90 } else { 225 };
            let line =
                PathElement::new(vec![(x, TOP), (x, self.bottom)], RGBColor(grey, grey, grey));
            root.draw(&line).map_err(told)?;
            if tenth % 2 == 0 {
                let number = format!("{:.1}", f64::from(tenth) / 10.0);
                let place = text(11).pos(Pos::new(HPos::Center, VPos::Top));
                root.draw(&Text::new(number, (x, self.bottom + 6), place))
                    .map_err(told)?;
            }
        }
        let mut dtypes: Vec<Dtype> = Vec::new();
        for row in rows {
            if !dtypes.contains(&row.dtype) {
                dtypes.push(row.dtype);
            }
        }
        for (i, dtype) in dtypes.iter().enumerate() {
            let x = AXIS.0 + 110 * i as i32;
            root.draw(&Circle::new((x, 34), 4, color(*dtype).filled()))
                .map_err(told)?;
            root.draw(&Text::new(dtype.name(), (x + 9, 34), left(12)))
                .map_err(told)?;
        }
        for (i, kernel) in kernels.iter().enumerate() {
            let y = TOP + LINE * i as i32 + LINE / 2;
            root.draw(&Text::new(*kernel, (AXIS.0 - 8, y), right(11)))
                .map_err(told)?;
            for row in rows.iter().filter(|r| r.kernel == *kernel) {
                let Some(share) = share(row) else { continue };
                let dot = Circle::new((self.x(share), y), 4, color(row.dtype).filled());
                root.draw(&dot).map_err(told)?;
            }
        }
        Ok(())
    }
}

fn share(row: &Row) -> Option<f64> {
    row.share_of_copy(0)
}

fn color(dtype: Dtype) -> RGBColor {
    match dtype {
        Dtype::Float32 => RGBColor(31, 119, 180),
        Dtype::Float16 => RGBColor(44, 160, 44),
        _ => RGBColor(214, 39, 40),
    }
}

/// The shapes, in words.
fn sizes(rows: &[Row]) -> String {
    let mut all: Vec<String> = Vec::new();
    for row in rows {
        let sizes: Vec<String> = row.shape.iter().map(i32::to_string).collect();
        let sizes = sizes.join("x");
        if !all.contains(&sizes) {
            all.push(sizes);
        }
    }
    all.join(", ")
}
