//! What a module is: something that shows its parameters by name.

use std::collections::BTreeMap;

use super::counter::Counter;
use super::linear::Linear;
use super::weight::Weight;
use crate::Array;

/// A part of a model: parameters with names, which stand in a tree.
///
/// `#[derive(Clone, Module)]` makes a struct one, by the names of its fields; an enum is the tree of its present variant. A field
/// has to be a module: [`Param`](super::Param), [`Buffer`](super::Buffer), a layer, another such struct; `Vec`, `Option`, `Box`,
/// arrays, maps by name and tuples of those; numbers, bools and texts, which have no parameters. `#[module(skip)]` leaves a field
/// out, `#[module(flatten)]` gives the names below it to the struct itself, `#[module(rename = "name")]` changes its name.
///
/// The full name of a parameter is its path: `layers.0.attention.q.weight`. What can be done with all of them is in
/// [`ModuleExt`](super::ModuleExt).
///
/// ```
/// use zmlx::nn::{self, Module, ModuleExt};
///
/// #[derive(Clone, Module)]
/// struct Net {
///     layers: Vec<nn::Linear>,
///     norm: nn::RmsNorm,
///     width: i32,
/// }
///
/// # fn main() -> zmlx::Result<()> {
/// let mut init = nn::Init::seed(7);
/// let layers = vec![nn::Linear::new(4, 8, &mut init)?, nn::Linear::new(8, 4, &mut init)?];
/// let net = Net { layers, norm: nn::RmsNorm::new(4, &init)?, width: 4 };
/// let names: Vec<String> = net.parameters().into_names().collect();
/// assert_eq!(names, ["layers.0.bias", "layers.0.weight", "layers.1.bias", "layers.1.weight", "norm.weight"]);
/// assert_eq!(net.size(), 4 * 8 + 8 + 8 * 4 + 4 + 4);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a module",
    note = "an array that is trained is an `nn::Param`, one that is only kept an `nn::Buffer`; a struct derives it: \
            `#[derive(Clone, Module)]`; a field that has no parameters is left out by `#[module(skip)]`"
)]
pub trait Module {
    /// Shows the arrays below this module, in the order of fields.
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>);

    /// The same, to change them.
    fn visit_mut(&mut self, to: &mut VisitMut<'_>);
}

/// An array of a module.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    /// Its values.
    pub value: &'a Array,
    /// Whether training changes it: false for a frozen parameter and for a buffer.
    pub trained: bool,
}

/// What a walk that may change a module comes to. Modules that have a node of their own show it before their fields.
#[derive(Debug)]
#[non_exhaustive]
pub enum Node<'a> {
    /// An array; `trained` where it is a parameter, which may be frozen.
    Leaf {
        /// Its values.
        value: &'a mut Array,
        /// Whether training changes it; none for a buffer, which training never changes.
        trained: Option<&'a mut bool>,
    },
    /// A matrix that may be quantized. Its arrays follow.
    Weight(&'a mut Weight),
    /// A linear layer. Its weight follows.
    Linear(&'a mut Linear),
    /// A number of steps.
    Counter(&'a mut Counter),
    /// Whether a layer that tells training from inference is trained.
    Training(&'a mut bool),
}

/// A walk over a module; made by [`ModuleExt::each`](super::ModuleExt::each).
///
/// A module that is written by hand shows its parts to it:
///
/// ```
/// use zmlx::{Array, nn::{Module, ModuleExt, Node, RmsNorm, Visit, VisitMut}};
///
/// /// An array that is a module by itself: its name is that of the field that holds it.
/// struct Scale(Array, bool);
///
/// impl Module for Scale {
///     fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
///         to.leaf(&self.0, self.1);
///     }
///     fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
///         to.node(Node::Leaf { value: &mut self.0, trained: Some(&mut self.1) });
///     }
/// }
///
/// struct Layer { scale: Scale, offset: Array, seen: Array, norm: RmsNorm }
///
/// impl Module for Layer {
///     fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
///         to.field("scale", &self.scale);
///         to.trained("offset", &self.offset);
///         to.buffer("seen", &self.seen);
///         to.flat(&self.norm);
///     }
///     fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
///         to.field("scale", &mut self.scale);
///         to.within("offset", Node::Leaf { value: &mut self.offset, trained: Some(&mut true) });
///         to.buffer("seen", &mut self.seen);
///         to.flat(&mut self.norm);
///     }
/// }
///
/// let norm = RmsNorm::from_weight(1.0.into());
/// let layer = Layer { scale: Scale(2.0.into(), true), offset: 0.0.into(), seen: 0.into(), norm };
/// let names: Vec<String> = layer.parameters().into_names().collect();
/// assert_eq!(names, ["offset", "scale", "seen", "weight"]);
/// assert_eq!(layer.trained().into_names().collect::<Vec<_>>(), ["offset", "scale", "weight"]);
/// ```
pub struct Visit<'a, 'v> {
    path: String,
    each: &'v mut dyn FnMut(&str, Leaf<'a>),
}

/// A walk that may change what it comes to; made by [`ModuleExt::each_mut`](super::ModuleExt::each_mut).
pub struct VisitMut<'v> {
    path: String,
    each: &'v mut dyn FnMut(&str, Node<'_>),
}

/// Adds a name to a path for as long as `below` runs.
fn within<T>(
    walk: &mut T,
    path: fn(&mut T) -> &mut String,
    name: &str,
    below: impl FnOnce(&mut T),
) {
    let before = path(walk).len();
    if before > 0 {
        path(walk).push('.');
    }
    path(walk).push_str(name);
    below(walk);
    path(walk).truncate(before);
}

impl<'a, 'v> Visit<'a, 'v> {
    pub(super) fn new(each: &'v mut dyn FnMut(&str, Leaf<'a>)) -> Self {
        let path = String::new();
        Visit { path, each }
    }

    /// Goes into a field.
    pub fn field(&mut self, name: &str, module: &'a (impl Module + ?Sized)) {
        within(self, |w| &mut w.path, name, |w| module.visit(w));
    }

    /// Goes into a field whose names are those of the module itself.
    pub fn flat(&mut self, module: &'a (impl Module + ?Sized)) {
        module.visit(self);
    }

    /// Shows an array, under the name of the path so far.
    pub fn leaf(&mut self, value: &'a Array, trained: bool) {
        (self.each)(&self.path, Leaf { value, trained });
    }

    /// Shows an array that is no field of its own and is not trained.
    pub fn buffer(&mut self, name: &str, value: &'a Array) {
        within(self, |w| &mut w.path, name, |w| w.leaf(value, false));
    }

    /// Shows an array that is no field of its own and is trained.
    pub fn trained(&mut self, name: &str, value: &'a Array) {
        within(self, |w| &mut w.path, name, |w| w.leaf(value, true));
    }
}

impl<'v> VisitMut<'v> {
    pub(super) fn new(each: &'v mut dyn FnMut(&str, Node<'_>)) -> Self {
        let path = String::new();
        VisitMut { path, each }
    }

    /// Goes into a field.
    pub fn field(&mut self, name: &str, module: &mut (impl Module + ?Sized)) {
        within(self, |w| &mut w.path, name, |w| module.visit_mut(w));
    }

    /// Goes into a field whose names are those of the module itself.
    pub fn flat(&mut self, module: &mut (impl Module + ?Sized)) {
        module.visit_mut(self);
    }

    /// Shows an array or another node, under the name of the path so far.
    pub fn node(&mut self, node: Node<'_>) {
        (self.each)(&self.path, node);
    }

    /// Shows a node that is no field of its own.
    pub fn within(&mut self, name: &str, node: Node<'_>) {
        within(self, |w| &mut w.path, name, |w| w.node(node));
    }

    /// Shows an array that is no field of its own and is not trained.
    pub fn buffer(&mut self, name: &str, value: &mut Array) {
        let trained = None;
        self.within(name, Node::Leaf { value, trained });
    }
}

/// What has no parameters.
macro_rules! no_parameters {
    ($($ty:ty),* $(,)?) => {$(
        impl $crate::nn::Module for $ty {
            fn visit<'a>(&'a self, _to: &mut $crate::nn::Visit<'a, '_>) {}
            fn visit_mut(&mut self, _to: &mut $crate::nn::VisitMut<'_>) {}
        }
    )*};
}
pub(super) use no_parameters;

no_parameters!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    usize,
    i8,
    i16,
    i32,
    i64,
    isize,
    f32,
    f64,
    String,
    &'static str,
    crate::Dtype
);

/// What passes a walk on.
macro_rules! through {
    ($self:ident, $to:ident: $([$($generics:tt)*] $ty:ty => $shared:expr, $changing:expr;)*) => {$(
        impl<$($generics)*> Module for $ty {
            fn visit<'a>(&'a $self, $to: &mut Visit<'a, '_>) {
                $shared
            }
            fn visit_mut(&mut $self, $to: &mut VisitMut<'_>) {
                $changing
            }
        }
    )*};
}
through! { self, to:
    [M: Module + ?Sized] Box<M> => (**self).visit(to), (**self).visit_mut(to);
    [M: Module] Option<M> => self.iter().for_each(|m| m.visit(to)), self.iter_mut().for_each(|m| m.visit_mut(to));
    [M: Module] Vec<M> => self.as_slice().visit(to), self.as_mut_slice().visit_mut(to);
    [M: Module, const N: usize] [M; N] => self.as_slice().visit(to), self.as_mut_slice().visit_mut(to);
    [M: Module] [M] =>
        self.iter().enumerate().for_each(|(i, m)| to.field(&i.to_string(), m)),
        self.iter_mut().enumerate().for_each(|(i, m)| to.field(&i.to_string(), m));
    [M: Module] BTreeMap<String, M> =>
        self.iter().for_each(|(name, m)| to.field(name, m)),
        self.iter_mut().for_each(|(name, m)| to.field(name, m));
    [A: Module, B: Module] (A, B) =>
        { to.field("0", &self.0); to.field("1", &self.1) },
        { to.field("0", &mut self.0); to.field("1", &mut self.1) };
    [A: Module, B: Module, C: Module] (A, B, C) =>
        { to.field("0", &self.0); to.field("1", &self.1); to.field("2", &self.2) },
        { to.field("0", &mut self.0); to.field("1", &mut self.1); to.field("2", &mut self.2) };
}
