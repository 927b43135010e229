//! Constructors that do nothing but say so.
//!
//! Metal's C++ is older: there a structure with `S() = default;` is an aggregate still, in C++20 it is none. A
//! constructor that is defaulted means what none would, unless there are others.

use super::{checked::is_struct_body, edits::Edits, reach::chunks, source::Stream, spaces::SPACES};

/// Takes defaulted constructors out of structures that have no others.
pub fn erase(stream: Stream<'_>, edits: &mut Edits) {
    for at in 0..stream.len() {
        if !matches!(stream.str(at), "struct" | "class") || !stream.is_ident(at + 1) {
            continue;
        }
        let Some((name, open)) = head(stream, at) else {
            continue;
        };
        let Some(close) = stream.close(open) else {
            continue;
        };
        let mut defaulted = Vec::new();
        let mut others = false;
        for (from, to) in chunks(stream, open + 1, close) {
            let end = (from..to).find(|&p| stream.str(p) == "{").unwrap_or(to);
            let Some(open) = (from..end).find_map(|p| constructor(stream, p, name)) else {
                continue;
            };
            // `S() constant = default;`: no constructor is const.
            let after = stream.close(open).map_or(end, |close| close + 1);
            (after..end)
                .take_while(|&q| !matches!(stream.str(q), ":" | "="))
                .filter(|&q| SPACES.contains(&stream.str(q)))
                .for_each(|q| edits.blank(stream.tokens[q]));
            if stream.str(to - 1) == ";" && stream.str(to - 2) == "default" {
                defaulted.push((from, to));
            } else {
                others = true;
            }
        }
        if !others {
            for (from, to) in defaulted {
                stream.tokens[from..to]
                    .iter()
                    .for_each(|&token| edits.erase(token));
            }
        }
    }
}

/// Full specializations of member templates, which g++ takes outside of the structure only, become overloads: a
/// call prefers them just so.
pub fn specializations(stream: Stream<'_>, edits: &mut Edits) {
    let mut open: Vec<bool> = Vec::new();
    for at in 0..stream.len() {
        match stream.str(at) {
            "{" => open.push(is_struct_body(stream, at)),
            "}" => drop(open.pop()),
            "template"
                if open.last() == Some(&true)
                    && (stream.str(at + 1), stream.str(at + 2)) == ("<", ">")
                    && !matches!(stream.str(at + 3), "struct" | "class") =>
            {
                (at..at + 3).for_each(|p| edits.blank(stream.tokens[p]));
            }
            _ => {}
        }
    }
}

/// The name of the structure defined at `at`, and where its body opens.
fn head<'s>(stream: Stream<'s>, at: usize) -> Option<(&'s str, usize)> {
    let mut p = at + 1;
    let mut name = "";
    loop {
        match stream.str(p) {
            "{" => return (!name.is_empty()).then_some((name, p)),
            "" | ";" | "(" | ")" | "}" | ">" | "," | "=" | "*" | "&" => return None,
            "alignas" => p = stream.close(p + 1)?,
            "[" => p = stream.close(p)?,
            "<" => p = stream.close_angle(p)?,
            // What it derives from says nothing here.
            ":" => {
                p = (p..stream.len()).find(|&q| matches!(stream.str(q), "{" | ";"))?;
                continue;
            }
            word if stream.is_ident(p) => name = word,
            _ => {}
        }
        p += 1;
    }
}

/// The bracket of the parameters, if a declaration of a constructor of `name` has its name at `at`: `S(` or `S<T>(`.
fn constructor(stream: Stream<'_>, at: usize, name: &str) -> Option<usize> {
    let before = stream.before(at);
    if stream.str(at) != name
        || matches!(
            before,
            "~" | "." | "->" | "::" | "(" | "," | "=" | "return" | "<"
        )
    {
        return None;
    }
    let open = match stream.str(at + 1) {
        "<" => stream.close_angle(at + 1)? + 1,
        _ => at + 1,
    };
    (stream.str(open) == "(").then_some(open)
}
