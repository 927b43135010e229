//! Integers without a dtype of the arithmetic that the author chose: computed as integers, where that means the same.
//!
//! A float32 holds integers up to 2^24 only. So where all arrays that are read hold integers, and the expressions are made of what
//! gives integers of integers, another form of the program computes in an integral type.

use crate::{Array, Dtype};

use super::program::{Custom, Fold, InputKind, Program};
use super::text::type_name;

/// How a program is computed in integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) compute: Dtype,
    /// Rows are walked in order: Metal's functions of a simdgroup take no more than 32 bits.
    in_order: bool,
    /// All outputs are stored as integers.
    stored: bool,
}

/// How many ways there are.
pub(crate) const WAYS: usize = 12;

impl Way {
    /// How arrays of these dtypes are computed, if they are all of integers: 32 bits where those hold all inputs and
    /// outputs, else 64.
    pub(crate) fn of(
        program: &Program,
        used: &[bool],
        inputs: &[&Array],
        outputs: impl Iterator<Item = Dtype> + Clone,
        gpu: bool,
    ) -> Option<Way> {
        // An index is an integer in any case.
        let read = || {
            let all = inputs.iter().zip(used).zip(&program.inputs);
            all.filter(|((_, u), input)| **u && input.kind != InputKind::Index)
                .map(|((a, _), _)| a.dtype())
        };
        if !read().all(Dtype::is_integral) || read().all(|d| d == Dtype::Bool) {
            return None;
        }
        let signed = |d| matches!(d, Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64);
        let narrow = |d| !matches!(d, Dtype::Int64 | Dtype::Uint64 | Dtype::Uint32);
        let compute = if read().any(|d| d == Dtype::Uint64) && !read().any(signed) {
            Dtype::Uint64
        } else if read().all(narrow) && outputs.clone().all(|d| narrow(d) && !d.is_floating()) {
            Dtype::Int32
        } else {
            Dtype::Int64
        };
        Some(Way {
            compute,
            stored: outputs.clone().all(Dtype::is_integral),
            in_order: gpu && compute != Dtype::Int32 && !program.reductions.is_empty(),
        })
    }

    /// A number below [`WAYS`].
    pub(crate) fn number(self) -> usize {
        let dtype = match self.compute {
            Dtype::Int32 => 0,
            Dtype::Int64 => 1,
            _ => 2,
        };
        4 * dtype + 2 * usize::from(self.in_order) + usize::from(self.stored)
    }

    /// The program, computed in this way; none where that would mean something else.
    pub(crate) fn program(self, program: &Program) -> Option<Program> {
        const COUNTS: &[&str] = &["j", "row", "elem"];
        let ty = type_name(self.compute)?;
        let mut made = program.clone();
        made.compute = self.compute;
        made.exact = false;
        for r in &mut made.reductions {
            r.value = r.value.in_integers(ty, COUNTS, false)?;
            if let Fold::At(place) = &mut r.fold {
                place.otherwise = place.otherwise.in_integers(ty, COUNTS, false)?;
            }
            if let Fold::Custom(c) = &mut r.fold {
                c.init = c.init.in_integers(ty, COUNTS, false)?;
                c.combine = match c.combine.take() {
                    // In order where partial results cannot be exchanged.
                    Some(combine) if self.compute == Dtype::Int32 => {
                        Some(combine.in_integers(ty, COUNTS, false)?)
                    }
                    Some(combine) => {
                        combine.in_integers(ty, COUNTS, false)?;
                        None
                    }
                    None => None,
                };
            } else if self.in_order {
                self.put_in_order(r, ty);
            }
        }
        for o in &mut made.outputs {
            o.value = o.value.in_integers(ty, COUNTS, self.stored)?;
            for value in &mut o.others {
                *value = value.in_integers(ty, COUNTS, self.stored)?;
            }
        }
        Some(made)
    }

    /// A known fold as one of the author's, from its first element on.
    fn put_in_order(self, r: &mut super::program::Reduction, ty: &str) {
        use crate::expr::Expr;
        let acc = "zk_acc";
        let so_far = Expr::var(acc);
        let limit =
            |which: &str| Expr::named_number(&format!("metal::numeric_limits<{ty}>::{which}()"));
        let (init, value) = match r.fold {
            Fold::At(_) => return,
            Fold::Max => (
                limit("lowest"),
                crate::expr::select(so_far.gt(&r.value), &so_far, &r.value),
            ),
            Fold::Min => (
                limit("max"),
                crate::expr::select(so_far.lt(&r.value), &so_far, &r.value),
            ),
            _ => (Expr::named_number("0"), so_far + &r.value),
        };
        r.value = value;
        r.fold = Fold::Custom(Box::new(Custom {
            init,
            acc: acc.to_owned(),
            combine: None,
        }));
    }
}
