//! Sizes that no axis, no array or no memory has: one clear error with this file's line, at once, and what fits is taken. Nothing
//! here is evaluated unless it is small.

use zmlx::kernels::attention::paged_attention;
use zmlx::kernels::indexing::{fused_gather_add, fused_scatter_add};
use zmlx::kernels::{bits, moe, quant, rope};
use zmlx::prelude::*;
use zmlx::{Result, grad};

use crate::common::on_worker;

/// One number as an array of any size.
fn large(shape: &[i32], dtype: Dtype) -> Array {
    Array::ones((), dtype).unwrap().broadcast_to(shape).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T>, parts: &[&str]) {
    let text = format!("{:?}", outcome.unwrap_err());
    for part in parts.iter().chain(&["expected", "got", file!()]) {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// 2^31 elements and more as an axis of rows or of indices.
#[test]
fn more_than_an_axis_holds() {
    on_worker(|| -> Result<()> {
        // 2^31, and 2^32 + 5, of which 32 bits would leave 5.
        for [m, n] in [[65_536, 32_768], [858_993_460, 5]] {
            let all = (i64::from(m) * i64::from(n)).to_string();
            let (indices, rows) = (large(&[m, n], Dtype::Uint8), large(&[m, n, 1], F16));
            let src = large(&[3, 1], F16);
            let parts = ["`indices`", "2^31", &all];
            refused(fused_gather_add(&src, &indices, &rows), &parts);
            let sums = fused_scatter_add(&indices, &rows, (3, 1));
            refused(sums.call(), &parts);
            let weights = large(&[m, n], F16);
            refused(
                moe::moe_combine(&rows, &weights),
                &["`weights`", "2^31", &all],
            );
        }
        let one = Array::zeros(1, I32)?;
        let (row, most) = (large(&[1, 1], F16), i32::MAX);
        let sums = fused_scatter_add(&one, &row, (most, 1));
        refused(sums.call(), &["`out_shape`", "2147483647"]);
        let src = large(&[most, 1], F16);
        assert_eq!(fused_gather_add(&src, &one, &row)?.shape(), [1, 1]);
        let slope = grad(|src| fused_gather_add(src, &one, &row)?.sum(..))(&src);
        refused(slope, &["rows", "2147483647"]);
        // An axis of as many indices is none too many.
        let many = fused_gather_add(&row, &large(&[most], I32), &large(&[most, 1], F16))?;
        assert_eq!(many.shape(), [most, 1]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn bits_of_large_arrays() {
    on_worker(|| -> Result<()> {
        let set = large(&[65_536, 32_768], Dtype::Uint8);
        assert_eq!(bits::pack_bits(&set)?.shape(), [1 << 28]);
        let too_many = large(&[1 << 17, 1 << 17], Dtype::Uint8);
        refused(bits::pack_bits(&too_many), &["`x`", "2147483648"]);
        let bytes = large(&[1 << 28], Dtype::Uint8);
        let flat = bits::unpack_bits(&bytes).call();
        refused(flat, &["`original_shape`", "none"]);
        let shaped = bits::unpack_bits(&bytes).original_shape((65_536, 32_768));
        assert_eq!(shaped.call()?.shape(), [65_536, 32_768]);
        refused(
            bits::unpack_bits(&set)
                .original_shape((1 << 17, 1 << 17))
                .call(),
            &["`x`", "2147483648"],
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn codes_of_large_arrays() {
    on_worker(|| -> Result<()> {
        let scale = Array::ones((), F32)?;
        let bytes = large(&[65_536, 32_768], Dtype::Uint8);
        for y in [
            quant::dequantize_int4(&bytes, &scale).call()?,
            quant::dequantize_nf4(&bytes, &scale).call()?,
            quant::dequantize_blockwise(&bytes, &large(&[1 << 25], F32))
                .bits(4)
                .call()?,
        ] {
            assert_eq!(y.shape(), [65_536, 65_536]);
        }
        let scales = large(&[1 << 24], F32);
        let y = quant::dequantize_blockwise(&bytes, &scales).call()?;
        assert_eq!(y.shape(), bytes.shape());
        // 2^31 is no multiple of it.
        let (odd, count) = (127, 16_909_321);
        let scales = large(&[count], F32);
        let y = quant::dequantize_blockwise(&bytes, &scales).block_size(odd);
        refused(y.call(), &["`block_size`", "2147483648", "127"]);
        let y = quant::fused_swiglu_quant(&bytes, &scales, &bytes, &scales).block_size(odd);
        refused(y.call(), &["`block_size`", "2147483648", "127"]);
        Ok(())
    })
    .unwrap();
}

/// A block that is longer than the array is no longer than the array: nothing of its size is made.
#[test]
fn a_block_beyond_the_array() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[3i8, -4, 5, 6, 7], 5)?;
        let scale = Array::from_slice(&[0.5f32], 1)?;
        for size in [5, 8, 1 << 20, i32::MAX] {
            let y = quant::dequantize_blockwise(&x, &scale).block_size(size);
            assert_eq!(y.call()?.to_vec::<f32>()?, [1.5, -2.0, 2.5, 3.0, 3.5]);
            let twice = quant::fused_swiglu_quant(&x, &scale, &x, &scale).block_size(size);
            assert_eq!(twice.call()?.shape(), [5]);
            let slope = grad(|scale| {
                let y = quant::dequantize_blockwise(&x, scale).block_size(size);
                y.call()?.sum(..)
            });
            assert_eq!(slope(&scale)?.to_vec::<f32>()?, [17.0]);
            let codes = Array::from_slice(&[0x21u8, 0x43], 2)?;
            let slope = grad(|scale| {
                let y = quant::dequantize_blockwise(&codes, scale).bits(4);
                y.block_size(size).call()?.sum(..)
            });
            let each = quant::dequantize_int4(&codes, &Array::ones((), F32)?).call()?;
            let want = each.sum(..)?.item::<f32>()?;
            assert_eq!(slope(&scale)?.to_vec::<f32>()?, [want]);
        }
        Ok(())
    })
    .unwrap();
}

/// Blocks of a cache: the kernel counts in 64 bits, operations need an axis of all places.
#[test]
fn caches_of_many_places() {
    on_worker(|| -> Result<()> {
        for [columns, blocks, slots, name] in [
            [65_536, 3, 65_536, 0],
            [3, 65_536, 65_536, 1],
            // 2^32 + 3 places, of which 32 bits would leave 3.
            [1_431_655_767, 1, 3, 0],
        ] {
            let name = ["`block_table`", "`k_cache`"][name as usize];
            let q = large(&[1, 2, 4], F32);
            let cache = large(&[blocks, slots, 1, 4], F32);
            let (table, lens) = (large(&[1, columns], I32), large(&[1], I32));
            let call = |q: &Array| paged_attention(q, &cache, &cache, &table, &lens).call();
            assert_eq!(call(&q)?.shape(), [1, 2, 4]);
            let slope = grad(|q| call(q)?.sum(..))(&q);
            refused(slope, &[name, "2^31"]);
        }
        Ok(())
    })
    .unwrap();
}

/// Tables are made on the host, where a vector that cannot grow ends the process.
#[test]
fn tables_that_no_memory_holds() {
    let tables = rope::rope_tables(i32::MAX, i32::MAX - 1).call();
    refused(tables, &["`positions`", "2147483646"]);
    let [cos, sin] = rope::rope_tables(0, 4).call().unwrap();
    assert_eq!((cos.shape(), sin.shape()), (&[0, 2][..], &[0, 2][..]));
}
