//! The text of a maximum and a sum of exponentials below it, in one pass over a row that is loaded piece by piece.
//!
//! A softmax takes the largest element off before it adds the exponentials, which is a second pass. But a sum that was taken
//! with another largest element only has to be scaled (M. Milakov and N. Gimelshein, "Online normalizer calculation for
//! softmax", 2018).

use crate::Dtype;
use crate::expr::{Expr, Part};

use super::folds;
use super::pattern::Walk;
use super::program::{Fold, Reduction};
use super::text::Writer;

/// The two reductions, and the parts of the sum's `exp(element - shift)`.
pub(super) struct Scaled<'a> {
    most: (usize, &'a Reduction),
    sum: (usize, &'a Reduction),
    element: Expr,
    shift: Expr,
}

impl<'a> Scaled<'a> {
    /// These reductions of two passes as one, where that is possible.
    pub(super) fn of(
        w: &Writer<'_>,
        first: &[(usize, &'a Reduction)],
        second: &[(usize, &'a Reduction)],
    ) -> Option<Scaled<'a>> {
        let ([most], [sum]) = (first, second) else {
            return None;
        };
        let pieces = w.pattern.walk == Walk::Pieces && w.program.compute == Dtype::Float32;
        if !pieces || most.1.fold != Fold::Max || sum.1.fold != Fold::Sum {
            return None;
        }
        let power = &sum.1.value;
        let [argument] = power.arguments() else {
            return None;
        };
        let text = power.to_msl();
        let is_exp = ["metal::", "metal::fast::", "metal::precise::"]
            .iter()
            .any(|space| text.starts_with(&format!("{space}exp(")));
        let Part::Difference(element, shift) = argument.part() else {
            return None;
        };
        let mentions = |e: &Expr| e.variables().contains(&most.1.name);
        let fits = is_exp
            && !mentions(&element)
            && mentions(&shift)
            && w.program.is_row_level(&shift)
            && w.program
                .reductions
                .iter()
                .all(|r| r.name == most.1.name || !shift.variables().contains(&r.name));
        fits.then_some(Scaled {
            most: *most,
            sum: *sum,
            element,
            shift,
        })
    }

    /// The shift for a largest element of this name; any will do where there is none yet.
    fn shift_for(&self, most: &str) -> String {
        let shift = self.shift.substitute(&self.most.1.name, &Expr::var(most));
        format!("{most} == -INFINITY ? 0.0f : float({})", shift.to_msl())
    }

    /// The exponential of the difference of two.
    fn power(&self, element: &Expr, shift: &str) -> Expr {
        let power = self.sum.1.value.replace(&self.shift, &Expr::var(shift));
        power.replace(&self.element, element)
    }
}

impl Writer<'_> {
    /// Both reductions.
    pub(super) fn scaled_pass(&mut self, both: &Scaled<'_>) {
        let (most, sum) = (&both.most.1.name, &both.sum.1.name);
        self.line(format!("float {most} = -INFINITY, {sum} = 0.0f;"));
        self.line("{");
        self.line("float zk_rest = 0.0f;");
        self.line("for (uint zk_from = 0; zk_from < zk_n; zk_from += TG * VEC * ITEMS) {");
        self.line("const uint zk_c = metal::min(zk_n - zk_from, uint(TG * VEC * ITEMS));");
        let values = [both.most.1.value.clone(), both.element.clone()];
        self.hold(&values, Some("zk_from"));
        self.line(format!("float zk_most = {most};"));
        let largest = &values[..1];
        self.elements(
            largest,
            |_| {},
            |w| {
                let value = w.shared(largest, "zk_t").remove(0);
                w.line(format!("zk_most = metal::max(zk_most, float({value}));"));
            },
            |_| {},
        );
        let (old, new) = (both.shift_for(most), both.shift_for("zk_most"));
        self.line(format!("const float zk_old = {old}, zk_new = {new};"));
        self.line("float zk_part = 0.0f;");
        let power = both.power(&both.element, "zk_new");
        let power = std::slice::from_ref(&power);
        self.elements(
            power,
            |_| {},
            |w| {
                let value = w.shared(power, "zk_t").remove(0);
                w.line(format!("zk_part += float({value});"));
            },
            |_| {},
        );
        // Before the first element that counts the sum is 0, or NaN.
        self.line(format!("if ({most} != -INFINITY && {most} != zk_most) {{"));
        let scale = both.power(&Expr::var("zk_old"), "zk_new");
        let scale = self.shared(&[scale], "zk_u").remove(0);
        self.line(format!("const float zk_scale = {scale};"));
        self.line(format!("{sum} *= zk_scale;"));
        self.line("zk_rest *= zk_scale;");
        self.line("}");
        self.line(format!("kk_two_sum({sum}, zk_rest, zk_part);"));
        self.line(format!("{most} = zk_most;"));
        self.line("}");
        self.line(format!("{sum} = kk_with_rest({sum}, zk_rest);"));
        self.line("}");
        // Now of the whole row.
        let own = format!("zk_own{}", both.most.0);
        self.line(format!("const float {own} = {most};"));
        folds::between_threads(self, &[both.most]);
        self.line(format!("if ({own} != -INFINITY && {own} != {most}) {{"));
        let (old, new) = (both.shift_for(&own), both.shift_for(most));
        self.line(format!("const float zk_old = {old}, zk_new = {new};"));
        let scale = both.power(&Expr::var("zk_old"), "zk_new");
        let scale = self.shared(&[scale], "zk_u").remove(0);
        self.line(format!("{sum} *= {scale};"));
        self.line("}");
        folds::between_threads(self, &[both.sum]);
    }
}
