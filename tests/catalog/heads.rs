//! What tests of attention over heads share: numbers, options, loops over sizes, what is refused.

use zmlx::Result;
use zmlx::prelude::*;

use crate::common::Rng;
use crate::tolerance::numbers;

/// B, H, N, KV, L, D.
pub type Sizes = [i32; 6];

#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    pub lens: Option<&'a Array>,
    pub scale: Option<f32>,
    pub causal: bool,
    pub window: Option<i32>,
    pub mask: Option<&'a Array>,
    pub softcap: Option<f32>,
    pub sinks: Option<&'a Array>,
    pub segments: Option<[&'a Array; 2]>,
}

macro_rules! setters {
    ($($name:ident: $type:ty),*) => {
        impl<'a> Options<'a> {
            pub fn causal(self) -> Self {
                Options { causal: true, ..self }
            }
            $(pub fn $name(self, $name: $type) -> Self {
                Options { $name: Some($name), ..self }
            })*
        }
    };
}
setters! {
    lens: &'a Array, scale: f32, window: i32, mask: &'a Array, softcap: f32, sinks: &'a Array, segments: [&'a Array; 2]
}

/// A call with those options that all functions have.
macro_rules! with_options {
    ($call:expr, $o:expr) => {{
        let mut call = $call;
        if let Some(scale) = $o.scale {
            call = call.scale(scale);
        }
        if $o.causal {
            call = call.causal();
        }
        if let Some(tokens) = $o.window {
            call = call.window(tokens);
        }
        if let Some(cap) = $o.softcap {
            call = call.softcap(cap);
        }
        if let Some(sinks) = $o.sinks {
            call = call.sinks(sinks);
        }
        call
    }};
}
pub(crate) use with_options;

pub fn normal(rng: &mut Rng, shape: &[i32], dtype: Dtype) -> Result<Array> {
    let n: i32 = shape.iter().product();
    Array::from_slice(&rng.normals(n as usize), shape)?.astype(dtype)
}

/// Truth values, of which such a part is true.
pub fn truths(rng: &mut Rng, part: f64, shape: &[i32]) -> Result<Array> {
    let n: i32 = shape.iter().product();
    let values: Vec<bool> = (0..n).map(|_| rng.uniform() < part).collect();
    Array::from_slice(&values, shape)
}

/// Queries, keys and values.
pub fn draw(rng: &mut Rng, [b, h, n, kv, l, d]: Sizes, dtype: Dtype) -> Result<[Array; 3]> {
    Ok([
        normal(rng, &[b, h, n, d], dtype)?,
        normal(rng, &[b, kv, l, d], dtype)?,
        normal(rng, &[b, kv, l, d], dtype)?,
    ])
}

/// Runs `body` for sizes in their dtypes, causal and not, with what is tested in words.
pub fn each_size(
    rng: &mut Rng,
    all: &[(Sizes, &[Dtype])],
    mut body: impl FnMut(&str, &mut Rng, &[Array; 3], &Options<'_>) -> Result<()>,
) -> Result<()> {
    for &(sizes, dtypes) in all {
        for &dtype in dtypes {
            let p = draw(rng, sizes, dtype)?;
            for causal in [false, true] {
                let o = match causal {
                    true => Options::default().causal(),
                    false => Options::default(),
                };
                body(&format!("{sizes:?} {dtype} {causal}"), rng, &p, &o)?;
            }
        }
    }
    Ok(())
}

/// The same elements with others between them.
pub fn apart(a: &Array) -> Result<Array> {
    let both = zmlx::ops::stack([a, &a.full_like(f32::NAN)?], -1)?;
    zmlx::eval([&both])?;
    both.index((.., .., .., .., 0))
}

/// Within so many units of the largest element or of 1, where a unit is the dtype's last place: outputs are means of values of about 1.
#[track_caller]
pub fn close(what: &str, got: &Array, want: &[f64], units: f64) {
    let unit = match got.dtype() {
        F32 => 1.0 / f64::from(1 << 23),
        F16 => 1.0 / 1024.0,
        _ => 1.0 / 128.0,
    };
    let got = numbers(got).unwrap();
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= units * unit * most,
            "{what}: element {i} is {g}, expected {w}"
        );
    }
}

#[track_caller]
pub fn refused_for_shape<T: std::fmt::Debug>(y: Result<T>, name: &str) {
    let text = match &y {
        Err(e @ Error::Shape { .. }) => e.to_string(),
        other => panic!("{name}: {other:?}"),
    };
    assert!(text.contains(name), "{text}");
}

#[track_caller]
pub fn refused_for_dtype<T: std::fmt::Debug>(y: Result<T>) {
    assert!(matches!(y, Err(Error::Dtype { .. })), "{y:?}");
}

#[track_caller]
pub fn refused_for_argument<T: std::fmt::Debug>(y: Result<T>) {
    assert!(matches!(y, Err(Error::Argument { .. })), "{y:?}");
}
