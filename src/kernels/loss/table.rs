//! The rows of the catalog's table.

use super::programs::{COTAN, LOGITS, PLAIN, SLOPE, TARGETS};
use super::{softmax_cross_entropy, softmax_cross_entropy_grad};
use crate::kernels::catalog::{Entry, few_roundings};

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "loss::softmax_cross_entropy",
        formula: "log(sum(exp(logits))) - logits[target]",
        file: "",
        inputs: &[LOGITS, TARGETS],
        call: |p| Ok(vec![softmax_cross_entropy(&p[0], &p[1]).call()?]),
        composite: |p| PLAIN.reference(p, &[]),
        mlx: Some(|p| Ok(vec![crate::fast::cross_entropy(&p[0], &p[1])?])),
        bytes: |rows, width, size| PLAIN.bytes(rows, width, size),
        roundings: few_roundings,
    },
    Entry {
        name: "loss::softmax_cross_entropy_grad",
        formula: "(softmax(logits) - onehot(target)) cotan",
        file: "",
        inputs: &[LOGITS, TARGETS, COTAN],
        call: |p| {
            let slope = softmax_cross_entropy_grad(&p[0], &p[1], &p[2]).call()?;
            Ok(vec![slope])
        },
        composite: |p| SLOPE.reference(p, &[]),
        mlx: None,
        bytes: |rows, width, size| SLOPE.bytes(rows, width, size),
        roundings: few_roundings,
    },
];
