//! What a text defines, as far as overloads matter: scopes, names, parameters, bodies.

mod read;

use std::collections::HashMap;

pub use read::items;

use super::{
    source::Stream,
    spaces::{Aliases, SPACES, declares_variable},
};

/// How a parameter is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `T x`
    Value,
    /// `T* x`, `T x[N]`
    Pointer,
    /// `T& x`
    Reference,
    /// `T (&x)[N]`
    Array,
}

/// A parameter, without `const` and names.
#[derive(Clone, Debug)]
pub struct Param<'s> {
    /// Its tokens.
    pub span: (usize, usize),
    /// Where its name stands.
    pub name: Option<usize>,
    /// The address space it points or refers to.
    pub space: Option<&'s str>,
    /// How it is passed.
    pub form: Form,
    /// Its type; parameters of the template are numbered.
    ty: Vec<String>,
}

impl Param<'_> {
    fn is_generic(&self) -> bool {
        self.ty
            .iter()
            .any(|word| word.starts_with('$') || word == "auto")
    }

    /// Whether a type alone decides, whatever it is.
    fn takes_all(&self) -> bool {
        self.form == Form::Value && self.ty.len() == 1 && self.is_generic()
    }

    /// Whether one argument may fit both.
    fn meets(&self, other: &Self) -> bool {
        self.ty == other.ty || self.is_generic() || other.is_generic()
    }

    /// Whether two parameters that one argument may fit differ in what C++ does not see.
    fn differs(&self, other: &Self) -> bool {
        match (self.space, other.space) {
            (Some(a), Some(b)) => a != b,
            (Some(_), None) => other.takes_all(),
            (None, Some(_)) => self.takes_all(),
            (None, None) => false,
        }
    }
}

/// A definition or declaration.
pub struct Item<'s> {
    /// Its tokens.
    pub span: (usize, usize),
    /// Where what it declares ends and what it does begins.
    pub head_end: usize,
    /// The namespaces and the structure that it stands in.
    pub scope: Vec<&'s str>,
    /// Its name with what qualifies it, if it is a function.
    pub name: Vec<&'s str>,
    /// The brackets of its parameters.
    pub parens: (usize, usize),
    /// They.
    pub params: Vec<Param<'s>>,
    /// The address space of the object of a member function.
    pub this: Option<&'s str>,
    /// What the template's parameters and the function's are called here.
    names: HashMap<&'s str, String>,
}

impl<'s> Item<'s> {
    /// The structure that it is a member of, without what that specializes.
    pub fn structure(&self) -> Option<&'s str> {
        let name = self.scope.last()?;
        name.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    }

    /// Whether it is a constructor.
    pub fn is_constructor(&self) -> bool {
        self.is_function() && self.structure() == Some(self.own_name())
    }

    /// Whether it is a function.
    pub fn is_function(&self) -> bool {
        !self.name.is_empty()
    }

    /// The function's own name.
    pub fn own_name(&self) -> &'s str {
        self.name.last().copied().unwrap_or("")
    }

    /// What stands for a name that is its own: names make no difference.
    pub fn called(&self, word: &str) -> Option<&str> {
        self.names.get(word).map(String::as_str)
    }

    /// Whether what it does is here.
    pub fn has_body(&self, stream: Stream<'s>) -> bool {
        matches!(stream.str(self.head_end), "{" | "=")
    }

    /// What it does, address spaces and names apart.
    pub fn body(&self, stream: Stream<'s>, aliases: &Aliases<'s>) -> Vec<String> {
        let mut body = Vec::new();
        for at in self.head_end..self.span.1 {
            let word = stream.str(at);
            let space = aliases.get(word).copied().unwrap_or(word);
            let points = SPACES.contains(&space) && !declares_variable(stream, at, aliases);
            if points || word == "const" {
                continue;
            }
            let member = matches!(stream.before(at), "." | "->" | "::");
            let name = self.names.get(word).filter(|_| !member);
            body.push(name.cloned().unwrap_or_else(|| word.to_owned()));
        }
        body
    }

    /// Whether a call may mean either, and C++ could not tell which.
    pub fn collides(&self, other: &Self) -> bool {
        self.scope == other.scope
            && self.name == other.name
            && self.params.len() == other.params.len()
            && self
                .params
                .iter()
                .zip(&other.params)
                .all(|(a, b)| a.meets(b))
            && (self.this != other.this
                || self
                    .params
                    .iter()
                    .zip(&other.params)
                    .any(|(a, b)| a.differs(b)))
    }

    /// Whether two operators differ in where a reference leads: an operand says nothing of that.
    pub fn is_binary_on_references(&self, other: &Self) -> bool {
        self.own_name() != ")"
            && self.params.iter().zip(&other.params).any(|(a, b)| {
                a.space != b.space && a.form == Form::Reference && b.form == Form::Reference
            })
    }

    /// Whether one takes an array where the other takes a pointer.
    pub fn differs_in_form(&self, other: &Self) -> bool {
        let array =
            |a: &Param<'_>, b: &Param<'_>| (a.form == Form::Array) != (b.form == Form::Array);
        self.params
            .iter()
            .zip(&other.params)
            .any(|(a, b)| array(a, b))
    }
}
