//! Convolutions of float64, which MLX would compute in float32: one product of matrices for each
//! element of the filter.

use super::PadMode;
use super::conv::Along;
use super::conv_settings::Conv;
use crate::{Array, Dtype, Result, keepdims};

/// `x`: (batch, spatial dimensions, channels), `w`: (outputs, spatial dimensions, channels of a group),
/// both checked; no padding is negative.
#[track_caller]
pub(super) fn convolve(x: &Array, w: &Array, conv: &Conv, n: usize) -> Result<Array> {
    let groups = conv.group_count();
    let along: Vec<Along> = (0..n).map(|i| conv.along(i)).collect();
    let mut x = x.astype(Dtype::Float64)?;
    let mut w = w.astype(Dtype::Float64)?;
    for (i, a) in along.iter().enumerate() {
        x = spread(&x, i + 1, a.input_dilation)?;
    }
    let mut widths = vec![(0, 0); n + 2];
    for (i, a) in along.iter().enumerate() {
        widths[i + 1] = (a.low, a.high);
    }
    x = x.pad(widths.as_slice(), PadMode::Constant(0.0))?;
    if conv.flips() {
        let axes: Vec<i32> = (1..=n as i32).collect();
        w = w.flip(axes)?;
    }
    // The groups as an axis, each element a row: (.., groups, 1, channels) by (groups, channels, outputs).
    let (outputs, each) = (w.shape()[0], w.shape()[n + 1]);
    let filter: Vec<i32> = w.shape()[1..=n].to_vec();
    let mut at = vec![0; n];
    let mut sum: Option<Array> = None;
    loop {
        let (mut start, mut stop, mut steps) = (vec![0; n + 2], x.shape().to_vec(), vec![1; n + 2]);
        let (mut first, mut last) = (vec![0; n + 2], w.shape().to_vec());
        for (i, a) in along.iter().enumerate() {
            let offset = at[i] * a.dilation;
            let reach = (filter[i] - 1) * a.dilation;
            start[i + 1] = offset;
            stop[i + 1] -= reach - offset;
            steps[i + 1] = a.stride;
            (first[i + 1], last[i + 1]) = (at[i], at[i] + 1);
        }
        let part = x.slice(start, stop, steps)?;
        let mut rows = part.shape()[..=n].to_vec();
        rows.extend([groups, 1, each]);
        let column = w.slice(first, last, vec![1; n + 2])?;
        let column = column
            .reshape((groups, outputs / groups, each))?
            .swapaxes(-1, -2)?;
        let product = part.reshape(rows)?.matmul(&column)?;
        sum = Some(match sum {
            Some(sum) => sum.add(&product)?,
            None => product,
        });
        if !advance(&mut at, &filter) {
            break;
        }
    }
    let Some(sum) = sum else {
        return x.sum(keepdims(..)); // there is always one element of the filter
    };
    let mut shape = sum.shape()[..=n].to_vec();
    shape.push(outputs);
    sum.reshape(shape)
}

/// Zeros between the elements along an axis.
#[track_caller]
fn spread(x: &Array, axis: usize, step: i32) -> Result<Array> {
    if step == 1 {
        return Ok(x.clone());
    }
    let mut widths = vec![(0, 0); x.ndim() + 1];
    widths[axis + 1] = (0, step - 1);
    let apart = x
        .expand_dims(axis as i32 + 1)?
        .pad(widths.as_slice(), PadMode::Constant(0.0))?;
    let mut shape = x.shape().to_vec();
    let stop = (shape[axis] - 1) * step + 1;
    shape[axis] *= step;
    let (start, mut stops) = (vec![0; x.ndim()], shape.clone());
    stops[axis] = stop;
    apart.reshape(shape)?.slice(start, stops, vec![1; x.ndim()])
}

/// The next position in row-major order; false after the last.
fn advance(at: &mut [i32], shape: &[i32]) -> bool {
    for i in (0..at.len()).rev() {
        at[i] += 1;
        if at[i] < shape[i] {
            return true;
        }
        at[i] = 0;
    }
    false
}
