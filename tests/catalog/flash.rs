//! Attention over tiles against MLX's operations in float64: sizes, options, views, gradients.

use zmlx::kernels::attention::{Implementation, flash_attention, scaled_dot_product_attention};
use zmlx::prelude::*;
use zmlx::{Result, jvp, ops, vjp, vmap};

use crate::common::{Rng, exactly, factors_are_rounded, on_worker};
use crate::heads::{
    Options, Sizes, apart, close, draw, each_size, normal, refused_for_argument, refused_for_dtype,
    refused_for_shape, truths, with_options,
};
use crate::tolerance::numbers;

mod textbook;
use textbook::textbook;

/// A call of one of both functions with all options.
macro_rules! with_masks {
    ($call:expr, $o:expr) => {{
        let mut call = with_options!($call, $o);
        if let Some(mask) = $o.mask {
            call = call.mask(mask);
        }
        if let Some([a, b]) = $o.segments {
            call = call.segments(a, b);
        }
        call
    }};
}

fn own(p: &[Array], o: &Options<'_>) -> Result<Vec<Array>> {
    let call = with_masks!(flash_attention(&p[0], &p[1], &p[2]), o);
    let (y, lse) = call.call_with_lse()?;
    Ok(vec![y, lse])
}

/// Output, logarithm and gradients. Of float32 each sum of products rounds some dozen times; of 16 bits a GPU rounds weights as well.
fn check(what: &str, rng: &mut Rng, p: &[Array; 3], o: &Options<'_>) -> Result<()> {
    let dtype = p[0].dtype();
    let g = normal(rng, p[0].shape(), dtype)?;
    let gl = normal(rng, &p[0].shape()[..3], F32)?;
    let (y, d) = vjp(|p: &[Array]| own(p, o), p, [&g, &gl])?;
    let plain = own(p, o)?;
    assert_eq!((y[0].shape(), y[0].dtype()), (p[0].shape(), dtype));
    zmlx::eval([&d[..], &plain[..]].concat())?;
    let want = exactly(|| -> Result<Vec<Vec<f64>>> {
        let wide = p.iter().chain([&g, &gl]).map(|a| a.astype(Dtype::Float64));
        let wide = wide.collect::<Result<Vec<_>>>()?;
        // A logarithm of nothing is minus infinity here and far below there, and passes no gradient on.
        let (y, d) = vjp(
            |p: &[Array]| textbook(p, o),
            &wide[..3],
            [&wide[3], &wide[4]],
        )?;
        y.iter().chain(&d).map(|a| a.to_vec::<f64>()).collect()
    })?;
    close(&format!("{what}: output"), &plain[0], &want[0], 16.0);
    let lse: Vec<f64> = numbers(&plain[1])?;
    for (got, want) in lse.iter().zip(&want[1]) {
        let empty = *want < -1e29 && *got == f64::NEG_INFINITY;
        assert!(
            empty || (got - want).abs() < 1e-4,
            "{what}: logarithm {got}, expected {want}"
        );
    }
    for (i, d) in d.iter().enumerate() {
        close(&format!("{what}: gradient {i}"), d, &want[2 + i], 48.0);
    }
    Ok(())
}

/// Enough rows of 16 bits for the products of whole teams of simdgroups, where a GPU has them: all options, and all widths of blocks.
#[test]
fn flash_attention_of_many_rows() {
    many_rows(33);
}

/// With so many heads, a multiple of 3.
fn many_rows(h: i32) {
    on_worker(move || -> Result<()> {
        let mut rng = Rng::new();
        let plain = Options::default();
        let [b, n, l] = [2, 130, 140];
        let sinks = normal(&mut rng, &[h], F32)?;
        let added = normal(&mut rng, &[b, 1, n, l], BF16)?;
        let seen = truths(&mut rng, 0.4, &[h, n, l])?;
        let of = |n: i32| {
            let place = Array::arange(n)?.floor_divide(40)?.reshape((1, n))?;
            place.broadcast_to((b, n))
        };
        let segments = [&of(n)?, &of(l)?];
        let all = [
            ("seen", h, 64, F16, plain.mask(&seen)),
            (
                "all",
                h,
                128,
                BF16,
                plain
                    .scale(0.2)
                    .causal()
                    .window(90)
                    .mask(&added)
                    .softcap(1.5)
                    .sinks(&sinks)
                    .segments(segments),
            ),
            ("192", h, 192, BF16, plain.causal().window(65)),
            ("200", h, 200, F16, plain.sinks(&sinks)),
            ("shared", h / 3, 128, F16, plain.causal()),
        ];
        for (what, kv, d, dtype, o) in all {
            // Three heads share the keys of the last, of which there are as many.
            let b = if kv == h { b } else { 3 * b };
            let p = draw(&mut rng, [b, h, n, kv, l, d], dtype)?;
            check(what, &mut rng, &p, &o)?;
        }
        Ok(())
    })
    .unwrap();
}

/// At the edges of blocks and panels; one query, one key, more of the one than of the other; shared heads.
#[test]
fn flash_attention_of_sizes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let all: [(Sizes, &[Dtype]); 7] = [
            ([1, 3, 130, 1, 130, 64], &[F32, BF16]),
            ([2, 4, 33, 2, 97, 64], &[F32, BF16]),
            ([1, 2, 200, 2, 70, 40], &[F32]),
            ([1, 1, 1, 1, 1, 8], &[F32]),
            ([1, 2, 65, 1, 63, 128], &[F16]),
            ([1, 1, 40, 1, 129, 256], &[F32]),
            ([1, 2, 50, 2, 1, 56], &[F32]),
        ];
        each_size(&mut rng, &all, check)?;
        let [q, k, v] = draw(&mut rng, [2, 2, 3, 1, 0, 8], F32)?;
        let (y, lse) = flash_attention(&q, &k, &v).call_with_lse()?;
        assert_eq!(numbers(&y)?, [0.0; 96]);
        assert_eq!(numbers(&lse)?, [f64::NEG_INFINITY; 12]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn flash_attention_with_options() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [2, 4, 70, 2, 150, 64];
        let p = draw(&mut rng, sizes, F32)?;
        let sinks = normal(&mut rng, &[4], F32)?;
        let added = normal(&mut rng, &[2, 1, 70, 150], F32)?;
        let seen = truths(&mut rng, 0.4, &[4, 70, 150])?;
        // Query 5 of the first head sees nothing.
        let row = Array::arange(70)?.reshape((1, 70, 1))?.equal(5)?;
        let head = Array::arange(4)?.reshape((4, 1, 1))?.equal(0)?;
        let seen = seen.logical_and(row.logical_and(&head)?.logical_not()?)?;
        let of = |n: i32| {
            Array::arange(n)?
                .floor_divide(40)?
                .reshape((1, n))?
                .broadcast_to((2, n))
        };
        let (of_queries, of_keys) = (of(70)?, of(150)?);
        let plain = Options::default();
        let all = [
            ("scale", plain.scale(-0.3)),
            ("window", plain.window(17)),
            ("causal window", plain.window(65).causal()),
            ("added", plain.mask(&added)),
            ("seen", plain.mask(&seen)),
            ("cap", plain.softcap(0.9).causal()),
            ("sinks", plain.sinks(&sinks).mask(&seen)),
            ("segments", plain.segments([&of_queries, &of_keys])),
            (
                "all",
                plain
                    .scale(0.2)
                    .causal()
                    .window(90)
                    .mask(&added)
                    .softcap(1.5)
                    .sinks(&sinks)
                    .segments([&of_queries, &of_keys]),
            ),
        ];
        for (what, o) in all {
            check(what, &mut rng, &p, &o)?;
        }
        // More queries than keys: the first see nothing.
        let p = draw(&mut rng, [1, 2, 90, 1, 20, 32], F32)?;
        let o = plain.causal();
        let y = own(&p, &o)?;
        assert!(
            numbers(&y[0].index((.., .., ..70))?)?
                .iter()
                .all(|&v| v == 0.0)
        );
        check("first queries", &mut rng, &p, &o)
    })
    .unwrap();
}

/// Sinks and masks of floats have gradients, too; forward mode and second derivatives agree with the first.
#[test]
fn flash_attention_has_other_derivatives() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let [q, k, v] = draw(&mut rng, [1, 2, 9, 1, 12, 16], F32)?;
        let sinks = normal(&mut rng, &[2], F32)?;
        let mask = normal(&mut rng, &[9, 12], F32)?;
        let g = normal(&mut rng, q.shape(), F32)?;
        let all = [q.clone(), k, v, mask, sinks];
        let f = |p: &[Array]| -> Result<Vec<Array>> {
            let call = flash_attention(&p[0], &p[1], &p[2])
                .mask(&p[3])
                .sinks(&p[4]);
            Ok(vec![call.causal().call()?])
        };
        let book = |p: &[Array]| -> Result<Vec<Array>> {
            let o = Options::default().mask(&p[3]).sinks(&p[4]).causal();
            Ok(textbook(p, &o)?[..1].to_vec())
        };
        let t: Vec<Array> = all
            .iter()
            .map(|a| normal(&mut rng, a.shape(), F32))
            .collect::<Result<_>>()?;
        let (_, d) = vjp(f, &all, [&g])?;
        let (_, tangents) = jvp(f, &all, &t)?;
        let twice =
            |f: &dyn Fn(&[Array]) -> Result<Vec<Array>>, p: &[Array], g: &Array, t: &Array| {
                let gradient = |p: &[Array]| Ok(vec![vjp(f, p, [g])?.1[0].clone()]);
                Ok::<_, Error>(vjp(gradient, p, [t])?.1)
            };
        let second = twice(&f, &all, &g, &t[0])?;
        let want = exactly(|| -> Result<Vec<Vec<f64>>> {
            let wide = |a: &Array| a.astype(Dtype::Float64);
            let p = all.iter().map(wide).collect::<Result<Vec<_>>>()?;
            let (g, t) = (wide(&g)?, t.iter().map(wide).collect::<Result<Vec<_>>>()?);
            let (_, d) = vjp(book, &p, [&g])?;
            let (_, tangents) = jvp(book, &p, &t)?;
            let second = twice(&book, &p, &g, &t[0])?;
            let every = d.iter().chain(&tangents).chain(&second);
            every.map(|a| a.to_vec::<f64>()).collect()
        })?;
        // All but the first three gradients come from MLX's operations.
        let units = match factors_are_rounded() {
            true => 2e-3 * f64::from(1 << 23),
            false => 256.0,
        };
        for (i, got) in d.iter().chain(&tangents).chain(&second).enumerate() {
            let units = if i < 3 { 256.0 } else { units };
            close(&format!("derivative {i}"), got, &want[i], units);
        }
        Ok(())
    })
    .unwrap();
}

/// Transposed axes, slices, broadcast heads and steps between elements are read where they lie.
#[test]
fn flash_attention_of_views() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let p = draw(&mut rng, [2, 4, 50, 2, 70, 32], F32)?;
        let o = Options::default().causal();
        let g = normal(&mut rng, p[0].shape(), F32)?;
        let f = |p: &[Array]| own(p, &o);
        let gl = Array::zeros(&p[0].shape()[..3], F32)?;
        let (y, d) = vjp(f, &p, [&g, &gl])?;
        let turned = |a: &Array| {
            let other = a.transpose([0, 2, 1, 3])?.add(0.0f32)?;
            zmlx::eval([&other])?;
            other.transpose([0, 2, 1, 3])
        };
        type View<'a> = &'a dyn Fn(&Array) -> Result<Array>;
        for (what, view) in [("turned", &turned as View<'_>), ("apart", &apart)] {
            let views = [view(&p[0])?, view(&p[1])?, view(&p[2])?];
            let (got, slopes) = vjp(f, &views, [&view(&g)?, &gl])?;
            close(what, &got[0], &numbers(&y[0])?, 4.0);
            for (a, b) in slopes.iter().zip(&d) {
                close(what, a, &numbers(b)?, 16.0);
            }
        }
        // Mapped over all three, and over the queries alone.
        let two = [&p[0], &p[1], &p[2]]
            .map(|a| ops::stack([a, &a.multiply(0.5f32).unwrap()], 0).unwrap());
        let mapped = vmap(f).call(&two)?;
        close("mapped", &mapped[0].index(0)?, &numbers(&y[0])?, 4.0);
        let halves = p.each_ref().map(|a| a.multiply(0.5f32).unwrap());
        close(
            "mapped",
            &mapped[0].index(1)?,
            &numbers(&own(&halves, &o)?[0])?,
            4.0,
        );
        let alone = vmap(|q: &[Array]| own(&[q[0].clone(), p[1].clone(), p[2].clone()], &o));
        let alone = alone.call(&two[..1])?;
        close("mapped queries", &alone[0].index(0)?, &numbers(&y[0])?, 4.0);
        Ok(())
    })
    .unwrap();
}

/// What a GPU runs, and the checks of accesses, which a process settles by its environment.
#[test]
fn attention_in_other_ways() {
    let ways = [
        ("flash::ways_of_attention", ("ZMLX_CHECKED", "1")),
        ("flash::ways_of_attention", ("ZMLX_ROW_GROUPS", "gpu")),
        ("flash::many_rows_of_teams", ("ZMLX_ROW_GROUPS", "teams")),
    ];
    for (test, way) in ways {
        crate::process::run(test, &[way, ("ZMLX_ENGINE", "cpu")], 1);
    }
}

#[test]
#[ignore = "run by attention_in_other_ways"]
fn many_rows_of_teams() {
    many_rows(3);
}

#[test]
#[ignore = "run by attention_in_other_ways"]
fn ways_of_attention() {
    crate::decode::decode_attention_of_views();
    crate::decode::decode_attention_over_codes();
    crate::decode::decode_attention_with_options();
    crate::decode::decode_attention_reads_no_further_than_the_length();
    crate::decode::paged_attention_is_decode_attention_in_blocks();
    crate::paged::paged_attention_of_lengths();
    crate::paged::paged_attention_without_a_place_is_nan();
    flash_attention_of_views();
}

/// Whatever the rule names gives the same.
#[test]
fn the_picker_keeps_to_the_options() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (n, d) in [(3, 64), (40, 64), (5, 20)] {
            let p = draw(&mut rng, [2, 4, n, 2, 45, d], F32)?;
            let seen = truths(&mut rng, 0.7, &[2, 1, n, 45])?;
            let sinks = normal(&mut rng, &[4], F32)?;
            let plain = Options::default();
            let mut all = vec![
                plain,
                plain.causal().scale(0.2),
                plain.mask(&seen),
                plain.sinks(&sinks).causal(),
            ];
            if d == 64 {
                all.push(plain.window(9).softcap(2.0));
            }
            for o in all {
                let call = with_masks!(scaled_dot_product_attention(&p[0], &p[1], &p[2]), o);
                let y = call.call()?;
                zmlx::eval([&y])?;
                let want = exactly(|| -> Result<Vec<f64>> {
                    let wide = p.iter().map(|a| a.astype(Dtype::Float64));
                    textbook(&wide.collect::<Result<Vec<_>>>()?, &o)?[0].to_vec::<f64>()
                })?;
                close(&format!("{n} {d} by {}", call.choice()), &y, &want, 32.0);
            }
        }
        let q = Array::ones((1, 1, 100, 64), F32)?;
        let on_cpu = zmlx::with_device(Device::CPU, || {
            scaled_dot_product_attention(&q, &q, &q).choice()
        });
        assert_eq!(on_cpu, Implementation::Flash);
        Ok(())
    })
    .unwrap();
}

#[test]
fn flash_attention_refuses() {
    on_worker(|| -> Result<()> {
        let q = Array::ones((2, 4, 6, 32), F32)?;
        let k = Array::ones((2, 2, 5, 32), F32)?;
        let three = Array::ones((2, 3, 5, 32), F32)?;
        refused_for_shape(flash_attention(&q, &three, &three).call(), "`k`");
        refused_for_shape(flash_attention(&q.index(0)?, &k, &k).call(), "`q`");
        refused_for_shape(flash_attention(&q, &k, &three).call(), "`v`");
        for width in [4, 20, 264] {
            let odd = Array::ones((1, 1, 2, width), F32)?;
            refused_for_shape(flash_attention(&odd, &odd, &odd).call(), "multiple of 8");
        }
        let mask = Array::ones((6, 6), Dtype::Bool)?;
        refused_for_shape(flash_attention(&q, &k, &k).mask(&mask).call(), "`mask`");
        refused_for_shape(
            flash_attention(&q, &k, &k)
                .sinks(&Array::ones(3, F32)?)
                .call(),
            "`sinks`",
        );
        let [a, b] = [
            Array::ones((2, 6), Dtype::Int32)?,
            Array::ones((2, 4), Dtype::Int32)?,
        ];
        refused_for_shape(
            flash_attention(&q, &k, &k).segments(&a, &b).call(),
            "`of_keys`",
        );
        refused_for_dtype(flash_attention(&q, &k.astype(F16)?, &k).call());
        let ints = q.astype(Dtype::Int32)?;
        refused_for_dtype(flash_attention(&ints, &ints, &ints).call());
        let mask = Array::ones((6, 5), Dtype::Int32)?;
        refused_for_dtype(flash_attention(&q, &k, &k).mask(&mask).call());
        let truths = [a.astype(Dtype::Bool)?, Array::ones((2, 5), Dtype::Bool)?];
        refused_for_dtype(
            flash_attention(&q, &k, &k)
                .segments(&truths[0], &truths[1])
                .call(),
        );
        let other = Array::ones((2, 5), Dtype::Int64)?;
        refused_for_dtype(flash_attention(&q, &k, &k).segments(&a, &other).call());
        let call = flash_attention(&q, &k, &k);
        refused_for_argument(call.scale(f32::NAN).call());
        refused_for_argument(call.window(0).call());
        refused_for_argument(call.softcap(-1.0).call());
        Ok(())
    })
    .unwrap();
}
