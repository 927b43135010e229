//! The MSL text of a program for one pattern of arrays.
//!
//! Names in the text: `x_in` and `y_out` are buffers, `x` an input's value, `zk_...` everything else that
//! the author did not name.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::Dtype;
use crate::expr::{Expr, share_in_pieces};

use super::keep::{self, Kept};
use super::pattern::{Access, Form, Keeps, Pattern};
use super::program::{InputKind, Output, OutputDtype, Program, Span};

/// The texts of a kernel.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) header: String,
    pub(crate) source: String,
}

/// Metal's name of a dtype in which kernels may compute.
pub(crate) fn type_name(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::Float32 => "float",
        Dtype::Float16 => "half",
        Dtype::Bfloat16 => "bfloat16_t",
        Dtype::Int8 => "int8_t",
        Dtype::Int16 => "int16_t",
        Dtype::Int32 => "int",
        Dtype::Int64 => "int64_t",
        Dtype::Uint8 => "uint8_t",
        Dtype::Uint16 => "uint16_t",
        Dtype::Uint32 => "uint",
        Dtype::Uint64 => "uint64_t",
        Dtype::Bool | Dtype::Float64 | Dtype::Complex64 => return None,
    })
}

/// The type of sums and other values of a row: never shorter than float for floats.
pub(crate) fn wide_name(dtype: Dtype) -> &'static str {
    match dtype {
        d if d.is_floating() => "float",
        d => type_name(d).unwrap_or("float"),
    }
}

/// True for outputs that need no kernel: all zeros.
pub(crate) fn is_zero(output: &Output) -> bool {
    output.values().all(super::terms::is_zero)
}

/// The kernel of a program.
pub(crate) fn text(program: &Program, pattern: &Pattern) -> Text {
    // The author's own has no short form.
    let own = crate::msl::defined(&program.header);
    let mut w = Writer {
        short: None,
        own,
        program,
        pattern,
        kept: match pattern.keeps {
            Keeps::No => None,
            _ => keep::kept(program),
        },
        hoisted: 0,
        passes: 0,
        out: String::new(),
        depth: 0,
    };
    w.short = w.short();
    match pattern.form {
        Form::Flat => w.flat(),
        Form::Blocks => w.blocks(),
        _ => w.rows(),
    }
    let source = w.out;
    let mut inputs: Vec<String> = Vec::new();
    for (i, input) in program.inputs.iter().enumerate() {
        if pattern.access(i) != Access::Unused {
            inputs.push(format!("{}_in", input.name));
        }
    }
    if pattern.form.has_dims() {
        inputs.push("zk_dims".into());
    }
    let kept = program.outputs.iter().filter(|o| !is_zero(o));
    let outputs = kept.map(|o| format!("{}_out", o.name)).collect();
    let header = crate::msl::header_with(&program.header, &source);
    Text {
        inputs,
        outputs,
        header,
        source,
    }
}

/// Writes lines at a depth.
pub(super) struct Writer<'a> {
    pub(super) program: &'a Program,
    pub(super) pattern: &'a Pattern,
    pub(super) kept: Option<Kept>,
    /// When functions may have shorter forms, as a condition in Metal, where one is used that has.
    short: Option<String>,
    /// What the author's header defines.
    own: HashSet<String>,
    /// Values that were taken out of loops.
    hoisted: usize,
    /// How many passes over the row were written.
    pub(super) passes: usize,
    out: String,
    depth: usize,
}

impl Writer<'_> {
    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        for line in text.as_ref().lines() {
            let close = line.starts_with('}');
            if close {
                self.depth = self.depth.saturating_sub(1);
            }
            let _ = writeln!(self.out, "{:1$}{line}", "", 2 * self.depth);
            if line.ends_with('{') {
                self.depth += 1;
            }
        }
    }

    /// The declaration of an input's value, which stands at `place`.
    pub(super) fn read(&mut self, name: &str, place: &str) {
        let (kind, value) = self.reading(name, place);
        self.line(format!("const {kind} {name} = {value};"));
    }

    /// The type of an input's value, and its text.
    pub(super) fn reading(&self, name: &str, place: &str) -> (&'static str, String) {
        let mut inputs = self.program.inputs.iter();
        let kind = inputs
            .find(|i| i.variables().any(|v| v == name))
            .map(|i| i.kind);
        let wide = wide_name(self.program.compute);
        match kind {
            Some(InputKind::Index) => ("long", format!("kk_index({place})")),
            Some(InputKind::Parameter) => (wide, format!("{wide}({place})")),
            _ => ("T", format!("T({place})")),
        }
    }

    /// The declaration of the element's number, where one of the expressions needs it.
    pub(super) fn number(&mut self, values: &[Expr]) {
        if !values.iter().any(|v| v.variables().contains("elem")) {
            return;
        }
        let random = |v: &Expr| v.is_only_in("elem", &["kk_random_bits", "kk_random"]);
        self.line(match values.iter().all(random) {
            true => "const kk_row_element elem = {ulong(row) * zk_n, uint(j)};",
            false => "const ulong elem = ulong(row) * zk_n + j;",
        });
    }

    pub(super) fn typedef(&mut self) {
        let name = type_name(self.program.compute).unwrap_or("float");
        self.line(format!("typedef {name} T;"));
        if let Some(short) = &self.short {
            let line = format!("constexpr bool zk_short = {short};");
            self.line(line);
        }
    }

    /// Short forms do for results of 16 bits. What the kernel writes for itself, in float32, does not count.
    fn short(&self) -> Option<String> {
        let p = self.program;
        let reduced = p.reductions.iter().flat_map(|r| r.value.functions());
        let written = p.written().flat_map(|e| e.functions());
        if p.compute != Dtype::Float32 || !reduced.chain(written).any(|f| self.is_short(&f)) {
            return None;
        }
        let outputs = p.outputs.iter().filter(|o| !is_zero(o)).enumerate();
        let own = |o: &Output| o.span == Span::Summed || matches!(o.dtype, OutputDtype::Fixed(_));
        let sizes: Vec<_> = outputs
            .filter(|(_, o)| !own(o))
            .map(|(n, _)| format!("sizeof(O{n}) == 2"))
            .collect();
        (!sizes.is_empty()).then(|| sizes.join(" && "))
    }

    /// Whether there is a short form of the function that the program may use. Sums take the exponential's alone, whose error
    /// is relative to the result.
    fn is_short(&self, f: &str) -> bool {
        let library = crate::msl::has_short_form(f) && !self.own.contains(f);
        matches!(f, "exp" | "/") || self.program.reductions.is_empty() && library
    }

    /// The expression's text, with the functions' short forms where that is enough for the outputs.
    fn msl(&self, e: &Expr) -> String {
        let short = |f: &str| self.short.is_some() && self.is_short(f);
        e.to_msl_with(|f| short(f).then_some("zk_short"))
    }

    /// The outputs of these kinds, with what their expressions have in common computed once. Each goes to its place.
    pub(super) fn stores(
        &mut self,
        spans: &[Span],
        values: Option<Vec<Expr>>,
        place: impl Fn(&Output, usize) -> Place,
    ) {
        let outputs: Vec<(usize, &Output)> = self
            .program
            .outputs
            .iter()
            .filter(|o| !is_zero(o))
            .enumerate()
            .filter(|(_, o)| spans.contains(&o.span))
            .collect();
        let values = values.unwrap_or_else(|| {
            outputs
                .iter()
                .flat_map(|(_, o)| o.values())
                .cloned()
                .collect()
        });
        let values = self.shared(&values, "zk_t");
        let mut parts: Vec<(usize, &Output, usize)> = Vec::new();
        for (n, o) in outputs {
            parts.extend((0..o.count()).map(|part| (n, o, part)));
        }
        for ((n, o, part), value) in parts.into_iter().zip(values) {
            self.line(match place(o, part) {
                Place::Set(to) => format!("{to} = static_cast<O{n}>({value});"),
                Place::Put(to) => format!("kk_put<O{n}>({to}, zk_l, {value});"),
                Place::Add(to) => format!("{to} += float({value});"),
            });
        }
    }

    /// The template parameter with the type of the output of this name.
    pub(super) fn output_type(&self, name: &str) -> String {
        let mut written = self.program.outputs.iter().filter(|o| !is_zero(o));
        let n = written.position(|o| o.name == name).unwrap_or(0);
        format!("O{n}")
    }

    /// An output's value as the last pass computes it.
    pub(super) fn last(&self, value: &Expr) -> Expr {
        match &self.kept {
            Some(k) => value.replace(&k.value, &Expr::var(keep::NAME)),
            None => value.clone(),
        }
    }

    /// Declares what the expressions have in common; gives the text of each.
    pub(super) fn shared(&mut self, values: &[Expr], prefix: &str) -> Vec<String> {
        let shared = share_in_pieces(values, prefix);
        for (name, value) in &shared.bindings {
            self.line(format!("const auto {name} = {};", self.msl(value)));
        }
        shared.results.iter().map(|e| self.msl(e)).collect()
    }

    /// Computes what stays the same along the row before a loop over it. Compilers do not move a division,
    /// as the loop might have no element.
    pub(super) fn hoist(&mut self, values: &[Expr]) -> Vec<Expr> {
        let along = self.along(values);
        let fixed = |e: &Expr| {
            let names = e.variables();
            !names.is_empty()
                && names
                    .iter()
                    .all(|n| !along.contains(n) && !super::names::varies(n) && n != keep::NAME)
        };
        let mut found: Vec<Expr> = Vec::new();
        let mut pending: Vec<&Expr> = values.iter().rev().collect();
        while let Some(e) = pending.pop() {
            if e.arguments().is_empty() || found.contains(e) {
                continue;
            }
            match fixed(e) {
                true => found.push(e.clone()),
                false => pending.extend(e.arguments().iter().rev()),
            }
        }
        let mut values = values.to_vec();
        // Each is found in those that come after it, too, by its name: in the loop it stands there by that name.
        found.reverse();
        while let Some(e) = found.pop() {
            let name = format!("zk_h{}", self.hoisted);
            self.hoisted += 1;
            let text = match e.is_long() {
                true => self
                    .shared(std::slice::from_ref(&e), &format!("{name}_"))
                    .remove(0),
                false => self.msl(&e),
            };
            self.line(format!("const auto {name} = {text};"));
            let by = Expr::var(&name);
            for v in values.iter_mut().chain(&mut found) {
                *v = v.replace(&e, &by);
            }
        }
        if self.program.compute != Dtype::Float32 {
            return values;
        }
        // One division for the row, and products in place of the others.
        let mut inverses: Vec<(Expr, String)> = Vec::new();
        for v in &mut values {
            *v = v.with_products(|divisor| {
                if !fixed(divisor) {
                    return None;
                }
                let known = inverses.iter().find(|(d, _)| d == divisor);
                let name = match known {
                    Some((_, name)) => name.clone(),
                    None => {
                        let name = format!("zk_i{}", self.hoisted);
                        self.hoisted += 1;
                        let text = self.msl(divisor);
                        self.line(format!("const kk_inverse {name} = kk_inverse_of({text});"));
                        inverses.push((divisor.clone(), name.clone()));
                        name
                    }
                };
                Some(Expr::var(&name))
            });
        }
        values
    }
}

/// What leads from the start of a row to the part of this number.
pub(super) fn behind(part: usize) -> String {
    match part {
        0 => String::new(),
        n => format!(" + size_t({n}) * zk_n"),
    }
}

pub(super) fn times(n: usize) -> String {
    match n {
        1 => String::new(),
        n => format!("{n} * "),
    }
}

/// What names a part of an output.
pub(super) fn part_of(name: &str, part: usize) -> String {
    match part {
        0 => name.to_owned(),
        n => format!("{name}_zk{n}"),
    }
}

/// Where an output's value goes.
pub(super) enum Place {
    Set(String),
    /// Into the block of this name.
    Put(String),
    Add(String),
}
