//! Codes of a cache by one kernel: on a CPU, outside of transforms.

use super::cache::QuantizedCache;
use crate::metal::{Made, build_once};
use crate::{Array, Dtype, MetalKernel, Result};

/// A thread takes a group. Numbers that are none make the scale one that is none, too.
const SCALE: &str = "\
const size_t first = size_t(thread_position_in_grid.x) * G;
float most = 0.0f, low = 0.0f;
bool none = false;
for (int i = 0; i < G; ++i) {
  const float e = float(x[first + i]);
  most = metal::max(most, metal::abs(e));
  low = metal::min(low, e);
  none = none || e != e;
}
const T scale = none ? T(NAN) : T(SCALE);
scales[thread_position_in_grid.x] = scale;
const float by = float(scale) == 0.0f ? 1.0f : float(scale);
";

const EIGHT: &str = "\
for (int i = 0; i < G; ++i) {
  const float q = metal::rint(float(x[first + i]) / by);
  codes[first + i] = q == q ? char(metal::clamp(q, -127.0f, 127.0f)) : char(0);
}
";

const FOUR: &str = "\
for (int i = 0; i < G; i += 2) {
  const float a = metal::rint(float(x[first + i]) / by) + 8.0f;
  const float b = metal::rint(float(x[first + i + 1]) / by) + 8.0f;
  const uint low_half = a == a ? uint(metal::clamp(a, 0.0f, 15.0f)) : 8u;
  const uint high_half = b == b ? uint(metal::clamp(b, 0.0f, 15.0f)) : 8u;
  codes[(first + i) / 2] = uchar(low_half | high_half << 4);
}
";

/// [`quantize_cache`](super::quantize_cache) of arguments that are right.
#[track_caller]
pub(super) fn encode(x: &Array, bits: i32, group: i32) -> Result<QuantizedCache> {
    static MADE: [Made<MetalKernel>; 2] = [const { Made::new() }; 2];
    let (which, name) = match bits {
        8 => (0, "quantize_cache_8"),
        _ => (1, "quantize_cache_4"),
    };
    let kernel = build_once(&MADE[which], name, &["x"], &["codes", "scales"], || {
        match which {
            0 => SCALE.replace("SCALE", "most / 127.0f") + EIGHT,
            // The sign of the largest, so that it gets the code that has no counterpart.
            _ => SCALE.replace("SCALE", "(-low >= most ? most : -most) / 8.0f") + FOUR,
        }
    })?;
    let Some((&width, leading)) = x.shape().split_last() else {
        return Err(crate::Error::shape("`x`: expected an axis".into()));
    };
    let with = |last: i32| -> Vec<i32> { leading.iter().copied().chain([last]).collect() };
    let (codes, code) = match bits {
        8 => (with(width), Dtype::Int8),
        _ => (with(width / 2), Dtype::Uint8),
    };
    let scales = with(width / group);
    if x.size() == 0 {
        return Ok(QuantizedCache {
            codes: Array::zeros(codes, code)?,
            scales: Array::zeros(scales, x.dtype())?,
        });
    }
    let inputs = [x];
    let mut launch = kernel.launch(&inputs);
    launch.set_output(&codes, code);
    launch.set_output(&scales, x.dtype());
    launch.set_template("T", x.dtype().into());
    launch.set_template("G", group.into());
    let groups = x.size() as i64 / i64::from(group);
    launch.set_grid((groups, 1));
    launch.set_threadgroup(256);
    let [codes, scales] = launch.add()?;
    Ok(QuantizedCache { codes, scales })
}
