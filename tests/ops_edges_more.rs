//! Numbers, axes and parameters at the edges of what operations take: the right value, or an error that
//! says what was expected and what came.

use half::{bf16, f16};
use zmlx::ops::concatenate;
use zmlx::prelude::*;
use zmlx::{Result, linalg, vmap};

fn arr<T: zmlx::Element>(v: &[T]) -> Array {
    Array::from_slice(v, v.len()).unwrap()
}

/// An error of this file whose text holds all of these.
#[track_caller]
fn refused<T: std::fmt::Debug>(got: Result<T>, parts: &[&str]) {
    let text = got.expect_err("an error").to_string();
    for part in parts.iter().chain(&[file!()]) {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

fn bools(a: Result<Array>) -> Vec<bool> {
    a.unwrap().to_vec().unwrap()
}

#[test]
fn means_of_many_large_numbers_do_not_overflow() -> Result<()> {
    for n in [3, 5000, 100_000] {
        let near = |a: Array, want: f64, part: f64| {
            let got = a.astype(F64).unwrap().item::<f64>().unwrap();
            assert!((got / want - 1.0).abs() < part, "{n}: {got} for {want}");
        };
        zmlx::with_device(Device::CPU, || {
            let x = Array::full(n, 3.1e38f32, F32)?;
            near(x.mean(..)?, f64::from(3.1e38f32), 1e-6);
            assert_eq!(x.var(.., 0)?.item::<f32>()?, 0.0);
            near(
                Array::full(n, bf16::MAX.to_f32(), Dtype::Bfloat16)?.mean(..)?,
                bf16::MAX.into(),
                1e-2,
            );
            near(
                Array::full(n, f16::MAX.to_f32(), F16)?.mean(..)?,
                f16::MAX.into(),
                1e-3,
            );
            near(
                Array::full(n, Array::scalar(1.5e308)?, F64)?.mean(..)?,
                1.5e308,
                // Each addition may round.
                f64::from(n) * f64::EPSILON,
            );
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn spreads_of_large_and_small_float64() -> Result<()> {
    zmlx::with_device(Device::CPU, || {
        for size in [1e200, 1e-200, 1.0] {
            let x = arr(&[2.0 * size, -2.0 * size]);
            assert!((x.std(.., 0)?.item::<f64>()? / (2.0 * size) - 1.0).abs() < 1e-14);
        }
        assert_eq!(
            Array::full(9, Array::scalar(1e200)?, F64)?
                .var(.., 0)?
                .item::<f64>()?,
            0.0
        );
        let slope =
            zmlx::grad(|x: &Array| x.std(.., 0))(&arr(&[2e200, -2e200]))?.to_vec::<f64>()?;
        assert!(
            (slope[0] - 0.5).abs() < 1e-12 && (slope[1] + 0.5).abs() < 1e-12,
            "{slope:?}"
        );
        let mean = zmlx::grad(|x: &Array| x.mean(..))(&arr(&[1.5e308, 1.5e308]))?;
        assert_eq!(mean.to_vec::<f64>()?, [0.5, 0.5]);
        let rows = vmap(|p: &[Array]| Ok(vec![p[0].mean(..)?])).call([&Array::full(
            (2, 3),
            Array::scalar(1.5e308)?,
            F64,
        )?])?;
        assert!(
            rows[0]
                .to_vec::<f64>()?
                .iter()
                .all(|m| (m / 1.5e308 - 1.0).abs() < 1e-12)
        );
        Ok(())
    })
}

#[test]
fn integers_are_compared_with_floats_as_they_are() {
    let top = arr(&[i32::MAX]);
    assert_eq!(bools(top.less(2_147_483_648.0)), [true]);
    assert_eq!(bools(top.equal(2_147_483_648.0)), [false]);
    assert_eq!(bools(top.equal(2_147_483_647.0f64)), [true]);
    let wide = arr(&[(1i64 << 24) + 1, i64::MAX, i64::MIN]);
    assert_eq!(bools(wide.greater(16_777_216.0)), [true, true, false]);
    assert_eq!(bools(wide.less(9_223_372_036_854_775_808.0f64)), [true; 3]);
    assert_eq!(bools(wide.greater_equal(-1e300)), [true; 3]);
    assert_eq!(bools(wide.less(f32::NAN)), [false; 3]);
    assert_eq!(
        bools(arr(&[u64::MAX]).less(18_446_744_073_709_551_616.0f64)),
        [true]
    );
    assert_eq!(bools(arr(&[3u8, 4]).less(3.5)), [true, false]);
    // A tolerance may reach from an integer to a float beyond all of them.
    assert_eq!(
        bools(arr(&[u64::MAX]).isclose(18_446_744_073_709_551_616.0f64, (1e-6, 0.0))),
        [true]
    );
    assert_eq!(bools(top.isclose(2_147_483_648.0, (0.0, 0.5))), [false]);
    assert_eq!(bools(top.isclose(2_147_483_648.0, (0.0, 1.0))), [true]);
    // Bounds that are floats still make floats.
    let y = arr(&[1, 5]).clip(2.0..=3.0).unwrap();
    assert_eq!(
        (y.dtype(), y.to_vec::<f32>().unwrap()),
        (F32, vec![2.0, 3.0])
    );
}

#[test]
fn shifts_by_more_than_there_are_bits() -> Result<()> {
    let x = arr(&[-8i32, 5]);
    for n in [32, 100, -1, i32::MIN] {
        assert_eq!(x.left_shift(n)?.to_vec::<i32>()?, [0, 0], "{n}");
        assert_eq!(x.right_shift(n)?.to_vec::<i32>()?, [-1, 0], "{n}");
        // Counts that only the evaluation knows.
        let late = arr(&[n]).add(0)?;
        assert_eq!(x.left_shift(&late)?.to_vec::<i32>()?, [0, 0], "{n}");
        assert_eq!(x.right_shift(&late)?.to_vec::<i32>()?, [-1, 0], "{n}");
    }
    assert_eq!(arr(&[200u8]).right_shift(8)?.item::<u8>()?, 0);
    assert_eq!(arr(&[1u64]).left_shift(arr(&[64u64]))?.item::<u64>()?, 0);
    assert_eq!(
        arr(&[1i16])
            .left_shift(arr(&[3i16, 15, 16]))?
            .to_vec::<i16>()?,
        [8, i16::MIN, 0]
    );
    Ok(())
}

#[test]
fn points_between_ends_beyond_float32() -> Result<()> {
    let x = Array::linspace(0.0..=1e39, 3, F32)?.to_vec::<f32>()?;
    assert_eq!(x, [0.0, f32::INFINITY, f32::INFINITY]);
    refused(
        Array::linspace(f64::NAN..=1.0, 3, F32),
        &["`start`", "finite", "NaN"],
    );
    refused(
        Array::linspace(0.0..f64::INFINITY, 3, F64),
        &["`stop`", "finite", "inf"],
    );
    Ok(())
}

#[test]
fn axes_are_named_as_they_came() -> Result<()> {
    let x = Array::zeros((2, 3), F32)?;
    let v = arr(&[1.0f32, 2.0]);
    let twice = ["`axes`", "different axes of 2 dimensions", "[0, -2]"];
    refused(x.sum([0, -2]), &twice);
    refused(x.mean([0, -2]), &twice);
    refused(x.median([0, -2]), &twice);
    refused(x.softmax([0, -2]), &twice);
    refused(x.flip([0, -2]), &twice);
    refused(x.transpose([0, -2]), &twice);
    refused(x.expand_dims([1, 1]), &["`axes`", "different", "[1, 1]"]);
    refused(x.transpose([0, i32::MIN]), &["`axes`", "-2147483648"]);
    refused(
        x.transpose([0]),
        &["`axes`", "one for each dimension", "[0]"],
    );
    refused(concatenate([&x], 7), &["`axis`", "axis 7"]);
    refused(
        concatenate([&Array::from(1.0f32)], 0),
        &["`axis`", "axis 0"],
    );
    refused(Array::from(1.0f32).flatten(5..), &["`axes`", "axis 5"]);
    refused(x.flatten(1..1), &["`axes`", "empty"]);
    let huge = Array::from(1.0f32).broadcast_to((1 << 20, 1 << 20))?;
    refused(huge.sort(..), &["sort", "2147483647", "[1048576, 1048576]"]);
    refused(huge.argmax(..), &["argmax", "2147483647"]);
    refused(
        huge.number_of_elements(.., false, I32),
        &["`dtype`", "int32", "1099511627776"],
    );
    refused(
        arr(&[num_complex::Complex32::new(1.0, 2.0)]).floor(),
        &["floor", "complex64"],
    );
    refused(v.tril(0), &["tril", "two dimensions", "[2]"]);
    refused(v.triu(0), &["triu", "two dimensions", "[2]"]);
    refused(v.diagonal(0, 0, 1), &["diagonal", "two dimensions", "[2]"]);
    refused(x.diagonal(0, 1, -1), &["different axes", "[1, -1]"]);
    refused(
        x.slice([0], [2], [1]),
        &["one for each dimension", "[2, 3]", "[1]"],
    );
    refused(x.slice([0, 0], [2], [1, 1]), &["`stop`", "[2]"]);
    refused(x.slice_at(&arr(&[0]), 0, [3, 3]), &["`sizes`", "[3, 3]"]);
    refused(
        x.slice_at(&arr(&[0.5f32]), 0, [1, 3]),
        &["`start`", "float32"],
    );
    refused(
        x.slice_at(&arr(&[0, 0]), 0, [1, 3]),
        &["`start`", "[0]", "[2]"],
    );
    refused(x.gather([&arr(&[0])], 2, [1, 1]), &["`axes`", "[2]"]);
    refused(v.vecdot(&arr(&[1.0f32]), 0), &["vecdot", "[2]", "[1]"]);
    // A median of each number alone.
    assert_eq!(
        arr(&[1, 2]).median(Vec::<i32>::new())?.to_vec::<f32>()?,
        [1.0, 2.0]
    );
    Ok(())
}

#[test]
fn what_an_array_does_not_hold_is_not_cut_in_lists_either() -> Result<()> {
    let x = arr(&[1u8, 2]);
    let held = ["uint8", "300"];
    let at = arr(&[0, 1]);
    let two = arr(&[7, 300]);
    refused(x.put_along_axis(&at, &two, 0), &held);
    refused(x.slice_update(&two, 0, 2, 1), &held);
    refused(
        x.scatter([&at], &Array::from_slice(&[7, 300], (2, 1))?, 0),
        &held,
    );
    refused(x.masked_scatter(&arr(&[true, true]), &two), &held);
    refused(Array::full((3, 2), two, U8), &held);
    refused(
        x.unique(3, Some(&Array::from(300))),
        &["`fill`", "uint8", "300"],
    );
    assert_eq!(
        x.unique(3, Some(&Array::from(9)))?.to_vec::<u8>()?,
        [1, 2, 9]
    );
    Ok(())
}

#[test]
fn a_mask_that_chooses_more_than_there_is() -> Result<()> {
    let rows = Array::zeros((2, 3), I32)?;
    zmlx::with_device(Device::CPU, || {
        let short = arr(&[0, 0]).masked_scatter(&arr(&[true, true]), &arr(&[7]))?;
        refused(
            short.eval(),
            &["`source`", "each true of the mask", "fewer"],
        );
        refused(short.sum(..)?.eval(), &["`source`", "fewer"]);
        let singular = linalg::inv(&Array::zeros((2, 2), F32)?)?;
        refused(singular.eval(), &["inverse", "singular"]);
        Ok(())
    })?;
    let all = rows.masked_scatter(&Array::scalar(true)?, &arr(&[1, 2, 3, 4, 5, 6]))?;
    assert_eq!(all.to_vec::<i32>()?, [1, 2, 3, 4, 5, 6]);
    Ok(())
}

#[test]
fn numbers_that_are_none() -> Result<()> {
    let x = arr(&[f32::INFINITY]);
    refused(
        x.nan_to_num(0.0, Some(f32::NAN), None),
        &["`posinf`", "NaN"],
    );
    refused(x.number_of_elements(.., true, I32), &["`dtype`", "int32"]);
    Ok(())
}
