//! The text of row programs on a GPU, where a group of threads has a row, or a piece of one, in its registers.
//!
//! A row that the registers hold is loaded once, before anything is computed. A longer one is loaded piece by piece, once for
//! each pass; see `kernels/hold.metal`.

use crate::expr::Expr;

use super::folds::{self, by_level};
use super::pattern::{Access, Walk};
use super::places;
use super::program::{Fold, Output, Reduction, Span};
use super::scaled::Scaled;
use super::text::{Place, Writer, behind, is_zero, part_of, wide_name};

/// What a loop over the row's elements is for.
struct Loop<'a> {
    /// Expressions that are computed in it.
    values: &'a [Expr],
    /// First and last element of a row that is loaded piece by piece.
    bounds: (&'a str, &'a str),
}

impl Writer<'_> {
    /// All passes, and what is written then.
    pub(super) fn held(&mut self) {
        if self.pattern.walk == Walk::Held {
            let all: Vec<Expr> = self.all_values();
            self.hold(&all, None);
        }
        let reductions = self.program.reductions.iter().enumerate();
        let asked: Vec<bool> = reductions.map(|(i, r)| places::ask(self, i, r)).collect();
        let mut levels = by_level(self.program).into_iter().peekable();
        while let Some(level) = levels.next() {
            let (of_places, passes): (Vec<_>, Vec<_>) =
                level.into_iter().partition(|(_, r)| folds::is_place(r));
            let next = levels.peek().map_or(&[][..], Vec::as_slice);
            if let Some(both) = Scaled::of(self, &passes, next).filter(|_| of_places.is_empty()) {
                self.scaled_pass(&both);
                levels.next();
            } else if !passes.is_empty() {
                self.held_pass(&passes);
            }
            for (i, r) in of_places {
                places::written(self, i, r, asked[i]);
            }
        }
        self.held_outputs();
    }

    /// Every expression of an element.
    fn all_values(&self) -> Vec<Expr> {
        let folded = self.program.reductions.iter().map(|r| r.value.clone());
        let written = self
            .along_outputs()
            .into_iter()
            .flat_map(|o| o.values().cloned());
        folded.chain(written).collect()
    }

    /// Outputs with a value for each element of the row.
    pub(super) fn along_outputs(&self) -> Vec<&Output> {
        let outputs = self.program.outputs.iter();
        outputs
            .filter(|o| o.span != Span::Row && !is_zero(o))
            .collect()
    }

    /// Loads what the expressions read, but for what a group keeps for all of its rows.
    pub(super) fn hold(&mut self, values: &[Expr], from: Option<&str>) {
        let kept = self.kept_for_all_rows();
        let ahead = self.loaded_ahead();
        for name in self.along(values) {
            if kept.contains(&name) {
                continue;
            }
            if let Some((_, row)) = ahead.iter().find(|(n, _)| *n == name) {
                // The next row is on its way while this one is worked on.
                self.line(format!("const auto zk_of_{name} = zk_next_{name};"));
                self.line(format!(
                    "zk_next_{name} = kk_hold<TG, VEC, ITEMS>({row}, zk_n, zk_tid);"
                ));
                continue;
            }
            self.line(match from {
                None => format!(
                    "const auto zk_of_{name} = kk_hold<TG, VEC, ITEMS>({name}_row, zk_n, zk_tid);"
                ),
                Some(from) => format!(
                    "const auto zk_of_{name} = kk_hold<TG, VEC, ITEMS>({name}_row + {from}, zk_c, zk_tid);"
                ),
            });
        }
    }

    /// The inputs with one row for all that a group reads once, before the first of its rows.
    fn kept_for_all_rows(&self) -> Vec<String> {
        if self.pattern.walk != Walk::Held || !self.sums_rows() {
            return Vec::new();
        }
        let inputs = self.program.inputs.iter().enumerate();
        inputs
            .filter(|(i, _)| self.pattern.access(*i) == Access::Shared)
            .flat_map(|(_, input)| input.variables())
            .map(str::to_owned)
            .collect()
    }

    /// The inputs whose next row a group loads before it works on one, and where that row is.
    fn loaded_ahead(&self) -> Vec<(String, String)> {
        if self.pattern.walk != Walk::Held || !self.sums_rows() {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (i, input) in self.program.inputs.iter().enumerate() {
            if self.pattern.access(i) != Access::Full || input.span == Span::Row {
                continue;
            }
            for (part, variable) in input.variables().enumerate() {
                let row = format!(
                    "{}_in + (size_t(zk_then) * {} + {part}) * zk_n",
                    input.name,
                    input.count()
                );
                all.push((variable.to_owned(), row));
            }
        }
        all
    }

    pub(super) fn loads_ahead(&self) -> bool {
        !self.loaded_ahead().is_empty()
    }

    /// Loads what all rows need, and the first row.
    pub(super) fn hold_for_all_rows(&mut self) {
        let kept = self.kept_for_all_rows();
        let program = self.program;
        for input in &program.inputs {
            let name = &input.name;
            for (part, variable) in input.variables().enumerate() {
                if kept.iter().any(|k| k == variable) {
                    let from = behind(part);
                    self.line(format!(
                        "const auto zk_of_{variable} = kk_hold<TG, VEC, ITEMS>({name}_in{from}, zk_n, zk_tid);"
                    ));
                }
            }
        }
        let ahead = self.loaded_ahead();
        if !ahead.is_empty() {
            self.line("uint zk_then = zk_top;");
        }
        for (name, row) in ahead {
            self.line(format!(
                "auto zk_next_{name} = kk_hold<TG, VEC, ITEMS>({row}, zk_n, zk_tid);"
            ));
        }
    }

    /// A loop over this thread's elements: `before` in front of each block, `body` for each element, `after` behind the block, `behind` after
    /// each piece.
    fn each(
        &mut self,
        of: &Loop<'_>,
        before: impl FnOnce(&mut Self),
        body: impl FnOnce(&mut Self),
        after: impl FnOnce(&mut Self),
        behind: impl FnOnce(&mut Self),
    ) {
        let pieces = self.pattern.walk == Walk::Pieces;
        if pieces {
            let (first, last) = of.bounds;
            self.line(format!(
                "for (uint zk_from = {first}; zk_from < {last}; zk_from += TG * VEC * ITEMS) {{"
            ));
            self.line(format!(
                "const uint zk_c = metal::min({last} - zk_from, uint(TG * VEC * ITEMS));"
            ));
            self.hold(of.values, Some("zk_from"));
        }
        self.elements(of.values, before, body, after);
        if pieces {
            behind(self);
            self.line("}");
        }
    }

    /// The same over what this thread holds now.
    pub(super) fn elements(
        &mut self,
        values: &[Expr],
        before: impl FnOnce(&mut Self),
        body: impl FnOnce(&mut Self),
        after: impl FnOnce(&mut Self),
    ) {
        self.line("for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {");
        self.line("const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;");
        let pieces = self.pattern.walk == Walk::Pieces;
        let end = if pieces { "zk_c" } else { "zk_n" };
        self.line(format!("if (zk_b < {end}) {{"));
        before(self);
        self.line("for (int zk_l = 0; zk_l < VEC; ++zk_l) {");
        let named = |name: &str| values.iter().any(|v| v.variables().contains(name));
        if named("elem") || named("j") {
            let from = if pieces { "zk_from + " } else { "" };
            self.line(format!("const uint j = {from}zk_b + zk_l;"));
        }
        self.number(values);
        for name in self.along(values) {
            self.read(&name, &format!("zk_of_{name}.at(zk_k * VEC + zk_l)"));
        }
        body(self);
        self.line("}");
        after(self);
        self.line("}");
        self.line("}");
    }

    fn held_pass(&mut self, reductions: &[(usize, &Reduction)]) {
        let compute = self.program.compute;
        let wide = wide_name(compute);
        let pieces = self.pattern.walk == Walk::Pieces;
        for (_, r) in reductions {
            let start = folds::start(&r.fold, compute);
            self.line(format!("{wide} {} = {start};", r.name));
        }
        self.line("{");
        // Between pieces a large element would swallow the small ones that come after it.
        let sums: Vec<usize> = match pieces && compute.is_floating() {
            true => reductions
                .iter()
                .filter(|(_, r)| r.fold == Fold::Sum)
                .map(|(i, _)| *i)
                .collect(),
            false => Vec::new(),
        };
        for i in &sums {
            self.line(format!("float zk_w{i} = 0.0f, zk_r{i} = 0.0f;"));
        }
        let known: Vec<Expr> = reductions
            .iter()
            .filter(|(_, r)| !matches!(r.fold, Fold::Custom(_)))
            .map(|(_, r)| r.value.clone())
            .collect();
        let known = self.hoist(&known);
        let mut values = known.clone();
        for (_, r) in reductions {
            if matches!(r.fold, Fold::Custom(_)) {
                values.push(r.value.clone());
            }
        }
        let of = Loop {
            values: &values,
            bounds: ("0", "zk_n"),
        };
        self.each(
            &of,
            |_| {},
            |w| folds::updates(w, reductions, &known, None, |_, r| r.name.clone()),
            |_| {},
            |w| {
                for (i, r) in reductions.iter().filter(|(i, _)| sums.contains(i)) {
                    let name = &r.name;
                    w.line(format!("kk_two_sum(zk_w{i}, zk_r{i}, {name});"));
                    w.line(format!("{name} = 0.0f;"));
                }
            },
        );
        for (i, r) in reductions.iter().filter(|(i, _)| sums.contains(i)) {
            self.line(format!("{} = kk_with_rest(zk_w{i}, zk_r{i});", r.name));
        }
        self.line("}");
        folds::between_threads(self, reductions);
    }

    fn held_outputs(&mut self) {
        let outputs = self.along_outputs();
        let elements: Vec<Expr> = outputs.iter().flat_map(|o| o.values().cloned()).collect();
        let (mut names, mut types) = (Vec::new(), Vec::new());
        for o in outputs.iter().filter(|o| o.span == Span::Element) {
            for part in 0..o.count() {
                names.push(part_of(&o.name, part));
                types.push(self.output_type(&o.name));
            }
        }
        if !elements.is_empty() {
            let values = self.hoist(&elements);
            let cut = self.pattern.form.has_dims() && !self.program.by_rows;
            let parts = self.pattern.walk == Walk::Pieces && !self.sums_rows() && !cut;
            if parts {
                // Groups that share a row write a part of it each, of whole pieces.
                self.line("const uint zk_size = TG * VEC * ITEMS;");
                self.line("const uint zk_parts = threadgroups_per_grid.z, zk_part = threadgroup_position_in_grid.z;");
                self.line("const uint zk_each = ((zk_n + zk_size - 1) / zk_size + zk_parts - 1) / zk_parts * zk_size;");
                self.line("const uint zk_first = zk_part * zk_each, zk_last = metal::min(zk_n, zk_first + zk_each);");
            }
            let bounds = match parts || cut {
                true => ("zk_first", "zk_last"),
                false => ("0", "zk_n"),
            };
            let of = Loop {
                values: &values,
                bounds,
            };
            let to = match self.pattern.walk {
                Walk::Pieces => "_to + zk_from",
                _ => "_to",
            };
            self.each(
                &of,
                |w| {
                    for (name, ty) in names.iter().zip(&types) {
                        w.line(format!("kk_block<{ty}, VEC> zk_out_{name};"));
                    }
                },
                |w| {
                    let walk = w.pattern.walk;
                    w.stores(
                        &[Span::Element, Span::Summed],
                        Some(values.clone()),
                        |o, part| match (o.span, walk) {
                            (Span::Summed, Walk::Held) => {
                                let part = part_of(&o.name, part);
                                Place::Add(format!("zk_sum_{part}[zk_k * VEC + zk_l]"))
                            }
                            (Span::Summed, _) => {
                                let part = part_of(&o.name, part);
                                Place::Add(format!("{part}_sum[zk_from + zk_b + zk_l]"))
                            }
                            _ => Place::Set(format!("zk_out_{}.v[zk_l]", part_of(&o.name, part))),
                        },
                    );
                },
                |w| {
                    for name in &names {
                        w.line(format!(
                            "kk_store_block({name}{to}, zk_b / VEC, zk_out_{name});"
                        ));
                    }
                },
                |_| {},
            );
        }
        self.row_outputs(
            match self.pattern.walk == Walk::Pieces && !self.sums_rows() {
                true => "if (zk_tid == 0 && threadgroup_position_in_grid.z == 0) {",
                false => "if (zk_tid == 0) {",
            },
        );
    }
}
