//! Just enough of Rust's grammar to see which modules a file names: words and marks without comments, texts and tests.

use std::collections::BTreeSet;

/// A word or a mark, and its line.
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A path that begins at the root of the crate, such as `error::Lift`, and the line of its first word.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub path: Vec<String>,
    pub line: usize,
}

/// The words and marks of a file. Comments, doc comments, texts and characters are left out.
pub fn tokens(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let end = match skipped(&text, at) {
            Some(end) => end,
            None => {
                let end = token_end(&text, at);
                let text = text[at..end].iter().collect();
                found.push(Token { text, line });
                end
            }
        };
        line += text[at..end].iter().filter(|&&c| c == '\n').count();
        at = end;
    }
    found
}

/// The end of what says nothing of modules: white space, a comment, a text, a character.
fn skipped(text: &[char], at: usize) -> Option<usize> {
    let rest = &text[at..];
    let starts = |with: &str| with.chars().eq(rest.iter().copied().take(with.len()));
    if rest[0].is_whitespace() {
        return Some(at + 1);
    }
    if starts("//") {
        let length = rest.iter().position(|&c| c == '\n');
        return Some(at + length.unwrap_or(rest.len()));
    }
    if starts("/*") {
        return Some(at + comment(rest));
    }
    let prefix = rest.iter().take_while(|&&c| c == 'b' || c == 'c').count();
    let body = &rest[prefix.min(1)..];
    let ahead = prefix.min(1);
    match body.first()? {
        'r' => {
            let marks = body[1..].iter().take_while(|&&c| c == '#').count();
            if body.get(1 + marks) != Some(&'"') {
                return None;
            }
            let close: Vec<char> = format!("\"{}", "#".repeat(marks)).chars().collect();
            let from = 2 + marks;
            let length = body[from..].windows(close.len()).position(|w| w == close)?;
            Some(at + ahead + from + length + close.len())
        }
        '"' => Some(at + ahead + quoted(body, '"')?),
        // `'a'` and `'\n'`, but not the lifetime `'a`.
        '\'' if body.get(1) == Some(&'\\') || body.get(2) == Some(&'\'') => {
            Some(at + ahead + quoted(body, '\'')?)
        }
        _ => None,
    }
}

/// The length of a comment, in which others may stand.
fn comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(body: &[char], mark: char) -> Option<usize> {
    let mut at = 1;
    while *body.get(at)? != mark {
        at += if body[at] == '\\' { 2 } else { 1 };
    }
    Some(at + 1)
}

fn token_end(text: &[char], at: usize) -> usize {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    let length = text[at..].iter().take_while(|c| word(c)).count();
    match length {
        0 if text[at] == ':' && text.get(at + 1) == Some(&':') => at + 2,
        0 => at + 1,
        _ => at + length,
    }
}

/// The tokens without items under `#[cfg(test)]` and the like, and the names of modules among these that have files.
pub fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, BTreeSet<String>) {
    let (mut kept, mut modules) = (Vec::new(), BTreeSet::new());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if token.text != "#" || tokens.peek().is_none_or(|t| t.text != "[") {
            kept.push(token);
            continue;
        }
        let attribute = enclosed(&mut tokens);
        let says = |word: &str| attribute.iter().any(|t| t.text == word);
        if !says("cfg") || !(says("test") || says("doctest")) || says("not") {
            kept.push(token);
            kept.extend(attribute);
            continue;
        }
        let item = item(&mut tokens);
        let names = item.windows(3).find(|w| w[0] == "mod" && w[2] == ";");
        modules.extend(names.map(|w| w[1].clone()));
    }
    (kept, modules)
}

/// What stands within the next pair of brackets, with them.
fn enclosed(tokens: &mut impl Iterator<Item = Token>) -> Vec<Token> {
    let (mut depth, mut found) = (0, Vec::new());
    for token in tokens {
        depth += nesting(&token.text);
        found.push(token);
        if depth == 0 {
            break;
        }
    }
    found
}

/// The next item, with its attributes: up to a semicolon or the end of its block.
fn item(tokens: &mut impl Iterator<Item = Token>) -> Vec<String> {
    let (mut depth, mut found) = (0, Vec::new());
    for token in tokens {
        depth += nesting(&token.text);
        let last = depth == 0 && matches!(token.text.as_str(), "}" | ";");
        found.push(token.text);
        if last {
            break;
        }
    }
    found
}

fn nesting(token: &str) -> i32 {
    match token {
        "(" | "[" | "{" => 1,
        ")" | "]" | "}" => -1,
        _ => 0,
    }
}

/// Paths from the root that a file of the module `own` names, by `crate::` or by `super::`. A tree in braces gives a path
/// for each of its leaves.
pub fn named(own: &[String], tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    // Modules within the file, each with the depth of braces that it ends at.
    let (mut inner, mut depth) = (Vec::<(String, i32)>::new(), 0);
    let text = |at: usize| tokens.get(at).map_or("", |t| t.text.as_str());
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "mod" if text(at + 2) == "{" => inner.push((text(at + 1).to_owned(), depth)),
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inner.pop_if(|(_, end)| *end == depth);
            }
            // `pub(in crate::...)` says who may see, not what is seen.
            "crate" if text(at + 1) == "::" && (at == 0 || text(at - 1) != "in") => {
                leaves(tokens, at + 2, &[], tokens[at].line, &mut found);
            }
            "super" if text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") => {
                let mut here: Vec<String> = own.to_vec();
                here.extend(inner.iter().map(|(name, _)| name.clone()));
                let mut next = at;
                while text(next) == "super" {
                    here.pop();
                    next += 2;
                }
                leaves(tokens, next, &here, tokens[at].line, &mut found);
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Adds the paths of the tree that begins `at`; gives the place behind it.
fn leaves(
    tokens: &[Token],
    mut at: usize,
    before: &[String],
    line: usize,
    found: &mut Vec<Named>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |t| t.text.as_str());
    let mut path = before.to_vec();
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !matches!(text(at), "}" | "") {
                    at = leaves(tokens, at, &path, tokens[at].line, found);
                    // Renamed, and the comma.
                    while !matches!(text(at), "," | "}" | "") {
                        at += 1;
                    }
                    at += usize::from(text(at) == ",");
                }
                return at + 1;
            }
            word => path.push(word.to_owned()),
        }
        at += 1;
        let goes_on = text(at) == "::"
            && text(at + 1).starts_with(|c: char| c.is_alphabetic() || "_{*".contains(c));
        if !goes_on {
            found.push(Named { path, line });
            return at;
        }
        at += 1;
    }
}
