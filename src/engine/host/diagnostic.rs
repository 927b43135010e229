//! Finds, in what a compiler printed, the first error and the user's line that it belongs to.
//!
//! Both g++ and clang++ write `file:line:column: error: words`. An error inside a runtime header is
//! shown where the user's text led there: at the nearest `required from` or note that names one of
//! its files.

use crate::engine::{
    error::{Location, Region},
    msl::Lowered,
};

/// The first error.
#[derive(Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The compiler's words.
    pub message: String,
    /// The user's line.
    pub location: Option<Location>,
}

/// The start of a line of the form `file:line:column: words`.
struct Entry<'a> {
    file: &'a str,
    line: usize,
    column: usize,
}

fn entry(text: &str) -> Option<Entry<'_>> {
    let text = text.trim_start();
    let text = text.strip_prefix("In file included from ").unwrap_or(text);
    // The first `:` followed by a number ends the file's name.
    let (colon, _) = text
        .match_indices(':')
        .find(|(at, _)| text[at + 1..].starts_with(|c: char| c.is_ascii_digit()))?;
    let (file, rest) = (&text[..colon], &text[colon + 1..]);
    let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let (line, rest) = rest.split_at(digits(rest));
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let column = &rest[..digits(rest)];
    Some(Entry {
        file,
        line: line.parse().ok()?,
        column: column.parse().unwrap_or(1),
    })
}

/// An entry that names one of the user's texts.
fn user_entry(line: &str) -> Option<Entry<'_>> {
    const REGIONS: [Region; 3] = [Region::Header, Region::Signature, Region::Source];
    entry(line).filter(|entry| REGIONS.iter().any(|region| region.file() == entry.file))
}

/// The first error in `output`.
pub fn first(output: &str, lowered: &Lowered) -> Option<Diagnostic> {
    // The linker's words name places in a library that nobody has seen.
    if output.contains("relocation truncated to fit") {
        return Some(Diagnostic {
            message: "its threadgroup memory or its constant tables are too large: \
                      a library holds up to 2 GiB of each"
                .to_owned(),
            location: None,
        });
    }
    let lines: Vec<&str> = output.lines().collect();
    let (at, message) = lines.iter().enumerate().find_map(|(at, line)| {
        let error = line.find("error: ")?;
        Some((at, line[error + "error: ".len()..].trim().to_owned()))
    })?;
    // The error itself, then the way that led to it (printed before it), then its notes.
    let before = lines[..at].iter().rev().find_map(|line| user_entry(line));
    let place = user_entry(lines[at]).or(before).or_else(|| {
        lines[at + 1..]
            .iter()
            .take_while(|l| !l.contains("error: "))
            .find_map(|line| user_entry(line))
    });
    let location = place.and_then(|e| lowered.map.locate(&lowered.text, e.file, e.line, e.column));
    Some(Diagnostic { message, location })
}
