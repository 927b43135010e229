//! Arrays by name, apart from a module: gradients, the state of an optimizer, what a file holds.

use std::collections::{BTreeMap, btree_map};
use std::ops::{Deref, DerefMut};

use super::module::{Module, Node, Visit, VisitMut};
use crate::{Array, ArrayMap, Error, Result};

/// Arrays by the names that a module gives them, in alphabetical order. It reads like the map that it holds, and is
/// itself a module of trained parameters, so gradients can be taken of a function of any tree. (It has no place to note that one is
/// frozen: [`freeze`](super::ModuleExt::freeze) finds none.)
///
/// ```
/// use zmlx::{Array, nn::{self, Tree}};
/// # fn main() -> zmlx::Result<()> {
/// let tree = Tree::from_iter([("a".to_owned(), Array::from(2.0f32)), ("b".to_owned(), Array::from(3.0f32))]);
/// let step = nn::value_and_grad(&tree, |t: &Tree, x: &Array| (t.get("a")? * t.get("b")?)?.multiply(x));
/// let (value, grads) = step(&tree, &10.0.into())?;
/// assert_eq!(value.item::<f32>()?, 60.0);
/// assert_eq!(grads.get("a")?.item::<f32>()?, 30.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tree {
    arrays: BTreeMap<String, Array>,
}

impl Tree {
    /// A tree without arrays.
    ///
    /// ```
    /// use zmlx::{Array, nn::Tree};
    /// let mut tree = Tree::new();
    /// tree.insert("w".to_owned(), Array::from(1.0f32));
    /// assert_eq!(tree.into_names().collect::<Vec<_>>(), ["w"]);
    /// ```
    pub fn new() -> Self {
        Tree::default()
    }

    /// The array called `name`.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is none.
    #[track_caller]
    pub fn get(&self, name: &str) -> Result<&Array> {
        match self.arrays.get(name) {
            Some(array) => Ok(array),
            None => Err(crate::error::no_array(name, self.arrays.keys())),
        }
    }

    /// The names alone, in order.
    pub fn into_names(self) -> impl Iterator<Item = String> {
        self.arrays.into_keys()
    }

    /// A tree of what `f` makes of each array.
    ///
    /// ```
    /// use zmlx::{Array, nn::Tree};
    /// let tree = Tree::from_iter([("w".to_owned(), Array::from(2.0f32))]);
    /// let doubled = tree.map(|_, x| x.multiply(2))?;
    /// assert_eq!(doubled.get("w")?.item::<f32>()?, 4.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn map(&self, mut f: impl FnMut(&str, &Array) -> Result<Array>) -> Result<Tree> {
        let arrays = self.arrays.iter();
        arrays
            .map(|(name, a)| Ok((name.clone(), f(name, a)?)))
            .collect()
    }

    /// A tree of what `f` makes of each array and that of the same name in `other`.
    ///
    /// ```
    /// use zmlx::{Array, nn::Tree};
    /// let tree = Tree::from_iter([("w".to_owned(), Array::from(2.0f32))]);
    /// let sum = tree.zip(&tree, |_, x, y| x.add(y))?;
    /// assert_eq!(sum.get("w")?.item::<f32>()?, 4.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] unless both have the same names; the first error of `f`.
    #[track_caller]
    pub fn zip(
        &self,
        other: &Tree,
        mut f: impl FnMut(&str, &Array, &Array) -> Result<Array>,
    ) -> Result<Tree> {
        if !self.arrays.keys().eq(other.arrays.keys()) {
            let lone = |a: &Tree, b: &Tree| {
                let names = a.arrays.keys().filter(|n| !b.arrays.contains_key(*n));
                names.map(|n| format!("`{n}`")).collect::<Vec<_>>()
            };
            let names = [lone(self, other), lone(other, self)].concat().join(", ");
            let got = format!("one in which these have no partner: {names}");
            return Err(Error::argument("other", "a tree with the same names", got));
        }
        let pairs = self.arrays.iter().zip(other.arrays.values());
        pairs
            .map(|((name, a), b)| Ok((name.clone(), f(name, a, b)?)))
            .collect()
    }

    /// How many elements all arrays have together.
    pub fn size(&self) -> usize {
        self.arrays.values().map(Array::size).sum()
    }
}

impl Deref for Tree {
    type Target = BTreeMap<String, Array>;
    fn deref(&self) -> &Self::Target {
        &self.arrays
    }
}

impl DerefMut for Tree {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.arrays
    }
}

impl FromIterator<(String, Array)> for Tree {
    fn from_iter<I: IntoIterator<Item = (String, Array)>>(arrays: I) -> Self {
        let arrays = arrays.into_iter().collect();
        Tree { arrays }
    }
}

impl IntoIterator for Tree {
    type Item = (String, Array);
    type IntoIter = btree_map::IntoIter<String, Array>;
    fn into_iter(self) -> Self::IntoIter {
        self.arrays.into_iter()
    }
}

impl<'a> IntoIterator for &'a Tree {
    type Item = (&'a String, &'a Array);
    type IntoIter = btree_map::Iter<'a, String, Array>;
    fn into_iter(self) -> Self::IntoIter {
        self.arrays.iter()
    }
}

impl From<ArrayMap> for Tree {
    fn from(map: ArrayMap) -> Self {
        Tree { arrays: map.arrays }
    }
}

impl From<Tree> for ArrayMap {
    fn from(tree: Tree) -> Self {
        tree.arrays.into_iter().collect()
    }
}

impl Module for Tree {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        for (name, array) in &self.arrays {
            to.trained(name, array);
        }
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        for (name, value) in &mut self.arrays {
            // A tree has no place for a mark.
            let trained = None;
            to.within(name, Node::Leaf { value, trained });
        }
    }
}
