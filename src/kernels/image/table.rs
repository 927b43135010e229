//! The rows of the catalog's table, and the same by MLX's operations.

use super::{depthwise_conv_3x3, image, resize_bilinear};
use crate::kernels::catalog::{Entry, Kind, few_roundings, input};
use crate::ops::Conv;
use crate::{Array, Result};

/// Interpolation along an axis by MLX's operations.
fn along(x: &Array, axis: i32, to: i32) -> Result<Array> {
    let from = x.shape()[axis as usize];
    let places = (0..to).map(|i| (f64::from(i) + 0.5) * f64::from(from) / f64::from(to) - 0.5);
    let low: Vec<f64> = places.clone().map(f64::floor).collect();
    let share: Vec<f32> = places
        .zip(&low)
        .map(|(at, low)| (at - low) as f32)
        .collect();
    let inside = |n: f64| n.clamp(0.0, f64::from(from - 1)) as i32;
    let taken = |by: f64| {
        let at: Vec<i32> = low.iter().map(|n| inside(n + by)).collect();
        x.take(&Array::from_slice(&at, to)?, axis)
    };
    let mut shape = [1; 4];
    shape[axis as usize] = to;
    let share = Array::from_slice(&share, shape)?.astype(x.dtype())?;
    let rest = (1.0 - &share)?;
    (taken(0.0)? * rest)? + (taken(1.0)? * share)?
}

/// A size that is neither a multiple nor a part of the image's.
fn resized(x: &Array) -> (i32, i32) {
    let [_, height, width, _] = image("x", x).unwrap_or([1; 4]);
    (height, width / 2 * 3)
}

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "image::resize_bilinear",
        formula: "x at ((i + 1/2) H / H' - 1/2, (j + 1/2) W / W' - 1/2), between its neighbours",
        file: "image.metal",
        inputs: &[input("x", Kind::Image)],
        call: |p| Ok(vec![resize_bilinear(&p[0], resized(&p[0]))?]),
        composite: |p| {
            let (height, width) = resized(&p[0]);
            Ok(vec![along(&along(&p[0], 1, height)?, 2, width)?])
        },
        mlx: None,
        bytes: |rows, width, size| (rows * width + rows * width / 2 * 3) * size,
        roundings: few_roundings,
    },
    Entry {
        name: "image::depthwise_conv_3x3",
        formula: "sum of x[y + i, x + j, c] w[i, j, c] for i and j from -1 to 1",
        file: "image.metal",
        inputs: &[input("x", Kind::Image), input("w", Kind::Taps)],
        call: |p| Ok(vec![depthwise_conv_3x3(&p[0], &p[1])?]),
        composite: |p| {
            let channels = p[0].shape()[3];
            let w = p[1]
                .reshape((9, channels))?
                .transpose((1, 0))?
                .reshape((channels, 3, 3, 1))?;
            let conv = Conv::new().padding(1).groups(channels);
            Ok(vec![p[0].conv2d(&w, conv)?])
        },
        mlx: None,
        bytes: |rows, width, size| 2 * rows * width * size,
        roundings: few_roundings,
    },
];
