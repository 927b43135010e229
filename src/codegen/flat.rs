//! The text of operations without rows, whose arrays all have the result's shape or are single numbers.

use super::pattern::Access;
use super::program::Span;
use super::text::{Place, Writer, is_zero};

impl Writer<'_> {
    /// A thread for each element.
    pub(super) fn flat(&mut self) {
        self.typedef();
        self.line("const uint zk_i = thread_position_in_grid.x;");
        if self.program.mentions("elem") {
            self.line("const uint elem = zk_i;");
        }
        self.numbers();
        for name in self.full() {
            self.read(&name, &format!("{name}_in[zk_i]"));
        }
        self.stores(&[Span::Element], None, |o, _| {
            Place::Set(format!("{}_out[zk_i]", o.name))
        });
    }

    /// A thread for each block of `VEC` elements, see `kernels/blocks.metal` and `kernels/floats.metal`.
    pub(super) fn blocks(&mut self) {
        self.typedef();
        self.line("const uint zk_i = thread_position_in_grid.x;");
        self.numbers();
        for name in self.full() {
            self.line(match self.pattern.floats {
                true => format!(
                    "const auto zk_in_{name} = kk_as_floats<VEC>({name}_in + size_t(zk_i) * VEC);"
                ),
                false => format!("const auto zk_in_{name} = kk_load<VEC>({name}_in, zk_i);"),
            });
        }
        let outputs = self.program.outputs.iter().filter(|o| !is_zero(o));
        let outputs: Vec<&str> = outputs.map(|o| o.name.as_str()).collect();
        for (n, name) in outputs.iter().enumerate() {
            self.line(match self.pattern.floats {
                true => {
                    format!("auto zk_to_{name} = kk_open<VEC>({name}_out + size_t(zk_i) * VEC);")
                }
                false => format!("kk_block<O{n}, VEC> zk_out_{name};"),
            });
        }
        let floats = self.pattern.floats;
        // `kk_put` has a place among `zk_l`.
        let at = if floats { "zk_l" } else { "zk_k" };
        let number = if floats { "int" } else { "uint" };
        self.line(format!("for ({number} {at} = 0; {at} < VEC; ++{at}) {{"));
        if self.program.mentions("elem") {
            self.line(format!("const uint elem = zk_i * VEC + {at};"));
        }
        let value = if floats { "" } else { ".v" };
        for name in self.full() {
            self.read(&name, &format!("zk_in_{name}{value}[{at}]"));
        }
        self.stores(&[Span::Element], None, |o, _| match floats {
            true => Place::Put(format!("zk_to_{}", o.name)),
            false => Place::Set(format!("zk_out_{}.v[zk_k]", o.name)),
        });
        self.line("}");
        for name in outputs {
            self.line(match floats {
                true => format!("kk_close<VEC>({name}_out + size_t(zk_i) * VEC, zk_to_{name});"),
                false => format!("kk_store_block({name}_out, zk_i, zk_out_{name});"),
            });
        }
    }

    /// Inputs that are one number for all elements.
    fn numbers(&mut self) {
        for (i, input) in self.program.inputs.iter().enumerate() {
            let name = &input.name;
            match self.pattern.access(i) {
                Access::Value => self.read(name, &format!("{name}_in")),
                Access::First => self.read(name, &format!("{name}_in[0]")),
                _ => {}
            }
        }
    }

    /// Names of the inputs with a number for each element.
    fn full(&self) -> Vec<String> {
        let inputs = self.program.inputs.iter().enumerate();
        inputs
            .filter(|(i, _)| self.pattern.access(*i) == Access::Full)
            .map(|(_, input)| input.name.clone())
            .collect()
    }
}
