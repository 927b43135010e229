//! Lowers MSL text to C++ by rewriting tokens.
//!
//! The pass is lexical (docs/ARCHITECTURE.md, decision 3): it takes out what C++ does not know
//! (address spaces, attributes), rewrites what only the parser can tell apart (swizzles, literals),
//! and leaves the meaning of everything else to the runtime headers. It knows no types, never
//! panics, and keeps every line where it was, so that a compiler's message leads back to the line
//! that the user wrote.
//!
//! What differs between engines is a [`Target`]: how storage is declared, which header gives the
//! language its meaning, and the entry points around the kernel function.

mod anonymous;
mod call;
pub(crate) mod checked;
mod constants;
mod constructors;
mod designators;
mod division;
mod edits;
mod expand;
mod functions;
mod guards;
pub(crate) mod items;
mod lexer;
mod map;
mod overloads;
mod reach;
mod scalars;
mod signature;
mod source;
mod spaces;
mod tags;
mod templates;
mod ternary;
#[cfg(test)]
mod tests;
mod unused;
mod words;

use std::collections::HashSet;

pub(in crate::engine) use call::call;
use division::Divisions;
use edits::{Edits, Output};
use lexer::Kind;
pub use map::SourceMap;
use overloads::Plan;
pub use signature::{ATTRIBUTES, Binding, GridType, Param, Signature};
use source::Source;

use super::error::{LowerError, Region};

/// How the threads of a threadgroup have to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Threads are independent: a plain loop.
    Plain,
    /// Threads meet at barriers or simdgroup operations: one coroutine each.
    Sync,
    /// They would meet, but each threadgroup has one thread only.
    Single,
}

/// Which liberties floating-point arithmetic may take, as MLX's `math_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MathMode {
    /// IEEE behaviour of NaN, infinities and signed zeros.
    #[default]
    Safe,
    /// Reassociation, but NaN and infinities kept.
    Relaxed,
    /// Whatever is fastest.
    Fast,
}

/// The modes by the names that files have for them.
pub(crate) const MATH_MODES: [(&str, MathMode); 3] = [
    ("safe", MathMode::Safe),
    ("relaxed", MathMode::Relaxed),
    ("fast", MathMode::Fast),
];

/// What a target needs to know about a kernel.
pub struct Facts<'a> {
    /// The kernel function.
    pub signature: &'a Signature,
    /// How its threads run.
    pub mode: Mode,
    /// Whether the code relies on threadgroups of one thread.
    pub single: bool,
    /// The type of each parameter as rewritten, without its name.
    pub types: Vec<String>,
}

/// An engine's own part of the lowering.
pub trait Target {
    /// What precedes the text: the mode and the runtime header.
    fn prologue(&self, mode: Mode) -> String;
    /// How a variable shared by a threadgroup is declared, one whose declaration says its alignment or may say it, or another.
    fn threadgroup_variable(&self, aligned: bool) -> &'static str;
    /// A macro of a type, a name and a number that makes such a variable, where a qualifier is not enough.
    fn shared(&self) -> Option<&'static str> {
        None
    }
    /// The qualifiers of the kernel function.
    fn kernel_function(&self) -> &'static str {
        "static inline __attribute__((always_inline)) "
    }
    /// What the kernel function is called in the lowered text, where that is not its own name. Texts that differ in nothing else
    /// are then one.
    fn kernel_name(&self) -> Option<&'static str> {
        None
    }
    /// The qualifier of a buffer parameter.
    fn buffer_qualifier(&self) -> &'static str;
    /// A function to call on each alternative of a conditional expression, if the target needs one.
    fn alternative(&self) -> Option<&'static str> {
        Some("zmlx_alt")
    }
    /// A word to put into each division, if the target needs one.
    fn divisor(&self) -> Option<&'static str>;
    /// The functions that the engine calls.
    fn entry(&self, facts: &Facts<'_>) -> String;
    /// Code around a loop that could run for ever, if the target stops such loops.
    fn loop_guard(&self) -> Option<guards::LoopGuard>;
    /// Whether pointers know their address space and buffer.
    fn checked(&self) -> bool {
        false
    }
}

pub use guards::LoopGuard;

/// Lowered text and what is known about it.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// C++ text, entry points included.
    pub text: String,
    /// The kernel function.
    pub kernel: String,
    /// How its threads run.
    pub mode: Mode,
    /// Whether the code relies on threadgroups of one thread.
    pub single: bool,
    /// Number of buffers in the signature.
    pub buffers: usize,
    /// Their names, by index.
    pub names: Vec<String>,
    /// The way back to the MSL.
    pub map: SourceMap,
}

/// Words that only make sense among the threads of a threadgroup. A word that starts like an
/// operation of a simdgroup or quadgroup counts as one.
fn synchronizes(words: &HashSet<&str>) -> bool {
    const NAMED: [&str; 3] = ["threadgroup_barrier", "simdgroup_barrier", "threadgroup"];
    const STARTS: [&str; 3] = ["simd_", "quad_", "simdgroup_"];
    // Grid attributes share the beginning, but are mere numbers.
    const NUMBERS: [&str; 1] = ["simdgroup_index_in_threadgroup"];
    words.iter().any(|word| {
        NAMED.contains(word)
            || (STARTS.iter().any(|start| word.starts_with(start)) && !NUMBERS.contains(word))
    })
}

/// Lowers `text`, the complete MSL of one kernel, for `target`. `single` promises threadgroups of
/// one thread.
pub fn lower(text: &str, single: bool, target: &dyn Target) -> Result<Lowered, LowerError> {
    let written_out = expand::definitions(text);
    let text: &str = &written_out;
    let source = Source::new(text);
    let mut signature = signature::find(&source)?;
    let words = reach::words(&source, signature.start);
    let mode = match (synchronizes(&words), single) {
        (false, _) => Mode::Plain,
        (true, true) => Mode::Single,
        (true, false) => Mode::Sync,
    };
    // A kernel that cannot tell the difference is the same for every size of threadgroup.
    let single = single && (mode == Mode::Single || signature.asks_for_group());

    let mut edits = Edits::new(&source);
    let program = source.cursor(&source.program);
    if let Some(read) = constants::initialize(program, &words, &mut edits) {
        return Err(LowerError::FunctionConstant {
            kernel: signature.name,
            constant: program.str(read).to_owned(),
        });
    }
    let aliases = spaces::aliases(&source);
    let plan = overloads::plan(program, signature.start, &aliases, &words);
    if let Some(operator) = plan.refused {
        return Err(LowerError::Overloads {
            kernel: signature.name,
            function: operator,
        });
    }
    rewrite(&source, &signature, &plan, target, &mut edits);
    // Entry points have plain pointers for the buffers.
    let plain = (plan.typed && !target.checked()).then(|| {
        let mut edits = Edits::new(&source);
        rewrite(&source, &signature, &Plan::default(), target, &mut edits);
        edits
    });
    let types = signature
        .params
        .iter()
        .map(|p| type_text(&source, p, plain.as_ref().unwrap_or(&edits)))
        .collect();
    declare_kernel(&source, &signature, &plan, target, &mut edits);
    let kernel = signature.name.clone();
    if let Some(name) = target.kernel_name()
        && let Some(token) = only_mention(&source, &signature)
    {
        edits.replace(token, name);
        name.clone_into(&mut signature.name);
    }
    let facts = Facts {
        signature: &signature,
        mode,
        single,
        types,
    };

    let mut out = Output::default();
    out.line(&target.prologue(mode));
    if plan.typed && !target.checked() {
        out.line("#include \"common/spaces.h\"");
    }
    let mut map = SourceMap::new(text);
    let token = |position: usize| source.program[position];
    let parts = [
        (Region::Header, 0),
        (Region::Signature, token(signature.start)),
        (Region::Source, body_start(&source, token(signature.body))),
    ];
    for (index, &(region, from)) in parts.iter().enumerate() {
        let to = parts
            .get(index + 1)
            .map_or(source.tokens.len(), |next| next.1);
        out.line(&format!("#line 1 \"{}\"", region.file()));
        map.begin(
            region,
            source.tokens.get(from).map_or(text.len(), |t| t.start),
            out.text.len(),
        );
        edits.write(&source, from, to, &mut out);
    }
    out.line("#line 1 \"<entry>\"");
    map.finish(std::mem::take(&mut out.map), out.text.len());
    out.text.push_str(&target.entry(&facts));
    let names = signature.buffer_names();
    Ok(Lowered {
        text: out.text,
        kernel,
        mode,
        single,
        buffers: names.len(),
        names,
        map,
    })
}

/// The token of the kernel function's name, if nothing that stays in the text has that name, too.
fn only_mention(source: &Source<'_>, signature: &Signature) -> Option<usize> {
    let macros = { source.macros.iter() }.flat_map(|m| m.body.iter().chain([&m.name]));
    let (from, to) = signature.instantiation.unwrap_or_default();
    let program = source.program[..from].iter().chain(&source.program[to..]);
    let mut named = { program.chain(macros) }
        .copied()
        .filter(|&token| source.str(token) == signature.name);
    named.next().filter(|_| named.next().is_none())
}

/// All passes over the program and the macro bodies.
fn rewrite(
    source: &Source<'_>,
    signature: &Signature,
    plan: &Plan<'_>,
    target: &dyn Target,
    edits: &mut Edits,
) {
    let typed = plan.typed || target.checked();
    let aliases = spaces::aliases(source);
    let own = words::own_members(source);
    let templates = templates::names(source);
    let void = source.program[signature.void];
    let divisions = target.divisor().map(|by| Divisions::new(source, by));
    let bodies = source
        .macros
        .iter()
        .map(|m| (m.body.as_slice(), Some(m.name)));
    for (tokens, name) in std::iter::once((source.program.as_slice(), None)).chain(bodies) {
        let stream = source.cursor(tokens);
        words::attributes(stream, void, edits);
        constructors::erase(stream, edits);
        constructors::specializations(stream, edits);
        if typed {
            checked::rewrite(stream, &aliases, edits);
        }
        if typed && name.is_none() {
            tags::rewrite(stream, signature.start, plan, &aliases, edits);
        }
        spaces::rewrite(stream, name.is_some(), &aliases, target, edits);
        words::literals(stream, edits);
        words::uniform(stream, edits);
        words::swizzles(stream, &own, edits);
        if let Some(function) = target.alternative() {
            ternary::mark(stream, function, &templates, edits);
        }
        if let Some(divisions) = &divisions {
            divisions.mark(stream, name.map(|name| source.str(name)), edits);
        }
        if let Some(guard) = target.loop_guard() {
            guards::insert(stream, &guard, edits);
        }
    }
    // The language's own headers are what the prologue includes.
    for line in &source.includes {
        let path: String = line.iter().skip(2).map(|&t| source.str(t)).collect();
        let path = path.trim_start_matches(['<', '"']);
        if path.starts_with("metal") || path.starts_with("simd/") {
            line.iter().for_each(|&token| edits.blank(token));
        }
    }
    let program = source.cursor(&source.program);
    if let Some((from, to)) = signature.instantiation {
        program.tokens[from..to]
            .iter()
            .for_each(|&token| edits.erase(token));
    }
    unused::erase(source, signature, edits);
    anonymous::rewrite(program, &aliases, typed, edits);
    overloads::unify(program, signature.start, &aliases, typed, plan, edits);
    // What values have become by now is what lists copy.
    for tokens in std::iter::once(&source.program).chain(source.macros.iter().map(|m| &m.body)) {
        designators::rewrite(source, source.cursor(tokens), edits);
    }
}

/// Puts the target's qualifiers on the kernel function and its buffers.
fn declare_kernel(
    source: &Source<'_>,
    signature: &Signature,
    plan: &Plan<'_>,
    target: &dyn Target,
    edits: &mut Edits,
) {
    edits.insert_before(source.program[signature.void], target.kernel_function());
    for param in &signature.params {
        if let Binding::Buffer(_) = param.binding
            && !(plan.typed && param.pointer)
        {
            // The type's last token is the star or the ampersand.
            let star = source.program[param.type_span.1 - 1];
            edits.insert_after(star, target.buffer_qualifier());
        }
    }
}

/// The rewritten type of a parameter, without its `*` or `&`.
fn type_text(source: &Source<'_>, param: &Param, edits: &Edits) -> String {
    let (from, to) = param.type_span;
    let end = if matches!(param.binding, Binding::Buffer(_)) {
        to - 1
    } else {
        to
    };
    let Some((&first, &last)) = source.program[from..end]
        .first()
        .zip(source.program[from..end].last())
    else {
        return String::new();
    };
    let mut out = Output::default();
    edits.write(source, first, last + 1, &mut out);
    out.text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The token where the user's source begins: MLX puts it on the line after the body's bracket.
fn body_start(source: &Source<'_>, bracket: usize) -> usize {
    let mut at = bracket + 1;
    while let Some(token) = source.tokens.get(at) {
        match token.kind {
            Kind::Newline => return at + 1,
            Kind::Space => at += 1,
            _ => break,
        }
    }
    bracket + 1
}
