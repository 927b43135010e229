//! What the list of all kernels is made of. Each family brings its own rows: see `TABLE` in its file.

use crate::{Array, Dtype, Result, random};

/// A function of arrays.
pub type Function = fn(&[Array]) -> Result<Vec<Array>>;

/// A kernel of the catalog.
///
/// ```
/// # use zmlx::Dtype;
/// let entry = zmlx::kernels::catalog().find(|e| e.name == "activations::silu").expect("is there");
/// assert_eq!(entry.width(7), 7);
/// let inputs = entry.inputs(&[2], 7, Dtype::Float32, 1)?;
/// assert_eq!(inputs[0].shape(), [2, 7]);
/// assert_eq!((entry.call)(&inputs)?[0].shape(), [2, 7]);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub struct Entry {
    /// Path of the function below `zmlx::kernels`.
    pub name: &'static str,
    /// What it computes.
    pub formula: &'static str,
    /// The file below `kernels/` with its Metal functions.
    pub file: &'static str,
    /// What it takes.
    pub inputs: &'static [Input],
    /// Calls it, with some choice of its other arguments.
    pub call: Function,
    /// The same by MLX's operations in the inputs' dtype. Outputs beyond those of `call` are
    /// no results.
    pub composite: Function,
    /// MLX's own operation, where there is one.
    pub mlx: Option<Function>,
    /// The fewest bytes read and written, for rows of a width and a dtype's size.
    pub bytes: fn(rows: usize, width: usize, size: usize) -> usize,
    /// By how many roundings of float32, relative to the largest value, a result in rows of a
    /// width may be off: 16 unless there is a reason.
    pub roundings: fn(width: usize) -> f64,
}

/// [`Entry::roundings`] of a kernel that adds a row's elements in many sums side by side.
pub(super) fn few_roundings(_width: usize) -> f64 {
    16.0
}

/// An input of a kernel over rows of a width D.
pub struct Input {
    /// Name of the argument.
    pub name: &'static str,
    /// What it is like.
    pub kind: Kind,
}

/// Shape and values of an input.
///
/// ```
/// use zmlx::kernels::Kind;
/// assert_eq!(Kind::Rows.shape(), "(..., D)");
/// assert!(Kind::Rows.follows_rows() && Kind::Rows.differentiable() && !Kind::Rows.is_shared());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// (..., D), normal.
    Rows,
    /// The same; the function also takes integers and truth values.
    Numbers,
    /// (..., 2 D), normal.
    DoubleRows,
    /// (D,), normal, shared by all rows.
    Weight,
    /// (2 D,), normal, shared by all rows.
    DoubleWeight,
    /// One number, shared by all rows.
    Scalar,
    /// (...), int32 below D.
    Targets,
    /// (...), normal, one number a row.
    Scalars,
    /// What broadcasts to (..., D), any dtype: other than 0 where an element counts.
    Mask,
    /// (S, D / 2), in [-1, 1], where S is the axis before the last of the rows.
    Table,
    /// Of a shape that does not follow the rows.
    Other(&'static Other),
    /// (..., D), above 0.
    Squares,
    /// (..., D), unsigned integers of 8 bits.
    Codes,
    /// (..., D), normal, also integers, of which some are chosen.
    Ordered,
    /// The same where only their places are told, which have no derivatives.
    Choices,
    /// The same as zeros and others, without derivatives; D is divisible by 8.
    Truths,
    /// (..., D), normal, of which places are told, without derivatives.
    Logits,
    /// (), one number for all rows.
    Scale,
    /// One number for each 128 elements of all rows.
    Scales,
    /// (N, H, W, C): the rows' elements as an image.
    Image,
    /// (3, 3, C), for an image.
    Taps,
}

/// An input that is like no row, as benchmarks make it.
#[derive(Debug, PartialEq, Eq)]
pub struct Other {
    /// What the documentation says of the shape.
    pub shape: &'static str,
    /// The axes.
    pub axes: &'static [Axes],
    /// What the elements are.
    pub values: Values,
}

/// Elements of such an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Floats, normal.
    Normal,
    /// Integers from 0 to below this one.
    Below(i32),
    /// Numbers of rows.
    Rows,
}

/// Axes of such an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axes {
    /// All leading axes of the rows.
    Leading,
    /// So many for each row.
    Rows(i32),
    /// D.
    Width,
    /// D of a head, a multiple of 8 up to 256.
    Head,
    /// D / 2.
    Half,
    /// A size that is always the same.
    Size(i32),
}

impl Other {
    fn shape(&self, leading: &[i32], width: i32) -> Vec<i32> {
        let rows = leading.iter().product::<i32>();
        let axes = self.axes.iter().flat_map(|a| match *a {
            Axes::Leading => leading.to_vec(),
            Axes::Rows(each) => vec![each * rows],
            Axes::Width | Axes::Head => vec![width],
            Axes::Half => vec![width / 2],
            Axes::Size(n) => vec![n],
        });
        axes.collect()
    }
}

impl Kind {
    /// What the documentation says of the shape.
    pub fn shape(self) -> &'static str {
        match self {
            Kind::Rows => "(..., D)",
            Kind::Numbers => "(..., D), also integers",
            Kind::Mask => "broadcasts to (..., D), any dtype",
            Kind::DoubleRows => "(..., 2 D)",
            Kind::Weight => "(D,)",
            Kind::DoubleWeight => "(2 D,)",
            Kind::Scalar => "one number",
            Kind::Targets => "(...), integers",
            Kind::Scalars => "(...)",
            Kind::Table => "(S, D / 2)",
            Kind::Other(other) => other.shape,
            Kind::Squares => "(..., D), not negative",
            Kind::Codes => "(..., D), integers",
            Kind::Ordered | Kind::Choices | Kind::Truths => "(..., D), also integers",
            Kind::Logits => "(..., D)",
            Kind::Scale => "one number",
            Kind::Scales => "one number a block",
            Kind::Image => "(N, H, W, C)",
            Kind::Taps => "(3, 3, C)",
        }
    }

    /// Whether the input follows the rows, so that what holds for functions over rows can be tested with it. Functions of
    /// other inputs have tests of their own.
    pub fn follows_rows(self) -> bool {
        use Kind::{Choices, Codes, Image, Logits, Ordered, Other, Scale, Scales, Taps, Truths};
        let chosen = matches!(self, Ordered | Choices | Truths | Logits);
        !chosen && !matches!(self, Codes | Scale | Scales | Image | Taps | Other(_))
    }

    /// Whether there is a gradient with respect to it.
    pub fn differentiable(self) -> bool {
        match self {
            Kind::Targets
            | Kind::Mask
            | Kind::Codes
            | Kind::Choices
            | Kind::Truths
            | Kind::Logits => false,
            Kind::Other(other) => other.values == Values::Normal,
            _ => true,
        }
    }

    /// Whether all rows, or all batches of them, have the same one.
    pub fn is_shared(self) -> bool {
        matches!(
            self,
            Kind::Weight | Kind::DoubleWeight | Kind::Scalar | Kind::Table
        )
    }
}

/// An input that does not follow the rows.
pub(super) const fn other(name: &'static str, other: &'static Other) -> Input {
    input(name, Kind::Other(other))
}

/// Floats of such a shape.
pub(super) const fn floats(shape: &'static str, axes: &'static [Axes]) -> Other {
    Other {
        shape,
        axes,
        values: Values::Normal,
    }
}

/// Integers of such a shape.
pub(super) const fn integers(shape: &'static str, axes: &'static [Axes], below: i32) -> Other {
    Other {
        shape,
        axes,
        values: Values::Below(below),
    }
}

/// Numbers of rows, of such a shape.
pub(super) const fn row_numbers(shape: &'static str, axes: &'static [Axes]) -> Other {
    Other {
        shape,
        axes,
        values: Values::Rows,
    }
}

/// An input by the name of its argument.
pub(super) const fn input(name: &'static str, kind: Kind) -> Input {
    Input { name, kind }
}

impl Entry {
    /// The nearest width, from this one on, that the function takes: pairs and bytes of bits want whole ones. Heads have 256 at most.
    pub fn width(&self, width: i32) -> i32 {
        let head =
            |input: &Input| matches!(input.kind, Kind::Other(o) if o.axes.contains(&Axes::Head));
        if self.inputs.iter().any(head) {
            return (width + 7).min(256) / 8 * 8;
        }
        let whole = |input: &Input| match input.kind {
            Kind::Table => 2,
            Kind::Truths => 8,
            _ => 1,
        };
        let whole = self.inputs.iter().map(whole).max().unwrap_or(1);
        (width + whole - 1) / whole * whole
    }

    /// Whether all its inputs follow the rows: see [`Kind::follows_rows`].
    pub fn follows_rows(&self) -> bool {
        self.inputs.iter().all(|i| i.kind.follows_rows())
    }

    /// Random inputs for rows of `width` with leading axes `leading`.
    ///
    /// # Errors
    /// Those of the operations that make them.
    pub fn inputs(
        &self,
        leading: &[i32],
        width: i32,
        dtype: Dtype,
        seed: u64,
    ) -> Result<Vec<Array>> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (i, input) in self.inputs.iter().enumerate() {
            let key = random::key(seed.wrapping_mul(64).wrapping_add(i as u64))?;
            let draw = random::with_key(&key);
            let rows = |last: i32| [leading, &[last]].concat();
            inputs.push(match input.kind {
                Kind::Rows
                | Kind::Numbers
                | Kind::Ordered
                | Kind::Choices
                | Kind::Truths
                | Kind::Logits => draw.normal(rows(width))?.astype(dtype)?,
                // Of three in four elements, and of the first of each row.
                Kind::Mask => {
                    let first = Array::arange(width)?.equal(0)?;
                    draw.bernoulli(0.75, rows(width))?.logical_or(&first)?
                }
                Kind::DoubleRows => draw.normal(rows(2 * width))?.astype(dtype)?,
                Kind::Weight => draw.normal(width)?.astype(dtype)?,
                Kind::DoubleWeight => draw.normal(2 * width)?.astype(dtype)?,
                Kind::Scalar => draw.normal(())?.astype(dtype)?,
                Kind::Targets => draw.randint(0, width.max(1), leading)?,
                Kind::Scalars => draw.normal(leading)?.astype(dtype)?,
                Kind::Table => {
                    let steps = leading.last().copied().unwrap_or(1);
                    draw.normal((steps, width / 2))?.sin()?.astype(dtype)?
                }
                Kind::Other(other) => {
                    let shape = other.shape(leading, width);
                    let rows = leading.iter().product::<i32>();
                    match other.values {
                        Values::Normal => draw.normal(shape)?.astype(dtype)?,
                        Values::Below(below) => draw.randint(0, below, shape)?,
                        Values::Rows => draw.randint(0, rows.max(1), shape)?,
                    }
                }
                Kind::Squares => {
                    let squares = draw.normal(rows(width))?.square()?;
                    (squares + 0.25)?.astype(dtype)?
                }
                Kind::Codes => draw.randint(0, 256, rows(width))?.astype(Dtype::Uint8)?,
                Kind::Scale => draw.normal(())?.astype(dtype)?,
                Kind::Scales => {
                    let elements: i32 = rows(width).iter().product();
                    draw.normal((elements + 127) / 128)?.astype(dtype)?
                }
                Kind::Image => {
                    let [height, width, channels] = image(leading, width);
                    let image = draw.normal((1, height, width, channels))?;
                    image.astype(dtype)?
                }
                Kind::Taps => {
                    let [.., channels] = image(leading, width);
                    draw.normal((3, 3, channels))?.astype(dtype)?
                }
            });
        }
        Ok(inputs)
    }
}

/// Height, width and channels of an image that has as many elements as the rows.
fn image(leading: &[i32], width: i32) -> [i32; 3] {
    let channels = if width % 32 == 0 { 32 } else { 1 };
    [leading.iter().product(), width / channels, channels]
}
