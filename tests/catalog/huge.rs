//! Arrays of more than 2^31 elements.

use zmlx::kernels::attention::{QuantizedCache, decode_attention};
use zmlx::kernels::{bits, quant};
use zmlx::prelude::*;
use zmlx::{Result, with_device};

use crate::common::on_worker;
use crate::tolerance::numbers;

/// So many elements in rows of a width that no power of two divides evenly into blocks.
const ROWS: i32 = 65_551;
const WIDTH: i32 = 32_776;

/// Whether the machine has so many bytes to spare; says so where it has not.
fn room_for(gigabytes: u64, what: &str) -> bool {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let free = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    let enough = free.is_none_or(|kib| kib >> 20 >= gigabytes + 2);
    if !enough {
        eprintln!("skipped: {what} needs {gigabytes} GiB of memory");
    }
    enough
}

/// Bytes and halves, as they take the least memory: the results behind 2^31 elements are in their places.
#[test]
fn bytes_behind_two_to_the_31() {
    if !room_for(8, "a result of 2^31 elements") {
        return;
    }
    on_worker(|| {
        with_device(Device::CPU, || -> Result<()> {
            let size = ROWS as usize * WIDTH as usize;
            let ends = |y: &Array, at: i32, to: i32| -> Result<Vec<f64>> {
                numbers(&y.reshape((ROWS, WIDTH))?.index((ROWS - 1, at..to))?)
            };
            // The last row has other numbers than all others.
            let zeros = Array::zeros((ROWS - 1, WIDTH), Dtype::Uint8)?;
            let last = Array::arange(WIDTH)?.remainder(251)?.astype(Dtype::Uint8)?;
            let x = zmlx::ops::concatenate(&[zeros, last.expand_dims(0)?], 0)?;
            x.eval()?;
            let want = |at: i32| f64::from(at % 251);
            let scale = Array::from(0.5f32);
            let y = quant::dequantize_int8(&x, &scale).dtype(F16).call()?;
            let got = ends(&y, WIDTH - 40, WIDTH)?;
            let halves: Vec<f64> = (WIDTH - 40..WIDTH).map(|i| 0.5 * want(i)).collect();
            assert_eq!(got, halves);
            drop(y);
            let packed = bits::pack_bits(&x)?;
            assert_eq!(packed.size(), size / 8);
            let back = bits::unpack_bits(&packed)
                .original_shape((ROWS, WIDTH))
                .call()?;
            let ones: Vec<f64> = (WIDTH - 40..WIDTH)
                .map(|i| f64::from(u8::from(want(i) != 0.0)))
                .collect();
            assert_eq!(ends(&back, WIDTH - 40, WIDTH)?, ones);
            Ok(())
        })
    })
    .unwrap();
}

/// A kernel that reads views where they lie: keys and values are the ends of the rows of an array of codes, so the last tokens stand
/// behind 2^31 elements. They alone have codes other than 0.
#[test]
fn views_behind_two_to_the_31() {
    if !room_for(5, "an array of 2^31 codes") {
        return;
    }
    on_worker(|| {
        with_device(Device::CPU, || -> Result<()> {
            let width = 64;
            let zeros = Array::zeros((ROWS - 2, WIDTH), Dtype::Int8)?;
            let last = Array::arange(2 * WIDTH)?.remainder(100)?.add(1)?;
            let last = last.astype(Dtype::Int8)?.reshape((2, WIDTH))?;
            let all = zmlx::ops::concatenate(&[zeros, last], 0)?;
            all.eval()?;
            let ends = all.index((.., WIDTH - width..))?;
            let codes = ends.expand_dims(0)?.expand_dims(0)?;
            let cache = QuantizedCache {
                codes,
                scales: Array::ones((1, 1, ROWS, 2), F32)?,
            };
            // Of the last two tokens, whose weights are equal as the query is 0.
            let q = Array::zeros((1, 2, 1, width), F32)?;
            let y = decode_attention(&q, &cache, &cache).window(2).call()?;
            let code = |row: i32, i: i32| f64::from((row * WIDTH + WIDTH - width + i) % 100 + 1);
            let want = (0..width).map(|i| (code(0, i) + code(1, i)) / 2.0);
            let want: Vec<f64> = want.collect();
            assert_eq!(numbers(&y)?, [&want[..], &want].concat());
            Ok(())
        })
    })
    .unwrap();
}
