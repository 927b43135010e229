//! Values at one place of the row, as authors write them: `at(value, index)` and `at(value, index, otherwise)`.

use crate::expr::Expr;
use crate::{Error, Result};

use super::names::fresh;
use super::program::{Fold, Place, Program, Reduction};
use super::terms;

/// What authors call it.
pub(crate) const AT: &str = "at";

/// Whether the author's own functions have one of this name, which is meant then.
fn is_own(program: &Program) -> bool {
    let mut words = crate::engine::msl::items::words(&program.header).into_iter();
    words.any(|w| w == AT)
}

/// The expression with a reduction of the program in place of each value at a place.
#[track_caller]
pub(crate) fn taken_out(program: &mut Program, e: Expr) -> Result<Expr> {
    let mut e = e;
    if is_own(program) {
        return Ok(e);
    }
    while let Some((call, arguments)) = e.call_of(AT) {
        let (value, place) = read(program, &call, &arguments)?;
        let fold = Fold::At(Box::new(place));
        let mut known = program.reductions.iter();
        let name = match known.find(|r| r.fold == fold && r.value == value) {
            Some(r) => r.name.clone(),
            None => {
                let name = fresh("zk_at", &mut program.taken());
                program.reductions.push(Reduction {
                    name: name.clone(),
                    fold,
                    value,
                });
                name
            }
        };
        e = e.replace(&call, &terms::variable(&name));
    }
    Ok(e)
}

/// The arguments of a call.
#[track_caller]
fn read(program: &Program, call: &Expr, arguments: &[Expr]) -> Result<(Expr, Place)> {
    let refused = |expected: &str, got: &Expr| {
        Err(Error::expression(format!(
            "`{call}`: expected {expected}, got `{got}`"
        )))
    };
    let (value, index, otherwise) = match arguments {
        [value, index] => (value, index, Expr::from(f64::NAN)),
        [value, index, otherwise] => (value, index, otherwise.clone()),
        _ => {
            return Err(Error::expression(format!(
                "`{call}`: expected a value, an index, and perhaps a number for an index outside of the row, got {} arguments",
                arguments.len()
            )));
        }
    };
    if !index.substitute("row", &terms::integer("row")).is_integer() {
        return refused(
            "an integer as the index (an input declared by `index`, `row`, or `int(...)`)",
            index,
        );
    }
    if !program.is_row_level(index) {
        return refused("an index that is the same along the row", index);
    }
    if !otherwise.is_constant() {
        return refused(
            "a number for an index outside of the row (`?:` chooses between other values)",
            &otherwise,
        );
    }
    let place = Place {
        index: index.clone(),
        otherwise,
    };
    Ok((value.clone(), place))
}
