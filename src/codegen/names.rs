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
        let reserved = ["T", "D", "row", "j", "elem", "acc"];
        if reserved.contains(&name) || name.starts_with("zk_") || name.starts_with('_') {
            return Err(Error::argument(
                argument,
                "a name that generated kernels do not use themselves (T, D, row, j, elem, acc, zk_...)",
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
