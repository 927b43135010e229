//! The text of blocks that are read as floats and written from them, see `kernels/floats.metal`.
//!
//! Only for kernels on a CPU with arrays of 16 bits, whose conversion costs more there than what is computed.

use crate::expr::Expr;

use super::keep;
use super::pattern::Access;
use super::program::{Output, Span};
use super::text::{Place, Writer, part_of};

impl Writer<'_> {
    /// Declares the block of an input that begins at `place`.
    pub(super) fn block(&mut self, name: &str, place: &str) {
        self.line(match self.pattern.floats {
            true => format!("const auto {name}_at = kk_as_floats<VEC>({place});"),
            false => format!("const auto {name}_at = {place};"),
        });
    }

    /// Asks memory for the same block of the next row, of an input that has one.
    pub(super) fn ahead(&mut self, name: &str, place: &str) {
        let inputs = self.program.inputs.iter().enumerate();
        let owner = inputs
            .filter(|(i, _)| self.pattern.access(*i) == Access::Full)
            .find(|(_, input)| input.variables().any(|v| v == name));
        if let Some((_, input)) = owner {
            let parts = input.count();
            self.line(format!("kk_ahead<VEC>({place} + size_t(zk_n) * {parts});"));
        }
    }

    /// Writes the outputs along the row by blocks. Gives where the elements begin that are left over.
    pub(super) fn output_blocks(
        &mut self,
        serial: bool,
        elements: &[Expr],
        outputs: &[Output],
        [first, last]: [&str; 2],
    ) -> String {
        let (count, start) = match first {
            "0" => (format!("{last} / VEC"), String::new()),
            _ => (format!("({last} - {first}) / VEC"), format!("{first} + ")),
        };
        self.line(format!("const uint zk_whole = {count};"));
        self.line(match serial {
            true => "for (uint zk_b = 0; zk_b < zk_whole; ++zk_b) {",
            false => "for (uint zk_b = zk_tid; zk_b < zk_whole; zk_b += TG) {",
        });
        self.line(format!("const uint zk_j = {start}zk_b * VEC;"));
        let along = self.along(elements);
        let ahead = self.pattern.ahead && self.passes == 1;
        for name in &along {
            let place = format!("{name}_row + zk_j");
            self.block(name, &place);
            if ahead {
                self.ahead(name, &place);
            }
        }
        let mut written = Vec::new();
        for o in outputs {
            for part in 0..o.count() {
                let name = part_of(&o.name, part);
                match o.span {
                    Span::Summed => {
                        self.line(format!("const auto {name}_by = {name}_sum + zk_j;"));
                    }
                    _ => written.push(name),
                }
            }
        }
        for name in &written {
            self.line(format!(
                "auto zk_to_{name} = kk_open<VEC>({name}_to + zk_j);"
            ));
        }
        self.line("for (int zk_l = 0; zk_l < VEC; ++zk_l) {");
        let places = |e: &Expr| {
            let names = e.variables();
            names.contains("j") || names.contains("elem")
        };
        if elements.iter().any(places) {
            self.line("const uint j = zk_j + zk_l;");
        }
        for name in &along {
            self.read(name, &format!("{name}_at[zk_l]"));
        }
        if let Some(k) = &self.kept {
            let (kept, name) = (keep::NAME, self.program.outputs[k.output].name.clone());
            let from = self.waits(&format!("zk_to_{name}[zk_l]"), "zk_j + zk_l");
            self.line(format!("const float {kept} = float({from});"));
        }
        self.number(elements);
        self.stores(
            &[Span::Element, Span::Summed],
            Some(elements.to_vec()),
            |o, part| match o.span {
                Span::Summed => Place::Add(format!("{}_by[zk_l]", part_of(&o.name, part))),
                _ => Place::Put(format!("zk_to_{}", part_of(&o.name, part))),
            },
        );
        self.line("}");
        for name in &written {
            self.line(format!("kk_close<VEC>({name}_to + zk_j, zk_to_{name});"));
        }
        self.line("}");
        match first {
            "0" => "zk_whole * VEC".into(),
            _ => format!("{first} + zk_whole * VEC"),
        }
    }
}
