//! What functions of quantized codes refuse.

use zmlx::kernels::quant::*;
use zmlx::prelude::*;
use zmlx::{Result, grad, jvp, vmap};

use super::formats::*;
use crate::common::on_worker;

/// The kind of error and a word of its text.
#[track_caller]
fn refused(got: Result<Array>, is: fn(&Error) -> bool, words: &[&str]) {
    let error = got.expect_err("an error");
    let text = error.to_string();
    assert!(is(&error), "{error:?}");
    for word in words {
        assert!(text.contains(word), "{text} has no `{word}`");
    }
    assert!(
        text.contains("tests/catalog"),
        "{text} names no place of the caller"
    );
}

#[test]
fn what_quant_refuses() {
    on_worker(|| -> Result<()> {
        let dtype = |e: &Error| matches!(e, Error::Dtype { .. });
        let shape = |e: &Error| matches!(e, Error::Shape { .. });
        let argument = |e: &Error| matches!(e, Error::Argument { .. });
        let x = Array::zeros((2, 3), Dtype::Uint8)?;
        let one = Array::ones(1, F32)?;
        let two = Array::ones(2, F32)?;
        for f in &FUNCTIONS {
            refused(
                (f.call)(&x, &two, F32),
                shape,
                &["`scale`", "one element", "[2]"],
            );
            refused(
                (f.call)(&x, &one.astype(Dtype::Int32)?, F32),
                dtype,
                &["`scale`", "int32"],
            );
            refused(
                (f.call)(&x, &one, Dtype::Int32),
                argument,
                &["`dtype`", "int32"],
            );
            refused(
                (f.call)(&x.astype(F32)?, &one, F32),
                dtype,
                &["`x`", "float32"],
            );
            refused(
                (f.call)(&x.astype(Dtype::Bool)?, &one, F32),
                dtype,
                &["`x`", "bool"],
            );
            if f.name.contains("int8") {
                continue;
            }
            refused(
                (f.call)(&x.astype(Dtype::Int8)?, &one, F32),
                dtype,
                &["`x`", "uint8", "int8"],
            );
        }
        let blocks = dequantize_blockwise;
        refused(
            blocks(&x, &two).call(),
            shape,
            &["`scales`", "1 elements", "[2]"],
        );
        refused(
            blocks(&x, &two).block_size(2).call(),
            shape,
            &["`scales`", "3 elements"],
        );
        refused(
            blocks(&x, &one).block_size(0).call(),
            argument,
            &["`block_size`", "0"],
        );
        refused(
            blocks(&x, &one).bits(3).call(),
            argument,
            &["`bits`", "8 or 4", "3"],
        );
        refused(
            blocks(&x.astype(Dtype::Int8)?, &one).bits(4).call(),
            dtype,
            &["`x`", "int8"],
        );
        refused(
            blocks(&x.astype(Dtype::Int32)?, &one).call(),
            dtype,
            &["`x`", "int32"],
        );
        refused(
            blocks(&x, &one).dtype(Dtype::Uint8).call(),
            argument,
            &["`dtype`"],
        );
        let swiglu = |x2: &Array, s2: &Array| fused_swiglu_quant(&x, &one, x2, s2).call();
        refused(
            swiglu(&x.reshape(6)?, &one),
            shape,
            &["`x2`", "[2, 3]", "[6]"],
        );
        refused(
            swiglu(&x.astype(Dtype::Int16)?, &one),
            dtype,
            &["`x2`", "int16"],
        );
        refused(swiglu(&x, &two), shape, &["`scales2`"]);
        // Codes have no derivative, whatever asks for one; scales have theirs beside codes that are mapped.
        let no_derivative = |e: &Error| matches!(e, Error::Argument { .. });
        for f in &FUNCTIONS {
            let loss = |x: &Array| (f.call)(x, &one, F32)?.sum(..);
            refused(
                grad(loss)(&x),
                no_derivative,
                &["`x`", "no derivative", "uint8"],
            );
            let tangent = jvp(|p: &[Array]| Ok(vec![loss(&p[0])?]), [&x], [&x]);
            refused(
                tangent.map(|t| t.1[0].clone()),
                no_derivative,
                &["`x`", "no derivative"],
            );
            let slopes =
                vmap(|p: &[Array]| Ok(vec![grad(|s| (f.call)(&p[0], s, F32)?.sum(..))(&one)?]));
            assert_eq!(
                slopes.call(std::slice::from_ref(&x))?[0].shape(),
                [2, 1],
                "{}",
                f.name
            );
        }
        refused(
            grad(|x| blocks(x, &one).call()?.sum(..))(&x),
            no_derivative,
            &["`x`"],
        );
        let x2 = x.clone();
        let codes = |x: &Array| fused_swiglu_quant(&x2, &one, x, &one).call()?.sum(..);
        refused(grad(codes)(&x), no_derivative, &["`x2`", "uint8"]);
        Ok(())
    })
    .unwrap();
}
