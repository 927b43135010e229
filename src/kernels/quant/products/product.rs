//! Products with quantized matrices as an operation, which is linear in x where nothing follows.

use smallvec::{SmallVec, smallvec};

use super::call::Activations;
use super::launch;
use super::unpack::unpack;
use super::weight::QuantFormat;
use crate::kernels::arguments::{rows, signed};
use crate::kernels::matrix::matmul;
use crate::ops::{Pick, where_};
use crate::transforms::rules::{Rules, apply, each, only, repeated};
use crate::{Array, Dtype, Result};

/// Which inputs there are and what follows the product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Then {
    pub(super) experts: bool,
    pub(super) bias: bool,
    pub(super) silu: bool,
    pub(super) residual: bool,
}

/// The operation. Its inputs: x, the residual, the experts, the bias, then the parts of one matrix or two.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) formats: SmallVec<[QuantFormat; 2]>,
    /// Of the matrices: (N, K) or (E, N, K).
    pub(super) shape: SmallVec<[i32; 3]>,
    /// Matrices for each row, where the result has an axis for that.
    pub(super) slots: Option<i32>,
    pub(super) then: Then,
    pub(super) activations: Activations,
}

/// The inputs by name.
pub(super) struct Inputs<'a> {
    pub(super) x: &'a Array,
    pub(super) residual: Option<&'a Array>,
    pub(super) experts: Option<&'a Array>,
    pub(super) bias: Option<&'a Array>,
    pub(super) parts: SmallVec<[&'a [Array]; 2]>,
}

impl Product {
    /// How many matrices, rows of a matrix, and elements of a row there are.
    pub(super) fn sizes(&self) -> (i32, i32, i32) {
        match self.shape[..] {
            [e, n, k] => (e, n, k),
            [n, k] => (1, n, k),
            _ => (0, 0, 0),
        }
    }

    pub(super) fn inputs<'a>(&self, all: &'a [Array]) -> Inputs<'a> {
        let mut at = 1;
        let mut next = |there: bool| {
            let found = there.then(|| &all[at]);
            at += usize::from(there);
            found
        };
        let residual = next(self.then.residual);
        let experts = next(self.then.experts);
        let bias = next(self.then.bias);
        let mut parts = SmallVec::new();
        for format in &self.formats {
            parts.push(&all[at..at + format.parts()]);
            at += format.parts();
        }
        Inputs {
            x: &all[0],
            residual,
            experts,
            bias,
            parts,
        }
    }

    /// The shape of the result.
    pub(super) fn result(&self, x: &Array) -> Vec<i32> {
        let leading = &x.shape()[..x.ndim().saturating_sub(1)];
        let (_, n, _) = self.sizes();
        leading
            .iter()
            .copied()
            .chain(self.slots)
            .chain([n])
            .collect()
    }

    /// Nothing follows.
    pub(super) fn is_plain(&self) -> bool {
        let Then {
            experts: _,
            bias,
            silu,
            residual,
        } = self.then;
        !(bias || silu || residual) && self.formats.len() == 1
    }

    /// Whether x may be rounded to 8 bits, and all matrices can be multiplied so.
    pub(super) fn by_bytes(&self) -> bool {
        let all = || self.formats.iter().all(|f| f.reader_of_bytes(0).is_some());
        self.activations == Activations::Int8 && all()
    }

    /// The product with one of the matrices alone.
    #[track_caller]
    fn plain(&self, which: usize, x: &Array, inputs: &Inputs<'_>) -> Result<Array> {
        let product = Product {
            formats: smallvec![self.formats[which]],
            then: Then {
                experts: self.then.experts,
                ..Then::default()
            },
            ..self.clone()
        };
        let all: Vec<&Array> = [x]
            .into_iter()
            .chain(inputs.experts)
            .chain(inputs.parts[which])
            .collect();
        only(apply(&product, &all)?, "outputs")
    }

    /// The same by products alone and MLX's operations, in float32.
    #[track_caller]
    pub(super) fn composite(&self, all: &[Array]) -> Result<Array> {
        let inputs = self.inputs(all);
        let wide = |a: &Array| a.astype(Dtype::Float32);
        let mut z = wide(&self.plain(0, inputs.x, &inputs)?)?;
        if let Some(bias) = inputs.bias {
            let mut bias = wide(bias)?;
            if let Some(experts) = inputs.experts {
                let (valid, places) = self.places(experts)?;
                bias = bias.take(&places, 0)?;
                bias = where_(&valid.expand_dims(-1)?, &bias, Array::from(0.0f32))?;
            }
            z = (z + bias)?;
        }
        if self.then.silu {
            z = (&z * z.sigmoid()?)?;
        }
        if self.formats.len() > 1 {
            z = (z * wide(&self.plain(1, inputs.x, &inputs)?)?)?;
        }
        if let Some(residual) = inputs.residual {
            z = (z + wide(residual)?)?;
        }
        z.astype(inputs.x.dtype())
    }

    /// Which numbers of experts are those of a matrix, and the numbers, 0 where they are not.
    #[track_caller]
    fn places(&self, experts: &Array) -> Result<(Array, Array)> {
        let (count, _, _) = self.sizes();
        let all = signed(experts)?;
        let valid = all
            .greater_equal(0i64)?
            .logical_and(&all.less(i64::from(count))?)?;
        let places = where_(&valid, &all, Array::from(0i64))?;
        Ok((valid, places.astype(Dtype::Uint32)?))
    }

    /// The gradient of x where nothing follows.
    #[track_caller]
    fn back(&self, inputs: &Inputs<'_>, g: &Array) -> Result<Array> {
        let x = inputs.x;
        let gpu = crate::stream::current().gpu;
        let dtype = if gpu { x.dtype() } else { Dtype::Float32 };
        let w = unpack(self.formats[0], inputs.parts[0], &self.shape, dtype)?;
        let Some(experts) = inputs.experts else {
            let (_, n, _) = self.sizes();
            let leading = &x.shape()[..x.ndim().saturating_sub(1)];
            let rows = rows("x", leading)?;
            let rows = g.astype(dtype)?.reshape((rows, n))?;
            let back = matmul(&rows, &w)?.reshape(x.shape())?;
            return back.astype(x.dtype());
        };
        let (_, n, k) = self.sizes();
        let (valid, places) = self.places(experts)?;
        let rows = g.astype(dtype)?.reshape((-1, 1, n))?;
        let places = places.reshape(-1)?;
        let pick = Pick {
            rhs: Some(&places),
            ..Pick::default()
        };
        let all = rows
            .gather_mm(&w, pick)?
            .reshape([experts.shape(), &[k]].concat())?;
        let all = where_(&valid.expand_dims(-1)?, &all, &all.zeros_like()?)?;
        let all = match self.slots {
            Some(_) => all.astype(Dtype::Float32)?.sum(-2)?,
            None => all,
        };
        all.astype(x.dtype())
    }

    /// The inputs that have derivatives: x, the residual and the bias.
    fn smooth(&self) -> SmallVec<[usize; 3]> {
        let mut all = smallvec![0];
        if self.then.residual {
            all.push(1);
        }
        if self.then.bias {
            all.push(1 + usize::from(self.then.residual) + usize::from(self.then.experts));
        }
        all
    }

    /// The composite as a function of those inputs.
    fn of_smooth<'a>(&'a self, all: &'a [Array]) -> impl Fn(&[Array]) -> Result<Vec<Array>> + 'a {
        move |some| {
            let mut inputs = all.to_vec();
            for (i, a) in self.smooth().into_iter().zip(some) {
                inputs[i] = a.clone();
            }
            Ok(vec![self.composite(&inputs)?])
        }
    }
}

impl Rules for Product {
    fn name(&self) -> &str {
        "quantized_matmul"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let all: Vec<Array> = inputs.iter().map(|&a| a.clone()).collect();
        Ok(vec![launch::launch(self, &all)?])
    }

    #[track_caller]
    fn vjp(&self, primals: &[Array], cotangents: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let mut gradients = primals
            .iter()
            .map(Array::zeros_like)
            .collect::<Result<Vec<_>>>()?;
        if self.is_plain() {
            gradients[0] = self.back(&self.inputs(primals), &cotangents[0])?;
            return Ok(gradients);
        }
        let those = self.smooth();
        let some: Vec<&Array> = those.iter().map(|&i| &primals[i]).collect();
        let (_, found) = crate::vjp(self.of_smooth(primals), some, cotangents)?;
        for (i, gradient) in those.into_iter().zip(found) {
            gradients[i] = gradient;
        }
        Ok(gradients)
    }

    #[track_caller]
    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let inputs = self.inputs(primals);
        if self.is_plain() {
            return Ok(vec![match tangents[0] {
                // Rounding has no part in a derivative.
                Some(t) => Product {
                    activations: Activations::Float,
                    ..self.clone()
                }
                .plain(0, t, &inputs)?,
                None => Array::zeros(self.result(inputs.x), inputs.x.dtype())?,
            }]);
        }
        let those = self.smooth();
        let some: Vec<&Array> = those.iter().map(|&i| &primals[i]).collect();
        let along = those
            .iter()
            .map(|&i| tangents[i].map_or_else(|| primals[i].zeros_like(), |t| Ok(t.clone())))
            .collect::<Result<Vec<_>>>()?;
        Ok(crate::jvp(self.of_smooth(primals), some, along)?.1)
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        // Those with an element for each row.
        let rows = 1 + usize::from(self.then.residual) + usize::from(self.then.experts);
        if axes[rows..].iter().all(Option::is_none) {
            let all = repeated(rows, inputs, axes)?;
            return apply(self, &all.iter().collect::<Vec<_>>());
        }
        each(inputs, axes, |one| apply(self, one))
    }
}
