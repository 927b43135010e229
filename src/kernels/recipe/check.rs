//! What the inputs of a function have to be like.

use smallvec::SmallVec;

use super::Kernel;
use crate::kernels::arguments::{check_broadcast, check_float, check_shape, rows_of};
use crate::kernels::catalog::Kind;
use crate::{Array, Error, Result};

impl Kernel {
    /// The first input has rows; what the others must be like follows from it.
    #[track_caller]
    pub(super) fn check(&self, by_rows: bool, arrays: &[&Array]) -> Result<()> {
        let [(first, x), rest @ ..] =
            &*self.inputs.iter().zip(arrays).collect::<SmallVec<[_; 6]>>()
        else {
            return Err(Error::argument("inputs", "at least one", "none"));
        };
        check_float(first.name, x)?;
        let with_rows = by_rows || self.inputs.iter().any(|i| i.kind != Kind::Rows);
        let width = match with_rows {
            true => rows_of(first.name, x)?.1,
            false => 0,
        };
        // The shape of rows.
        let mut shape: SmallVec<[i32; 6]> = x.shape().into();
        let mut width = width as i32;
        if first.kind == Kind::DoubleRows {
            if width % 2 != 0 {
                return Err(Error::shape(format!(
                    "`{}`: expected a last axis of two halves, got shape {:?}",
                    first.name,
                    x.shape()
                )));
            }
            width /= 2;
            if let Some(last) = shape.last_mut() {
                *last = width;
            }
        }
        for (input, a) in rest {
            match input.kind {
                Kind::Targets if !a.dtype().is_integral() => {
                    let got = a.dtype();
                    return Err(Error::dtype(format!(
                        "`{}`: expected integers, got {got}",
                        input.name
                    )));
                }
                Kind::Targets => check_shape(input.name, a, &x.shape()[..x.ndim() - 1])?,
                Kind::Scalars => {
                    check_float(input.name, a)?;
                    check_shape(input.name, a, &x.shape()[..x.ndim() - 1])?;
                }
                Kind::Mask => check_broadcast(input.name, a, &shape)?,
                Kind::Weight => {
                    check_float(input.name, a)?;
                    check_shape(input.name, a, &[width])?;
                }
                Kind::DoubleWeight => {
                    check_float(input.name, a)?;
                    check_shape(input.name, a, &[width.saturating_mul(2)])?;
                }
                Kind::Scalar => {
                    check_float(input.name, a)?;
                    if a.ndim() > 1 || a.size() != 1 {
                        return Err(Error::shape(format!(
                            "`{}`: expected one number, of shape [] or [1], got shape {:?}",
                            input.name,
                            a.shape()
                        )));
                    }
                }
                Kind::DoubleRows => {
                    check_float(input.name, a)?;
                    let mut shape = shape.clone();
                    if let Some(last) = shape.last_mut() {
                        *last = last.saturating_mul(2);
                    }
                    check_shape(input.name, a, &shape)?;
                }
                _ => {
                    check_float(input.name, a)?;
                    check_shape(input.name, a, &shape)?;
                }
            }
        }
        Ok(())
    }
}
