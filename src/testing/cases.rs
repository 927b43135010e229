//! What a comparison runs over: shapes, dtypes, values, layouts.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::report::Tolerance;
use super::values::Values;
use crate::{Array, Dtype, IntoShape, Result};

/// One shape in a tuple of shapes; like [`IntoShape`] without bare numbers, which would make
/// `shapes((2, 3))` mean two shapes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shape among several",
    note = "a shape of one dimension is `(n,)`; one shape alone is `[(m, n)]`"
)]
pub trait OneShape: IntoShape {}

impl OneShape for () {}
impl OneShape for Vec<i32> {}
impl<D, const N: usize> OneShape for [D; N] where [D; N]: IntoShape {}
impl<'a, D> OneShape for &'a [D] where &'a [D]: IntoShape {}

/// Several shapes: a tuple of shapes, which may differ in length, or an array or vector of
/// shapes of one type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not several shapes",
    note = "a tuple, array or vector of shapes: `((2, 3), (64,))`; one shape alone is `[(2, 3)]`"
)]
pub trait IntoShapes {
    /// The shapes in order.
    #[track_caller]
    fn into_shapes(self) -> Result<Vec<Vec<i32>>>;
}

impl<S: IntoShape, const N: usize> IntoShapes for [S; N] {
    #[track_caller]
    fn into_shapes(self) -> Result<Vec<Vec<i32>>> {
        Vec::from(self).into_shapes()
    }
}

impl<S: IntoShape + Clone> IntoShapes for &[S] {
    #[track_caller]
    fn into_shapes(self) -> Result<Vec<Vec<i32>>> {
        self.to_vec().into_shapes()
    }
}

impl<S: IntoShape> IntoShapes for Vec<S> {
    #[track_caller]
    fn into_shapes(self) -> Result<Vec<Vec<i32>>> {
        let mut shapes = Vec::with_capacity(self.len());
        for shape in self {
            shapes.push(shape.into_shape()?);
        }
        Ok(shapes)
    }
}

macro_rules! tuples {
    ($(($($name:ident),+))*) => {$(
        impl<$($name),+> OneShape for ($($name,)+) where ($($name,)+): IntoShape {}
        #[allow(non_snake_case, reason = "type parameters name the fields")]
        impl<$($name: OneShape),+> IntoShapes for ($($name,)+) {
            #[track_caller]
            fn into_shapes(self) -> Result<Vec<Vec<i32>>> {
                let ($($name,)+) = self;
                Ok(vec![$($name.into_shape()?),+])
            }
        }
    )*};
}

tuples! {
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
    (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
}

/// The arrays that a function under comparison takes: one [`Array`], or `[Array; N]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a function under comparison takes",
    note = "it takes `&Array` or `&[Array; N]`"
)]
pub trait Inputs: 'static {
    /// How many.
    const COUNT: usize;

    /// The list as this type; `None` when its length is another.
    fn view(list: &[Array]) -> Option<&Self>;
}

impl Inputs for Array {
    const COUNT: usize = 1;

    fn view(list: &[Array]) -> Option<&Self> {
        match list {
            [one] => Some(one),
            _ => None,
        }
    }
}

impl<const N: usize> Inputs for [Array; N] {
    const COUNT: usize = N;

    fn view(list: &[Array]) -> Option<&Self> {
        list.try_into().ok()
    }
}

/// What a function under comparison gives: an [`Array`], `[Array; N]`, a pair or a `Vec`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a function under comparison gives",
    note = "it gives an `Array`, `[Array; N]`, a pair of arrays or a `Vec<Array>`"
)]
pub trait Outputs {
    /// The arrays in order.
    fn list(self) -> Vec<Array>;
}

impl Outputs for Array {
    fn list(self) -> Vec<Array> {
        vec![self]
    }
}

impl Outputs for Vec<Array> {
    fn list(self) -> Vec<Array> {
        self
    }
}

impl Outputs for (Array, Array) {
    fn list(self) -> Vec<Array> {
        vec![self.0, self.1]
    }
}

impl<const N: usize> Outputs for [Array; N] {
    fn list(self) -> Vec<Array> {
        self.into()
    }
}

/// What is particular to one input.
#[derive(Clone, Debug, Default)]
pub(super) struct Particular {
    pub(super) values: Option<Values>,
    pub(super) dtype: Option<Dtype>,
    pub(super) constant: bool,
}

/// What [`assert_matches`](super::assert_matches) and
/// [`assert_gradient_matches`](super::assert_gradient_matches) run over; made by
/// [`shapes`](super::shapes).
///
/// Every shape is run with every dtype and every layout. `A` is what the functions take:
/// an [`Array`], or `[Array; N]` after [`inputs`](Self::inputs) or
/// [`input_shapes`](Self::input_shapes).
#[derive(Debug)]
#[must_use = "cases do nothing until they are given to an assertion"]
pub struct Cases<A: Inputs = Array> {
    /// The shapes of the inputs of each case.
    pub(super) shapes: Result<Vec<Vec<Vec<i32>>>>,
    pub(super) dtypes: Vec<Dtype>,
    pub(super) values: Values,
    pub(super) inputs: BTreeMap<usize, Particular>,
    pub(super) tolerances: Vec<(Dtype, Tolerance)>,
    pub(super) seed: Option<u64>,
    pub(super) strided: bool,
    pub(super) specials: bool,
    pub(super) deterministic: bool,
    pub(super) check_dtype: bool,
    pub(super) reference_as_given: bool,
    pub(super) differences: usize,
    takes: PhantomData<fn(&A)>,
}

#[track_caller]
pub(super) fn new(shapes: impl IntoShapes) -> Cases<Array> {
    let shapes = shapes.into_shapes();
    Cases {
        shapes: shapes.map(|all| all.into_iter().map(|one| vec![one]).collect()),
        dtypes: vec![Dtype::Float32],
        values: Values::Normal,
        inputs: BTreeMap::new(),
        tolerances: Vec::new(),
        seed: None,
        strided: false,
        specials: false,
        deterministic: true,
        check_dtype: true,
        reference_as_given: false,
        differences: 4,
        takes: PhantomData,
    }
}

impl Cases<Array> {
    /// The functions take `N` arrays, all of the case's shape: `|[a, b]| a.add(b)`.
    pub fn inputs<const N: usize>(self) -> Cases<[Array; N]> {
        self.input_shapes(|shape| std::array::from_fn(|_| shape.to_vec()))
    }

    /// The functions take several arrays, whose shapes follow from the case's shape.
    ///
    /// ```
    /// use zmlx::{fast, testing};
    /// # fn main() -> zmlx::Result<()> {
    /// // A matrix, and a vector as long as its rows.
    /// let cases = testing::shapes([(2, 64), (5, 100)])
    ///     .input_shapes(|s| [s.to_vec(), vec![s[1]]]);
    /// testing::assert_matches(
    ///     |[x, w]| fast::rms_norm(x, w, 1e-5),
    ///     |[x, w]| {
    ///         let mean = x.square()?.mean(zmlx::keepdims(-1))?;
    ///         x.multiply((mean + 1e-5)?.rsqrt()?)? * w
    ///     },
    ///     cases,
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn input_shapes<const N: usize>(
        self,
        of: impl Fn(&[i32]) -> [Vec<i32>; N],
    ) -> Cases<[Array; N]> {
        let each = |case: Vec<Vec<i32>>| match case.first() {
            Some(shape) => of(shape).into(),
            None => Vec::new(),
        };
        Cases {
            shapes: self.shapes.map(|all| all.into_iter().map(each).collect()),
            dtypes: self.dtypes,
            values: self.values,
            inputs: self.inputs,
            tolerances: self.tolerances,
            seed: self.seed,
            strided: self.strided,
            specials: self.specials,
            deterministic: self.deterministic,
            check_dtype: self.check_dtype,
            reference_as_given: self.reference_as_given,
            differences: self.differences,
            takes: PhantomData,
        }
    }
}

impl<A: Inputs> Cases<A> {
    /// The dtypes of the inputs. Default: float32.
    pub fn dtypes(mut self, dtypes: impl IntoIterator<Item = Dtype>) -> Self {
        self.dtypes = dtypes.into_iter().collect();
        self
    }

    /// What the inputs hold. Default: standard normal numbers.
    pub fn values(mut self, values: Values) -> Self {
        self.values = values;
        self
    }

    /// Uniform numbers in `[low, high)`; the same as `values(Values::Uniform(low, high))`.
    pub fn range(self, low: f64, high: f64) -> Self {
        self.values(Values::Uniform(low, high))
    }

    /// What input number `index` holds, if not the same as the others.
    pub fn input_values(mut self, index: usize, values: Values) -> Self {
        self.particular(index).values = Some(values);
        self
    }

    /// A dtype for input number `index` whatever the case's dtype is: indices, masks.
    pub fn input_dtype(mut self, index: usize, dtype: Dtype) -> Self {
        self.particular(index).dtype = Some(dtype);
        self
    }

    /// No gradient is taken with respect to input number `index`.
    pub fn constant(mut self, index: usize) -> Self {
        self.particular(index).constant = true;
        self
    }

    /// Outputs of `dtype` may differ from the reference by `atol + rtol * |reference|`.
    ///
    /// For the defaults see [the module](super). Given for a gradient too, it is taken as it is.
    pub fn tolerance(mut self, dtype: Dtype, rtol: f64, atol: f64) -> Self {
        self.tolerances.push((dtype, Tolerance { rtol, atol }));
        self
    }

    /// The seed of the inputs. Default: a fresh one, or `ZMLX_TEST_SEED`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Runs each case with transposed and sliced inputs too, of the same values.
    pub fn strided(mut self, yes: bool) -> Self {
        self.strided = yes;
        self
    }

    /// Puts NaN, both infinities, both zeros and the largest and smallest numbers of the dtype at
    /// some positions of float inputs. Not for gradients.
    pub fn specials(mut self, yes: bool) -> Self {
        self.specials = yes;
        self
    }

    /// Whether two runs must give the same bits. Default: yes.
    ///
    /// Sums by atomic additions do not on a GPU: MLX's gradient of [`take`](Array::take) and its kin.
    pub fn deterministic(mut self, yes: bool) -> Self {
        self.deterministic = yes;
        self
    }

    /// Whether the outputs must have the dtypes that the reference gives for the same inputs.
    /// Default: yes.
    pub fn check_dtype(mut self, yes: bool) -> Self {
        self.check_dtype = yes;
        self
    }

    /// Gives the reference the very arrays that the function gets, on the current stream,
    /// instead of float64 on the CPU. For references that know no float64, such as another kernel.
    pub fn reference_as_given(mut self, yes: bool) -> Self {
        self.reference_as_given = yes;
        self
    }

    /// At how many positions of each input the gradient is compared with central differences.
    /// Default: 4. Inputs of more than 65,536 elements are left out.
    pub fn differences(mut self, positions: usize) -> Self {
        self.differences = positions;
        self
    }

    fn particular(&mut self, index: usize) -> &mut Particular {
        self.inputs.entry(index).or_default()
    }

    /// The dtype of an input in a case of `dtype`.
    pub(super) fn dtype_of(&self, index: usize, dtype: Dtype) -> Dtype {
        let own = self.inputs.get(&index).and_then(|p| p.dtype);
        own.unwrap_or(dtype)
    }

    /// What an input holds.
    pub(super) fn values_of(&self, index: usize) -> Values {
        let own = self.inputs.get(&index).and_then(|p| p.values);
        own.unwrap_or(self.values)
    }

    /// Whether a gradient with respect to this input is wanted.
    pub(super) fn is_constant(&self, index: usize) -> bool {
        self.inputs.get(&index).is_some_and(|p| p.constant)
    }

    /// The tolerance for outputs of `dtype`; the default one times `factor`.
    pub(super) fn tolerance_of(&self, dtype: Dtype, factor: f64) -> Tolerance {
        let given = self.tolerances.iter().rev().find(|(d, _)| *d == dtype);
        given.map_or_else(|| Tolerance::of(dtype).times(factor), |(_, t)| *t)
    }
}
