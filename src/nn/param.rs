//! Arrays as fields of modules.

use std::fmt;
use std::ops::Deref;

use super::module::{Module, Node, Visit, VisitMut};
use crate::Array;

/// An array that training changes, unless it is frozen. It reads like the array that it holds.
///
/// ```
/// use zmlx::nn::Param;
/// # fn main() -> zmlx::Result<()> {
/// let weight = Param::new(zmlx::Array::ones((2, 3), zmlx::Dtype::Float32)?);
/// assert_eq!(weight.shape(), [2, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Param {
    value: Array,
    trained: bool,
}

impl Param {
    /// A parameter with these values, which is trained.
    pub fn new(value: Array) -> Self {
        let trained = true;
        Param { value, trained }
    }

    /// Other values in place of those it has.
    ///
    /// ```
    /// use zmlx::{Array, nn};
    /// let mut weight = nn::Param::new(Array::from(1.0f32));
    /// weight.set(Array::from(2.0f32));
    /// assert_eq!(weight.item::<f32>()?, 2.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn set(&mut self, value: Array) {
        self.value = value;
    }

    /// Whether training changes it.
    pub fn is_trained(&self) -> bool {
        self.trained
    }
}

/// An array that a model keeps with its parameters and training leaves alone: statistics, tables.
#[derive(Clone)]
pub struct Buffer {
    value: Array,
}

impl Buffer {
    /// A buffer with these values.
    pub fn new(value: Array) -> Self {
        Buffer { value }
    }

    /// Other values in place of those it has.
    ///
    /// ```
    /// use zmlx::{Array, nn};
    /// let mut count = nn::Buffer::new(Array::from(0));
    /// count.set(count.add(1)?);
    /// assert_eq!(count.item::<i32>()?, 1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn set(&mut self, value: Array) {
        self.value = value;
    }
}

macro_rules! holds_an_array {
    ($($ty:ident)*) => {$(
        impl Deref for $ty {
            type Target = Array;
            fn deref(&self) -> &Array {
                &self.value
            }
        }
        impl AsRef<Array> for $ty {
            fn as_ref(&self) -> &Array {
                &self.value
            }
        }
        impl From<Array> for $ty {
            fn from(value: Array) -> Self {
                $ty::new(value)
            }
        }
        impl fmt::Debug for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($ty), "({}, {:?})"), self.value.dtype(), self.value.shape())
            }
        }
    )*};
}
holds_an_array!(Param Buffer);

impl Module for Param {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        to.leaf(&self.value, self.trained);
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        let Param { value, trained } = self;
        let trained = Some(trained);
        to.node(Node::Leaf { value, trained });
    }
}

impl Module for Buffer {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        to.leaf(&self.value, false);
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        let (value, trained) = (&mut self.value, None);
        to.node(Node::Leaf { value, trained });
    }
}
