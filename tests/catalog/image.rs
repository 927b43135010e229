//! Images, against loops in float64.

use zmlx::kernels::image::{depthwise_conv_3x3, resize_bilinear};
use zmlx::prelude::*;
use zmlx::{Result, grad, jvp, vjp, vmap};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

mod reference;
use reference::{DTYPES, Image, SHAPES, SIZES, near, random, roundings};

#[test]
fn resized_images() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for dtype in DTYPES {
            for shape in SHAPES {
                for size in SIZES {
                    let what = format!("{dtype} {shape:?} to {size:?}");
                    let x = random(&mut rng, &shape, dtype)?;
                    let y = resize_bilinear(&x, size)?;
                    let (height, width) = (size.0 as usize, size.1 as usize);
                    let want = [shape[0], height, width, shape[3]].map(|d| d as i32);
                    assert_eq!((y.shape(), y.dtype()), (&want[..], dtype));
                    let want = Image::of(&x).resized(height, width);
                    near(&y, &want, roundings(dtype), &what);

                    // Transposed: <resized(x), g> is <x, back(g)>, for single pixels x by the loops above.
                    let g = random(&mut rng, &[shape[0], height, width, shape[3]], dtype)?;
                    let f = |p: &[Array]| Ok(vec![resize_bilinear(&p[0], size)?]);
                    let back = &vjp(f, [&x], [&g])?.1[0];
                    assert_eq!((back.shape(), back.dtype()), (x.shape(), dtype));
                    let gs = numbers(&g)?;
                    let mut want = vec![0.0; x.size()];
                    for _ in 0..8.min(x.size()) {
                        let i = rng.below(x.size());
                        let mut one = Image::of(&x);
                        one.values.fill(0.0);
                        one.values[i] = 1.0;
                        let one = one.resized(height, width);
                        want[i] = one.iter().zip(&gs).map(|(a, b)| a * b).sum();
                        let got = numbers(back)?[i];
                        let terms: f64 = one.iter().zip(&gs).map(|(a, b)| (a * b).abs()).sum();
                        let limit = 2.0 * roundings(dtype) * (1e-3 + terms);
                        assert!((got - want[i]).abs() <= limit, "{what}: {got}, {}", want[i]);
                    }
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Linear: the tangent is the resized tangent, and the gradient's gradient is the resized direction.
#[test]
fn resized_derivatives_and_maps() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let x = random(&mut rng, &[2, 5, 6, 3], F32)?;
        let t = random(&mut rng, &[2, 5, 6, 3], F32)?;
        let f = |p: &[Array]| Ok(vec![resize_bilinear(&p[0], (8, 4))?]);
        let want = Image::of(&t).resized(8, 4);
        near(&jvp(f, [&x], [&t])?.1[0], &want, 2e-6, "tangent");
        let back = |p: &[Array]| Ok(vjp(f, [&x], p)?.1);
        let g = random(&mut rng, &[2, 8, 4, 3], F32)?;
        near(
            &vjp(back, [&g], [&t])?.1[0],
            &want,
            2e-6,
            "second derivative",
        );

        let five = random(&mut rng, &[2, 5, 4, 6, 3], F32)?;
        let y = vmap(f)
            .in_axes([Some(2)])
            .call(std::slice::from_ref(&five))?;
        assert_eq!(y[0].shape(), [4, 2, 8, 4, 3]);
        for i in 0..4 {
            let one = five.index((.., .., i))?;
            let want = Image::of(&one).resized(8, 4);
            near(&y[0].index(i)?, &want, 2e-6, "mapped");
        }
        Ok(())
    })
    .unwrap();
}

/// Integers are rounded to the nearest; the original cuts off what follows the point.
#[test]
fn images_of_integers() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let limits = [
            (Dtype::Uint8, 0i32, 255i32),
            (Dtype::Int8, -128, 127),
            (Dtype::Uint16, 0, 65_535),
            (Dtype::Int16, -32_768, 32_767),
        ];
        for (dtype, low, high) in limits {
            let span = (high - low + 1) as usize;
            let shape = [2usize, 7, 9, 3];
            let values: Vec<i32> = (0..378).map(|_| low + rng.below(span) as i32).collect();
            let x = Array::from_slice(&values, shape)?.astype(dtype)?;
            let y = resize_bilinear(&x, (11, 5))?;
            assert_eq!(y.dtype(), dtype);
            let (got, want) = (numbers(&y)?, Image::of(&x).resized(11, 5));
            for (g, w) in got.iter().zip(&want) {
                // Within a half, and what float32 cannot tell from one.
                assert!(
                    (g - w).abs() <= 0.5 + 1e-5 * f64::from(high),
                    "{dtype}: {g}, {w}"
                );
            }
            // A half way between two numbers is the even one, and a whole image stays as it is.
            let pair = Array::from_slice(&[1i32, 2, 2, 3], (1, 2, 2, 1))?.astype(dtype)?;
            let middle = resize_bilinear(&pair, (2, 1))?;
            assert_eq!(numbers(&middle)?, [2.0, 2.0]);
            assert_eq!(numbers(&resize_bilinear(&x, (7, 9))?)?, numbers(&x)?);

            let w = random(&mut rng, &[3, 3, 3], F32)?;
            let y = depthwise_conv_3x3(&x, &w)?;
            assert_eq!(y.dtype(), dtype);
            let want = Image::of(&x).convolved(&numbers(&w)?);
            for (g, w) in numbers(&y)?.iter().zip(&want) {
                let w = w.clamp(f64::from(low), f64::from(high));
                assert!(
                    (g - w).abs() <= 0.5 + 1e-5 * f64::from(high),
                    "{dtype}: {g}, {w}"
                );
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn convolved_images() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for dtype in DTYPES {
            for shape in SHAPES {
                let what = format!("{dtype} {shape:?}");
                let x = random(&mut rng, &shape, dtype)?;
                let w = random(&mut rng, &[3, 3, shape[3]], dtype)?;
                let y = depthwise_conv_3x3(&x, &w)?;
                assert_eq!((y.shape(), y.dtype()), (x.shape(), dtype));
                let (image, taps) = (Image::of(&x), numbers(&w)?);
                near(&y, &image.convolved(&taps), roundings(dtype), &what);

                let g = random(&mut rng, &shape, dtype)?;
                let f = |p: &[Array]| Ok(vec![depthwise_conv_3x3(&p[0], &p[1])?]);
                let gradients = vjp(f, [&x, &w], [&g])?.1;
                // Of a pixel: the weights seen from the other side.
                let channels = shape[3];
                let mut turned = Vec::new();
                (0..9)
                    .rev()
                    .for_each(|k| turned.extend(&taps[k * channels..(k + 1) * channels]));
                let g = Image::of(&g);
                near(
                    &gradients[0],
                    &g.convolved(&turned),
                    roundings(dtype),
                    &what,
                );
                // Of a weight: the image, moved, times the gradient.
                let [number, height, width, _] = shape;
                let mut want = vec![0.0; 9 * channels];
                for (i, want) in want.iter_mut().enumerate() {
                    let (dy, dx, c) = (i / channels / 3, i / channels % 3, i % channels);
                    for n in 0..number {
                        for y in 0..height as i64 {
                            for x in 0..width as i64 {
                                let (dy, dx) = (dy as i64 - 1, dx as i64 - 1);
                                *want += g.at(n, y, x, c) * image.at(n, y + dy, x + dx, c);
                            }
                        }
                    }
                }
                near(&gradients[1], &want, 4.0 * roundings(dtype), &what);
                assert_eq!(
                    (gradients[1].shape(), gradients[1].dtype()),
                    (w.shape(), dtype)
                );
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Bilinear: tangents by the product rule, second derivatives by exchanging the two, and maps over both.
#[test]
fn convolved_derivatives_and_maps() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let [x, t, g] = [0; 3].map(|_| random(&mut rng, &[2, 4, 5, 3], F32).unwrap());
        let [w, s] = [0; 2].map(|_| random(&mut rng, &[3, 3, 3], F32).unwrap());
        let f = |p: &[Array]| Ok(vec![depthwise_conv_3x3(&p[0], &p[1])?]);
        let of = |x: &Array, w: &Array| Image::of(x).convolved(&numbers(w).unwrap());
        let sum = |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> {
            a.iter().zip(&b).map(|(a, b)| a + b).collect()
        };
        let want = sum(of(&t, &w), of(&x, &s));
        near(&jvp(f, [&x, &w], [&t, &s])?.1[0], &want, 4e-6, "tangent");
        // The gradient, projected on (t, s), is linear in the cotangent: its gradient there is the tangent.
        let back = |p: &[Array]| Ok(vjp(f, [&x, &w], p)?.1);
        near(
            &vjp(back, [&g], [&t, &s])?.1[0],
            &want,
            4e-6,
            "second derivative",
        );
        // And that in x is the convolution's gradient for weights s.
        let back = |p: &[Array]| Ok(vec![vjp(f, [&p[0], &w], [&g])?.1[1].clone()]);
        let got = &vjp(back, [&x], [&s])?.1[0];
        let with_s = |p: &[Array]| Ok(vec![depthwise_conv_3x3(&p[0], &s)?]);
        near(
            got,
            &numbers(&vjp(with_s, [&x], [&g])?.1[0])?,
            4e-6,
            "mixed derivative",
        );

        let many = random(&mut rng, &[4, 2, 4, 5, 3], F32)?;
        let weights = random(&mut rng, &[4, 3, 3, 3], F32)?;
        let shared = vmap(f)
            .in_axes([Some(0), None])
            .call(&[many.clone(), w.clone()])?;
        let both = vmap(f)
            .in_axes([Some(0), Some(0)])
            .call(&[many.clone(), weights.clone()])?;
        for i in 0..4 {
            let (one, own) = (many.index(i)?, weights.index(i)?);
            near(&shared[0].index(i)?, &of(&one, &w), 2e-6, "mapped images");
            near(&both[0].index(i)?, &of(&one, &own), 2e-6, "mapped weights");
        }
        Ok(())
    })
    .unwrap();
}

/// Long axes: a place in float32 would be off by a thousandth of a pixel.
#[test]
fn long_axes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let x = random(&mut rng, &[1, 1, 70_001, 1], F32)?;
        let y = resize_bilinear(&x, (1, 90_000))?;
        near(&y, &Image::of(&x).resized(1, 90_000), 2e-6, "long");
        Ok(())
    })
    .unwrap();
}

#[test]
fn odd_and_empty_images() {
    on_worker(|| -> Result<()> {
        // A pixel without weight does not count.
        let x = Array::from_slice(&[1.0f32, f32::NAN, 2.0], (1, 1, 3, 1))?;
        let y = numbers(&resize_bilinear(&x, (1, 3))?)?;
        assert!(y[0] == 1.0 && y[1].is_nan() && y[2] == 2.0, "{y:?}");
        for shape in [[0, 3, 3, 2], [2, 3, 3, 0]] {
            let x = Array::zeros(shape, F32)?;
            let y = resize_bilinear(&x, (4, 5))?;
            assert_eq!(y.shape(), [shape[0], 4, 5, shape[3]]);
            let w = Array::zeros((3, 3, shape[3]), F32)?;
            assert_eq!(depthwise_conv_3x3(&x, &w)?.shape(), shape);
        }
        let x = Array::zeros((1, 2, 2, 1), F32)?;
        assert_eq!(resize_bilinear(&x, (0, 3))?.shape(), [1, 0, 3, 1]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_images_refuse() {
    on_worker(|| -> Result<()> {
        #[track_caller]
        fn refused(got: Result<Array>, is: fn(&Error) -> bool, words: &[&str]) {
            let error = got.expect_err("an error");
            let text = error.to_string();
            assert!(is(&error), "{error:?}");
            assert!(
                words.iter().all(|w| text.contains(w)),
                "{text}, expected {words:?}"
            );
        }
        let dtype = |e: &Error| matches!(e, Error::Dtype { .. });
        let shape = |e: &Error| matches!(e, Error::Shape { .. });
        let argument = |e: &Error| matches!(e, Error::Argument { .. });
        let x = Array::zeros((1, 4, 4, 3), F32)?;
        let w = Array::zeros((3, 3, 3), F32)?;
        refused(
            resize_bilinear(&x.index(0)?, (2, 2)),
            shape,
            &["`x`", "(N, H, W, C)", "[4, 4, 3]"],
        );
        refused(
            resize_bilinear(&x, (-1, 2)),
            argument,
            &["`output_shape`", "-1"],
        );
        refused(
            resize_bilinear(&x.astype(Dtype::Int32)?, (2, 2)),
            dtype,
            &["`x`", "int32"],
        );
        let none = Array::zeros((1, 0, 4, 3), F32)?;
        refused(
            resize_bilinear(&none, (2, 2)),
            shape,
            &["`x`", "[1, 0, 4, 3]"],
        );
        refused(
            depthwise_conv_3x3(&x.index(0)?, &w),
            shape,
            &["`x`", "[4, 4, 3]"],
        );
        refused(
            depthwise_conv_3x3(&x, &w.index(0)?),
            shape,
            &["`w`", "[3, 3, 3]"],
        );
        let other = Array::zeros((3, 3, 4), F32)?;
        refused(
            depthwise_conv_3x3(&x, &other),
            shape,
            &["`w`", "[3, 3, 3]", "[3, 3, 4]"],
        );
        refused(
            depthwise_conv_3x3(&x, &w.astype(Dtype::Int32)?),
            dtype,
            &["`w`", "int32"],
        );
        refused(
            depthwise_conv_3x3(&x.astype(Dtype::Bool)?, &w),
            dtype,
            &["`x`", "bool"],
        );
        // Integers have no derivative.
        let whole = x.astype(Dtype::Uint8)?;
        let slope = grad(|x| resize_bilinear(x, (2, 2))?.astype(F32)?.sum(..))(&whole);
        refused(slope, argument, &["`x`", "no derivative", "uint8"]);
        let slope = grad(|x| depthwise_conv_3x3(x, &w)?.astype(F32)?.sum(..))(&whole);
        refused(slope, argument, &["`x`", "no derivative"]);
        Ok(())
    })
    .unwrap();
}
