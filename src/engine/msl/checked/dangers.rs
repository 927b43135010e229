//! What Metal's compiler refuses and what would take the process along here: refused in every mode.
//!
//! Words within `#if` are left to the compiler, which knows whether they count; it runs without
//! exceptions and type information.

use std::collections::HashSet;

use super::refusals::{Refusal, conditional, locate};
use crate::engine::msl::{
    body_start,
    lexer::Kind,
    reach, signature,
    source::{Source, Stream},
};

/// Words of C++ that end or escape from a kernel, and what is said about them.
const WORDS: [(&str, &str); 12] = [
    ("throw", "Metal has no exceptions"),
    ("try", "Metal has no exceptions"),
    ("catch", "Metal has no exceptions"),
    ("dynamic_cast", "Metal has no `dynamic_cast`"),
    ("typeid", "Metal has no `typeid`"),
    ("new", "Metal has no `new`"),
    ("delete", "Metal has no `delete`"),
    ("thread_local", "Metal has no `thread_local`"),
    ("__thread", "Metal has no `__thread`"),
    ("asm", "Metal has no inline assembly"),
    ("__asm", "Metal has no inline assembly"),
    ("__asm__", "Metal has no inline assembly"),
];

/// Functions of C that Metal lacks, unless the text has one of that name itself.
const FUNCTIONS: [&str; 25] = [
    "abort",
    "assert",
    "exit",
    "_exit",
    "_Exit",
    "quick_exit",
    "at_quick_exit",
    "terminate",
    "raise",
    "kill",
    "signal",
    "setjmp",
    "longjmp",
    "malloc",
    "calloc",
    "realloc",
    "free",
    "alloca",
    "__builtin_alloca",
    "__builtin_malloc",
    "__builtin_trap",
    "__builtin_abort",
    "__builtin_exit",
    "__builtin_setjmp",
    "__builtin_longjmp",
];

/// The first such thing among what the kernel uses.
pub fn danger(text: &str) -> Option<Refusal> {
    let source = Source::new(text);
    let signature = signature::find(&source).ok()?;
    let program = source.cursor(&source.program);
    let start = *program.tokens.get(signature.start)?;
    let body = body_start(&source, *program.tokens.get(signature.body)?);
    let conditional = conditional(&source);
    let used = reach::words(&source, signature.start);
    let own = own(&source);
    let bodies = source
        .macros
        .iter()
        .filter(|m| used.contains(source.str(m.name)));
    let streams = bodies.map(|m| (m.body.as_slice(), m.params.as_slice()));
    let mut first: Option<(usize, String)> = None;
    for (tokens, params) in std::iter::once((source.program.as_slice(), &[][..])).chain(streams) {
        let stream = source.cursor(tokens);
        let is_param = |word: &str| params.iter().any(|&t| source.str(t) == word);
        let found = (0..stream.len())
            .filter(|&at| !conditional.contains(&stream.tokens[at]) && !is_param(stream.str(at)))
            .find_map(|at| Some((stream.tokens[at], word(stream, at, &own)?)));
        first = match (first, found) {
            (Some(first), Some(found)) => Some(if found.0 < first.0 { found } else { first }),
            (first, found) => first.or(found),
        };
    }
    let (token, message) = first?;
    Some(Refusal {
        message,
        location: locate(&source, token, start, body),
    })
}

/// Words that the text gives a meaning of its own: names of macros, and what is defined or declared
/// as anything but a function without a body.
fn own<'s>(source: &'s Source<'s>) -> HashSet<&'s str> {
    let mut own: HashSet<&str> = source.macros.iter().map(|m| source.str(m.name)).collect();
    let program = source.cursor(&source.program);
    for at in 0..program.len() {
        let word = program.str(at);
        if word == "namespace" && program.str(at + 1) == "std" {
            own.insert("std");
        }
        if !FUNCTIONS.contains(&word) || matches!(program.before(at), "." | "->") {
            continue;
        }
        let called = program.str(at + 1) == "(";
        let end = program
            .close(at + 1)
            .filter(|_| called)
            .map(|close| program.str(close + 1));
        if !called || matches!(end, Some("{" | "const" | "noexcept" | "->")) {
            own.insert(word);
        }
    }
    own
}

fn word(stream: Stream<'_>, at: usize, own: &HashSet<&str>) -> Option<String> {
    let (word, before, next) = (stream.str(at), stream.before(at), stream.str(at + 1));
    if stream.kind(at) != Some(Kind::Ident)
        || own.contains(word)
        || matches!(before, "." | "->" | "#" | "operator")
        || next == "#"
    {
        return None;
    }
    // Alone between commas it is handed to a macro, which may make a name of it.
    if matches!(before, "(" | ",") && matches!(next, ")" | ",") {
        return None;
    }
    if word == "std" && next == "::" && before != "::" {
        return Some("Metal has no `std::`".to_owned());
    }
    if FUNCTIONS.contains(&word) && next == "(" {
        let elsewhere = before == "::" && at > 1 && stream.is_ident(at - 2);
        return (!elsewhere).then(|| format!("Metal has no `{word}`"));
    }
    // `= delete` is no expression, and `template <>` functions may be deleted so.
    if before == "=" && word == "delete" && matches!(next, ";" | "") {
        return None;
    }
    WORDS
        .iter()
        .find(|(refused, _)| *refused == word)
        .map(|(_, message)| (*message).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(header: &str, body: &str) -> Option<(String, usize)> {
        let text = format!(
            "{header}[[kernel]] void k(\n  device float* out [[buffer(0)]]) {{\n{body}\n}}\n"
        );
        danger(&text).map(|r| (r.message, r.location.map_or(0, |l| l.line)))
    }

    #[test]
    fn what_ends_a_process_is_named_with_its_line() {
        for (header, body, message, line) in [
            (
                "",
                "\nif (out[0] > 0) throw 1;",
                "Metal has no exceptions",
                2,
            ),
            (
                "",
                "try { f(); } catch (...) {}",
                "Metal has no exceptions",
                1,
            ),
            (
                "\nint f() { throw 2; }\n",
                "f();",
                "Metal has no exceptions",
                2,
            ),
            (
                "#define FAIL(x) throw x\n",
                "FAIL(1);",
                "Metal has no exceptions",
                1,
            ),
            (
                "#define OOPS throw\n",
                "OOPS 1;",
                "Metal has no exceptions",
                1,
            ),
            ("", "thread int* p = new int[4];", "Metal has no `new`", 1),
            ("", "delete p;", "Metal has no `delete`", 1),
            (
                "",
                "p = ::operator new(4); q = dynamic_cast<T*>(p);",
                "Metal has no `dynamic_cast`",
                1,
            ),
            (
                "",
                "out[0] = typeid(int).hash_code();",
                "Metal has no `typeid`",
                1,
            ),
            (
                "extern \"C\" void abort();\n",
                "abort();",
                "Metal has no `abort`",
                1,
            ),
            ("", "\n\n::exit(1);", "Metal has no `exit`", 3),
            ("", "std::abort();", "Metal has no `std::`", 1),
            ("", "__builtin_trap();", "Metal has no `__builtin_trap`", 1),
            (
                "",
                "asm volatile(\"ud2\");",
                "Metal has no inline assembly",
                1,
            ),
            (
                "thread_local int n;\n",
                "",
                "Metal has no `thread_local`",
                1,
            ),
        ] {
            assert_eq!(
                said(header, body),
                Some((message.to_owned(), line)),
                "{header}{body}"
            );
        }
    }

    #[test]
    fn other_uses_of_the_words_pass() {
        for (header, body) in [
            (
                "",
                "// throw new delete\n/* try */ const constant char* s = \"throw\";",
            ),
            (
                "",
                "x.new_one = 1; s.exit = s.abort(); newer = deleted + retry; l->free();",
            ),
            ("struct S { S(const S&) = delete; };\n", ""),
            (
                "#define new fresh\n#define try\n",
                "int new = 1; try { new += 1; }",
            ),
            ("#define NAME(a) op_##a\n", "NAME(new); NAME(throw)(1);"),
            ("#define UNUSED(x) throw x\n", ""),
            ("#if 0\nvoid f() { throw 1; }\n#endif\n", ""),
            (
                "inline void abort(int n) { }\ninline int free(int n) const { }\n",
                "abort(1); free(2); mine::exit(3);",
            ),
            ("", "auto exit = [](int v) { return v; }; exit(2);"),
            (
                "namespace std { float f(float x) { return x; } }\n",
                "std::f(1);",
            ),
        ] {
            assert_eq!(said(header, body), None, "{header}{body}");
        }
    }
}
