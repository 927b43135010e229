//! What the traces in a file take.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Array, Dtype, Error, Result};

use super::export::Keywords;

/// The inputs of one trace of a function in a file; from [`ImportedFunction::signatures`](crate::ImportedFunction::signatures).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionSignature {
    /// Shape and dtype of each input by place.
    pub args: Vec<(Vec<i32>, Dtype)>,
    /// Shape and dtype of each input by name.
    pub named: BTreeMap<String, (Vec<i32>, Dtype)>,
}

impl FunctionSignature {
    /// Whether MLX takes this trace, if it takes none before it.
    pub(super) fn is_taken_for(&self, args: &[&Array], named: &Keywords, shapeless: bool) -> bool {
        let given = args.iter().copied().chain(named.values());
        let wanted = self.args.iter().chain(self.named.values());
        let count = self.args.len() + self.named.len();
        count == args.len() + named.len()
            && self.named.keys().all(|name| named.contains_key(name))
            && given.zip(wanted).all(|(a, (shape, dtype))| {
                let same = a.shape() == shape.as_slice();
                a.dtype() == *dtype && a.ndim() == shape.len() && (shapeless || same)
            })
    }

    /// Whether the inputs are those by place and by name.
    pub(super) fn has_names_of(&self, args: &[&Array], named: &Keywords) -> bool {
        self.args.len() == args.len() && self.named.keys().eq(named.keys())
    }
}

impl fmt::Display for FunctionSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        for (shape, dtype) in &self.args {
            parts.push(format!("{dtype} {shape:?}"));
        }
        for (name, (shape, dtype)) in &self.named {
            parts.push(format!("`{name}` {dtype} {shape:?}"));
        }
        f.write_str(&parts.join(", "))
    }
}

/// Traces, for messages.
pub(super) fn list(all: &[FunctionSignature]) -> String {
    let all: Vec<String> = all.iter().map(FunctionSignature::to_string).collect();
    all.join("; ")
}

/// The inputs of a call, for messages.
pub(super) fn of_call(args: &[&Array], named: &Keywords) -> FunctionSignature {
    let of = |a: &Array| (a.shape().to_vec(), a.dtype());
    FunctionSignature {
        args: args.iter().map(|a| of(a)).collect(),
        named: named.iter().map(|(n, a)| (n.clone(), of(a))).collect(),
    }
}

/// Reads MLX's text about what a function takes.
#[track_caller]
pub(super) fn read(text: &str) -> Result<Vec<FunctionSignature>> {
    match parse(text) {
        Some(all) => Ok(all),
        None => Err(Error::Mlx {
            message: format!("what the function takes cannot be told from MLX's text: {text}"),
            at: std::panic::Location::caller(),
        }),
    }
}

/// A line for each trace, such as ` 1. Function with 1 positional inputs and 1 keyword inputs:`, and behind it one for each input:
/// `   1: (2,3) float32`, `   "name": () int32`.
fn parse(text: &str) -> Option<Vec<FunctionSignature>> {
    let mut all = Vec::new();
    let mut lines = text
        .lines()
        .skip_while(|line| !line.contains(". Function with "));
    while let Some(line) = lines.next() {
        let Some((_, counts)) = line.split_once(". Function with ") else {
            break;
        };
        let (places, rest) = counts.split_once(" positional inputs and ")?;
        let names: usize = rest.strip_suffix(" keyword inputs:")?.parse().ok()?;
        let mut signature = FunctionSignature::default();
        for place in 1..=places.parse::<usize>().ok()? {
            let (number, input) = lines.next()?.trim_start().split_once(": ")?;
            if number.parse() != Ok(place) {
                return None;
            }
            signature.args.push(parse_input(input)?);
        }
        for _ in 0..names {
            let (name, input) = lines.next()?.strip_prefix("   \"")?.rsplit_once("\": ")?;
            let before = signature.named.insert(name.to_owned(), parse_input(input)?);
            if before.is_some() {
                return None;
            }
        }
        all.push(signature);
    }
    Some(all)
}

/// Such as `(2,3) float32`.
fn parse_input(text: &str) -> Option<(Vec<i32>, Dtype)> {
    let (dims, dtype) = text.strip_prefix('(')?.split_once(") ")?;
    let dims = match dims.is_empty() {
        true => Vec::new(),
        false => dims
            .split(',')
            .map(|d| d.parse().ok())
            .collect::<Option<_>>()?,
    };
    Some((dims, Dtype::from_name(dtype)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let text = "[import_function::call] No function. Possible functions include:\n \
            1. Function with 2 positional inputs and 1 keyword inputs:\n   1: (2,3) float32\n   2: () bool\n   \
            \"a\": b\": (1) int32\n 2. Function with 0 positional inputs and 0 keyword inputs:\n\nCalled with 1 positional inputs and 0 \
            keyword inputs:\n  1: (1) bool\n";
        let all = parse(text).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(
            all[0].args,
            [(vec![2, 3], Dtype::Float32), (vec![], Dtype::Bool)]
        );
        assert_eq!(all[0].named["a\": b"], (vec![1], Dtype::Int32));
        assert_eq!(all[1], FunctionSignature::default());
        for bad in [
            " 1. Function with 1 positional inputs and 0 keyword inputs:\n   2: () bool",
            " 1. Function with 1 positional inputs and 0 keyword inputs:",
            " 1. Function with 0 positional inputs and 1 keyword inputs:\n   \"a\nb\": () bool",
            " 1. Function with 1 positional inputs and 0 keyword inputs:\n   1: (x) bool",
            " 1. Function with 1 positional inputs and 0 keyword inputs:\n   1: (1) float9",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
