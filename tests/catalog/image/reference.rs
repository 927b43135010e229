//! Images as float64, their resizing and convolution by the definitions, and what the tests try.

use zmlx::Result;
use zmlx::prelude::*;

use crate::common::Rng;
use crate::tolerance::numbers;

/// An image in float64.
pub struct Image {
    pub shape: [usize; 4],
    pub values: Vec<f64>,
}

impl Image {
    pub fn of(x: &Array) -> Image {
        let shape: Vec<usize> = x.shape().iter().map(|&d| d as usize).collect();
        Image {
            shape: shape.try_into().expect("4 axes"),
            values: numbers(x).unwrap(),
        }
    }

    /// The pixel, or 0 outside of the image.
    pub fn at(&self, n: usize, y: i64, x: i64, c: usize) -> f64 {
        let [_, height, width, channels] = self.shape;
        if y < 0 || x < 0 || y >= height as i64 || x >= width as i64 {
            return 0.0;
        }
        self.values[((n * height + y as usize) * width + x as usize) * channels + c]
    }

    /// Another image of as many images and channels, pixel by pixel.
    pub fn map(
        &self,
        height: usize,
        width: usize,
        f: impl Fn(usize, usize, usize, usize) -> f64,
    ) -> Vec<f64> {
        let [number, _, _, channels] = self.shape;
        let mut all = Vec::with_capacity(number * height * width * channels);
        for n in 0..number {
            for y in 0..height {
                for x in 0..width {
                    all.extend((0..channels).map(|c| f(n, y, x, c)));
                }
            }
        }
        all
    }

    pub fn resized(&self, height: usize, width: usize) -> Vec<f64> {
        let between = |i: usize, from: usize, to: usize| {
            let at = (i as f64 + 0.5) * (from as f64 / to as f64) - 0.5;
            let inside = |v: f64| v.clamp(0.0, from as f64 - 1.0) as i64;
            (
                inside(at.floor()),
                inside(at.floor() + 1.0),
                at - at.floor(),
            )
        };
        self.map(height, width, |n, y, x, c| {
            let (top, bottom, down) = between(y, self.shape[1], height);
            let (left, right, across) = between(x, self.shape[2], width);
            let row =
                |y| (1.0 - across) * self.at(n, y, left, c) + across * self.at(n, y, right, c);
            (1.0 - down) * row(top) + down * row(bottom)
        })
    }

    pub fn convolved(&self, w: &[f64]) -> Vec<f64> {
        let [_, height, width, channels] = self.shape;
        self.map(height, width, |n, y, x, c| {
            let places = (0..9).map(|k| (k / 3 - 1 + y as i64, k % 3 - 1 + x as i64, k as usize));
            places
                .map(|(y, x, k)| self.at(n, y, x, c) * w[k * channels + c])
                .sum()
        })
    }
}

/// Elements differ by so much at most, relative to the largest.
#[track_caller]
pub fn near(got: &Array, want: &[f64], tolerance: f64, what: &str) {
    let got = numbers(got).unwrap();
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= tolerance * most,
            "{what}: element {i}: {g}, {w}"
        );
    }
}

/// A few roundings of float32, or one of the dtype.
pub fn roundings(dtype: Dtype) -> f64 {
    match dtype {
        F32 => 2e-6,
        F16 => 1e-3,
        _ => 8e-3,
    }
}

pub const DTYPES: [Dtype; 3] = [F32, F16, BF16];

pub const SHAPES: [[usize; 4]; 6] = [
    [1, 1, 1, 1],
    [2, 5, 7, 3],
    [1, 8, 4, 33],
    [3, 1, 9, 2],
    [2, 6, 1, 70],
    [1, 37, 65, 4],
];

pub const SIZES: [(i32, i32); 7] = [
    (1, 1),
    (5, 7),
    (3, 2),
    (10, 14),
    (37, 65),
    (64, 9),
    (2, 100),
];

pub fn random(rng: &mut Rng, shape: &[usize], dtype: Dtype) -> Result<Array> {
    Array::from_slice(&rng.normals(shape.iter().product()), shape)?.astype(dtype)
}
