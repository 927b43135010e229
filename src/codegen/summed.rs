//! The text of outputs that are summed over all rows.
//!
//! Each group of threads works on some rows, one after the other, and adds up what they contribute: in registers where it holds
//! whole rows there, otherwise in its own row of the output. A launch after it adds the rows of all groups.

use super::pattern::Walk;
use super::program::{Output, Span};
use super::text::{Writer, behind, is_zero, part_of, times};

/// A part of an output that is summed: the number of the part, and how many there are.
struct Sum {
    name: String,
    part: usize,
    of: usize,
}

impl Writer<'_> {
    /// Whether an output of the program is summed over all rows.
    pub(super) fn sums_rows(&self) -> bool {
        self.program.adds_rows()
    }

    /// Whether a row's results go where those of the row before it do not, so that no barrier has to keep the two apart: a thread
    /// that is two rows ahead has met all others in between.
    pub(super) fn takes_sides(&self) -> bool {
        self.sums_rows() && !self.is_serial()
    }

    fn summed(&self) -> impl Iterator<Item = &Output> {
        let outputs = self.program.outputs.iter();
        outputs.filter(|o| o.span == Span::Summed && !is_zero(o))
    }

    fn sums(&self) -> Vec<Sum> {
        let parts = |o: &Output| {
            let (name, of) = (o.name.clone(), o.count());
            (0..of).map(move |part| Sum {
                name: name.clone(),
                part,
                of,
            })
        };
        self.summed().flat_map(parts).collect()
    }

    /// The loop over a group's rows.
    pub(super) fn open_rows(&mut self, [at, count]: &[String; 2]) {
        if self.pattern.form.has_dims() {
            self.line("const uint zk_n = uint(zk_dims[1]), zk_rows = uint(zk_dims[0]);");
        } else {
            self.length();
        }
        self.line(format!(
            "const size_t zk_group = {at}, zk_groups = {count};"
        ));
        self.line("const uint zk_top = uint(zk_rows * zk_group / zk_groups);");
        self.line("const uint zk_end = uint(zk_rows * (zk_group + 1) / zk_groups);");
        for Sum { name, part, of } in self.sums() {
            let from = format!("{name}_out + zk_group * {}zk_n{}", times(of), behind(part));
            let name = part_of(&name, part);
            match self.pattern.walk {
                Walk::Held => {
                    self.line(format!("float zk_sum_{name}[ITEMS * VEC];"));
                    self.line(format!(
                        "for (int zk_k = 0; zk_k < ITEMS * VEC; ++zk_k) zk_sum_{name}[zk_k] = 0.0f;"
                    ));
                }
                Walk::Pieces => {
                    self.line(format!("const auto {name}_sum = {from};"));
                    self.line("for (uint zk_b = zk_tid * VEC; zk_b < zk_n; zk_b += TG * VEC)");
                    self.line(format!(
                        "  for (uint zk_l = 0; zk_l < VEC; ++zk_l) {name}_sum[zk_b + zk_l] = 0.0f;"
                    ));
                }
                Walk::Loop => {
                    self.line(format!("const auto {name}_sum = {from};"));
                    let (first, step) = match self.is_serial() {
                        true => ("0", "1"),
                        false => ("zk_tid", "TG"),
                    };
                    self.line(format!(
                        "for (uint j = {first}; j < zk_n; j += {step}) {name}_sum[j] = 0.0f;"
                    ));
                }
            }
        }
        self.hold_for_all_rows();
        self.line("for (uint row = zk_top; row < zk_end; ++row) {");
        if self.takes_sides() && !self.program.reductions.is_empty() {
            self.line("const uint zk_side = row % 2 * 32;");
        }
        if self.loads_ahead() {
            // The last row is loaded once more, which is sooner done than a branch.
            self.line("zk_then = metal::min(row + 1, zk_end - 1);");
        }
    }

    /// The end of that loop, and what the group has in registers.
    pub(super) fn close_rows(&mut self) {
        self.line("}");
        if self.pattern.walk != Walk::Held {
            return;
        }
        self.line("for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {");
        self.line("const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;");
        self.line("if (zk_b < zk_n) {");
        for Sum { name, part, of } in self.sums() {
            let (of, from, sum) = (times(of), behind(part), part_of(&name, part));
            self.line("for (int zk_l = 0; zk_l < VEC; ++zk_l) {");
            self.line(format!(
                "{name}_out[zk_group * {of}zk_n{from} + zk_b + zk_l] = zk_sum_{sum}[zk_k * VEC + zk_l];"
            ));
            self.line("}");
        }
        self.line("}");
        self.line("}");
    }
}
