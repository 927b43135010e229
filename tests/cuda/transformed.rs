//! Kernels and operations under transforms.

use super::*;

#[test]
fn one_kernel_under_vmap_on_both() {
    if !gpu("one_kernel_under_vmap_on_both") {
        return;
    }
    let values = Rng::new().normals(3 * 5 * 64);
    on_worker(move || {
        let kernel = MetalKernel::new("cuda_vmap", ["x", "k"], ["out"])
            .source("uint i = thread_position_in_grid.x; out[i] = x[i] * k + float(x_shape[0]);")
            .build()
            .unwrap();
        let [cpu, gpu] = both(|| {
            let x = Array::from_slice(&values, (3, 5, 64))?;
            let k = Array::from_slice(&[2.0f32, 3.0, 4.0], 3)?;
            let f = |p: &[Array]| kernel.launch(&[&p[0], &p[1]]).run_vec();
            let inner = |p: &[Array]| vmap(f).in_axes([Some(0), None]).call([&p[0], &p[1]]);
            let y = vmap(inner).in_axes([Some(0), Some(0)]).call([&x, &k])?;
            assert_eq!(y[0].shape(), [3, 5, 64]);
            Ok(f64s(&y[0]))
        });
        all_close(&gpu, &cpu, 0.0);
    });
}

#[test]
fn strides_are_those_of_the_evaluated_input() {
    if !gpu("strides_are_those_of_the_evaluated_input") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_strides", ["x"], ["out"])
            .source(
                "uint i = thread_position_in_grid.x;
                 out[i] = x[elem_to_loc(i, x_shape, x_strides, x_ndim)] + float(x_strides[0]);",
            )
            .ensure_row_contiguous(false)
            .build()
            .unwrap();
        let values: Vec<f32> = (0..60u8).map(f32::from).collect();
        let [cpu, gpu] = both(|| {
            let x = Array::from_slice(&values, (3, 4, 5))?.transpose([2, 0, 1])?;
            let [y] = kernel.launch(&[&x]).run()?;
            Ok(f64s(&y))
        });
        assert_eq!(cpu, gpu);
    });
}

/// The GPU is the default device here, and data has no device of its own: a derivative starts on that of the
/// scope, with its inputs, too.
#[test]
fn derivatives_of_float64_stay_on_the_cpu() {
    if !gpu("derivatives_of_float64_stay_on_the_cpu") {
        return;
    }
    on_worker(|| {
        with_device(Device::CPU, || {
            let x = Array::scalar(3.0f64).unwrap();
            let slope = grad(|x| x.square())(&x).unwrap();
            assert_eq!(slope.item::<f64>().unwrap(), 6.0);
            let (_, tangents) = jvp(|p| Ok(vec![p[0].square()?]), [&x], [&x]).unwrap();
            assert_eq!(tangents[0].item::<f64>().unwrap(), 18.0);
        });
    });
}

/// Operations whose derivatives MLX computes in part on the process's default device.
#[test]
fn float64_of_operations_that_stray_stays_on_the_cpu() {
    if !gpu("float64_of_operations_that_stray_stays_on_the_cpu") {
        return;
    }
    let run = || -> Result<()> {
        let data: Vec<f64> = Rng::new().normals(12).iter().map(|&v| v.into()).collect();
        let x = Array::from_slice(&data, (3, 4))?;
        let close = |got: &Array, want: &[f64]| -> Result<()> {
            // MLX's exp of float64 is as good as float32's.
            all_close(&got.to_vec()?, want, 1e-5);
            Ok(())
        };
        let rows = |f: fn(&[f64]) -> Vec<f64>| data.chunks(4).flat_map(f).collect::<Vec<_>>();
        let p = rows(|row| {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(|v| v.exp() / sum).collect()
        });
        close(&x.softmax(-1)?, &p)?;
        let total: Vec<f64> = data
            .chunks(4)
            .map(|row| row.iter().map(|v| v.exp()).sum::<f64>().ln())
            .collect();
        close(&x.logsumexp(-1)?, &total)?;
        let far = Array::from_slice(&[f64::NEG_INFINITY; 4], (2, 2))?;
        assert_eq!(far.logsumexp(-1)?.to_vec::<f64>()?, [f64::NEG_INFINITY; 2]);
        // The gradient of the sum of squares of p, and the second derivative of logsumexp, by formula.
        let want = rows(|row| {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            let p: Vec<f64> = row.iter().map(|v| v.exp() / sum).collect();
            let squares: f64 = p.iter().map(|p| p * p).sum();
            p.iter().map(|p| 2.0 * p * (p - squares)).collect()
        });
        close(&grad(|x| x.softmax(-1)?.square()?.sum(..))(&x)?, &want)?;
        let slope = grad(|x| x.logsumexp(-1)?.sum(..));
        close(&slope(&x)?, &p)?;
        close(&grad(|x| slope(x)?.square()?.sum(..))(&x)?, &want)?;
        // Forward mode through both sides of a choice, whose values keep their signs.
        let positive = x.greater(0.0)?;
        let choose = |p: &[Array]| Ok(vec![zmlx::ops::where_(&positive, &p[0], &p[1])?]);
        let (y, t) = jvp(choose, [&x, &x.negative()?], [&x, &x])?;
        close(&y[0], &data.iter().map(|v| v.abs()).collect::<Vec<_>>())?;
        close(&t[0], &data)?;
        // And where the choice depends on the values.
        let choose = |p: &[Array]| {
            let chosen = zmlx::ops::where_(&p[0].greater(0.0)?, &p[0], &p[0].negative()?)?;
            Ok(vec![chosen])
        };
        let (_, t) = jvp(choose, [&x], [&x])?;
        close(&t[0], &data.iter().map(|v| v.abs()).collect::<Vec<_>>())?;
        // And through magnitudes, of zeros and of what is no number, too.
        let (y, t) = jvp(|p| Ok(vec![p[0].abs()?]), [&x], [&x])?;
        close(&y[0], &data.iter().map(|v| v.abs()).collect::<Vec<_>>())?;
        close(&t[0], &data.iter().map(|v| v.abs()).collect::<Vec<_>>())?;
        let odd = Array::from_slice(&[-0.0f64, f64::NEG_INFINITY, f64::NAN], 3)?;
        let y = odd.abs()?.to_vec::<f64>()?;
        assert!(y[0] == 0.0 && y[0].is_sign_positive() && y[1] == f64::INFINITY && y[2].is_nan());
        let zeros = Array::from_slice(&[-0.0f64, 0.0], 2)?;
        let y = zmlx::ops::where_(&Array::from_slice(&[true, false], 2)?, &zeros, &zeros)?;
        let signs: Vec<bool> = y
            .to_vec::<f64>()?
            .iter()
            .map(|v| v.is_sign_negative())
            .collect();
        assert_eq!(signs, [true, false]);
        Ok(())
    };
    on_worker(move || with_device(Device::CPU, run).unwrap());
}
