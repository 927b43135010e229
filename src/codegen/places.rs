//! Values at one place of the row, as authors write them: `at(value, index)` and `at(value, index, otherwise)`.

use crate::expr::Expr;
use crate::{Error, Result};

use super::names::fresh;
use super::program::{Fold, Place, Program, Reduction};
use super::terms;
use super::text::{Writer, wide_name};

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

/// The text of the value at one place of the row, which every thread reads for itself. `asked` says that `ask` has read what it needs.
pub(super) fn written(w: &mut Writer<'_>, i: usize, r: &Reduction, asked: bool) {
    let Fold::At(place) = &r.fold else { return };
    let (wide, name) = (wide_name(w.program.compute), &r.name);
    if !asked {
        find(w, i, place);
    }
    let otherwise = place.otherwise.to_msl();
    w.line(format!("{wide} {name} = {wide}({otherwise});"));
    w.line(format!("if (zk_in{i}) {{"));
    let value = std::slice::from_ref(&r.value);
    let names = r.value.variables();
    if names.contains("j") || names.contains("elem") {
        w.line(format!("const uint j = uint(zk_p{i});"));
    }
    for input in w.along(value) {
        match asked {
            true => w.line(format!("const auto {input} = zk_at{i}_{input};")),
            false => w.read(&input, &format!("{input}_row[zk_p{i}]")),
        }
    }
    w.number(value);
    let values = w.shared(value, "zk_t");
    w.line(format!("{name} = {wide}({});", values[0]));
    w.line("}");
}

/// Which place it is, and whether the row has it.
fn find(w: &mut Writer<'_>, i: usize, place: &Place) {
    let index = place.index.to_msl();
    w.line(format!("const long zk_p{i} = long({index});"));
    w.line(format!(
        "const bool zk_in{i} = zk_p{i} >= 0 && zk_p{i} < long(zk_n);"
    ));
}

/// Reads what a value at a place needs before anything is computed, so that nobody waits for it in the end. `false` where the
/// place is not known yet.
pub(super) fn ask(w: &mut Writer<'_>, i: usize, r: &Reduction) -> bool {
    let Fold::At(place) = &r.fold else {
        return false;
    };
    let known = place.index.variables();
    if w.program.reductions.iter().any(|r| known.contains(&r.name)) {
        return false;
    }
    find(w, i, place);
    for input in w.along(std::slice::from_ref(&r.value)) {
        let name = format!("zk_at{i}_{input}");
        let (kind, read) = w.reading(&input, &format!("{input}_row[zk_p{i}]"));
        w.line(format!("{kind} {name} = {kind}(0);"));
        w.line(format!("if (zk_in{i}) {name} = {read};"));
    }
    true
}
