//! Function transforms: gradients, vectorization, custom rules, compilation, export.

mod compile;
mod custom;
mod export;
mod grad;
mod vmap;

pub use compile::{Compiled, compile, set_compile_enabled};
pub use custom::{CustomFunction, checkpoint, custom_function};
pub(crate) use export::exporting;
pub use export::{ImportedFunction, export_function, import_function};
pub use grad::{grad, jvp, value_and_grad, value_and_grad_of, vjp};
pub use vmap::{Vmap, vmap};

use crate::bridge::array::ffi::Array as RawArray;
use crate::bridge::transforms::ffi::TwoLists;
use crate::error::Lift;
use crate::{Array, Result};

/// Both halves of what a derivative transform returns.
#[track_caller]
fn two(lists: Result<TwoLists, cxx::Exception>) -> Result<(Vec<Array>, Vec<Array>)> {
    let lists = lists.lift()?;
    Ok((
        crate::array::unpack(&lists.values)?,
        crate::array::unpack(&lists.extra)?,
    ))
}

type RawList = cxx::UniquePtr<cxx::CxxVector<RawArray>>;

#[track_caller]
fn one_list(list: Result<RawList, cxx::Exception>) -> Result<Vec<Array>> {
    crate::array::unpack(&*list.lift()?)
}
