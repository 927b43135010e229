//! Dtypes that kernels can have.

use crate::{Dtype, Error, Result};

/// Refuses dtypes that a kernel cannot compute in.
#[track_caller]
pub(crate) fn check_compute(dtype: Dtype) -> Result<()> {
    if super::text::type_name(dtype).is_some() {
        return Ok(());
    }
    Err(Error::dtype(format!(
        "`compute_dtype`: expected float32, float16, bfloat16 or an integer, got {dtype}"
    )))
}

/// Refuses dtypes that a kernel cannot store numbers in.
#[track_caller]
pub(crate) fn check_output(dtype: Dtype) -> Result<()> {
    if matches!(dtype, Dtype::Float64 | Dtype::Complex64) {
        return Err(Error::dtype(format!(
            "`output_dtype`: expected a real dtype that Metal has, got {dtype}"
        )));
    }
    Ok(())
}

/// Refuses arrays that a generated kernel cannot read.
#[track_caller]
pub(crate) fn check_input(op: &str, name: &str, dtype: Dtype) -> Result<()> {
    if matches!(dtype, Dtype::Float64 | Dtype::Complex64) {
        return Err(Error::dtype(format!(
            "`{op}`: expected a real dtype that Metal has for `{name}`, got {dtype}{}",
            remedy(dtype)
        )));
    }
    Ok(())
}

/// How an array of this dtype becomes one that a kernel takes.
pub(crate) fn remedy(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Float64 => " (`astype(F32)` converts it)",
        Dtype::Complex64 => " (`real` and `imag` are float32)",
        _ => "",
    }
}
