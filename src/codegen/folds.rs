//! The text of the passes that reduce a row.
//!
//! Each pass does all reductions whose operands are known. Threads take blocks of `VEC` neighbours in
//! turn, with an accumulator for each place in a block: that is what lets a compiler that may not
//! reorder sums use vector registers. On a GPU the threads' results meet in the simdgroup, and those of
//! the simdgroups in a small array, at the cost of one barrier a pass.

use crate::Dtype;
use crate::expr::Expr;

use super::pattern::Keeps;
use super::places;
use super::program::{Custom, Fold, Program, Reduction};
use super::text::{Writer, wide_name};

/// Writes all passes.
pub(super) fn passes(w: &mut Writer<'_>, serial: bool) {
    if w.program.reductions.is_empty() {
        return;
    }
    if !w
        .program
        .reductions
        .iter()
        .all(|r| is_ordered(r) || is_place(r))
    {
        w.line("const uint zk_blocks = zk_n / VEC;");
    }
    for (level, of_level) in by_level(w.program).into_iter().enumerate() {
        let (of_places, of_level): (Vec<_>, Vec<_>) =
            of_level.into_iter().partition(|(_, r)| is_place(r));
        let (ordered, free): (Vec<_>, Vec<_>) =
            of_level.into_iter().partition(|(_, r)| is_ordered(r));
        for (_, r) in ordered {
            in_order(w, r);
        }
        if !free.is_empty() {
            let keeps = w.kept.as_ref().is_some_and(|k| k.level == level);
            pass(w, &free, serial, keeps);
        }
        for (i, r) in of_places {
            places::written(w, i, r, false);
        }
    }
}

/// The reductions of each pass over the row, with their numbers; the first are those that need no pass.
pub(super) fn by_level(program: &Program) -> Vec<Vec<(usize, &Reduction)>> {
    let levels = program.levels();
    let last = levels.iter().copied().max().unwrap_or(0);
    let of = |level| {
        let all = program.reductions.iter().enumerate();
        all.filter(|(i, _)| levels[*i] == level).collect()
    };
    (0..=last).map(of).collect()
}

pub(super) fn is_place(r: &Reduction) -> bool {
    matches!(r.fold, Fold::At(_))
}

fn is_ordered(r: &Reduction) -> bool {
    matches!(&r.fold, Fold::Custom(c) if c.combine.is_none())
}

/// A reduction whose elements must come one after the other.
fn in_order(w: &mut Writer<'_>, r: &Reduction) {
    let Fold::Custom(c) = &r.fold else { return };
    let wide = wide_name(w.program.compute);
    let name = &r.name;
    w.line(format!("{wide} {name} = {};", c.init.to_msl()));
    w.line("for (uint j = 0; j < zk_n; ++j) {");
    for input in w.along(std::slice::from_ref(&r.value)) {
        w.read(&input, &format!("{input}_row[j]"));
    }
    w.number(std::slice::from_ref(&r.value));
    w.line(format!("const {wide} {} = {name};", c.acc));
    let values = w.shared(std::slice::from_ref(&r.value), "zk_t");
    w.line(format!("{name} = {wide}({});", values[0]));
    w.line("}");
}

fn pass(w: &mut Writer<'_>, reductions: &[(usize, &Reduction)], serial: bool, keeps: bool) {
    let wide = wide_name(w.program.compute);
    for (_, r) in reductions {
        let start = start(&r.fold, w.program.compute);
        w.line(format!("{wide} {} = {start};", r.name));
    }
    w.line("{");
    // Sums of floats by runs of a few blocks, as a large element swallows the small ones that come after it.
    let sums: Vec<usize> = reductions
        .iter()
        .filter(|(_, r)| r.fold == Fold::Sum && w.program.compute.is_floating())
        .map(|(i, _)| *i)
        .collect();
    for i in &sums {
        w.line(format!("float zk_w{i}[VEC], zk_r{i}[VEC];"));
        w.line(format!(
            "for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w{i}[zk_l] = zk_r{i}[zk_l] = 0.0f;"
        ));
    }
    for (i, r) in reductions.iter().filter(|(i, _)| !sums.contains(i)) {
        w.line(format!("{wide} zk_a{i}[VEC];"));
        let name = &r.name;
        w.line(format!(
            "for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a{i}[zk_l] = {name};"
        ));
    }
    let values: Vec<Expr> = reductions.iter().map(|(_, r)| r.value.clone()).collect();
    let along = w.along(&values);
    let mut known: Vec<Expr> = reductions
        .iter()
        .filter(|(_, r)| !matches!(r.fold, Fold::Custom(_)))
        .map(|(_, r)| r.value.clone())
        .collect();
    if let Some(k) = w.kept.as_ref().filter(|_| keeps) {
        known.push(k.value.clone());
    }
    let known = w.hoist(&known);
    let uses_j = values.iter().any(|v| {
        let names = v.variables();
        names.contains("j") || names.contains("elem")
    });
    let (first, step) = if serial { ("0", "1") } else { ("zk_tid", "TG") };
    if sums.is_empty() {
        w.line(format!(
            "for (uint zk_b = {first}; zk_b < zk_blocks; zk_b += {step}) {{"
        ));
    } else {
        w.line(format!(
            "for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * {step}) {{"
        ));
        w.line(format!(
            "const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * {step});"
        ));
        // Accumulators of one run: compilers keep those in registers that do not outlive it.
        for i in &sums {
            w.line(format!("float zk_a{i}[VEC];"));
            w.line(format!(
                "for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a{i}[zk_l] = 0.0f;"
            ));
        }
        w.line(format!(
            "for (uint zk_b = zk_c + {first}; zk_b < zk_e; zk_b += {step}) {{"
        ));
    }
    // The first pass waits for memory and computes little, the second has the row in the cache.
    let ahead = w.pattern.ahead && w.passes == 1;
    w.passes += 1;
    for name in &along {
        let place = format!("{name}_row + zk_b * VEC");
        w.block(name, &place);
        if ahead {
            w.ahead(name, &place);
        }
    }
    let output = w.kept.as_ref().filter(|_| keeps);
    let output = output.map(|k| w.program.outputs[k.output].name.clone());
    if let Some(name) = &output
        && w.pattern.keeps == Keeps::InOutput
    {
        w.line(format!("const auto {name}_at = {name}_to + zk_b * VEC;"));
    }
    let waits = |by: &str, at: &str| {
        let name = output.as_ref()?;
        Some(w.waits(&format!("{name}_{by}"), at))
    };
    let in_block = waits("at[zk_l]", "zk_b * VEC + zk_l");
    let in_row = waits("to[j]", "j");
    w.line("for (int zk_l = 0; zk_l < VEC; ++zk_l) {");
    if uses_j {
        w.line("const uint j = zk_b * VEC + zk_l;");
    }
    for name in &along {
        w.read(name, &format!("{name}_at[zk_l]"));
    }
    w.number(&values);
    updates(w, reductions, &known, in_block, |i, _| {
        format!("zk_a{i}[zk_l]")
    });
    w.line("}");
    w.line("}");
    if !sums.is_empty() {
        w.line("for (int zk_l = 0; zk_l < VEC; ++zk_l) {");
        for i in &sums {
            w.line(format!(
                "kk_two_sum(zk_w{i}[zk_l], zk_r{i}[zk_l], zk_a{i}[zk_l]);"
            ));
        }
        w.line("}");
        w.line("}");
    }
    w.line(format!(
        "for (uint j = zk_blocks * VEC + {first}; j < zk_n; j += {step}) {{"
    ));
    for name in &along {
        w.read(name, &format!("{name}_row[j]"));
    }
    w.number(&values);
    updates(w, reductions, &known, in_row, |_, r| r.name.clone());
    w.line("}");
    w.line("for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {");
    w.line("for (int zk_l = 0; zk_l < zk_h; ++zk_l) {");
    for (i, r) in reductions {
        let accumulators: &[&str] = match sums.contains(i) {
            true => &["zk_w", "zk_r"],
            false => &["zk_a"],
        };
        for a in accumulators {
            let to = format!("{a}{i}[zk_l]");
            join(w, &r.fold, &to, &format!("{a}{i}[zk_l + zk_h]"));
        }
    }
    w.line("}");
    w.line("}");
    for (i, r) in reductions {
        match sums.contains(i) {
            true => w.line(format!(
                "{0} = kk_with_rest({0} + zk_w{i}[0], zk_r{i}[0]);",
                r.name
            )),
            false => join(w, &r.fold, &r.name, &format!("zk_a{i}[0]")),
        }
    }
    w.line("}");
    if !serial {
        between_threads(w, reductions);
    }
}

/// Adds one element to the accumulators; what is kept goes to `store`.
pub(super) fn updates(
    w: &mut Writer<'_>,
    reductions: &[(usize, &Reduction)],
    values: &[Expr],
    store: Option<String>,
    place: impl Fn(usize, &Reduction) -> String,
) {
    let wide = wide_name(w.program.compute);
    let known: Vec<&(usize, &Reduction)> = reductions
        .iter()
        .filter(|(_, r)| !matches!(r.fold, Fold::Custom(_)))
        .collect();
    let mut values = w.shared(values, "zk_t");
    if let Some(place) = store
        && let Some(value) = values.pop()
    {
        w.line(format!("{place} = {value};"));
    }
    for ((i, r), value) in known.into_iter().zip(values) {
        let to = place(*i, r);
        match r.fold {
            Fold::Max => w.line(format!("{to} = metal::max({to}, {wide}({value}));")),
            Fold::Min => w.line(format!("{to} = metal::min({to}, {wide}({value}));")),
            _ => w.line(format!("{to} += {wide}({value});")),
        }
    }
    for (i, r) in reductions {
        if let Fold::Custom(c) = &r.fold {
            let to = place(*i, r);
            w.line("{");
            w.line(format!("const {wide} {} = {to};", c.acc));
            let values = w.shared(std::slice::from_ref(&r.value), "zk_u");
            w.line(format!("{to} = {wide}({});", values[0]));
            w.line("}");
        }
    }
}

/// `to` becomes both as one.
fn join(w: &mut Writer<'_>, fold: &Fold, to: &str, from: &str) {
    match fold {
        Fold::Sum => w.line(format!("{to} += {from};")),
        Fold::Max => w.line(format!("{to} = metal::max({to}, {from});")),
        Fold::Min => w.line(format!("{to} = metal::min({to}, {from});")),
        Fold::Custom(c) => {
            let wide = wide_name(w.program.compute);
            let value = combined(c);
            w.line(format!(
                "{{ const {wide} a = {to}, b = {from}; {to} = {wide}({value}); }}"
            ));
        }
        Fold::At(_) => {}
    }
}

fn combined(c: &Custom) -> String {
    c.combine.as_ref().map(Expr::to_msl).unwrap_or_default()
}

/// What changes nothing when it is joined with something.
pub(super) fn start(fold: &Fold, compute: Dtype) -> String {
    let wide = wide_name(compute);
    match fold {
        Fold::Sum => format!("{wide}(0)"),
        Fold::Max if compute.is_floating() => "-INFINITY".into(),
        Fold::Min if compute.is_floating() => "INFINITY".into(),
        Fold::Max => format!("metal::numeric_limits<{wide}>::lowest()"),
        Fold::Min => format!("metal::numeric_limits<{wide}>::max()"),
        Fold::Custom(c) => c.init.to_msl(),
        Fold::At(place) => place.otherwise.to_msl(),
    }
}

/// Joins the results of a row's threads; every thread has the outcome.
pub(super) fn between_threads(w: &mut Writer<'_>, reductions: &[(usize, &Reduction)]) {
    for (_, r) in reductions {
        in_simdgroup(w, r);
    }
    let side = if w.takes_sides() { "zk_side + " } else { "" };
    let cell = |i: usize, at: &str| format!("zk_s{i}[{side}{at}]");
    w.line("if (TG > 32) {");
    for (i, r) in reductions {
        let place = cell(*i, "zk_simd");
        w.line(format!("if (zk_lane == 0) {place} = {};", r.name));
    }
    w.line("metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);");
    for (i, r) in reductions {
        let name = &r.name;
        match &r.fold {
            Fold::Custom(_) => {
                w.line(format!("{name} = {};", cell(*i, "0")));
                w.line("for (int zk_l = 1; zk_l < TG / 32; ++zk_l) {");
                join(w, &r.fold, name, &cell(*i, "zk_l"));
                w.line("}");
            }
            fold => w.line(format!(
                "{name} = kk_simds_{}<TG>({side}zk_s{i});",
                word(fold)
            )),
        }
    }
    w.line("}");
}

/// A known fold in the names of functions.
fn word(fold: &Fold) -> &'static str {
    match fold {
        Fold::Max => "max",
        Fold::Min => "min",
        _ => "sum",
    }
}

fn in_simdgroup(w: &mut Writer<'_>, r: &Reduction) {
    let name = &r.name;
    match &r.fold {
        Fold::At(_) => {}
        Fold::Custom(_) => {
            w.line("for (int zk_h = (TG < 32 ? TG : 32) / 2; zk_h > 0; zk_h /= 2) {");
            w.line(format!(
                "const {} zk_other = metal::simd_shuffle_xor({name}, ushort(zk_h));",
                wide_name(w.program.compute)
            ));
            join(w, &r.fold, name, "zk_other");
            w.line("}");
        }
        fold => w.line(format!("{name} = kk_lanes_{}<TG>({name});", word(fold))),
    }
}
