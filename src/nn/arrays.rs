//! Evaluating what belongs together.

use super::cache::KvCache;
use super::ext::ModuleExt;
use super::module::Module;
use crate::{Array, Result};

/// What holds arrays: modules, optimizers, caches, arrays, and tuples, lists and options of references to them.
pub trait Arrays {
    /// Lists the arrays.
    fn list(&self, to: &mut Vec<Array>);
}

impl<M: Module + ?Sized> Arrays for &M {
    fn list(&self, to: &mut Vec<Array>) {
        self.each(|_, leaf| to.push(leaf.value.clone()));
    }
}

impl Arrays for &Array {
    fn list(&self, to: &mut Vec<Array>) {
        to.push((*self).clone());
    }
}

impl Arrays for &KvCache {
    fn list(&self, to: &mut Vec<Array>) {
        to.extend(self.arrays().into_iter().cloned());
    }
}

macro_rules! lists {
    ($($ty:ty)*) => {$(
        impl Arrays for &$ty {
            fn list(&self, to: &mut Vec<Array>) {
                self.iter().for_each(|a| Arrays::list(&a, to));
            }
        }
    )*};
}
lists!([Array] Vec<Array> [KvCache] Vec<KvCache>);

macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        impl<$($name: Arrays),*> Arrays for ($($name,)*) {
            fn list(&self, to: &mut Vec<Array>) {
                #[allow(non_snake_case, reason = "one name for type and value")]
                let ($($name,)*) = self;
                $($name.list(to);)*
            }
        }
    )*};
}
tuples!((A)(A B)(A B C)(A B C D));

/// Computes all arrays of what is given, as at the end of a step of training: `eval_all((&model, &optimizer, &loss))`.
///
/// ```
/// use zmlx::{Array, nn};
/// # fn main() -> zmlx::Result<()> {
/// let model = nn::Mlp::new(4, 8, &mut nn::Init::seed(1))?;
/// let loss = Array::from(1.0f32).exp()?;
/// nn::eval_all((&model, &loss))?;
/// assert!(loss.is_ready()?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the computation fails with.
#[track_caller]
pub fn eval_all(all: impl Arrays) -> Result<()> {
    let mut arrays = Vec::new();
    all.list(&mut arrays);
    crate::eval(arrays)
}
