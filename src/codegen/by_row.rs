//! The text of operations along rows: which row a thread has, where it lies, the passes, the outputs.

use crate::expr::Expr;

use super::pattern::{Access, Form, Walk};
use super::program::{Fold, Output, Span};
use super::text::{Place, Writer, behind, is_zero, part_of, times, wide_name};
use super::{folds, keep};

impl Writer<'_> {
    pub(super) fn rows(&mut self) {
        let serial = self.is_serial();
        self.typedef();
        for (i, r) in self.program.reductions.iter().enumerate() {
            if !serial && !matches!(r.fold, Fold::At(_)) {
                let wide = wide_name(self.program.compute);
                let size = if self.takes_sides() { 64 } else { 32 };
                self.line(format!("threadgroup {wide} zk_s{i}[{size}];"));
            }
        }
        let shares = self.pattern.walk == Walk::Held;
        if !serial {
            // Short rows share a threadgroup.
            self.line(match shares {
                true => "const uint zk_tid = thread_position_in_grid.x % TG;",
                false => "const uint zk_tid = thread_position_in_threadgroup.x;",
            });
            if !self.program.reductions.is_empty() {
                self.line("const uint zk_lane = thread_index_in_simdgroup;");
                self.line("const uint zk_simd = simdgroup_index_in_threadgroup;");
            }
        }
        let (at, count) = match (serial, shares) {
            (true, _) => ("thread_position_in_grid", "threads_per_grid"),
            (_, true) => ("thread_position_in_grid", "threads_per_grid"),
            _ => ("threadgroup_position_in_grid", "threadgroups_per_grid"),
        };
        let each = if shares { " / TG" } else { "" };
        let item = [at, count].map(|name| format!("{name}.x{each}"));
        match self.sums_rows() {
            true => self.open_rows(&item),
            false => self.place(&item, at),
        }
        if self.program.mentions("D") {
            let wide = wide_name(self.program.compute);
            self.line(format!("const {wide} D = {wide}(zk_n);"));
        }
        self.pointers();
        for o in &self.program.outputs {
            if o.span == Span::Element && !is_zero(o) {
                let name = &o.name;
                let row = row_of(o.count());
                self.line(format!("const auto {name}_to = {name}_out + {row};"));
                for part in 1..o.count() {
                    let to = part_of(name, part);
                    let from = behind(part);
                    self.line(format!("const auto {to}_to = {name}_to{from};"));
                }
            }
        }
        match self.pattern.walk {
            Walk::Loop => {
                self.aside();
                folds::passes(self, serial);
                self.outputs(serial);
            }
            Walk::Held | Walk::Pieces => self.held(),
        }
        if self.sums_rows() {
            self.close_rows();
        }
    }

    /// Whether a thread has a row for itself.
    pub(super) fn is_serial(&self) -> bool {
        matches!(self.pattern.form, Form::Serial | Form::SerialStrided)
    }

    /// The row's length, where it is that of an input.
    pub(super) fn length(&mut self) {
        let full = (0..self.program.inputs.len()).find(|&i| {
            self.pattern.access(i) == Access::Full && self.program.inputs[i].span == Span::Element
        });
        if let Some(i) = full {
            let input = &self.program.inputs[i];
            let name = &input.name;
            let parts = match input.count() {
                1 => String::new(),
                n => format!(" / {n}"),
            };
            let length = format!("{name}_in_shape[{name}_in_ndim - 1]{parts}");
            self.width(&length);
            if self.sums_rows() {
                self.line("uint zk_rows = 1;");
                self.line(format!(
                    "for (int zk_d = 0; zk_d + 1 < int({name}_in_ndim); ++zk_d) zk_rows *= uint({name}_in_shape[zk_d]);"
                ));
            }
        }
    }

    /// The row's length; a constant where the threads' places are all there are, so that nobody asks whether one is in the row.
    fn width(&mut self, length: &str) {
        let length = match self.pattern.walk {
            Walk::Held => format!("WHOLE != 0 ? uint(TG * VEC * ITEMS) : uint({length})"),
            _ => length.to_owned(),
        };
        self.line(format!("const uint zk_n = {length};"));
    }

    /// Which row this is, and how long.
    fn place(&mut self, [at, count]: &[String; 2], axes: &str) {
        if !self.pattern.form.has_dims() {
            self.line(format!("const uint row = {at};"));
            self.length();
            return;
        }
        // A grid with more groups than fit into x goes on along y, and ends within its last line.
        self.line(format!(
            "const size_t zk_item = size_t({axes}.y) * ({count}) + {at};"
        ));
        self.line("if (zk_item >= size_t(zk_dims[0] * zk_dims[2])) return;");
        self.width("uint(zk_dims[1])");
        if self.program.by_rows {
            self.line("const uint row = uint(zk_item);");
        } else {
            self.line("const uint row = uint(zk_item / size_t(zk_dims[2]));");
            self.line("const size_t zk_part = zk_item % size_t(zk_dims[2]);");
            self.line("const uint zk_first = uint(zk_part * size_t(zk_dims[3]));");
            self.line("const uint zk_last = metal::min(zk_n, zk_first + uint(zk_dims[3]));");
        }
    }

    /// Where the row starts in each buffer, and the values that hold for all of it.
    fn pointers(&mut self) {
        let strided: Vec<&str> = (0..self.program.inputs.len())
            .filter(|&i| matches!(self.pattern.access(i), Access::Rows | Access::Starts))
            .map(|i| self.program.inputs[i].name.as_str())
            .collect();
        if !strided.is_empty() {
            for name in &strided {
                self.line(format!("size_t zk_at_{name} = 0;"));
            }
            self.line("uint zk_rest = row;");
            self.line("const int zk_lead = int(zk_dims[4]);");
            self.line("for (int zk_d = zk_lead - 1; zk_d >= 0; --zk_d) {");
            self.line("const uint zk_size = uint(zk_dims[5 + zk_d]);");
            self.line("const uint zk_at = zk_rest % zk_size;");
            self.line("zk_rest /= zk_size;");
            for (k, name) in strided.iter().enumerate() {
                let k = k + 1;
                self.line(format!(
                    "zk_at_{name} += size_t(zk_at) * size_t(zk_dims[5 + {k} * zk_lead + zk_d]);"
                ));
            }
            self.line("}");
        }
        for (i, input) in self.program.inputs.iter().enumerate() {
            let name = &input.name;
            match (self.pattern.access(i), input.span) {
                (Access::Unused, _) => {}
                (Access::Value, _) => self.read(name, &format!("{name}_in")),
                (Access::First, _) => self.read(name, &format!("{name}_in[0]")),
                (Access::Column, _) | (Access::Full, Span::Row) => {
                    self.read(name, &format!("{name}_in[row]"));
                }
                (Access::Starts, _) => self.read(name, &format!("{name}_in[zk_at_{name}]")),
                (Access::Full | Access::Shared | Access::Rows, _) => {
                    let start = match self.pattern.access(i) {
                        Access::Full => format!(" + {}", row_of(input.count())),
                        Access::Rows => format!(" + zk_at_{name}"),
                        _ => String::new(),
                    };
                    for (part, variable) in input.variables().enumerate() {
                        let part = behind(part);
                        self.line(format!(
                            "const auto {variable}_row = {name}_in{start}{part};"
                        ));
                    }
                }
            }
        }
    }

    /// Names of the inputs whose value changes along the row, of those that the expressions mention.
    pub(super) fn along(&self, values: &[Expr]) -> Vec<String> {
        let named: Vec<String> = values.iter().flat_map(|e| e.variables()).collect();
        self.program
            .inputs
            .iter()
            .enumerate()
            .filter(|(i, input)| {
                let way = self.pattern.access(*i);
                input.span == Span::Element
                    && matches!(way, Access::Full | Access::Shared | Access::Rows)
            })
            .flat_map(|(_, input)| input.variables())
            .filter(|v| named.iter().any(|n| n == v))
            .map(str::to_owned)
            .collect()
    }

    fn outputs(&mut self, serial: bool) {
        let outputs: Vec<Output> = self.along_outputs().into_iter().cloned().collect();
        let values = outputs.iter().flat_map(Output::values);
        let elements: Vec<Expr> = values.map(|v| self.last(v)).collect();
        if !elements.is_empty() {
            let cut = self.pattern.form.has_dims() && !self.program.by_rows;
            let (first, last) = match cut {
                true => ("zk_first", "zk_last"),
                false => ("0", "zk_n"),
            };
            let elements = self.hoist(&elements);
            let mut from = first.to_owned();
            if self.pattern.floats {
                from = self.output_blocks(serial, &elements, &outputs, [first, last]);
            }
            self.line(match (serial, &*from) {
                (true, _) => format!("for (uint j = {from}; j < {last}; ++j) {{"),
                (false, "0") => format!("for (uint j = zk_tid; j < {last}; j += TG) {{"),
                (false, _) => format!("for (uint j = {from} + zk_tid; j < {last}; j += TG) {{"),
            });
            for name in self.along(&elements) {
                self.read(&name, &format!("{name}_row[j]"));
            }
            if let Some(k) = &self.kept {
                let (kept, name) = (keep::NAME, self.program.outputs[k.output].name.clone());
                let from = self.waits(&format!("{name}_to[j]"), "j");
                self.line(format!("const float {kept} = float({from});"));
            }
            self.number(&elements);
            self.stores(
                &[Span::Element, Span::Summed],
                Some(elements),
                |o, part| match o.span {
                    Span::Summed => Place::Add(format!("{}_sum[j]", part_of(&o.name, part))),
                    _ => Place::Set(format!("{}_to[j]", part_of(&o.name, part))),
                },
            );
            self.line("}");
        }
        self.row_outputs(if serial { "{" } else { "if (zk_tid == 0) {" });
    }

    /// Outputs with a value a row, written by one thread.
    pub(super) fn row_outputs(&mut self, open: &str) {
        let mut outputs = self.program.outputs.iter().filter(|o| !is_zero(o));
        if outputs.any(|o| o.span == Span::Row) {
            self.line(open);
            self.stores(&[Span::Row], None, |o, _| {
                Place::Set(format!("{}_out[row]", o.name))
            });
            self.line("}");
        }
    }
}

/// Where a row starts whose length is so many times that of a part.
fn row_of(parts: usize) -> String {
    format!("size_t(row) * {}zk_n", times(parts))
}
