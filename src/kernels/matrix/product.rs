//! The product as an operation with derivatives.

use super::launch::{self, End};
use crate::kernels::arguments::{check_float, rows};
use crate::transforms::rules::{Rules, apply, only, repeated};
use crate::{Array, Dtype, Error, Result};

/// Who computes a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// The one that was measured to be faster: MLX on a GPU, the tile kernel on a CPU.
    #[default]
    Measured,
    /// MLX's operation.
    Mlx,
    /// The tile kernel.
    Tiles,
}

/// A call of [`product`](super::product()), ended by [`call`](Product::call).
#[must_use = "nothing is computed before `call`"]
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    a: &'a Array,
    b: &'a Array,
    turned: Turned,
    way: Way,
}

/// Which factors are given as their transposes.
pub(super) type Turned = [bool; 2];

impl<'a> Product<'a> {
    pub(super) fn new(a: &'a Array, b: &'a Array) -> Self {
        Product {
            a,
            b,
            turned: [false; 2],
            way: Way::Measured,
        }
    }

    /// Whether `a` is given as (..., K, M), and `b` as (..., N, K).
    pub fn transposed(mut self, a: bool, b: bool) -> Self {
        self.turned = [a, b];
        self
    }

    /// Who computes it, derivatives included.
    pub fn way(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// The product.
    ///
    /// # Errors
    /// Those of [`matmul`](super::matmul).
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let (a, b) = (self.a, self.b);
        check_float("a", a)?;
        check_float("b", b)?;
        let [m, k] = last_two("a", a, self.turned[0])?;
        let [depth, n] = last_two("b", b, self.turned[1])?;
        if k != depth {
            return Err(Error::shape(format!(
                "`b`: expected {k} rows, as `a` has columns, got {depth} (shapes {:?} and {:?})",
                a.shape(),
                b.shape()
            )));
        }
        let batch = batches(a, b)?;
        let mlx = match self.way {
            Way::Mlx => true,
            Way::Tiles => false,
            Way::Measured => crate::stream::current().gpu,
        };
        // Rows of all batches are one matrix's where they meet the same factor.
        if b.ndim() == 2 && a.ndim() > 2 && !self.turned[0] {
            let rows = rows("a", &[batch.as_slice(), &[m]].concat())?;
            let a = a.reshape((rows, k))?;
            let flat = match mlx {
                true => by_mlx(&a, b, self.turned)?,
                false => multiply(&a, b, self.turned)?,
            };
            return flat.reshape([batch.as_slice(), &[m, n]].concat());
        }
        if mlx {
            return by_mlx(a, b, self.turned);
        }
        let spread = |x: &Array| {
            let shape = [batch.as_slice(), &x.shape()[x.ndim() - 2..]].concat();
            match x.shape() == shape {
                true => Ok(x.clone()),
                false => x.broadcast_to(shape),
            }
        };
        multiply(&spread(a)?, &spread(b)?, self.turned)
    }
}

#[track_caller]
fn by_mlx(a: &Array, b: &Array, turned: Turned) -> Result<Array> {
    let turn = |x: &Array, turned| match turned {
        true => x.swapaxes(-1, -2),
        false => Ok(x.clone()),
    };
    turn(a, turned[0])?.matmul(&turn(b, turned[1])?)
}

/// Rows and columns of a factor as it enters the product.
#[track_caller]
fn last_two(name: &str, x: &Array, turned: bool) -> Result<[i32; 2]> {
    match *x.shape() {
        [.., r, c] => Ok(if turned { [c, r] } else { [r, c] }),
        _ => Err(Error::shape(format!(
            "`{name}`: expected an array with at least two axes, got shape {:?}",
            x.shape()
        ))),
    }
}

/// The axes before the last two, broadcast to each other.
#[track_caller]
fn batches(a: &Array, b: &Array) -> Result<Vec<i32>> {
    let of = |x: &Array| x.shape()[..x.ndim() - 2].to_vec();
    let (left, right) = (of(a), of(b));
    let count = left.len().max(right.len());
    let at = |axes: &[i32], i: usize| match (i + axes.len()).checked_sub(count) {
        Some(i) => axes[i],
        None => 1,
    };
    let mut all = Vec::with_capacity(count);
    for i in 0..count {
        all.push(match (at(&left, i), at(&right, i)) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => {
                return Err(Error::shape(format!(
                    "`b`: expected leading axes that broadcast with {left:?}, got {right:?}"
                )));
            }
        });
    }
    Ok(all)
}

/// The dtype of a product.
pub(super) fn widest(a: Dtype, b: Dtype) -> Dtype {
    if a == b { a } else { Dtype::Float32 }
}

/// The product of factors with the same leading axes.
#[track_caller]
fn multiply(a: &Array, b: &Array, turned: Turned) -> Result<Array> {
    only(apply(&Multiply { turned }, &[a, b])?, "outputs")
}

#[derive(Clone)]
struct Multiply {
    turned: Turned,
}

impl Rules for Multiply {
    fn name(&self) -> &str {
        "matmul"
    }

    fn forward(&self, p: &[&Array]) -> Result<Vec<Array>> {
        let dtype = widest(p[0].dtype(), p[1].dtype());
        Ok(vec![launch::product(
            p[0],
            p[1],
            self.turned,
            End::NONE,
            dtype,
        )?])
    }

    fn vjp(&self, p: &[Array], g: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let [ta, tb] = self.turned;
        // g b^T, and a^T g; of a factor that is given as its transpose, the transposes of those.
        let a = match ta {
            false => multiply(&g[0], &p[1], [false, !tb])?,
            true => multiply(&p[1], &g[0], [tb, true])?,
        };
        let b = match tb {
            false => multiply(&p[0], &g[0], [!ta, false])?,
            true => multiply(&g[0], &p[0], [true, ta])?,
        };
        Ok(vec![a.astype(p[0].dtype())?, b.astype(p[1].dtype())?])
    }

    fn jvp(&self, p: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let dtype = widest(p[0].dtype(), p[1].dtype());
        let part = |a: Option<&Array>, b: Option<&Array>| match (a, b) {
            (Some(a), Some(b)) => multiply(a, b, self.turned).map(Some),
            _ => Ok(None),
        };
        let of_a = part(tangents[0], Some(&p[1]))?;
        let of_b = part(Some(&p[0]), tangents[1])?;
        Ok(vec![match (of_a, of_b) {
            (Some(a), Some(b)) => a.add(&b)?.astype(dtype)?,
            (Some(t), None) | (None, Some(t)) => t.astype(dtype)?,
            (None, None) => multiply(&p[0], &p[1], self.turned)?.zeros_like()?,
        }])
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        let all = repeated(inputs.len(), inputs, axes)?;
        let all: Vec<&Array> = all.iter().collect();
        apply(self, &all)
    }
}
