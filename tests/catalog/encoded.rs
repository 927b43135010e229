//! Codes of caches, one by one, by their documentation.

use zmlx::kernels::attention::{QuantizedCache, quantize_cache};
use zmlx::prelude::*;

use crate::common::{Rng, on_worker};

/// The code of each number and the scale of each group, computed in float32 from a scale that has the dtype of the numbers.
fn encoded(
    all: &[f32],
    bits: i32,
    group: usize,
    round: &dyn Fn(f32) -> f32,
) -> (Vec<i32>, Vec<f32>) {
    let (mut codes, mut scales) = (Vec::new(), Vec::new());
    for part in all.chunks(group) {
        let most = part.iter().fold(0f32, |m, x| m.max(x.abs()));
        let negative = part.iter().any(|x| *x == -most);
        let (scale, low, high) = match bits {
            8 => (most / 127.0, -127.0, 127.0),
            _ if negative => (most / 8.0, -8.0, 7.0),
            _ => (-most / 8.0, -8.0, 7.0),
        };
        let scale = round(scale);
        scales.push(scale);
        let code = |x: &f32| match scale == 0.0 {
            true => 0,
            false => (x / scale).round_ties_even().clamp(low, high) as i32,
        };
        codes.extend(part.iter().map(code));
    }
    (codes, scales)
}

/// The codes as numbers, two of a byte in order.
fn numbers(cache: &QuantizedCache) -> Vec<i32> {
    match cache.codes.dtype() {
        Dtype::Int8 => {
            let codes = cache.codes.to_vec::<i8>().unwrap();
            codes.into_iter().map(i32::from).collect()
        }
        _ => {
            let bytes = cache.codes.to_vec::<u8>().unwrap();
            let both = |b: u8| [i32::from(b & 15) - 8, i32::from(b >> 4) - 8];
            bytes.into_iter().flat_map(both).collect()
        }
    }
}

#[test]
fn codes_are_those_of_the_documentation() {
    on_worker(|| {
        let mut rng = Rng::new();
        for dtype in [F32, F16, BF16] {
            let round = |x: f32| -> f32 {
                let one = Array::from(x).astype(dtype).unwrap();
                one.astype(F32).unwrap().item::<f32>().unwrap()
            };
            for (bits, group) in [(8, 32), (4, 128)] {
                let mut all = rng.normals(3 * 5 * 128);
                // A group of zeros, and one whose largest number is below 0.
                all[..128].fill(0.0);
                all[256] = -9.0;
                let x = Array::from_slice(&all, (3, 5, 128)).unwrap();
                let x = x.astype(dtype).unwrap();
                let all = x.astype(F32).unwrap().to_vec::<f32>().unwrap();
                let (codes, scales) = encoded(&all, bits, group as usize, &round);
                // Views are read as they lie: a part of a longer axis, and turned axes.
                let turned = x.transpose([1, 0, 2]).unwrap().contiguous().unwrap();
                let turned = turned.transpose([1, 0, 2]).unwrap();
                for x in [&x, &turned] {
                    let cache = quantize_cache(x, bits, group).unwrap();
                    assert_eq!(cache.scales.shape(), [3, 5, 128 / group]);
                    assert_eq!(cache.scales.dtype(), dtype);
                    let got = cache.scales.astype(F32).unwrap().to_vec::<f32>().unwrap();
                    assert_eq!(got, scales, "{dtype} {bits} {group}");
                    assert_eq!(numbers(&cache), codes, "{dtype} {bits} {group}");
                }
            }
        }
    });
}

/// A number that is none makes the scale of its own group one, and no other.
#[test]
fn numbers_that_are_none_stay_in_their_group() {
    on_worker(|| {
        for bits in [8, 4] {
            let mut all = vec![1.0f32; 96];
            all[40] = f32::NAN;
            let x = Array::from_slice(&all, (1, 96)).unwrap();
            let cache = quantize_cache(&x, bits, 32).unwrap();
            let scales = cache.scales.to_vec::<f32>().unwrap();
            let none: Vec<bool> = scales.iter().map(|s| s.is_nan()).collect();
            assert_eq!(none, [false, true, false], "{scales:?}");
            let back = cache.dequantize(F32).unwrap().to_vec::<f32>().unwrap();
            // A scale of 1 / 127 is rounded.
            let near = |x: &f32| (x - 1.0).abs() < 1e-6;
            assert!(back[..32].iter().chain(&back[64..]).all(near));
        }
    });
}
