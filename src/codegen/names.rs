//! Names in expressions and in generated text.

use crate::metal::check_identifier;
use crate::{Error, Result};

/// What every elementwise expression may mention: the number of the element.
pub(crate) const ELEMENTWISE: &[&str] = &["elem"];

/// True for built-in names whose value changes along a row.
pub(crate) fn varies(name: &str) -> bool {
    matches!(name, "j" | "elem")
}

/// Refuses names of inputs that generated text uses itself.
#[track_caller]
pub(crate) fn check_inputs<S: AsRef<str>>(argument: &str, names: &[S]) -> Result<()> {
    for (i, name) in names.iter().enumerate() {
        let name = name.as_ref();
        check_identifier(argument, name)?;
        let reserved = ["T", "D", "row", "j", "elem", "acc", "TG", "VEC", "ITEMS"];
        // Outputs and inputs of the kernel have these endings.
        let output = |n: &str| n == "y" || numbered("y", n);
        let input = |n: &str| names.iter().any(|other| other.as_ref() == n);
        let taken = reserved.contains(&name)
            || name.starts_with("zk_")
            || name.starts_with('_')
            || numbered("O", name)
            || name.strip_suffix("_out").is_some_and(output)
            || name.strip_suffix("_in").is_some_and(input);
        if taken {
            return Err(Error::argument(
                argument,
                "a name that generated kernels do not use themselves (T, D, row, j, elem, acc, zk_..., TG, VEC, ITEMS, O0, y_out, \
                 x_in of an input x)",
                format_args!("`{name}`"),
            ));
        }
        if names[..i].iter().any(|n| n.as_ref() == name) {
            return Err(Error::argument(
                argument,
                "each name once",
                format_args!("`{name}` twice"),
            ));
        }
    }
    Ok(())
}

/// Whether the name is this letter or word with a number.
fn numbered(word: &str, name: &str) -> bool {
    let digits = name.strip_prefix(word).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Refuses names of inputs that expressions over rows know as accumulators and reductions.
#[track_caller]
pub(crate) fn check_rows<S: AsRef<str>>(argument: &str, names: &[S]) -> Result<()> {
    let taken = |n: &&S| numbered("s", n.as_ref()) || numbered("acc", n.as_ref());
    match names.iter().find(taken) {
        None => Ok(()),
        Some(name) => Err(Error::argument(
            argument,
            "a name that no reduction or accumulator has (s1, s2, ... and acc1, acc2, ...)",
            format_args!("`{}`", name.as_ref()),
        )),
    }
}

/// Refuses an empty name of an operation.
#[track_caller]
pub(crate) fn check_op(name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Error::argument(
            "name",
            "a name for the operation",
            "an empty one",
        ));
    }
    Ok(())
}

/// `wanted`, or that with a number, so that it is not taken; it is taken then.
pub(crate) fn fresh(wanted: &str, taken: &mut Vec<String>) -> String {
    let mut name = wanted.to_owned();
    let mut n = 2;
    while taken.contains(&name) {
        name = format!("{wanted}_{n}");
        n += 1;
    }
    taken.push(name.clone());
    name
}
