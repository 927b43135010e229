//! Template arguments of a launch.

use crate::bridge::kernel::ffi;
use crate::{Dtype, Error, Result};

use super::MetalKernel;
use super::spec::check_identifier;

/// The value of a template parameter of the kernel function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TemplateArg {
    /// `int NAME`
    Int(i32),
    /// `bool NAME`
    Bool(bool),
    /// `typename NAME`
    Dtype(Dtype),
    /// An integer that no `int` holds, which a launch refuses.
    TooLarge(i128),
}

impl From<i32> for TemplateArg {
    fn from(v: i32) -> Self {
        TemplateArg::Int(v)
    }
}

macro_rules! integers {
    ($($ty:ty)*) => {$(
        impl From<$ty> for TemplateArg {
            fn from(v: $ty) -> Self {
                match i32::try_from(v) {
                    Ok(n) => TemplateArg::Int(n),
                    Err(_) => TemplateArg::TooLarge(v as i128),
                }
            }
        }
    )*};
}
integers!(i8 u8 i16 u16 u32 i64 u64 isize usize);

impl From<bool> for TemplateArg {
    fn from(v: bool) -> Self {
        TemplateArg::Bool(v)
    }
}

impl From<Dtype> for TemplateArg {
    fn from(v: Dtype) -> Self {
        TemplateArg::Dtype(v)
    }
}

/// Refuses names and values that cannot be template parameters of the kernel function.
#[track_caller]
pub(super) fn check(template: &[(&str, TemplateArg)], kernel: &MetalKernel) -> Result<()> {
    for (i, &(name, ref value)) in template.iter().enumerate() {
        check_identifier("template", name)?;
        if template[..i].iter().any(|(n, _)| *n == name) {
            return Err(Error::argument(
                "template",
                "each name once",
                format_args!("`{name}` twice"),
            ));
        }
        let mut names = kernel.input_names().iter().chain(kernel.output_names());
        if names.any(|n| n == name) {
            return Err(Error::argument(
                "template",
                "a name that no buffer has",
                format_args!("`{name}`"),
            ));
        }
        match *value {
            // MLX makes the value a part of the function's name, where a minus cannot stand.
            TemplateArg::Int(n) if n < 0 => {
                return Err(Error::argument(
                    "template",
                    "integers from 0 to 2147483647",
                    format_args!("`{name}` = {n}"),
                ));
            }
            TemplateArg::TooLarge(n) => {
                return Err(Error::argument(
                    "template",
                    "integers from 0 to 2147483647",
                    format_args!("`{name}` = {n}"),
                ));
            }
            TemplateArg::Dtype(d) => check_dtype(name, d)?,
            _ => {}
        }
    }
    Ok(())
}

/// The arguments as they cross the bridge.
pub(super) fn to_ffi(template: &[(&str, TemplateArg)]) -> Vec<ffi::TemplateValue> {
    let value = |&(name, ref arg): &(&str, TemplateArg)| {
        let (kind, number, dtype) = match *arg {
            TemplateArg::Int(n) => (0, n, Dtype::Bool),
            TemplateArg::Bool(b) => (1, i32::from(b), Dtype::Bool),
            TemplateArg::Dtype(d) => (2, 0, d),
            // Refused by `check`.
            TemplateArg::TooLarge(_) => (0, 0, Dtype::Bool),
        };
        ffi::TemplateValue {
            name: name.to_owned(),
            kind,
            number,
            dtype,
        }
    };
    template.iter().map(value).collect()
}

/// Refuses what Metal has no type for.
#[track_caller]
pub(super) fn check_dtype(name: &str, dtype: Dtype) -> Result<()> {
    if dtype == Dtype::Float64 {
        return Err(Error::dtype(format!(
            "`{name}`: expected a dtype that Metal has, got float64; `astype(F32)` converts an array"
        )));
    }
    Ok(())
}
