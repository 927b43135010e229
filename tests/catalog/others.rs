//! Functions whose inputs do not follow rows, all in one place: values against MLX's operations, dtypes, layouts and what is
//! refused. What is special about each of them has tests of its own.

use zmlx::kernels::{Entry, Kind, catalog};
use zmlx::prelude::*;
use zmlx::{Result, eval, ops, with_device};

use crate::cases::DTYPES;
use crate::common::{factors_are_rounded, on_worker};
use crate::tolerance::numbers;

/// Calls the body for each of these functions that is wanted.
fn each(body: impl Fn(&'static Entry) -> Result<()> + Send + 'static) {
    on_worker(move || -> Result<()> {
        let wanted = std::env::var("ZMLX_CATALOG").unwrap_or_default();
        for entry in catalog().filter(|e| !e.follows_rows() && e.name.contains(&wanted)) {
            body(entry).unwrap_or_else(|e| panic!("{}: {e}", entry.name));
        }
        Ok(())
    })
    .unwrap();
}

fn inputs(entry: &Entry, leading: &[i32], width: i32, dtype: Dtype) -> Result<Vec<Array>> {
    let mut inputs = entry.inputs(leading, entry.width(width), dtype, 7)?;
    for (a, input) in inputs.iter_mut().zip(entry.inputs) {
        // Half of the codes: the others are infinite or no numbers in one format or another.
        if input.kind == Kind::Codes {
            *a = a.bitwise_and(Array::scalar(0x77u8)?)?;
        }
    }
    eval(&inputs)?;
    Ok(inputs)
}

/// The same by MLX's operations in float32 on the CPU, from the same numbers.
fn reference(entry: &Entry, inputs: &[Array]) -> Result<Vec<Array>> {
    with_device(Device::CPU, || {
        let wide = inputs.iter().map(|a| match a.dtype() {
            F16 | BF16 => a.astype(F32),
            _ => Ok(a.clone()),
        });
        let outputs = (entry.composite)(&wide.collect::<Result<Vec<_>>>()?)?;
        eval(&outputs)?;
        Ok(outputs)
    })
}

/// Leaves memory full of what no result is for the next arrays of these sizes.
fn poison(like: &[Array]) -> Result<()> {
    let mut full = Vec::new();
    for a in like {
        let odd = match a.dtype().is_floating() {
            true => Array::full(a.shape(), f32::NAN, a.dtype())?,
            false => Array::full(a.shape(), 0xa5, a.dtype())?,
        };
        full.extend([(&odd + &odd.zeros_like()?)?, odd]);
    }
    eval(&full)
}

/// Integers are the same. Floats differ by a rounding to their dtype and a hundred of float32 relative to the largest, as
/// sums have up to that many terms here and some values are differences of nearly equal ones.
#[track_caller]
fn close(entry: &Entry, what: &str, got: &[Array], want: &[Array]) -> Result<()> {
    let on_gpu = zmlx::Stream::current()?.device().kind == zmlx::DeviceKind::Gpu
        || std::env::var_os("ZMLX_ROW_GROUPS").is_some();
    // MLX's products round to 16 bits before what follows them, and so does flash attention its weights on a GPU.
    let product = entry.name.starts_with("linear::")
        || (on_gpu && entry.name == "attention::flash_attention");
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.shape(), want.shape(), "{what}, output {i}");
        let (found, exact) = (numbers(got)?, numbers(want)?);
        let most = exact.iter().fold(0.0f64, |most, w| most.max(w.abs()));
        let (relative, of_most) = match got.dtype() {
            F16 if product => (1.05 / 2048.0, 1.0 / 1024.0),
            BF16 if product => (1.05 / 256.0, 1.0 / 128.0),
            F16 => (1.05 / 2048.0, 6e-6),
            BF16 => (1.05 / 256.0, 6e-6),
            // TF32 keeps ten bits of each factor.
            F32 if factors_are_rounded() => (0.0, 2e-3),
            F32 => (0.0, 6e-6),
            _ => (0.0, 0.0),
        };
        for (at, (g, w)) in found.iter().zip(&exact).enumerate() {
            let good = (g - w).abs() <= relative * w.abs() + of_most * most + 6e-8;
            assert!(
                good || g == w,
                "{what}, output {i}, element {at}: {g}, expected {w}"
            );
        }
    }
    Ok(())
}

#[test]
fn values_and_dtypes() {
    each(|entry| {
        for dtype in DTYPES {
            for (leading, width) in [(&[3][..], 32), (&[2, 3], 64), (&[1], 100)] {
                let inputs = inputs(entry, leading, width, dtype)?;
                let planned = (entry.call)(&inputs)?;
                poison(&planned)?;
                let got = (entry.call)(&inputs)?;
                eval(&got)?;
                let what = format!("{} {dtype} {leading:?} x {width}", entry.name);
                close(entry, &what, &got, &reference(entry, &inputs)?)?;
                // Floats in, floats of the same dtype out.
                let own = match entry.name {
                    "attention::attention_tile_proto" => F32,
                    _ => dtype,
                };
                for y in got.iter().filter(|y| y.dtype().is_floating()) {
                    assert_eq!(y.dtype(), own, "{what}");
                }
                let bytes = (entry.bytes)(leading.iter().product::<i32>() as usize, 64, 4);
                assert!(bytes > 0, "{what}");
            }
        }
        Ok(())
    });
}

/// The array in another memory layout.
type Layout = fn(&Array) -> Result<Array>;

const LAYOUTS: [(&str, Layout); 3] = [
    ("transposed", |a| {
        let order: Vec<i32> = (0..a.ndim() as i32).rev().collect();
        let turned = a.transpose(order.clone())?.contiguous()?;
        turned.transpose(order)
    }),
    ("every second element", |a| {
        let twice = ops::stack(&[a.clone(), a.ones_like()?], -1)?.contiguous()?;
        twice.index((Ellipsis, 0))
    }),
    ("behind an offset of one element", |a| {
        let flat = ops::concatenate(&[Array::zeros(1, a.dtype())?, a.reshape(-1)?], 0)?;
        flat.index(1..)?.reshape(a.shape())
    }),
];

#[test]
fn layouts() {
    each(|entry| {
        for dtype in [F32, BF16] {
            let dense = inputs(entry, &[2, 3], 64, dtype)?;
            let want = (entry.call)(&dense)?;
            for (name, layout) in LAYOUTS {
                let views = dense.iter().map(|a| match a.ndim() {
                    0 => Ok(a.clone()),
                    _ => layout(a),
                });
                let views = views.collect::<Result<Vec<_>>>()?;
                eval(&views)?;
                let what = format!("{} {dtype}, {name}", entry.name);
                close(entry, &what, &(entry.call)(&views)?, &want)?;
            }
        }
        Ok(())
    });
}

/// An error of this kind that names an argument of the function, what was expected and what came.
#[track_caller]
fn refused(entry: &Entry, what: &str, e: &Error, is: fn(&Error) -> bool) {
    let text = e.to_string();
    assert!(is(e), "{} {what}: {e:?}", entry.name);
    let mut names = entry.inputs.iter().map(|i| i.name).chain(["out_shape"]);
    let named = names.any(|name| text.contains(&format!("`{name}`")));
    assert!(named, "{} {what} names no argument: {text}", entry.name);
    for word in ["expected", "got", "src/kernels/"] {
        assert!(
            text.contains(word),
            "{} {what}: no `{word}` in {text}",
            entry.name
        );
    }
}

#[test]
fn other_dtypes_are_refused() {
    each(|entry| {
        let right = inputs(entry, &[2, 3], 32, F32)?;
        for (i, input) in entry.inputs.iter().enumerate() {
            let all = match input.kind {
                Kind::Ordered | Kind::Choices | Kind::Truths => vec![F64, Dtype::Complex64],
                _ if input.kind.differentiable() || input.kind == Kind::Logits => {
                    vec![F64, Dtype::Complex64, I32, Dtype::Bool]
                }
                _ => vec![F32, BF16, Dtype::Bool, Dtype::Complex64],
            };
            for dtype in all {
                with_device(Device::CPU, || -> Result<()> {
                    let mut wrong = right.clone();
                    wrong[i] = wrong[i].astype(dtype)?;
                    let what = format!("with `{}` of {dtype}", input.name);
                    match (entry.call)(&wrong) {
                        Ok(_) => panic!("{} takes {what}", entry.name),
                        Err(e) => refused(entry, &what, &e, |e| matches!(e, Error::Dtype { .. })),
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    });
}

/// Inputs that may have another size than the others say, with what is changed.
const FREE: &[(&str, &str, &[&str])] = &[
    ("rope::apply_gqa_rope", "x", &["axis"]),
    ("sampling::sample", "logits", &["first", "last", "axis"]),
    (
        "reductions::argmax_lastdim",
        "x",
        &["first", "last", "axis"],
    ),
    ("reductions::topk_lastdim", "x", &["first", "last", "axis"]),
    ("moe::top2_gating_softmax", "x", &["first", "last", "axis"]),
    ("moe::moe_dispatch", "x", &["last"]),
    ("moe::moe_dispatch", "indices", &["last"]),
    ("moe::moe_combine", "expert_outputs", &["last"]),
    ("indexing::fused_gather_add", "src", &["first"]),
    ("indexing::fused_scatter_add", "updates", &["last"]),
    ("bits::pack_bits", "x", &["first", "last", "axis"]),
    (
        "bits::unpack_bits",
        "x",
        &["first", "last", "axis", "scalar"],
    ),
    (
        "quant::dequantize_int8",
        "x",
        &["first", "last", "axis", "scalar"],
    ),
    (
        "quant::dequantize_silu_int8",
        "x",
        &["first", "last", "axis", "scalar"],
    ),
    (
        "quant::dequantize_int4",
        "x",
        &["first", "last", "axis", "scalar"],
    ),
    (
        "quant::dequantize_fp8",
        "x",
        &["first", "last", "axis", "scalar"],
    ),
    (
        "quant::dequantize_nf4",
        "x",
        &["first", "last", "axis", "scalar"],
    ),
    ("image::resize_bilinear", "x", &["first", "last"]),
    ("image::depthwise_conv_3x3", "x", &["first"]),
    (
        "rope::paged_rope_and_cache_update",
        "block_table",
        &["last"],
    ),
    ("attention::paged_attention", "block_table", &["last"]),
    ("linear::fused_linear_bias_silu", "x", &["first", "axis"]),
    ("linear::fused_linear_bias_gelu", "x", &["first", "axis"]),
    ("linear::fused_linear_rmsnorm", "x", &["first", "axis"]),
];

#[test]
fn other_shapes_are_refused() {
    type Change = fn(&Array) -> Result<Array>;
    const CHANGES: [(&str, Change); 4] = [
        ("first", |a| ops::concatenate(&[a.clone(), a.clone()], 0)),
        ("last", |a| ops::concatenate(&[a.clone(), a.clone()], -1)),
        ("axis", |a| ops::stack(&[a.clone(), a.clone()], 0)),
        ("scalar", |a| a.reshape(-1)?.index(0)),
    ];
    each(|entry| {
        let right = inputs(entry, &[6], 32, F32)?;
        let mut known = true;
        for (i, input) in entry.inputs.iter().enumerate() {
            let free = FREE.iter().find(|f| f.0 == entry.name && f.1 == input.name);
            let free = free.map_or(&[][..], |f| f.2);
            let mut taken = Vec::new();
            for (what, change) in CHANGES {
                let mut wrong = right.clone();
                let changed = change(&wrong[i]);
                // A scalar has no axes that could change.
                let Ok(changed) = changed else { continue };
                if changed.shape() == wrong[i].shape() {
                    continue;
                }
                wrong[i] = changed;
                match (entry.call)(&wrong) {
                    Ok(_) => taken.push(what),
                    Err(e) => refused(entry, what, &e, |e| matches!(e, Error::Shape { .. })),
                }
            }
            if taken != free {
                let (name, input) = (entry.name, input.name);
                eprintln!("(\"{name}\", \"{input}\", &{taken:?}),");
                known = false;
            }
        }
        assert!(known, "shapes that are taken; see above");
        Ok(())
    });
}
