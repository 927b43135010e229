//! The rows of the catalog's table.

use super::{pack_bits, unpack_bits};
use crate::kernels::catalog::{Entry, Kind, few_roundings, input};
use crate::{Array, Dtype, Result};

/// What the bits of a byte count.
fn powers() -> Result<Array> {
    Array::from_slice(&[1u8, 2, 4, 8, 16, 32, 64, 128], 8)
}

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "bits::pack_bits",
        formula: "bit i of byte b is x[8 b + i] != 0",
        file: "bits.metal",
        inputs: &[input("x", Kind::Truths)],
        call: |p| Ok(vec![pack_bits(&p[0])?]),
        composite: |p| {
            let bits = p[0].not_equal(0)?.reshape((-1, 8))?.astype(Dtype::Uint8)?;
            let sums = bits.multiply(powers()?)?.sum(-1)?;
            Ok(vec![sums.astype(Dtype::Uint8)?])
        },
        mlx: None,
        bytes: |rows, width, size| rows * width * size + rows * width / 8,
        roundings: few_roundings,
    },
    Entry {
        name: "bits::unpack_bits",
        formula: "element 8 b + i is bit i of x[b]",
        file: "bits.metal",
        inputs: &[input("x", Kind::Codes)],
        call: |p| Ok(vec![unpack_bits(&p[0]).call()?]),
        composite: |p| {
            let bytes = p[0].reshape((-1, 1))?;
            let bits = bytes.bitwise_and(powers()?)?.not_equal(0)?;
            Ok(vec![bits.astype(Dtype::Uint8)?.reshape(-1)?])
        },
        mlx: None,
        bytes: |rows, width, _| 9 * rows * width,
        roundings: few_roundings,
    },
];
