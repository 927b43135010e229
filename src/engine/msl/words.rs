//! The small rewrites: attributes, literals, swizzles, and words that C++20 took for itself.

use std::{borrow::Cow, collections::HashSet};

use super::{
    edits::Edits,
    lexer::Kind,
    source::{Source, Stream},
};

/// Words that are names in MSL and keywords in C++20, with what they become.
const RENAMED: [(&str, &str); 8] = [
    ("char8_t", "zmlx_kw_char8_t"),
    ("concept", "zmlx_kw_concept"),
    ("consteval", "zmlx_kw_consteval"),
    ("constinit", "zmlx_kw_constinit"),
    ("co_await", "zmlx_kw_co_await"),
    ("co_return", "zmlx_kw_co_return"),
    ("co_yield", "zmlx_kw_co_yield"),
    ("requires", "zmlx_kw_requires"),
];

/// Takes all `[[attributes]]` out of a stream, and the word `kernel` before functions. Functions but the one whose
/// `void` is token `own` become inline: nothing is compiled of those that nothing calls.
pub fn attributes(stream: Stream<'_>, own: usize, edits: &mut Edits) {
    let mut at = 0;
    while at < stream.len() {
        if stream.opens_attribute(at)
            && let Some(close) = stream.close(at)
        {
            stream.tokens[at..=close]
                .iter()
                .for_each(|&token| edits.erase(token));
            let next = stream.tokens.get(close + 1).copied();
            if stream.str(at + 2) == "kernel"
                && stream.str(close + 1) == "void"
                && next.is_some_and(|next| next != own)
            {
                edits.insert_before(stream.tokens[close + 1], "inline ");
            }
            at = close;
        } else if stream.str(at) == "kernel" && stream.str(at + 1) == "void" {
            match stream.tokens[at + 1] == own {
                true => edits.blank(stream.tokens[at]),
                false => edits.replace(stream.tokens[at], "inline"),
            }
        }
        at += 1;
    }
}

/// Gives floating literals their MSL type, and renames words that C++20 reserves.
pub fn literals(stream: Stream<'_>, edits: &mut Edits) {
    for at in 0..stream.len() {
        let text = stream.str(at);
        let new = match stream.kind(at) {
            Some(Kind::Number) => float_literal(text),
            Some(Kind::Ident) => RENAMED
                .iter()
                .find(|(old, _)| *old == text)
                .map(|(_, new)| Cow::Borrowed(*new)),
            _ => None,
        };
        if let Some(new) = new
            && !edits.touched(stream.tokens[at])
        {
            edits.replace(stream.tokens[at], new);
        }
    }
}

/// Renames `uniform<T>`, unless the text uses the name for something of its own: a function of that name and the
/// library's template would be ambiguous.
pub fn uniform(stream: Stream<'_>, edits: &mut Edits) {
    let at = |i: &usize| stream.str(*i) == "uniform";
    let (library, own): (Vec<usize>, Vec<usize>) = (0..stream.len())
        .filter(at)
        .partition(|&i| stream.str(i + 1) == "<");
    if own.is_empty() {
        for i in library {
            edits.replace(stream.tokens[i], "zmlx_uniform");
        }
    }
}

/// What a floating literal becomes: MSL has no double, and suffixes for the short types.
fn float_literal(text: &str) -> Option<Cow<'static, str>> {
    let lower = text.to_ascii_lowercase();
    let hex = lower.starts_with("0x");
    let exponent = lower.find(if hex { 'p' } else { 'e' });
    if exponent.is_none() && (hex || !lower.contains('.')) {
        // `1h` is a half too.
        let digits = lower.strip_suffix('h')?;
        return (!hex && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| format!("half({digits}.0f)").into());
    }
    // The suffix begins after the last digit (or the point) of mantissa and exponent.
    let tail = exponent.map_or(0, |e| e + 1);
    let suffix_at = tail + lower[tail..].rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, suffix) = lower.split_at(suffix_at);
    match suffix {
        "" | "l" => Some(format!("{number}f").into()),
        "h" => Some(format!("half({number}f)").into()),
        "bf" => Some(format!("bfloat({number}f)").into()),
        _ => None,
    }
}

/// Whether a literal is one of a type that is a class on the host.
pub fn is_small_literal(text: &str) -> bool {
    float_literal(text).is_some_and(|new| new.ends_with(')'))
}

/// The members that swizzles may name, as a swizzle word spells them.
fn swizzle(word: &str) -> Option<String> {
    if !(2..=4).contains(&word.len()) {
        return None;
    }
    let index = |set: &str| -> Option<Vec<String>> {
        word.chars()
            .map(|c| set.find(c).map(|i| i.to_string()))
            .collect()
    };
    index("xyzw")
        .or_else(|| index("rgba"))
        .map(|indices| indices.join(","))
}

/// Words that look like swizzles but are members of the program's own structures.
pub fn own_members<'a>(source: &'a Source<'a>) -> HashSet<&'a str> {
    let stream = source.cursor(&source.program);
    let mut members = HashSet::new();
    for at in 0..stream.len() {
        if !matches!(stream.str(at), "struct" | "class" | "union") {
            continue;
        }
        let Some(open) =
            (at..stream.len()).find(|&p| matches!(stream.str(p), "{" | ";" | "(" | ")"))
        else {
            continue;
        };
        if stream.str(open) != "{" {
            continue;
        }
        let close = stream.close(open).unwrap_or(stream.len());
        members.extend(
            (open + 1..close)
                .filter(|&p| {
                    swizzle(stream.str(p)).is_some() && !matches!(stream.before(p), "." | "->")
                })
                .map(|p| stream.str(p)),
        );
    }
    members
}

/// Turns swizzles into the calls that the runtime's vectors have for them.
pub fn swizzles(stream: Stream<'_>, own: &HashSet<&str>, edits: &mut Edits) {
    for at in 1..stream.len() {
        let word = stream.str(at);
        if !matches!(stream.before(at), "." | "->")
            || stream.str(at + 1) == "("
            || own.contains(word)
        {
            continue;
        }
        if let Some(indices) = swizzle(word) {
            let call = if is_assigned(stream, at + 1) {
                "set"
            } else {
                "get"
            };
            edits.replace(
                stream.tokens[at],
                format!("template zmlx_{call}<{indices}>()"),
            );
        }
    }
}

/// Whether the operator at `at` assigns to what stands before it.
pub fn is_assigned(stream: Stream<'_>, at: usize) -> bool {
    match stream.str(at) {
        "=" | "+=" | "-=" | "*=" | "/=" | "%=" | "&=" | "|=" | "^=" | "<<=" | "++" | "--" => true,
        // The lexer leaves `>>=` in pieces.
        ">" => {
            stream.str(at + 1) == ">"
                && stream.str(at + 2) == "="
                && stream.touches_next(at)
                && stream.touches_next(at + 1)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        for (msl, cpp) in [
            ("1.0", Some("1.0f")),
            ("1.", Some("1.f")),
            (".5", Some(".5f")),
            ("1e-5", Some("1e-5f")),
            ("1E+5", Some("1e+5f")),
            ("1.5h", Some("half(1.5f)")),
            ("2h", Some("half(2.0f)")),
            ("1.5bf", Some("bfloat(1.5f)")),
            ("0x1p-3", Some("0x1p-3f")),
            ("0x1.8p3h", Some("half(0x1.8p3f)")),
            ("1.0f", None),
            ("1.0F", None),
            ("0x1p-3f", None),
            ("10", None),
            ("0x1E", None),
            ("0xbeef", None),
            ("1u", None),
            ("12ul", None),
        ] {
            assert_eq!(float_literal(msl).as_deref(), cpp, "{msl}");
        }
    }

    #[test]
    fn swizzle_words() {
        assert_eq!(swizzle("xyz").as_deref(), Some("0,1,2"));
        assert_eq!(swizzle("bgra").as_deref(), Some("2,1,0,3"));
        assert_eq!(swizzle("xg"), None);
        assert_eq!(swizzle("x"), None);
        assert_eq!(swizzle("size"), None);
    }
}
