//! Programs that are made of a program and compute the same, but for what becomes of it.

use crate::Dtype;

use super::program::{Fold, OutputDtype, Program, Reduction, Span};
use super::{names, terms};

impl Program {
    /// The same program by rows, with these of its outputs summed over all rows.
    pub(crate) fn summed(mut self, which: impl Iterator<Item = bool>) -> Program {
        for (o, summed) in self.outputs.iter_mut().zip(which) {
            if summed {
                o.span = Span::Summed;
                self.by_rows = true;
            }
        }
        self
    }

    /// The same program by rows, with the sum along the row, in float32, of these of its outputs.
    pub(crate) fn along_rows(mut self, which: impl Iterator<Item = bool>) -> Program {
        let mut taken = self.taken();
        for (o, along) in self.outputs.iter_mut().zip(which) {
            if !along {
                continue;
            }
            o.span = Span::Row;
            o.dtype = OutputDtype::Fixed(Dtype::Float32);
            if terms::is_zero(&o.value) {
                continue;
            }
            let name = names::fresh("s", &mut taken);
            let value = std::mem::replace(&mut o.value, terms::variable(&name));
            self.reductions.push(Reduction {
                name,
                fold: Fold::Sum,
                value,
            });
        }
        self
    }

    /// The same program with the values that it sums over rows as values of elements, in float32.
    pub(crate) fn unsummed(&self) -> Program {
        let mut made = self.clone();
        for o in made.outputs.iter_mut().filter(|o| o.span == Span::Summed) {
            o.span = Span::Element;
            o.dtype = OutputDtype::Fixed(Dtype::Float32);
        }
        made
    }

    /// Removes reductions that nothing uses, and one of two that are the same.
    pub(crate) fn tidy(mut self) -> Program {
        let mut i = 0;
        while i < self.reductions.len() {
            let r = &self.reductions[i];
            let twin = self.reductions[..i]
                .iter()
                .find(|o| o.fold == r.fold && o.value == r.value)
                .map(|o| o.name.clone());
            match twin {
                Some(twin) => {
                    let gone = self.reductions.remove(i);
                    self.rename(&gone.name, &twin);
                }
                None => i += 1,
            }
        }
        let mut needed: Vec<String> = Vec::new();
        for value in self.written() {
            needed.extend(value.variables());
        }
        for i in (0..self.reductions.len()).rev() {
            if needed.contains(&self.reductions[i].name) {
                needed.extend(self.reductions[i].mentions());
            } else {
                self.reductions.remove(i);
            }
        }
        self
    }

    fn rename(&mut self, from: &str, to: &str) {
        let to = terms::variable(to);
        for r in &mut self.reductions {
            r.value = r.value.substitute(from, &to);
            match &mut r.fold {
                Fold::Custom(c) => c.init = c.init.substitute(from, &to),
                Fold::At(place) => place.index = place.index.substitute(from, &to),
                Fold::Sum | Fold::Max | Fold::Min => {}
            }
        }
        for value in self.written_mut() {
            *value = value.substitute(from, &to);
        }
    }
}
